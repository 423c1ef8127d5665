import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { delivery, essence, queryValues } from '../../src/core/delivery.ts';
import { eventId } from '../../src/core/event.ts';
import { decodeForm } from '../../src/core/form.ts';
import { hmacSha256 } from '../../src/core/hmac.ts';
import {
  decodeJson,
  exactIn,
  isAsStringified,
  isObject,
  type JsonObject,
  parseJson,
} from '../../src/core/json.ts';
import { compareDecimals, decimal, money } from '../../src/core/money.ts';
import { hexSignature, keyring, signingKeyOfText } from '../../src/core/secrets.ts';
import { decodeUtf8 } from '../../src/core/utf8.ts';
import type { Chance } from '../hitpay-bodies.ts';
import {
  DECIMALS,
  isSame,
  Malformed,
  readBase64url,
  readDecimal,
  readEssence,
  readForm,
  readHex,
  readJson,
  readMoney,
  readQuery,
  readUtf8,
  scaled,
  textOf,
} from './references.ts';
import {
  chanceFor,
  fault,
  guard,
  INPUTS,
  Mutator,
  outcome,
  SEED,
  Tally,
  TIMEOUT,
} from './support.ts';

// Every strict decoder against a slow reader of the same specification (`references.ts`).

guard();

/** One input and whether the decoder took it; throws where decoder and reference differ. */
type Judge = (at: number) => boolean;

/** Runs a decoder over all of its inputs. Both outcomes must occur, or the inputs are no test. */
function decoder(what: string, prepare: (chance: Chance) => Judge): void {
  it(`${what}: as the reference reads it`, { timeout: TIMEOUT }, () => {
    const tally = new Tally(what);
    const judge = prepare(chanceFor(what));
    for (let at = 0; at < INPUTS; at++) {
      tally.add('inputs');
      tally.add(judge(at) ? 'accepted' : 'refused');
    }
    tally.tell();
    expect(tally.counts.inputs).toBe(INPUTS);
    expect(tally.counts.accepted).toBeGreaterThan(INPUTS / 200);
    expect(tally.counts.refused).toBeGreaterThan(INPUTS / 200);
  });
}

/** What a reference gives, or undefined where it stops. */
function reference<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

// ---- Inputs --------------------------------------------------------------------------------------

const FORMS = [
  'amount=599.00&currency=SGD&status=completed&phone=&reference_number=A+B',
  'a=1&b=2',
  'a=%C3%A9%F0%9F%92%B0&b=é=💰',
  'a%20b=c+d&__proto__=1&constructor=2&hasOwnProperty=3',
  Array.from({ length: 64 }, (_, index) => `f${index}=${index}`).join('&'),
];
const FORM_WORDS = [
  ...['&', '=', '+', '%', '%2', '%26', '%3D', '%3d', '%25', '%2B', '%00', '%0A', '%7F', '%01%02'],
  ...['%C3', '%A9', '%ED%A0%80', '%C0%80', '%F4%90%80%80', '%EF%BB%BF', '\xc3\xa9', '\xef\xbb\xbf'],
  ...[
    '[',
    ']',
    '%5B',
    '&a=2',
    '&a=',
    '&&',
    '=&',
    '\x00',
    '\x01',
    '\x02',
    '__proto__',
    '%g1',
    '%1G',
  ],
];

const UTF8_SEEDS = [
  'plain',
  'é',
  'ÿ€',
  '💰💰',
  'a\u0000b',
  '\ufeffa',
  '\u{10ffff}',
  '\ud7ff\ue000',
];
const UTF8_WORDS = [
  ...['\xc0\x80', '\xc1\xbf', '\xe0\x9f\xbf', '\xe0\xa0\x80', '\xed\x9f\xbf', '\xed\xa0\x80'],
  ...[
    '\xf0\x8f\xbf\xbf',
    '\xf0\x90\x80\x80',
    '\xf4\x8f\xbf\xbf',
    '\xf4\x90\x80\x80',
    '\xf5',
    '\x80',
  ],
  ...['\xfe', '\xff', '\xef\xbb\xbf', '\xe2\x82', '\xf0\x9f\x92', '\xc3'],
];

