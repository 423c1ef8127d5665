import type { IncomingMessage } from 'node:http';
import getRawBody from 'raw-body';
import { isWebhookError, WebhookError, type WebhookErrorCode } from '../core/errors.ts';
import { isObject, type JsonObject, withinDepth } from '../core/json.ts';
import { CHUNK, Place, SMALL, Valve } from './room.ts';
import { hasBody } from './upload.ts';

/** A request as an adapter hands it over: the stream, and what earlier middleware left beside it. */
export interface Arrival {
  readonly req: IncomingMessage;
  /** `req.rawBody` and its like. */
  readonly rawBody: unknown;
  /** `req.body` and its like. */
  readonly body: unknown;
}

/** The bytes of a body. */
export interface Body {
  /**
   * The texts that the body can have been, most likely first: one, unless a parser left only its
   * result of JSON.
   */
  readonly candidates: readonly Uint8Array[];
  /** Where the bytes come from. Only from `reserialized` a mismatch may be the parser's fault. */
  readonly source: 'stream' | 'bytes' | 'fields' | 'reserialized';
}

/** How a body is read. */
export interface Reading {
  /** Bytes. */
  readonly limit: number;
  /** Milliseconds until the last byte. */
  readonly bodyTimeout: number;
  /** The message of `body_consumed`: which line to move, in the framework's words. */
  readonly consumedAdvice: string;
}

/**
 * The bytes of the body: from the stream, or from what an earlier parser left.
 *
 * @param contentType the essence of the content type
 * @throws WebhookError `body_too_large`, `body_timeout`, `body_aborted`, `body_malformed`,
 *   `body_consumed`
 */
export function readBody(
  { req, rawBody, body }: Arrival,
  contentType: string | null,
  reading: Reading,
): Body | Promise<Body> {
  if (isUnread(req)) return readStream(req, reading);
  const left = [rawBody, body, unparsed(body)]
    .map(bytesOf)
    // An empty text is where somebody is collecting one, and did not wait for its end.
    .find((bytes) => bytes && (bytes.length > 0 || !hasBody(req)));
  if (left) return capped({ candidates: [left], source: 'bytes' }, reading);
  if (isObject(body) && contentType === 'application/x-www-form-urlencoded') {
    return capped({ candidates: [formOf(body, reading)], source: 'fields' }, reading);
  }
  if (isObject(body))
    return capped({ candidates: jsonOf(body, reading), source: 'reserialized' }, reading);
  // Gone with its body, or before a word of it was read: no parser is to blame. (One of HTTP/2 is not destroyed then.)
  if (req.aborted || (req.destroyed && !(req.complete && req.readableDidRead)))
    throw new WebhookError('body_aborted');
  throw new WebhookError('body_consumed', { message: reading.consumedAdvice });
}

function isUnread(req: IncomingMessage): boolean {
  return req.readable && !req.readableDidRead && req.readableEncoding === null;
}

/** A text above the limit was not what the parser read. */
function capped({ candidates, source }: Body, { limit }: Reading): Body {
  const possible = candidates.filter(({ length }) => length <= limit);
  if (possible.length === 0) throw new WebhookError('body_too_large');
  return { candidates: possible, source };
}

const STREAM_ERRORS: Readonly<Record<string, WebhookErrorCode>> = {
  'entity.too.large': 'body_too_large',
  'request.aborted': 'body_aborted',
  'request.size.invalid': 'body_malformed',
};

/** `raw-body` has no deadline and does not notice a stream that closes without a word. */
function readStream(req: IncomingMessage, { limit, bodyTimeout }: Reading): Promise<Body> {
  return new Promise((resolve, reject) => {
    // By who came earlier; a listener alone would not begin it again.
    if (req.readableFlowing === false) req.resume();
    const length = req.headers['content-length'] ?? null;
    // A small body is read as it is. Of one whose length says that it is too large nothing is read.
    const declared = Number(length ?? Number.NaN);
    const valve = declared <= SMALL || declared > limit ? null : new Valve(req, declared);
    let unwatch: (() => void) | undefined;
    const settle = (): void => {
      clearImmediate(watching);
      valve?.shut();
      unwatch?.();
    };
    const fail = (error: WebhookError): void => {
      settle();
      reject(error);
    };
    // Most bodies are there with their head: only the others are worth a deadline and a watch.
    const watching = setImmediate(() => {
      unwatch = watch(req, valve === null, bodyTimeout, fail);
      if (req.closed) fail(new WebhookError('body_aborted'));
    });
    getRawBody((valve ?? req) as IncomingMessage, { limit, length }, (error, bytes) => {
      if (isWebhookError(error)) return fail(error);
      if (error) return fail(new WebhookError(STREAM_ERRORS[error.type] ?? 'body_aborted'));
      settle();
      resolve({ candidates: [bytes], source: 'stream' });
    });
  });
}

/**
 * Sees to it that a body that is not there at once arrives in time.
 *
 * @param isSmall whether its chunks take room: a small body can come byte by byte
 * @returns ends the watch
 */
function watch(
  req: IncomingMessage,
  isSmall: boolean,
  bodyTimeout: number,
  fail: (error: WebhookError) => void,
): () => void {
  const place = new Place(fail);
  const onChunk = (): void => place.take(CHUNK);
  const onClose = (): void => fail(new WebhookError('body_aborted'));
  const timer = setTimeout(() => fail(new WebhookError('body_timeout')), bodyTimeout);
  req.on('close', onClose);
  if (isSmall) req.on('data', onChunk);
  return () => {
    clearTimeout(timer);
    req.off('close', onClose);
    req.off('data', onChunk);
    place.leave();
  };
}

function bytesOf(value: unknown): Uint8Array | undefined {
  if (typeof value === 'string') return Buffer.from(value);
  return value instanceof Uint8Array ? value : undefined;
}

/** Where koa-body keeps the text with `includeUnparsed`. */
function unparsed(body: unknown): unknown {
  return isObject(body) ? (body as Record<symbol, unknown>)[Symbol.for('unparsedBody')] : undefined;
}

/**
 * HitPay signs fields, so a form's fields serve as well as its bytes. A field that occurred twice
 * was made a list by the parser; written out again, the core refuses it as it would have.
 */
function formOf(body: JsonObject, { consumedAdvice }: Reading): Uint8Array {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(body)) {
    for (const one of Array.isArray(value) ? [...value, value[0]] : [value]) {
      // A nested value stands for brackets in a name, which no provider sends.
      if (typeof one === 'object') throw new WebhookError('body_malformed');
      if (typeof one !== 'string') {
        throw new WebhookError('body_consumed', { message: consumedAdvice });
      }
      form.append(name, one);
    }
  }
  return Buffer.from(form.toString());
}

/**
 * The texts that senders make of an object: compact, with PHP's escaped slashes, with PHP's escaped
 * non-ASCII characters, with both. Whichever the signature fits is the one that was sent.
 */
function jsonOf(body: JsonObject, { limit }: Reading): Uint8Array[] {
  if (!withinDepth(body)) throw new WebhookError('body_malformed');
  const compact = JSON.stringify(body);
  // The others are longer: they are not made only to be refused.
  if (compact.length > limit) throw new WebhookError('body_too_large');
  const slashes = (text: string) => text.replaceAll('/', '\\/');
  const escaped = compact.replace(
    /[\u0080-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const texts = new Set([compact, slashes(escaped), slashes(compact), escaped]);
  return [...texts].map((text) => Buffer.from(text));
}
