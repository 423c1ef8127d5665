import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digest } from '../../src/core/event.ts';
import {
  assertPaid,
  type ExpectedPayment,
  eventId,
  type PaymentEventType,
  type ProviderEvent,
} from '../../src/index.ts';
import { code } from './code.ts';

const PAID: ProviderEvent = {
  provider: 'hitpay',
  scheme: 'hitpay/form',
  trust: 'signed',
  keyId: 'salt#1',
  id: 'hitpay:p1:payment.succeeded',
  type: 'payment.succeeded',
  paymentId: 'p1',
  reference: 'ORDER-1',
  amount: { currency: 'SGD', value: '599.00', minorUnits: 59900 },
  fee: null,
  net: null,
  customer: { name: null, phone: null, email: null },
  occurredAt: null,
  payload: {},
};
const EXPECTED: ExpectedPayment = { reference: 'ORDER-1', amount: '599.00', currency: 'SGD' };

describe('assertPaid', () => {
  it.each([
    ['599.00', 'SGD'],
    ['599', 'SGD'],
    ['599.0', 'sgd'],
    [599, 'SGD'],
    ['599.000', 'SGD'],
  ])('passes for %j %s', (amount, currency) => {
    expect(assertPaid(PAID, { reference: 'ORDER-1', amount, currency })).toBeUndefined();
  });

  const OTHER_TYPES: PaymentEventType[] = [
    'payment.pending',
    'payment.failed',
    'payment.expired',
    'payment.canceled',
    'payment.refunded',
    'payment.partially_refunded',
    'ping',
    'other',
  ];
  it.each(OTHER_TYPES)('throws for %s', (type) => {
    expect(code(() => assertPaid({ ...PAID, type }, EXPECTED))).toBe('payment_not_expected');
  });

  const money = (value: string, currency = 'SGD') => ({ currency, value, minorUnits: null });
  const UNEXPECTED: [shown: string, event: Partial<ProviderEvent>][] = [
    ['another reference', { reference: 'ORDER-2' }],
    ['a reference in another case', { reference: 'order-1' }],
    ['a reference with a space', { reference: 'ORDER-1 ' }],
    ['no reference', { reference: null }],
    ['no amount', { amount: null }],
    ['less', { amount: money('598.99') }],
    ['more', { amount: money('599.01') }],
    ['a hundredth', { amount: money('5.99') }],
    ['another currency', { amount: money('599.00', 'IDR') }],
  ];
  it.each(UNEXPECTED)('throws for %s', (_, change) => {
    expect(code(() => assertPaid({ ...PAID, ...change }, EXPECTED))).toBe('payment_not_expected');
  });

  const INCOMPLETE: [shown: string, expected: Record<string, unknown>][] = [
    ['no reference', { reference: undefined }],
    ['a null reference', { reference: null }],
    ['an empty reference', { reference: '' }],
    ['a number for a reference', { reference: 1 }],
    ['no amount', { amount: undefined }],
    ['a null amount', { amount: null }],
    ['NaN', { amount: NaN }],
    ['a negative amount', { amount: -1 }],
    ['an amount with a sign', { amount: '$599' }],
    ['no currency', { currency: undefined }],
    ['an empty currency', { currency: '' }],
    ['a symbol for a currency', { currency: 'S$' }],
    ['a list for a currency', { currency: ['SGD'] }],
    ['a longer currency', { currency: 'SGDX' }],
    ['a currency behind a sign', { currency: '$SGD' }],
  ];
  it.each(INCOMPLETE)('throws a TypeError for an expectation with %s', (_, change) => {
    const expected = { ...EXPECTED, ...change } as ExpectedPayment;
    expect(() => assertPaid(PAID, expected)).toThrow(TypeError);
    const [option] = Object.keys(change);
    expect(() => assertPaid(PAID, expected)).toThrow(new RegExp(`^${option}: must be `));
  });

  it('never takes a missing order for an event without a reference', () => {
    const event = { ...PAID, reference: null, amount: null };
    const missing = { reference: null, amount: null, currency: null } as unknown as ExpectedPayment;
    expect(() => assertPaid(event, missing)).toThrow(TypeError);
  });
});

describe('eventId', () => {
  it('joins the parts', () => {
    expect(eventId('hitpay', 'p1', 'payment.succeeded')).toBe('hitpay:p1:payment.succeeded');
    expect(eventId('a:b%c', '', 'd%%::')).toBe('a%3Ab%25c::d%25%25%3A%3A');
  });

  it('differs for lists of parts that differ', () => {
    const parts = fc.array(
      fc.string({ unit: fc.constantFrom('a', ':', '%', '3', 'A', '2', '5') }),
      {
        minLength: 1,
        maxLength: 4,
      },
    );
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        expect(eventId(...a) === eventId(...b)).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    [
      ['a:b', 'c'],
      ['a', 'b:c'],
    ],
    [['a', ''], ['a']],
    [['%3A'], [':']],
  ])('tells %j from %j', (a, b) => {
    expect(eventId(...a)).not.toBe(eventId(...b));
  });

  it('keeps 200 characters and shortens more, still telling them apart', () => {
    expect(eventId('x'.repeat(200))).toHaveLength(200);
    const [a, b] = [eventId(`${'x'.repeat(200)}a`), eventId(`${'x'.repeat(200)}b`)];
    expect(a.length).toBeLessThanOrEqual(200);
    expect(a).not.toBe(b);
    expect(a).toBe(eventId(`${'x'.repeat(200)}a`));
  });
});

describe('digest', () => {
  it('is the same for the same content, and another for other content', () => {
    expect(digest({ a: 1 })).toBe(digest({ a: 1 }));
    expect(digest({ a: 1 })).not.toBe(digest({ a: 2 }));
    expect(digest({})).toMatch(/^[\w-]{43}$/);
  });
});
