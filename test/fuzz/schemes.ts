import { createHmac } from 'node:crypto';
import { dexchange, hatexcard, hitpay, type Provider } from '../../src/index.ts';
import type { Chance } from '../hitpay-bodies.ts';
import {
  Malformed,
  readBase64url,
  readEssence,
  readForm,
  readHex,
  readJson,
  readMoney,
  readQuery,
} from './references.ts';

// Genuine deliveries of every scheme, drawn at random and signed without payproof, and for each scheme
// an own judgement of what is authentic.

export const SECRET = 'secret-of-the-fuzzing';
export const NOW = new Date('2026-11-21T12:00:00Z');
const SECONDS = NOW.getTime() / 1000;
const TOLERANCE = 300;
export const DEX_HEADER = 'x-dexchange-signature';
const TOKEN_LABEL = 'payproof/dexchange/callback-url/v1\n';

const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';

/** A delivery as bytes and texts, before anything reads it. */
export interface Parcel {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What the event must say. */
export interface Told {
  readonly type: string;
  readonly reference: string | null;
  readonly paymentId: string | null;
  readonly amount: unknown;
}

interface Drawn extends Parcel {
  readonly told: Told;
}

export interface Sent extends Drawn {
  readonly scheme: string;
}

interface Own {
  readonly name: string;
  readonly provider: Provider;
  /** The same for whoever has another secret. */
  readonly stranger: Provider;
  /** The header that holds the proof, or null where it stands in the URL or the body. */
  readonly proof: string | null;
  /** Whether the body is a part of what is proved. */
  readonly signsBody: boolean;
  make(chance: Chance): Drawn;
  /** Whether the proof fits. A delivery may be authentic and be refused all the same. */
  isAuthentic(parcel: Parcel): boolean;
}

export interface Scheme extends Own {
  make(chance: Chance): Sent;
}

export function mac(...parts: (string | Uint8Array)[]): Buffer {
  const hmac = createHmac('sha256', SECRET);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

const hex = (...parts: (string | Uint8Array)[]): string => mac(...parts).toString('hex');

/** Whether a text is the hex of this MAC, in either case. */
function isHexOf(text: string | undefined, ...parts: (string | Uint8Array)[]): boolean {
  const bytes = text === undefined ? null : readHex(text);
  return bytes !== null && mac(...parts).equals(Uint8Array.from(bytes));
}

function reread(body: Uint8Array): unknown {
  try {
    return readJson(body).value;
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** The value of the only header of this name. */
function single({ headers }: Parcel, wanted: string): string | undefined {
  const found = Object.keys(headers).filter((name) => name.toLowerCase() === wanted);
  return found.length === 1 ? headers[found[0] as string] : undefined;
}

function has({ headers }: Parcel, wanted: string): boolean {
  return Object.keys(headers).some((name) => name.toLowerCase() === wanted);
}

// ---- Random contents -----------------------------------------------------------------------------

const LETTERS = [...'abcXYZ019-_. /\\"\'<>&=+%#:,é€💰\u2028'];

function textFor(chance: Chance, length: number): string {
  let text = chance.of(['ORDER-', 'CMD', '#', 'N/A ', '__proto__', 'é', '1']);
  for (let left = chance.int(0, length); left > 0; left--) text += chance.of(LETTERS);
  return text;
}

const idFor = (chance: Chance, prefix: string): string =>
  prefix + chance.text(chance.int(4, 20), '0123456789ABCDEFabcdef');

const amountFor = (chance: Chance): number =>
  chance.is(0.5) ? chance.int(1, 1_000_000) : chance.int(1, 10_000_000) / 100;

/** Fields that providers add, or that an account has. */
const EXTRAS: readonly (readonly [string, unknown])[] = [
  ['metadata', { a: [1, 2, { b: null }], note: 'é/💰' }],
  ['__proto__', 'x'],
  ['constructor', { prototype: 1 }],
  ['flags', [true, false]],
  ['rate', 0.1],
  ['empty', ''],
];

function withExtras(chance: Chance, fields: object): object {
  const extended = { ...fields };
  for (const [name, value] of EXTRAS) {
    if (!chance.is(0.15)) continue;
    Object.defineProperty(extended, name, { value, enumerable: true, configurable: true });
  }
  return extended;
}

/** As different senders lay JSON out. */
function written(chance: Chance, fields: object): string {
  const compact = JSON.stringify(fields);
  switch (chance.int(0, 3)) {
    case 0:
      return JSON.stringify(fields, null, chance.of([1, 2, '\t']));
    case 1:
      return compact.replaceAll('/', '\\/');
    case 2:
      return compact.replace(
        /[\u0080-\uffff]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
    default:
      return compact;
  }
}

const jsonHeaders = (chance: Chance): Record<string, string> => ({
  'content-type': chance.of([JSON_TYPE, `${JSON_TYPE}; charset=utf-8`, 'Application/JSON']),
  'user-agent': 'Provider/1.0',
});

// ---- Hatexcard -----------------------------------------------------------------------------------

function hatexPayment(chance: Chance): { fields: object; told: Told } {
  const reference = chance.is(0.1) ? 'N/A' : textFor(chance, 12);
  const amount = amountFor(chance);
  const paymentId = idFor(chance, 'HTX-');
  return {
    fields: { transaction_id: paymentId, order_id: reference, amount, currency: 'HTG' },
    told: {
      type: 'payment.succeeded',
      paymentId,
      reference: reference.trim() === 'N/A' ? null : reference,
      amount: readMoney(amount, 'HTG'),
    },
  };
}

const timestamped: Own = {
  name: 'hatexcard/timestamped',
  provider: hatexcard({ secret: SECRET, schemes: ['timestamped'] }),
  stranger: hatexcard({ secret: 'another', schemes: ['timestamped'] }),
  proof: 'x-hatex-signature',
  signsBody: true,
  make(chance) {
    const { fields, told } = hatexPayment(chance);
    const data = withExtras(chance, fields);
    const body = Buffer.from(
      written(chance, {
        id: idFor(chance, 'evt_'),
        event: 'payment.success',
        created: SECONDS,
        data,
      }),
    );
    const timestamp = `${SECONDS + chance.int(-TOLERANCE, TOLERANCE)}`;
    const headers = {
      ...jsonHeaders(chance),
      'x-hatex-timestamp': timestamp,
      'x-hatex-signature': hex(`${timestamp}.`, body),
    };
    return { url: '/webhook', headers, body, told };
  },
  isAuthentic(parcel) {
    const timestamp = single(parcel, 'x-hatex-timestamp') ?? '';
    const isTime = timestamp.length === 10 && /^[1-9][0-9]+$/.test(timestamp);
    const isNear = Math.abs(SECONDS - Number(timestamp)) <= TOLERANCE;
    const signature = single(parcel, 'x-hatex-signature');
    return isTime && isNear && isHexOf(signature, `${timestamp}.`, parcel.body);
  },
};

const body: Own = {
  name: 'hatexcard/body',
  provider: hatexcard({ secret: SECRET, schemes: ['body'] }),
  stranger: hatexcard({ secret: 'another', schemes: ['body'] }),
  proof: 'x-hatex-signature',
  signsBody: true,
  make(chance) {
    const { fields, told } = hatexPayment(chance);
    const event = chance.of(['payment.success', 'payment.succeeded']);
    const all = { event, ...withExtras(chance, fields), timestamp: '2026-11-21T11:59:58Z' };
    const text = written(chance, all);
    // The guide signs `JSON.stringify(body)`, whatever is sent.
    const signed = chance.is(0.5) ? text : JSON.stringify(JSON.parse(text));
    const headers = { ...jsonHeaders(chance), 'x-hatex-signature': hex(signed) };
    return { url: '/webhook', headers, body: Buffer.from(text), told };
  },
  isAuthentic(parcel) {
    if (has(parcel, 'x-hatex-timestamp')) return false;
    const signature = single(parcel, 'x-hatex-signature');
    if (isHexOf(signature, parcel.body)) return true;
    const value = reread(parcel.body);
    return value !== undefined && isHexOf(signature, JSON.stringify(value));
  },
};

// ---- HitPay --------------------------------------------------------------------------------------

const uuid = (chance: Chance): string =>
  [8, 4, 4, 4, 12].map((length) => chance.text(length, '0123456789abcdef')).join('-');

const STATUSES = [
  ['completed', 'payment.succeeded'],
  ['failed', 'payment.failed'],
  ['pending', 'payment.pending'],
  ['canceled', 'payment.canceled'],
] as const;

const form: Own = {
  name: 'hitpay/form',
  provider: hitpay({ salt: SECRET }),
  stranger: hitpay({ salt: 'another' }),
  proof: null,
  signsBody: true,
  make(chance) {
    const [status, type] = chance.of(STATUSES);
    const reference = textFor(chance, 12);
    const paymentId = uuid(chance);
    const amount = `${chance.int(0, 9_999)}.${chance.text(2, '0123456789')}`;
    const fields: Record<string, string> = {
      payment_id: paymentId,
      payment_request_id: uuid(chance),
      phone: chance.of(['', '+6591234567']),
      amount,
      currency: chance.of(['SGD', 'sgd']),
      status,
      reference_number: reference,
    };
    if (chance.is(0.2)) fields.payment_type = 'gcash';
    const pairs = Object.entries({ ...fields, hmac: hex(formText(Object.entries(fields))) });
    const encode = chance.of([plusEncoded, encodeURIComponent, wholeEncoded]);
    const text = pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
    return {
      url: '/webhook',
      headers: { 'content-type': FORM_TYPE, 'user-agent': 'HitPay/1.0' },
      body: Buffer.from(text),
      told: { type, reference, paymentId, amount: readMoney(amount, 'SGD') },
    };
  },
  isAuthentic(parcel) {
    // The same salt signs events.
    if (!isForm(parcel)) return event.isAuthentic(parcel);
    const fields = readForm(parcel.body);
    if (!(fields instanceof Map)) return false;
    const signature = fields.get('hmac');
    fields.delete('hmac');
    return isHexOf(signature, formText([...fields]));
  },
};

/** By its content type; without one, what has no signature of the other scheme. */
function isForm(parcel: Parcel): boolean {
  if (!has(parcel, 'content-type')) return !has(parcel, 'hitpay-signature');
  return readEssence(single(parcel, 'content-type') ?? '') === FORM_TYPE;
}

/** Sorted by the bytes of the names, nothing in between. */
function formText(fields: readonly (readonly [string, string])[]): string {
  return [...fields]
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .flat()
    .join('');
}

const plusEncoded = (text: string): string => encodeURIComponent(text).replaceAll('%20', '+');
const wholeEncoded = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

const event: Own = {
  name: 'hitpay/event',
  provider: hitpay({ eventSalt: SECRET }),
  stranger: hitpay({ eventSalt: 'another' }),
  proof: 'hitpay-signature',
  signsBody: true,
  make(chance) {
    const reference = textFor(chance, 12);
    const paymentId = uuid(chance);
    const amount = chance.is(0.5) ? amountFor(chance) : amountFor(chance).toFixed(2);
    const payments = [{ id: paymentId, amount, currency: 'sgd', status: 'succeeded' }];
    const fields = { id: uuid(chance), amount, currency: 'sgd', status: 'completed', payments };
    const all = withExtras(chance, { ...fields, reference_number: reference });
    const bytes = Buffer.from(written(chance, all));
    return {
      url: '/webhook',
      headers: { ...jsonHeaders(chance), 'hitpay-signature': hex(bytes) },
      body: bytes,
      told: {
        type: 'payment.succeeded',
        reference,
        paymentId,
        amount: readMoney(amount, 'SGD'),
      },
    };
  },
  isAuthentic: (parcel) => isHexOf(single(parcel, 'hitpay-signature'), parcel.body),
};

// ---- DExchange -----------------------------------------------------------------------------------

const DEX_STATUSES = [
  ['SUCCESS', 'payment.succeeded'],
  ['COMPLETED', 'payment.succeeded'],
  ['PENDING', 'payment.pending'],
  ['FAILED', 'payment.failed'],
  ['CANCELLED', 'payment.canceled'],
] as const;

function dexBody(chance: Chance): { text: string; order: string; told: Told } {
  const [status, type] = chance.of(DEX_STATUSES);
  const order = textFor(chance, 12);
  const paymentId = idFor(chance, chance.of(['MID', 'TID']));
  const amount = chance.int(100, 1_000_000);
  const fields = {
    id: paymentId,
    externalTransactionId: order,
    transactionType: 'CASHOUT',
    AMOUNT: amount,
    FEE: 10,
    PHONE_NUMBER: '771234567',
    [chance.of(['STATUS', 'Status', 'status'])]: status,
  };
  return {
    text: written(chance, withExtras(chance, fields)),
    order,
    told: { type, reference: order, paymentId, amount: readMoney(amount, 'XOF') },
  };
}

function orderOf(parcel: Parcel): unknown {
  const value = reread(parcel.body) as { externalTransactionId?: unknown } | undefined;
  return value?.externalTransactionId;
}

const token: Own = {
  name: 'dexchange/token',
  provider: dexchange({ token: { secret: SECRET } }),
  stranger: dexchange({ token: { secret: 'another' } }),
  proof: null,
  signsBody: false,
  make(chance) {
    const { text, order, told } = dexBody(chance);
    const url = `/webhook?payproof=${mac(TOKEN_LABEL, order).toString('base64url')}`;
    return { url, headers: jsonHeaders(chance), body: Buffer.from(text), told };
  },
  isAuthentic(parcel) {
    const [found, ...more] = readQuery(parcel.url, 'payproof');
    const order = orderOf(parcel);
    const bytes = found === undefined || more.length > 0 ? null : readBase64url(found);
    if (bytes === null || typeof order !== 'string' || order === '') return false;
    return mac(TOKEN_LABEL, order).equals(Uint8Array.from(bytes));
  },
};

const bearer: Own = {
  name: 'dexchange/bearer',
  provider: dexchange({ bearer: { token: SECRET } }),
  stranger: dexchange({ bearer: { token: 'another' } }),
  proof: 'authorization',
  signsBody: false,
  make(chance) {
    const { text, told } = dexBody(chance);
    const headers = { ...jsonHeaders(chance), authorization: `Bearer ${SECRET}` };
    return { url: '/webhook', headers, body: Buffer.from(text), told };
  },
  isAuthentic(parcel) {
    const value = single(parcel, 'authorization') ?? '';
    const space = value.indexOf(' ');
    const word = space < 0 ? '' : value.slice(0, space);
    let start = space;
    while (value[start] === ' ') start++;
    return word.toLowerCase() === 'bearer' && value.slice(start) === SECRET;
  },
};

const signature: Own = {
  name: 'dexchange/signature',
  provider: dexchange({ signature: { header: DEX_HEADER, secret: SECRET } }),
  stranger: dexchange({ signature: { header: DEX_HEADER, secret: 'another' } }),
  proof: DEX_HEADER,
  signsBody: true,
  make(chance) {
    const { text, told } = dexBody(chance);
    const headers = { ...jsonHeaders(chance), [DEX_HEADER]: hex(text) };
    return { url: '/webhook', headers, body: Buffer.from(text), told };
  },
  isAuthentic: (parcel) => isHexOf(single(parcel, DEX_HEADER), parcel.body),
};

const OWN: readonly Own[] = [timestamped, body, form, event, token, bearer, signature];

export const SCHEMES: readonly Scheme[] = OWN.map((one) => ({
  ...one,
  make: (chance) => ({ ...one.make(chance), scheme: one.name }),
}));

/** A route that takes the deliveries of every scheme. */
export const PROVIDERS: readonly Provider[] = [
  hatexcard({ secret: SECRET }),
  hitpay({ salt: SECRET }),
  dexchange({ signature: { header: DEX_HEADER, secret: SECRET } }),
  dexchange({ bearer: { token: SECRET } }),
  dexchange({ token: { secret: SECRET } }),
];
