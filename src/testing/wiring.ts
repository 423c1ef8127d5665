import { randomBytes, timingSafeEqual } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
  validateHeaderValue,
} from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { DiagnosisCause } from '../core/diagnosis/causes.ts';
import { boundedNumber, headerName, knownOptions } from '../core/options.ts';
import type { Body } from '../http/body.ts';
import type { Rejection } from '../http/pipeline.ts';
import { register, type Stage } from '../http/probe.ts';
import type { AnySample } from './bodies.ts';
import { type Answer, post } from './post.ts';
import { type SignedDelivery, signed } from './signed.ts';
import { checkSigner, type Scheme, type Signer } from './signer.ts';
import { watchAnswer, watchReader } from './trace.ts';
import { tampered } from './variations.ts';

/** An Express app, a Koa app, a server of `node:http`, `node:https` or `node:http2`, or a listener for one. */
export type Wired = ((req: IncomingMessage, res: ServerResponse) => unknown) | Koa | Server;

interface Koa {
  callback(): (req: IncomingMessage, res: ServerResponse) => unknown;
}

/** Options of {@link checkWiring}. */
export interface WiringOptions {
  /** The path that the provider was given. */
  path: string;
  /**
   * Who signs: as for `signed`, with the secret that the route should have. A list where the route
   * wants several proofs of DExchange.
   */
  provider: Signer | readonly Signer[];
  /** Further headers of the request, such as those that the proxy in front of the server adds. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** How long each request may take, in milliseconds. Default 5000. */
  timeout?: number | undefined;
}

/** What stands in the way. */
export type WiringProblem =
  | 'parser'
  | 'not_found'
  | 'method'
  | 'redirect'
  | 'proxy'
  | 'guard'
  | 'failure'
  | 'bypassed'
  | 'no_answer'
  | 'secret'
  | 'refused'
  | 'store'
  | 'refusal_acknowledged';

/** One thing that stands in the way of a delivery. */
export interface WiringFinding {
  /** Stable, for programs. */
  readonly code: WiringProblem;
  /** What was seen. */
  readonly problem: string;
  /** What to change. */
  readonly fix: string;
}

/** What {@link checkWiring} found. */
export interface WiringReport {
  /** True if a delivery of the provider reaches the handler. */
  readonly ok: boolean;
  readonly findings: readonly WiringFinding[];
}

const DEFAULT_TIMEOUT = 5_000;
/** Tells the check's own requests from others that find its server. */
const NONCE_HEADER = 'payproof-probe';
/** Values that do not outlive a JSON parser, so that one in the way is seen. */
const SAMPLES: Readonly<Record<string, AnySample & { kind?: 'charge.created' }>> = {
  'hitpay/event': { kind: 'charge.created', amount: '599.00' },
  'hitpay/form': { amount: '599.00' },
};
/** It names the payment, so that all of several signers sign the same body. */
const SAMPLE: AnySample = { amount: '1500.00', paymentId: 'MIDPAYPROOFPROBE' };

/**
 * Posts a signed sample through the whole app, up to but not into the handler, and says what stands
 * in the way. For a test, or for the start of the server: no port is opened but one on the loopback
 * for the time of the check, nothing is remembered in the store, no hook is called, DExchange's API
 * is not asked. Then it posts a forged one, and looks whether its refusal reaches the sender.
 *
 * ```ts
 * const { ok, findings } = await checkWiring(app, {
 *   path: '/webhooks/hitpay',
 *   provider: { provider: 'hitpay', scheme: 'form', secret: process.env.HITPAY_SALT },
 * });
 * if (!ok) throw new Error(findings.map(({ problem, fix }) => `${problem} ${fix}`).join('\n'));
 * ```
 *
 * @throws TypeError | RangeError if an argument is missing or wrong
 */
