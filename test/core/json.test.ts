import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeJson,
  exactIn,
  isAsStringified,
  isObject,
  type JsonObject,
  type NumbersRead,
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
      `{"a":{"b":"${'\\n'.repeat(490)}"},"n":1,"s":"${'x'.repeat(size)}"}`,
      `{${Array.from({ length: size / 10 }, (_, n) => `"n${n}":1`).join(',')}}`,
    ]) {
      const start = performance.now();
      decode(text);
      exactIn(parseJson(Buffer.from(text)), { names: ['amount', 'n'], within: 'a' });
      isAsStringified(Buffer.from(text));
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

describe('exactIn, where only some numbers are read', () => {
  const INEXACT = ['1e3', '-1E3', '1.5e+3', '0.1e4', '1234567890123456', '1500.0000000000001'];
  const EXACT = ['1500', '1500.00', '-1500', '123456789012345', '0.5', '"1e3"', 'null', '[1500]'];
  const AMOUNTS = { names: ['amount', 'fee'], within: 'data' };

  const BODIES: [shown: string, body: (number: string) => string][] = [
    ['alone', (number) => `{"amount":${number}}`],
    ['the second of two', (number) => `{"fee":7,"amount":${number}}`],
    ['the first of two', (number) => `{"amount":${number},"fee":7}`],
    ['with white space', (number) => `{ "amount" \r\n:\t${number} }`],
    ['with an escaped letter', (number) => `{"\\u0061mount":${number}}`],
    ['after a flat object', (number) => `{"c":{"name":"A \\"}\\" b","n":1},"amount":${number}}`],
    ['after a deeper object', (number) => `{"c":{"d":{"n":1}},"amount":${number}}`],
    ['after a list', (number) => `{"c":[1,{}],"amount":${number}}`],
    ['after texts', (number) => `{"a":"","b":"\\\\","c":"\\",\\"amount\\":1,","amount":${number}}`],
    ['after literals', (number) => `{"a":true,"b":false,"c":null,"d":0.5,"amount":${number}}`],
    ['after another of its name that differs', (number) => `{"amount":3,"amount":${number}}`],
    ['after an inexact one of its name', (number) => `{"amount":1e9,"amount":${number}}`],
    ['after one of its name in a flat object', (number) => `{"c":{"amount":3},"amount":${number}}`],
    [
      'after one in a deeper object',
      (number) => `{"c":{"amount":1500,"d":{"e":{}}},"amount":${number}}`,
    ],
    ['after a long text', (number) => `{"s":"${'x'.repeat(9_000)}","amount":${number}}`],
    ['in the object', (number) => `{"n":1,"data":{"amount":${number}}}`],
    ['in the object, which is not flat', (number) => `{"data":{"amount":${number},"c":[{}]}}`],
    [
      'in the object, not beside it',
      (number) => `{"amount":1500,"fee":1,"data":{"fee":1,"amount":${number}}}`,
    ],
    [
      'in the object, not behind it',
      (number) => `{"data":{"fee":1,"amount":${number}},"amount":1500}`,
    ],
    ['beside what is no object', (number) => `{"data":[{"amount":1}],"amount":${number}}`],
    ['beside a text for the object', (number) => `{"data":"{","amount":${number}}`],
    [
      'in the second of two objects',
      (number) => `{"data":{"amount":3,"fee":4},"data":{"amount":${number}}}`,
    ],
  ];
  /** Short ones are searched through. */
  const lengths: [length: string, (text: string) => string][] = [
    ['short', (text) => text],
    ['long', (text) => text.replace(/\}$/, `,"s":"${'x'.repeat(9_000)}"}`)],
    ['of many lines', (text) => text.replace(/\}$/, `,"l":[${'{"n":"x"},'.repeat(2_000)}0]}`)],
    ['of many lines before it', (text) => withLines(text, 2_000)],
  ];

  describe.each(lengths)('%s', (_, lengthen) => {
    it.each(BODIES)('has null for what is not exact: %s', (_, body) => {
      for (const number of INEXACT) {
        const text = lengthen(body(number));
        const { value, exact } = decode(text);
        expect(exact).not.toEqual(value);
        expect(amountsIn(read(text, AMOUNTS))).toEqual(amountsIn(exact));
      }
    });

    it.each(BODIES)('has what is exact: %s', (_, body) => {
      for (const number of EXACT) {
        const text = lengthen(body(number));
        expect(amountsIn(read(text, AMOUNTS))).toEqual(amountsIn(JSON.parse(text)));
      }
    });
  });

  it.each([
    '{"amount":1500,"fee":2.50',
    '{"a":"1e3","amount":1500,"fee":2.50',
    '{"c":{"n":"A"},"fee":1,"amount":1500.00,"n":1e3',
    '{"amount":"1e3","fee":null',
    '{"n":1',
    '{"n":0.5,"data":{"id":"x","amount":1,"fee":2,"c":{"d":{}}}',
    '{"amount":1000,"amount":1e3',
    '{"amount":"5","amount":1500',
  ])('does not search through a long text that begins with them: %s', (beginning) => {
    const text = `${beginning},"x":[1e3,12345678901234567],"s":"${'x'.repeat(9_000)}"}`;
    const parsed = parseJson(Buffer.from(text));
    expect(exactIn(parsed, AMOUNTS)).toBe(parsed.value);
    expect(exactIn(parsed)).not.toEqual(parsed.value);
  });

  it('searches through a text that is not long, or does not begin with them', () => {
    const twice = '"amount":1000,"amount":1e3';
    const read = (text: string) => exactIn(parseJson(Buffer.from(text)), AMOUNTS).amount;
    const ofLength = (length: number) =>
      `{${twice},"s":"${'x'.repeat(length - 35)}"}`.padEnd(length);
    expect([ofLength(8191).length, read(ofLength(8191))]).toEqual([8191, null]);
    expect([ofLength(8192).length, read(ofLength(8192))]).toEqual([8192, 1000]);
    const late = (before: number) =>
      `{"a":"${'x'.repeat(before)}",${twice},"s":"${'x'.repeat(9_000)}"}`;
    expect([read(late(900)), read(late(1_100))]).toEqual([1000, null]);
  });

  it('reads them at the top where no object is named', () => {
    const odd = parseJson(
      Buffer.from(`{"undefined":{"amount":7e0},"amount":1500,"s":"${'x'.repeat(9_000)}"}`),
    );
    expect(exactIn(odd, { names: ['amount'] })).toBe(odd.value);
    const beginning = '{"data":{"amount":7},"amount":1500,"n":1e3';
    const parsed = parseJson(Buffer.from(`${beginning},"s":"${'x'.repeat(9_000)}"}`));
    expect(exactIn(parsed, { names: ['amount'] })).toBe(parsed.value);
    expect(exactIn(parsed, { names: ['n'] })).toEqual({ ...parsed.value, n: null });
  });

  function read(text: string, numbers: NumbersRead): JsonObject {
    return exactIn(parseJson(Buffer.from(text)), numbers);
  }

  function amountsIn(fields: JsonObject): unknown[] {
    const { amount, fee } = isObject(fields.data) ? fields.data : fields;
    return [amount, fee];
  }
});