const NUMBERS = [
  ...[
    '0',
    '-0',
    '1',
    '-1',
    '1500',
    '599.00',
    '0.1',
    '1.10',
    '1e5',
    '1E+2',
    '1e-7',
    '0e0',
    '-1e400',
  ],
  ...[
    '123456789012345',
    '1234567890123456',
    '9007199254740993',
    '12345678.1234567',
    '0.30000000000000004',
  ],
  ...['12345678.12345678', '0.000000000000001', '0.0000000000000001', `0.${'0'.repeat(38)}1`],
  ...[`0.${'0'.repeat(39)}1`, '100000000000000000000', '-123456789012345.6', '0.0000000000000000'],
];
const NOT_NUMBERS = [
  '01',
  '1.',
  '.5',
  '+1',
  '--1',
  '1e',
  '1e+',
  'NaN',
  'Infinity',
  '0x10',
  '1_0',
  '-',
];
const NAMES = [
  'a',
  'b',
  'amount',
  'amoun\\u0074',
  'data',
  '__proto__',
  'constructor',
  '',
  '1',
  '0',
  'é',
  'AMOUNT',
];
const JSON_WORDS = [
  ...'{}[],:"\\e.-0 \n\x00\xff',
  ...['\\u00', '\\ud83d', '1e5', '//', 'null', '1234567890123456', '"__proto__":{"x":1},'],
  ...['\xc3\xa9', '\xef\xbb\xbf', '\xc2\xa0'],
];

const LONG_END = `,"long":"${'x'.repeat(9_000)}"}`;

/** Whether a name stands twice in a text as it is. */
function isTwice(text: Uint8Array, name: string): boolean {
  return Buffer.from(text).toString().split(`"${name}":`).length > 2;
}

/** Writes JSON, most of it valid, with all that can stand in it. */
class JsonWriter {
  readonly #chance: Chance;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  document(): string {
    const chance = this.#chance;
    const draw = chance.next();
    if (draw < 0.01) return this.#nested(chance.int(26, 36));
    if (draw < 0.03) return this.#value(1);
    return this.#object(chance.int(0, 3));
  }

  #nested(levels: number): string {
    const inner = `${'['.repeat(levels)}${']'.repeat(levels)}`;
    // Only the last of two counts, so the depth is that of what is left.
    return `{"a":${inner}${this.#chance.is(0.3) ? ',"a":1' : ''}}`;
  }

  #value(levels: number): string {
    const chance = this.#chance;
    const draw = chance.next();
    if (levels > 0 && draw < 0.15) return this.#object(levels - 1);
    if (levels > 0 && draw < 0.3) {
      return `[${this.#list(() => this.#value(levels - 1))}]`;
    }
    if (draw < 0.65) return this.#number();
    if (draw < 0.9) return this.#string();
    return chance.of(['true', 'false', 'null']);
  }

  #object(levels: number): string {
    const member = () => {
      const name = this.#chance.is(0.8) ? `"${this.#chance.of(NAMES)}"` : this.#string();
      return `${name}${this.#space()}:${this.#space()}${this.#value(levels)}`;
    };
    return `${this.#space()}{${this.#list(member)}}${this.#space()}`;
  }

  #list(one: () => string): string {
    const parts: string[] = [];
    for (let left = this.#chance.int(0, 4); left > 0; left--) {
      parts.push(this.#space() + one() + this.#space());
    }
    return parts.join(',');
  }

  #number(): string {
    const chance = this.#chance;
    if (chance.is(0.5)) return chance.of(NUMBERS);
    if (chance.is(0.01)) return chance.of(NOT_NUMBERS);
    const digits = (most: number) => chance.text(chance.int(1, most), '0123456789');
    const whole = chance.is(0.3) ? '0' : chance.of([...'123456789']) + digits(9);
    return `${chance.is(0.2) ? '-' : ''}${whole}${chance.is(0.5) ? `.${digits(12)}` : ''}`;
  }

  #string(): string {
    const chance = this.#chance;
    const parts = [
      'a',
      '1e5',
      '12345678901234567',
      ':1e5',
      '[1e5',
      ',',
      '{',
      'é',
      '💰',
      '/',
      ' 1e5',
    ];
    const escapes = ['\\"', '\\\\', '\\/', '\\n', '\\u0041', '\\ud83d', '\\\\\\"'];
    let text = '';
    for (let left = chance.int(0, 4); left > 0; left--) {
      text += chance.of(chance.is(0.3) ? escapes : parts);
    }
    // Most of such a text is strings, which the decoder has a way of its own for.
    if (chance.is(0.01)) text += 'long '.repeat(chance.int(200, 900));
    return `"${text}"`;
  }

  #space(): string {
    return this.#chance.is(0.15) ? this.#chance.of([' ', '\n', '\t', '\r', '  ']) : '';
  }
}

function encodedByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16)}`;
}

// ---- The decoders --------------------------------------------------------------------------------

describe('bodies', () => {
  decoder('decodeForm', (chance) => {
    const mutator = new Mutator(chance, FORMS, FORM_WORDS);
    return (at) => {
      const bytes = mutator.bytes();
      const before = Buffer.from(bytes);
      const expected = readForm(bytes);
      const { value, code } = outcome(() => decodeForm(bytes));
      if (!bytes.equals(before)) throw fault('the body was changed', at, before);
      if (code !== undefined) {
        if (expected instanceof Map || !expected.has(code)) throw fault(code, at, bytes);
        return false;
      }
      if (!(expected instanceof Map)) throw fault(`accepted: ${[...expected]}`, at, bytes);
      if (!isSame([...value], [...expected])) throw fault('other fields', at, bytes);
      // What the platform reads of a form that is well-formed; a character may be half escaped.
      const ascii = bytes.toString('latin1').replace(/[\x80-\xff]/g, encodedByte);
      const platform = [...new URLSearchParams(`&${ascii}`)];
      if (!isSame([...value], platform)) throw fault('not as URLSearchParams', at, bytes);
      return true;
    };
  });

  decoder('decodeJson', (chance) => {
    const writer = new JsonWriter(chance);
    const mutator = new Mutator(chance, ['{"a":1}', '{"b":[1.5,"x"]}'], JSON_WORDS);
    return (at) => {
      const written = Buffer.from(writer.document());
      const bytes = chance.is(0.3) ? mutator.change(written, chance.int(1, 3)) : written;
      const expected = reference(() => readJson(bytes));
      const { value, code } = outcome(() => decodeJson(bytes));
      if (code !== undefined) {
        if (expected || code !== 'body_malformed') throw fault(code, at, bytes);
        return false;
      }
      if (!expected) throw fault('accepted', at, bytes);
      if (!isSame(value.value, expected.value)) throw fault('another value', at, bytes);
      if (!isSame(value.exact, expected.exact)) throw fault('other exact numbers', at, bytes);
      // Where only some are read, also in a long body that begins with them.
      if (chance.is(0.1)) {
        const names = chance.of([['a'], ['amount', 'AMOUNT'], ['a', 'b', 'amount']]);
        const within = chance.of(['b', 'data', undefined]);
        const numbers = { names, ...(within === undefined ? {} : { within }) };
        const read = (fields: JsonObject): unknown[] => {
          const inner = within === undefined ? undefined : fields[within];
          const from = isObject(inner) ? inner : fields;
          return names.map((name) => from[name]);
        };
        for (const text of [bytes, Buffer.from(bytes.toString().replace(/\}\s*$/, LONG_END))]) {
          const { value: exact } = outcome(() => exactIn(parseJson(text), numbers));
          const whole = reference(() => readJson(text));
          if (!exact && !whole) continue;
          if (!exact || !whole) throw fault('only one reads it', at, text);
          const [found, right] = [read(exact), read(whole.exact as JsonObject)];
          for (const [index, told] of read(whole.value as JsonObject).entries()) {
            if (typeof told !== 'number' || isSame(found[index], right[index])) continue;
            // One that is written twice may be exact where it is overridden by the same number.
            if (isTwice(text, names[index] as string) && found[index] === told) continue;
            throw fault('other exact numbers of a name', at, text);
          }
        }
      }
      if (isAsStringified(bytes) && JSON.stringify(expected.value) !== bytes.toString()) {
        throw fault('JSON.stringify writes it otherwise', at, bytes);
      }
      return true;
    };
  });

  decoder('decodeUtf8', (chance) => {
    const mutator = new Mutator(chance, UTF8_SEEDS, UTF8_WORDS);
    const platform = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    return (at) => {
      const bytes = mutator.bytes();
      // Also where the bytes are a part of a larger buffer and no Buffer themselves.
      const given = chance.is(0.5) ? bytes : new Uint8Array([0xff, ...bytes, 0xff]).subarray(1, -1);
      const expected = reference(() => readUtf8(bytes));
      const { value, code } = outcome(() => decodeUtf8(given));
      if (value !== expected) throw fault(code ?? 'another text', at, bytes);
      if (code !== undefined && code !== 'body_malformed') throw fault(code, at, bytes);
      if (value !== undefined && platform.decode(bytes) !== value) {
        throw fault('not as TextDecoder', at, bytes);
      }
      // A long text is decoded in blocks: here the same bytes stand where two of them meet.
      if (chance.is(0.05)) {
        const long = Buffer.concat([Buffer.alloc(chance.int(4_084, 4_097), 'a'), bytes, bytes]);
        const { value: text } = outcome(() => decodeUtf8(long));
        if (text !== reference(() => readUtf8(long))) throw fault('in blocks', at, long);
      }
      return code === undefined;
    };
  });
});

const AMOUNTS = [
  ...NUMBERS,
  ...NOT_NUMBERS,
  '1,234.50',
  '900,000.00',
  '1,23',
  '0,123',
  '1,2345',
  '',
];

function amountOf(chance: Chance): unknown {
  const draw = chance.next();
  const digits = (most: number) => chance.text(chance.int(0, most), '0123456789');
  if (draw < 0.15) return chance.of(AMOUNTS);
  if (draw < 0.3) return chance.int(-1_000, 1_000_000) / chance.of([1, 10, 100, 1_000, 3, 7]);
  if (draw < 0.33) return chance.of([Number.NaN, Infinity, -0, 2 ** 53, 1e21, 1e-7, 0.1 + 0.2]);
  if (draw < 0.35) return chance.of([null, undefined, true, {}, ['1'], 1n, new Number(1)]);
  if (draw < 0.5) return `${chance.int(1, 999)},${digits(4)},${digits(3)}.${digits(3)}`;
  if (draw < 0.55) return digits(20) + chance.of([' ', '\n', '٣', 'e', '-', '.', ',', '\u0000']);
  const whole = chance.is(0.3) ? '0' : chance.of([...'123456789']) + digits(15);
  return chance.is(0.4) ? whole : `${whole}.${digits(5)}${chance.of(['', '0', '00000'])}`;
}

const CURRENCIES = [
  ...DECIMALS.keys(),
  ...['sgd', 'Htg', 'xof', 'kwD', 'ZZZ', 'btc', 'QqQ'],
  ...['', 'SG', 'SGDD', 'S D', 'ſgd', '\u212awd', 'SGD\n', null, undefined, 702, ['SGD']],
];

describe('money', () => {
  decoder('decimal', (chance) => (at) => {
    const amount = amountOf(chance);
    const expected = readDecimal(amount);
    const value = decimal(amount);
    if (value !== (expected && textOf(expected))) throw fault(`read as ${value}`, at, `${amount}`);
    return value !== null;
  });

  decoder('money', (chance) => (at) => {
    const amount = amountOf(chance);
    const currency = chance.of(CURRENCIES);
    const expected = readMoney(amount, currency);
    const read = money(amount, currency);
    if (!isSame(read, expected)) {
      throw fault(`read as ${JSON.stringify(read)}`, at, [`${amount}`, currency]);
    }
    return read !== null;
  });

  decoder('compareDecimals', (chance) => {
    const one = () => {
      const digits = (most: number) => chance.text(chance.int(1, most), '0123456789');
      const whole = chance.is(0.3) ? '0' : chance.of([...'123456789']) + digits(6);
      return chance.is(0.4) ? whole : `${whole}.${digits(8)}`;
    };
    return (at) => {
      const a = one();
      const b = chance.is(0.3) ? `${a}${a.includes('.') ? '' : '.'}0${digit(chance)}` : one();
      const difference = scaledText(a) - scaledText(b);
      const expected = difference < 0n ? -1 : difference > 0n ? 1 : 0;
      if (compareDecimals(a, b) !== expected) throw fault(`not ${expected}`, at, [a, b]);
      // "Accepted" stands for equality here: both outcomes must occur.
      return expected === 0;
    };
  });
});

function digit(chance: Chance): string {
  return chance.of(['0', '', '7']);
}

function scaledText(text: string): bigint {
  const [whole = '', fraction = ''] = text.split('.');
  return scaled({ whole, fraction });
}

const HEX_SIGNATURES = [
  '0123456789abcdef'.repeat(4),
  'A'.repeat(64),
  'fF'.repeat(32),
  '0'.repeat(62),
];
const HEX_WORDS = [
  'g',
  'G',
  '/',
  ':',
  '@',
  '`',
  ' ',
  ', ',
  '0x',
  '\u00e9',
  'sha256=',
  '\n',
  '\r',
  '00',
];
const SIGNERS = keyring('token', ['one', 'two', 'three']);
const TOKENS = SIGNERS.map(({ key }) => hmacSha256(key, 'label').toString('base64url'));
const TOKEN_MACS = SIGNERS.map(({ key }) => [...hmacSha256(key, 'label')]);
const TOKEN_WORDS = ['=', '==', '+', '/', '-', '_', 'A', 'B', '9', ' ', '\n', '\u00c1', '%', 'AA'];

