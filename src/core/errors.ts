/** The public sentence of every failure of authenticity: whatever the cause, the client learns the same. */
const NOT_AUTHENTICATED = 'The delivery could not be authenticated.';

/**
 * Every code with its HTTP status and its message. Messages are constants: nothing that a sender
 * wrote, and nothing secret, can reach a log or an answer through them. The catalogue with causes
 * and cures is `docs/errors.md`.
 */
const CATALOGUE = {
  method_not_allowed: [405, 'A delivery is a POST request.'],
  body_timeout: [408, 'The body did not arrive in time.'],
  body_too_large: [413, 'The body is larger than the limit.'],
  content_type_unsupported: [415, 'The content type is not one that the provider sends.'],
  content_encoding_unsupported: [415, 'An encoded (compressed) body is not accepted.'],
  body_aborted: [400, 'The sender closed the connection before the body was complete.'],
  body_malformed: [400, 'The body is malformed.'],
  body_consumed: [
    500,
    'The raw body is gone: something read it before payproof. Mount paymentWebhook before every body parser.',
  ],
  signature_missing: [403, NOT_AUTHENTICATED],
  signature_malformed: [403, NOT_AUTHENTICATED],
  signature_mismatch: [403, NOT_AUTHENTICATED],
  timestamp_invalid: [403, NOT_AUTHENTICATED],
  timestamp_out_of_tolerance: [403, NOT_AUTHENTICATED],
  token_missing: [403, NOT_AUTHENTICATED],
  token_mismatch: [403, NOT_AUTHENTICATED],
  field_ambiguous: [403, NOT_AUTHENTICATED],
  confirmation_mismatch: [403, NOT_AUTHENTICATED],
  provider_unrecognized: [403, NOT_AUTHENTICATED],
  delivery_conflict: [403, NOT_AUTHENTICATED],
  confirmation_unavailable: [503, 'The provider could not be asked to confirm the payment.'],
  store_unavailable: [
    503,
    'The store of processed events failed or gave no answer; see the cause.',
  ],
  delivery_in_progress: [409, 'The same event is being processed.'],
  payment_not_expected: [422, 'The event is not a succeeded payment of exactly this order.'],
} as const satisfies Record<string, readonly [status: number, message: string]>;

/** What went wrong, stable across versions and meant for logs and metrics. See `docs/errors.md`. */
export type WebhookErrorCode = keyof typeof CATALOGUE;

const BRAND = Symbol.for('payproof.WebhookError');

/** Options of {@link WebhookError}. */
export interface WebhookErrorOptions {
  /** What the error stems from, for the log. Never shown to the client. */
  cause?: unknown;
  /** Replaces the message of a 5xx code by a constant that names the fix. Ignored below 500. */
  message?: string;
  /** Headers that the answer must carry, such as `Retry-After`. */
  headers?: Record<string, string>;
}

/**
 * A delivery that is refused, or (status 500) a route that is wired wrongly.
 *
 * It has the shape that Express and Koa give to HTTP errors, so the framework's own error handling
 * answers: `status`, `expose` (whether the message may be shown) and `headers`.
 */
export class WebhookError extends Error {
  override readonly name = 'WebhookError';
  static {
    // Here once, since it would take longer at each error.
    Object.defineProperty(WebhookError.prototype, BRAND, { value: true });
  }

  /** What went wrong, for logs and metrics. Not for the client. */
  readonly code: WebhookErrorCode;
  /** The HTTP status of the answer. */
  readonly status: number;
  /** The same as `status`, for error handlers that look for this name. */
  readonly statusCode: number;
  /** Whether the message may be shown to the client: true below 500. */
  readonly expose: boolean;
  /** Headers of the answer. */
  readonly headers: Readonly<Record<string, string>>;

  /**
   * @param code one of the catalogue in `docs/errors.md`
   * @throws TypeError if the code is not in the catalogue
   */
  constructor(code: WebhookErrorCode, options: WebhookErrorOptions = {}) {
    if (!Object.hasOwn(CATALOGUE, code)) {
      throw new TypeError('code: not a code of WebhookError');
    }
    const [status, message] = CATALOGUE[code];
    const { cause, headers, message: fix = message } = options;
    const expose = status < 500;
    // No frames are collected, which would cost more than all else that a refusal takes: see below.
    const { stackTraceLimit } = Error;
    setStackTraceLimit(undefined);
    super(expose ? message : fix, cause === undefined ? undefined : { cause });
    setStackTraceLimit(stackTraceLimit);
    this.code = code;
    this.status = status;
    this.statusCode = status;
    this.expose = expose;
    this.headers = { ...headers };
    // Express shows the stack to the client outside production. Frames would tell apart what must
    // look the same, and show paths, and tell the owner nothing: the cause is not in this code.
    this.stack = `WebhookError: ${this.message}`;
  }
}

/** @param limit with undefined there are no frames either (Node's `Error.stackTraceLimit`), in less time than with 0 */
function setStackTraceLimit(limit: number | undefined): void {
  try {
    (Error as { stackTraceLimit: number | undefined }).stackTraceLimit = limit;
  } catch {
    // Where a host has frozen what is built in, the frames are collected and not shown.
  }
}

/**
 * Whether a value is a {@link WebhookError}, also one of another copy of payproof: another realm, or
 * the CommonJS build beside the ESM build, where `instanceof` fails.
 */
export function isWebhookError(value: unknown): value is WebhookError {
  return (
    typeof value === 'object' && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true
  );
}
