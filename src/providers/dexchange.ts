import type { KeyObject } from 'node:crypto';
import type { Delivery } from '../core/delivery.ts';
import { WebhookError } from '../core/errors.ts';
import { digest, eventId, type PaymentEventType, type ProviderEvent } from '../core/event.ts';
import { hmacSha256 } from '../core/hmac.ts';
import {
  decodeJson,
  exactIn,
  isObject,
  type JsonObject,
  type ParsedJson,
  parseJson,
  textOrNull,
} from '../core/json.ts';
import { money } from '../core/money.ts';
import { boundedNumber, headerName, knownOptions } from '../core/options.ts';
import type { Provider } from '../core/provider.ts';
import {
  accountOf,
  hexSignature,
  type Keyring,
  keyring,
  type SecretInput,
  signingKey,
  signingKeyOfText,
  tokenKey,
} from '../core/secrets.ts';
import {
  bearerClues,
  dexchangeEvidence,
  type ProofEvidence,
  signatureClues,
  tokenClues,
} from './dexchange-evidence.ts';

// DExchange, Senegal. Facts: its documentation, its published plugin and SDK, and integrators' code.
// It documents no signature; what is possible instead are the schemes here. DEXPAY, of the same
// company, is another product with other webhooks.

const TOKEN_PARAMETER = 'payproof';
/** Keeps these MACs apart from any other use of the same secret. */
const TOKEN_LABEL = 'payproof/dexchange/callback-url/v1\n';
const API = 'https://api-m.dexchange.sn';
const API_PREFIX = '/api/v1';
const API_TIMEOUT = 5_000;
const MAX_ANSWER = 64 * 1024;
const CURRENCY = 'XOF';

/** Options of {@link dexchange}. At least one of `token`, `bearer` and `signature` is required. */
export interface DexchangeOptions {
  /** The URL's own proof: the `secret` that was given to {@link callbackUrl}. */
  token?: { secret: SecretInput | undefined } | undefined;
  /** A static token in a header: `Authorization: Bearer <token>`, or the bare token in another header. */
  bearer?: { token: SecretInput | undefined; header?: string | undefined } | undefined;
  /** Hex HMAC-SHA256 of the raw body in the header that the merchant's account uses. */
  signature?: { header: string; secret: SecretInput | undefined } | undefined;
  /** Ask DExchange whether it is true. Strongly advised: without it the body is only a claim. */
  confirm?: DexchangeConfirmOptions | undefined;
}

/** How DExchange is asked for the transaction. */
export interface DexchangeConfirmOptions {
  /** The merchant's API key. */
  apiKey: string | undefined;
  /**
   * The transaction id (`MID...` or `TID...`) that DExchange gave when the order's payment was
   * created, or null if it is not known. Give it: DExchange's answer does not name the order, so
   * only this ties the transaction to it.
   */
  transactionId?:
    | ((externalTransactionId: string) => string | null | Promise<string | null>)
    | undefined;
  /** Where the API is. Default `https://api-m.dexchange.sn`. `https`, or `http` on this machine. */
  baseUrl?: string | URL | undefined;
  /** Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /** How long the whole answer may take, in milliseconds. Default 5000. */
  timeout?: number | undefined;
}

/** DExchange's own fields. The casing of names varies; failures add some. */
export interface DexchangePayload {
  id?: string;
  externalTransactionId: string;
  transactionType?: string;
  AMOUNT?: number;
  FEE?: number;
  PHONE_NUMBER?: string;
  STATUS?: string;
  CUSTOM_DATA?: string;
  COMPLETED_AT?: string;
  BALANCE?: number;
  PREVIOUS_BALANCE?: number;
  CURRENT_BALANCE?: number;
  ERROR_CODE?: string;
  hash?: string;
}

/** An event of DExchange. */
export type DexchangeEvent = ProviderEvent<'dexchange', DexchangePayload>;

/**
 * The URL to give DExchange as `callBackURL`. It carries a proof that is good for this order only,
 * so a URL that leaks opens no other.
 *
 * @param base the public URL of the merchant's route: `https`, or `http` on this machine; its own query is kept
 * @param externalTransactionId the order's id, exactly as given to DExchange
 * @param options `secret`: the same as in `dexchange({ token: { secret } })`; of several, the first that is
 *   still valid signs
 * @throws TypeError if an argument is missing or wrong
 */
