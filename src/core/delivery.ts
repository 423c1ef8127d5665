import { validDate } from './options.ts';

/** Request headers in any of the forms that JavaScript servers have them; names in any case. */
export type HeadersLike =
  | Headers
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/** What arrived: the input of `verify`. */
export interface DeliveryInput {
  /** Node's `IncomingHttpHeaders`, a `Headers`, or a plain record. */
  headers: HeadersLike;
  /** The raw bytes of the body, exactly as they came over the wire. */
  body: Uint8Array;
  /** Path and query as requested. Needed where a provider's proof is in the URL (DExchange). */
  url?: string | undefined;
  /** When it arrived. Default: now. */
  receivedAt?: Date | undefined;
}

/** A delivery as a provider reads it. */
export interface Delivery {
  /**
   * A header's value, or undefined if it was not sent. A header that was sent more than once gives
   * its values joined by `, `, which no strict grammar matches.
   */
  header(name: string): string | undefined;
  /** The values of a query parameter, in order; empty if it is not there. */
  query(name: string): string[];
  /** The essence of the content type in lower case, without parameters; null if none was sent. */
  readonly contentType: string | null;
  readonly body: Uint8Array;
  readonly receivedAt: Date;
}

/**
 * Checks and normalises what the caller gave.
 *
 * @throws TypeError if the caller passed something else than bytes, headers and a valid date
 */
export function delivery(input: DeliveryInput): Delivery {
  const { headers, body, url, receivedAt = new Date() } = input;
  if (!(body instanceof Uint8Array)) {
    throw new TypeError('body: must be the raw bytes (a Buffer or Uint8Array), not a parsed body');
  }
  if (typeof headers !== 'object' || headers === null) {
    throw new TypeError('headers: must be a Headers or a record of headers');
  }
  validDate('receivedAt', receivedAt);
  if (url !== undefined && typeof url !== 'string') throw new TypeError('url: must be a string');
  const header = headerReader(headers);
  return {
    header,
    query: (name) => queryValues(url, name),
    contentType: essence(header('content-type')),
    body,
    receivedAt,
  };
}

/** The values of a query parameter, in order. */
export function queryValues(url: string | undefined, name: string): string[] {
  const start = url?.indexOf('?') ?? -1;
  if (url === undefined || start < 0) return [];
  const query = url.slice(start + 1);
  if (!/^[\w.~=&-]*$/.test(query)) return new URLSearchParams(query).getAll(name);
  // Nothing is escaped, as in most.
  const values: string[] = [];
  for (let at = 0, end = 0; end < query.length; at = end + 1) {
    end = query.indexOf('&', at);
    if (end < 0) end = query.length;
    const pair = query.slice(at, end);
    const equals = pair.indexOf('=');
    if (pair !== '' && (equals < 0 ? pair : pair.slice(0, equals)) === name) {
      values.push(equals < 0 ? '' : pair.slice(equals + 1));
    }
  }
  return values;
}

/** The essence of a media type: `application/json` of `Application/JSON; charset=utf-8`. */
export function essence(contentType: string | undefined): string | null {
  if (contentType === undefined) return null;
  const end = contentType.indexOf(';');
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

/** A record can have the same header twice, in different cases: all of its names are looked at. */
function headerReader(headers: HeadersLike): (name: string) => string | undefined {
  // By what it can do, since there are other implementations. In a record no value is a function.
  if (isHeaders(headers)) return (name) => headers.get(name) ?? undefined;
  const keys = Object.keys(headers);
  return (name) => {
    const wanted = name.toLowerCase();
    const { length } = wanted;
    let found: string | undefined;
    // By index, since this loop takes the most of what reading a delivery's head does.
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at] as string;
      if (key.length !== length || (key !== wanted && key.toLowerCase() !== wanted)) continue;
      const value = headers[key];
      if (value === undefined) continue;
      const text = typeof value === 'string' ? value : value.join(', ');
      found = found === undefined ? text : `${found}, ${text}`;
    }
    return found;
  };
}

function isHeaders(headers: HeadersLike): headers is Headers {
  return typeof headers.get === 'function';
}
