import type { IncomingMessage, ServerResponse } from 'node:http';
import { type PaymentWebhookOptions, type ProviderSource, pipeline } from './http/pipeline.ts';
import type { PaymentEvent } from './index.ts';

export type { DedupeStore } from './dedupe.ts';
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
    }
  }
}

/** What payproof reads and sets on an Express request. */
interface ExpressRequest extends IncomingMessage {
  originalUrl?: string;
  rawBody?: unknown;
  body?: unknown;
  /** body-parser 1 (Express 4) leaves a request alone that has it. */
  _body?: boolean;
  paymentEvent?: unknown;
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
export function paymentWebhook<Request extends IncomingMessage = IncomingMessage>(
  provider: ProviderSource<Request>,
  options: PaymentWebhookOptions = {},
): (req: Request, res: ServerResponse, next: (error?: unknown) => void) => void {
  const receive = pipeline(provider, options, CONSUMED);
  return function paymentWebhook(request, res, next) {
    const req: ExpressRequest = request;
    const { rawBody, body, originalUrl, url = '' } = req;
    receive({ req, res, request, rawBody, body, url: originalUrl ?? url }).then(
      ({ event, bytes, duplicate }) => {
        if (duplicate) return res.writeHead(200).end();
        if (bytes) {
          req.rawBody = bytes;
          req.body ??= event.payload;
          req._body = true;
        }
        req.paymentEvent = event;
        next();
      },
      next,
    );
  };
}