/** A text of characters up to U+00FF, or with a wide one whose low byte is a digit. */
function wide(chance: Chance, bytes: Buffer): string {
  const text = bytes.toString('latin1');
  if (!chance.is(0.1)) return text;
  const at = chance.int(0, text.length - 1);
  const code = text.charCodeAt(at) + 0x100 * chance.int(1, 255);
  return text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
}

describe('signatures and tokens', () => {
  decoder('hexSignature', (chance) => {
    const mutator = new Mutator(chance, HEX_SIGNATURES, HEX_WORDS);
    return (at) => {
      const text = wide(
        chance,
        mutator.change(Buffer.from(chance.of(HEX_SIGNATURES)), chance.int(0, 2)),
      );
      const expected = readHex(text);
      const { value, code } = outcome(() => hexSignature(text));
      if (code !== undefined) {
        if (expected !== null || code !== 'signature_malformed') throw fault(code, at, text);
        return false;
      }
      if (!isSame(expected, [...value])) throw fault('other bytes', at, text);
      return true;
    };
  });

  decoder('signingKeyOfText', (chance) => {
    const mutator = new Mutator(chance, TOKENS, TOKEN_WORDS);
    const now = new Date();
    return (at) => {
      const text = wide(chance, mutator.change(Buffer.from(chance.of(TOKENS)), chance.int(0, 2)));
      const bytes = readBase64url(text);
      const signer = TOKEN_MACS.findIndex((mac) => isSame(mac, bytes));
      const id = signingKeyOfText(SIGNERS, text, now, 'label');
      if (id !== SIGNERS[signer]?.id) throw fault('another signer', at, text);
      return id !== undefined;
    };
  });
});

