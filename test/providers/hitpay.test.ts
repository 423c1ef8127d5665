import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type HitPayEvent, type HitPayOptions, hitpay, verify } from '../../src/index.ts';
import { code, everythingShown, thrown } from '../core/code.ts';
import { bodyOf, type Field, hmacOf, SALT, textOf } from '../hitpay-bodies.ts';
import { withLines, withText } from '../long-body.ts';

const EVENT_SALT = 'salt-of-the-endpoint';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const UUID = '92965a2d-ece3-4ace-1245-494050c9a3c1';
const UUID_2 = '92965a20-dae5-4d89-a452-5fdfa382dbe1';

const REQUEST = {
  payment_id: UUID,
  payment_request_id: UUID_2,
  phone: '',
  amount: '599.00',
  currency: 'SGD',
  status: 'completed',
  reference_number: 'ABC123',
};
const BILLING = {
  payment_id: UUID,
  recurring_billing_id: UUID_2,
  amount: '599.00',
  currency: 'SGD',
  status: 'succeeded',
  reference: 'SUB-1',
};

type Change = Record<string, string | undefined>;

/** Fields with changes; undefined takes one out. */
function fieldsOf(change: Change = {}, base: Change = REQUEST): Field[] {
  return Object.entries({ ...base, ...change }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
}

function form(fields: Field[], options: HitPayOptions = { salt: SALT }): HitPayEvent {
  return verify(hitpay(options), { headers: FORM, body: bodyOf(fields, hmacOf(textOf(fields))) });
}

/** The same, with another signature or none. */
function formSigned(hmac: string | null, fields = fieldsOf()): HitPayEvent {
  const body = bodyOf(fields, hmac ?? '').toString();
  return verify(hitpay({ salt: SALT }), {
    headers: FORM,
    body: Buffer.from(hmac === null ? body.replace('&hmac=', '') : body),
  });
}

function event(
  body: unknown,
  options: HitPayOptions = { eventSalt: EVENT_SALT },
  salt = EVENT_SALT,
  headers: Record<string, string> = {},
): HitPayEvent {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return verify(hitpay(options), {
    headers: {
      'content-type': 'application/json',
      'Hitpay-Signature': createHmac('sha256', salt).update(text).digest('hex'),
      ...headers,
    },
    body: Buffer.from(text),
  });
}

describe('hitpay: options', () => {
  const WRONG: [shown: string, options: unknown, error: typeof TypeError | typeof RangeError][] = [
    ['none', undefined, TypeError],
    ['no salt', {}, TypeError],
    ['an undefined salt', { salt: undefined }, TypeError],
    ['undefined salts', { salt: undefined, eventSalt: undefined }, TypeError],
    ['an empty salt', { salt: '' }, TypeError],
    ['a null salt', { salt: null, eventSalt: 'x' }, TypeError],
    ['an empty salt beside a good one', { salt: '', eventSalt: 'x' }, TypeError],
    ['an empty eventSalt', { salt: 'x', eventSalt: '' }, TypeError],
    ['a null eventSalt', { salt: 'x', eventSalt: null }, TypeError],
    ['a misspelt option', { salt: 'x', eventsalt: 'x' }, TypeError],
    ['extraFields that is text', { salt: 'x', extraFields: 'zone' }, TypeError],
    ['extraFields of null', { salt: 'x', extraFields: null }, TypeError],
    ['an empty name', { salt: 'x', extraFields: [''] }, TypeError],
    ['a number for a name', { salt: 'x', extraFields: [5] }, TypeError],
    ['a name that begins with a digit', { salt: 'x', extraFields: ['2nd'] }, TypeError],
    ['a name that begins with _', { salt: 'x', extraFields: ['__proto__'] }, TypeError],
    ['a name with a space', { salt: 'x', extraFields: ['a b'] }, TypeError],
    ['a name with a dot', { salt: 'x', extraFields: ['a.b'] }, TypeError],
    ['a name that is no ASCII', { salt: 'x', extraFields: ['zoné'] }, TypeError],
    ['a long name', { salt: 'x', extraFields: ['a'.repeat(65)] }, TypeError],
    ['a known name', { salt: 'x', extraFields: ['status'] }, RangeError],
    ['hmac', { salt: 'x', extraFields: ['hmac'] }, RangeError],
    ['a part of a known name', { salt: 'x', extraFields: ['number'] }, RangeError],
    ['a name that holds a known one', { salt: 'x', extraFields: ['payment_status'] }, RangeError],
    ['a name twice', { salt: 'x', extraFields: ['zone', 'zone'] }, RangeError],
    ['a name in another', { salt: 'x', extraFields: ['zone', 'zone_id'] }, RangeError],
  ];
  it.each(WRONG)('throws for %s', (_, options, error) => {
    expect(() => hitpay(options as HitPayOptions)).toThrow(error);
  });

  it('salt: forms and, where there is no eventSalt, events', () => {
    expect(form(fieldsOf(), { salt: SALT }).keyId).toBe('salt#1');
    expect(event({}, { salt: SALT }, SALT).keyId).toBe('salt#1');
    expect(hitpay({ salt: SALT }).contentTypes).toHaveLength(2);
  });

  it('eventSalt: events only', () => {
    expect(event({}).keyId).toBe('eventSalt#1');
    expect(hitpay({ eventSalt: 'x' }).contentTypes).toEqual(['application/json']);
    expect(code(() => form(fieldsOf(), { eventSalt: SALT }))).toBe('content_type_unsupported');
    // Also where the content type does not tell.
    const body = bodyOf(fieldsOf(), hmacOf(textOf(fieldsOf())));
    expect(code(() => verify(hitpay({ eventSalt: SALT }), { headers: {}, body }))).toBe(
      'signature_mismatch',
    );
  });

  it('both: an event by either, a form by salt alone', () => {
    const options = { salt: SALT, eventSalt: EVENT_SALT };
    expect(event({}, options).keyId).toBe('eventSalt#1');
    expect(event({}, options, SALT).keyId).toBe('salt#1');
    expect(form(fieldsOf(), options).keyId).toBe('salt#1');
    expect(code(() => form(fieldsOf(), { salt: EVENT_SALT, eventSalt: SALT }))).toBe(
      'signature_mismatch',
    );
  });

  it('several salts: tells which matched', () => {
    const salt = ['new', { id: 'old', value: SALT, notAfter: new Date(Date.now() + 60_000) }];
    expect(form(fieldsOf(), { salt }).keyId).toBe('old');
    const expired = ['new', { id: 'old', value: SALT, notAfter: new Date(0) }];
    expect(code(() => form(fieldsOf(), { salt: expired }))).toBe('signature_mismatch');
  });
});

describe('hitpay: the scheme', () => {
  const body = bodyOf(fieldsOf(), hmacOf(textOf(fieldsOf())));
  const provider = hitpay({ salt: SALT });

  it('is told without a content type', () => {
    expect(verify(provider, { headers: {}, body }).scheme).toBe('hitpay/form');
    const json = Buffer.from('{}');
    const headers = { 'hitpay-signature': createHmac('sha256', SALT).update(json).digest('hex') };
    expect(verify(provider, { headers, body: json }).scheme).toBe('hitpay/event');
  });

  it('of a form is no event, and of an event no form', () => {
    const text = textOf(fieldsOf());
    const hmac = hmacOf(text);
    const asJson = { 'content-type': 'application/json', 'hitpay-signature': hmac };
    expect(code(() => verify(provider, { headers: asJson, body }))).toBe('signature_mismatch');
    // The very text that was signed, sent as JSON.
    expect(code(() => verify(provider, { headers: asJson, body: Buffer.from(text) }))).toBe(
      'body_malformed',
    );
    // A JSON text, cut into a form.
    const json = '{"id":"p","status":"completed"}';
    for (let at = 1; at <= json.length; at++) {
      const fields: Field[] = [[json.slice(0, at), json.slice(at)]];
      expect(code(() => form(fields))).toBe('field_ambiguous');
    }
  });

  it('is recognised by its marks alone', () => {
    const list = [provider, hitpay({ salt: 'other' })];
    expect(verify(list, { headers: FORM, body }).scheme).toBe('hitpay/form');
    expect(code(() => verify(list, { headers: {}, body }))).toBe('provider_unrecognized');
  });
});

describe('hitpay/form: the event', () => {
  it('of a payment request', () => {
    expect(form(fieldsOf({ phone: '+65 9123' }))).toEqual({
      provider: 'hitpay',
      scheme: 'hitpay/form',
      trust: 'signed',
      keyId: 'salt#1',
      id: `hitpay:${UUID}:payment.succeeded`,
      type: 'payment.succeeded',
      paymentId: UUID,
      reference: 'ABC123',
      amount: { currency: 'SGD', value: '599.00', minorUnits: 59900 },
      fee: null,
      net: null,
      customer: { name: null, phone: '+65 9123', email: null },
      occurredAt: null,
      payload: { ...REQUEST, phone: '+65 9123' },
    });
  });

  it('of recurring billing', () => {
    expect(form(fieldsOf({}, BILLING))).toMatchObject({
      type: 'payment.succeeded',
      reference: 'SUB-1',
      paymentId: UUID,
      payload: BILLING,
    });
  });

  it('does not depend on the order of the fields', () => {
    const fields = fieldsOf();
    expect(form([...fields].reverse())).toEqual(form(fields));
  });

  it.each([
    ['completed', 'payment.succeeded'],
    ['succeeded', 'payment.succeeded'],
    ['succeeded_manually', 'payment.succeeded'],
    ['pending', 'payment.pending'],
    ['requires_payment_method', 'payment.pending'],
    ['requires_customer_action', 'payment.pending'],
    ['failed', 'payment.failed'],
    ['expired', 'payment.expired'],
    ['canceled', 'payment.canceled'],
    ['void', 'payment.canceled'],
    ['refunded', 'payment.refunded'],
    ['partially_refunded', 'payment.partially_refunded'],
  ])('status %s is %s', (status, type) => {
    for (const base of [REQUEST, BILLING]) {
      expect(form(fieldsOf({ status }, base))).toMatchObject({
        type,
        id: `hitpay:${UUID}:${type}`,
      });
    }
  });

  it('status inactive is other, told apart by the status', () => {
    expect(form(fieldsOf({ status: 'inactive' }))).toMatchObject({
      type: 'other',
      id: `hitpay:${UUID}:inactive`,
    });
  });

  it.each([
    ['', null],
    ['  ', null],
    [undefined, null],
    ['N/A', 'N/A'],
    ['iphone-status-case', 'iphone-status-case'],
    ['statusfailed', 'statusfailed'],
    ['amount0.01currencySGD', 'amount0.01currencySGD'],
    ['Order #42 é 💰 a&b=c', 'Order #42 é 💰 a&b=c'],
    ['x'.repeat(255), 'x'.repeat(255)],
  ])('reference_number %j is the reference %j', (reference_number, reference) => {
    expect(form(fieldsOf({ reference_number })).reference).toBe(reference);
  });

  it.each([
    ['900,000.00', '900000.00', 90000000],
    ['0.50', '0.50', 50],
    ['1', '1', 100],
  ])('amount %s', (amount, value, minorUnits) => {
    expect(form(fieldsOf({ amount })).amount).toEqual({ currency: 'SGD', value, minorUnits });
  });

  it('has no amount that the currency cannot have', () => {
    expect(form(fieldsOf({ amount: '1.005' })).amount).toBeNull();
    expect(form(fieldsOf({ amount: '1.50', currency: 'vnd' })).amount).toBeNull();
  });

  it('takes new plain fields, with or without a declaration', () => {
    expect(form(fieldsOf({ payment_type: 'gcash' })).payload).toHaveProperty('payment_type');
    expect(form(fieldsOf({ zip: '' })).payload).toHaveProperty('zip', '');
    expect(form(fieldsOf({ alias: 'x' })).payload).toHaveProperty('alias', 'x');
    const options = { salt: SALT, extraFields: ['Type2', 'remark'] };
    expect(form(fieldsOf({ Type2: 'a', remark: 'b' }), options).payload).toMatchObject({
      Type2: 'a',
      remark: 'b',
    });
  });
});

describe('hitpay/form: fields that leave more than one reading', () => {
  const AMBIGUOUS: [shown: string, change: Change, extraFields?: string[]][] = [
    ['no payment_id', { payment_id: undefined }],
    ['no status', { status: undefined }],
    ['no phone', { phone: undefined }],
    ['both shapes', { recurring_billing_id: UUID }],
    ['a reference of the other shape', { reference: 'x' }],
    ['an unknown status', { status: 'paid' }],
    ['a status in capitals', { status: 'COMPLETED' }],
    ['an empty status', { status: '' }],
    ['a status that every object has', { status: 'toString' }],
    ['a currency of two letters', { currency: 'SG' }],
    ['a currency of four letters', { currency: 'SGDX' }],
    ['a negative amount', { amount: '-1' }],
    ['an amount with an exponent', { amount: '1e5' }],
    ['an amount of too many digits', { amount: '1234567890123456' }],
    ['an empty amount', { amount: '' }],
    ['an empty id', { payment_id: '' }],
    ['an id with an underscore', { payment_id: 'a_b' }],
    ['an id that goes on after a UUID', { payment_id: `${UUID}a` }],
    ['an id of 65 characters', { payment_id: 'a'.repeat(65) }],
    ['a phone with letters', { phone: '+65 x123' }],
    ['a phone of 41 characters', { phone: '1'.repeat(41) }],
    ['a known name in a new field', { zip: 'xstatusx' }],
    ['a known name over a boundary', { zipsta: 'tus' }],
    ['a new field between the reference and the status', { remark: 'x' }],
    ['a new field after a short id', { payment_request_id: 'r1', paymenu: 'x' }],
    ['a new name with a digit', { zip2: 'x' }],
    ['a new name in capitals', { ZIP: 'x' }],
    ['a new name with two underscores', { zip__code: 'x' }],
    ['a new name that ends with an underscore', { zip_: 'x' }],
    ['the name __proto__', { ['__proto__']: 'x' }],
    ['a new field after a declared one', { zip: 'x', zone: 'y', zzz: 'z' }, ['zone']],
    ['a declared name in a value', { zip: 'zone', zone: 'y' }, ['zone']],
    ['a known name in a declared field', { zone: 'xstatusx' }, ['zone']],
    ['a known name in an id', { payment_id: 'xphonex' }],
    ['a required field that is missing', {}, ['remark']],
  ];
  it.each(AMBIGUOUS)('%s', (_, change, extraFields = []) => {
    expect(code(() => form(fieldsOf(change), { salt: SALT, extraFields }))).toBe('field_ambiguous');
  });

  it.each([
    ['a new field after a UUID', { paymenu: 'x' }],
    ['a payment_ field after a short id', { payment_id: 'p1', payment_intent: 'x' }],
    ['constructor as a new name', { constructor: 'x' }],
  ] as [string, Change][])('but not %s', (_, change) => {
    expect(form(fieldsOf(change)).type).toBe('payment.succeeded');
  });

  const own: [shown: string, fields: Field[]][] = [
    ['__proto__', [...fieldsOf(), ['__proto__', 'x']]],
    ['constructor.prototype', [...fieldsOf(), ['constructor.prototype', 'x']]],
  ];
  it.each(own)('the name %s is refused and pollutes nothing', (_, fields) => {
    expect(code(() => form(fields))).toBe('field_ambiguous');
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it('the re-cuts of THREATS.md', () => {
    const failed = fieldsOf({ status: 'failed', reference_number: 'statuscompleted' });
    const text = textOf(failed);
    const hmac = hmacOf(text);
    const base = failed.filter(([name]) => name !== 'reference_number' && name !== 'status');
    const cuts: [shown: string, fields: Field[]][] = [
      [
        'a tail as a new key',
        [...base, ['reference_number', ''], ['status', 'completed'], ['statusf', 'ailed']],
      ],
      ['the whole text as one key', [[text, '']]],
      ['the whole text as one value', [[text.slice(0, 1), text.slice(1)]]],
      ['no reference', [...base, ['reference_numberstatuscompleted', ''], ['status', 'failed']]],
    ];
    expect(form(failed).type).toBe('payment.failed');
    for (const [, fields] of cuts) {
      expect(textOf(fields)).toBe(text);
      expect(code(() => formSigned(hmac, fields))).toBe('field_ambiguous');
    }
  });
});

describe('hitpay/form: fields beside the known ones', () => {
  const accepted = (change: Change, extraFields: string[] = [], base: Change = REQUEST) =>
    form(fieldsOf(change, base), { salt: SALT, extraFields }).reference;

  it.each([
    ['a status', { pending: '1', status: 'pending' }, ['pending']],
    ['a status and begins it', { void: '1', status: 'void' }, ['void']],
    ['where a name and the status meet', { berstat: '1' }, ['berstat']],
    ['where the status and the next name meet', { usz: '1', status: 'void' }, ['usz']],
  ])('a declared name may occur in %s', (_, change, extraFields) => {
    expect(accepted(change, extraFields)).toBe('ABC123');
  });

  it.each([
    'cart',
    'total',
    'zone',
    'payment_type',
  ])('a declared field may be absent: %s', (name) => {
    expect(accepted({}, [name])).toBe('ABC123');
    expect(accepted({ [name]: 'x' }, [name])).toBe('ABC123');
  });

  it.each([
    'region',
    'sales',
  ])('a declared field between the reference and the status is required: %s', (name) => {
    expect(accepted({ [name]: 'x' }, [name])).toBe('ABC123');
    expect(code(() => accepted({}, [name]))).toBe('field_ambiguous');
  });

  it.each([
    ['behind the reference of a subscription', { sales: 'x' }],
    ['of the other shape', { reference_number: 'x' }],
    ['of the other shape, empty', { reference_number: '' }],
  ])('none may stand %s', (_, change) => {
    expect(code(() => accepted(change, [], BILLING))).toBe('field_ambiguous');
  });

  it.each([
    ['a part of a UUID', UUID.slice(0, 25)],
    ['a UUID behind a letter', `x${UUID}`],
    ['a UUID in capitals', UUID.toUpperCase()],
  ])('an id may be %s', (_, payment_id) => {
    expect(accepted({ payment_id })).toBe('ABC123');
  });
});

describe('hitpay/form: signature', () => {
  const right = hmacOf(textOf(fieldsOf()));

  it.each([
    ['none', null, 'signature_missing'],
    ['empty', '', 'signature_malformed'],
    ['zz', 'zz', 'signature_malformed'],
    ['prefixed', `sha256=${right}`, 'signature_malformed'],
    ['with a tail', `${right}0`, 'signature_malformed'],
    [
      'of values alone',
      hmacOf(
        fieldsOf()
          .map(([, value]) => value)
          .join(''),
      ),
      'signature_mismatch',
    ],
    ['that includes hmac', hmacOf(textOf([...fieldsOf(), ['hmac', '']])), 'signature_mismatch'],
    ['of the body', hmacOf(bodyOf(fieldsOf(), '').toString()), 'signature_mismatch'],
    ['of unsorted fields', hmacOf(fieldsOf().flat().join('')), 'signature_mismatch'],
  ])('%s is refused', (_, hmac, outcome) => {
    expect(code(() => formSigned(hmac))).toBe(outcome);
  });

  it('is taken in either case', () => {
    expect(formSigned(right.toUpperCase()).type).toBe('payment.succeeded');
  });

  it('of which one digit or the end differs is refused', () => {
    for (let at = 0; at < 64; at++) {
      for (const digit of '0123456789abcdef') {
        if (digit === right[at]) continue;
        const wrong = right.slice(0, at) + digit + right.slice(at + 1);
        expect(code(() => formSigned(wrong))).toBe('signature_mismatch');
      }
      expect(code(() => formSigned(right.slice(0, at)))).toBe('signature_malformed');
    }
  });

  it('does not hold where a field was changed, added, taken out or doubled', () => {
    for (const [name] of fieldsOf()) {
      expect(code(() => formSigned(right, fieldsOf({ [name]: 'x' })))).toBe('signature_mismatch');
    }
    expect(code(() => formSigned(right, fieldsOf({ zip: 'x' })))).toBe('signature_mismatch');
    expect(code(() => formSigned(right, fieldsOf({ reference_number: undefined })))).toBe(
      'signature_mismatch',
    );
    expect(code(() => formSigned(right, [...fieldsOf(), ['status', 'failed']]))).toBe(
      'field_ambiguous',
    );
    expect(code(() => formSigned(right, [...fieldsOf(), ['hmac', right]]))).toBe('field_ambiguous');
  });

  it('in the header instead of the field is none', () => {
    const body = Buffer.from(bodyOf(fieldsOf(), '').toString().replace('&hmac=', ''));
    const headers = { ...FORM, 'hitpay-signature': right };
    expect(code(() => verify(hitpay({ salt: SALT }), { headers, body }))).toBe('signature_missing');
  });
});

const CHARGE = {
  id: UUID,
  status: 'succeeded',
  amount: 599,
  refunded_amount: 0,
  currency: 'sgd',
  customer: { name: 'Jane', email: 'jane@shop.example', phone_number: '+65 1' },
  payment_request: { id: UUID_2, reference_number: 'ABC123' },
};
const PAYMENT_REQUEST = {
  id: UUID_2,
  name: 'Jane',
  email: 'jane@shop.example',
  phone: '+65 1',
  amount: '599.00',
  currency: 'SGD',
  status: 'completed',
  reference_number: 'ABC123',
  payments: [{ id: UUID, amount: '599.00', currency: 'SGD', status: 'succeeded' }],
};

describe('hitpay/event: payment_request', () => {
  it('gives the event', () => {
    expect(event(PAYMENT_REQUEST)).toEqual({
      provider: 'hitpay',
      scheme: 'hitpay/event',
      trust: 'signed',
      keyId: 'eventSalt#1',
      id: `hitpay:${UUID}:payment.succeeded`,
      type: 'payment.succeeded',
      paymentId: UUID,
      reference: 'ABC123',
      amount: { currency: 'SGD', value: '599.00', minorUnits: 59900 },
      fee: null,
      net: null,
      customer: { name: 'Jane', phone: '+65 1', email: 'jane@shop.example' },
      occurredAt: null,
      payload: PAYMENT_REQUEST,
    });
  });

  it('takes the payment that has the outcome of the request', () => {
    const payments = [
      { id: 'p1', status: 'failed' },
      { id: 'p2', status: 'succeeded' },
      { id: 'p3', status: 'failed' },
    ];
    expect(event({ ...PAYMENT_REQUEST, payments }).paymentId).toBe('p2');
    expect(event({ ...PAYMENT_REQUEST, status: 'failed', payments }).paymentId).toBe('p3');
    expect(event({ ...PAYMENT_REQUEST, status: 'expired', payments }).paymentId).toBe('p3');
  });

  const PAID = { id: UUID, amount: '599.00', currency: 'sgd', status: 'succeeded' };

  it.each([
    ['refunded', [{ ...PAID, status: 'refunded' }]],
    ['failed', [{ ...PAID, status: 'failed' }]],
    ['of an unknown status', [{ ...PAID, status: 'Succeeded' }]],
    ['of no text for a status', [{ ...PAID, status: null }]],
    ['refunded, by its amount', [{ ...PAID, refunded_amount: 599 }]],
    ['refunded in part', [{ ...PAID, refunded_amount: '0.01' }]],
    ['refunded by an odd amount', [{ ...PAID, refunded_amount: 'all' }]],
  ])('is not paid where its payment is %s', (_, payments) => {
    const body = { ...PAYMENT_REQUEST, payments };
    expect(event(body)).toMatchObject({
      type: 'other',
      paymentId: UUID,
      reference: 'ABC123',
      id: expect.stringMatching(/^hitpay:other:[\w-]{43}$/),
    });
    expect(event({ ...body, name: 'Joe' }).id).not.toBe(event(body).id);
  });

  it.each([
    ['nothing of it', { refunded_amount: 0 }],
    ['as a text', { refunded_amount: '0.00' }],
    ['as null', { refunded_amount: null }],
  ])('is paid where nothing was refunded, told %s', (_, more) => {
    expect(event({ ...PAYMENT_REQUEST, payments: [{ ...PAID, ...more }] })).toEqual({
      ...event({ ...PAYMENT_REQUEST, payments: [PAID] }),
      payload: expect.anything(),
    });
  });

  it.each([
    [
      'its payment that is less',
      { amount: '1.00' },
      { currency: 'SGD', value: '1.00', minorUnits: 100 },
    ],
    ['its payment, as a number', { amount: 1 }, { currency: 'SGD', value: '1', minorUnits: 100 }],
    ['its payment, which tells no currency', { amount: '1', currency: undefined }, { value: '1' }],
    ['the request, if its payment is more', { amount: '601.50' }, { value: '599.00' }],
    ['the request, if its payment is the same', { amount: 599 }, { value: '599.00' }],
    ['nobody, if that is no money', { amount: '1e2' }, null],
    ['nobody, if that is no money in its currency', { currency: 'x' }, null],
    ['the request, if it tells none', { amount: undefined }, { value: '599.00' }],
    ['the request, if it is converted', { amount: '9', currency: 'idr' }, { value: '599.00' }],
  ])('has the amount of %s', (_, payment, amount) => {
    const { amount: found } = event({ ...PAYMENT_REQUEST, payments: [{ ...PAID, ...payment }] });
    if (amount === null) expect(found).toBeNull();
    else expect(found).toMatchObject(amount);
  });

  it('that failed has the amount of the request', () => {
    const payments = [{ ...PAID, amount: '1.00', status: 'failed' }];
    expect(event({ ...PAYMENT_REQUEST, status: 'failed', payments }).amount?.value).toBe('599.00');
  });

  it('has no amount where that of its payment is inexact', () => {
    const body = JSON.stringify({ ...PAYMENT_REQUEST, payments: [{ ...PAID, amount: 77 }] });
    const inexact = body.replace('77', '599.0000000000000001');
    expect(event(inexact).amount).toBeNull();
    expect(event(withText(inexact)).amount).toBeNull();
    const withNumber = inexact.replace(/"amount":"599.00"/, '"amount":599');
    expect(withNumber).not.toBe(inexact);
    expect(event(withText(withNumber)).amount).toBeNull();
  });

  it('is identified by its last payment, whatever their order', () => {
    const first = { ...PAID, created_at: '2026-01-21T10:30:00' };
    const second = { ...PAID, id: UUID_2, created_at: '2026-01-21T10:31:00' };
    const idOf = (...payments: object[]) => event({ ...PAYMENT_REQUEST, payments }).paymentId;
    expect(idOf(first, second)).toBe(UUID_2);
    expect(idOf(second, first)).toBe(UUID_2);
    expect(idOf(second, first, { ...first, id: 'p3', status: 'failed' })).toBe(UUID_2);
    const third = { ...PAID, id: 'p3', created_at: '2026-01-21T10:32:00' };
    expect(idOf(first, third, second)).toBe('p3');
    // One of them tells no time, so the place in the list does.
    expect(idOf(second, { ...first, created_at: undefined })).toBe(UUID);
    expect(idOf(second, { ...first, created_at: 'now' })).toBe(UUID);
    expect(idOf(second, { ...first, created_at: 5 })).toBe(UUID);
    expect(idOf({ ...third, created_at: undefined }, second, first)).toBe(UUID);
    expect(idOf(first, { ...second, created_at: first.created_at })).toBe(UUID_2);
  });

  it.each([
    [[]],
    [[null, 'p1', ['p1']]],
    [[{ id: '' }]],
    [[{ id: 5 }]],
  ])('is identified by the request where payments is %j', (payments) => {
    expect(event({ ...PAYMENT_REQUEST, payments })).toMatchObject({
      paymentId: null,
      type: 'payment.succeeded',
      id: `hitpay:payment_request:${UUID_2}:payment.succeeded:completed`,
    });
  });

  it.each([
    [undefined],
    [null],
    [{}],
    ['p1'],
  ])('is not told from other kinds where it says completed and payments is %j', (payments) => {
    expect(event({ ...PAYMENT_REQUEST, payments })).toMatchObject({
      type: 'other',
      reference: null,
      amount: null,
      id: expect.stringMatching(/^hitpay:other:[\w-]{43}$/),
    });
  });

  it.each([
    'pending',
    'failed',
    'expired',
    'canceled',
  ])('that nobody paid needs no payments to be told: %s', (status) => {
    const { payments: _, ...request } = PAYMENT_REQUEST;
    expect(event({ ...request, status })).toMatchObject({
      type: `payment.${status}`,
      reference: 'ABC123',
      paymentId: null,
      id: `hitpay:payment_request:${UUID_2}:payment.${status}:${status}`,
    });
  });

  it.each([
    ['pending', 'payment.pending'],
    ['failed', 'payment.failed'],
    ['expired', 'payment.expired'],
    ['canceled', 'payment.canceled'],
    ['inactive', 'other'],
  ])('status %s is %s', (status, type) => {
    expect(event({ ...PAYMENT_REQUEST, status })).toMatchObject({ type, reference: 'ABC123' });
  });

  it.each([
    'paid',
    '',
    'toString',
    '__proto__',
    'COMPLETED',
    ['completed'],
    { toString: 'completed' },
  ])('of status %j is not known', (status) => {
    expect(event({ ...PAYMENT_REQUEST, status })).toMatchObject({
      type: 'other',
      reference: null,
      amount: null,
    });
  });

  it('has the reference null where it is empty', () => {
    for (const reference_number of ['', null]) {
      expect(event({ ...PAYMENT_REQUEST, reference_number })).toMatchObject({
        type: 'payment.succeeded',
        reference: null,
      });
    }
  });
});

describe('hitpay/event: payment_request with an amount that is a number', () => {
  it.each([
    ['599', '599'],
    ['599.50', '599.5'],
    ['1e3', undefined],
    ['599.0000000000001', undefined],
    ['-599', undefined],
  ])('%s is %j', (number, value) => {
    const payments = [{ id: UUID, status: 'succeeded' }];
    const request = JSON.stringify({ ...PAYMENT_REQUEST, payments, amount: 'HERE' });
    const body = request.replace('"HERE"', number);
    expect(event(body).amount?.value).toBe(value);
    expect(event(withLines(body)).amount?.value).toBe(value);
    expect(event(withText(body)).amount?.value).toBe(value);
  });
});

describe('hitpay/event: charge', () => {
  it.each([
    ['amount', '1e3'],
    ['amount', '599.0000000000000001'],
    ['refunded_amount', '1e2'],
    ['refunded_amount', '100.0000000000000001'],
  ])('is no payment of an exact amount where %s is %s, however long it is', (name, number) => {
    const charge = JSON.stringify({ ...CHARGE, amount: 599, [name]: 'HERE' });
    const body = charge.replace('"HERE"', number);
    for (const text of [body, withLines(body), withText(body)]) {
      expect(event(text)).toMatchObject({
        type: 'other',
        amount: name === 'amount' ? null : { value: '599' },
      });
    }
  });

  it('gives the event', () => {
    expect(event(CHARGE)).toEqual({
      provider: 'hitpay',
      scheme: 'hitpay/event',
      trust: 'signed',
      keyId: 'eventSalt#1',
      id: `hitpay:${UUID}:payment.succeeded`,
      type: 'payment.succeeded',
      paymentId: UUID,
      reference: 'ABC123',
      amount: { currency: 'SGD', value: '599', minorUnits: 59900 },
      fee: null,
      net: null,
      customer: { name: 'Jane', phone: '+65 1', email: 'jane@shop.example' },
      occurredAt: null,
      payload: CHARGE,
    });
  });

  it('that tells nothing of refunds is known by its number and its request', () => {
    const { refunded_amount: _, ...untold } = CHARGE;
    expect(event(untold)).toMatchObject({ type: 'payment.succeeded', reference: 'ABC123' });
    expect(event({ ...untold, amount: '599.00' }).type).toBe('other');
    expect(event({ ...untold, payment_request: null }).type).toBe('other');
  });

  it.each([
    ['succeeded', '0', 'payment.succeeded', 'payment.succeeded'],
    ['succeeded', '0.00', 'payment.succeeded', 'payment.succeeded'],
    ['succeeded', '10.5', 'payment.partially_refunded', 'payment.partially_refunded:10.5'],
    ['succeeded', '598.99', 'payment.partially_refunded', 'payment.partially_refunded:598.99'],
    ['succeeded', '599', 'payment.refunded', 'payment.refunded'],
    ['succeeded', '600', 'payment.refunded', 'payment.refunded'],
    ['succeeded_manually', '1', 'payment.partially_refunded', 'payment.partially_refunded:1'],
    ['partially_refunded', '5', 'payment.partially_refunded', 'payment.partially_refunded:5'],
    ['refunded', '599', 'payment.refunded', 'payment.refunded'],
    ['failed', '0', 'payment.failed', 'payment.failed'],
    ['void', '0', 'payment.canceled', 'payment.canceled'],
    ['pending', 'null', 'payment.pending', 'payment.pending'],
  ])('%s with %s refunded is %s', (status, refunded, type, id) => {
    const body = JSON.stringify({ ...CHARGE, status, refunded_amount: 'HERE' });
    expect(event(body.replace('"HERE"', refunded))).toMatchObject({
      type,
      id: `hitpay:${UUID}:${id}`,
    });
  });

  it.each([
    undefined,
    null,
    0,
    'x',
  ])('whose refunds are told apart by its content, where their sum is %j', (refunded_amount) => {
    const of = (updated_at: number) =>
      event({ ...CHARGE, status: 'partially_refunded', refunded_amount, updated_at });
    expect(of(1)).toMatchObject({ type: 'payment.partially_refunded' });
    expect(of(1).id).toBe(of(1).id);
    expect(of(1).id).not.toBe(of(2).id);
  });

  it.each([
    'null',
    '"x"',
    '-5',
    '1e5',
    '0.001',
    '{}',
  ])('that says that %s was refunded is not taken for paid', (refunded) => {
    const body = JSON.stringify({ ...CHARGE, refunded_amount: 'HERE' });
    expect(event(body.replace('"HERE"', refunded)).type).toBe('other');
    expect(event(withLines(body.replace('"HERE"', refunded))).type).toBe('other');
  });

  it.each([
    'null',
    '"x"',
    '-599',
    '1e400',
    '599.001',
  ])('whose amount is %s is not taken for paid', (amount) => {
    const body = JSON.stringify({ ...CHARGE, amount: 'HERE' });
    const refused = { type: 'other', amount: null };
    expect(event(body.replace('"HERE"', amount))).toMatchObject(refused);
    expect(event(withLines(body.replace('"HERE"', amount)))).toMatchObject(refused);
  });

  it.each([
    ['paid'],
    ['toString'],
    [''],
    [null],
    [5],
    [['succeeded']],
  ])('of status %j is other', (status) => {
    expect(event({ ...CHARGE, status })).toMatchObject({ type: 'other', paymentId: UUID });
  });

  it('without its parts has no reference, and the customer at the top', () => {
    const { customer: _, payment_request: __, ...rest } = CHARGE;
    expect(event({ ...rest, email: 'a@shop.example' })).toMatchObject({
      reference: null,
      customer: { name: null, phone: null, email: 'a@shop.example' },
    });
    expect(event({ ...CHARGE, payment_request: null }).reference).toBeNull();
    expect(event({ ...CHARGE, id: '' })).toMatchObject({
      paymentId: null,
      type: 'payment.succeeded',
    });
  });
});

describe('hitpay/event: what lacks a part of its kind', () => {
  const CONTENT = /^hitpay:other:[\w-]{43}$/;

  it.each([
    ['a charge without an id', { ...CHARGE, id: undefined }],
    ['a charge whose id is no text', { ...CHARGE, id: 5 }],
    ['a payment request without an id', { ...PAYMENT_REQUEST, id: undefined }],
    ['a payment request whose id is no text', { ...PAYMENT_REQUEST, id: 5 }],
    ['a payment request without a reference', { ...PAYMENT_REQUEST, reference_number: undefined }],
    ['nothing that is known', { hello: 'world' }],
  ])('is of no kind: %s', (_, body) => {
    const told = event(body);
    expect(told).toMatchObject({ type: 'other', paymentId: null, reference: null, amount: null });
    expect(told.customer).toEqual({ name: null, phone: null, email: null });
    expect(told.id).toMatch(CONTENT);
  });

  it('a charge of an unknown status is known by its content', () => {
    expect(event({ ...CHARGE, status: 'paid' }).id).toMatch(CONTENT);
  });

  it('a payment request of another status is known by itself and the status', () => {
    expect(event({ ...PAYMENT_REQUEST, status: 'inactive' }).id).toBe(
      `hitpay:payment_request:${PAYMENT_REQUEST.id}:other:inactive`,
    );
  });
});

describe('hitpay/event: other kinds', () => {
  /** Money that goes out, in the words of money that comes in. */
  const TRANSFER = {
    id: UUID,
    reference_number: 'ABC123',
    status: 'completed',
    amount: 599,
    currency: 'SGD',
    beneficiary: { name: 'Jane' },
  };

  it('recurring billing is other, with its reference', () => {
    const body = {
      event: 'recurring_billing.method_attached',
      affected_method_id: 'm1',
      recurring_billing: { id: 'r1', reference: 'SUB-1', status: 'active', name: 'Jane' },
    };
    expect(event(body)).toMatchObject({
      type: 'other',
      id: expect.stringMatching(
        /^hitpay:recurring_billing:r1:recurring_billing\.method_attached:[\w-]{43}$/,
      ),
      reference: 'SUB-1',
      paymentId: null,
      customer: { name: 'Jane' },
      payload: body,
    });
    const bare = { event: 5, recurring_billing: {} };
    expect(event(bare)).toMatchObject({
      id: expect.stringMatching(/^hitpay:recurring_billing:::[\w-]{43}$/),
      reference: null,
    });
  });

  it('a subscription that comes back to a status, or changes its price, is another fact', () => {
    const updated = (status: string, amount: number, at: string) => ({
      event: 'recurring_billing.subscription_updated',
      recurring_billing: { id: 'r1', reference: 'SUB-1', status, amount, updated_at: at },
    });
    const bodies = [
      updated('active', 10, '2026-11-01'),
      updated('paused', 10, '2026-11-05'),
      updated('active', 10, '2026-11-09'),
      updated('active', 25, '2026-11-09'),
    ];
    const ids = bodies.map((body) => event(body).id);
    expect(new Set(ids).size).toBe(4);
    expect(bodies.map((body) => event(body).id)).toEqual(ids);
  });

  it.each([
    [{}],
    [{ id: 'po_1', amount: 5, currency: 'SGD', status: 'paid' }],
    [{ id: 'o1', status: 'completed', order_display_number: 5 }],
    [{ id: 5, status: 'completed', reference_number: 'x' }],
    [{ id: 'x', reference_number: 'x', status: 5 }],
    [{ id: 5, refunded_amount: 0, status: 'succeeded' }],
    [{ recurring_billing: 'r1' }],
    [{ recurring_billing: [] }],
    [TRANSFER],
    [{ ...TRANSFER, status: 'succeeded' }],
    [{ ...TRANSFER, status: 'refunded' }],
    [{ ...TRANSFER, status: 'inactive' }],
  ])('%j is other, identified by its content', (body) => {
    const read = event(body);
    expect(read).toMatchObject({ type: 'other', paymentId: null, payload: body });
    expect(read.id).toMatch(/^hitpay:other:[\w-]{43}$/);
    expect(event({ ...body, more: 1 }).id).not.toBe(read.id);
    expect(event(body).id).toBe(read.id);
  });

  it('is not told by the unsigned headers', () => {
    const headers = { 'hitpay-event-object': 'charge', 'hitpay-event-type': 'created' };
    expect(
      event({ id: 'x', status: 'succeeded', amount: 5 }, undefined, undefined, headers).type,
    ).toBe('other');
  });

  it.each([
    '',
    '[]',
    'null',
    'x',
    '{"a":',
    '['.repeat(10_240),
  ])('an authentic %.20j is malformed', (body) => {
    expect(code(() => event(body))).toBe('body_malformed');
  });
});

describe('hitpay: identity', () => {
  it('is one for form, payment request and charge of one payment', () => {
    const ids = [
      form(fieldsOf()).id,
      form(fieldsOf({ status: 'succeeded' })).id,
      form(fieldsOf({}, BILLING)).id,
      event(PAYMENT_REQUEST).id,
      event(CHARGE).id,
      event({ ...CHARGE, status: 'succeeded_manually' }).id,
    ];
    expect(new Set(ids).size).toBe(1);
  });

  it('is another where a telling does not name the order', () => {
    const { payment_request: _, ...unnamed } = CHARGE;
    const ids = [
      event(unnamed).id,
      event({ ...PAYMENT_REQUEST, reference_number: null }).id,
      form(fieldsOf({ reference_number: undefined })).id,
    ];
    expect(new Set(ids)).toEqual(new Set([`${form(fieldsOf()).id}:no reference`]));
  });

  it('differs for every other fact', () => {
    const ids = [
      form(fieldsOf()).id,
      form(fieldsOf({ payment_id: 'p2' })).id,
      form(fieldsOf({ status: 'failed' })).id,
      form(fieldsOf({ status: 'pending' })).id,
      event({ ...CHARGE, refunded_amount: 5 }).id,
      event({ ...CHARGE, refunded_amount: 6 }).id,
      event({ ...CHARGE, refunded_amount: 599 }).id,
      event({ ...PAYMENT_REQUEST, payments: [] }).id,
      event({ ...PAYMENT_REQUEST, payments: [], status: 'failed' }).id,
      event({ ...CHARGE, status: 'paid' }).id,
      event({ ...CHARGE, status: 'paid', amount: 1 }).id,
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('hitpay/event: signature', () => {
  it.each([
    ['missing', undefined, 'signature_missing'],
    ['empty', '', 'signature_malformed'],
    ['twice', `${'a'.repeat(64)}, ${'a'.repeat(64)}`, 'signature_malformed'],
    ['wrong', 'a'.repeat(64), 'signature_mismatch'],
  ])('that is %s is refused', (_, signature, outcome) => {
    const headers = { 'content-type': 'application/json', 'hitpay-signature': signature };
    const body = Buffer.from('{}');
    expect(code(() => verify(hitpay({ salt: SALT }), { headers, body }))).toBe(outcome);
  });

  it('is over the bytes: another text of the same value is refused', () => {
    const signature = createHmac('sha256', SALT).update('{"a":1}').digest('hex');
    const headers = { 'content-type': 'application/json', 'hitpay-signature': signature };
    for (const text of ['{"a": 1}', '{"a":1}\n', '{"a":1.0}', '\ufeff{"a":1}']) {
      const body = Buffer.from(text);
      expect(code(() => verify(hitpay({ salt: SALT }), { headers, body }))).toBe(
        'signature_mismatch',
      );
    }
  });
});

describe('hitpay: silence', () => {
  it('no error shows a field, a signature or a salt, and no provider a salt', () => {
    const fields = fieldsOf({ reference_number: 'Private-Ref', remark: 'Private-Ref' });
    const hmac = hmacOf(textOf(fields));
    for (const signature of [hmac, 'ab'.repeat(32), `${hmac}x`]) {
      const shown = everythingShown(thrown(() => formSigned(signature, fields)));
      for (const text of ['Private-Ref', signature, SALT]) expect(shown).not.toContain(text);
    }
    expect(everythingShown(hitpay({ salt: SALT, eventSalt: EVENT_SALT }))).not.toMatch(/salt-of/);
  });
});
