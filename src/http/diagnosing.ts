import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Diagnosis,
  type DiagnosisOptions,
  investigate,
  unexamined,
} from '../core/diagnosis.ts';
import type { WebhookError } from '../core/errors.ts';
import type { Provider } from '../core/provider.ts';
import type { Body } from './body.ts';

/** What is left of a refused request. */
export interface Remains {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** The framework's own request. */
  readonly request: unknown;
  readonly url: string;
  readonly providers: readonly Provider[];
  /** Null if it was not read. */
  readonly body: Body | null;
  readonly receivedAt: Date | null;
  readonly error: WebhookError;
}

/** How long a diagnosis waits for an answer that does not come, in milliseconds. */
const PATIENCE = 1_000;
/** So many diagnoses at once, then so many a second: a flood of junk must not become work. */
export interface Allowance {
  readonly burst: number;
  readonly perSecond: number;
}

const ALLOWANCE: Allowance = { burst: 50, perSecond: 5 };
/** A body of more bytes counts as several diagnoses. */
const BYTES = 16 * 1024;
/** What takes more milliseconds, and more than it was allowed, counts as several diagnoses, too. */
const LONG = 50;

/** What `rejection.diagnose` does. */
export type Diagnoser = (remains: Remains, options: DiagnosisOptions) => Promise<Diagnosis>;

/**
 * Makes what `rejection.diagnose` is, for one middleware: it waits until the answer is out, and looks
 * into nothing while there are too many refusals.
 */
export function diagnoser({ burst, perSecond } = ALLOWANCE): Diagnoser {
  let allowance = burst;
  let counted = performance.now();
  return async (remains, options) => {
    await answered(remains.res);
    const now = performance.now();
    allowance = Math.min(burst, allowance + ((now - counted) / 1000) * perSecond);
    counted = now;
    const { req, url, body, receivedAt, error } = remains;
    const cost = Math.max(1, (body?.candidates[0]?.length ?? 0) / BYTES);
    const parsers = error.code === 'body_consumed' ? parsersBefore(remains) : [];
    if (allowance < Math.min(cost, burst)) return unexamined(error, parsers);
    allowance -= cost;
    const diagnosis = investigate(
      remains.providers,
      {
        headers: req.headers,
        url,
        receivedAt: receivedAt ?? undefined,
        body: body?.source === 'reserialized' ? body.candidates : (body?.candidates[0] ?? null),
      },
      { error, ...options },
      parsers,
    );
    const took = performance.now() - now;
    allowance -= Math.floor(took / Math.max(LONG, options.maxTime ?? 0));
    return diagnosis;
  };
}

/** Settles once the answer was handed to the socket, or will not come. */
function answered(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer);
      res.off('finish', settle);
      res.off('close', settle);
      // Also where it is out already: never within the caller's own turn.
      setImmediate(resolve);
    };
    const timer = setTimeout(settle, PATIENCE);
    timer.unref();
    if (res.writableFinished || res.closed) return settle();
    res.on('finish', settle);
    res.on('close', settle);
  });
}

/** Body parsers by the names of their functions, as a merchant writes them. */
const PARSERS: Readonly<Record<string, string>> = {
  jsonParser: 'express.json()',
  urlencodedParser: 'express.urlencoded()',
  textParser: 'express.text()',
  rawParser: 'express.raw()',
  bodyParser: 'bodyParser()',
  koaBody: 'koaBody()',
  multerMiddleware: 'multer',
};

/** What a framework's application shows of its middleware. */
interface App {
  readonly _router?: { readonly stack: readonly { readonly name: string }[] };
  readonly router?: { readonly stack: readonly { readonly name: string }[] };
  readonly middleware?: readonly { readonly name: string }[];
}

/** The parsers that are mounted in the application, as far as its stack tells. */
function parsersBefore({ request }: Remains): string[] {
  const { app } = request as { app?: App };
  // Express 4 throws for `app.router`, and has `_router`; Koa has a list of functions.
  const layers = app?._router?.stack ?? app?.middleware ?? app?.router?.stack ?? [];
  const names = new Set(layers.map(({ name }) => name));
  return [...names].flatMap((name) =>
    Object.hasOwn(PARSERS, name) ? [`${PARSERS[name]} is mounted in the application.`] : [],
  );
}
