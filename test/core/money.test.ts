import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareDecimals, decimal, money } from '../../src/core/money.ts';

describe('money', () => {
  const AMOUNTS: [
    amount: string | number,
    currency: string,
    value: string,
    minor: number | null,
  ][] = [
    ['599.00', 'SGD', '599.00', 59900],
    ['599', 'SGD', '599', 59900],
    ['599.5', 'SGD', '599.5', 59950],
    ['599.50', 'sgd', '599.50', 59950],
    ['0', 'SGD', '0', 0],
    ['0.00', 'SGD', '0.00', 0],
    ['0.01', 'SGD', '0.01', 1],
    ['1.100', 'SGD', '1.100', 110],
    ['900,000.00', 'SGD', '900000.00', 90000000],
    ['1,234,567', 'HTG', '1234567', 123456700],
    ['100', 'XOF', '100', 100],
    ['100.00', 'XOF', '100.00', 100],
    ['100000', 'VND', '100000', 100000],
    ['1.234', 'KWD', '1.234', 1234],
    ['1.2', 'KWD', '1.2', 1200],
    ['1.2345', 'CLF', '1.2345', 12345],
    ['1.2345', 'ZZZ', '1.2345', null],
    ['1', 'btc', '1', null],
    ['999999999999999', 'XOF', '999999999999999', 999999999999999],
    ['9999999999999.99', 'SGD', '9999999999999.99', 999999999999999],
    [599, 'SGD', '599', 59900],
    [0.1, 'SGD', '0.1', 10],
    [1.1, 'SGD', '1.1', 110],
    [19.99, 'SGD', '19.99', 1999],
    [4.35, 'HTG', '4.35', 435],
    [1.005, 'KWD', '1.005', 1005],
    [0, 'HTG', '0', 0],
  ];
  it.each(AMOUNTS)('reads %j %s', (amount, currency, value, minorUnits) => {
    expect(money(amount, currency)).toEqual({
      currency: currency.toUpperCase(),
      value,
      minorUnits,
    });
  });

  const NONE: [amount: unknown, currency?: unknown][] = [
    [''],
    [' '],
    [' 1'],
    ['1 '],
    ['1\n'],
    ['-1'],
    ['+1'],
    ['-0'],
    ['01'],
    ['00.50'],
    ['1.'],
    ['.5'],
    ['1..5'],
    ['1.5.0'],
    ['1e3'],
    ['1E3'],
    ['0x10'],
    ['1_000'],
    ['1 000'],
    ['1,00'],
    ['1,0000'],
    ['1000,000'],
    ['0,100'],
    [',100'],
    ['1,000,'],
    ['1,000.'],
    ['1.000,00'],
    ['１'],
    ['١'],
    ['NaN'],
    ['Infinity'],
    ['1.001'],
    ['0.001'],
    ['1000000000000000.5'],
    ['1234567890123456'],
    [`1.${'0'.repeat(50)}`],
    ['9'.repeat(100_000)],
    [`1${',000'.repeat(50_000)}`],
    [-1],
    [-0],
    [NaN],
    [Infinity],
    [-Infinity],
    [1e21],
    [1e-7],
    [2 ** 53],
    [0.1 + 0.2],
    [1n],
    [null],
    [undefined],
    [true],
    [['1']],
    [{ toString: () => '1' }],
    ['1', ''],
    ['1', 'SG'],
    ['1', 'SGDX'],
    ['1', 'S1D'],
    ['1', 'SGD '],
    ['1', 'ſGD'],
    ['1', null],
    ['1', undefined],
    ['1', ['SGD']],
    ['1.5', 'XOF'],
    ['0.1', 'VND'],
    ['1.2345', 'KWD'],
    ['1.23456', 'CLF'],
    // 15 digits, but too many minor units for a safe integer.
    ['999999999999999', 'SGD'],
    ['999999999999999', 'CLF'],
  ];
  const shown = NONE.map(
    (entry) =>
      [inspect(entry).slice(0, 60), entry[0], entry.length > 1 ? entry[1] : 'SGD'] as const,
  );
  it.each(shown)('takes %s for no money', (_, amount, currency) => {
    expect(money(amount, currency)).toBeNull();
  });

  it('never loses a minor unit', () => {
    const currencies = fc.constantFrom<[string, number]>(
      ['XOF', 0],
      ['SGD', 2],
      ['HTG', 2],
      ['KWD', 3],
      ['CLF', 4],
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 999_999_999_999_999 }),
        currencies,
        (minor, [code, d]) => {
          const digits = String(minor).padStart(d + 1, '0');
          const text = d === 0 ? digits : `${digits.slice(0, -d)}.${digits.slice(-d)}`;
          expect(money(text, code)).toEqual({ currency: code, value: text, minorUnits: minor });
        },
      ),
    );
  });

  it('reads a JSON number as its shortest decimal form', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9_999_999_999_999 }), (cents) => {
        const text = `${Math.trunc(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
        expect(money(JSON.parse(text), 'SGD')?.minorUnits).toBe(cents);
      }),
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (amount, currency) => {
        money(amount, currency);
      }),
    );
  });
});

describe('decimal', () => {
  it('removes grouping', () => {
    expect(decimal('1,234.50')).toBe('1234.50');
    expect(decimal('12,345,678')).toBe('12345678');
  });

  it('counts significant digits, not leading zeros', () => {
    expect(decimal('0.000000000000001')).toBe('0.000000000000001');
    expect(decimal(123456789012345)).toBe('123456789012345');
    expect(decimal(999_999_999_999_999)).toBe('999999999999999');
    expect(decimal(1_000_000_000_000_000)).toBeNull();
    expect(decimal(1_234_567_890_123_456)).toBeNull();
    expect(decimal('123456789012345')).toBe('123456789012345');
    expect(decimal('1.23456789012345')).toBe('1.23456789012345');
    expect(decimal('1.234567890123456')).toBeNull();
    expect(decimal('0.00123456789012345')).toBe('0.00123456789012345');
    expect(decimal('0.001234567890123456')).toBeNull();
  });
});

describe('decimal: grouping and length', () => {
  it.each([
    '1234,567',
    '12345,678',
    '0,123',
    '01,234',
    '1,23',
    '1,2345',
    '1,234,56',
    ',123',
    '1,,234',
    '1,234.5,6',
    '1.234,567',
  ])('takes %s for no amount', (text) => {
    expect(decimal(text)).toBeNull();
  });

  it('takes 40 characters and no 41st', () => {
    expect(decimal(`0.${'0'.repeat(37)}1`)).toBe(`0.${'0'.repeat(37)}1`);
    expect(decimal(`0.${'0'.repeat(38)}1`)).toBeNull();
  });
});

describe('compareDecimals', () => {
  const PAIRS: [a: string, b: string, order: -1 | 0 | 1][] = [
    ['1', '1', 0],
    ['1', '1.00', 0],
    ['1.50', '1.5', 0],
    ['0', '0.0', 0],
    ['1', '2', -1],
    ['2', '10', -1],
    ['1.1', '1.09', 1],
    ['0.10', '0.9', -1],
    ['999999999999999', '999999999999998', 1],
  ];
  it.each(PAIRS)('%s and %s: %i', (a, b, order) => {
    expect(compareDecimals(a, b)).toBe(order);
    expect(compareDecimals(b, a)).toBe(order === 0 ? 0 : -order);
  });
});
