import { describe, expect, it, vi } from 'vitest';
import {
  type DeliveryInput,
  delivery,
  essence,
  type HeadersLike,
} from '../../src/core/delivery.ts';

const body = Buffer.from('x');
const header = (headers: HeadersLike, name = 'x-sig') => delivery({ headers, body }).header(name);
const query = (url: string | undefined, name = 'a') =>
  delivery({ headers: {}, body, url }).query(name);

describe('delivery: headers', () => {
  it.each([
    ['a plain record', { 'x-sig': 'v' }],
    ['any case', { 'X-SIG': 'v' }],
    ['a list of one', { 'x-sig': ['v'] }],
    ['a Headers', new Headers({ 'X-Sig': 'v' })],
    ['no prototype', Object.assign(Object.create(null), { 'x-sig': 'v' })],
  ])('reads %s, by a name in any case', (_, headers) => {
    expect(header(headers)).toBe('v');
    expect(header(headers, 'X-Sig')).toBe('v');
  });

  it.each([
    ['none', {}],
    ['undefined', { 'x-sig': undefined }],
    ['an empty Headers', new Headers()],
    ['an inherited one', Object.create({ 'x-sig': 'v' })],
    ['another of the same length', { 'x-abc': 'v' }],
  ])('gives undefined for %s', (_, headers) => {
    expect(header(headers)).toBeUndefined();
  });

  it('gives undefined for names that every object has', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      expect(header({}, name)).toBeUndefined();
    }
  });

  it.each([
    ['a list', { 'x-sig': ['a', 'b'] }],
    ['two cases', { 'x-sig': 'a', 'X-Sig': 'b' }],
    [
      'a Headers',
      new Headers([
        ['x-sig', 'a'],
        ['X-Sig', 'b'],
      ]),
    ],
  ])('joins one that was sent twice, from %s', (_, headers) => {
    expect(header(headers)).toBe('a, b');
  });

  it('works where there is no global Headers', () => {
    vi.stubGlobal('Headers', undefined);
    try {
      expect(header({ 'x-sig': 'v' })).toBe('v');
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe('delivery: content type', () => {
  it.each([
    ['application/json', 'application/json'],
    ['Application/JSON; charset=utf-8', 'application/json'],
    [' application/json ;a=b;c=d', 'application/json'],
    ['application/json, text/plain', 'application/json, text/plain'],
    ['', ''],
    [';', ''],
  ])('of %j is %j', (value, type) => {
    expect(essence(value)).toBe(type);
    expect(delivery({ headers: { 'Content-Type': value }, body }).contentType).toBe(type);
  });

  it('is null where none was sent', () => {
    expect(delivery({ headers: {}, body }).contentType).toBeNull();
  });
});

describe('delivery: query', () => {
  it.each([
    [undefined, []],
    ['', []],
    ['/webhook', []],
    ['/webhook?', []],
    ['/webhook?b=1', []],
    ['/webhook?a=1', ['1']],
    ['/webhook?a=1&a=2&b=3', ['1', '2']],
    ['/webhook?a=', ['']],
    ['/webhook?a=x%2By+z', ['x+y z']],
    ['/webhook?b=?a=1&a=2', ['2']],
    ['https://shop.example/webhook?a=1', ['1']],
    ['/webhook?a=%zz', ['%zz']],
    ['?a=1', ['1']],
    ['a=1', []],
    ['/webhook&a=1', []],
  ])('of %j is %j', (url, values) => {
    expect(query(url)).toEqual(values);
  });

  it('does not take a parameter for one that every object has', () => {
    expect(query('/?a=1', '__proto__')).toEqual([]);
  });

  it('reads every short query as URLSearchParams does', () => {
    const letters = ['a', 'b', '=', '&', '+', '%62', '?'];
    let queries = [''];
    for (let length = 1; length <= 5; length++) {
      queries = queries.flatMap((query) => [query, ...letters.map((one) => query + one)]);
    }
    const wrong = [...new Set(queries)].flatMap((text) =>
      ['a', 'b', 'ab', ' ', '', '=', '&', '?', 'a=', 'a=b', '=a', 'a&b', 'a&', '?a'].filter(
        (name) =>
          `${query(`/?${text}`, name)}` !== `${new URLSearchParams(text).getAll(name)}` ||
          query(`/?${text}`, name).length !== new URLSearchParams(text).getAll(name).length,
      ),
    );
    expect(wrong).toEqual([]);
  });
});

describe('delivery: arguments', () => {
  it('passes on the bytes and the instant', () => {
    const receivedAt = new Date(5);
    expect(delivery({ headers: {}, body, receivedAt })).toMatchObject({ body, receivedAt });
    const bytes = new Uint8Array([1]);
    expect(delivery({ headers: {}, body: bytes }).body).toBe(bytes);
  });

  it('takes now where no instant is given', () => {
    const before = Date.now();
    const at = +delivery({ headers: {}, body }).receivedAt;
    expect(at).toBeGreaterThanOrEqual(before);
    expect(at).toBeLessThanOrEqual(Date.now());
  });

  const BAD: [shown: string, input: unknown, message: RegExp][] = [
    ['a parsed body', { headers: {}, body: { a: 1 } }, /^body: .*raw bytes/],
    ['a text', { headers: {}, body: 'text' }, /^body: /],
    ['no body', { headers: {} }, /^body: /],
    ['a list of numbers', { headers: {}, body: [1, 2] }, /^body: /],
    ['no headers', { body }, /^headers: /],
    ['null headers', { body, headers: null }, /^headers: /],
    ['a text for headers', { body, headers: 'a: b' }, /^headers: /],
    ['a number for an instant', { body, headers: {}, receivedAt: 5 }, /^receivedAt: /],
    ['null for an instant', { body, headers: {}, receivedAt: null }, /^receivedAt: /],
    ['an invalid Date', { body, headers: {}, receivedAt: new Date('x') }, /^receivedAt: /],
    ['a URL object', { body, headers: {}, url: new URL('https://a.example/') }, /^url: /],
  ];
  it.each(BAD)('throws a TypeError for %s', (_, input, message) => {
    expect(() => delivery(input as DeliveryInput)).toThrow(TypeError);
    expect(() => delivery(input as DeliveryInput)).toThrow(message);
  });
});