const TYPES = [
  'application/json',
  'Application/JSON; charset=utf-8',
  ' text/plain ;a=b',
  'A\u00c9\u00d7/b',
];
const TYPE_WORDS = [
  ';',
  ' ',
  '\t',
  ',',
  '/',
  '\u00a0',
  '\u000b',
  'JSON',
  '\u00df',
  '\u00ff',
  '\u0085',
  '"',
];
const URLS = [
  '/webhook?payproof=abc',
  '/webhook?a=1&payproof=%41b&payproof=2',
  'https://shop.example/webhook?payproof=a+b#payproof=c',
  '/webhook',
  '/?x=é💰&payproof=%C3%A9',
];
const URL_WORDS = [
  ...[
    '?',
    '??',
    '&',
    '=',
    '&payproof=',
    '&PAYPROOF=',
    '%70ayproof=',
    '+',
    '%',
    '%2',
    '%zz',
    '%ff',
    '#',
  ],
  ...['%F0%9F', '\u00ff', '&payproof', '%00', '%26', '%3D', ';payproof=', '%EF%BB%BFpayproof='],
];
const HEADER_NAMES = [
  'X-Hatex-Signature',
  'Content-Type',
  'Authorization',
  '__proto__',
  'constructor',
];

/** A name with the case of its letters drawn. */
function anyCase(chance: Chance, name: string): string {
  const how = chance.int(0, 3);
  if (how === 0) return name;
  if (how === 1) return name.toLowerCase();
  if (how === 2) return name.toUpperCase();
  return [...name].map((one) => (chance.is(0.5) ? one.toUpperCase() : one.toLowerCase())).join('');
}

