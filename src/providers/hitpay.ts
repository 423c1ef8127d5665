import type { Delivery } from '../core/delivery.ts';
import { WebhookError } from '../core/errors.ts';
import { digest, eventId, type PaymentEventType, type ProviderEvent } from '../core/event.ts';
import { decodeForm } from '../core/form.ts';
import {
  decodeJson,
  isObject,
  type JsonDocument,
  type JsonObject,
  textOrNull,
} from '../core/json.ts';
import { compareDecimals, decimal, money } from '../core/money.ts';
import { knownOptions } from '../core/options.ts';
import type { Provider } from '../core/provider.ts';
import { hexSignature, keyring, type SecretInput, signingKey } from '../core/secrets.ts';

// HitPay, Singapore. Facts: HitPay's documentation ("webhook v1" and "Event webhook"), its published
// samples, and bodies seen in integrators' code.

const SIGNATURE_HEADER = 'hitpay-signature';
const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

/** Options of {@link hitpay}. At least one of `salt` and `eventSalt` is required. */
export interface HitPayOptions {
  /** The API key's salt (dashboard: Settings, Payment Gateway, API Keys). Signs scheme `form`. */
  salt?: SecretInput | undefined;
  /**
   * The salt of an endpoint that was registered for event webhooks. Signs scheme `event`, where
   * `salt` is tried as well: HitPay's documentation and its samples differ on which one signs.
   */
  eventSalt?: SecretInput | undefined;
  /**
   * Names of further form fields that this account's deliveries carry and that the merchant reads.
   * A new field whose name is a plain lowercase word needs no mention (unless it would stand beside
   * the reference): declare it to have its boundary guarded like a known field's, or if its name
   * has digits or capitals. A field whose name sorts between the reference and the status must be
   * declared, and is then required, since nothing else tells it from the reference's text.
   */
  extraFields?: readonly string[] | undefined;
}

/** The fields of scheme `form`, without `hmac`. */
export interface HitPayFormPayload {
  payment_id: string;
  /** Payment requests only. */
  payment_request_id?: string;
  /** Recurring billing only. */
  recurring_billing_id?: string;
  /** Payment requests only. Empty where the buyer gave none. */
  phone?: string;
  amount: string;
  currency: string;
  status: string;
  /** Payment requests only; older deliveries lack it. */
  reference_number?: string;
  /** Recurring billing only. */
  reference?: string;
}

/** The fields that payproof reads of scheme `event`; the body has more of them. */
export interface HitPayEventPayload {
  id?: string;
  amount?: string | number;
  currency?: string;
  status?: string;
  reference_number?: string | null;
  name?: string | null;
  email?: string | null;
  phone?: string | null;
  payments?: { id?: string; amount?: string | number; currency?: string; status?: string }[];
  refunded_amount?: number;
  payment_request?: { id?: string; status?: string; reference_number?: string | null } | null;
  event?: string;
  affected_method_id?: string;
  recurring_billing?: { id?: string; reference?: string | null; status?: string };
}

/** An event of HitPay; narrow on `scheme` to tell a form from a JSON body. */
export type HitPayEvent =
  | (ProviderEvent<'hitpay', HitPayFormPayload> & { scheme: 'hitpay/form' })
  | (ProviderEvent<'hitpay', HitPayEventPayload> & { scheme: 'hitpay/event' });

/**
 * HitPay (Singapore): scheme `form` (field `hmac`: payment requests and recurring billing) and scheme
 * `event` (JSON with `Hitpay-Signature`).
 *
 * @throws TypeError | RangeError if an option is missing or wrong
 */
export function hitpay(options: HitPayOptions): Provider<HitPayEvent> {
  knownOptions('hitpay', options, ['salt', 'eventSalt', 'extraFields']);
  const { salt, eventSalt } = options;
  const formKeys =
    salt === undefined && eventSalt !== undefined ? undefined : keyring('salt', salt);
  const eventKeys = [
    ...(eventSalt === undefined ? [] : keyring('eventSalt', eventSalt)),
    ...(formKeys ?? []),
  ];
  const extraFields = declaredFields(options.extraFields);

  function form(delivery: Delivery): HitPayEvent {
    const fields = decodeForm(delivery.body);
    const signature = hexSignature(fields.get('hmac'));
    fields.delete('hmac');
    const sorted = sortByName(fields);
    const text = signedText(sorted);
    const keyId = formKeys && signingKey(formKeys, signature, delivery.receivedAt, text);
    if (keyId === undefined) throw new WebhookError('signature_mismatch');
    return normaliseForm(keyId, onlyReading(sorted, extraFields));
  }

  function event(delivery: Delivery): HitPayEvent {
    const signature = hexSignature(delivery.header(SIGNATURE_HEADER));
    const keyId = signingKey(eventKeys, signature, delivery.receivedAt, delivery.body);
    if (keyId === undefined) throw new WebhookError('signature_mismatch');
    return normaliseEvent(keyId, decodeJson(delivery.body));
  }

  return {
    name: 'hitpay',
    contentTypes: formKeys ? [FORM, JSON_TYPE] : [JSON_TYPE],
    recognizes: (delivery) =>
      delivery.contentType === FORM || delivery.header(SIGNATURE_HEADER) !== undefined,
    // No text is signed by both schemes: a form's begins with a field's name, a JSON body with `{`.
    authenticate: (delivery) =>
      delivery.contentType === FORM ||
      (delivery.contentType === null && delivery.header(SIGNATURE_HEADER) === undefined)
        ? form(delivery)
        : event(delivery),
  };
}

