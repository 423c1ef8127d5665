import { channel } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import { type Delivery, essence, queryValues } from '../core/delivery.ts';
import type { Diagnosis, DiagnosisOptions } from '../core/diagnosis.ts';
import { isWebhookError, WebhookError } from '../core/errors.ts';
import type { ProviderEvent } from '../core/event.ts';
import { boundedNumber, knownOptions, validDate } from '../core/options.ts';
import type { Provider } from '../core/provider.ts';
import { providerList, select } from '../core/verify.ts';
import type { DedupeOptions, DedupeStore, PaymentClaim } from '../dedupe.ts';
import { memoryStore } from '../memory.ts';
import { type Arrival, type Body, readBody } from './body.ts';
import { type Diagnoser, diagnoser } from './diagnosing.ts';
import { headerOf, knownType, refuseByHead, sentType, typesOf } from './head.ts';
import { admitAlways, onceGate } from './once.ts';
import { endProbe, probeOf } from './probe.ts';
import { ensureRoom } from './room.ts';
import { isEnding, stopUpload } from './upload.ts';

/** A refused delivery, as `onRejected` and the channel `payproof:rejected` get it. */
export interface Rejection {
  /** Why; `error.code` is for logs and metrics. */
  readonly error: WebhookError;
  /** The provider that judged it, or null if it did not come to that. */
  readonly provider: string | null;
  /** What can be said of the request without telling a secret or anyone's data. */
  readonly request: RequestFacts;
  /**
   * Finds out what is wrong and how to mend it, by bounded trials. It begins only when it is called,
   * after the answer is out. For the merchant's log: never show it to the client. Not enumerable, so
   * that a rejection can be logged as it is.
   */
  diagnose(options?: DiagnosisOptions): Promise<Diagnosis>;
}

/** The facts of a request that may stand in a log. */
export interface RequestFacts {
  readonly method: string;
  /** Without the query, which may hold a token. */
  readonly path: string;
  /** The essence of the content type: one that is common, or `other`; null if none was sent. */
  readonly contentType: string | null;
  /** Bytes of the body, or null if it was not read to its end. */
  readonly bodyLength: number | null;
}

/** Options of `paymentWebhook`. */
export interface PaymentWebhookOptions {
  /** How large a body may be, in bytes. Default 262144 (256 KB). */
  limit?: number | undefined;
  /** How long the body may take to arrive, in milliseconds. Default 10000. */
  bodyTimeout?: number | undefined;
  /**
   * Where it is remembered which events were processed, so that a redelivery does not run the
   * handler again: a store, or `{ store, ... }` to say more. Default: the memory of this process,
   * one per middleware. `false`: nowhere, and the handler itself must cope with redeliveries.
   */
  dedupe?: DedupeStore | DedupeOptions | false | undefined;
  /** Called with every refused delivery. What it throws is ignored. */
  onRejected?: ((rejection: Rejection) => unknown) | undefined;
  /** Called with every authenticated event before the handler. What it throws is ignored. */
  onAccepted?: ((event: ProviderEvent) => unknown) | undefined;
  /** The time. Default: the system's clock. */
  clock?: (() => Date) | undefined;
}

/**
 * What `paymentWebhook` takes: a provider, several, or a function of the request that gives them. The
 * function runs before the body is read, for anyone who posts: give what it asks a time limit.
 */
export type ProviderSource<Request> = Provider | readonly Provider[] | Chooser<Request>;

type Chooser<Request> = (request: Request) => Chosen | Promise<Chosen>;

/** A provider, several, or nothing where the request belongs to no known merchant. */
type Chosen = Provider | readonly Provider[] | null | undefined;

/** A request as an adapter hands it over. */
export interface Exchange<Request> extends Arrival {
  readonly res: ServerResponse;
  /** The framework's own request, for a function that chooses the provider. */
  readonly request: Request;
  /** Path and query as the client requested them, before any router cut them. */
  readonly url: string;
}

/** What comes out of the pipeline. */
export interface Outcome {
  readonly event: ProviderEvent;
  /** The bytes, if payproof read them from the stream. */
  readonly bytes: Uint8Array | null;
  /** False if the event needs no handler, such as a redelivery: answer 200. */
  readonly run: boolean;
  /** The handler's hold on its event. */
  readonly claim: PaymentClaim;
  /** To be called where the adapter sees the handler fail: then the event is not done, whatever is answered. */
  fail(): void;
}

