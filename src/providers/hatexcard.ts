import type { Delivery } from '../core/delivery.ts';
import type { Clue, Evidence, Scene, SignedText } from '../core/diagnosis/clues.ts';
import { alteredBodies, bodyTexts, fieldsOf } from '../core/diagnosis/texts.ts';
import { WebhookError } from '../core/errors.ts';
import { digest, eventId, type PaymentEventType, type ProviderEvent } from '../core/event.ts';
import { decodeJson, isObject, type JsonDocument, textOrNull } from '../core/json.ts';
import { money } from '../core/money.ts';
import { boundedNumber, knownOptions } from '../core/options.ts';
import type { Provider } from '../core/provider.ts';
import {
  accountOf,
  hexSignature,
  type Keyring,
  keyring,
  type SecretInput,
  signingKey,
} from '../core/secrets.ts';

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

  /** HMAC over `${timestamp}.${body}`, the timestamp as received. */
  function timestamped(delivery: Delivery, timestamp: string): HatexcardEvent {
    const signature = hexSignature(delivery.header(SIGNATURE_HEADER));
    if (!/^[1-9]\d{9}$/.test(timestamp)) throw new WebhookError('timestamp_invalid');
    // In whole seconds, as the sender counts them.
    const age = Math.floor(+delivery.receivedAt / 1000) - Number(timestamp);
    if (Math.abs(age) > tolerance) throw new WebhookError('timestamp_out_of_tolerance');
    const { body, receivedAt } = delivery;
    const keyId = signingKey(keys, signature, receivedAt, `${timestamp}.`, body);
    if (keyId === undefined) throw new WebhookError('signature_mismatch');
    return normalise('hatexcard/timestamped', keyId, decodeJson(body));
  }

  /** HMAC over the body, or over `JSON.stringify(JSON.parse(body))` as the guide's receiver has it. */
  function bodyOnly(delivery: Delivery): HatexcardEvent {
    const signature = hexSignature(delivery.header(SIGNATURE_HEADER));
    let signed = delivery.body;
    let keyId = signingKey(keys, signature, delivery.receivedAt, signed);
    if (keyId === undefined) {
      signed = restringified(delivery.body);
      keyId = signingKey(keys, signature, delivery.receivedAt, signed);
    }
    if (keyId === undefined) throw new WebhookError('signature_mismatch');
    // From the text that matched: `{"amount":1e999}` has the signed text of `{"amount":null}`.
    return normalise('hatexcard/body', keyId, decodeJson(signed));
  }

  return {
    name: 'hatexcard',
    contentTypes: ['application/json'],
    account: () => accountOf(keys),
    evidence: (delivery, scene) => evidence(keys, tolerance, schemes, delivery, scene),
    recognizes: (delivery) => delivery.header(SIGNATURE_HEADER) !== undefined,
    authenticate(delivery) {
      const timestamp = delivery.header(TIMESTAMP_HEADER);
      // The header only says which text was signed. Taking it away, or adding it, changes the text
      // that must match, so it weakens nothing.
      if (timestamp !== undefined && schemes.includes('timestamped')) {
        return timestamped(delivery, timestamp);
      }
      if (timestamp === undefined && schemes.includes('body')) return bodyOnly(delivery);
      throw new WebhookError(timestamp === undefined ? 'timestamp_invalid' : 'signature_mismatch');
    },
  };
}

/** A body that is no JSON cannot have been signed this way: a mismatch like any other. */
function restringified(body: Uint8Array): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(decodeJson(body).value));
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
  return Number.isNaN(+date) ? null : date;
}

// ---- Evidence for the diagnosis ------------------------------------------------------------------

const SECONDS = /^[1-9]\d{9}$/;
const MILLISECONDS = /^[1-9]\d{12}$/;
/** Seconds around a time that are tried early. */
const NEAR = 5;
const SEPARATORS = ['', ':', '|', ',', '\n', '_', '-', ' ', ';', '..'];

function evidence(
  keys: Keyring,
  tolerance: number,
  schemes: readonly string[],
  delivery: Delivery,
  { code }: Scene,
): Evidence {
  const timestamp = delivery.header(TIMESTAMP_HEADER);
  const scheme = timestamp === undefined ? 'body' : 'timestamped';
  const clue: Clue = {
    option: 'secret',
    keys,
    place: `the header ${SIGNATURE_HEADER}`,
    proof: delivery.header(SIGNATURE_HEADER),
    kind: 'hex',
    spare: [],
    assumption: null,
    texts: () =>
      timestamp === undefined
        ? textsWithout(delivery, schemes)
        : textsWith(delivery, timestamp, schemes),
  };
  const plain =
    clue.proof === undefined || !/^(?:signature|timestamp)_/.test(code)
      ? []
      : [...plainFindings(delivery, timestamp, tolerance)];
  if (clue.proof !== undefined && !schemes.includes(scheme)) {
    plain.push({ ...otherScheme(scheme), confidence: 'likely' });
  }
  return { clues: [clue], plain };
}