export function callbackUrl(
  base: string | URL,
  externalTransactionId: string,
  options: { secret: SecretInput | undefined },
): string {
  knownOptions('callbackUrl', options, ['secret']);
  if (!isOrderId(externalTransactionId)) {
    throw new TypeError(
      'externalTransactionId: must be the text of an order id, at most 255 characters',
    );
  }
  const keys = keyring('secret', options.secret);
  const key = keys.find(({ notAfter }) => notAfter >= Date.now()) ?? keys[0];
  const url = safeUrl('base', base);
  url.searchParams.set(
    TOKEN_PARAMETER,
    orderToken((key as Keyring[number]).key, externalTransactionId),
  );
  return url.href;
}

function orderToken(key: KeyObject, externalTransactionId: string): string {
  return hmacSha256(key, TOKEN_LABEL, externalTransactionId).toString('base64url');
}

/** A lone surrogate has no UTF-8 of its own: two ids with different ones would share a token. */
function isOrderId(id: unknown): id is string {
  return typeof id === 'string' && id !== '' && id.length <= 255 && !/\p{Surrogate}/u.test(id);
}

/**
 * DExchange (Senegal, XOF). Each configured proof must hold; to accept one or another, mount a list
 * of providers. With `confirm`, `paymentWebhook` then asks DExchange, and the answer's status and
 * amount stand.
 *
 * @throws TypeError | RangeError if an option is missing or wrong, or none authenticates
 */
export function dexchange(options: DexchangeOptions): Provider<DexchangeEvent> {
  knownOptions('dexchange', options, ['token', 'bearer', 'signature', 'confirm']);
  const proofs = [
    given(options.signature, signatureProof),
    given(options.token, tokenProof),
    given(options.bearer, bearerProof),
  ].filter((proof) => proof !== undefined);
  const [first] = proofs;
  if (first === undefined) {
    throw new TypeError(
      'dexchange: needs token, bearer or signature; without one anyone could post',
    );
  }
  return {
    name: 'dexchange',
    contentTypes: ['application/json'],
    account: () => accountOf(first.keys),
    evidence: (delivery, scene) => dexchangeEvidence(RULES, proofs, delivery, scene),
    recognizes: (delivery) => proofs.every((proof) => proof.isThere(delivery)),
    authenticate(delivery) {
      // Parsed once, and only when a proof or the event needs it: a signature is checked before.
      let parsed: ParsedJson | undefined;
      const document = () => (parsed ??= parseJson(delivery.body));
      const keyIds = proofs.map((proof) => proof.keyId(delivery, document));
      return normalise(first.scheme, first.trust, keyIds[0] as string, document());
    },
    ...given(options.confirm, (confirm) => ({ confirm: confirmation(confirm) })),
  };
}

/** Only undefined is absent: null or 0 for a proof must not pass for "no proof wanted". */
function given<T, R>(option: T | undefined, make: (option: T) => R): R | undefined {
  return option === undefined ? undefined : make(option);
}

// ---- The proofs ----------------------------------------------------------------------------------

interface Proof extends ProofEvidence {
  readonly scheme: string;
  readonly trust: 'signed' | 'token';
  /** @throws WebhookError if the proof does not hold */
  keyId(delivery: Delivery, document: () => ParsedJson): string;
}

function tokenProof(options: NonNullable<DexchangeOptions['token']>): Proof {
  knownOptions('token', options, ['secret']);
  const keys = keyring('token.secret', options.secret);
  return {
    option: 'token.secret',
    keys,
    scheme: 'dexchange/token',
    clues: (delivery, scene) => tokenClues(RULES, delivery, scene),
    trust: 'token',
    isThere: (delivery) => delivery.query(TOKEN_PARAMETER).length > 0,
    keyId(delivery, document) {
      const tokens = delivery.query(TOKEN_PARAMETER);
      const token = tokens[0];
      if (token === undefined) throw new WebhookError('token_missing');
      // Read before it is authenticated, since the token is for this order.
      const order = document().value.externalTransactionId;
      const keyId =
        tokens.length === 1 && isOrderId(order)
          ? signingKeyOfText(keys, token, delivery.receivedAt, TOKEN_LABEL + order)
          : undefined;
      if (keyId === undefined) throw new WebhookError('token_mismatch');
      return keyId;
    },
  };
}