// ---- Scheme `form`: the signature ----------------------------------------------------------------

type Field = readonly [name: string, value: string];

/** Every field but `hmac`, sorted by the bytes of the name. */
function sortByName(fields: ReadonlyMap<string, string>): Field[] {
  return [...fields].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Names and values joined without any separator: what HitPay signs. */
function signedText(fields: readonly Field[]): string {
  let text = '';
  for (const [name, value] of fields) text += name + value;
  return text;
}

// ---- Scheme `form`: one text, one meaning --------------------------------------------------------
//
// Since nothing separates the fields in the signed text, one signature fits every body that cuts the
// same text differently. The rules of `onlyReading` leave one of them. Say two bodies pass with the
// same text; then they mean the same:
//
// 1. The text less the reference's value names every known field only where that field's own name
//    stands. So the first occurrence of each name before the reference, and the last `status`, are
//    the fields in both bodies: the cuts before the known names agree. (If the bodies were of
//    different shapes, one would have a name before its reference that the other must not have.)
// 2. Where a known value ends is determined too. Amount and phone have no letters, and every name
//    begins with one; a currency is three letters; of the statuses none is another's beginning but
//    `succeeded`, and `_manually` is no name. An id that an unknown field follows is a UUID, and no
//    id goes on after a UUID; or the field's name begins with `payment_`, whose underscore no id
//    has. The reference reaches to the status, for no unknown field may stand between.
//
// `docs/hitpay-form.md` has the proof in full; `test/hitpay-form.test.ts` tries it by brute force.

const REQUEST_FIELDS = [
  'amount',
  'currency',
  'payment_id',
  'payment_request_id',
  'phone',
  'reference_number',
  'status',
] as const;
const BILLING_FIELDS = [
  'amount',
  'currency',
  'payment_id',
  'recurring_billing_id',
  'reference',
  'status',
] as const;
const KNOWN_NAMES: ReadonlySet<string> = new Set([...REQUEST_FIELDS, ...BILLING_FIELDS]);
const REFERENCES: ReadonlySet<string> = new Set(['reference', 'reference_number']);

const STATUS_TYPES: Readonly<Record<string, PaymentEventType>> = {
  completed: 'payment.succeeded',
  succeeded: 'payment.succeeded',
  succeeded_manually: 'payment.succeeded',
  pending: 'payment.pending',
  requires_payment_method: 'payment.pending',
  requires_customer_action: 'payment.pending',
  failed: 'payment.failed',
  expired: 'payment.expired',
  canceled: 'payment.canceled',
  void: 'payment.canceled',
  refunded: 'payment.refunded',
  partially_refunded: 'payment.partially_refunded',
  inactive: 'other',
};
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;
const isId = (value: string): boolean =>
  /^[0-9A-Za-z-]{1,64}$/.test(value) && (value.length === 36 || !UUID.test(value));

/** Closed grammars of the known fields; the reference alone is free text. */
const GRAMMARS: Readonly<Record<string, (value: string) => boolean>> = {
  amount: (value) => /^[0-9][0-9.,]*$/.test(value) && decimal(value) !== null,
  currency: (value) => /^[A-Za-z]{3}$/.test(value),
  payment_id: isId,
  payment_request_id: isId,
  recurring_billing_id: isId,
  phone: (value) => /^[0-9 +()./*#-]{0,40}$/.test(value),
  reference_number: () => true,
  reference: () => true,
  status: (value) => Object.hasOwn(STATUS_TYPES, value),
};
const PLAIN_NAME = /^[a-z]+(?:_[a-z]+)*$/;

/**
 * The fields of an authentic body, if this is the one way to cut its signed text.
 *
 * @throws WebhookError `field_ambiguous`
 */
function onlyReading(
  fields: readonly Field[],
  extraFields: readonly string[],
): ReadonlyMap<string, string> {
  const byName = new Map(fields);
  const shape = byName.has('recurring_billing_id') ? BILLING_FIELDS : REQUEST_FIELDS;
  const required = [
    ...shape.filter((name) => name !== 'reference_number'),
    ...extraFields.filter(standsBesideReference),
  ];
  const ambiguous =
    !required.every((name) => byName.has(name)) ||
    !fields.every((field, index) => isProper(field, fields[index - 1], shape, extraFields)) ||
    namesOutOfPlace(fields, [...KNOWN_NAMES, ...extraFields]);
  if (ambiguous) throw new WebhookError('field_ambiguous');
  return byName;
}

/** Whether a field may stand after the one that sorts before it. */
function isProper(
  [name, value]: Field,
  before: Field | undefined,
  shape: readonly string[],
  extraFields: readonly string[],
): boolean {
  if (KNOWN_NAMES.has(name)) return shape.includes(name) && GRAMMARS[name]?.(value) === true;
  if (extraFields.includes(name)) return true;
  if (!PLAIN_NAME.test(name)) return false;
  if (before === undefined) return true;
  const [nameBefore, valueBefore] = before;
  // The text before has no end of its own, so the name could be a part of it.
  if (REFERENCES.has(nameBefore) || extraFields.includes(nameBefore)) return false;
  return GRAMMARS[nameBefore] !== isId || UUID.test(valueBefore) || name.startsWith('payment_');
}

/**
 * Whether a known or declared name occurs anywhere in the signed text but as its own field's name;
 * the reference's value, which the merchant and sometimes the buyer chose, does not count.
 */
function namesOutOfPlace(fields: readonly Field[], names: readonly string[]): boolean {
  const places = new Map<string, number>();
  let text = '';
  for (const [name, value] of fields) {
    places.set(name, text.length);
    // A character that no field holds stands for the reference's value, so nothing reaches across.
    text += name + (REFERENCES.has(name) ? '\u0000' : value);
  }
  return names.some((name) => {
    for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
      const inLongerName = name === 'reference' && at === places.get('reference_number');
      if (at !== places.get(name) && !inLongerName) return true;
    }
    return false;
  });
}

function standsBesideReference(name: string): boolean {
  return !KNOWN_NAMES.has(name) && name > 'reference' && name < 'status';
}

/** Checks `extraFields`: were one name a part of another, every body would look ambiguous. */
function declaredFields(names: readonly string[] = []): readonly string[] {
  if (!Array.isArray(names)) throw new TypeError('extraFields: must be a list of field names');
  for (const name of names as readonly unknown[]) {
    if (typeof name !== 'string' || !/^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(name)) {
      throw new TypeError('extraFields: a name is a letter, then letters, digits and underscores');
    }
  }
  const all = [...KNOWN_NAMES, 'hmac', ...names];
  for (const [index, name] of names.entries()) {
    const others = all.toSpliced(all.length - names.length + index, 1);
    if (others.some((other) => other.includes(name) || name.includes(other))) {
      throw new RangeError('extraFields: no name may contain the name of another field');
    }
  }
  return [...names];
}

// ---- Scheme `form`: the event --------------------------------------------------------------------

function normaliseForm(keyId: string, fields: ReadonlyMap<string, string>): HitPayEvent {
  const payload = Object.fromEntries(fields) as unknown as HitPayFormPayload;
  const paymentId = payload.payment_id;
  const type = STATUS_TYPES[payload.status] ?? 'other';
  return {
    provider: 'hitpay',
    scheme: 'hitpay/form',
    trust: 'signed',
    keyId,
    id: eventId('hitpay', paymentId, type === 'other' ? payload.status : type),
    type,
    paymentId,
    reference: textOrNull(payload.reference_number ?? payload.reference),
    amount: money(payload.amount, payload.currency),
    fee: null,
    net: null,
    customer: { name: null, phone: textOrNull(payload.phone), email: null },
    occurredAt: null,
    payload,
  };
}

// ---- Scheme `event` ------------------------------------------------------------------------------

/**
 * Tells the kind by the body's shape: the headers that name it are not signed. What has no shape
 * that is known here is `other`, with its payload.
 */
function normaliseEvent(keyId: string, document: JsonDocument): HitPayEvent {
  const { value } = document;
  const facts = isObject(value.recurring_billing)
    ? recurringBilling(value, value.recurring_billing)
    : isCharge(value)
      ? charge(document)
      : isPaymentRequest(value)
        ? paymentRequest(document)
        : {};
  return {
    provider: 'hitpay',
    scheme: 'hitpay/event',
    trust: 'signed',
    keyId,
    // A kind that is not known here names no fact, so its whole verified content does.
    id: eventId('hitpay', 'other', digest(value)),
    type: 'other',
    paymentId: null,
    reference: null,
    amount: null,
    fee: null,
    net: null,
    customer: { name: null, phone: null, email: null },
    occurredAt: null,
    ...facts,
    payload: value as HitPayEventPayload,
  };
}

type Facts = Partial<Omit<ProviderEvent, 'payload'>> & { provider?: never; scheme?: never };

/** Only a charge tells how much of it was refunded. */
function isCharge(value: JsonObject): boolean {
  return 'refunded_amount' in value && typeof value.id === 'string';
}

function charge({ value, exact }: JsonDocument): Facts {
  const amount = money(exact.amount, value.currency);
  const refunded = money(exact.refunded_amount, value.currency)?.value ?? null;
  const type = chargeType(value.status, amount?.value ?? null, refunded);
  const paymentId = textOrNull(value.id);
  const request = isObject(value.payment_request) ? value.payment_request : {};
  return {
    id: paymentEventId(
      paymentId,
      type,
      value,
      type === 'payment.partially_refunded' ? refunded : null,
    ),
    type,
    paymentId,
    reference: textOrNull(request.reference_number),
    amount,
    customer: customer(isObject(value.customer) ? value.customer : value),
    occurredAt: null,
  };
}

/** The status stays `succeeded` when a charge is refunded: `refunded_amount` tells. */
function chargeType(
  status: unknown,
  amount: string | null,
  refunded: string | null,
): PaymentEventType {
  const type = statusType(status);
  if (type !== 'payment.succeeded') return type;
  // An amount that is no money must not pass for "nothing was refunded".
  if (amount === null || refunded === null) return 'other';
  if (compareDecimals(refunded, '0') === 0) return type;
  return compareDecimals(refunded, amount) < 0 ? 'payment.partially_refunded' : 'payment.refunded';
}

/** `payments` or, where nothing was paid, the reference together with a payment request's status. */
function isPaymentRequest(value: JsonObject): boolean {
  return (
    typeof value.id === 'string' &&
    'reference_number' in value &&
    typeof value.status === 'string' &&
    Object.hasOwn(STATUS_TYPES, value.status)
  );
}

function paymentRequest({ value, exact }: JsonDocument): Facts {
  const type = statusType(value.status);
  const payments = (Array.isArray(value.payments) ? value.payments : []).filter(isObject);
  // A request can have failed attempts before the one that paid.
  const payment =
    payments.findLast((one) => statusType(one.status) === type) ?? payments.at(-1) ?? {};
  const paymentId = textOrNull(payment.id);
  return {
    id:
      paymentId === null
        ? eventId('hitpay', 'payment_request', String(value.id), type)
        : paymentEventId(paymentId, type, value, null),
    type,
    paymentId,
    reference: textOrNull(value.reference_number),
    amount: money(exact.amount, value.currency),
    customer: customer(value),
  };
}

/** A subscription's own life: no payment, so `other`, with the subscription's reference. */
function recurringBilling(value: JsonObject, billing: JsonObject): Facts {
  const part = (field: unknown) => (typeof field === 'string' ? field : '');
  return {
    id: eventId(
      'hitpay',
      'recurring_billing',
      part(billing.id),
      part(value.event),
      part(billing.status),
      part(value.affected_method_id),
    ),
    reference: textOrNull(billing.reference),
    customer: customer(billing),
  };
}

function statusType(status: unknown): PaymentEventType {
  return typeof status === 'string' && Object.hasOwn(STATUS_TYPES, status)
    ? (STATUS_TYPES[status] as PaymentEventType)
    : 'other';
}

/** The same for every webhook that tells of the same fact: form, payment request and charge. */
function paymentEventId(
  paymentId: string | null,
  type: PaymentEventType,
  value: JsonObject,
  refunded: string | null,
): string {
  if (paymentId === null || type === 'other') return eventId('hitpay', 'other', digest(value));
  return eventId('hitpay', paymentId, type, ...(refunded === null ? [] : [refunded]));
}

function customer(fields: JsonObject): ProviderEvent['customer'] {
  return {
    name: textOrNull(fields.name),
    phone: textOrNull(fields.phone) ?? textOrNull(fields.phone_number),
    email: textOrNull(fields.email),
  };
}
