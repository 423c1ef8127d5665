// Slow readers, written from the specifications character by character and without a look at the
// source: what the decoders are compared with. None of them shares code with `src`.

/** Where a reader stops. */
export class Malformed extends Error {}

// ---- UTF-8 (RFC 3629) ------------------------------------------------------------------------------

export function readUtf8(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] as number;
    const [length, smallest, bits] = lead(first);
    let point = bits;
    for (let next = 1; next < length; next++) {
      const byte = bytes[at + next];
      if (byte === undefined || byte < 0x80 || byte > 0xbf) throw new Malformed();
      point = point * 64 + (byte - 0x80);
    }
    if (point < smallest || point > 0x10ffff) throw new Malformed();
    if (point >= 0xd800 && point <= 0xdfff) throw new Malformed();
    text += String.fromCodePoint(point);
    at += length;
  }
  return text;
}

/** How many bytes, the smallest code point that needs so many, and the first bits. */
function lead(byte: number): readonly [length: number, smallest: number, bits: number] {
  if (byte < 0x80) return [1, 0, byte];
  if (byte >= 0xc0 && byte < 0xe0) return [2, 0x80, byte - 0xc0];
  if (byte >= 0xe0 && byte < 0xf0) return [3, 0x800, byte - 0xe0];
  if (byte >= 0xf0 && byte < 0xf8) return [4, 0x10000, byte - 0xf0];
  throw new Malformed();
}

// ---- Forms ---------------------------------------------------------------------------------------

const MAX_PAIRS = 64;
const HEX = '0123456789abcdef';

/** The fields in order, or all the faults that there are: which is told first is not said anywhere. */
export function readForm(bytes: Uint8Array): Map<string, string> | Set<string> {
  const faults = new Set<string>();
  const fields = new Map<string, string>();
  const pairs = split(bytes, '&');
  if (pairs.length > MAX_PAIRS) faults.add('body_malformed');
  for (const pair of pairs) {
    const [name, ...values] = split(pair, '=', 2);
    try {
      const decoded = formPart(name as Uint8Array);
      const value = values.map(formPart).join();
      if (values.length === 0 || decoded === '') throw new Malformed();
      if (decoded.includes('[') || decoded.includes(']')) throw new Malformed();
      if (fields.has(decoded)) faults.add('field_ambiguous');
      fields.set(decoded, value);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      faults.add('body_malformed');
    }
  }
  return faults.size > 0 ? faults : fields;
}

function split(bytes: Uint8Array, separator: string, most = Infinity): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let start = 0;
  for (let at = 0; at < bytes.length && parts.length < most - 1; at++) {
    if (bytes[at] !== separator.charCodeAt(0)) continue;
    parts.push(bytes.subarray(start, at));
    start = at + 1;
  }
  parts.push(bytes.subarray(start));
  return parts;
}

function formPart(part: Uint8Array): string {
  const decoded: number[] = [];
  for (let at = 0; at < part.length; at++) {
    let byte = part[at] as number;
    if (byte === 0x2b) byte = 0x20;
    else if (byte === 0x25) {
      const high = HEX.indexOf(character(part[at + 1]).toLowerCase());
      const low = HEX.indexOf(character(part[at + 2]).toLowerCase());
      if (high < 0 || low < 0) throw new Malformed();
      byte = high * 16 + low;
      at += 2;
    }
    if (byte < 0x20 || byte === 0x7f) throw new Malformed();
    decoded.push(byte);
  }
  return readUtf8(Uint8Array.from(decoded));
}

/** Something that is no hex digit where there is no byte. */
function character(byte: number | undefined): string {
  return byte === undefined ? '?' : String.fromCharCode(byte);
}

// ---- JSON (RFC 8259) -----------------------------------------------------------------------------

const MAX_DEPTH = 32;

interface Both {
  readonly value: unknown;
  /** With null for every number that has an exponent or more than 15 significant digits. */
  readonly exact: unknown;
}

/** An object at the top, at most 32 levels deep. */
export function readJson(bytes: Uint8Array): Both {
  const reader = new JsonReader(readUtf8(bytes));
  const read = reader.document();
  const { value } = read;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Malformed();
  if (depth(value) > MAX_DEPTH) throw new Malformed();
  return read;
}

function depth(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let deepest = 0;
  for (const one of Object.values(value)) deepest = Math.max(deepest, depth(one));
  return deepest + 1;
}

class JsonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Both {
    const read = this.#value();
    if (this.#at < this.#text.length) throw new Malformed();
    return read;
  }

