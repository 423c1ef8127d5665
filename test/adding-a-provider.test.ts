import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { isWebhookError, verify } from 'payproof';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shop } from '../examples/adding-a-provider/shop.ts';
import { tapay } from '../examples/adding-a-provider/tapay.ts';

const SECRET = 'tapay_secret_0123456789';
const NOW = new Date('2026-11-02T08:15:00Z');
const PAID = {
  event: 'payment.paid',
  payment_id: 'TP-1001',
  order: 'ORD-7',
  amount: 599.5,
  currency: 'PHP',
  phone: '+639171234567',
};

const seconds = (date: Date) => Math.floor(date.getTime() / 1000);

function headers(body: string, at = NOW, secret = SECRET): Record<string, string> {
  const t = seconds(at);
  const v1 = createHmac('sha256', secret).update(`${t}.${body}`).digest('hex');
  return { 'content-type': 'application/json', 'tapay-signature': `t=${t},v1=${v1}` };
}

function deliver(body: string, sent: Record<string, string>, receivedAt = NOW) {
  return verify(tapay({ secret: SECRET }), { headers: sent, body: Buffer.from(body), receivedAt });
}

function refusal(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    if (isWebhookError(error)) return error.code;
    throw error;
  }
}

const file = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const read = (path: string) => readFileSync(file(path), 'utf8');

describe('docs/adding-a-provider.md', () => {
  const blocks = [...read('docs/adding-a-provider.md').matchAll(/^```ts\n(.*?)^```$/gms)].map(
    ([, code]) => code,
  );

  it.each(['tapay.ts', 'shop.ts'])('shows examples/adding-a-provider/%s as it is', (name) => {
    expect(blocks).toContain(read(`examples/adding-a-provider/${name}`));
  });

  it('has an example that compiles strictly, its payload typed by augmentation', () => {
    const tsc = file('node_modules/typescript/bin/tsc');
    const flags = [
      '--ignoreConfig --noEmit --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes',
      '--verbatimModuleSyntax --allowImportingTsExtensions --skipLibCheck --types node',
      '--target ES2022 --module NodeNext',
    ].flatMap((line) => line.split(' '));
    const files = ['tapay.ts', 'shop.ts'].map((name) => file(`examples/adding-a-provider/${name}`));
    const compile = () => execFileSync(process.execPath, [tsc, ...flags, ...files]).toString();
    expect(compile()).toBe('');
  }, 60_000);
});

