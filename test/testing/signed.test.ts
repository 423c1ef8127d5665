import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  callbackUrl,
  dexchange,
  hatexcard,
  hitpay,
  isWebhookError,
  type Provider,
  verify,
} from '../../src/index.ts';
import { memoryStore } from '../../src/memory.ts';
import {
  duplicate,
  expired,
  outOfOrder,
  recut,
  replayed,
  type Scheme,
  type SignedDelivery,
  type Signer,
  samples,
  signed,
  tampered,
} from '../../src/testing.ts';
import { FRAMEWORKS, type Running, start } from '../servers.ts';

const secret = 'whsec_0123456789abcdef';

const SIGNERS = {
  'hatexcard/timestamped': { provider: 'hatexcard', scheme: 'timestamped', secret },
  'hatexcard/body': { provider: 'hatexcard', scheme: 'body', secret },
  'hitpay/form': { provider: 'hitpay', scheme: 'form', secret },
  'hitpay/event': { provider: 'hitpay', scheme: 'event', secret },
  'dexchange/token': { provider: 'dexchange', scheme: 'token', secret },
  'dexchange/bearer': { provider: 'dexchange', scheme: 'bearer', secret },
  'dexchange/signature': { provider: 'dexchange', scheme: 'signature', secret, header: 'X-Sig' },
} as const satisfies Record<Scheme, Signer>;
const SCHEMES = Object.keys(SIGNERS) as Scheme[];

function providerOf(scheme: Scheme): Provider {
  if (scheme.startsWith('hatexcard/')) return hatexcard({ secret });
  if (scheme === 'hitpay/form') return hitpay({ salt: secret });
  if (scheme === 'hitpay/event') return hitpay({ eventSalt: secret });
  if (scheme === 'dexchange/token') return dexchange({ token: { secret } });
  if (scheme === 'dexchange/bearer') return dexchange({ bearer: { token: secret } });
  return dexchange({ signature: { header: 'x-sig', secret } });
}

const EVERY = SCHEMES.flatMap((scheme) =>
  samples(scheme).map((one) => [scheme, one.name, one] as const),
);

function judged(scheme: Scheme, { path, headers, body }: SignedDelivery) {
  return verify(providerOf(scheme), { headers, body: Buffer.from(body), url: path });
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (isWebhookError(error)) return error.code;
    throw error;
  }
  return 'accepted';
}

describe('samples', () => {
  it('are there for every scheme', () => {
    for (const scheme of SCHEMES) expect(samples(scheme).length, scheme).toBeGreaterThanOrEqual(5);
  });

  it('tell of every type of event', () => {
    const types = new Set(EVERY.map(([, , { type }]) => type));
    expect([...types].sort()).toEqual([
      'other',
      'payment.canceled',
      'payment.expired',
      'payment.failed',
      'payment.partially_refunded',
      'payment.pending',
      'payment.refunded',
      'payment.succeeded',
      'ping',
    ]);
  });

  it('throw for a scheme that does not exist', () => {
    expect(() => samples('stripe/v1' as never)).toThrow('scheme: no such scheme');
  });
});

