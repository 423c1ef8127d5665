import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Context } from 'koa';
import type { PaymentClaim } from './dedupe.ts';
import {
  failure,
  type PaymentWebhookOptions,
  type ProviderSource,
  pipeline,
} from './http/pipeline.ts';
import type { PaymentEvent } from './index.ts';

export type {
  ClaimRequest,
  ClaimResult,
  DedupeOptions,
  DedupeStore,
  PaymentClaim,
} from './dedupe.ts';
export type {
  PaymentWebhookOptions,
  ProviderSource,
  Rejection,
  RequestFacts,
} from './http/pipeline.ts';

declare module 'koa' {
  interface DefaultState {
    /** The authenticated event. Set on routes behind `paymentWebhook`, and only there. */
    paymentEvent: PaymentEvent;
    /** The handler's hold on the event, to commit it in a transaction of its own. */
    paymentClaim: PaymentClaim;
  }
}

/** What payproof reads and sets on a Koa context. */
export interface KoaContext {
  req: IncomingMessage & { rawBody?: unknown; body?: unknown };
  res: ServerResponse;
  request: { req: IncomingMessage; rawBody?: unknown; body?: unknown };
  originalUrl: string;
  /** Spelt out, since a router gives it to the handlers behind: with `any`, theirs were `any`. */
  state: { paymentEvent: PaymentEvent; paymentClaim: PaymentClaim };
  status: number;
}

const CONSUMED =
  'The raw body is gone: a body parser read it before payproof. In Koa, move the line ' +
  'router.post(path, paymentWebhook(...)) and its app.use(router.routes()) above app.use(bodyParser()) ' +
  'or app.use(koaBody()); with koa-body, { includeUnparsed: true } keeps the text instead.';

/**
 * Koa middleware (2 and 3) that lets only authenticated payment callbacks through and sets
 * `ctx.state.paymentEvent`. Mount it on its own route, before every body parser.
 *
 * @param provider a provider, a list of them (the one that recognises the delivery judges it), or a
 *   function of the context that gives either, or null for an unknown merchant
 * @param options see {@link PaymentWebhookOptions}
 * @throws TypeError | RangeError if an argument is wrong. What is refused is thrown as a
 *   `WebhookError` for Koa's error handling.
 */
export function paymentWebhook<Chooser extends KoaContext = Context>(
  provider: ProviderSource<Chooser>,
  options: PaymentWebhookOptions = {},
): (ctx: KoaContext, next: () => Promise<unknown>) => Promise<unknown> {
  const receive = pipeline(provider, options, CONSUMED);
  return async function paymentWebhook(ctx, next) {
    const { req, res, request, originalUrl: url } = ctx;
    const rawBody = request.rawBody ?? req.rawBody;
    const body = request.body ?? req.body;
    const { event, claim, bytes, run, fail } = await receive({
      req,
      res,
      request: ctx as Chooser,
      rawBody,
      body,
      url,
    });
    if (!run) {
      ctx.status = 200;
      return;
    }
    if (bytes) {
      request.rawBody = bytes;
      request.body ??= event.payload;
    }
    ctx.state.paymentEvent = event as PaymentEvent;
    ctx.state.paymentClaim = claim;
    try {
      return await next();
    } catch (error) {
      fail();
      throw failure(error);
    }
  };
}