function bearerProof(options: NonNullable<DexchangeOptions['bearer']>): Proof {
  knownOptions('bearer', options, ['token', 'header']);
  const { header: name = 'authorization' } = options;
  const header = headerName('bearer.header', name);
  const keys = keyring('bearer.token', options.token);
  return {
    option: 'bearer.token',
    keys,
    scheme: 'dexchange/bearer',
    clues: (delivery) => bearerClues(header, delivery),
    trust: 'token',
    isThere: (delivery) => delivery.header(header) !== undefined,
    keyId(delivery) {
      const value = delivery.header(header);
      if (value === undefined) throw new WebhookError('token_missing');
      const token = header === 'authorization' ? /^Bearer +(\S+)$/i.exec(value)?.[1] : value;
      const keyId = token && tokenKey(keys, token, delivery.receivedAt);
      if (!keyId) throw new WebhookError('token_mismatch');
      return keyId;
    },
  };
}

function signatureProof(options: NonNullable<DexchangeOptions['signature']>): Proof {
  knownOptions('signature', options, ['header', 'secret']);
  const header = headerName('signature.header', options.header);
  const keys = keyring('signature.secret', options.secret);
  return {
    option: 'signature.secret',
    keys,
    scheme: 'dexchange/signature',
    clues: (delivery) => signatureClues(header, delivery),
    trust: 'signed',
    isThere: (delivery) => delivery.header(header) !== undefined,
    keyId(delivery) {
      const signature = hexSignature(delivery.header(header));
      const keyId = signingKey(keys, signature, delivery.receivedAt, delivery.body);
      if (keyId === undefined) throw new WebhookError('signature_mismatch');
      return keyId;
    },
  };
}

// ---- The event -----------------------------------------------------------------------------------

const STATUS_TYPES: Readonly<Record<string, PaymentEventType>> = {
  PENDING: 'payment.pending',
  PROCESSING: 'payment.pending',
  SUCCESS: 'payment.succeeded',
  COMPLETED: 'payment.succeeded',
  FAILED: 'payment.failed',
  CANCELLED: 'payment.canceled',
  EXPIRED: 'payment.expired',
};

function normalise(
  scheme: string,
  trust: 'signed' | 'token',
  keyId: string,
  parsed: ParsedJson,
): DexchangeEvent {
  const { value } = parsed;
  const told = toldIn(value);
  // Where an amount is spelt otherwise than in capitals, as few are, every number is looked at.
  const amounts: { AMOUNT?: unknown; FEE?: unknown } = told.hasOtherAmounts
    ? toldIn(exactIn(parsed))
    : exactIn(parsed, AMOUNTS);
  const status = statusOf(told);
  const type = statusType(status);
  const paymentId = textOrNull(value.id);
  const reference = textOrNull(value.externalTransactionId);
  const completedAt = new Date(textOrNull(told.COMPLETED_AT) ?? Number.NaN);
  return {
    provider: 'dexchange',
    scheme,
    trust,
    keyId,
    id: identity(paymentId, reference, type, status, value),
    type,
    paymentId,
    reference,
    amount: money(amounts.AMOUNT, CURRENCY),
    fee: money(amounts.FEE, CURRENCY),
    net: null,
    customer: { name: null, phone: textOrNull(told.PHONE_NUMBER), email: null },
    occurredAt: Number.isNaN(completedAt.getTime()) ? null : completedAt,
    payload: value as JsonObject & DexchangePayload,
  };
}

/**
 * SUCCESS and COMPLETED tell the same fact; statuses that are not known here are told apart. The order
 * is a part, since a token proves it and not the transaction: who holds the URL of one order must not
 * be able to take the identity of another's payment.
 */
function identity(
  paymentId: string | null,
  reference: string | null,
  type: PaymentEventType,
  status: string,
  payload: JsonObject,
): string {
  const state = type === 'other' ? status : type;
  // What names neither an order nor a transaction is known by its content only.
  const known = reference ?? paymentId ?? digest(payload);
  return eventId('dexchange', known, paymentId ?? '', state);
}

