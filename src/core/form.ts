import { WebhookError } from './errors.ts';

/** More pairs than any provider sends by far. */
const MAX_PAIRS = 64;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes an `application/x-www-form-urlencoded` body strictly and exactly once: split on `&` and
 * the first `=`, `+` is a space, percent escapes are UTF-8. Repeated names are refused, since two
 * readers would pick different values.
 *
 * @returns the fields in the order sent; a Map, so that `__proto__` is a name like any other
 * @throws WebhookError `field_ambiguous` if a name occurs twice; `body_malformed` for an invalid
 *   escape, invalid UTF-8, a control character, an empty name, a bracket in a name, a pair without
 *   `=`, or more than 64 pairs
 */
export function decodeForm(body: Uint8Array): Map<string, string> {
  const fields = new Map<string, string>();
  const pairs = decode(body).split('&', MAX_PAIRS + 1);
  if (pairs.length > MAX_PAIRS) throw new WebhookError('body_malformed');
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    // Without `=` readers disagree whether there is a field at all; at 0 the name is empty.
    if (equals < 1) throw new WebhookError('body_malformed');
    const name = unescapePart(pair.slice(0, equals));
    if (/[[\]]/.test(name)) throw new WebhookError('body_malformed');
    if (fields.has(name)) throw new WebhookError('field_ambiguous');
    fields.set(name, unescapePart(pair.slice(equals + 1)));
  }
  return fields;
}

function decode(body: Uint8Array): string {
  try {
    return utf8.decode(body);
  } catch {
    throw new WebhookError('body_malformed');
  }
}

function unescapePart(text: string): string {
  let value = text;
  // Most values are plain, and decoding is what costs most here.
  if (text.includes('%') || text.includes('+')) {
    try {
      value = decodeURIComponent(text.replaceAll('+', ' '));
    } catch {
      throw new WebhookError('body_malformed');
    }
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
  if (/[\u0000-\u001f\u007f]/.test(value)) throw new WebhookError('body_malformed');
  return value;
}