describe('isAsStringified', () => {
  const is = (text: string) => isAsStringified(Buffer.from(text));

  it.each([
    '{"a":1}',
    '{"a":"text, : 1 } é 中","b":true,"c":false,"d":null}',
    '{"a":123456789012345,"b":0,"c":1500.5,"d":1500.25,"e":0.01,"f":123456789012.34}',
    '{"a1":1,"_":2,"A b":3,"é":4,"a":""}',
    `{${Array.from({ length: 32 }, (_, n) => `"n${n}":${n}`).join(',')}}`,
  ])('holds for %s', (text) => {
    expect(JSON.stringify(JSON.parse(text))).toBe(text);
    expect(is(text)).toBe(true);
    expect(isAsStringified(new TextEncoder().encode(text))).toBe(true);
  });

  it.each([
    ['white space before a value', '{"a": 1}'],
    ['white space before a text', '{"a": "b"}'],
    ['white space before a name', '{ "a":1}'],
    ['much white space before a name', '{"a":1,\n\t"b":1}'],
    ['white space behind a name', '{"a" :1}'],
    ['much white space behind a name', '{"a" \n:"b"}'],
    ['white space behind a value', '{"a":1 }'],
    ['white space behind a text', '{"a":"b" ,"c":1}'],
    ['white space at the end', '{"a":1}\n'],
    ['white space at the beginning', ' {"a":1}'],
    ['a zero at the end', '{"a":1.50}'],
    ['a fraction of nothing', '{"a":1.0}'],
    ['an exponent', '{"a":1e3}'],
    ['too many digits', '{"a":12345678901234567}'],
    ['a negative zero', '{"a":-0}'],
    ['a tiny number', '{"a":0.0000001}'],
    ['an escape that is not needed', '{"a":"\\/"}'],
    ['an escaped letter', '{"a":"\\u0061"}'],
    ['an escaped letter in a name', '{"\\u0061":1}'],
    ['an index among the names', '{"b":1,"1":2}'],
    ['the largest digit', '{"b":1,"9":2}'],
    ['a longer index', '{"b":1,"10":2}'],
    ['a name twice', '{"amount":1,"amount":9}'],
    ['a name twice, with others between', '{"a":1,"b":"x","a":1}'],
  ])('does not hold for %s', (_, text) => {
    expect(JSON.stringify(JSON.parse(text))).not.toBe(text);
    expect(is(text)).toBe(false);
  });

  it.each([
    '',
    '{}',
    '{"a":1',
    '{"a":1}}',
    '{"a":1},',
    '{"a"}',
    '[1]',
    '"a"',
    '{"a":[1]}',
    '{"a":{"b":1}}',
    '{"1a":2}',
    '{"":3}',
    '{"a":1,"-1":4}',
    '{"a":"b',
    '{"a",true,bb',
    '{',
    '{"',
    `{${Array.from({ length: 33 }, (_, n) => `"n${n}":${n}`).join(',')}}`,
  ])('leaves what is not flat, has many or unusual names or is no JSON to the parser: %s', (text) => {
    expect(is(text)).toBe(false);
  });

  it('holds for no JSON that JSON.stringify would write otherwise', () => {
    const token = fc.constantFrom(
      ...[
        '{',
        '}',
        '"a"',
        '"b"',
        '"1"',
        '"\\n"',
        ':',
        ',',
        ' ',
        '\n',
        '1',
        '0',
        '.5',
        '.50',
        '-',
        'e1',
      ],
      ...['null', 'true', '"é"', '[', ']', '"a":1', ',"b":2.5'],
    );
    fc.assert(
      fc.property(fc.array(token), (tokens) => {
        const text = `{"x":1${tokens.join('')}}`;
        if (!is(text)) return;
        let again: string | undefined;
        try {
          again = JSON.stringify(JSON.parse(text));
        } catch {
          // No JSON: nobody can have signed it this way.
        }
        expect(again ?? text).toBe(text);
      }),
      { numRuns: 5_000 },
    );
  });
});