export async function checkWiring(app: Wired, options: WiringOptions): Promise<WiringReport> {
  knownOptions('checkWiring', options, ['path', 'provider', 'headers', 'timeout']);
  const { path, headers = {}, timeout = DEFAULT_TIMEOUT } = options;
  if (path === undefined) throw new TypeError('path: the path of the route is missing');
  const signers = signersOf(options.provider, path);
  checkHeaders(headers);
  boundedNumber('timeout', timeout, 1, 600_000);
  const stack = await listen(listenerOf(app));
  const send = (delivery: SignedDelivery, more = {}) =>
    stack.send({ ...delivery, headers: { ...delivery.headers, ...headers, ...more } }, timeout);
  try {
    let trip = await send(provenBy(signers));
    let location = locationOf(trip);
    if (location?.protocol === 'https:' && trip.rejection === null && trip.passed === null) {
      // Here is no TLS; behind a proxy that ends it, its header says that there was.
      const behindProxy = await send(provenBy(signers), { 'x-forwarded-proto': 'https' });
      if (locationOf(behindProxy)?.protocol === 'https:') {
        return report([app instanceof TlsServer ? redirected(location, path) : PROXY]);
      }
      trip = behindProxy;
      location = locationOf(trip);
    }
    if (trip.passed === null) {
      return report([await stopped(trip, location, path, () => stack.options(path, timeout))]);
    }
    const findings: WiringFinding[] = [];
    if (!trip.passed.isStoreThere) findings.push(STORE);
    if (!isSuccess(trip.answer)) findings.push(answeredOtherwise(trip));
    const forged = await send(provenBy(signers, tampered));
    if (isSuccess(forged.answer)) findings.push(ACKNOWLEDGED);
    return report(findings);
  } finally {
    await stack.close();
  }
}

function report(findings: readonly WiringFinding[]): WiringReport {
  return { ok: findings.length === 0, findings };
}

// ---- The request ---------------------------------------------------------------------------------

/**
 * The signers for one request, at least one.
 *
 * @throws TypeError if one is wrong, or their proofs are not for one request
 */
function signersOf(provider: WiringOptions['provider'], path: string): readonly Signer[] {
  const list = Array.isArray(provider) ? (provider as readonly Signer[]) : [provider as Signer];
  const signers = list.map((one) => ({ ...one, path }));
  const schemes = signers.map((one) => checkSigner(one).scheme);
  if (schemes.length === 0 || (schemes.length > 1 && !schemes.every(isOfDexchange))) {
    throw new TypeError('provider: only proofs of DExchange can be put together');
  }
  return signers;
}

function isOfDexchange(scheme: Scheme): boolean {
  return scheme.startsWith('dexchange/');
}

/** The sample with the proofs of all signers; `vary` changes what the first signed. */
function provenBy(
  signers: readonly Signer[],
  vary = (delivery: SignedDelivery) => delivery,
): SignedDelivery {
  const now = new Date();
  const [first, ...others] = signers.map((one) => {
    const sample = SAMPLES[checkSigner(one).scheme] ?? SAMPLE;
    return signed({ ...one, at: one.at ?? now }, { reference: 'payproof-probe', ...sample });
  }) as [SignedDelivery, ...SignedDelivery[]];
  const varied = vary(first);
  const all = [...others, varied];
  // Only DExchange's token changes the path.
  const path = all.map((one) => one.path).find((one) => one !== signers[0]?.path) ?? first.path;
  return { ...varied, path, headers: Object.assign({}, ...all.map((one) => one.headers)) };
}

/**
 * @throws TypeError for what cannot be sent, before it passes for an app that does not answer
 */
function checkHeaders(headers: Readonly<Record<string, unknown>>): void {
  if (typeof headers !== 'object' || headers === null) {
    throw new TypeError('headers: must be an object');
  }
  for (const [name, value] of Object.entries(headers)) {
    const option = `headers[${JSON.stringify(name)}]`;
    headerName(option, name);
    if (typeof value !== 'string') {
      throw new TypeError(`${option}: must be a text (is the environment variable set?)`);
    }
    try {
      validateHeaderValue(name, value);
    } catch {
      // Node's own message names no option.
      throw new TypeError(`${option}: has a character that no header can hold`);
    }
  }
}

