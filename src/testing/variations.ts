import { type LooseSample, paymentIdOf } from './bodies.ts';
import { deliveryOf, type Origin, originOf, remember, type SignedDelivery } from './signed.ts';
import type { Scheme } from './signer.ts';

/** Older than the default tolerance of 300 seconds by far. */
const DEFAULT_AGE = 600;

/**
 * Altered on the way by somebody who does not know the secret: another amount under the same
 * signature; where the body is not what the proof covers, another order (DExchange `token`) or
 * another token (`bearer`).
 *
 * payproof must answer 403, and the handler must not run: `signature_mismatch`, or `token_mismatch`
 * for DExchange's `token` and `bearer`.
 */
export function tampered<S extends Scheme>(delivery: SignedDelivery<S>): SignedDelivery<S> {
  const { signer, facts } = originOf(delivery);
  const { scheme } = signer;
  if (scheme === 'dexchange/bearer') {
    return altered(delivery, { headers: { [signer.header]: 'Bearer somebody-elses-token' } });
  }
  const change: LooseSample =
    scheme === 'dexchange/token' ? { reference: 'somebody-elses-order' } : { amount: '9999.99' };
  const other = deliveryOf({ signer, facts: { ...facts, sample: { ...facts.sample, ...change } } });
  if (scheme !== 'hitpay/form') return altered(delivery, { body: other.body });
  const fields = new URLSearchParams(other.body);
  fields.set('hmac', new URLSearchParams(delivery.body).get('hmac') ?? '');
  return altered(delivery, { body: fields.toString() });
}

/**
 * The very same bytes once more: captured and sent again at once, or delivered twice by the network.
 *
 * payproof must answer 200 after the first was answered 2xx (409 while it is under way), and the
 * handler must not run again. With `dedupe: false` it does.
 */
export function replayed<S extends Scheme>(delivery: SignedDelivery<S>): SignedDelivery<S> {
  originOf(delivery);
  return altered(delivery, {});
}

/**
 * The provider's own redelivery, as when it has not seen the answer to the first: Hatexcard signs
 * it anew, with a new `id` and a new timestamp; HitPay and DExchange send the same bytes.
 *
 * payproof must answer 200 after the first was answered 2xx (409 while it is under way), and the
 * handler must not run again. With `dedupe: false` it does.
 */
export function duplicate<S extends Scheme>(delivery: SignedDelivery<S>): SignedDelivery<S> {
  const { signer, facts } = originOf(delivery);
  const isNew = signer.scheme === 'hatexcard/timestamped';
  // The default moves with the clock; a sample's own `at` stands for "now" in the merchant's test.
  const again = isNew ? { ...facts, attempt: facts.attempt + 1, at: later(facts.at) } : facts;
  return deliveryOf({ signer, facts: again }) as SignedDelivery<S>;
}

function later(at: Date): Date {
  return new Date(+at + 1000);
}

/**
 * Signed by the provider, but long ago: captured and kept back. Only Hatexcard's `timestamped` signs
 * the time; for the other schemes a delivery never expires.
 *
 * payproof must answer 403 (`timestamp_out_of_tolerance`), and the handler must not run.
 *
 * @param age in seconds. Default 600; a route with a larger `tolerance` needs more
 * @throws TypeError for a scheme that does not sign the time
 */
export function expired(
  delivery: SignedDelivery<'hatexcard/timestamped'>,
  age: number = DEFAULT_AGE,
): SignedDelivery<'hatexcard/timestamped'> {
  const { signer, facts } = originOf(delivery);
  if (signer.scheme !== 'hatexcard/timestamped') {
    throw new TypeError('expired: only hatexcard/timestamped signs the time');
  }
  const at = new Date(+facts.at - age * 1000);
  return deliveryOf({ signer, facts: { ...facts, at } }) as SignedDelivery<'hatexcard/timestamped'>;
}

/**
 * HitPay's form with the same signed text and the same `hmac`, cut into other fields: HitPay puts
 * nothing between them, so the signature fits this one too (`status=completed` became
 * `statusc=ompleted`).
 *
 * payproof must answer 403 (`field_ambiguous`), and the handler must not run.
 *
 * @throws TypeError for another scheme
 */
export function recut(delivery: SignedDelivery<'hitpay/form'>): SignedDelivery<'hitpay/form'> {
  if (originOf(delivery).signer.scheme !== 'hitpay/form') {
    throw new TypeError('recut: only hitpay/form has a signed text without separators');
  }
  const fields = [...new URLSearchParams(delivery.body)].map(([name, value]): [string, string] =>
    name === 'status' ? [name + value.slice(0, 1), value.slice(1)] : [name, value],
  );
  return altered(delivery, { body: new URLSearchParams(fields).toString() });
}

/** The schemes whose providers tell of more than one state of a payment. */
export type OrderedScheme = Exclude<Scheme, `hatexcard/${string}`>;

/**
 * An earlier state of the same payment, to be sent after the delivery: for a success `pending` or
 * (HitPay's payment requests as JSON) a failed attempt, for a refund the charge.
 *
 * payproof must answer 200. With `dedupe: { store, stale: 'skip' }` the handler must not run, with
 * `stale: 'mark'` it runs with `event.stale === true`. Without the option it runs as for any event.
 *
 * @throws TypeError for Hatexcard, which tells only of successes, and for kinds without a payment
 */
export function outOfOrder<S extends OrderedScheme>(
  delivery: SignedDelivery<S>,
): SignedDelivery<S> {
  const { signer, facts } = originOf(delivery);
  const sample = earlier(signer.scheme, facts.sample);
  if (sample === null) throw new TypeError('outOfOrder: this delivery has no earlier state');
  const paymentId = paymentIdOf(signer.scheme, facts);
  const before = { ...facts, sample: { ...facts.sample, ...sample, paymentId } };
  return deliveryOf({ signer, facts: before }) as SignedDelivery<S>;
}

function earlier(scheme: Scheme, { kind, refunded, status }: LooseSample): LooseSample | null {
  if (scheme.startsWith('dexchange/')) return status === 'PENDING' ? null : { status: 'PENDING' };
  if (scheme === 'hitpay/form') {
    if (status === 'pending') return null;
    // A recurring billing has no pending state: its failed attempt came before.
    if (kind === 'recurring_billing') return status === 'failed' ? null : { status: 'failed' };
    return { status: 'pending' };
  }
  if (scheme !== 'hitpay/event') return null;
  switch (kind) {
    case undefined:
    case 'payment_request.completed':
      return { kind: 'payment_request.failed' };
    case 'charge.updated':
      return refunded === undefined ? null : { kind: 'charge.created', refunded: 0 };
    case 'charge.created':
      return status === undefined || status === 'succeeded' ? { status: 'pending' } : null;
    default:
      return null;
  }
}

/** A delivery in which something was changed without the secret. */
function altered<S extends Scheme>(
  delivery: SignedDelivery<S>,
  change: Partial<SignedDelivery>,
): SignedDelivery<S> {
  const headers = { ...delivery.headers, ...change.headers };
  const origin: Origin = originOf(delivery);
  return remember({ ...delivery, ...change, headers }, origin) as SignedDelivery<S>;
}
