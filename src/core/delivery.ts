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
  if (!(receivedAt instanceof Date) || Number.isNaN(+receivedAt)) {
    throw new TypeError('receivedAt: must be a valid Date');
  }
  if (url !== undefined && typeof url !== 'string') throw new TypeError('url: must be a string');
  const header = (name: string) => readHeader(headers, name.toLowerCase());
  return {
    header,
    query: (name) => {
      const start = url?.indexOf('?') ?? -1;
      return start < 0 ? [] : new URLSearchParams(url?.slice(start + 1)).getAll(name);
    },
    contentType: essence(header('content-type')),
    body,
    receivedAt,
  };
}

/** The essence of a media type: `application/json` of `Application/JSON; charset=utf-8`. */
export function essence(contentType: string | undefined): string | null {
  return contentType === undefined ? null : contentType.replace(/;.*/s, '').trim().toLowerCase();
}

function readHeader(headers: HeadersLike, name: string): string | undefined {
  if (typeof Headers === 'function' && headers instanceof Headers) {
    return headers.get(name) ?? undefined;
  }
  let found: string | undefined;
  for (const key of Object.keys(headers)) {
    if (key.length !== name.length || key.toLowerCase() !== name) continue;
    const value = (headers as Exclude<HeadersLike, Headers>)[key];
    if (value === undefined) continue;
    const text = typeof value === 'string' ? value : value.join(', ');
    found = found === undefined ? text : `${found}, ${text}`;
  }
  return found;
}
