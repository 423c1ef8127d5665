import { describe, expect, it } from 'vitest';
import { DIAGNOSIS_CAUSES, finding } from '../../src/core/diagnosis/causes.ts';
import {
  headerPairs,
  marksInBody,
  marksInHeaders,
  marksInType,
  safeHeaderName,
} from '../../src/core/diagnosis/marks.ts';

const HEADERS: readonly (readonly [who: string, ...names: string[]])[] = [
  ['Hatexcard', 'x-hatex-signature', 'x-hatex-timestamp', 'x-hatex-event'],
  ['HitPay (event webhook)', 'hitpay-signature', 'hitpay-event-type', 'hitpay-event-object'],
  ['Stripe', 'stripe-signature'],
  ['PayPal', 'paypal-transmission-sig'],
  ['GitHub or Meta', 'x-hub-signature', 'x-hub-signature-256'],
  ['Shopify', 'x-shopify-hmac-sha256'],
  ['WooCommerce', 'x-wc-webhook-signature'],
  ['Paystack', 'x-paystack-signature'],
  ['Flutterwave', 'verif-hash'],
  ['Razorpay', 'x-razorpay-signature'],
  ['Xendit', 'x-callback-token'],
  ['Square', 'x-square-hmacsha256-signature'],
  ['Paddle', 'paddle-signature'],
  ['Wave', 'wave-signature'],
  ['Coinbase Commerce', 'x-cc-webhook-signature'],
  ['NOWPayments', 'x-nowpayments-sig'],
  ['a sender of Standard Webhooks', 'webhook-signature'],
  ['a sender of Standard Webhooks (Svix)', 'svix-signature'],
  ['Twilio', 'x-twilio-signature'],
  ['DEXPAY or another provider', 'x-webhook-signature'],
];

describe('a sender is known', () => {
  it.each(HEADERS)('by its headers: %s', (who, ...names) => {
    for (const name of names) {
      const evidence = `The header ${name} belongs to ${who}.`;
      expect(marksInHeaders([[name, '']])).toEqual([{ who, evidence, confidence: 'likely' }]);
      expect(safeHeaderName(name)).toBe(`the header ${name}`);
    }
  });

  it('by no header that every object has', () => {
    expect(
      marksInHeaders([
        ['constructor', ''],
        ['host', ''],
      ]),
    ).toEqual([]);
  });

  it.each([
    ['HitPay (form)', 'hmac=1&payment_id=2', 'hmac, payment_id'],
    [
      'HitPay (form)',
      'status=1&payment_request_id=2&payment_id=3',
      'payment_id, payment_request_id, status',
    ],
    ['DExchange', '{"externalTransactionId":1}', 'externalTransactionId'],
    ['DExchange', 'a=1&externalTransactionId=1', 'externalTransactionId'],
    ['Hatexcard', '{"transaction_id":1,"event":2,"order_id":3}', 'transaction_id, event, order_id'],
    ['Hatexcard', '{"event":1,"created":2,"data":3}', 'event, created, data'],
    [
      'HitPay (event webhook)',
      '{"payment_request":1,"refunded_amount":2}',
      'payment_request, refunded_amount',
    ],
    [
      'HitPay (event webhook)',
      '{"payments":[],"reference_number":""}',
      'payments, reference_number',
    ],
  ])('by the fields of its body: %s', (who, body, fields) => {
    const evidence = `The body has ${fields}, as those of ${who} do.`;
    expect(marksInBody(Buffer.from(body))).toEqual([{ who, evidence, confidence: 'likely' }]);
  });

  it.each([
    '{"event":1,"created":2}',
    'xhmac=1&payment_id=2',
    'payment_id=1&ahmac=2',
    '{"externalTransactionIds":1}',
    '',
  ])('by all of them, and by nothing that only looks alike: %s', (body) => {
    expect(marksInBody(Buffer.from(body))).toEqual([]);
  });

  it('in the first 64 KB only', () => {
    const field = '"externalTransactionId"';
    const at = (length: number) => marksInBody(Buffer.from(' '.repeat(length) + field)).length;
    expect(at(64 * 1024 - field.length)).toBe(1);
    expect(at(64 * 1024 - field.length + 1)).toBe(0);
  });

  it('perhaps by the content type', () => {
    expect(marksInType('application/x-www-form-urlencoded')).toEqual([
      {
        who: 'HitPay',
        evidence: 'The body is a form, as those of HitPay are for payment requests.',
        confidence: 'guess',
      },
    ]);
    expect(marksInType('application/json')).toEqual([]);
    expect(marksInType(null)).toEqual([]);
  });
});

describe('headers', () => {
  it('are read from a record and from Headers, names in lower case', () => {
    const pairs = [
      ['x-a', '1'],
      ['x-b', '2'],
    ];
    expect(headerPairs({ 'X-A': '1', 'x-b': '2' })).toEqual(pairs);
    expect(headerPairs(new Headers({ 'X-A': '1', 'x-b': '2' }))).toEqual(pairs);
    expect(headerPairs({ 'x-a': ['1', '2'], 'x-b': undefined })).toEqual([
      ['x-a', '1,2'],
      ['x-b', 'undefined'],
    ]);
  });

  it('are read up to the two hundredth', () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`x-${at}`, '']));
    expect(headerPairs(many)).toHaveLength(200);
  });

  it('that can hold a signature may be called by their names, and no other', () => {
    for (const name of [
      ...['x-signature', 'signature', 'x-hmac-signature', 'x-hmac-sha256', 'x-hmac', 'hmac'],
      ...['x-hitpay-signature', 'x-dexchange-signature', 'x-hatexcard-signature'],
      ...['x-signature-sha256', 'x-payload-signature', 'x-callback-signature'],
      ...['x-api-signature', 'hatex-signature', 'authorization'],
    ]) {
      expect(safeHeaderName(name)).toBe(`the header ${name}`);
    }
    expect(safeHeaderName('x-maries-phone')).toBe('a header with another name');
  });
});

describe('a finding', () => {
  it.each(DIAGNOSIS_CAUSES)('says in sentences what it means and what to do: %s', (cause) => {
    const { summary, fix, ...rest } = finding({ cause }, 'likely');
    expect(rest).toEqual({ cause, evidence: [], confidence: 'likely' });
    expect(summary).toMatch(/^[A-Z][^.]{15,}\.$/);
    const [, what] = /^(.+) See docs\/troubleshooting\.md#(\w+)$/.exec(fix) ?? [];
    expect(what).toMatch(/^[A-Z].{20,}\.$/);
    expect(fix.endsWith(`#${cause}`)).toBe(true);
  });

  it('carries its evidence', () => {
    const evidence = ['It was added.'];
    expect(finding({ cause: 'bom', evidence }, 'proven')).toMatchObject({
      evidence,
      confidence: 'proven',
    });
  });
});