describe('signed', () => {
  it.each(EVERY)('%s, %s: is accepted by verify', (scheme, _, { sample, type }) => {
    const event = judged(scheme, signed(SIGNERS[scheme] as Signer, sample));
    expect(event).toMatchObject({ scheme, type });
  });

  describe.each(FRAMEWORKS)('on %s', (framework) => {
    const running = new Map<Scheme, Running>();
    beforeAll(async () => {
      for (const scheme of SCHEMES) {
        running.set(scheme, await start(framework, { provider: providerOf(scheme) }));
      }
    });
    afterAll(() => Promise.all([...running.values()].map((one) => one.close())));

    it.each(EVERY)('%s, %s: reaches the handler', async (scheme, _, { sample, type }) => {
      const { url, events } = running.get(scheme) as Running;
      const signer = { ...SIGNERS[scheme], path: new URL(url).pathname } as Signer;
      const { path, ...request } = signed(signer, sample);
      const answer = await fetch(new URL(path, url), request);
      expect(answer.status).toBe(200);
      expect(events.at(-1)).toMatchObject({ scheme, type });
    });
  });

  it('tells what the sample says', () => {
    const event = judged(
      'hatexcard/timestamped',
      signed(SIGNERS['hatexcard/timestamped'], {
        reference: 'HT-1',
        amount: '12.50',
        currency: 'USD',
        paymentId: 'HTX-9',
        name: 'Ana',
        fields: { api_fee: 1 },
      }),
    );
    expect(event).toMatchObject({
      reference: 'HT-1',
      amount: { currency: 'USD', value: '12.5' },
      fee: { value: '1' },
      paymentId: 'HTX-9',
      customer: { name: 'Ana' },
    });
  });

  it('sends an amount in JSON as it is spelt', () => {
    expect(signed(SIGNERS['hatexcard/body'], { amount: '1500.00' }).body).toContain('1500.00,');
    expect(signed(SIGNERS['dexchange/token'], { amount: 1500 }).body).toContain('"AMOUNT":1500,');
  });

  it('writes a number as HitPay does: with two decimals', () => {
    for (const [amount, text] of [
      [5, '5.00'],
      [5.5, '5.50'],
      ['5', '5'],
    ] as const) {
      const { body } = signed(SIGNERS['hitpay/form'], { amount });
      expect(new URLSearchParams(body).get('amount')).toBe(text);
    }
  });

  it('writes JSON like PHP for HitPay', () => {
    const { body } = signed(SIGNERS['hitpay/event'], { name: 'Nguyễn' });
    expect(body).toContain('Nguy\\u1ec5n');
    expect(body).toContain('https:\\/\\/');
  });

  it('is another payment each time, unless the sample names one', () => {
    const ids = [1, 2].map(() => judged('hitpay/form', signed(SIGNERS['hitpay/form'])).id);
    expect(new Set(ids).size).toBe(2);
    const named = [1, 2].map(
      () => judged('hitpay/form', signed(SIGNERS['hitpay/form'], { paymentId: 'p1' })).id,
    );
    expect(new Set(named).size).toBe(1);
  });

  it('makes the same token as callbackUrl, and keeps the query of the route', () => {
    const { path } = signed(
      { provider: 'dexchange', scheme: 'token', secret, path: '/hook?shop=7' },
      { reference: 'SN-1' },
    );
    const made = new URL(callbackUrl('https://shop.example/hook?shop=7', 'SN-1', { secret }));
    expect(path).toBe(made.pathname + made.search);
  });

  it('puts a bearer token bare into a header of its own', () => {
    const signer = { provider: 'dexchange', scheme: 'bearer', secret, header: 'X-Token' } as const;
    expect(signed(signer).headers['x-token']).toBe(secret);
  });

  it('signs as of the time that is given', () => {
    const at = new Date('2026-11-01T00:00:00Z');
    const { headers, body } = signed({ ...SIGNERS['hatexcard/timestamped'], at });
    expect(headers['x-hatex-timestamp']).toBe(`${+at / 1000}`);
    expect(headers['x-hatex-signature']).toBe(
      createHmac('sha256', secret)
        .update(`${+at / 1000}.${body}`)
        .digest('hex'),
    );
  });

  it('shows no secret when it is printed', () => {
    for (const scheme of SCHEMES.filter((one) => one !== 'dexchange/bearer')) {
      expect(JSON.stringify(signed(SIGNERS[scheme] as Signer))).not.toContain(secret);
    }
  });

  it.each([
    [{ provider: 'stripe', scheme: 'v1', secret }, 'signer: no such provider and scheme'],
    [{ provider: 'hitpay', scheme: 'token', secret }, 'signer: no such provider and scheme'],
    [{ provider: 'hitpay', scheme: 'form', secret: undefined }, 'secret: the secret is missing'],
    [{ provider: 'hitpay', scheme: 'form', secret: '' }, 'secret: the secret is missing'],
    [{ provider: 'hitpay', scheme: 'form', secret, path: 'x' }, 'path: must be the path'],
    [{ provider: 'hitpay', scheme: 'form', secret, at: new Date(Number.NaN) }, 'at: must be'],
    [{ provider: 'hitpay', scheme: 'form', secret, header: 'x' }, 'header: not for hitpay/form'],
    [{ provider: 'dexchange', scheme: 'signature', secret }, 'header: the name'],
    [{ provider: 'dexchange', scheme: 'bearer', secret, header: 7 }, 'header: must be the name'],
    [{ provider: 'hitpay', scheme: 'form', secret, salt: 'x' }, 'unknown option "salt"'],
  ])('throws for a wrong signer: %j', (signer, message) => {
    expect(() => signed(signer as never)).toThrow(message);
  });

  it.each([
    ['hitpay/form', { email: 'x' }, 'unknown option "email"'],
    ['hitpay/form', { amount: 'five' }, 'sample.amount: must be a decimal amount'],
    ['hitpay/event', { kind: 'charge.created', refunded: '-1' }, 'sample.refunded: must be'],
    ['hitpay/form', { reference: 7 }, 'sample.reference: must be a text'],
    ['hitpay/form', { status: 'SUCCESS' }, 'sample.status: must be one of completed'],
    ['hitpay/form', { kind: 'recurring_billing', status: 'pending' }, 'one of succeeded, failed'],
    ['hitpay/event', { status: 'failed' }, 'sample.status: this kind has none'],
    ['dexchange/token', { transaction: 'XID' }, 'must be one of MID, TID'],
    ['hatexcard/body', { event: 'refund' }, 'must be one of payment.success'],
  ] as const)('throws for a wrong sample: %s %j', (scheme, sample, message) => {
    expect(() => signed(SIGNERS[scheme] as Signer, sample as never)).toThrow(message);
  });
});

