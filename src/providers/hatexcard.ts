import type { Delivery } from '../core/delivery.ts';
import { WebhookError } from '../core/errors.ts';
import { digest, eventId, type PaymentEventType, type ProviderEvent } from '../core/event.ts';
import {
  exactIn,
  isAsStringified,
  isObject,
  type JsonDocument,
  parseJson,
  textOrNull,
} from '../core/json.ts';
import { money } from '../core/money.ts';
import { boundedNumber, knownOptions } from '../core/options.ts';
import type { Provider } from '../core/provider.ts';
import { accountOf, hexSignature, keyring, type SecretInput, signingKey } from '../core/secrets.ts';
import { hatexcardEvidence } from './hatexcard-evidence.ts';

// Hatexcard, Haiti. Facts: the developers' guide (scheme `body`) and the gateway's published code of
// July 2026 (scheme `timestamped`).

const SIGNATURE_HEADER = 'x-hatex-signature';
const TIMESTAMP_HEADER = 'x-hatex-timestamp';
const SCHEMES = ['timestamped', 'body'] as const;
const DEFAULT_TOLERANCE = 300;
/** What the gateway sends as `order_id` when the merchant gave none. */
const NO_ORDER = 'N/A';

/** Options of {@link hatexcard}. */
export interface HatexcardOptions {
  /** The webhook secret from the dashboard, `whsec_` included. Required. */
  secret: SecretInput | undefined;
  /** How many seconds the signed timestamp may be off, past or future. Default 300. */
  tolerance?: number | undefined;
  /**
   * The schemes that are accepted. Default: both. A merchant whose deliveries all carry
   * `x-hatex-timestamp` sets `['timestamped']`, since `body` signatures never expire.
   */
  schemes?: readonly (typeof SCHEMES)[number][] | undefined;
}

/** What Hatexcard tells of a payment: under `data` (timestamped), or at the top (body). */
export interface HatexcardPayment {
  transaction_id?: string;
  order_id?: string;
  amount?: number;
  amount_received?: number;
  api_fee?: number;
  currency?: string;
  customer_name?: string;
}

/** Hatexcard's own fields. Which ones are there depends on the scheme; newer gateways may add some. */
export interface HatexcardPayload extends HatexcardPayment {
  event?: string;
  /** Timestamped: differs between a delivery and its retries. */
  id?: string;
  /** Timestamped: Unix seconds. */
  created?: number;
  /** Timestamped: the payment. */
  data?: HatexcardPayment;
  /** Body: ISO 8601. */
  timestamp?: string;
}

/** An event of Hatexcard. */
export type HatexcardEvent = ProviderEvent<'hatexcard', HatexcardPayload>;

/**
 * Hatexcard (Haiti, HTG): `x-hatex-signature`, with `x-hatex-timestamp` (scheme `timestamped`) or
 * without (scheme `body`).
 *
 * @throws TypeError | RangeError if an option is missing or wrong
 */
export function hatexcard(options: HatexcardOptions): Provider<HatexcardEvent> {
  knownOptions('hatexcard', options, ['secret', 'tolerance', 'schemes']);
  const keys = keyring('secret', options.secret);
  const tolerance = boundedNumber(
    'tolerance',
    options.tolerance === undefined ? DEFAULT_TOLERANCE : options.tolerance,
    0,
    Number.MAX_SAFE_INTEGER,
  );
  const { schemes = SCHEMES }: { schemes?: readonly string[] | undefined } = options;
  if (!Array.isArray(schemes) || schemes.length === 0) {
    throw new TypeError('schemes: must be a list of schemes');
  }
  for (const scheme of schemes) {
    if (!SCHEMES.some((known) => known === scheme)) {
      throw new TypeError('schemes: must be "timestamped" or "body"');
    }
  }

  const takesTimestamped = schemes.includes('timestamped');
  const takesBody = schemes.includes('body');

  /** HMAC over `${timestamp}.${body}`, the timestamp as received. */
  function timestamped(delivery: Delivery, timestamp: string): HatexcardEvent {
    const signature = hexSignature(delivery.header(SIGNATURE_HEADER));
    if (!/^[1-9]\d{9}$/.test(timestamp)) throw new WebhookError('timestamp_invalid');
    // In whole seconds, as the sender counts them.
    const age = Math.floor(delivery.receivedAt.getTime() / 1000) - Number(timestamp);
    if (!(Math.abs(age) <= tolerance)) throw new WebhookError('timestamp_out_of_tolerance');
    const { body, receivedAt } = delivery;
    const keyId = signingKey(keys, signature, receivedAt, `${timestamp}.`, body);
    if (keyId === undefined) throw new WebhookError('signature_mismatch');
    return normalise('hatexcard/timestamped', keyId, documentIn(body));
  }

  /** HMAC over the body, or over `JSON.stringify(JSON.parse(body))` as the guide's receiver has it. */
  function bodyOnly(delivery: Delivery): HatexcardEvent {
    const signature = hexSignature(delivery.header(SIGNATURE_HEADER));
    const { body, receivedAt } = delivery;
    const keyId = signingKey(keys, signature, receivedAt, body);
    if (keyId !== undefined) return normalise('hatexcard/body', keyId, documentIn(body));
    const text = restringified(body);
    const textKeyId = text === null ? undefined : signingKey(keys, signature, receivedAt, text);
    if (textKeyId === undefined) throw new WebhookError('signature_mismatch');
    // From the text that matched: `{"amount":1e999}` has the signed text of `{"amount":null}`.
    return normalise('hatexcard/body', textKeyId, documentIn(Buffer.from(text as string)));
  }

  return {
    name: 'hatexcard',
    contentTypes: ['application/json'],
    account: () => accountOf(keys),
    evidence: (delivery, scene) =>
      hatexcardEvidence({ ...RULES, keys, tolerance, schemes }, delivery, scene),
    recognizes: (delivery) => delivery.header(SIGNATURE_HEADER) !== undefined,
    authenticate(delivery) {
      const timestamp = delivery.header(TIMESTAMP_HEADER);
      // The header only says which text was signed. Taking it away, or adding it, changes the text
      // that must match, so it weakens nothing.
      if (timestamp !== undefined && takesTimestamped) return timestamped(delivery, timestamp);
      if (timestamp === undefined && takesBody) return bodyOnly(delivery);
      throw new WebhookError(timestamp === undefined ? 'timestamp_invalid' : 'signature_mismatch');
    },
  };
}

