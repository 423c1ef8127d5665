import type { Delivery } from '../core/delivery.ts';
import { WebhookError } from '../core/errors.ts';
import { digest, eventId, type PaymentEventType, type ProviderEvent } from '../core/event.ts';
import { decodeForm } from '../core/form.ts';
import {
  exactIn,
  isObject,
  type JsonDocument,
  type JsonObject,
  parseJson,
  textOrNull,
} from '../core/json.ts';
import { compareDecimals, decimal, type Money, money } from '../core/money.ts';
import { knownOptions } from '../core/options.ts';
import type { Provider } from '../core/provider.ts';
import { accountOf, hexSignature, keyring, type SecretInput, signingKey } from '../core/secrets.ts';
import { hitpayEvidence } from './hitpay-evidence.ts';

// HitPay, Singapore. Facts: HitPay's documentation ("webhook v1" and "Event webhook"), its published
// samples, and bodies seen in integrators' code.

const SIGNATURE_HEADER = 'hitpay-signature';
const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

/** Options of {@link hitpay}. At least one of `salt` and `eventSalt` is required. */
export interface HitPayOptions {
  /**
   * The API key's salt (dashboard: Settings, Payment Gateway, API Keys). Signs scheme `form`. Without it
   * forms are refused.
   */
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
  const isOnlyReading = formRules(extraFields);

  function form(delivery: Delivery): HitPayEvent {
    const fields = decodeForm(delivery.body);
    const signature = hexSignature(fields.get('hmac'));
    fields.delete('hmac');
    const names = namesInOrder(fields);
    const text = signedText(names, fields);
    const keyId = formKeys && signingKey(formKeys, signature, delivery.receivedAt, text);
    if (keyId === undefined) throw new WebhookError('signature_mismatch');
    if (!isOnlyReading(names, fields)) throw new WebhookError('field_ambiguous');
    return normaliseForm(keyId, names, fields);
  }

  function event(delivery: Delivery): HitPayEvent {
    const signature = hexSignature(delivery.header(SIGNATURE_HEADER));
    const keyId = signingKey(eventKeys, signature, delivery.receivedAt, delivery.body);
    if (keyId === undefined) throw new WebhookError('signature_mismatch');
    const parsed = parseJson(delivery.body);
    // Payments have amounts of their own.
    const exact = exactIn(parsed, 'payments' in parsed.value ? undefined : AMOUNTS);
    return normaliseEvent(keyId, { value: parsed.value, exact });
  }

