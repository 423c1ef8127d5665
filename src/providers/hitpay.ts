import type { Delivery } from '../core/delivery.ts';
import type { DiagnosisCause, Suspicion } from '../core/diagnosis/causes.ts';
import type { Clue, Evidence, Scene, SignedText } from '../core/diagnosis/clues.ts';
import { percentDecoded, unescapeHtml } from '../core/diagnosis/secrets.ts';
import { bodyTexts } from '../core/diagnosis/texts.ts';
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
import {
  accountOf,
  hexSignature,
  type Keyring,
  keyring,
  type SecretInput,
  signingKey,
} from '../core/secrets.ts';

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
    evidence: (delivery, scene) => evidence({ formKeys, eventKeys, extraFields }, delivery, scene),
    contentTypes: formKeys ? [FORM, JSON_TYPE] : [JSON_TYPE],
    account: () => accountOf(formKeys ?? eventKeys),
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

/**
 * Every field but `hmac`, sorted by the name: by code units, which for the names that can pass is the
 * order of their bytes, and never by locale.
 */
function sortByName(fields: ReadonlyMap<string, string>): Field[] {
  return [...fields].sort(([a], [b]) => (a < b ? -1 : 1));
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
 * the reference's value, which the merchant and sometimes the buyer chose, does not count, nor does
 * the status', which is closed.
 */
function namesOutOfPlace(fields: readonly Field[], names: readonly string[]): boolean {
  const places = new Map<string, number>();
  let text = '';
  for (const [name, value] of fields) {
    places.set(name, text.length);
    // A character that no field holds stands for the reference's value, so nothing reaches across;
    // and for the status', which is one of a closed list and may contain a declared name.
    text += name + (REFERENCES.has(name) || name === 'status' ? '\u0000' : value);
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
  const type = statusType(payload.status);
  const reference = textOrNull(payload.reference_number ?? payload.reference);
  return {
    provider: 'hitpay',
    scheme: 'hitpay/form',
    trust: 'signed',
    keyId,
    id:
      type === 'other'
        ? eventId('hitpay', paymentId, payload.status)
        : paymentEventId(paymentId, type, reference),
    type,
    paymentId,
    reference,
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

/** Only a charge tells how much of it was refunded, or has an amount as a number and its request inside. */
function isCharge(value: JsonObject): boolean {
  const hasRequest = isObject(value.payment_request) && typeof value.amount === 'number';
  return typeof value.id === 'string' && ('refunded_amount' in value || hasRequest);
}

function charge({ value, exact }: JsonDocument): Facts {
  const amount = money(exact.amount, value.currency);
  const { refunded_amount: told = 0 } = exact;
  const refunded = money(told, value.currency)?.value ?? null;
  const type = chargeType(value.status, amount?.value ?? null, refunded);
  const paymentId = textOrNull(value.id);
  const request = isObject(value.payment_request) ? value.payment_request : {};
  const reference = textOrNull(request.reference_number);
  const part = type === 'payment.partially_refunded' && refunded !== null ? [refunded] : [];
  return {
    id:
      paymentId === null || type === 'other'
        ? eventId('hitpay', 'other', digest(value))
        : paymentEventId(paymentId, type, reference, ...part),
    type,
    paymentId,
    reference,
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

/**
 * A reference of its own, one of HitPay's statuses, and the payments: other kinds (a transfer, say)
 * have the first two. Where nothing was paid there may be no list.
 */
function isPaymentRequest(value: JsonObject): boolean {
  const type = statusType(value.status);
  return (
    typeof value.id === 'string' &&
    'reference_number' in value &&
    (Array.isArray(value.payments)
      ? Object.hasOwn(STATUS_TYPES, String(value.status))
      : ['payment.pending', 'payment.failed', 'payment.expired', 'payment.canceled'].includes(type))
  );
}

function paymentRequest({ value, exact }: JsonDocument): Facts {
  const type = statusType(value.status);
  const payments = (Array.isArray(value.payments) ? value.payments : []).filter(isObject);
  // A request can have failed attempts before the one that paid.
  const payment =
    payments.findLast((one) => statusType(one.status) === type) ?? payments.at(-1) ?? {};
  const paymentId = textOrNull(payment.id);
  const reference = textOrNull(value.reference_number);
  return {
    id:
      paymentId === null || type === 'other'
        ? eventId('hitpay', 'payment_request', String(value.id), type, String(value.status))
        : paymentEventId(paymentId, type, reference),
    type,
    paymentId,
    reference,
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

/**
 * The same for every webhook that tells of the same fact: form, payment request and charge. One that
 * does not name the order stands apart: it can have no effect on the order, and must not pass for the
 * one that can.
 */
function paymentEventId(
  paymentId: string,
  type: PaymentEventType,
  reference: string | null,
  ...more: readonly string[]
): string {
  return eventId(
    'hitpay',
    paymentId,
    type,
    ...more,
    ...(reference === null ? ['no reference'] : []),
  );
}

function customer(fields: JsonObject): ProviderEvent['customer'] {
  return {
    name: textOrNull(fields.name),
    phone: textOrNull(fields.phone) ?? textOrNull(fields.phone_number),
    email: textOrNull(fields.email),
  };
}

// ---- Evidence for the diagnosis ------------------------------------------------------------------

interface Configured {
  readonly formKeys: Keyring | undefined;
  readonly eventKeys: Keyring;
  readonly extraFields: readonly string[];
}

function evidence(configured: Configured, delivery: Delivery, { code, query }: Scene): Evidence {
  const { formKeys = [], eventKeys } = configured;
  const ownEventKeys = eventKeys.filter((key) => !formKeys.includes(key));
  const header = delivery.header(SIGNATURE_HEADER);
  const isForm =
    delivery.contentType === FORM || (delivery.contentType === null && header === undefined);
  const plain: Evidence['plain'][number][] = [];
  const text = Buffer.from(delivery.body).toString();
  const sent = looseFields(text.replace(/^\ufeff/, '').trim(), formPart);
  const hmac = sent.find(([name]) => name === 'hmac')?.[1];
  const form: Clue = {
    option: 'salt',
    keys: formKeys,
    place: 'the field hmac',
    proof: hmac,
    kind: 'hex',
    spare: [{ option: 'eventSalt', keys: ownEventKeys }],
    assumption: isForm ? null : { cause: 'content_type', evidence: ['The body is a form.'] },
    texts: () => distinct(formTexts(text, query ?? [], configured.extraFields)),
  };
  const event: Clue = {
    option: ownEventKeys.length > 0 ? 'eventSalt' : 'salt',
    keys: eventKeys,
    place: `the header ${SIGNATURE_HEADER}`,
    proof: header,
    kind: 'hex',
    spare: [],
    assumption: isForm ? { cause: 'content_type', evidence: ['The body is JSON.'] } : null,
    texts: () => bodyTexts(delivery.body),
  };
  const isMismatch = code === 'signature_mismatch' || code === 'content_type_unsupported';
  if (isForm && formKeys.length === 0 && isMismatch) {
    const seen = ['The delivery is a form, which is signed with the salt of the API key.'];
    plain.push({ cause: 'other_scheme', evidence: seen, confidence: 'likely' });
  }
  if (!isForm && ownEventKeys.length === 0 && header !== undefined && isMismatch) {
    plain.push({ cause: 'event_salt_missing', confidence: 'likely' });
  }
  if (code === 'field_ambiguous') plain.push(ambiguity(sent, configured.extraFields));
  if (!isForm && hmac === undefined) return { clues: [event], plain };
  return { clues: hmac === undefined ? [event, form] : [form, event], plain };
}

function ambiguity(sent: readonly Field[], extraFields: readonly string[]) {
  const repeated = sent.filter(([name], index) => sent.findIndex(([one]) => one === name) < index);
  const strange = sent.filter(([name]) => name !== 'hmac' && !isKnown(name, extraFields)).length;
  return repeated.length > 0
    ? ({
        cause: 'field_repeated',
        evidence: repeated.map(([name]) => fieldEvidence(name, extraFields)),
        confidence: 'likely',
      } as const)
    : ({
        cause: 'field_ambiguous',
        evidence: [`${strange} fields are there that payproof does not know.`],
        confidence: 'likely',
      } as const);
}

function isKnown(name: string, extraFields: readonly string[]): boolean {
  return KNOWN_NAMES.has(name) || extraFields.includes(name);
}

/** Only names that are known can be said. */
function fieldEvidence(name: string, extraFields: readonly string[]): string {
  return isKnown(name, extraFields)
    ? `It is the field ${name}.`
    : 'It is a field that payproof does not know.';
}

/** The fields of a form as a lenient reader has them, repeated ones too. */
function looseFields(text: string, decode: (part: string) => string): Field[] {
  return text.split('&', 65).map((pair) => {
    const [name = '', ...value] = pair.split('=');
    return [decode(name), decode(value.join('='))];
  });
}

function formPart(part: string): string {
  return percentDecoded(part.replaceAll('+', ' '));
}

/** Percent escapes as Latin-1. */
function latin1Part(part: string): string {
  return part
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
}

const CURRENCIES = ['SGD', 'MYR', 'PHP', 'THB', 'VND', 'IDR', 'USD', 'EUR', 'HKD', 'AUD', 'JPY'];

/** What may have been signed in place of the fields, sorted by name, each name before its value. */
function* formTexts(
  body: string,
  query: readonly (readonly [string, string])[],
  extraFields: readonly string[],
): Generator<SignedText> {
  const text = body.replace(/^\ufeff/, '').trim();
  const notHmac = ([name]: Field) => name !== 'hmac';
  const fields = looseFields(text, formPart).filter(notHmac);
  const sorted = byName(fields);
  const damage: DiagnosisCause = body.startsWith('\ufeff') ? 'bom' : 'trailing_newline';
  yield altered(sorted, text === body ? null : { cause: damage });

  const firsts = byName([...new Map(fields.toReversed())]);
  yield altered(firsts, because('field_repeated', 'The first of each was signed.'));
  yield altered(byName([...new Map(fields)]), because('field_repeated', 'The last was signed.'));

  const withHmac: Field[] = [...fields, ['hmac', '']];
  yield altered(byName(withHmac), { cause: 'hmac_left_in' });
  yield altered(withHmac, { cause: 'hmac_left_in' });

  yield altered(
    sorted.filter(([, value]) => value !== ''),
    because('empty_fields_dropped', 'They are not in the signed text.'),
  );
  const names = new Set(fields.map(([name]) => name));
  const shape = names.has('recurring_billing_id') ? BILLING_FIELDS : REQUEST_FIELDS;
  const missing = [...shape, ...extraFields].filter((name) => !names.has(name));
  const dropped = missing.map((name): Field => [name, '']);
  for (const list of [...dropped.map((one) => [one]), dropped]) {
    const which = list.map(([name]) => name).join(', ');
    const suspicion = because('empty_fields_dropped', `They did not arrive: ${which}.`);
    yield altered(byName([...fields, ...list]), suspicion);
  }

  yield altered(
    sorted.map(([, value]) => ['', value]),
    { cause: 'values_without_keys' },
  );
  yield altered(
    fields.map(([, value]) => ['', value]),
    because('values_without_keys', 'They are in the order in which they were sent.'),
  );
  yield altered(
    fields.map(([, value]): Field => ['', value]).sort(([, a], [, b]) => (a < b ? -1 : 1)),
    because('values_without_keys', 'They are sorted themselves.'),
  );
  yield altered(fields, because('keys_unsorted', 'They are in the order in which they were sent.'));

  if (query.length > 0) {
    const all = [...new Map([...query, ...fields])];
    const suspicion = because('query_mixed_in', `The URL has ${query.length} parameters.`);
    yield altered(byName(all), suspicion);
    yield altered([...query, ...fields], suspicion);
    for (const one of query) yield altered(byName([one, ...fields]), suspicion);
  }

  for (const list of orders(fields, shape)) yield altered(list, { cause: 'keys_unsorted' });

  for (const [index, [name]] of sorted.entries()) {
    const suspicion = because('field_not_signed', fieldEvidence(name, extraFields));
    yield altered(sorted.toSpliced(index, 1), suspicion);
  }
  yield altered(
    sorted.filter(([name]) => isKnown(name, extraFields)),
    because('field_not_signed', 'They are fields that payproof does not know.'),
  );
  yield* decodedOtherwise(text, sorted);
  yield* joinedOtherwise(text, fields, sorted);
  for (const [name, value] of otherValues(sorted)) {
    const list = sorted.map((one): Field => (one[0] === name ? [name, value] : one));
    yield altered(list, because('value_changed', fieldEvidence(name, extraFields)));
  }
  yield altered(
    sorted.map(([name, value]) => [name, unescapeHtml(value)]),
    because('value_changed', 'HTML escapes were added.'),
  );
  yield* someSpaces(sorted);
  for (const name of missing) {
    const values =
      name === 'status'
        ? Object.keys(STATUS_TYPES)
        : name === 'currency'
          ? CURRENCIES.flatMap((one) => [one, one.toLowerCase()])
          : [];
    for (const value of values) {
      const suspicion = because('field_missing', fieldEvidence(name, extraFields));
      yield altered(byName([...fields, [name, value]]), suspicion);
    }
  }
}

/** Many changes make no difference to a form. */
function* distinct(texts: Iterable<SignedText>): Generator<SignedText> {
  const seen = new Set<unknown>();
  for (const one of texts) {
    const [text] = one.parts;
    if (!seen.has(text)) yield one;
    seen.add(text);
  }
}

function altered(fields: readonly Field[], suspicion: Suspicion | null): SignedText {
  return { parts: [signedText(fields)], suspicion };
}

function because(cause: DiagnosisCause, evidence: string): Suspicion {
  return { cause, evidence: [evidence] };
}

/** As `sortByName`, of fields that can repeat. */
function byName(fields: readonly Field[]): Field[] {
  return fields.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Orders in which signers put the fields. */
function orders(fields: readonly Field[], shape: readonly string[]): Field[][] {
  const place = ([name]: Field) => shape.indexOf(name);
  return [
    byName(fields).reverse(),
    fields.toReversed(),
    fields.toSorted(([a], [b]) => a.localeCompare(b)),
    DOCUMENTED.flatMap((name) => fields.filter((one) => one[0] === name)),
    fields.toSorted((a, b) => place(a) - place(b)),
    fields.toSorted(([, a], [, b]) => (a < b ? -1 : 1)),
    fields.toSorted(([a], [b]) => a.length - b.length),
  ];
}

/** The order in which HitPay's documentation lists them. */
const DOCUMENTED = [
  'payment_id',
  'payment_request_id',
  'recurring_billing_id',
  'phone',
  'amount',
  'currency',
  'status',
  'reference_number',
  'reference',
];

function* decodedOtherwise(text: string, sorted: readonly Field[]): Generator<SignedText> {
  const read = (decode: (part: string) => string) =>
    byName(looseFields(text, decode).filter(([name]) => name !== 'hmac'));
  const values = (change: (value: string) => string) =>
    sorted.map(([name, value]): Field => [name, change(value)]);
  yield altered(read(percentDecoded), because('form_plus', 'Plus signs were signed as such.'));
  yield altered(
    values((value) => value.replaceAll(' ', '+')),
    because('form_plus', 'Plus signs became spaces.'),
  );
  yield altered(
    values((value) => value.replace(/^ /, '+')),
    because('form_plus', 'Plus signs became spaces.'),
  );
  yield altered(
    values((value) => value.replaceAll('+', ' ')),
    because('form_plus', 'Spaces became plus signs.'),
  );
  yield altered(
    read((part) => formPart(formPart(part))),
    because('form_decoding', 'They were encoded twice.'),
  );
  yield altered(
    read((part) => percentDecoded(formPart(part))),
    because('form_decoding', 'They were encoded twice.'),
  );
  const undecoded = because('form_decoding', 'They were signed before they were decoded.');
  yield altered(
    read((part) => part),
    undecoded,
  );
  yield altered(values(encodeURIComponent), undecoded);
  yield altered(
    values((value) => encodeURIComponent(value).replaceAll('%20', '+')),
    undecoded,
  );
  const confused = because('charset', 'Latin-1 and UTF-8 were confused.');
  const latin1 = read(latin1Part);
  yield altered(latin1, confused);
  yield { parts: [Buffer.from(signedText(latin1), 'latin1')], suspicion: confused };
  yield { parts: [Buffer.from(signedText(sorted), 'latin1')], suspicion: confused };
}

/** Spaces so many as can be tried in every combination. */
const MAX_SPACES = 8;

/** Each combination of spaces that were plus signs. */
function* someSpaces(sorted: readonly Field[]): Generator<SignedText> {
  const pieces = signedText(sorted).split(' ');
  if (pieces.length > MAX_SPACES + 1) return;
  for (let which = 1; which < 2 ** (pieces.length - 1); which++) {
    const text = pieces.reduce(
      (all, piece, at) => all + (which & (1 << (at - 1)) ? '+' : ' ') + piece,
    );
    const suspicion = because('form_plus', 'Some plus signs became spaces.');
    yield { parts: [text], suspicion, late: true };
  }
}

function* joinedOtherwise(
  text: string,
  fields: readonly Field[],
  sorted: readonly Field[],
): Generator<SignedText> {
  const joined = (text: string, how: string): SignedText => ({
    parts: [text],
    suspicion: because('fields_separated', how),
  });
  for (const list of [sorted, fields]) {
    for (const [equals, and] of SEPARATORS) {
      const result = list.map(([name, value]) => name + equals + value).join(and);
      yield joined(result, 'There is something between names and values.');
    }
    const form = new URLSearchParams(
      list.map(([name, value]): [string, string] => [name, value]),
    ).toString();
    yield joined(form, 'They are a form.');
    yield joined(form.replaceAll('+', '%20'), 'They are a form.');
    for (const separator of ['|', ',', ':', ';', '&', '.', ' ', '\n', '-']) {
      const result = list.map(([, value]) => value).join(separator);
      yield joined(result, 'Only values, with something between them.');
    }
    yield joined(JSON.stringify(Object.fromEntries(list)), 'They are JSON.');
  }
  yield joined(text, 'It is the whole body.');
  const rest = text.split('&').filter((pair) => !pair.startsWith('hmac='));
  yield joined(rest.join('&'), 'It is the body without hmac.');
}

const SEPARATORS = [
  ['=', '&'],
  ['=', ''],
  ['', '&'],
  [':', ''],
  [':', ','],
  ['=', ','],
  ['=', '|'],
  ['=', ';'],
  ['=', '\n'],
  ['', '|'],
  [' ', ' '],
] as const;

/** What converters make of the known values. */
function* otherValues(sorted: readonly Field[]): Generator<Field> {
  for (const [name, value] of sorted) {
    if (!KNOWN_NAMES.has(name)) continue;
    yield [name, value.toLowerCase()];
    yield [name, value.toUpperCase()];
    yield [name, `${value} `];
    yield [name, ` ${value}`];
    if (name === 'amount') yield* amounts(value).map((one): Field => [name, one]);
    if (name === 'phone') {
      yield [name, `+${value.trim()}`];
      yield [name, value.replace(/[^0-9]/g, '')];
      yield [name, value.replace(/[ ()./-]/g, '')];
    }
    if (value === '') for (const empty of ['null', 'undefined', 'None', '0']) yield [name, empty];
  }
}

function amounts(value: string): string[] {
  if (value.length > 40) return [];
  const [whole = '', fraction = ''] = value.replaceAll(',', '').split('.');
  const grouped = whole.replace(/\B(?=(?:\d{3}){1,5}$)/g, ',');
  return [whole, grouped].flatMap((one) => [
    one,
    `${one}.${fraction}`,
    `${one}.${fraction.padEnd(2, '0')}`,
    `${one}.${fraction.padEnd(1, '0')}`,
    `${one}.${fraction.replace(/0+$/, '')}`,
    `${one}${fraction.padEnd(2, '0')}`,
  ]);
}
