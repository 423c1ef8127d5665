import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type HatexcardEvent, type HatexcardOptions, hatexcard, verify } from '../../src/index.ts';
import { code, everythingShown, thrown } from '../core/code.ts';
import { withLines, withText } from '../long-body.ts';

const SECRET = 'whsec_0123456789abcdef';
const NOW = 1_795_000_000;
const hex = (text: string | Uint8Array, secret = SECRET) =>
  createHmac('sha256', secret).update(text).digest('hex');

interface Sent {
  body: string | Uint8Array;
  /** null: no header. */
  signature?: string | null;
  timestamp?: string | null;
  secret?: string;
  headers?: Record<string, string>;
  at?: number;
  options?: Partial<HatexcardOptions>;
}

function deliver({ body, secret = SECRET, at = NOW, headers = {}, ...sent }: Sent): HatexcardEvent {
  const { timestamp = String(NOW), options = {} } = sent;
  const bytes = Buffer.from(body as string);
  const signed = timestamp === null ? bytes : Buffer.concat([Buffer.from(`${timestamp}.`), bytes]);
  const { signature = hex(signed, secret) } = sent;
  return verify(hatexcard({ secret: SECRET, ...options }), {
    headers: {
      'content-type': 'application/json',
      ...(signature === null ? {} : { 'X-Hatex-Signature': signature }),
      ...(timestamp === null ? {} : { 'X-Hatex-Timestamp': timestamp }),
      ...headers,
    },
    body: bytes,
    receivedAt: new Date(at * 1000),
  });
}

const data = {
  transaction_id: 'HTX-1',
  order_id: 'CMD-7',
  amount: 1500.5,
  amount_received: 1425.5,
  api_fee: 75,
  currency: 'HTG',
  customer_name: 'Marie Joseph',
};
const paid = (change: object = {}, top: object = {}) =>
  JSON.stringify({
    id: 'evt_1',
    event: 'payment.success',
    created: NOW,
    data: { ...data, ...change },
    ...top,
  });
const guide = (change: object = {}) =>
  JSON.stringify({
    event: 'payment.success',
    transaction_id: 'HTX-1',
    order_id: 'CMD-7',
    amount: 1500,
    currency: 'HTG',
    customer_name: 'Marie Joseph',
    timestamp: '2026-07-01T12:00:00Z',
    ...change,
  });

describe('hatexcard: options', () => {
  it('makes a provider', () => {
    expect(hatexcard({ secret: SECRET })).toMatchObject({
      name: 'hatexcard',
      contentTypes: ['application/json'],
    });
  });

  const WRONG: [shown: string, options: unknown, error: typeof TypeError | typeof RangeError][] = [
    ['none', undefined, TypeError],
    ['null', null, TypeError],
    ['no secret', {}, TypeError],
    ['an undefined secret', { secret: undefined }, TypeError],
    ['an empty secret', { secret: '' }, TypeError],
    ['a blank secret', { secret: '  ' }, TypeError],
    ['a secret with a line break', { secret: `${SECRET}\n` }, TypeError],
    ['the secret undefined', { secret: 'undefined' }, TypeError],
    ['a misspelt option', { secret: SECRET, tolerence: 5 }, TypeError],
    ['a tolerance of NaN', { secret: SECRET, tolerance: NaN }, RangeError],
    ['a negative tolerance', { secret: SECRET, tolerance: -1 }, RangeError],
    ['an infinite tolerance', { secret: SECRET, tolerance: Infinity }, RangeError],
    ['a tolerance that is text', { secret: SECRET, tolerance: '300' }, TypeError],
    ['no scheme', { secret: SECRET, schemes: [] }, TypeError],
    ['a scheme that is no list', { secret: SECRET, schemes: 'body' }, TypeError],
    ['an unknown scheme', { secret: SECRET, schemes: ['body', 'none'] }, TypeError],
    ['a scheme that every object has', { secret: SECRET, schemes: ['toString'] }, TypeError],
  ];
  it.each(WRONG)('throws for %s', (_, options, error) => {
    expect(() => hatexcard(options as HatexcardOptions)).toThrow(error);
  });

  it('tells which of several secrets matched', () => {
    const options = { secret: ['whsec_new', { id: 'retiring', value: SECRET }] };
    expect(deliver({ body: paid(), options }).keyId).toBe('retiring');
    expect(deliver({ body: paid(), options, secret: 'whsec_new' }).keyId).toBe('secret#1');
    expect(code(() => deliver({ body: paid(), options, secret: 'whsec_other' }))).toBe(
      'signature_mismatch',
    );
  });
});