describe('tapay through verify', () => {
  it('gives the event of a genuine delivery', () => {
    const body = JSON.stringify(PAID);
    expect(deliver(body, headers(body))).toEqual({
      provider: 'tapay',
      scheme: 'tapay/signature',
      trust: 'signed',
      keyId: 'secret#1',
      id: 'tapay:TP-1001:payment.succeeded',
      type: 'payment.succeeded',
      paymentId: 'TP-1001',
      reference: 'ORD-7',
      amount: { currency: 'PHP', value: '599.5', minorUnits: 59950 },
      fee: null,
      net: null,
      customer: { name: null, phone: '+639171234567', email: null },
      occurredAt: null,
      payload: PAID,
    });
  });

  it('gives a redelivery the same id, another fact another one', () => {
    const idOf = (fields: object, at = NOW) => {
      const body = JSON.stringify(fields);
      return deliver(body, headers(body, at)).id;
    };
    const later = new Date(NOW.getTime() + 60_000);
    expect(idOf(PAID, later)).toBe(idOf(PAID));
    expect(idOf({ ...PAID, event: 'payment.failed' })).not.toBe(idOf(PAID));
    expect(idOf({ ...PAID, payment_id: 'TP-1002' })).not.toBe(idOf(PAID));
  });

  it('makes a kind that it does not know `other`', () => {
    const body = JSON.stringify({ ...PAID, event: 'payment.held' });
    expect(deliver(body, headers(body)).type).toBe('other');
  });

  it.each([1e30, -5, 1e-7, '5 PHP', null])('makes no money of %j', (amount) => {
    const body = JSON.stringify({ ...PAID, amount });
    expect(deliver(body, headers(body)).amount).toBeNull();
  });

  it('accepts the last second of the tolerance and no second more', () => {
    const body = JSON.stringify(PAID);
    const at = (offset: number) => new Date(NOW.getTime() + offset * 1000);
    expect(refusal(() => deliver(body, headers(body, at(-300))))).toBeNull();
    expect(refusal(() => deliver(body, headers(body, at(300))))).toBeNull();
    expect(refusal(() => deliver(body, headers(body, at(-301))))).toBe(
      'timestamp_out_of_tolerance',
    );
    expect(refusal(() => deliver(body, headers(body, at(301))))).toBe('timestamp_out_of_tolerance');
  });

  it('refuses an altered body, an altered timestamp and another secret', () => {
    const body = JSON.stringify(PAID);
    const sent = headers(body);
    const altered = body.replace('599.5', '1.5');
    expect(refusal(() => deliver(altered, sent))).toBe('signature_mismatch');
    expect(refusal(() => deliver(body, headers(body, NOW, 'another secret')))).toBe(
      'signature_mismatch',
    );
    const t = `t=${seconds(NOW)}`;
    const moved = sent['tapay-signature']?.replace(t, `t=${seconds(NOW) + 1}`) ?? '';
    expect(refusal(() => deliver(body, { ...sent, 'tapay-signature': moved }))).toBe(
      'signature_mismatch',
    );
  });

  it('refuses a delivery without signature', () => {
    const body = JSON.stringify(PAID);
    expect(refusal(() => deliver(body, { 'content-type': 'application/json' }))).toBe(
      'signature_missing',
    );
  });

  const { 'tapay-signature': right = '' } = headers(JSON.stringify(PAID));
  it.each([
    ['empty', ''],
    ['without timestamp', right.replace(/^t=\d+,/, '')],
    ['without v1', right.replace(/,v1=.*$/, '')],
    ['one digit short', right.slice(0, -1)],
    ['with a tail', `${right}0`],
    ['twice', `${right}, ${right}`],
    ['with an exponent', right.replace(/^t=\d+/, 't=1e9')],
    ['with wide digits', right.replace(/[0-9a-f]{64}$/, '\u0130'.repeat(64))],
  ])('refuses a signature %s', (_, signature) => {
    const sent = { 'content-type': 'application/json', 'tapay-signature': signature };
    expect(refusal(() => deliver(JSON.stringify(PAID), sent))).toBe('signature_malformed');
  });

  it.each(['[]', '{', '{}', '"text"'])('refuses the signed body %s', (body) => {
    expect(refusal(() => deliver(body, headers(body)))).toBe('body_malformed');
  });

  it.each([undefined, '', ' ', 'secret\n'])('cannot be made with the secret %j', (secret) => {
    expect(() => tapay({ secret })).toThrow(TypeError);
  });
});

describe('tapay through Express', () => {
  type Orders = Parameters<typeof shop>[1];
  const orders: Orders = new Map();
  const app = shop(SECRET, orders);
  // Express logs errors itself outside of tests, and shows them outside of production.
  app.set('env', 'test');
  const server = createServer(app);
  let url = '';
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks/tapay`;
  });
  afterAll(() => server.close());

  const post = async (body: string, sent: Record<string, string>) =>
    (await fetch(url, { method: 'POST', headers: sent, body })).status;
  const placeOrder = () => {
    const order: { amount: string; currency: string; paidBy?: string } = {
      amount: '599.50',
      currency: 'PHP',
    };
    orders.set('ORD-7', order);
    return order;
  };
  const signedNow = (body: string) => headers(body, new Date());

  it('lets a genuine delivery through', async () => {
    const order = placeOrder();
    const body = JSON.stringify(PAID);
    expect(await post(body, signedNow(body))).toBe(200);
    expect(order.paidBy).toBe('+639171234567');
  });

  it.each([
    ['tampered', (body: string) => [body.replace('599.5', '1.5'), signedNow(body)] as const, 403],
    [
      'stale',
      (body: string) => [body, headers(body, new Date(Date.now() - 600_000))] as const,
      403,
    ],
    ['unsigned', (body: string) => [body, { 'content-type': 'application/json' }] as const, 403],
    ['for less money', (body: string) => underpaid(body), 422],
  ])('does not count a delivery that is %s', async (_, make, status) => {
    const order = placeOrder();
    expect(await post(...make(JSON.stringify(PAID)))).toBe(status);
    expect(order.paidBy).toBeUndefined();
  });

  function underpaid(body: string) {
    const less = body.replace('599.5', '1.5').replace('TP-1001', 'TP-1003');
    return [less, signedNow(less)] as const;
  }
});
