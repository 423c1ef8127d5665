import { type Facts, type LooseSample, paymentIdOf } from './bodies.ts';
import {
  type Alteration,
  deliveryOf,
  type Origin,
  originOf,
  remember,
  type SignedDelivery,
} from './signed.ts';
import type { CheckedSigner, Scheme } from './signer.ts';

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
    const headers = { [signer.header]: 'Bearer somebody-elses-token' };
    return altered(delivery, { headers }, tampered);
  }
  const body = untrue(signer, facts);
  if (scheme !== 'hitpay/form') return altered(delivery, { body }, tampered);
  const fields = new URLSearchParams(body);
  fields.set('hmac', new URLSearchParams(delivery.body).get('hmac') ?? '');
  return altered(delivery, { body: fields.toString() }, tampered);
}

/** A body that tells another amount, or (DExchange `token`) of another order. */
function untrue(signer: CheckedSigner, facts: Facts): string {
  const [name, ...values] =
    signer.scheme === 'dexchange/token'
      ? ['externalTransactionId', 'somebody-elses-order', 'another-order']
      : [signer.scheme.startsWith('dexchange/') ? 'AMOUNT' : 'amount', 9999.99, 1];
  const genuine = deliveryOf(signer, facts).body;
  const bodies = values.map((value) => {
    const fields = { ...facts.sample.fields, [name as string]: value };
    return deliveryOf(signer, { ...facts, sample: { ...facts.sample, fields } }).body;
  });
  // The sample may tell just that.
  return bodies.find((body) => body !== genuine) as string;
}

/**
 * The very same bytes once more: captured and sent again at once, or delivered twice by the network.
 *
 * payproof must answer 200 after the first was answered 2xx (409 while it is under way), and the
 * handler must not run again. With `dedupe: false` it does.
 */
export function replayed<S extends Scheme>(delivery: SignedDelivery<S>): SignedDelivery<S> {
  const headers = { ...delivery.headers };
  return remember({ ...delivery, headers }, originOf(delivery)) as SignedDelivery<S>;
}

/**
 * The provider's own redelivery, as when it has not seen the answer to the first: Hatexcard signs
 * it anew, with a new `id` and a new timestamp; HitPay and DExchange send the same bytes.
 *
 * payproof must answer 200 after the first was answered 2xx (409 while it is under way), and the
 * handler must not run again. With `dedupe: false` it does.
 */
export function duplicate<S extends Scheme>(delivery: SignedDelivery<S>): SignedDelivery<S> {
  const origin = originOf(delivery);
  const { signer, facts } = origin;
  const isNew = signer.scheme === 'hatexcard/timestamped';
  // The default moves with the clock; a sample's own `at` stands for "now" in the merchant's test.
  const again = isNew ? { ...facts, attempt: facts.attempt + 1, at: later(facts.at) } : facts;
  return resigned(origin, again);
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
  const origin = originOf(delivery);
  const { signer, facts } = origin;
  if (signer.scheme !== 'hatexcard/timestamped') {
    throw new TypeError('expired: only hatexcard/timestamped signs the time');
  }
  const at = new Date(+facts.at - age * 1000);
  return resigned(origin, { ...facts, at });
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
  return altered(delivery, { body: new URLSearchParams(fields).toString() }, recut as Alteration);
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
  const origin = originOf(delivery);
  const { signer, facts } = origin;
  const sample = earlier(signer.scheme, facts.sample);
  if (sample === null) throw new TypeError('outOfOrder: this delivery has no earlier state');
  const paymentId = paymentIdOf(signer.scheme, facts);
  return resigned(origin, { ...facts, sample: { ...facts.sample, ...sample, paymentId } });
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
  alteration: Alteration,
): SignedDelivery<S> {
  const origin = originOf(delivery);
  const headers = { ...delivery.headers, ...change.headers };
  const alterations = [...origin.alterations, alteration];
  return remember(
    { ...delivery, ...change, headers },
    { ...origin, alterations },
  ) as SignedDelivery<S>;
}

/** Other facts by the same signer. What was altered is altered again: nobody makes it genuine. */
function resigned<S extends Scheme>(origin: Origin, facts: Facts): SignedDelivery<S> {
  const fresh = deliveryOf(origin.signer, facts);
  return origin.alterations.reduce((one, alter) => alter(one), fresh) as SignedDelivery<S>;
}