/**
 * `JSON.stringify(JSON.parse(body))`, or null if that is the body once more, as it is of most.
 *
 * @throws WebhookError `signature_mismatch` if it is no JSON, which nobody can have signed this way
 */
function restringified(body: Uint8Array): string | null {
  try {
    if (isAsStringified(body)) return null;
    const { text, value } = parseJson(body);
    const again = JSON.stringify(value);
    return again === text ? null : again;
  } catch {
    throw new WebhookError('signature_mismatch');
  }
}

function normalise(scheme: string, keyId: string, { value, exact }: JsonDocument): HatexcardEvent {
  const payload = value as HatexcardPayload;
  const fields = isObject(value.data) ? value.data : value;
  const amounts = isObject(exact.data) ? exact.data : exact;
  const type = eventType(value.event);
  const paymentId = textOrNull(fields.transaction_id);
  const order = textOrNull(fields.order_id);
  const reference = order?.trim() === NO_ORDER ? null : order;
  const currency = fields.currency ?? 'HTG';
  return {
    provider: 'hatexcard',
    scheme,
    trust: 'signed',
    keyId,
    id: identity(type, paymentId, payload),
    type,
    paymentId,
    reference,
    amount: money(amounts.amount, currency),
    fee: money(amounts.api_fee, currency),
    net: money(amounts.amount_received, currency),
    customer: { name: textOrNull(fields.customer_name), phone: null, email: null },
    occurredAt: instant(value.created ?? value.timestamp),
    payload,
  };
}

/** @throws WebhookError `body_malformed` */
function documentIn(body: Uint8Array): JsonDocument {
  const parsed = parseJson(body);
  return { value: parsed.value, exact: exactIn(parsed, AMOUNTS) };
}

const AMOUNTS = { names: ['amount', 'amount_received', 'api_fee'], within: 'data' };

function eventType(event: unknown): PaymentEventType {
  if (event === 'payment.success' || event === 'payment.succeeded') return 'payment.succeeded';
  return event === 'ping' ? 'ping' : 'other';
}

/** Hatexcard's own `id` changes with every retry: what stays is the event and its transaction. */
function identity(
  type: PaymentEventType,
  paymentId: string | null,
  payload: HatexcardPayload,
): string {
  // `String(payload.event)` would throw for an object whose `toString` is no function.
  const name = textOrNull(payload.event) ?? '';
  const kind = type === 'other' ? `other.${name}` : type;
  if (paymentId !== null) return eventId('hatexcard', kind, paymentId);
  const { id: _, ...rest } = payload;
  return eventId('hatexcard', kind, '', digest(rest));
}

function instant(time: unknown): Date | null {
  if (typeof time !== 'number' && typeof time !== 'string') return null;
  const date = new Date(typeof time === 'number' ? time * 1000 : time);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** What the diagnosis must know of the rules. */
const RULES = {
  signatureHeader: SIGNATURE_HEADER,
  timestampHeader: TIMESTAMP_HEADER,
  defaultTolerance: DEFAULT_TOLERANCE,
  restringified,
};
