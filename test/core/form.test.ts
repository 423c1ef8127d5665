import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeForm } from '../../src/index.ts';
import { code, everythingShown, thrown } from './code.ts';

const decode = (body: string | Uint8Array) => [...decodeForm(Buffer.from(body as string))];

describe('decodeForm', () => {
  const BODIES: [body: string, fields: [string, string][]][] = [
    ['a=1', [['a', '1']]],
    [
      'b=2&a=1',
      [
        ['b', '2'],
        ['a', '1'],
      ],
    ],
    ['a=', [['a', '']]],
    ['a=b=c', [['a', 'b=c']]],
    ['a==', [['a', '=']]],
    ['a=1;b=2', [['a', '1;b=2']]],
    ['a+b=c+d', [['a b', 'c d']]],
    ['a=%2B', [['a', '+']]],
    ['a=%252B', [['a', '%2B']]],
    ['a=%26%3D', [['a', '&=']]],
    ['a%3Db=1', [['a=b', '1']]],
    ['a=%C3%A9é', [['a', 'éé']]],
    ['a=%f0%9f%92%b0', [['a', '💰']]],
    ['a=[]', [['a', '[]']]],
    ['a=%5B', [['a', '[']]],
    [
      'A=1&a=2',
      [
        ['A', '1'],
        ['a', '2'],
      ],
    ],
    ['a=\ufeff', [['a', '\ufeff']]],
    [
      '__proto__=1&constructor=2',
      [
        ['__proto__', '1'],
        ['constructor', '2'],
      ],
    ],
  ];
  it.each(BODIES)('reads %j', (body, fields) => {
    expect(decode(body)).toEqual(fields);
  });

  const MALFORMED: [shown: string, body: string | Uint8Array][] = [
    ['nothing', ''],
    ['a name alone', 'a'],
    ['a name alone among pairs', 'a=1&b'],
    ['an empty name', '=1'],
    ['an empty name among pairs', 'a=1&=2'],
    ['only =', '='],
    ['only &', '&'],
    ['a leading &', '&a=1'],
    ['a trailing &', 'a=1&'],
    ['two &', 'a=1&&b=2'],
    ['a lone %', 'a=%'],
    ['half an escape', 'a=%2'],
    ['an escape of no hex', 'a=%zz'],
    ['an escape whose digits are next to hex digits', 'a=%4@'],
    ['an escape that begins next to a hex digit', 'a=%@1'],
    ['an escape with a backtick', 'a=%4`'],
    ['an escape with a slash', 'a=%/0'],
    ['an escape with a colon', 'a=%4:'],
    ['an escape with a G', 'a=%4G'],
    ['a bad escape in a name', '%zz=1'],
    ['a %u escape', 'a=%u0041'],
    ['an overlong escape', 'a=%C0%80'],
    ['a surrogate by escapes', 'a=%ED%A0%80'],
    ['a lone continuation byte by escape', 'a=%80'],
    ['a raw invalid byte', Buffer.from([0x61, 0x3d, 0xff])],
    ['an escaped NUL', 'a=%00'],
    ['a raw NUL', 'a=\0'],
    ['an escaped line break', 'a=1%0Ab=2'],
    ['a raw line break', 'a=1\n'],
    ['a control character before hex digits', 'a=\u000141'],
    ['DEL before hex digits', 'a=\u007f41'],
    ['a tab', 'a=\t'],
    ['DEL', 'a=%7F'],
    ['a control character in a name', 'a%01=1'],
    ['brackets', 'a[]=1'],
    ['a subscript', 'a[b]=1'],
    ['escaped brackets', 'a%5B%5D=1'],
    ['a closing bracket', 'a]=1'],
    ['JSON', '{"a":1}'],
  ];
  it.each(MALFORMED)('refuses %s', (_, body) => {
    expect(code(() => decode(body))).toBe('body_malformed');
  });

  it.each([
    'a=1&a=1',
    'a=1&a=2',
    'a=1&b=2&a=',
    'a=1&%61=2',
    'a+b=1&a%20b=2',
    '__proto__=1&__proto__=2',
  ])('refuses a name that occurs twice: %s', (body) => {
    expect(code(() => decode(body))).toBe('field_ambiguous');
  });

  it('takes 64 pairs and no 65th', () => {
    const pairs = (count: number) => Array.from({ length: count }, (_, i) => `n${i}=`).join('&');
    expect(decode(pairs(64))).toHaveLength(64);
    expect(code(() => decode(pairs(65)))).toBe('body_malformed');
    expect(code(() => decode('&'.repeat(250_000)))).toBe('body_malformed');
  });

  it('pollutes nothing', () => {
    const before = Reflect.ownKeys(Object.prototype);
    decode('__proto__=polluted&constructor=x&toString=y&hasOwnProperty=z');
    expect(Reflect.ownKeys(Object.prototype)).toEqual(before);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });

  it('quotes nothing of the body in its error', () => {
    const error = thrown(() => decode('private-name=%zz'));
    expect(everythingShown(error)).not.toContain('private-name');
  });

  it('reads what URLSearchParams writes', () => {
    const text = fc.string({ unit: 'binary' }).filter((s) => !/\p{Cc}/u.test(s));
    const name = text.filter((s) => s !== '' && !/[[\]]/.test(s));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, text), { minLength: 1, maxLength: 8 }), (pairs) => {
        const fields = new Map(pairs);
        expect(decode(new URLSearchParams([...fields]).toString())).toEqual([...fields]);
      }),
    );
  });

  it('gives fields or refuses, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(['nothing was thrown', 'body_malformed', 'field_ambiguous']).toContain(
          code(() => decodeForm(bytes)),
        );
      }),
    );
  });
});