  return {
    name: 'hitpay',
    evidence: (delivery, scene) =>
      hitpayEvidence({ ...RULES, formKeys, eventKeys, extraFields }, delivery, scene),
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

type Fields = ReadonlyMap<string, string>;

/**
 * The names in the order of their code units, which for the names that can pass is the order of their bytes,
 * and never a locale's. By insertion: they are few, and nearly all there is to do for `sort` is to begin.
 */
function namesInOrder(fields: Fields): string[] {
  const names: string[] = [];
  for (const name of fields.keys()) {
    let at = names.length;
    for (; at > 0 && (names[at - 1] as string) > name; at--) names[at] = names[at - 1] as string;
    names[at] = name;
  }
  return names;
}

/**
 * What HitPay signs: every field but `hmac`, sorted by the name, names and values joined without any
 * separator.
 */
function signedText(sortedNames: readonly string[], fields: Fields): string {
  let text = '';
  for (const name of sortedNames) text += name + valueIn(fields, name);
  return text;
}

// ---- Scheme `form`: one text, one meaning --------------------------------------------------------
//
// Since nothing separates the fields in the signed text, one signature fits every body that cuts the
// same text differently. `formRules` leave one of them. Say two bodies pass with the
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
const isAnything = (): boolean => true;
const isId = (value: string): boolean =>
  /^[0-9A-Za-z-]{1,64}$/.test(value) && (value.length === 36 || !UUID.test(value));

/** Closed grammars of the known fields; the reference alone is free text. */
const GRAMMARS: ReadonlyMap<string, (value: string) => boolean> = new Map([
  ['amount', (value) => decimal(value) !== null],
  ['currency', (value) => /^[A-Za-z]{3}$/.test(value)],
  ['payment_id', isId],
  ['payment_request_id', isId],
  ['recurring_billing_id', isId],
  ['phone', (value) => /^[0-9 +()./*#-]{0,40}$/.test(value)],
  ['reference_number', isAnything],
  ['reference', isAnything],
  ['status', (value) => Object.hasOwn(STATUS_TYPES, value)],
]);
const PLAIN_NAME = /^[a-z]+(?:_[a-z]+)*$/;

/** What is asked of a known or declared field. */
interface FieldRule {
  readonly fits: (value: string) => boolean;
  readonly isRequired: boolean;
  /** The reference's value, which the merchant and sometimes the buyer chose, and the status', which is closed. */
  readonly mayHoldNames: boolean;
}

/** One of the two kinds of form: its fields by their names, and how many of them must be there. */
interface Shape {
  readonly rules: ReadonlyMap<string, FieldRule>;
  readonly required: number;
}

function shapeOf(known: readonly string[], extraFields: readonly string[]): Shape {
  const rules = new Map<string, FieldRule>();
  for (const name of known) {
    rules.set(name, {
      fits: GRAMMARS.get(name) as FieldRule['fits'],
      isRequired: name !== 'reference_number',
      mayHoldNames: REFERENCES.has(name) || name === 'status',
    });
  }
  for (const name of extraFields) {
    rules.set(name, {
      fits: isAnything,
      isRequired: standsBesideReference(name),
      mayHoldNames: false,
    });
  }
  const required = [...rules.values()].filter(({ isRequired }) => isRequired).length;
  return { rules, required };
}

/** The rules of an account: tells of the fields of an authentic body whether no other cut of its text passes. */
function formRules(
  extraFields: readonly string[],
): (sortedNames: readonly string[], fields: Fields) => boolean {
  const extra = new Set(extraFields);
  // Takes the first character only, so that names that overlap are found too.
  const anyGuarded = new RegExp(
    [...KNOWN_NAMES, ...extra].map((name) => `${name.charAt(0)}(?=${name.slice(1)})`).join('|'),
    'g',
  );
  const request = shapeOf(REQUEST_FIELDS, extraFields);
  const billing = shapeOf(BILLING_FIELDS, extraFields);

  /** Whether a field of a new name may stand after the one that sorts before it. */
  function mayFollow(name: string, before: string | undefined, fields: Fields): boolean {
    if (!PLAIN_NAME.test(name)) return false;
    if (before === undefined) return true;
    // The text before has no end of its own, so the name could be a part of it.
    if (REFERENCES.has(before) || extra.has(before)) return false;
    return (
      GRAMMARS.get(before) !== isId ||
      UUID.test(valueIn(fields, before)) ||
      name.startsWith('payment_')
    );
  }

  return (sortedNames, fields) => {
    const { rules, required } = fields.has('recurring_billing_id') ? billing : request;
    let missing = required;
    let guarded = 0;
    let text = '';
    let before: string | undefined;
    for (const name of sortedNames) {
      const value = valueIn(fields, name);
      const rule = rules.get(name);
      if (rule === undefined) {
        if (KNOWN_NAMES.has(name) || !mayFollow(name, before, fields)) return false;
      } else {
        if (!rule.fits(value)) return false;
        if (rule.isRequired) missing--;
        guarded++;
      }
      // A character that no field holds stands for what may hold names, so nothing reaches across.
      text += name + (rule?.mayHoldNames ? '\u0000' : value);
      before = name;
    }
    // Each guarded field has its name at its own place, so one occurrence more is one out of place.
    return missing === 0 && text.match(anyGuarded)?.length === guarded;
  };
}

/** Of a name that is there. */
function valueIn(fields: Fields, name: string): string {
  return fields.get(name) as string;
}

function standsBesideReference(name: string): boolean {
  return name > 'reference' && name < 'status';
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

function normaliseForm(keyId: string, names: readonly string[], fields: Fields): HitPayEvent {
  const own: Record<string, string> = {};
  // Neither `__proto__` nor any such name has passed.
  for (const name of names) own[name] = valueIn(fields, name);
  const payload = own as typeof own & HitPayFormPayload;
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
  const facts: Facts = isObject(value.recurring_billing)
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
    id: facts.id ?? contentId(value),
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

const AMOUNTS = { names: ['amount', 'refunded_amount'] };

type Facts = Partial<Omit<ProviderEvent, 'payload'>> & { provider?: never; scheme?: never };

/** A kind that is not known here names no fact, so its whole verified content does. */
function contentId(value: JsonObject): string {
  return eventId('hitpay', 'other', digest(value));
}

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
  const part = type === 'payment.partially_refunded' ? [refundPart(value, refunded)] : [];
  return {
    id:
      paymentId === null || type === 'other'
        ? contentId(value)
        : paymentEventId(paymentId, type, reference, ...part),
    type,
    paymentId,
    reference,
    amount,
    customer: customer(isObject(value.customer) ? value.customer : value),
    occurredAt: null,
  };
}

/** Which of a charge's refunds: by how much was refunded so far or, where that is not told, by the content. */
function refundPart(value: JsonObject, refunded: string | null): string {
  return refunded === null || compareDecimals(refunded, '0') === 0 ? digest(value) : refunded;
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
      ? typeof value.status === 'string' && Object.hasOwn(STATUS_TYPES, value.status)
      : ['payment.pending', 'payment.failed', 'payment.expired', 'payment.canceled'].includes(type))
  );
}

function paymentRequest({ value, exact }: JsonDocument): Facts {
  const told = statusType(value.status);
  const payments = objectsIn(value.payments);
  // A request can have failed attempts before the one that paid.
  const fitting = payments.filter(({ status: s }) => s === undefined || statusType(s) === told);
  const payment = latest(fitting) ?? payments.at(-1) ?? {};
  // Of a request that says that it was paid, the payments must not say otherwise.
  const isDoubtful =
    told === 'payment.succeeded' &&
    payments.length > 0 &&
    (fitting.length === 0 || Number(payment.refunded_amount ?? 0) !== 0);
  const type = isDoubtful ? 'other' : told;
  const paymentId = textOrNull(payment.id);
  const reference = textOrNull(value.reference_number);
  const requested = money(exact.amount, value.currency);
  const exactly = objectsIn(exact.payments)[payments.indexOf(payment)] ?? {};
  return {
    id: isDoubtful
      ? contentId(value)
      : paymentId === null || type === 'other'
        ? eventId('hitpay', 'payment_request', String(value.id), type, String(value.status))
        : paymentEventId(paymentId, type, reference),
    type,
    paymentId,
    reference,
    amount: requested && type === 'payment.succeeded' ? paidOf(requested, exactly) : requested,
    customer: customer(value),
  };
}

/**
 * What was paid: the price of the request, unless the payment tells of less. It may tell of more (what was added
 * for the customer), and who pays in another currency pays what HitPay converted.
 */
function paidOf(requested: Money, { amount, currency }: JsonObject): Money | null {
  if (amount === undefined) return requested;
  const paid = money(amount, currency ?? requested.currency);
  if (paid === null || paid.currency !== requested.currency) return paid && requested;
  return compareDecimals(paid.value, requested.value) < 0 ? paid : requested;
}

function objectsIn(list: unknown): JsonObject[] {
  return Array.isArray(list) ? list.filter(isObject) : [];
}

/** The last by its own time, where each tells one: nothing says how HitPay orders them. */
function latest(payments: readonly JsonObject[]): JsonObject | undefined {
  const timeOf = ({ created_at: time }: JsonObject) =>
    typeof time === 'string' ? Date.parse(time) : Number.NaN;
  // What tells no time is neither before nor after another.
  if (payments.some((one) => Number.isNaN(timeOf(one)))) return payments.at(-1);
  return payments.toSorted((one, other) => timeOf(one) - timeOf(other)).at(-1);
}

/**
 * A subscription's own life: no payment, so `other`, with the subscription's reference. It can come back to a
 * status that it had, and change in what is not read here, so its content is a part of what it tells.
 */
function recurringBilling(value: JsonObject, billing: JsonObject): Facts {
  const part = (field: unknown) => (typeof field === 'string' ? field : '');
  return {
    id: eventId('hitpay', 'recurring_billing', part(billing.id), part(value.event), digest(value)),
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

/** What the diagnosis must know of the rules. */
const RULES = {
  signatureHeader: SIGNATURE_HEADER,
  formType: FORM,
  requestFields: REQUEST_FIELDS,
  billingFields: BILLING_FIELDS,
  statuses: Object.keys(STATUS_TYPES),
};
