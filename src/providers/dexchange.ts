import type { KeyObject } from 'node:crypto';
import type { Delivery } from '../core/delivery.ts';
import type { Suspicion } from '../core/diagnosis/causes.ts';
import type { Clue, Evidence, Scene, SignedText } from '../core/diagnosis/clues.ts';
import { percentDecoded } from '../core/diagnosis/secrets.ts';
import { bodyTexts, fieldsOf } from '../core/diagnosis/texts.ts';
import { WebhookError } from '../core/errors.ts';
import { digest, eventId, type PaymentEventType, type ProviderEvent } from '../core/event.ts';
import {
  decodeJson,
  isObject,
  type JsonDocument,
  type JsonObject,
  textOrNull,
} from '../core/json.ts';
import { money } from '../core/money.ts';
import { boundedNumber, headerName, knownOptions } from '../core/options.ts';
import type { Provider } from '../core/provider.ts';
import {
  accountOf,
  hexSignature,
  hmacSha256,
  type Keyring,
  keyring,
  type SecretInput,
  signingKey,
  tokenKey,
} from '../core/secrets.ts';

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
  baseUrl?: string | undefined;
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
 * @param base the public URL of the merchant's route; its own query is kept
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
  const url = new URL(base);
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
    evidence: (delivery, scene) => evidence(proofs, delivery, scene),
    recognizes: (delivery) => proofs.every((proof) => proof.isThere(delivery)),
    authenticate(delivery) {
      // Parsed once, and only when a proof or the event needs it: a signature is checked before.
      let parsed: JsonDocument | undefined;
      const document = () => (parsed ??= decodeJson(delivery.body));
      const [keyId = ''] = proofs.map((proof) => proof.keyId(delivery, document));
      return normalise(first.scheme, first.trust, keyId, document());
    },
    ...given(options.confirm, (confirm) => ({ confirm: confirmation(confirm) })),
  };
}

/** Only undefined is absent: null or 0 for a proof must not pass for "no proof wanted". */
function given<T, R>(option: T | undefined, make: (option: T) => R): R | undefined {
  return option === undefined ? undefined : make(option);
}

// ---- The proofs ----------------------------------------------------------------------------------

interface Proof {
  /** The option of the secrets. */
  readonly option: string;
  readonly keys: Keyring;
  readonly scheme: string;
  readonly trust: 'signed' | 'token';
  isThere(delivery: Delivery): boolean;
  /** The proof as the diagnosis looks at it, wherever it may stand. */
  clues(delivery: Delivery, scene: Scene): ClueOf[];
  /** @throws WebhookError if the proof does not hold */
  keyId(delivery: Delivery, document: () => JsonDocument): string;
}