const OPTIONS = ['limit', 'bodyTimeout', 'dedupe', 'onRejected', 'onAccepted', 'clock'];
export const DEFAULT_LIMIT = 256 * 1024;
const DEFAULT_BODY_TIMEOUT = 10_000;
/** The longest delay that a timer takes. */
const MAX_TIMEOUT = 2 ** 31 - 1;

const accepted = channel('payproof:accepted');
const rejected = channel('payproof:rejected');

/**
 * Builds the way of a request, for any framework on `node:http`: read, verify, confirm, claim. The
 * answer is the framework's own.
 *
 * @param consumedAdvice which line to move if a parser took the body, in the framework's words
 * @param diagnose what `rejection.diagnose` does; default: for a server that anyone can post to
 * @throws TypeError | RangeError if an option is wrong
 */
export function pipeline<Request>(
  source: ProviderSource<Request>,
  options: PaymentWebhookOptions,
  consumedAdvice: string,
  diagnose: Diagnoser = diagnoser(),
): (exchange: Exchange<Request>) => Promise<Outcome> {
  knownOptions('paymentWebhook', options, OPTIONS);
  const fixed = typeof source === 'function' ? null : providerList(source);
  const fixedTypes = fixed && typesOf(fixed);
  const { limit = DEFAULT_LIMIT, bodyTimeout = DEFAULT_BODY_TIMEOUT } = options;
  const reading = {
    limit: boundedNumber('limit', limit, 1, 2 ** 30),
    bodyTimeout: boundedNumber('bodyTimeout', bodyTimeout, 1, MAX_TIMEOUT),
    consumedAdvice,
  };
  ensureRoom(reading.limit);
  const { clock = () => new Date(), onAccepted, onRejected, dedupe = memoryStore() } = options;
  const admit = onceGate(dedupe);
  for (const [name, hook] of Object.entries({ clock, onAccepted, onRejected })) {
    if (hook !== undefined && typeof hook !== 'function') {
      throw new TypeError(`${name}: must be a function`);
    }
  }

  /** An unknown merchant has no provider, which shows only after the body was read like any other. */
  async function providersFor(request: Request): Promise<readonly Provider[]> {
    const chosen = await (source as Chooser<Request>)(request);
    return chosen === null || chosen === undefined ? [] : providerList(chosen);
  }

  return async (exchange) => {
    const { req, res, url } = exchange;
    const progress: Progress = {
      provider: null,
      bodyLength: null,
      providers: fixed ?? [],
      body: null,
      receivedAt: null,
    };
    const isTooLate = isEnding(req);
    const probe = probeOf(req);
    probe?.reached('provider');
    try {
      const { headers } = req;
      refuseByHead(req.method, headers);
      const providers = fixed ?? (await providersFor(exchange.request));
      progress.providers = providers;
      const contentType = sentType(headers, fixedTypes ?? typesOf(providers));
      probe?.reached('body');
      const body = await readBody(exchange, contentType, reading);
      // Its answer could not be sent any more, and the sender would have to repeat what was done.
      if (isTooLate) throw new WebhookError('body_aborted');
      const [bytes] = body.candidates as readonly [Uint8Array];
      progress.bodyLength = bytes.length;
      progress.body = body;
      const time: unknown = clock();
      // An asynchronous one gives a promise, which is no date and must not end the process.
      if (!(time instanceof Date)) contain(() => time);
      const receivedAt = validDate('clock', time);
      progress.receivedAt = receivedAt;
      const header = headerOf(headers);
      const query = queryOf(url);
      // Written out: a copy of what they share would take longer than all of a delivery's checks.
      const deliveries = body.candidates.map(
        (body): Delivery => ({ header, query, contentType, body, receivedAt }),
      ) as [Delivery, ...Delivery[]];
      const judge = select(providers, deliveries[0]);
      progress.provider = judge.name;
      if (!judge.contentTypes.includes(contentType)) {
        throw new WebhookError('content_type_unsupported');
      }
      const claimed = authenticate(judge, body, deliveries, consumedAdvice);
      if (probe) return await endProbe(probe, claimed, body, dedupe);
      const event = judge.confirm ? await judge.confirm(claimed) : claimed;
      const account = fixed === null ? judge.account?.() : '';
      const { run, stale, claim, fail } =
        admit === null
          ? admitAlways(event)
          : await admit(event, res, { request: exchange.request, account });
      const told = stale ? { ...event, stale } : event;
      if (run) {
        if (onAccepted) contain(() => onAccepted(told));
        if (accepted.hasSubscribers) accepted.publish({ event: told });
      }
      return { run, claim, fail, event: told, bytes: body.source === 'stream' ? bytes : null };
    } catch (error) {
      const turn = stopUpload(req, res);
      if (turn) await turn;
      const failed = failure(error);
      if (isWebhookError(failed)) tell(failed, exchange, progress);
      throw failed;
    }
  };

  /** Tells the refusal to those who want to know; the framework answers. */
  function tell(error: WebhookError, exchange: Exchange<Request>, progress: Progress): void {
    const { req, res, request, url } = exchange;
    for (const name in error.headers) {
      if (!res.headersSent) res.setHeader(name, error.headers[name] as string);
    }
    const probe = probeOf(req);
    if (!probe && !onRejected && !rejected.hasSubscribers) return;
    const { provider, providers, body, receivedAt } = progress;
    const rejection = { error, provider, request: facts(exchange, progress) } as Rejection;
    const remains = { req, res, request, url, providers, body, receivedAt, error };
    Object.defineProperty(rejection, 'diagnose', {
      value: (options: DiagnosisOptions = {}) => diagnose(remains, options),
    });
    if (probe) {
      probe.refused(rejection);
      return;
    }
    // After the answer is under way: a slow hook must not hold it up.
    if (onRejected) setImmediate(contain, () => onRejected(rejection));
    if (rejected.hasSubscribers) rejected.publish(rejection);
  }
}

