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
 * @throws WebhookError `field_ambiguous` if a name occurs twice in what is well formed; `body_malformed` for an invalid
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
    fields.set(name, pair.slice(end + 1));
  }
  if (fields.size < pairs.length) throw new WebhookError('field_ambiguous');
  return fields;
}

// What stands for `&` and `=` once the escapes are gone. No field holds control characters.
const AND = '\u0001';
const EQUALS = '\u0002';
const AND_BYTE = AND.charCodeAt(0);
const EQUALS_BYTE = EQUALS.charCodeAt(0);

const [AMPERSAND, EQUALS_SIGN, PERCENT, PLUS, SPACE] = [0x26, 0x3d, 0x25, 0x2b, 0x20];

/** What each byte stands for; 0 where there is more to it: separators, `%`, and control characters. */
const MEANING: Uint8Array = new Uint8Array(256).map((_, byte) => {
  if (byte === PLUS) return SPACE;
  const isSpecial = byte === AMPERSAND || byte === EQUALS_SIGN || byte === PERCENT;
  return isSpecial || isControl(byte) ? 0 : byte;
});

/** The bytes with every escape decoded, and the separators told apart from those that were escaped. */
function unescaped(body: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(body.length);
  let length = 0;
  let isName = true;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] as number;
    let meaning = MEANING[byte] as number;
    if (meaning === 0) {
      if (byte === AMPERSAND) {
        isName = true;
        meaning = AND_BYTE;
      } else if (byte === EQUALS_SIGN) {
        // In a value it is no separator.
        meaning = isName ? EQUALS_BYTE : byte;
        isName = false;
      } else {
        // Negative if either is no hex digit.
        if (byte === PERCENT) meaning = (hexDigit(body[at + 1]) << 4) | hexDigit(body[at + 2]);
        if (isControl(meaning)) throw new WebhookError('body_malformed');
        at += 2;
      }
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
