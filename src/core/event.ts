import { createHash } from 'node:crypto';
import { WebhookError } from './errors.ts';
import { compareDecimals, decimal, type Money } from './money.ts';

/** What happened, in one vocabulary for all providers. */
export type PaymentEventType =
  | 'payment.succeeded'
  | 'payment.pending'
  | 'payment.failed'
  | 'payment.expired'
  | 'payment.canceled'
  | 'payment.refunded'
  | 'payment.partially_refunded'
  /** The provider tried whether the endpoint answers. */
  | 'ping'
  /** Authentic, but of a kind or status that payproof does not know: see `payload`. */
  | 'other';

/** How far the word of an event goes. */
export type Trust =
  /** The provider signed the body. */
  | 'signed'
  /** The sender showed a secret, but the body itself is only a claim. */
  | 'token'
  /** The provider's API was asked, and type and amount are its answer. */
  | 'confirmed';

/** Who paid, as far as the provider says. */
export interface Customer {
  name: string | null;
  phone: string | null;
  email: string | null;
}

/** An authenticated, normalised event of any provider. `JSON.stringify` works on it. */
export interface ProviderEvent<Name extends string = string, Payload = unknown> {
  /** The provider's name. Narrowing on it gives `payload` its type. */
  provider: Name;
  /** How it was authenticated, such as `hatexcard/timestamped` or `hitpay/form`. */
  scheme: string;
  /** How far its word goes. */
  trust: Trust;
  /** The id of the configured secret that matched, so that an old one can be retired. */
  keyId: string;
  /** Identity of the fact: the same for every redelivery of it, different for any other fact. */
  id: string;
  /** What happened. */
  type: PaymentEventType;
  /** The provider's id of the payment. */
  paymentId: string | null;
  /** The merchant's own order reference. */
  reference: string | null;
  /** What the customer paid. */
  amount: Money | null;
  /** What the provider keeps. */
  fee: Money | null;
  /** What the merchant receives. */
  net: Money | null;
  /** Who paid. */
  customer: Customer;
  /** When it happened, by the provider's clock. */
  occurredAt: Date | null;
  /** The provider's own fields, verbatim. */
  payload: Payload;
  /**
   * True if a later state of the same payment was already processed. Only told where `paymentWebhook`
   * has the option `dedupe: { store, stale: 'mark' }`.
   */
  stale?: boolean;
}

/** What the merchant's own books say about the order. */
export interface ExpectedPayment {
  /** The order's reference, as it was given to the provider. */
  reference: string;
  /** The price in major units: decimal text (`'599.00'`) or a number (`599`). Compared exactly. */
  amount: string | number;
  /** ISO 4217 code. */
  currency: string;
}

/**
 * Throws unless the event is a succeeded payment of exactly this order. An authentic event is not
 * yet a sufficient one: it may tell of a failure, of another order, or of a smaller amount.
 *
 * @throws WebhookError `payment_not_expected` (422) if anything differs
 * @throws TypeError if the expectation itself is incomplete, so that a missing order never matches
 */
export function assertPaid(event: ProviderEvent, expected: ExpectedPayment): void {
  const { reference, currency } = expected;
  const amount = decimal(expected.amount);
  if (typeof reference !== 'string' || reference === '') {
    throw new TypeError('reference: must be the text of the order reference');
  }
  if (amount === null) throw new TypeError('amount: must be a decimal amount in major units');
  if (typeof currency !== 'string' || !/^[a-z]{3}$/i.test(currency)) {
    throw new TypeError('currency: must be an ISO 4217 code');
  }
  const paid =
    event.type === 'payment.succeeded' &&
    event.reference === reference &&
    event.amount !== null &&
    event.amount.currency === currency.toUpperCase() &&
    compareDecimals(event.amount.value, amount) === 0;
  if (!paid) throw new WebhookError('payment_not_expected');
}

/** Longer identities are shortened, so that stores can index them. */
const MAX_ID_LENGTH = 200;

/**
 * Builds `event.id` from what a fact is: provider, object, status. The parts are escaped, so that no
 * two lists of parts give the same id.
 */
export function eventId(...parts: readonly string[]): string {
  let id = '';
  for (let at = 0; at < parts.length; at++) {
    id += (at > 0 ? ':' : '') + escapePart(parts[at] as string);
  }
  return id.length <= MAX_ID_LENGTH ? id : `${id.slice(0, 100)}:${digest(id)}`;
}

function escapePart(part: string): string {
  return part.includes('%') || part.includes(':')
    ? part.replaceAll('%', '%25').replaceAll(':', '%3A')
    : part;
}

/**
 * A stand-in for an identity, for facts of kinds that are not known here and so name none: taken
 * over the verified content.
 */
export function digest(content: unknown): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('base64url');
}