function tokenProof(options: NonNullable<DexchangeOptions['token']>): Proof {
  knownOptions('token', options, ['secret']);
  const keys = keyring('token.secret', options.secret);
  return {
    option: 'token.secret',
    keys,
    scheme: 'dexchange/token',
    clues: (delivery, scene) => tokenClues(delivery, scene),
    trust: 'token',
    isThere: (delivery) => delivery.query(TOKEN_PARAMETER).length > 0,
    keyId(delivery, document) {
      const [token, ...more] = delivery.query(TOKEN_PARAMETER);
      if (token === undefined) throw new WebhookError('token_missing');
      // Read before it is authenticated, since the token is for this order.
      const order = document().value.externalTransactionId;
      const keyId =
        more.length === 0 && isOrderId(order)
          ? tokenKey(keys, token, delivery.receivedAt, (key) => orderToken(key, order))
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
      const keyId =
        token && tokenKey(keys, token, delivery.receivedAt, (key) => key.export().toString());
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
  { value, exact }: JsonDocument,
): DexchangeEvent {
  const status = statusOf(value);
  const type = statusType(status);
  const paymentId = textOrNull(value.id);
  const reference = textOrNull(value.externalTransactionId);
  const completedAt = new Date(textOrNull(anyCase(value, 'COMPLETED_AT')) ?? Number.NaN);
  return {
    provider: 'dexchange',
    scheme,
    trust,
    keyId,
    id: identity(paymentId, reference, type, status, value as unknown as DexchangePayload),
    type,
    paymentId,
    reference,
    amount: money(anyCase(exact, 'AMOUNT'), CURRENCY),
    fee: money(anyCase(exact, 'FEE'), CURRENCY),
    net: null,
    customer: { name: null, phone: textOrNull(anyCase(value, 'PHONE_NUMBER')), email: null },
    occurredAt: Number.isNaN(+completedAt) ? null : completedAt,
    payload: value as unknown as DexchangePayload,
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
  payload: DexchangePayload,
): string {
  const state = type === 'other' ? status : type;
  // What names neither an order nor a transaction is known by its content only.
  const known = reference ?? paymentId ?? digest(payload);
  return eventId('dexchange', known, paymentId ?? '', state);
}

/**
 * A field whose name occurs in several spellings (`STATUS`, `Status`, `status`).
 *
 * @throws WebhookError `field_ambiguous` if two spellings disagree
 */
function anyCase(fields: JsonObject, name: string): unknown {
  const values = Object.keys(fields)
    .filter((key) => key.toUpperCase() === name)
    .map((key) => fields[key]);
  if (values.some((value) => value !== values[0])) throw new WebhookError('field_ambiguous');
  return values[0];
}

function statusOf(fields: JsonObject): string {
  const status = anyCase(fields, 'STATUS');
  return typeof status === 'string' ? status.toUpperCase() : '';
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

  async function ask(id: string): Promise<JsonObject> {
    const path = id.startsWith('MID') ? `/transaction/merchant/${id}` : `/transaction/${id}`;
    const { status, body } = await withTimeout(timeout, async (signal) => {
      const response = await fetch(baseUrl + path, {
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${(key as Keyring[number]).key.export()}`,
        },
        // A redirect would carry the key, and the question, to another host.
        redirect: 'error',
        signal,
      });
      return { status: response.status, body: await readCapped(response) };
    });
    if (status === 404) throw new WebhookError('confirmation_mismatch');
    if (status !== 200) {
      const cause = new Error(`DExchange answered with status ${status}`);
      throw new WebhookError('confirmation_unavailable', { cause });
    }
    try {
      const { exact } = decodeJson(body);
      return isObject(exact.transaction) ? exact.transaction : exact;
    } catch {
      throw new WebhookError('confirmation_unavailable');
    }
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
      amount: money(anyCase(answer, 'AMOUNT'), CURRENCY),
    };
  };

  async function storedIdOf(reference: string | null): Promise<string | null> {
    if (reference === null) return null;
    return withTimeout(timeout, async () => (await storedId?.(reference)) ?? null);
  }
}

function apiUrl(baseUrl: unknown): string {
  if (typeof baseUrl !== 'string' || !URL.canParse(baseUrl)) {
    throw new TypeError('confirm.baseUrl: must be a URL');
  }
  const { protocol, hostname, origin, pathname, search, hash } = new URL(baseUrl);
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (protocol !== 'https:' && !(protocol === 'http:' && local)) {
    throw new TypeError('confirm.baseUrl: must be https (http only on this machine)');
  }
  if (search !== '' || hash !== '') {
    throw new TypeError('confirm.baseUrl: must have no query and no fragment');
  }
  const path = pathname.replace(/\/$/, '');
  return origin + (path.endsWith(API_PREFIX) ? path : path + API_PREFIX);
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

// ---- Evidence for the diagnosis ------------------------------------------------------------------

/** A clue as its proof makes it; the secrets are added. */
type ClueOf = Omit<Clue, 'option' | 'keys' | 'spare'>;

function evidence(proofs: readonly Proof[], delivery: Delivery, scene: Scene): Evidence {
  const clues = proofs.flatMap((proof) =>
    proof.clues(delivery, scene).map((clue) => ({
      ...clue,
      option: proof.option,
      keys: proof.keys,
      spare: proofs.filter((one) => one !== proof),
    })),
  );
  return { clues, plain: [...plainFindings(proofs, delivery, scene)] };
}

function* plainFindings(
  proofs: readonly Proof[],
  delivery: Delivery,
  { code, query }: Scene,
): Generator<Evidence['plain'][number]> {
  const { id, externalTransactionId: order } = fieldsOf(delivery.body);
  const absent = proofs.find((proof) => !proof.isThere(delivery));
  if (code === 'token_missing' && absent && order !== undefined) {
    const lost = absent.trust === 'token' && absent.option === 'token.secret' && query === null;
    if (lost) yield { cause: 'query_missing', confidence: 'likely' };
    const evidence = [`The option is ${absent.option}.`];
    yield { cause: 'token_missing', evidence, confidence: 'likely' };
  }
  if (code === 'token_mismatch' && !isOrderId(order)) {
    yield { cause: 'order_id_missing', confidence: 'likely' };
  }
  if (code === 'token_mismatch' && delivery.query(TOKEN_PARAMETER).length > 1) {
    yield { cause: 'token_repeated', confidence: 'likely' };
  }
  if (code === 'confirmation_mismatch' && !TRANSACTION_ID.test(`${id}`)) {
    yield { cause: 'transaction_id', confidence: 'likely' };
  }
  if (code === 'field_ambiguous') {
    const evidence = ['A field is there in two spellings that disagree.'];
    yield { cause: 'field_ambiguous', evidence, confidence: 'likely' };
  }
}

function tokenClues(delivery: Delivery, { query, orders }: Scene): ClueOf[] {
  const clue = (proof: string | undefined, assumption: Suspicion | null): ClueOf => ({
    place: `the query parameter ${TOKEN_PARAMETER}`,
    proof,
    kind: 'base64url',
    assumption,
    texts: () => tokenTexts(fieldsOf(delivery.body), orders),
  });
  const tokens = delivery.query(TOKEN_PARAMETER);
  if (tokens.length === 1) return [clue(tokens[0], null)];
  if (tokens.length > 1) {
    return tokens.slice(0, 4).map((token) => clue(token, { cause: 'token_repeated' }));
  }
  const whole = (query ?? []).map(([name, value]) => `${name}=${value}`).join('&');
  // `amp;payproof` from an HTML-escaped link, `?payproof` behind another question mark, and the like.
  const damaged = /payproof(?:=|%3d)([\w-]{16,64})/i.exec(whole)?.[1];
  const evidence = ['Its name was damaged.'];
  return damaged === undefined ? [] : [clue(damaged, { cause: 'token_damaged', evidence })];
}

/** The order of the body, the same order written otherwise, the merchant's other orders. */
function* tokenTexts(fields: JsonObject, others: readonly string[]): Generator<SignedText> {
  const text = (order: string, suspicion: Suspicion | null): SignedText => ({
    parts: [TOKEN_LABEL, order],
    suspicion,
  });
  const { externalTransactionId, id } = fields;
  const order =
    typeof externalTransactionId === 'number' ? `${externalTransactionId}` : externalTransactionId;
  if (isOrderId(externalTransactionId)) yield text(externalTransactionId, null);
  if (typeof order === 'string') {
    const spellings = [
      order,
      order.trim(),
      order.toLowerCase(),
      order.toUpperCase(),
      percentDecoded(order),
      percentDecoded(order.replaceAll('+', ' ')),
      encodeURIComponent(order.replace(/\p{Surrogate}/gu, '')),
      order.replace(/^0+/, ''),
      order.replace(/^#/, ''),
      `#${order}`,
      `${order} `,
      ` ${order}`,
      `${order}\n`,
    ];
    for (const one of new Set(spellings)) yield text(one, { cause: 'order_id_changed' });
  }
  const ofTransaction = ['It was made for the id of the transaction.'];
  if (isOrderId(id)) yield text(id, { cause: 'order_id_changed', evidence: ofTransaction });
  for (const one of others) yield text(one, { cause: 'token_other_order' });
}

function bearerClues(header: string, delivery: Delivery): ClueOf[] {
  const value = delivery.header(header);
  const isPlain = header !== 'authorization';
  const token = isPlain ? value : /^Bearer +(\S+)$/i.exec(value ?? '')?.[1];
  const evidence = ['The word Bearer is missing, or there is more than one token.'];
  return [
    {
      place: `the header ${header}`,
      proof: token ?? value,
      kind: 'bearer',
      assumption: isPlain || token !== undefined ? null : { cause: 'bearer_format', evidence },
      texts: () => [{ parts: [], suspicion: null }],
    },
  ];
}

function signatureClues(header: string, delivery: Delivery): ClueOf[] {
  return [
    {
      place: `the header ${header}`,
      proof: delivery.header(header),
      kind: 'hex',
      assumption: null,
      texts: () => bodyTexts(delivery.body),
    },
  ];
}
