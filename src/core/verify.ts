import { type Delivery, type DeliveryInput, delivery } from './delivery.ts';
import { WebhookError } from './errors.ts';
import { type EventOf, isProvider, type Provider } from './provider.ts';

/**
 * Authenticates a delivery and gives its event. Pure: no framework, no stream, no network.
 *
 * A provider with `confirm` is not asked here: until `provider.confirm(event)` has answered, type and
 * amount are only what the sender says. `paymentWebhook` does both.
 *
 * @param provider one provider, or several of which the one that recognises the delivery judges it
 * @throws WebhookError if it is refused; `code` says why
 * @throws TypeError if the arguments are not of the right kind
 */
export function verify<P extends Provider>(
  provider: P | readonly P[],
  input: DeliveryInput,
): EventOf<P> {
  const judged = delivery(input);
  const judge = isProvider(provider) ? provider : select(providerList(provider), judged);
  if (judged.contentType !== null && !judge.contentTypes.includes(judged.contentType)) {
    throw new WebhookError('content_type_unsupported');
  }
  return judge.authenticate(judged) as EventOf<P>;
}

/**
 * The providers of a route as a list.
 *
 * @throws TypeError if the list is empty or holds something that is no provider
 */
export function providerList(provider: Provider | readonly Provider[]): readonly Provider[] {
  const list: readonly Provider[] = Array.isArray(provider) ? provider : [provider];
  if (list.length === 0 || !list.every(isProvider)) {
    throw new TypeError(
      'provider: must be a provider, such as hitpay({ salt }), or a list of them',
    );
  }
  return list;
}

/**
 * The provider that judges a delivery: the only one, or the first that recognises it.
 *
 * @throws WebhookError `provider_unrecognized`
 */
export function select(providers: readonly Provider[], judged: Delivery): Provider {
  const judge =
    providers.length === 1 ? providers[0] : providers.find((one) => one.recognizes(judged));
  if (judge === undefined) throw new WebhookError('provider_unrecognized');
  return judge;
}
