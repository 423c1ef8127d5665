import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeJson,
  exactIn,
  type InexactSearch,
  inexactInCapitals,
  inexactNamed,
  isObject,
  type JsonObject,
  parseJson,
  textOrNull,
  withinDepth,
} from '../../src/core/json.ts';
import { withLines } from '../long-body.ts';
import { code, everythingShown, thrown } from './code.ts';

const decode = (text: string) => decodeJson(Buffer.from(text));
const nested = (levels: number) => `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;

describe('decodeJson', () => {
  it('reads millions of escapes beside an inexact number', () => {
    const escapes = '\\n'.repeat(5_000_000);
    const { value, exact } = decode(`{"a":1e1,"b":"${escapes}","c":2}`);
    expect(exact).toEqual({ ...value, a: null });
  });

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

  it.each([
    '{"a":"text","b":1,"c":null,"d":true}',
    '["text",1,null,true]',
  ])('takes what is not nested at the last level: %s', (last) => {
    const text = nested(32).replace('{}', last);
    expect(decode(text).value).toEqual(JSON.parse(text));
    expect(code(() => decode(text.replace('"text"', '[]')))).toBe('body_malformed');
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

describe('withinDepth', () => {
  it.each([
    ['an object', {}],
    ['an object of what is not nested', { a: null, b: 'text', c: 1 }],
    ['a list of texts', ['a', null]],
    ['32 levels', JSON.parse(nested(32))],
  ])('holds for %s', (_, value) => {
    expect(withinDepth(value)).toBe(true);
  });

  it.each([
    ['33 levels', JSON.parse(nested(33))],
    ['33 levels of lists', JSON.parse('['.repeat(33) + ']'.repeat(33))],
  ])('does not hold for %s', (_, value) => {
    expect(withinDepth(value)).toBe(false);
  });
});

describe('decodeJson: exact, beside long strings', () => {
  const long = 'x'.repeat(5_000);
  /** What would be inexact if it did not stand in a string. */
  const decoy = ': 1e5, 12345678901234567 ';

  it.each([
    `{"a":1,"b":"${long}${decoy}"}`,
    `{"a":1,"b":"${decoy}${long}","c":2}`,
    `{"b":"${long}","c":"${decoy}"}`,
    `{"${decoy}":"${long}","c":1.5}`,
  ])('is the object itself where only strings look inexact (%#)', (text) => {
    const { value, exact } = decode(text);
    expect(exact).toBe(value);
  });

  it.each([
    `{"n":1e5,"b":"${long}"}`,
    `{"b":"${long}","n":1e5}`,
    `{"b":"${long}","n":12345678901234567,"c":"${long}"}`,
    `{"b":"${long}","c":"","n":1e5}`,
    `{"b":"${long}\\"","n":1e5,"c":"\\""}`,
    `{"b":"\\"","n":1e5,"c":"${long}"}`,
    `{"b":"${long}\\\\","n":1e5}`,
    `{"b":"${long}\\\\\\"${decoy}","n":1e5}`,
  ])('has null for the inexact number wherever it stands (%#)', (text) => {
    const { value, exact } = decode(text);
    expect(exact).toEqual({ ...value, n: null });
  });

  it('is the object itself for a short body whose numbers are exact', () => {
    const { value, exact } = decode('{"a":599.00,"b":[1,2],"c":"text"}');
    expect(exact).toBe(value);
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
    // Negative, which no amount is: that is for `money` to say.
    ['-1', -1],
    ['-0.5', -0.5],
    ['-123456789012345', -123456789012345],
  ])('keeps %s', (text, value) => {
    expect(exact(text)).toBe(value);
  });

  it.each([
    '1e5',
    '-1e5',
    '-1E-5',
    '-1234567890123456',
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
      '{"a":[1e2,[-3e0],1],"b":{"c":1e999, "d": -5 },"e":\n1e1\n,"s":"-1 1e5","t":"\\"-1"}',
    );
    expect(value).toMatchObject({ a: [100, [-3], 1], b: { c: Infinity, d: -5 }, e: 10 });
    expect(exact).toEqual({
      a: [null, [null], 1],
      b: { c: null, d: -5 },
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
    const text = JSON.stringify({ ...object, x: 0 }).replace(/0}$/, '1e1}');
    expect(decode(text).exact).toEqual({ ...object, x: null });
  });

  it.each([
    ['in one long text', (number: string) => `{"s":"${'x'.repeat(5_000)}","n":${number}}`],
    ['before one', (number: string) => `{"n":${number},"s":"${'x'.repeat(5_000)}"}`],
    ['with escapes', (number: string) => `{"s":"${'\\"'.repeat(5_000)}","n":[${number}]}`],
    ['among many', (number: string) => `{"s":[${'"x",'.repeat(2_000)}"x"],"n": ${number} }`],
  ])('finds them in a long body: %s', (_, body) => {
    for (const number of ['1e3', '1500.0000000000001', '-1e-3']) {
      expect(decode(body(number)).value).not.toEqual(decode(body(number)).exact);
    }
    for (const number of ['1500', '-1500.25', '"1e3"', '" 1500.0000000000001"']) {
      expect(decode(body(number)).value).toEqual(decode(body(number)).exact);
    }
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
        const beside = decode(`{"x":1e1,"y":${JSON.stringify(object)}}`).exact as JsonObject;
        expect(beside).toEqual({ x: null, y: value });
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
      `{"amount"${' '.repeat(size)}:${' '.repeat(size)}1}`,
      `{"a":[${'{"FEE":1,"amount":1},'.repeat(size / 20)}1]}`,
      `{"a":["","${'amount\\":'.repeat(size / 9)}",{},{},{},[]]}`,
      `{"amount":${'1'.repeat(size)}}`,
    ]) {
      const start = performance.now();
      decode(text);
      exactIn(parseJson(Buffer.from(text)), inexactNamed('amount'));
      exactIn(parseJson(Buffer.from(text)), inexactInCapitals('FEE', 'n'));
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

describe.each([
  ['inexactNamed', inexactNamed],
  ['inexactInCapitals', inexactInCapitals],
])('exactIn, %s', (_, search) => {
  const read = (text: string, name: string) => readWith(text, search(name));

  const INEXACT = ['1e3', '-1E3', '1.5e+3', '0.1e4', '1234567890123456', '-1500.0000000000001'];
  const EXACT = ['1500', '1500.00', '-1500', '123456789012345', '0.5', '"1e3"', 'null', '[1500]'];
  const NAMES = ['amount', 'AMOUNT', 'Amount', 'api_fee', 'FEE', 'f'];

  describe.each(NAMES)('%s', (name) => {
    const escaped = `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
    const BODIES: [shown: string, body: (number: string) => string][] = [
      ['alone', (number) => `{"${name}":${number}}`],
      ['with white space', (number) => `{ "${name}" \r\n:\t${number} }`],
      ['nested', (number) => `{"data":{"${name}":${number}},"n":1}`],
      ['the second of two', (number) => `{"${name}":1000,"n":{"${name}":${number}}}`],
      ['twice in one object', (number) => `{"${name}":1000,"${name}":${number}}`],
      ['before the same, exact', (number) => `{"${name}":${number},"n":{"${name}":1000}}`],
      ['at the end of a longer name', (number) => `{"refunded_${name}":${number}}`],
      ['after a text that looks like it', (number) => `{"s":"${name}\\":1","${name}":${number}}`],
      ['before a long text', (number) => `{"${name}":${number},"s":"${'x'.repeat(500_000)}"}`],
      ['with an escaped letter', (number) => `{"${escaped}":${number}}`],
      ['with an escaped letter of two', (number) => `{"${name}":1,"${escaped}":${number}}`],
    ];

    it.each(BODIES)('has null for what is not exact: %s', (_, body) => {
      for (const number of INEXACT) {
        for (const text of [body(number), withLines(body(number))]) {
          const { value, exact } = decode(text);
          expect(exact).not.toEqual(value);
          expect(read(text, name).exact).toEqual(exact);
        }
      }
    });

    it.each(BODIES)('is the object where all are exact: %s', (_, body) => {
      for (const number of EXACT) {
        for (const text of [body(number), withLines(body(number))]) {
          expect(read(text, name).exact).toEqual(JSON.parse(text));
        }
      }
    });
  });

  it('parses once where no number of the name is inexact', () => {
    const short = '{"x":1e3,"y":"1e3","amount":1500,"amounts":1e3,"list":[1e3],"s":"\\u00e9"}';
    for (const text of [short, withLines(short)]) {
      const { value, exact } = read(text, 'amount');
      expect(exact).toBe(value);
      expect(value).toEqual(JSON.parse(text));
    }
  });
});

it('looks for any number where most of a text is long strings', () => {
  const { value, exact } = readWith(`{"a":1e3,"s":"${'x'.repeat(5_000)}"}`, inexactNamed('x'));
  expect(exact).toEqual({ ...value, a: null });
});

function readWith(text: string, search: InexactSearch) {
  const parsed = parseJson(Buffer.from(text));
  return { value: parsed.value, exact: exactIn(parsed, search) };
}