describe('hatexcard: scheme timestamped', () => {
  it('gives the event', () => {
    expect(deliver({ body: paid() })).toEqual({
      provider: 'hatexcard',
      scheme: 'hatexcard/timestamped',
      trust: 'signed',
      keyId: 'secret#1',
      id: 'hatexcard:payment.succeeded:HTX-1',
      type: 'payment.succeeded',
      paymentId: 'HTX-1',
      reference: 'CMD-7',
      amount: { currency: 'HTG', value: '1500.5', minorUnits: 150050 },
      fee: { currency: 'HTG', value: '75', minorUnits: 7500 },
      net: { currency: 'HTG', value: '1425.5', minorUnits: 142550 },
      customer: { name: 'Marie Joseph', phone: null, email: null },
      occurredAt: new Date(NOW * 1000),
      payload: JSON.parse(paid()),
    });
  });

  it.each([
    [0, 'nothing was thrown'],
    [300, 'nothing was thrown'],
    [-300, 'nothing was thrown'],
    [300.999, 'nothing was thrown'],
    [301, 'timestamp_out_of_tolerance'],
    [-300.001, 'timestamp_out_of_tolerance'],
    [-301, 'timestamp_out_of_tolerance'],
    [86_400, 'timestamp_out_of_tolerance'],
  ])('received %d seconds later: %s', (seconds, outcome) => {
    expect(code(() => deliver({ body: paid(), at: NOW + seconds }))).toBe(outcome);
  });

  it.each([
    [0, 0, 'nothing was thrown'],
    [0, 1, 'timestamp_out_of_tolerance'],
    [1.5, 1, 'nothing was thrown'],
    [10, -10, 'nothing was thrown'],
    [10, 11, 'timestamp_out_of_tolerance'],
    [Number.MAX_SAFE_INTEGER, 1e9, 'nothing was thrown'],
  ])('with tolerance %d, received %d seconds later: %s', (tolerance, seconds, outcome) => {
    expect(code(() => deliver({ body: paid(), at: NOW + seconds, options: { tolerance } }))).toBe(
      outcome,
    );
  });

  it.each([
    '',
    ' ',
    'now',
    'NaN',
    '0',
    '-1795000000',
    '+1795000000',
    '0795000000',
    '179500000',
    '17950000000',
    '1795000000000',
    '1795000000.0',
    '1.795e9',
    '0x6afd3d40',
    ' 1795000000',
    '1795000000 ',
    '1795000000, 1795000000',
    '１７９５００００００',
    '2026-11-18T00:00:00Z',
  ])('refuses the timestamp %j even where it was signed', (timestamp) => {
    expect(code(() => deliver({ body: paid(), timestamp }))).toBe('timestamp_invalid');
  });

  it('refuses another timestamp than the signed one', () => {
    const signature = hex(`${NOW}.${paid()}`);
    const timestamp = String(NOW + 1);
    expect(code(() => deliver({ body: paid(), timestamp, signature }))).toBe('signature_mismatch');
  });

  it('refuses a signature whose timestamp was taken away', () => {
    const signature = hex(`${NOW}.${paid()}`);
    expect(code(() => deliver({ body: paid(), timestamp: null, signature }))).toBe(
      'signature_mismatch',
    );
  });

  it('refuses a signature of scheme body to which a timestamp was added', () => {
    expect(code(() => deliver({ body: guide(), signature: hex(guide()) }))).toBe(
      'signature_mismatch',
    );
  });

  it('never takes the re-serialised text', () => {
    const pretty = JSON.stringify(JSON.parse(paid()), null, 2);
    const signature = hex(`${NOW}.${paid()}`);
    expect(code(() => deliver({ body: pretty, signature }))).toBe('signature_mismatch');
  });

  it('does not decide by the unsigned x-hatex-event', () => {
    const headers = { 'x-hatex-event': 'payment.success' };
    const body = paid({}, { event: 'ping' });
    expect(deliver({ body, headers }).type).toBe('ping');
  });
});

