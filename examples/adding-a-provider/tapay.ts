import {
  accountOf,
  type Delivery,
  decodeJson,
  eventId,
  hexSignature,
  keyring,
  money,
  type PaymentEventType,
  type Provider,
  type ProviderEvent,
  type SecretInput,
  signingKey,
  WebhookError,
} from 'payproof';

// TaPay (not a real company). Its guide says:
// - JSON: { "event": "payment.paid", "payment_id": "TP-1001", "order": "ORD-7", "amount": 599.5,
//   "currency": "PHP", "phone": "+639171234567" }
// - `Tapay-Signature: t=<Unix seconds>,v1=<hex>`, where v1 is HMAC-SHA256 of `${t}.${rawBody}`.

const NAME = 'tapay';
const SIGNATURE_HEADER = 'tapay-signature';
const SIGNATURE_FORMAT = /^t=([1-9]\d{9}),v1=([0-9a-fA-F]{64})$/;
/** How many seconds the timestamp may be off, past or future. */
const TOLERANCE = 300;

const EVENT_TYPES: ReadonlyMap<unknown, PaymentEventType> = new Map([
  ['payment.paid', 'payment.succeeded'],
  ['payment.failed', 'payment.failed'],
]);

/** Options of `tapay`. */
export interface TapayOptions {
  /** The webhook secret from the dashboard. */
  secret: SecretInput | undefined;
}

/** TaPay's own fields. */
export interface TapayPayload {
  event?: string;
  payment_id?: string;
  order?: string;
  amount?: number;
  currency?: string;
  phone?: string;
}

/** An event of TaPay. */
export type TapayEvent = ProviderEvent<typeof NAME, TapayPayload>;

declare module 'payproof' {
  interface PaymentEvents {
    tapay: TapayEvent;
  }
}

/** @throws TypeError if the secret is missing */
export function tapay(options: TapayOptions): Provider<TapayEvent> {
  const keys = keyring('secret', options.secret);
  return {
    name: NAME,
    contentTypes: ['application/json'],
    // Tells the shops apart where a function of the request chooses the provider.
    account: () => accountOf(keys),
    recognizes: (delivery) => delivery.header(SIGNATURE_HEADER) !== undefined,
    authenticate(delivery) {
      const keyId = signedBy(delivery);
      // Only now: what is not authentic is never parsed.
      return normalise(keyId, delivery.body);
    },
  };

  function signedBy({ header, body, receivedAt }: Delivery): string {
    const text = header(SIGNATURE_HEADER);
    if (text === undefined) throw new WebhookError('signature_missing');
    const [, timestamp, hex] = SIGNATURE_FORMAT.exec(text) ?? [];
    if (timestamp === undefined) throw new WebhookError('signature_malformed');
    const age = Math.floor(receivedAt.getTime() / 1000) - Number(timestamp);
    if (Math.abs(age) > TOLERANCE) throw new WebhookError('timestamp_out_of_tolerance');
    const keyId = signingKey(keys, hexSignature(hex), receivedAt, `${timestamp}.`, body);
    if (keyId === undefined) throw new WebhookError('signature_mismatch');
    return keyId;
  }
}

function normalise(keyId: string, body: Uint8Array): TapayEvent {
  // `exact` has null for every number that is no exact amount: read money from there.
  const { value, exact } = decodeJson(body);
  const paymentId = text(value.payment_id);
  if (paymentId === null) throw new WebhookError('body_malformed');
  // A kind that is not known here becomes `other`; it is not refused.
  const type = EVENT_TYPES.get(value.event) ?? 'other';
  return {
    provider: NAME,
    scheme: 'tapay/signature',
    trust: 'signed',
    keyId,
    // What happened to which payment: the same for every redelivery.
    id: eventId(NAME, paymentId, type === 'other' ? `other.${text(value.event)}` : type),
    type,
    paymentId,
    reference: text(value.order),
    amount: money(exact.amount, value.currency),
    fee: null,
    net: null,
    customer: { name: null, phone: text(value.phone), email: null },
    occurredAt: null,
    payload: value as TapayPayload,
  };
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}