describe('headers and URLs', () => {
  decoder('essence', (chance) => {
    const mutator = new Mutator(
      chance,
      TYPES.map((type) => Buffer.from(type, 'latin1')),
      TYPE_WORDS,
    );
    return (at) => {
      const text = mutator.bytes().toString('latin1');
      const read = essence(text);
      if (read !== readEssence(text)) throw fault(`read as ${read}`, at, text);
      return read === 'application/json';
    };
  });

  decoder('queryValues', (chance) => {
    const mutator = new Mutator(chance, URLS, URL_WORDS);
    return (at) => {
      // Node reads other characters beside a broken escape by their low byte; a URL holds none.
      const url = mutator.bytes().toString('ascii');
      const values = queryValues(url, 'payproof');
      if (!isSame(values, readQuery(url, 'payproof'))) throw fault(`read as ${values}`, at, url);
      return values.length > 0;
    };
  });

  decoder('header reader', (chance) => (at) => {
    const wanted = chance.of(HEADER_NAMES);
    const isRecord = chance.is(0.7);
    const record: Record<string, string | string[] | undefined> = Object.create(
      chance.is(0.5) ? null : Object.prototype,
    );
    const headers = new Headers();
    const values: string[] = [];
    for (let left = chance.int(0, 5); left > 0; left--) {
      const name = chance.of(HEADER_NAMES);
      const value = chance.text(chance.int(0, 3), 'ab, \u00e9;');
      if (!isRecord) {
        headers.append(anyCase(chance, name), value);
        if (name === wanted) values.push(value.trim());
        continue;
      }
      const key = anyCase(chance, name);
      if (Object.hasOwn(record, key)) continue;
      const draw = chance.int(0, 5);
      const held = draw === 0 ? undefined : draw === 1 ? [value, value] : value;
      Object.defineProperty(record, key, { value: held, enumerable: true });
    }
    if (isRecord) values.push(...valuesIn(record, wanted));
    const expected = values.length === 0 ? undefined : values.join(', ');
    const input = { headers: isRecord ? record : headers, body: new Uint8Array() };
    const read = delivery(input).header(anyCase(chance, wanted));
    if (read !== expected) throw fault(`${wanted} read as ${read}`, at, record);
    return read !== undefined;
  });
});

/** In the order of the record's own keys. */
function valuesIn(record: Record<string, string | string[] | undefined>, wanted: string): string[] {
  const values: string[] = [];
  for (const key of Object.keys(record)) {
    const value = record[key];
    if (key.toUpperCase() === wanted.toUpperCase() && value !== undefined) {
      values.push(...[value].flat());
    }
  }
  return values;
}