describe('hatexcard: scheme body', () => {
  it('gives the event', () => {
    expect(deliver({ body: guide(), timestamp: null })).toEqual({
      provider: 'hatexcard',
      scheme: 'hatexcard/body',
      trust: 'signed',
      keyId: 'secret#1',
      id: 'hatexcard:payment.succeeded:HTX-1',
      type: 'payment.succeeded',
      paymentId: 'HTX-1',
      reference: 'CMD-7',
      amount: { currency: 'HTG', value: '1500', minorUnits: 150000 },
      fee: null,
      net: null,
      customer: { name: 'Marie Joseph', phone: null, email: null },
      occurredAt: new Date('2026-07-01T12:00:00Z'),
      payload: JSON.parse(guide()),
    });
  });

  it('takes the signature of the re-serialised body', () => {
    const pretty = JSON.stringify(JSON.parse(guide()), null, 2);
    const event = deliver({ body: pretty, timestamp: null, signature: hex(guide()) });
    expect(event).toMatchObject({ scheme: 'hatexcard/body', reference: 'CMD-7' });
  });

  const COLLISIONS: [sent: string, signed: string, amount: string | null][] = [
    [
      '{"event":"payment.success","amount":1e999}',
      '{"event":"payment.success","amount":null}',
      null,
    ],
    [
      '{"event":"payment.success","amount":1,"amount":9}',
      '{"event":"payment.success","amount":9}',
      '9',
    ],
    [
      '{"event":"payment.success","amount":9007199254740993}',
      '{"event":"payment.success","amount":9007199254740992}',
      null,
    ],
    [
      '{"event":"payment.success","amount":1e3}',
      '{"event":"payment.success","amount":1000}',
      '1000',
    ],
    ['{"event":"payment.success","amount":5.00}', '{"event":"payment.success","amount":5}', '5'],
    ['{"event":"payment.success","amount":-0}', '{"event":"payment.success","amount":0}', '0'],
  ];
  it.each(COLLISIONS)('reads %s as the signed text %s', (sent, signed, amount) => {
    const event = deliver({ body: sent, timestamp: null, signature: hex(signed) });
    expect(event.payload).toEqual(JSON.parse(signed));
    expect(event.amount?.value ?? null).toBe(amount);
  });

  it.each([
    'not json',
    '{"a":',
    '[]',
    'null',
    '"a"',
    '[',
    '{}x',
    '\ufeff{}',
  ])('refuses %j whatever the re-serialised text would be', (body) => {
    const signature = hex('{}');
    expect(code(() => deliver({ body, timestamp: null, signature }))).toBe('signature_mismatch');
  });

  it.each([
    'not json',
    '[]',
    'null',
    '{}x',
    '['.repeat(10_240),
  ])('refuses %.20j as malformed where it is authentic', (body) => {
    expect(code(() => deliver({ body, timestamp: null }))).toBe('body_malformed');
    expect(code(() => deliver({ body }))).toBe('body_malformed');
  });
});

describe('hatexcard: schemes', () => {
  it.each([
    ['timestamped', NOW, ['timestamped'], 'nothing was thrown'],
    ['timestamped', NOW, ['body'], 'signature_mismatch'],
    ['body', null, ['body'], 'nothing was thrown'],
    ['body', null, ['timestamped'], 'timestamp_invalid'],
    ['body', null, ['timestamped', 'body'], 'nothing was thrown'],
  ] as const)('%s (timestamp %s) where %j is accepted: %s', (_, timestamp, schemes, outcome) => {
    const sent = { body: guide(), timestamp: timestamp && String(timestamp), options: { schemes } };
    expect(code(() => deliver(sent))).toBe(outcome);
  });
});

it('hatexcard: a signature of scheme body does not hold beside a timestamp where only body is accepted', () => {
  const sent = { body: guide(), signature: hex(guide()), timestamp: String(NOW) };
  expect(code(() => deliver({ ...sent, options: { schemes: ['body'] } }))).toBe(
    'signature_mismatch',
  );
});