// ---- The stack -----------------------------------------------------------------------------------

/** What came of one request. */
interface Trip {
  readonly answer: Answer | null;
  /** Why there is no answer: the code of the connection's error. */
  readonly error: string | null;
  /** How far payproof came; null if it was not reached. */
  readonly reached: Stage | null;
  readonly passed: { readonly isStoreThere: boolean; readonly source: Body['source'] } | null;
  readonly rejection: Rejection | null;
  /** Who read the body first. */
  readonly reader: string | null;
  /** Who decided on the status. */
  readonly answerer: string | null;
}

function listenerOf(app: Wired): RequestListener {
  if (typeof app === 'function') return (req, res) => void app(req, res);
  if (hasMethods(app, ['callback'])) return (app as Koa).callback() as RequestListener;
  // By shape: the servers of `node:https` are no `Server` of `node:http`.
  if (!hasMethods(app, ['listen', 'emit', 'listenerCount'])) {
    throw new TypeError('checkWiring: needs an Express app, a Koa app, a server or a listener');
  }
  const server = app as Server;
  if (server.listenerCount('request') === 0) {
    throw new TypeError('checkWiring: this server has no request listener');
  }
  return (req, res) => {
    // Here is no TLS, but behind its own server the app would see some.
    if (app instanceof TlsServer) Object.assign(req.socket, { encrypted: true });
    server.emit('request', req, res);
  };
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  const methods = Object(value) as Record<string, unknown>;
  return names.every((name) => typeof methods[name] === 'function');
}