function* plainFindings(
  delivery: Delivery,
  timestamp: string | undefined,
  tolerance: number,
): Generator<Evidence['plain'][number]> {
  if (timestamp === undefined) {
    const { created, data } = fieldsOf(delivery.body);
    if (typeof created === 'number' && isObject(data)) {
      const seen = [`The body is of the timestamped scheme, and ${TIMESTAMP_HEADER} is not there.`];
      yield { cause: 'timestamp_not_received', evidence: seen, confidence: 'likely' };
    }
  } else if (SECONDS.test(timestamp)) {
    const age = Math.floor(+delivery.receivedAt / 1000) - Number(timestamp);
    if (Math.abs(age) > tolerance) {
      const side = age > 0 ? 'older than the time of this server' : 'ahead of this server';
      const seen = [`The timestamp is ${Math.abs(age)} seconds ${side}; ${tolerance} are allowed.`];
      yield { cause: 'clock_skew', evidence: seen, confidence: 'likely' };
    }
  } else {
    yield { ...wrongTimestamp(timestamp), confidence: 'likely' };
  }
}

function otherScheme(scheme: string) {
  const seen = [`The delivery is of the scheme ${scheme}, which the option schemes leaves out.`];
  return { cause: 'other_scheme', evidence: seen } as const;
}

function wrongTimestamp(timestamp: string) {
  if (MILLISECONDS.test(timestamp)) return { cause: 'timestamp_milliseconds' } as const;
  return { cause: timestamp.includes(',') ? 'header_repeated' : 'timestamp_format' } as const;
}

/** The header is there. */
function* textsWith(
  { body, receivedAt }: Delivery,
  timestamp: string,
  schemes: readonly string[],
): Generator<SignedText> {
  const isProper = SECONDS.test(timestamp);
  const accepted = schemes.includes('timestamped') ? null : otherScheme('timestamped');
  yield {
    parts: [`${timestamp}.`, body],
    suspicion: isProper ? accepted : wrongTimestamp(timestamp),
  };
  for (const text of bodyForms(body)) {
    yield { parts: [text], suspicion: { cause: 'timestamp_not_signed' } };
  }
  const signedAt = (time: string | number, suspicion: SignedText['suspicion']): SignedText => ({
    parts: [`${time}.`, body],
    suspicion,
  });
  const milliseconds = { cause: 'timestamp_milliseconds' } as const;
  if (isProper) yield signedAt(`${timestamp}000`, milliseconds);
  if (MILLISECONDS.test(timestamp)) yield signedAt(timestamp.slice(0, 10), milliseconds);
  if (!isProper) {
    for (const one of new Set(timestamp.split(',', 4))) {
      yield signedAt(one.trim(), wrongTimestamp(timestamp));
    }
    const time = Date.parse(timestamp);
    yield signedAt(Math.floor(time / 1000), { cause: 'timestamp_format' });
    yield signedAt(time, milliseconds);
  }
  for (const { content, suspicion } of alteredBodies(body)) {
    yield { parts: [`${timestamp}.`, content], suspicion };
  }
  for (const separator of SEPARATORS) {
    const joined = { cause: 'timestamp_separator' } as const;
    yield { parts: [timestamp + separator, body], suspicion: joined };
    yield { parts: [body, separator + timestamp], suspicion: joined };
  }
  yield { parts: [body, `.${timestamp}`], suspicion: { cause: 'timestamp_separator' } };
  for (const time of times(body, receivedAt, NEAR)) {
    yield signedAt(time, { cause: 'timestamp_changed' });
  }
  for (let after = 1; isProper && after < 1000; after++) {
    yield { ...signedAt(timestamp + `${after}`.padStart(3, '0'), milliseconds), late: true };
  }
}

/** The header is not there: the body was signed, or what the header said was lost. */
function* textsWithout(
  { body, receivedAt }: Delivery,
  schemes: readonly string[],
): Generator<SignedText> {
  const accepted = schemes.includes('body') ? null : otherScheme('body');
  for (const text of bodyForms(body)) yield { parts: [text], suspicion: accepted };
  const lost = { cause: 'timestamp_not_received' } as const;
  for (const time of times(body, receivedAt, NEAR)) {
    yield { parts: [`${time}.`, body], suspicion: lost };
  }
  for (const { parts, suspicion } of bodyTexts(body)) if (suspicion) yield { parts, suspicion };
  for (const time of times(body, receivedAt, DEFAULT_TOLERANCE)) {
    yield { parts: [`${time}.`, body], suspicion: lost, late: true };
  }
}

/** The body, and the body as the guide's receiver hashes it. */
function* bodyForms(body: Uint8Array): Generator<Uint8Array> {
  yield body;
  try {
    yield restringified(body);
  } catch {
    // It is no JSON, so this form of it does not exist.
  }
}

/** Seconds at which the delivery may have been signed, the likely ones first. */
function* times(body: Uint8Array, receivedAt: Date, reach: number): Generator<number> {
  const { created } = fieldsOf(body);
  const now = Math.floor(+receivedAt / 1000);
  const around = Number.isSafeInteger(created) ? [created as number, now] : [now];
  for (let distance = 0; distance <= reach; distance++) {
    for (const time of around) {
      yield time - distance;
      if (distance > 0) yield time + distance;
    }
  }
}