describe('hatexcard: signature', () => {
  const right = hex(`${NOW}.${paid()}`);

  it('is taken in either case', () => {
    expect(deliver({ body: paid(), signature: right.toUpperCase() }).type).toBe(
      'payment.succeeded',
    );
  });

  it.each([
    ['none', null, 'signature_missing'],
    ['empty', '', 'signature_malformed'],
    ['zz', 'zz', 'signature_malformed'],
    ['odd', right.slice(1), 'signature_malformed'],
    ['prefixed', `sha256=${right}`, 'signature_malformed'],
    ['twice', `${right}, ${right}`, 'signature_malformed'],
    ['padded', `${right}==`, 'signature_malformed'],
    ['with a tail', `${right}00`, 'signature_malformed'],
    ['of another secret', hex(`${NOW}.${paid()}`, 'whsec_x'), 'signature_mismatch'],
    ['of another body', hex(`${NOW}.{}`), 'signature_mismatch'],
    ['of the body alone', hex(paid()), 'signature_mismatch'],
    [
      'of the secret without its prefix',
      hex(`${NOW}.${paid()}`, SECRET.slice(6)),
      'signature_mismatch',
    ],
  ])('%s is refused', (_, signature, outcome) => {
    expect(code(() => deliver({ body: paid(), signature }))).toBe(outcome);
  });

  it('that comes twice is refused, also where both are right', () => {
    const headers = { 'x-hatex-signature': right };
    expect(code(() => deliver({ body: paid(), headers }))).toBe('signature_malformed');
  });

  it.each([
    ['timestamped', String(NOW)],
    ['body', null],
  ])('of scheme %s: every one-digit change and every prefix is refused', (_, timestamp) => {
    const signed = timestamp === null ? paid() : `${timestamp}.${paid()}`;
    const signature = hex(signed);
    for (let at = 0; at < 64; at++) {
      for (const digit of '0123456789abcdef') {
        if (digit === signature[at]) continue;
        const wrong = signature.slice(0, at) + digit + signature.slice(at + 1);
        expect(code(() => deliver({ body: paid(), timestamp, signature: wrong }))).toBe(
          'signature_mismatch',
        );
      }
      const prefix = signature.slice(0, at);
      expect(code(() => deliver({ body: paid(), timestamp, signature: prefix }))).toBe(
        'signature_malformed',
      );
    }
  });

  it('does not hold for a body of which one byte differs', () => {
    const bytes = Buffer.from(paid());
    for (let at = 0; at < bytes.length; at++) {
      const body = Buffer.from(bytes);
      body[at] = (body[at] as number) ^ 1;
      expect(code(() => deliver({ body, signature: right }))).toBe('signature_mismatch');
    }
  });

  it('is not needed for nothing: an unsigned delivery is refused', () => {
    const sent = { body: guide(), signature: null };
    expect(code(() => deliver({ ...sent, timestamp: null }))).toBe('signature_missing');
    expect(code(() => deliver(sent))).toBe('signature_missing');
  });
});

