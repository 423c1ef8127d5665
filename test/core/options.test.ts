import { describe, expect, it } from 'vitest';
import { boundedNumber, headerName, knownOptions } from '../../src/core/options.ts';

describe('knownOptions', () => {
  it('takes the names that exist, also none', () => {
    expect(knownOptions('x', { a: 1 }, ['a', 'b'])).toBeUndefined();
    expect(knownOptions('x', {}, ['a'])).toBeUndefined();
  });

  it.each(['A', 'aa', 'constructor', 'toString'])('refuses the name %j', (name) => {
    expect(() => knownOptions('hitpay', { [name]: 1 }, ['a'])).toThrow(
      new TypeError(`hitpay: unknown option "${name}"`),
    );
  });

  it('refuses __proto__ as a name', () => {
    const options = JSON.parse('{"__proto__": 1}');
    expect(() => knownOptions('hitpay', options, ['a'])).toThrow(TypeError);
  });

  it.each([undefined, null, 'a', 5, true])('refuses %j for options', (options) => {
    expect(() => knownOptions('hitpay', options as unknown as object, [])).toThrow(
      new TypeError('hitpay: options must be an object'),
    );
  });
});

describe('boundedNumber', () => {
  it.each([0, 1, 0.5, 10])('takes %j', (value) => {
    expect(boundedNumber('tolerance', value, 0, 10)).toBe(value);
  });

  it.each([-1, -0.001, 10.001, NaN, Infinity, -Infinity])('refuses %j by a RangeError', (value) => {
    expect(() => boundedNumber('tolerance', value, 0, 10)).toThrow(
      new RangeError('tolerance: must be between 0 and 10'),
    );
  });

  it.each(['5', null, undefined, [5], 5n, new Date(5)])('refuses %o by a TypeError', (value) => {
    expect(() => boundedNumber('tolerance', value, 0, 10)).toThrow(
      new TypeError('tolerance: must be a number'),
    );
  });
});

describe('headerName', () => {
  it('gives the name in lower case', () => {
    expect(headerName('h', 'X-Signature')).toBe('x-signature');
    expect(headerName('h', "!#$%&'*+.^_`|~0aZ-")).toBe("!#$%&'*+.^_`|~0az-");
  });

  it.each([
    '',
    ' ',
    'x sig',
    'x-sig ',
    'x-sig:',
    'x-sig\n',
    'x\u0131',
    '\u212a',
    'é',
    'x/y',
    'x,y',
    undefined,
    null,
    5,
    ['x'],
  ])('refuses %j', (value) => {
    expect(() => headerName('bearer.header', value)).toThrow(
      new TypeError('bearer.header: must be the name of an HTTP header'),
    );
  });
});
