import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeJson, isObject, type JsonObject, textOrNull } from '../../src/core/json.ts';
import { code, everythingShown, thrown } from './code.ts';

const decode = (text: string) => decodeJson(Buffer.from(text));
const nested = (levels: number) => `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;

describe('decodeJson', () => {
  it('gives the object', () => {
    expect(decode('{"a":1,"b":[true,null,"é"]}').value).toEqual({ a: 1, b: [true, null, 'é'] });
    expect(decode(' {"a":1}\r\n').value).toEqual({ a: 1 });
    expect(decode('{}').value).toEqual({});
  });

  const MALFORMED: [shown: string, body: string | Uint8Array][] = [
    ['nothing', ''],
    ['a space', ' '],
    ['null', 'null'],
    ['a number', '1'],
    ['a text', '"a"'],
    ['true', 'true'],
    ['an array', '[]'],
    ['an array of objects', '[{}]'],
    ['a form', 'a=1&b=2'],
    ['two objects', '{}{}'],
    ['a tail', '{}x'],
    ['a NUL', '{}\0'],
    ['a trailing comma', '{"a":1,}'],
    ['single quotes', "{'a':1}"],
    ['NaN', '{"a":NaN}'],
    ['Infinity', '{"a":Infinity}'],
    ['a plus sign', '{"a":+1}'],
    ['hex', '{"a":0x10}'],
    ['a leading zero', '{"a":01}'],
    ['a line break in a text', '{"a":"\n"}'],
    ['a comment', '{/**/}'],
    ['a byte order mark', '\ufeff{}'],
    ['an unclosed object', '{"a":{'],
    ['33 levels', nested(33)],
    ['33 levels of arrays', `{"a":${'['.repeat(32)}${']'.repeat(32)}}`],
    ['10 KB of brackets', '['.repeat(10_240)],
    ['256 KB of brackets', '['.repeat(262_144)],
    ['100 KB of closed brackets', '['.repeat(51_200) + ']'.repeat(51_200)],
    ['deep objects', nested(20_000)],
    ['a lone continuation byte', Buffer.from([0x7b, 0x22, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ['an overlong slash', Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d])],
    ['a surrogate in UTF-8', Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le')],
    ['a truncated sequence', Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xe2, 0x82])])],
  ];
  it.each(MALFORMED)('refuses %s', (_, body) => {
    expect(code(() => decodeJson(Buffer.from(body as string)))).toBe('body_malformed');
  });

  it('takes 32 levels', () => {
    expect(decode(nested(32)).value).toEqual(JSON.parse(nested(32)));
  });

  it('does not quote the body in its error', () => {
    const error = thrown(() => decode('{"private-name": oops'));
    expect(everythingShown(error)).not.toContain('private-name');
    expect(error).not.toHaveProperty('cause');
  });

  it('keeps __proto__ a property like any other', () => {
    const before = Reflect.ownKeys(Object.prototype);
    const { value, exact } = decode(
      '{"__proto__":{"polluted":1e5},"constructor":{"prototype":{"polluted":true}},"n":-1}',
    );
    for (const object of [value, exact]) {
      expect(Object.getPrototypeOf(object)).toBe(Object.prototype);
      expect(Object.hasOwn(object, '__proto__')).toBe(true);
      expect((object as { polluted?: unknown }).polluted).toBeUndefined();
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Reflect.ownKeys(Object.prototype)).toEqual(before);
  });
});

describe('decodeJson: exact', () => {
  const exact = (number: string) => decode(`{"n":${number}}`).exact.n;

  it.each([
    ['0', 0],
    ['1', 1],
    ['599.00', 599],
    ['0.1', 0.1],
    ['19.99', 19.99],
    ['123456789012345', 123456789012345],
    ['1234567890.1234', 1234567890.1234],
  ])('keeps %s', (text, value) => {
    expect(exact(text)).toBe(value);
  });

  it.each([
    '-1',
    '-0',
    '-0.5',
    '1e5',
    '1E5',
    '1e+5',
    '1e-5',
    '1.5e3',
    '1e400',
    '1e999',
    '-1e999',
    '0e0',
    '1234567890123456',
    '9007199254740993',
    '0.1000000000000000055',
    '100000000000000000000000',
  ])('has null for %s', (text) => {
    expect(exact(text)).toBeNull();
  });

  it('finds such numbers anywhere, and leaves the rest', () => {
    const { value, exact } = decode(
      '{"a":[1e2,[-3],1],"b":{"c":1e999, "d": -5 },"e":\n1e1\n,"s":"-1 1e5","t":"\\"-1"}',
    );
    expect(value).toMatchObject({ a: [100, [-3], 1], b: { c: Infinity, d: -5 }, e: 10 });
    expect(exact).toEqual({
      a: [null, [null], 1],
      b: { c: null, d: null },
      e: null,
      s: '-1 1e5',
      t: '"-1',
    });
  });

  it('leaves texts and names that look like such numbers', () => {
    const object = {
      '-1': ',-1',
      ':1e5': '[-1e5',
      a: '\\',
      b: '\\"',
      c: '":-1,"',
      d: '1234567890123456789',
      '1e5': 1,
    };
    expect(decode(JSON.stringify(object)).exact).toEqual(object);
    expect(decode(JSON.stringify({ ...object, x: -1 })).exact).toEqual({ ...object, x: null });
  });

  it('is the value itself where every number is exact', () => {
    const safe = fc.integer({ min: 0, max: 999_999_999 }).map((n) => n / 100);
    const tree = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        safe,
        fc.string({ unit: 'binary' }),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('node')),
        fc.dictionary(fc.string(), tie('node')),
      ),
    })).node;
    fc.assert(
      fc.property(fc.dictionary(fc.string(), tree), (object) => {
        const { value, exact } = decode(JSON.stringify(object));
        expect(exact).toEqual(value);
        // The same where one number elsewhere is inexact.
        expect((decode(JSON.stringify({ x: -1, y: object })).exact as JsonObject).y).toEqual(value);
      }),
    );
  });

  it('costs linear time for hostile texts', () => {
    const size = 200_000;
    for (const text of [
      `{"a":"${'\\\\'.repeat(size / 2)}","n":-1}`,
      `{"a":"${'\\"'.repeat(size / 2)}","n":-1}`,
      `{"n":-${'1'.repeat(size)}}`,
      `{"a":[${'1,'.repeat(size / 2)}-1]}`,
      `{"a":"${'1'.repeat(size)}","n":1e1}`,
      `{"a":"${',1.'.repeat(size / 3)}","n":1}`,
    ]) {
      const start = performance.now();
      decode(text);
      expect(performance.now() - start).toBeLessThan(1_000);
    }
  });
});

describe('isObject', () => {
  it.each([
    [{}, true],
    [{ a: 1 }, true],
    [[], false],
    [null, false],
    [undefined, false],
    ['a', false],
    [1, false],
  ])('of %j is %s', (value, is) => {
    expect(isObject(value)).toBe(is);
  });
});

describe('textOrNull', () => {
  it.each([
    ['a', 'a'],
    [' a ', ' a '],
    ['', null],
    [' \t\n', null],
    [null, null],
    [undefined, null],
    [5, null],
    [['a'], null],
  ])('of %j is %j', (value, text) => {
    expect(textOrNull(value)).toBe(text);
  });
});