/** The fields whose names occur in several spellings (`STATUS`, `Status`, `status`). */
const TOLD = ['STATUS', 'AMOUNT', 'FEE', 'PHONE_NUMBER', 'COMPLETED_AT'] as const;
type ToldName = (typeof TOLD)[number];
/** Their values, and whether an amount is told in another spelling than capitals. */
type Told = Record<ToldName, unknown> & { hasOtherAmounts: boolean };
const IS_TOLD: ReadonlySet<string> = new Set(TOLD);
const AMOUNTS = { names: ['AMOUNT', 'FEE'] };

/** @throws WebhookError `field_ambiguous` if two spellings disagree */
function toldIn(fields: JsonObject): Told {
  const { STATUS, AMOUNT, FEE, PHONE_NUMBER, COMPLETED_AT } = fields;
  const told: Told = { STATUS, AMOUNT, FEE, PHONE_NUMBER, COMPLETED_AT, hasOtherAmounts: false };
  for (const key in fields) {
    // Most names are of another length, or in capitals: these are not spelt anew.
    if (key.length !== 3 && key.length !== 6 && key.length !== 12) continue;
    if (IS_TOLD.has(key)) continue;
    const name = key.toUpperCase() as ToldName;
    if (!IS_TOLD.has(name) || !Object.hasOwn(fields, key)) continue;
    const before = told[name];
    if (before !== undefined && before !== fields[key]) throw new WebhookError('field_ambiguous');
    told[name] = fields[key];
    if (name === 'AMOUNT' || name === 'FEE') told.hasOtherAmounts = true;
  }
  return told;
}

function statusOf({ STATUS }: Told): string {
  return typeof STATUS === 'string' ? STATUS.toUpperCase() : '';
}

function statusType(status: string): PaymentEventType {
  return Object.hasOwn(STATUS_TYPES, status) ? (STATUS_TYPES[status] as PaymentEventType) : 'other';
}

// ---- Confirmation --------------------------------------------------------------------------------

/** Checked before an id is put in a URL. */
const TRANSACTION_ID = /^(TID|MID)[A-Za-z0-9]{1,64}$/;