// ---- What was written is read --------------------------------------------------------------------

/** Each of these costs as much as dozens of the inputs above. */
const STRUCTURED = Math.ceil(INPUTS / 20);

/** A property over structured inputs, which fast-check makes as small as it can when it fails. */
function property<T extends [unknown, ...unknown[]]>(
  what: string,
  ...[arbitraries, holds]: [{ [K in keyof T]: fc.Arbitrary<T[K]> }, (...values: T) => void]
): void {
  it(what, { timeout: TIMEOUT }, () => {
    const tally = new Tally(what);
    const counted = (...values: T) => {
      tally.add('structured inputs');
      holds(...values);
    };
    fc.assert(fc.property(...arbitraries, counted), { seed: SEED, numRuns: STRUCTURED });
    tally.tell();
  });
}

describe('what was written is read', () => {
  const character = fc.oneof(
    fc.constantFrom(...'&=+%;/ ?abcZ09'),
    fc.integer({ min: 0x20, max: 0x10ffff }).map((point) => String.fromCodePoint(point)),
  );
  const text = (constraints: fc.StringConstraints) =>
    fc
      .string({ unit: character, ...constraints })
      .filter((one) => !/[\p{Surrogate}\p{Cc}]/u.test(one));
  const name = text({ minLength: 1, maxLength: 8 }).filter((one) => !/[[\]]/.test(one));
  const fields = fc.uniqueArray(fc.tuple(name, text({ maxLength: 12 })), {
    minLength: 1,
    maxLength: 64,
    selector: ([key]) => key,
  });

  property<[[string, string][], boolean, boolean]>(
    'a form, however it was escaped',
    [fields, fc.boolean(), fc.boolean()],
    (list, isPlus, isEverything) => {
      const escapes = (part: string) =>
        isEverything
          ? [...Buffer.from(part)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
          : encodeURIComponent(part).replaceAll('%20', isPlus ? '+' : '%20');
      const body = list.map(([key, value]) => `${escapes(key)}=${escapes(value)}`).join('&');
      expect([...decodeForm(Buffer.from(body))]).toEqual(list);
    },
  );

  property<[Record<string, fc.JsonValue>, number]>(
    'JSON, however it was laid out',
    [fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), fc.constantFrom(0, 1, 4)],
    (object, indent) => {
      const written = JSON.stringify(object, null, indent);
      const { value, exact } = decodeJson(Buffer.from(written));
      const expected = readJson(Buffer.from(written));
      expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(written)));
      expect(isSame(exact, expected.exact)).toBe(true);
    },
  );

  const cents = fc.bigInt({ min: 0n, max: 999_999_999_999_999n });
  property<[bigint, boolean]>('an amount of cents', [cents, fc.boolean()], (minor, isGrouped) => {
    const whole = `${minor / 100n}`;
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
    const fraction = `${minor % 100n}`.padStart(2, '0');
    const read = money(`${isGrouped ? grouped : whole}.${fraction}`, 'SGD');
    expect(read).toEqual({
      currency: 'SGD',
      value: `${whole}.${fraction}`,
      minorUnits: Number(minor),
    });
  });

  it('no id is that of two facts', { timeout: TIMEOUT }, () => {
    const tally = new Tally('eventId');
    const chance = chanceFor('eventId');
    // So few and short that most are drawn many times: an id that two share is found.
    const words = ['', 'a', ':', '%', '%3A', '%25', '25', '3A'];
    const part = () => chance.of(words) + chance.of(words);
    const facts = new Map<string, string>();
    for (let at = 0; at < INPUTS; at++) {
      const parts = Array.from({ length: chance.int(1, 3) }, part);
      const id = eventId(...parts);
      const fact = JSON.stringify(parts);
      const first = facts.get(id) ?? fact;
      if (first !== fact) throw fault(`the id of ${first}`, at, parts);
      if (facts.size < 100_000) facts.set(id, fact);
      tally.add('inputs');
    }
    tally.tell();
    expect(tally.counts.inputs).toBe(INPUTS);
  });
});