describe('hatexcard: the event', () => {
  it.each([
    ['payment.success', 'payment.succeeded', 'hatexcard:payment.succeeded:HTX-1'],
    ['payment.succeeded', 'payment.succeeded', 'hatexcard:payment.succeeded:HTX-1'],
    ['ping', 'ping', 'hatexcard:ping:HTX-1'],
    ['payment.refunded', 'other', 'hatexcard:other.payment.refunded:HTX-1'],
    ['toString', 'other', 'hatexcard:other.toString:HTX-1'],
  ])('%s is of type %s', (event, type, id) => {
    expect(deliver({ body: paid({}, { event }) })).toMatchObject({ type, id });
  });

  it.each([
    [undefined],
    [null],
    [1],
    [['payment.success']],
    [{ toString: 1, valueOf: 1 }],
  ])('an event named %j is other', (event) => {
    expect(deliver({ body: paid({}, { event }) }).type).toBe('other');
  });

  it('keeps its id over retries, whose own id, time and signature differ', () => {
    const first = deliver({ body: paid() });
    const body = paid({}, { id: 'evt_2', created: NOW + 60 });
    const retry = deliver({ body, timestamp: String(NOW + 60), at: NOW + 61 });
    expect(retry.id).toBe(first.id);
  });

  it('has one id for one payment in both schemes', () => {
    expect(deliver({ body: guide(), timestamp: null }).id).toBe(deliver({ body: paid() }).id);
  });

  it('has another id for another payment or another event', () => {
    const ids = [
      paid(),
      paid({ transaction_id: 'HTX-2' }),
      paid({}, { event: 'ping' }),
      paid({}, { event: 'payment.failed' }),
      paid({ transaction_id: undefined }),
      paid({ transaction_id: undefined, order_id: 'CMD-8' }),
      paid({ transaction_id: '' }, { event: 'ping' }),
    ].map((body) => deliver({ body }).id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('without a transaction and a name is known by its content', () => {
    expect(deliver({ body: '{"amount":1}' }).id).toMatch(/^hatexcard:other\.::[\w-]{43}$/);
  });

  it('without a transaction, keeps its id over retries all the same', () => {
    const body = (id: string) => paid({ transaction_id: undefined }, { id });
    expect(deliver({ body: body('a') }).id).toBe(deliver({ body: body('b') }).id);
  });

  it.each([
    ['CMD-7', 'CMD-7'],
    ['N/A', null],
    [' N/A ', null],
    ['', null],
    ['  ', null],
    ['n/a', 'n/a'],
    ['N/A-1', 'N/A-1'],
    [null, null],
    [7, null],
    [undefined, null],
  ])('order_id %j gives the reference %j', (order_id, reference) => {
    expect(deliver({ body: paid({ order_id }) }).reference).toBe(reference);
  });

  it.each([
    ['599', '599', 59900],
    ['599.99', '599.99', 59999],
    ['"599.00"', '599.00', 59900],
    ['-5', null, null],
    ['1e3', null, null],
    ['1e400', null, null],
    ['0.001', null, null],
    ['9007199254740993', null, null],
    ['null', null, null],
    ['true', null, null],
    ['[5]', null, null],
    ['"NaN"', null, null],
  ])('amount %s is %j', (json, value, minorUnits) => {
    const body = paid({ amount: 'HERE' }).replace('"HERE"', json);
    const money = value === null ? null : { currency: 'HTG', value, minorUnits };
    expect(deliver({ body }).amount).toEqual(money);
  });

  it.each([
    ['amount', 'amount'],
    ['amount_received', 'net'],
    ['api_fee', 'fee'],
  ] as const)('%s with an exponent or too many digits gives no %s, and the rest', (field, of) => {
    const written = [
      (body: string) => body.replace('"HERE"', '1e3'),
      (body: string) => body.replace('"HERE"', '1500.0000000000001'),
      (body: string) => withLines(body.replace('"HERE"', '1e3')),
      (body: string) => withLines(body.replace('"HERE"', '1500.0000000000001')),
      (body: string) => withText(body.replace('"HERE"', '1e3')),
      (body: string) => withText(body.replace('"HERE"', '1500.0000000000001')),
    ];
    for (const write of written) {
      const signed = deliver({ body: write(paid({ [field]: 'HERE' })) });
      const flat = deliver({ body: write(guide({ ...data, [field]: 'HERE' })), timestamp: null });
      for (const { amount, fee, net } of [signed, flat]) {
        const expected = { amount: '1500.5', fee: '75', net: '1425.5', [of]: undefined };
        expect({ amount: amount?.value, fee: fee?.value, net: net?.value }).toEqual(expected);
      }
    }
  });

  it.each([
    [undefined, 'HTG'],
    [null, 'HTG'],
    ['usd', 'USD'],
  ])('currency %j is %s', (currency, expected) => {
    expect(deliver({ body: paid({ currency }) }).amount?.currency).toBe(expected);
  });

  it.each([
    [{ created: NOW }, NOW * 1000],
    [{ created: undefined, timestamp: '2026-07-01T12:00:00Z' }, Date.UTC(2026, 6, 1, 12)],
    [{ created: 1e300 }, null],
    [{ created: 'soon' }, null],
    [{ created: undefined }, null],
    [{ created: [1] }, null],
  ])('%j gives the time %j', (top, time) => {
    expect(deliver({ body: paid({}, top) }).occurredAt?.getTime() ?? null).toBe(time);
  });

  it('is tolerant of what is missing and what was added', () => {
    expect(deliver({ body: '{}' })).toMatchObject({
      type: 'other',
      paymentId: null,
      reference: null,
      amount: null,
      customer: { name: null },
    });
    expect(deliver({ body: paid({ new_field: { a: [1] } }, { data2: 1 }) }).amount?.value).toBe(
      '1500.5',
    );
    expect(deliver({ body: paid({}, { data: 'text' }) }).amount).toBeNull();
  });

  it('is polluted by nothing', () => {
    const body =
      '{"event":"payment.success","__proto__":{"amount":1},"data":{"__proto__":{"amount":5}}}';
    expect(deliver({ body }).amount).toBeNull();
    expect(({} as { amount?: unknown }).amount).toBeUndefined();
  });
});

describe('hatexcard: silence', () => {
  it('an error shows neither body nor signature nor secret', () => {
    const marked = paid({ customer_name: 'Private-Name' });
    const signature = hex('x');
    for (const sent of [
      { body: marked, signature },
      { body: marked, signature, timestamp: null },
      { body: marked, signature: `${signature}x` },
      { body: marked.slice(1) },
      { body: marked.slice(1), timestamp: null, signature },
      { body: marked, at: 0 },
    ]) {
      const shown = everythingShown(thrown(() => deliver(sent)));
      for (const text of ['Private-Name', signature, SECRET]) expect(shown).not.toContain(text);
    }
  });

  it('a provider shows no secret', () => {
    expect(everythingShown(hatexcard({ secret: SECRET }))).not.toContain(SECRET);
  });
});