  /** With the white space around it. */
  #value(): Both {
    this.#space();
    const read = this.#bare();
    this.#space();
    return read;
  }

  #bare(): Both {
    const next = this.#text[this.#at];
    if (next === '{') return this.#object();
    if (next === '[') return this.#list();
    if (next === '"') return both(this.#string());
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return both(value);
      }
    }
    return this.#number();
  }

  #object(): Both {
    const value = {};
    const exact = {};
    this.#take('{');
    this.#space();
    if (this.#has('}')) return { value, exact };
    do {
      this.#space();
      const name = this.#string();
      this.#space();
      this.#take(':');
      const read = this.#value();
      own(value, name, read.value);
      own(exact, name, read.exact);
    } while (this.#has(','));
    this.#take('}');
    return { value, exact };
  }

  #list(): Both {
    const value: unknown[] = [];
    const exact: unknown[] = [];
    this.#take('[');
    this.#space();
    if (this.#has(']')) return { value, exact };
    do {
      const read = this.#value();
      value.push(read.value);
      exact.push(read.exact);
    } while (this.#has(','));
    this.#take(']');
    return { value, exact };
  }

  #string(): string {
    this.#take('"');
    let text = '';
    for (;;) {
      const next = this.#text[this.#at++];
      if (next === undefined || next.charCodeAt(0) < 0x20) throw new Malformed();
      if (next === '"') return text;
      text += next === '\\' ? this.#escaped() : next;
    }
  }

  #escaped(): string {
    const next = this.#text[this.#at++] ?? '';
    if (next === 'u') {
      let unit = 0;
      for (let digits = 0; digits < 4; digits++) {
        const digit = HEX.indexOf((this.#text[this.#at++] ?? '?').toLowerCase());
        if (digit < 0) throw new Malformed();
        unit = unit * 16 + digit;
      }
      return String.fromCharCode(unit);
    }
    const found = ['"', '\\', '/', 'b', 'f', 'n', 'r', 't'].indexOf(next);
    if (found < 0) throw new Malformed();
    return ['"', '\\', '/', '\b', '\f', '\n', '\r', '\t'][found] as string;
  }

  #number(): Both {
    const start = this.#at;
    this.#has('-');
    const whole = this.#digits();
    if (whole.length > 1 && whole.startsWith('0')) throw new Malformed();
    const fraction = this.#has('.') ? this.#digits() : '';
    const isScientific = this.#has('e') || this.#has('E');
    if (isScientific) {
      if (!this.#has('+')) this.#has('-');
      this.#digits();
    }
    const value = Number(this.#text.slice(start, this.#at));
    const isExact =
      !isScientific && significant(whole + fraction) <= 15 && withPoint(whole, fraction) <= 40;
    return { value, exact: isExact ? value : null };
  }

  #digits(): string {
    const start = this.#at;
    while (isDigit(this.#text[this.#at])) this.#at++;
    if (this.#at === start) throw new Malformed();
    return this.#text.slice(start, this.#at);
  }

  #space(): void {
    while ([' ', '\t', '\n', '\r'].includes(this.#text[this.#at] ?? '')) this.#at++;
  }

  #has(sign: string): boolean {
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #take(sign: string): void {
    if (!this.#has(sign)) throw new Malformed();
  }
}

function both(value: unknown): Both {
  return { value, exact: value };
}

/** By definition rather than assignment, which would set the prototype for `__proto__`. */
function own(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

function isDigit(sign: string | undefined): boolean {
  return sign !== undefined && sign.length === 1 && '0123456789'.includes(sign);
}

/** How many digits are left without the zeros in front. */
function significant(digits: string): number {
  let zeros = 0;
  while (digits[zeros] === '0') zeros++;
  return digits.length - zeros;
}

function withPoint(whole: string, fraction: string): number {
  return whole.length + (fraction === '' ? 0 : 1 + fraction.length);
}

/** Equal to the last bit: `-0` is not `0`, the order of names counts, and so do prototypes. */
export function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return Object.is(a, b);
  }
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const names = Object.keys(a);
  const others = Object.keys(b);
  return (
    names.length === others.length &&
    names.every(
      (name, at) =>
        name === others[at] &&
        isSame((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]),
    )
  );
}

// ---- Money ---------------------------------------------------------------------------------------

/** Decimals of ISO 4217 for some of its codes; the others that are tried are not in it. */
export const DECIMALS: ReadonlyMap<string, number> = new Map([
  ...['XOF', 'VND', 'JPY', 'KRW', 'CLP', 'XAF'].map((code) => [code, 0] as const),
  ...['HTG', 'SGD', 'USD', 'EUR', 'IDR', 'MYR', 'PHP', 'THB'].map((code) => [code, 2] as const),
  ...['KWD', 'BHD', 'TND', 'JOD'].map((code) => [code, 3] as const),
  ...['CLF', 'UYW'].map((code) => [code, 4] as const),
]);

interface Decimal {
  readonly whole: string;
  readonly fraction: string;
}

/** Digits, perhaps grouped by threes, perhaps with a fraction; null for anything else. */
export function readDecimal(amount: unknown): Decimal | null {
  if (Object.is(amount, -0)) return null;
  if (typeof amount !== 'string' && typeof amount !== 'number') return null;
  const text = `${amount}`;
  if (text.length > 40) return null;
  const points = text.split('.');
  const [grouped = '', fraction = ''] = points;
  if (points.length > 2 || (points.length === 2 && fraction === '')) return null;
  const groups = grouped.split(',');
  const [first = ''] = groups;
  if (groups.length > 1) {
    if (first.length > 3 || first.startsWith('0')) return null;
    if (groups.slice(1).some((group) => group.length !== 3)) return null;
  }
  const whole = groups.join('');
  if (first === '' || (whole.length > 1 && whole.startsWith('0'))) return null;
  for (const sign of whole + fraction) if (!isDigit(sign)) return null;
  return significant(whole + fraction) > 15 ? null : { whole, fraction };
}

/** Exact, in units of 10 to the power of -40. */
export function scaled({ whole, fraction }: Decimal): bigint {
  return BigInt(whole + fraction.padEnd(40, '0'));
}

export function textOf({ whole, fraction }: Decimal): string {
  return fraction === '' ? whole : `${whole}.${fraction}`;
}

export interface Amount {
  readonly currency: string;
  readonly value: string;
  readonly minorUnits: number | null;
}

export function readMoney(amount: unknown, currency: unknown): Amount | null {
  const decimal = readDecimal(amount);
  if (decimal === null || typeof currency !== 'string' || currency.length !== 3) return null;
  const isLetter = (sign: string) => (sign >= 'a' && sign <= 'z') || (sign >= 'A' && sign <= 'Z');
  if (![...currency].every(isLetter)) return null;
  const code = currency.toUpperCase();
  const decimals = DECIMALS.get(code);
  const value = textOf(decimal);
  if (decimals === undefined) return { currency: code, value, minorUnits: null };
  const unit = 10n ** BigInt(40 - decimals);
  const amountScaled = scaled(decimal);
  if (amountScaled % unit !== 0n) return null;
  const minor = amountScaled / unit;
  if (minor > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  return { currency: code, value, minorUnits: Number(minor) };
}

// ---- Signatures ----------------------------------------------------------------------------------

/** The bytes of 64 hex digits, or null. */
export function readHex(text: string): number[] | null {
  if (text.length !== 64) return null;
  const bytes: number[] = [];
  for (let at = 0; at < 64; at += 2) {
    const high = hexValue(text.charCodeAt(at));
    const low = hexValue(text.charCodeAt(at + 1));
    if (high < 0 || low < 0) return null;
    bytes.push(high * 16 + low);
  }
  return bytes;
}

function hexValue(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 65 && code <= 70) return code - 55;
  return code >= 97 && code <= 102 ? code - 87 : -1;
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** 256 bits in 43 characters: the last one has two bits too many, which must be zero. */
export function readBase64url(text: string): number[] | null {
  if (text.length !== 43) return null;
  let bits = 0n;
  for (let at = 0; at < 43; at++) {
    const digit = BASE64URL.indexOf(text.charAt(at));
    if (digit < 0) return null;
    bits = bits * 64n + BigInt(digit);
  }
  if (bits % 4n !== 0n) return null;
  const hex = (bits / 4n).toString(16).padStart(64, '0');
  return readHex(hex);
}

// ---- Headers and URLs ----------------------------------------------------------------------------

const LATIN_SPACES = '\t\n\u000b\f\r \u00a0';

/** Of Latin-1 text, which is what Node makes of a header. */
export function readEssence(contentType: string): string {
  let start = 0;
  let end = 0;
  while (end < contentType.length && contentType[end] !== ';') end++;
  while (start < end && LATIN_SPACES.includes(contentType.charAt(start))) start++;
  while (end > start && LATIN_SPACES.includes(contentType.charAt(end - 1))) end--;
  let essence = '';
  for (let at = start; at < end; at++) {
    const code = contentType.charCodeAt(at);
    const isUpper = (code >= 65 && code <= 90) || (code >= 0xc0 && code <= 0xde && code !== 0xd7);
    essence += String.fromCharCode(isUpper ? code + 32 : code);
  }
  return essence;
}

/** By the WHATWG's parser of `application/x-www-form-urlencoded`, which is a lenient one. */
export function readQuery(url: string, name: string): string[] {
  const at = url.indexOf('?');
  if (at < 0) return [];
  const values: string[] = [];
  let query = url.slice(at + 1);
  // The constructor of URLSearchParams takes a question mark in front for the one of a URL.
  if (query.startsWith('?')) query = query.slice(1);
  for (const pair of split(Buffer.from(query), '&')) {
    if (pair.length === 0) continue;
    const [first, second = new Uint8Array()] = split(pair, '=', 2);
    if (lenient(first as Uint8Array) === name) values.push(lenient(second));
  }
  return values;
}

function lenient(part: Uint8Array): string {
  const decoded: number[] = [];
  for (let at = 0; at < part.length; at++) {
    const byte = part[at] as number;
    const high = HEX.indexOf(character(part[at + 1]).toLowerCase());
    const low = HEX.indexOf(character(part[at + 2]).toLowerCase());
    if (byte === 0x25 && high >= 0 && low >= 0) {
      decoded.push(high * 16 + low);
      at += 2;
    } else {
      decoded.push(byte === 0x2b ? 0x20 : byte);
    }
  }
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(decoded));
}