/** The app on a port of its own, for requests of the check only. */
async function listen(listener: RequestListener) {
  const nonce = randomBytes(32);
  let arrived: (req: IncomingMessage, res: ServerResponse) => void = () => {};
  const server = createServer((req, res) => {
    const shown = Buffer.from(String(req.headers[NONCE_HEADER] ?? ''), 'hex');
    if (shown.length !== nonce.length || !timingSafeEqual(shown, nonce)) {
      res.writeHead(404).end();
      return;
    }
    hideNonce(req);
    arrived(req, res);
    listener(req, res);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const own = { [NONCE_HEADER]: nonce.toString('hex') };
  return {
    async send({ method, path, headers, body }: SignedDelivery, timeout: number): Promise<Trip> {
      let reached: Trip['reached'] = null;
      let passed: Trip['passed'] = null;
      let rejection: Rejection | null = null;
      const watches: { reader: () => string | null; answerer: () => string | null }[] = [];
      const ends: (() => void)[] = [];
      arrived = (req, res) => {
        watches.push({ reader: watchReader(req), answerer: watchAnswer(res) });
        const end = register(req, {
          patience: timeout / 2,
          reached: (stage) => {
            reached = stage;
          },
          passed: (_, source, isStoreThere) => {
            passed = { source, isStoreThere };
          },
          refused: (refusal) => {
            rejection = refusal;
          },
        });
        ends.push(end);
      };
      const url = new URL(`http://127.0.0.1:${port}${path}`);
      try {
        let error: string | null = null;
        const all = { ...headers, ...own };
        const sending = post(url, { method, headers: all, body }, timeout);
        const answer = await sending.catch(({ code }: NodeJS.ErrnoException) => {
          error = String(code);
          return null;
        });
        const [watch] = watches;
        const reader = watch?.reader() ?? null;
        const answerer = watch?.answerer() ?? null;
        return { answer, error, reached, passed, rejection, reader, answerer };
      } finally {
        for (const end of ends) end();
      }
    },
    /** The methods that a router says it has for a path. */
    async options(path: string, timeout: number): Promise<string | null> {
      arrived = () => {};
      const url = new URL(`http://127.0.0.1:${port}${path}`);
      const sending = { method: 'OPTIONS', headers: own, body: '' };
      // A further hint only: what does not answer says nothing.
      const answer = await post(url, sending, timeout).catch(() => null);
      return answer?.headers.allow ?? null;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The app sees the request as the provider's. */
function hideNonce(req: IncomingMessage): void {
  delete req.headers[NONCE_HEADER];
  const at = req.rawHeaders.findIndex((name) => name.toLowerCase() === NONCE_HEADER);
  req.rawHeaders.splice(at, 2);
}

function isSuccess(answer: Answer | null): boolean {
  return answer !== null && answer.status >= 200 && answer.status < 300;
}

function locationOf({ answer }: Trip): URL | null {
  if (answer === null || answer.status < 300 || answer.status > 399) return null;
  const { location } = answer.headers;
  if (location === undefined) return null;
  return URL.canParse(location, 'http://127.0.0.1') ? new URL(location, 'http://127.0.0.1') : null;
}

// ---- Findings ------------------------------------------------------------------------------------

const STORE: WiringFinding = {
  code: 'store',
  problem: 'The store of processed events (option dedupe) does not answer, or not in time.',
  fix: 'Connect the store before the server takes requests; until then every delivery is answered 503.',
};
const PROXY: WiringFinding = {
  code: 'proxy',
  problem:
    'The app redirects to https, also where x-forwarded-proto says https: providers do not follow redirects.',
  fix: "Tell the app that a proxy ends TLS: app.set('trust proxy', 1) in Express, app.proxy = true in Koa.",
};
const ACKNOWLEDGED: WiringFinding = {
  code: 'refusal_acknowledged',
  problem: 'A forged delivery is refused by payproof, but the answer is a 2xx.',
  fix: 'Let the error handling of the app answer with error.status, not 200.',
};

function by(who: string | null): string {
  return who === null ? '' : ` by ${who}`;
}

function readBy(reader: string | null): string {
  return reader === null ? '' : ` The body was read${by(reader)}.`;
}

/** What came of a request, as the end of a sentence. */
function outcome({ answer, error, answerer }: Trip): string {
  if (answer !== null) return `the answer was ${answer.status}${by(answerer)}`;
  return error === 'ETIMEDOUT' ? 'nothing answered in time' : `the connection was ended (${error})`;
}

/** Why the sample did not pass. */
async function stopped(
  trip: Trip,
  location: URL | null,
  path: string,
  methods: () => Promise<string | null>,
): Promise<WiringFinding> {
  if (trip.rejection !== null) return refusedBy(trip.rejection, trip);
  if (trip.reached === null) return stoppedBefore(trip, location, path, methods);
  if (trip.reached === 'store') return STORE;
  const { problem, fix } = STOPS[trip.reached];
  return {
    code: trip.answer === null ? 'no_answer' : 'failure',
    problem: `payproof was reached, but ${problem}: ${outcome(trip)}.${readBy(trip.reader)}`,
    fix,
  };
}

/** payproof was reached, and stopped at what it was given. */
const STOPS: Readonly<Record<Exclude<Stage, 'store'>, Pick<WiringFinding, 'problem' | 'fix'>>> = {
  provider: {
    problem: 'the function that chooses the provider gave none',
    fix: 'Connect what this function asks (a database, another service) before the server takes requests, and give each question a time limit.',
  },
  body: {
    problem: 'came to no judgement',
    fix: 'Mount paymentWebhook above what reads, pauses or answers requests; the option clock and a provider of your own must not fail.',
  },
};

/** payproof was reached and refused the sample. */
async function refusedBy({ error, diagnose }: Rejection, { reader }: Trip): Promise<WiringFinding> {
  const { cause, summary, evidence, fix } = await diagnose();
  const seen = evidence.length === 0 ? '' : ` ${evidence.join(' ')}`;
  if (error.code === 'body_consumed') {
    const problem = `The body was read${by(reader)} before payproof, and what is left cannot be verified.`;
    return { code: 'parser', problem: problem + seen, fix: error.message };
  }
  const code = SECRET.test(cause satisfies DiagnosisCause) ? 'secret' : 'refused';
  const problem = `payproof refuses the signed sample (${error.code}): ${summary}${seen}`;
  const hint = code === 'secret' ? 'The route and the check have different secrets. ' : '';
  return { code, problem, fix: hint + fix };
}

const SECRET = /^(?:secret_|event_salt_|token_mismatch)/;

function answeredOtherwise(trip: Trip): WiringFinding {
  return {
    code: 'failure',
    problem: `payproof let the sample through, but ${outcome(trip)}.`,
    fix: 'Find what changes answers behind payproof: the provider would deliver again and again.',
  };
}

/** payproof was not reached. */
async function stoppedBefore(
  { answer, error, reader, answerer }: Trip,
  location: URL | null,
  path: string,
  methods: () => Promise<string | null>,
): Promise<WiringFinding> {
  const read = readBy(reader);
  if (answer === null && error === 'ETIMEDOUT') {
    return {
      code: 'no_answer',
      problem: `Nothing answered POST ${path} in time, and payproof was not reached.${read}`,
      fix: 'Find the middleware before payproof that neither answers nor calls next; mount paymentWebhook above it.',
    };
  }
  if (answer === null) {
    return {
      code: 'no_answer',
      problem: `POST ${path} was not answered: the connection was ended (${error}), and payproof was not reached.${read}`,
      fix: 'Find the middleware before payproof that ends the connection; mount paymentWebhook above it.',
    };
  }
  const { status } = answer;
  if (location) return redirected(location, path);
  const who = by(answerer);
  if (status === 404 || status === 405) {
    const allow = answer.headers.allow ?? (await methods());
    if (allow !== null && !/\bPOST\b/i.test(allow)) {
      const known = allow.replace(/[^A-Z, ]/gi, '');
      return {
        code: 'method',
        problem: `${path} takes ${known}, not POST (the answer was ${status}${who}).`,
        fix: `Mount it with post: app.post('${path}', paymentWebhook(...), handler).`,
      };
    }
    return {
      code: 'not_found',
      problem: `Nothing is mounted at POST ${path}: the answer was ${status}${who}.`,
      fix: 'Compare the path with the route: the prefix of its router, spelling, case, and whether the router is mounted in this app (and before the handler of unknown paths).',
    };
  }
  if (status < 300) {
    return {
      code: 'bypassed',
      problem: `POST ${path} was answered ${status}${who}, and payproof was not asked: a forged delivery would be taken too.`,
      fix: 'Put paymentWebhook(...) into this route, before its handler, and above every route that also matches.',
    };
  }
  if (status >= 500) {
    return {
      code: 'failure',
      problem: `The answer was ${status}${who}, before payproof was reached.${read}`,
      fix: 'Mount paymentWebhook above the middleware that fails.',
    };
  }
  const kind = GUARDS[status] ?? 'A middleware';
  return {
    code: 'guard',
    problem: `${kind} answered ${status}${who}, before payproof was reached.`,
    fix: `Except ${path} from it, or mount paymentWebhook above it: a provider has no session, no CSRF token and no login; its signature is its proof.`,
  };
}

const GUARDS: Readonly<Record<number, string>> = {
  400: 'A body parser or another check of requests',
  401: 'A guard that wants a login',
  403: 'A guard (CSRF, CORS, roles or addresses)',
  406: 'A check of the headers Accept and the like',
  411: 'A check of requests',
  413: 'A body parser with a small limit',
  415: 'A body parser that does not know the content type',
  419: 'A CSRF guard',
  422: 'A check of requests',
  429: 'A rate limit',
};

function redirected({ origin, pathname }: URL, path: string): WiringFinding {
  const plain = path.split('?', 1)[0] ?? '';
  // The same path is somewhere else: another host, or https.
  const target = pathname === plain ? origin + pathname : pathname;
  const slash = target === pathname && pathname.replace(/\/$/, '') === plain.replace(/\/$/, '');
  return {
    code: 'redirect',
    problem: `POST ${plain} is redirected to ${target}: providers do not follow redirects, and a redirect loses the body.`,
    fix: slash
      ? `Give the provider the URL that ends in ${pathname}, or let the app take both.`
      : `Except ${plain} from the redirect (a login, a language, another host).`,
  };
}