describe('variations', () => {
  it.each(SCHEMES)('%s, tampered: is refused', (scheme) => {
    const expected = /token|bearer/.test(scheme) ? 'token_mismatch' : 'signature_mismatch';
    const delivery = signed(SIGNERS[scheme] as Signer, {});
    expect(codeOf(() => judged(scheme, tampered(delivery)))).toBe(expected);
    expect(codeOf(() => judged(scheme, delivery))).toBe('accepted');
  });

  it.each(SCHEMES)('%s, replayed: is the same request', (scheme) => {
    const delivery = signed(SIGNERS[scheme] as Signer);
    expect(replayed(delivery)).toEqual(delivery);
    expect(replayed(delivery)).not.toBe(delivery);
  });

  it.each(SCHEMES)('%s, duplicate: is the same fact', (scheme) => {
    const delivery = signed(SIGNERS[scheme] as Signer);
    const again = duplicate(delivery);
    expect(judged(scheme, again).id).toBe(judged(scheme, delivery).id);
    const isNew = scheme === 'hatexcard/timestamped';
    expect(again.body === delivery.body).toBe(!isNew);
  });

  it('expired: is refused, and only where a time is signed', () => {
    const delivery = signed(SIGNERS['hatexcard/timestamped']);
    const code = (age?: number) =>
      codeOf(() => judged('hatexcard/timestamped', expired(delivery, age)));
    expect(code()).toBe('timestamp_out_of_tolerance');
    expect(code(200)).toBe('accepted');
    expect(() => expired(signed(SIGNERS['hatexcard/body']) as never)).toThrow(TypeError);
  });

  it.each(samples('hitpay/form'))('recut, $name: has the same text and is refused', ({
    sample,
  }) => {
    const delivery = signed(SIGNERS['hitpay/form'], sample);
    const other = recut(delivery);
    const text = (body: string) =>
      [...new URLSearchParams(body)]
        .filter(([name]) => name !== 'hmac')
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .flat()
        .join('');
    expect(text(other.body)).toBe(text(delivery.body));
    expect(other.body).not.toBe(delivery.body);
    expect(codeOf(() => judged('hitpay/form', other))).toBe('field_ambiguous');
  });

  it('recut: only for the form', () => {
    expect(() => recut(signed(SIGNERS['hitpay/event']) as never)).toThrow('only hitpay/form');
  });

  it.each([
    ['hitpay/form', {}, 'payment.pending'],
    ['hitpay/form', { kind: 'recurring_billing' }, 'payment.failed'],
    ['hitpay/event', {}, 'payment.failed'],
    ['hitpay/event', { kind: 'charge.created' }, 'payment.pending'],
    ['hitpay/event', { kind: 'charge.updated', refunded: '599.00' }, 'payment.succeeded'],
    ['dexchange/token', {}, 'payment.pending'],
    ['dexchange/signature', { status: 'FAILED' }, 'payment.pending'],
  ] as const)('outOfOrder, %s %j: is an earlier state', (scheme, sample, type) => {
    const delivery = signed(SIGNERS[scheme] as Signer, sample as never);
    const [after, before] = [
      judged(scheme, delivery),
      judged(scheme, outOfOrder(delivery as never)),
    ];
    expect(before).toMatchObject({ type, paymentId: after.paymentId, reference: after.reference });
    expect(before.id).not.toBe(after.id);
  });

  it.each([
    ['hatexcard/timestamped', {}],
    ['hitpay/form', { status: 'pending' }],
    ['hitpay/form', { kind: 'recurring_billing', status: 'failed' }],
    ['hitpay/event', { kind: 'payout.created' }],
    ['hitpay/event', { kind: 'payment_request.failed' }],
    ['hitpay/event', { kind: 'charge.created', status: 'failed' }],
    ['hitpay/event', { kind: 'charge.updated' }],
    ['dexchange/bearer', { status: 'PENDING' }],
  ] as const)('outOfOrder, %s %j: has none', (scheme, sample) => {
    const delivery = signed(SIGNERS[scheme] as Signer, sample as never);
    expect(() => outOfOrder(delivery as never)).toThrow('has no earlier state');
  });

  it.each(EVERY)('%s, %s, tampered: is refused whatever it tells', (scheme, _, { sample }) => {
    const expected = /token|bearer/.test(scheme) ? 'token_mismatch' : 'signature_mismatch';
    expect(codeOf(() => judged(scheme, tampered(signed(SIGNERS[scheme] as Signer, sample))))).toBe(
      expected,
    );
  });

  it.each([
    ['hitpay/form', { amount: '9999.99' }],
    ['hitpay/form', { amount: '1.00' }],
    ['hitpay/event', { amount: '9999.99' }],
    ['hatexcard/body', { fields: { amount: 5 } }],
    ['dexchange/signature', { fields: { AMOUNT: 5 } }],
    ['dexchange/token', { reference: 'somebody-elses-order' }],
  ] as const)('%s %j, tampered once or twice: is refused', (scheme, sample) => {
    const once = tampered(signed(SIGNERS[scheme] as Signer, sample as never));
    for (const delivery of [once, tampered(once)]) {
      expect(codeOf(() => judged(scheme, delivery))).toMatch(/^(?:signature|token)_mismatch$/);
    }
  });

  it.each(SCHEMES)('%s: what is made of a tampered delivery is tampered too', (scheme) => {
    const delivery = tampered(signed(SIGNERS[scheme] as Signer));
    const code = codeOf(() => judged(scheme, delivery));
    for (const vary of [tampered, replayed, duplicate]) {
      const again = vary(vary(delivery));
      expect(
        codeOf(() => judged(scheme, again)),
        vary.name,
      ).toBe(code);
    }
    if (scheme.startsWith('hatexcard/')) return;
    const late = outOfOrder(delivery as SignedDelivery<'hitpay/form'>);
    expect(codeOf(() => judged(scheme, late))).toBe(code);
    expect(late.body).not.toBe(delivery.body);
  });

  it('what is made of a recut delivery is recut too', () => {
    const cut = recut(signed(SIGNERS['hitpay/form']));
    for (const vary of [replayed, duplicate, outOfOrder]) {
      expect(codeOf(() => judged('hitpay/form', vary(cut)))).toBe('field_ambiguous');
    }
    for (const both of [tampered(cut), duplicate(recut(tampered(cut)))]) {
      expect(codeOf(() => judged('hitpay/form', both))).not.toBe('accepted');
    }
  });

  it('what is made of an expired delivery is expired too', () => {
    const old = expired(signed(SIGNERS['hatexcard/timestamped']));
    for (const vary of [replayed, duplicate, expired]) {
      expect(codeOf(() => judged('hatexcard/timestamped', vary(old)))).toBe(
        'timestamp_out_of_tolerance',
      );
    }
    const both = expired(tampered(signed(SIGNERS['hatexcard/timestamped'])), 10);
    expect(codeOf(() => judged('hatexcard/timestamped', both))).toBe('signature_mismatch');
  });

  it('need the very delivery that signed made', () => {
    const copy = { ...signed(SIGNERS['hitpay/form']) };
    for (const vary of [tampered, replayed, duplicate, recut, outOfOrder]) {
      expect(() => vary(copy)).toThrow('must be the very object');
    }
  });

  describe.each(FRAMEWORKS)('on %s', (framework) => {
    async function answers(scheme: Scheme, ...deliveries: SignedDelivery[]) {
      const app = await start(framework, {
        provider: providerOf(scheme),
        options: { dedupe: { store: memoryStore(), stale: 'skip' } },
      });
      const statuses: number[] = [];
      for (const { path, ...request } of deliveries) {
        const { search } = new URL(path, app.url);
        const answer = await fetch(app.url + search, request);
        await answer.text();
        statuses.push(answer.status);
      }
      await app.close();
      return { statuses, handled: app.events.length };
    }

    it.each(SCHEMES)('%s: each variation is answered as documented', async (scheme) => {
      const delivery = signed(SIGNERS[scheme] as Signer);
      expect(await answers(scheme, tampered(delivery))).toEqual({ statuses: [403], handled: 0 });
      for (const again of [replayed(delivery), duplicate(delivery)]) {
        const twice = await answers(scheme, delivery, again);
        expect(twice).toEqual({ statuses: [200, 200], handled: 1 });
      }
      if (!scheme.startsWith('hatexcard/')) {
        const late = outOfOrder(delivery as SignedDelivery<'hitpay/form'>);
        expect(await answers(scheme, delivery, late)).toEqual({ statuses: [200, 200], handled: 1 });
      }
    });

    it('expired and recut are refused', async () => {
      const old = expired(signed(SIGNERS['hatexcard/timestamped']));
      const cut = recut(signed(SIGNERS['hitpay/form']));
      expect(await answers('hatexcard/timestamped', old)).toEqual({ statuses: [403], handled: 0 });
      expect(await answers('hitpay/form', cut)).toEqual({ statuses: [403], handled: 0 });
    });
  });
});
