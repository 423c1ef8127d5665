import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import express5 from 'express';
import express4 from 'express4';
import Koa3 from 'koa';
import Koa2 from 'koa2';
import { paymentWebhook as expressWebhook } from '../src/express.ts';
import type { PaymentWebhookOptions } from '../src/http/pipeline.ts';
import type { PaymentEvent, Provider } from '../src/index.ts';
import { paymentWebhook as koaWebhook } from '../src/koa.ts';

const ALL = ['express4', 'express5', 'koa2', 'koa3'] as const;
export type Framework = (typeof ALL)[number];
/**
 * The frameworks that every behaviour is tried on. `FRAMEWORKS=express5,koa3` leaves some out, for runs that
 * repeat the tests hundreds of times.
 */
export const FRAMEWORKS = ALL.filter((name) => process.env.FRAMEWORKS?.includes(name) ?? true);

// biome-ignore lint/suspicious/noExplicitAny: four frameworks' own middleware types in one list
export type Middleware = any;

export interface Setup {
  /** A provider, a list, or a function of `(headers) => provider`. */
  provider: Provider | readonly Provider[] | ((headers: IncomingMessage['headers']) => unknown);
  options?: PaymentWebhookOptions;
  /** Mounted before payproof: a body parser and the like, of the framework's own kind. */
  before?: Middleware[];
  /** Mounted between payproof and the handler, of the framework's own kind. */
  after?: Middleware[];
  /** Runs in the handler; default answers 200 with the event as JSON. */
  handler?: (
    event: PaymentEvent,
    request: { body: unknown; rawBody: unknown },
    exchange: HandlerExchange,
  ) => unknown;
  /** Express' `env`, Koa's `app.env`. Default `test`. */
  env?: string;
  /** The merchant's own error handling: Express' error handler, Koa's upstream try and catch. */
  onError?: (error: unknown) => { status: number; body: unknown };
}

/** What a handler can do beside returning. */
export interface HandlerExchange {
  req: IncomingMessage;
  res: ServerResponse;
  /** Answers with this status and no event, in the framework's own way. */
  answer(status: number): void;
}

export interface Running {
  url: string;
  port: number;
  server: Server;
  /** Events that reached the handler. */
  events: PaymentEvent[];
  /** Errors that reached the framework's error handling. */
  errors: unknown[];
  /** How often payproof handed on: `next` in Express; in Koa, `next` or a rejection. */
  readonly nexts: number;
  close(): Promise<void>;
}

/** Starts a real server of the framework on a free port, with payproof at `/webhook`. */
export async function start(framework: Framework, setup: Setup): Promise<Running> {
  const events: PaymentEvent[] = [];
  const errors: unknown[] = [];
  let nexts = 0;
  const { before = [], after = [], options = {}, handler = () => undefined, onError } = setup;
  // biome-ignore lint/suspicious/noExplicitAny: see above
  const source = setup.provider as any;
  let listener: Parameters<typeof createServer>[1];
  if (framework === 'express4' || framework === 'express5') {
    const app = (framework === 'express4' ? (express4 as unknown as typeof express5) : express5)();
    // Express logs errors itself outside of tests.
    app.set('env', setup.env ?? 'test');
    for (const middleware of before) app.use(middleware);
    const choose =
      typeof source === 'function' ? (req: IncomingMessage) => source(req.headers) : source;
    const webhook = expressWebhook(choose, options);
    const counted: express5.RequestHandler = (req, res, next) =>
      webhook(req, res, (error) => {
        nexts++;
        next(error);
      });
    app.all('/webhook', counted, ...after, (async (req, res, next) => {
      try {
        events.push(req.paymentEvent);
        const answer = (status: number) => {
          res.sendStatus(status);
        };
        await handler(req.paymentEvent, req as never, { req, res, answer });
        if (!res.headersSent) res.json(req.paymentEvent);
      } catch (error) {
        next(error);
      }
    }) as express5.RequestHandler);
    app.use(((error, _req, res, next) => {
      errors.push(error);
      if (!onError) return next(error);
      const { status, body } = onError(error);
      res.status(status).json(body);
    }) as express5.ErrorRequestHandler);
    listener = app;
  } else {
    const app = new (framework === 'koa2' ? (Koa2 as unknown as typeof Koa3) : Koa3)();
    app.env = setup.env ?? 'test';
    app.on('error', (error) => errors.push(error));
    if (onError) {
      app.use(async (ctx, next) => {
        try {
          await next();
        } catch (error) {
          errors.push(error);
          const { status, body } = onError(error);
          ctx.status = status;
          ctx.body = body;
        }
      });
    }
    for (const middleware of before) app.use(middleware);
    const choose =
      typeof source === 'function' ? (ctx: Koa3.Context) => source(ctx.headers) : source;
    const webhook = koaWebhook(choose, options);
    app.use(async (ctx, next) => {
      if (ctx.path !== '/webhook') return next();
      let passed = false;
      const route = async () => {
        events.push(ctx.state.paymentEvent);
        const answer = (status: number) => {
          ctx.status = status;
        };
        const { req, res } = ctx;
        await handler(ctx.state.paymentEvent, ctx.request as never, { req, res, answer });
        if (ctx.status === 404) ctx.body = ctx.state.paymentEvent;
      };
      const chain = after.reduceRight<() => Promise<unknown>>(
        (rest, one) => async () => one(ctx, rest),
        route,
      );
      try {
        return await webhook(ctx as never, () => {
          passed = true;
          nexts++;
          return chain();
        });
      } catch (error) {
        if (!passed) nexts++;
        throw error;
      }
    });
    listener = app.callback();
  }
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/webhook`,
    port,
    server,
    events,
    errors,
    get nexts() {
      return nexts;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
