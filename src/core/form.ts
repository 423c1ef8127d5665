import { WebhookError } from './errors.ts';
import { decodeUtf8 } from './utf8.ts';

/** More pairs than any provider sends by far. */
const MAX_PAIRS = 64;

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
  const pairs = decodeUtf8(unescaped(body)).split(AND, MAX_PAIRS + 1);
  if (pairs.length > MAX_PAIRS) throw new WebhookError('body_malformed');
  const fields = new Map<string, string>();
  for (const pair of pairs) {
    const end = pair.indexOf(EQUALS);
    // Without `=` readers disagree whether there is a field at all; at 0 the name is empty.
    if (end < 1) throw new WebhookError('body_malformed');
    const name = pair.slice(0, end);
    if (name.includes('[') || name.includes(']')) throw new WebhookError('body_malformed');
    if (fields.has(name)) throw new WebhookError('field_ambiguous');
    fields.set(name, pair.slice(end + 1));
  }
  return fields;
}

// What stands for `&` and `=` once the escapes are gone. No field holds control characters.
const AND = '\u0001';
const EQUALS = '\u0002';

/** What each byte stands for; 0 where there is more to it: `%`, and control characters. */
const MEANING: Uint8Array = new Uint8Array(256).map((_, byte) => {
  const special: Record<string, string> = { '&': AND, '=': EQUALS, '+': ' ', '%': '\u0000' };
  if (isControl(byte)) return 0;
  return special[String.fromCharCode(byte)]?.charCodeAt(0) ?? byte;
});

/** The bytes with every escape decoded, and the separators told apart from those that were escaped. */
function unescaped(body: Uint8Array): Uint8Array {
  // In place, since what is read is never behind what is written.
  const bytes = Buffer.from(body);
  let length = 0;
  let isName = true;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    let meaning = MEANING[byte] as number;
    if (meaning === 0) {
      // Negative if either is no hex digit.
      if (byte === 0x25) meaning = (hexDigit(bytes[at + 1]) << 4) | hexDigit(bytes[at + 2]);
      if (isControl(meaning)) throw new WebhookError('body_malformed');
      at += 2;
    } else if (byte === 0x26) {
      isName = true;
    } else if (byte === 0x3d) {
      // In a value it is no separator.
      if (!isName) meaning = byte;
      isName = false;
    }
    bytes[length++] = meaning;
  }
  return bytes.subarray(0, length);
}

function isControl(byte: number): boolean {
  return byte < 0x20 || byte === 0x7f;
}

/** The value of a hex digit's character code, or -1. */
function hexDigit(code = 0): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