/**
 * What a merchant's own function threw, as something that no framework takes for anything but a failure. Express goes
 * on to the handler after `undefined` and past it after `'route'`, Koa answers nothing after `undefined`; and an error's
 * own status is the answer's, though an HTTP client's error may bear the 200 of what the client got.
 */
export function failure(thrown: unknown): object {
  try {
    const { status, statusCode } = thrown as { status?: unknown; statusCode?: unknown };
    const isError = typeof thrown === 'object' && !isSuccess(status) && !isSuccess(statusCode);
    if (isError) return thrown as object;
  } catch {
    // Nothing can be read of null, nor where a getter throws.
  }
  return new Error(
    'paymentWebhook: what the handler or a function in the options threw is no error to answer with; see the cause',
    { cause: thrown },
  );
}

/** Or a redirection. */
function isSuccess(status: unknown): boolean {
  return Number(status) >= 100 && Number(status) < 400;
}

interface Progress {
  provider: string | null;
  bodyLength: number | null;
  providers: readonly Provider[];
  body: Body | null;
  receivedAt: Date | null;
}

function queryOf(url: string): Delivery['query'] {
  return (name) => queryValues(url, name);
}

/** Judges every text that the body can have been; the event comes from the one that fits. */
function authenticate(
  judge: Provider,
  body: Body,
  deliveries: readonly [Delivery, ...Delivery[]],
  consumedAdvice: string,
): ProviderEvent {
  if (body.source !== 'reserialized') return judge.authenticate(deliveries[0]);
  for (const one of deliveries) {
    try {
      return judge.authenticate(one);
    } catch (error) {
      if (!isWebhookError(error) || error.code !== 'signature_mismatch') throw error;
    }
  }
  // It may be forged, or the parser lost what was signed (`1.10` became `1.1`): not authenticated
  // either way, and the sender tries again once the parser was moved.
  throw new WebhookError('body_consumed', { message: consumedAdvice });
}

function facts<Request>({ req, url }: Exchange<Request>, { bodyLength }: Progress): RequestFacts {
  return {
    method: req.method as string,
    path: url.split('?', 1)[0] as string,
    contentType: knownType(essence(req.headers['content-type'])),
    bodyLength,
  };
}

/** Runs a hook so that nothing it does changes the outcome. */
function contain(hook: () => unknown): void {
  new Promise((resolve) => resolve(hook())).catch(() => {});
}