function confirmation(options: DexchangeConfirmOptions) {
  knownOptions('confirm', options, ['apiKey', 'transactionId', 'baseUrl', 'fetch', 'timeout']);
  const [key] = keyring('confirm.apiKey', options.apiKey);
  // Anything else could not stand in a header, and fetch's own error would quote it.
  if (!/^[\x21-\x7e]+$/.test(options.apiKey as string)) {
    throw new TypeError('confirm.apiKey: must be printable ASCII without spaces');
  }
  const { transactionId: storedId, fetch = globalThis.fetch } = options;
  const { baseUrl: base = API, timeout: ms = API_TIMEOUT } = options;
  const baseUrl = apiUrl(base);
  const timeout = boundedNumber('confirm.timeout', ms, 1, 60_000);
  for (const [name, value] of Object.entries({ transactionId: storedId, fetch })) {
    if (value !== undefined && typeof value !== 'function') {
      throw new TypeError(`confirm.${name}: must be a function`);
    }
  }

  async function get(
    url: string,
    signal: AbortSignal,
  ): Promise<{ status: number; body: Uint8Array }> {
    try {
      const response = await fetch(url, {
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${(key as Keyring[number]).key.export()}`,
        },
        // A redirect would carry the key, and the question, to another host.
        redirect: 'error',
        signal,
      });
      return { status: response.status, body: await readCapped(response) };
    } catch (error) {
      throw withoutAnswer(error);
    }
  }

  async function ask(id: string): Promise<Told> {
    const path = id.startsWith('MID') ? `/transaction/merchant/${id}` : `/transaction/${id}`;
    const { status, body } = await withTimeout(timeout, (signal) => get(baseUrl + path, signal));
    if (status === 404) throw new WebhookError('confirmation_mismatch');
    if (status !== 200) {
      const cause = new Error(`DExchange answered with status ${status}`);
      throw new WebhookError('confirmation_unavailable', { cause });
    }
    let answer: JsonObject;
    try {
      answer = decodeJson(body).exact;
    } catch {
      throw new WebhookError('confirmation_unavailable');
    }
    return transactionIn(answer);
  }

  return async function confirm(event: DexchangeEvent): Promise<DexchangeEvent> {
    const { paymentId, reference } = event;
    if (paymentId === null || !TRANSACTION_ID.test(paymentId)) {
      throw new WebhookError('confirmation_mismatch');
    }
    if (storedId !== undefined && (await storedIdOf(reference)) !== paymentId) {
      throw new WebhookError('confirmation_mismatch');
    }
    const answer = await ask(paymentId);
    const status = statusOf(answer);
    if (status === '') throw new WebhookError('confirmation_unavailable');
    const type = statusType(status);
    // A claimed success that the API does not know is refused rather than passed on as pending, so
    // that the provider tells of it again.
    if (event.type === 'payment.succeeded' && type !== 'payment.succeeded') {
      throw new WebhookError('confirmation_mismatch');
    }
    return {
      ...event,
      trust: 'confirmed',
      // DExchange knows the transaction and not the order: by it, one payment pays one order only.
      id: eventId(
        'dexchange',
        'transaction',
        paymentId.toUpperCase(),
        type === 'other' ? status : type,
      ),
      type,
      amount: money(answer.AMOUNT, CURRENCY),
    };
  };

  async function storedIdOf(reference: string | null): Promise<string | null> {
    if (reference === null) return null;
    return withTimeout(timeout, async () => (await storedId?.(reference)) ?? null);
  }
}

/**
 * From `{ transaction }`, or from the transaction itself.
 *
 * @throws WebhookError `confirmation_unavailable` if the answer has another shape, `field_ambiguous`
 */
function transactionIn(answer: JsonObject): Told {
  const { transaction = answer } = answer;
  if (!isObject(transaction)) throw new WebhookError('confirmation_unavailable');
  const told = toldIn(transaction);
  // Without an amount beside it, `success` may only say that the question was answered.
  const isEnvelope = transaction === answer && told.AMOUNT === undefined;
  if (isEnvelope && statusType(statusOf(told)) === 'payment.succeeded') {
    throw new WebhookError('confirmation_unavailable');
  }
  return told;
}

/** What `fetch` throws can hold the bytes of an answer that it could not read, and so the customer's number. */
function withoutAnswer(error: unknown): Error {
  const { message = 'no answer', code, cause } = Object(error);
  const reason = code ?? Object(cause).code;
  return Object.assign(new Error(message), reason === undefined ? {} : { code: reason });
}

function apiUrl(baseUrl: unknown): string {
  const { origin, pathname, search, hash } = safeUrl('confirm.baseUrl', baseUrl);
  if (search !== '' || hash !== '') {
    throw new TypeError('confirm.baseUrl: must have no query and no fragment');
  }
  const path = pathname.replace(/\/$/, '');
  return origin + (path.endsWith(API_PREFIX) ? path : path + API_PREFIX);
}

/** A URL over which a token can go. @throws TypeError if it is none */
function safeUrl(option: string, value: unknown): URL {
  if (!URL.canParse(`${value}`)) throw new TypeError(`${option}: must be a URL`);
  const url = new URL(`${value}`);
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLocal)) {
    throw new TypeError(`${option}: must be https (http only on this machine)`);
  }
  return url;
}

/**
 * Runs a step against the clock. The race is there for a `fetch` that ignores its signal, and for the
 * merchant's own look-up.
 *
 * @throws WebhookError `confirmation_unavailable` if it fails or takes too long
 */
async function withTimeout<T>(ms: number, step: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new RangeError('no answer in time'));
      controller.abort();
    }, ms);
  });
  try {
    return await Promise.race([step(controller.signal), late]);
  } catch (cause) {
    throw new WebhookError('confirmation_unavailable', { cause });
  } finally {
    clearTimeout(timer);
  }
}

async function readCapped(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER) throw new RangeError('answer too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What the diagnosis must know of the rules. */
const RULES = {
  tokenParameter: TOKEN_PARAMETER,
  tokenLabel: TOKEN_LABEL,
  transactionId: TRANSACTION_ID,
  isOrderId,
};
