import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request } from 'express';
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

declare global {
  namespace Express {
    interface Request {
      /** The authenticated event. Set on routes behind `paymentWebhook`, and only there. */
      paymentEvent: PaymentEvent;
      /** The handler's hold on the event, to commit it in a transaction of its own. */
      paymentClaim: PaymentClaim;
    }
  }
}

/** What Express, body parsers, hosts such as Firebase, and payproof leave on a request. */
interface Left extends Partial<Pick<Express.Request, 'paymentEvent' | 'paymentClaim'>> {
  originalUrl?: string;
  rawBody?: unknown;
  body?: unknown;
  _body?: boolean;
}

const CONSUMED =
  'The raw body is gone: a body parser read it before payproof. In Express, move the line ' +
  'app.post(path, paymentWebhook(...)) above app.use(express.json()) and app.use(express.urlencoded()), ' +
  'or keep the bytes: express.json({ verify: (req, res, bytes) => { req.rawBody = bytes; } }).';

/**
 * Express middleware (4 and 5) that lets only authenticated payment callbacks through and sets
 * `req.paymentEvent`. Mount it on its own route, before every body parser.
 *
 * @param provider a provider, a list of them (the one that recognises the delivery judges it), or a
 *   function of the request that gives either, or null for an unknown merchant
 * @param options see {@link PaymentWebhookOptions}
 * @throws TypeError | RangeError if an argument is wrong. What is refused goes to Express' error
 *   handling as a `WebhookError`.
 */
export function paymentWebhook<Chooser extends IncomingMessage = Request>(
  provider: ProviderSource<Chooser>,
  options: PaymentWebhookOptions = {},
): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void {
  const receive = pipeline(provider, options, CONSUMED);
  return function paymentWebhook(req, res, next) {
    makeDictionary(req as Left);
    const { rawBody, body, originalUrl = req.url as string } = req as Left;
    receive({ req, res, request: req as Chooser, rawBody, body, url: originalUrl }).then(
      ({ event, claim, bytes, run }) => {
        try {
          if (!run) {
            // Other middleware may have answered meanwhile, for example after a timeout of its own.
            if (res.headersSent) return;
            res.statusCode = 200;
            res.end();
            return;
          }
          // body-parser 1 (Express 4) leaves a request alone that has `_body`.
          const left = req as Left;
          if (bytes) {
            left.rawBody = bytes;
            left.body = body ?? event.payload;
            left._body = true;
          }
          left.paymentEvent = event as PaymentEvent;
          left.paymentClaim = claim;
        } catch (error) {
          // A property that cannot be set, or another's patch of the response.
          next(failure(error));
          return;
        }
        next();
      },
      (error) => {
        // With an answer that is out, for example after a timeout of other middleware, nothing is left to be said.
        // Express would cut the connection, and with it the request that follows there.
        if (!res.writableEnded) next(error);
      },
    );
  };
}

/**
 * Express replaces the prototype of each request. Up to Node 22, V8 then has hidden classes for this request
 * alone: every property that is added makes another one, which takes longer than the HMAC of a body, and
 * whatever reads the request has never seen its class before. An object that lost a property has no hidden
 * class, so this comes first.
 */
function makeDictionary(req: Left): void {
  const { originalUrl } = req;
  if (originalUrl === undefined || !Reflect.deleteProperty(req, 'originalUrl')) return;
  req.originalUrl = originalUrl;
}
