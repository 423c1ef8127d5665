import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callbackUrl } from '../src/index.ts';

// The examples as a merchant runs them: processes of their own, on the built package (dist).

const root = fileURLToPath(new URL('..', import.meta.url));
const SHOPS = ['express', 'koa'];
const ALL = [...SHOPS, 'existing-server'];
const pathOf = (example: string) => `examples/${example}/server.mjs`;

interface Shop {
  url: string;
  child: ChildProcess;
  /** Lines of stdout. */
  log: string[];
}

function launch(example: string, env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [pathOf(example)], {
    cwd: root,
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function start(example: string, env?: Record<string, string>): Promise<Shop> {
  const child = launch(example, env);
  const log: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`${example} did not start`)));
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      log.push(line);
      if (line.startsWith('listening on ')) resolve(line.slice('listening on '.length));
    });
  });
  child.stderr?.resume();
  return { url, child, log };
}

async function stop({ child }: Shop): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  }
  return child.exitCode;
}

async function post(
  url: string,
  { headers, body }: { headers: Record<string, string>; body: string },
) {
  const answer = await fetch(url, { method: 'POST', headers, body });
  return { status: answer.status, text: await answer.text() };
}

async function order(shop: Shop, reference: string): Promise<{ paid: boolean }> {
  const answer = await fetch(`${shop.url}/orders/${reference}`);
  return (await answer.json()) as { paid: boolean };
}

const hmac = (key: string, text: string) => createHmac('sha256', key).update(text).digest('hex');

function hatexcard(reference: string, amount: number | string, currency = 'HTG') {
  const body = `{"id":"1","event":"payment.success","data":{"transaction_id":"HTX-${reference}-${amount}","order_id":"${reference}","amount":${amount},"currency":"${currency}"}}`;
  const time = Math.floor(Date.now() / 1000);
  const signature = hmac('development-only-HATEXCARD_SECRET', `${time}.${body}`);
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'x-hatex-timestamp': `${time}`,
      'x-hatex-signature': signature,
    },
  };
}

function hitpay(reference: string, amount: string, status = 'completed') {
  const fields = {
    amount,
    currency: 'SGD',
    payment_id: `p-${amount.replace('.', '-')}-${status}`,
    payment_request_id: 'r1',
    phone: '',
    reference_number: reference,
    status,
  };
  const signature = hmac('development-only-HITPAY_SALT', Object.entries(fields).flat().join(''));
  return {
    body: new URLSearchParams({ ...fields, hmac: signature }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  };
}

function dexchange(reference: string, amount: number) {
  const { pathname, search } = new URL(
    callbackUrl('https://shop.example/webhooks/dexchange', reference, {
      secret: 'development-only-DEXCHANGE_CALLBACK_SECRET',
    }),
  );
  const body = JSON.stringify({
    id: `MID${amount}`,
    externalTransactionId: reference,
    AMOUNT: amount,
    STATUS: 'SUCCESS',
  });
  return { path: pathname + search, body, headers: { 'content-type': 'application/json' } };
}

it('the examples type-check', () => {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const flags =
    '--ignoreConfig --noEmit --allowJs --checkJs --strict --exactOptionalPropertyTypes --skipLibCheck --target es2022 --module nodenext --types node';
  const files = [...ALL.map(pathOf), 'examples/demo/demo.mjs'];
  for (const file of files) expect(readFileSync(file, 'utf8')).toMatch(/^\/\/ @ts-check\n/);
  execFileSync(process.execPath, [tsc, ...flags.split(' '), ...files], { cwd: root });
}, 60_000);

it.each(ALL)('%s is short enough to copy', (example) => {
  expect(readFileSync(pathOf(example), 'utf8').split('\n').length).toBeLessThanOrEqual(110);
});

describe.each(SHOPS)('examples/%s', (example) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await start(example);
  }, 20_000);
  afterAll(() => stop(shop));

  const deliveries = [
    ['hatexcard', 'HT-1001', () => hatexcard('HT-1001', '1500.00'), () => hatexcard('HT-1001', 15)],
    ['hitpay', 'SG-2001', () => hitpay('SG-2001', '599.00'), () => hitpay('SG-2001', '5.99')],
    ['dexchange', 'SN-3001', () => dexchange('SN-3001', 5000), () => dexchange('SN-3001', 50)],
  ] as const;

  describe.each(deliveries)('%s', (provider, reference, genuine, tooLittle) => {
    const send = (delivery: { path?: string; headers: Record<string, string>; body: string }) =>
      post(shop.url + (delivery.path ?? `/webhooks/${provider}`), delivery);

    it('refuses a tampered delivery, tells the log alone why, and marks nothing paid', async () => {
      const before = shop.log.length;
      const delivery = genuine();
      const { status, text } = await send({
        ...delivery,
        body: delivery.body.replace(reference, reference.replace('001', '002')),
      });
      expect(status).toBe(403);
      await expect.poll(() => shop.log.length).toBe(before + 1);
      const { outcome, code, ...rest } = JSON.parse(shop.log.at(-1) as string);
      expect(outcome).toBe('refused');
      expect(code).toMatch(/^(signature|token)_mismatch$/);
      expect(rest).toEqual({ provider });
      expect(text).not.toContain(code);
      expect(await order(shop, reference)).toMatchObject({ paid: false });
      expect(await order(shop, reference.replace('001', '002'))).toMatchObject({ paid: false });
    });

    it('acknowledges a payment of another amount and puts it down for review', async () => {
      expect(await send(tooLittle())).toMatchObject({ status: 200 });
      expect(await order(shop, reference)).toMatchObject({ paid: false });
      await expect.poll(() => shop.log.at(-1)).toContain('"review: not the price"');
    });

    it('marks the order of a genuine delivery paid, once', async () => {
      const delivery = genuine();
      expect(await send(delivery)).toMatchObject({ status: 200 });
      expect(await order(shop, reference)).toMatchObject({ paid: true });
      expect(await send(delivery)).toMatchObject({ status: 200 });
      await expect.poll(() => shop.log.at(-1)).toMatch(/"outcome":"(paid|again)"/);
      expect(
        shop.log.filter((line) => line.includes(`"paid","provider":"${provider}"`)),
      ).toHaveLength(1);
    });
  });

  it('acknowledges a payment that failed, and does not mark its order paid', async () => {
    const { status } = await post(
      `${shop.url}/webhooks/hitpay`,
      hitpay('SG-2002', '29.90', 'failed'),
    );
    expect(status).toBe(200);
    expect(await order(shop, 'SG-2002')).toMatchObject({ paid: false });
    await expect.poll(() => shop.log.at(-1)).toContain('"noted"');
  });

  it('acknowledges a payment for an order that it does not know, and puts it down for review', async () => {
    const { status } = await post(`${shop.url}/webhooks/hatexcard`, hatexcard('XX-1', 1500));
    expect(status).toBe(200);
    await expect.poll(() => shop.log.at(-1)).toContain('"review: no such order"');
  });

  it('puts a second payment of a paid order down for review', async () => {
    await post(`${shop.url}/webhooks/hatexcard`, hatexcard('HT-1001', 1500));
    await expect.poll(() => shop.log.at(-1)).toContain('"review: paid twice"');
  });
});

describe('examples/existing-server', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await start('existing-server');
  }, 20_000);
  afterAll(() => stop(shop));

  async function newOrder(): Promise<string> {
    const answer = await post(`${shop.url}/orders`, {
      headers: { 'content-type': 'application/json' },
      body: '{"item":"rice-25kg"}',
    });
    expect(answer.status).toBe(201);
    return JSON.parse(answer.text).reference;
  }

  it('verifies the bytes although express.json() is there for the other routes', async () => {
    const reference = await newOrder();
    // `1500.00` does not outlive a parser.
    const delivery = hatexcard(reference, '1500.00');
    expect(await post(`${shop.url}/webhooks/hatexcard`, delivery)).toMatchObject({ status: 200 });
    expect(await order(shop, reference)).toMatchObject({ paid: true });
  });

  it('refuses a tampered delivery and marks no order paid for another amount or currency', async () => {
    const reference = await newOrder();
    const tampered = hatexcard(reference, 1500);
    tampered.body = tampered.body.replace('1500}', '1500 }').replace('HTG', 'USD');
    expect(await post(`${shop.url}/webhooks/hatexcard`, tampered)).toMatchObject({ status: 403 });
    for (const delivery of [hatexcard(reference, 15), hatexcard(reference, 1500, 'USD')]) {
      expect(await post(`${shop.url}/webhooks/hatexcard`, delivery)).toMatchObject({ status: 200 });
    }
    expect(await order(shop, reference)).toMatchObject({ paid: false });
  });
});

describe.each(ALL)('the start of examples/%s', (example) => {
  async function failure(env: Record<string, string>): Promise<string> {
    const child = launch(example, env);
    let errors = '';
    child.stderr?.on('data', (chunk) => {
      errors += chunk;
    });
    child.stdout?.on('data', (line) => {
      if (String(line).startsWith('listening')) child.kill('SIGKILL');
    });
    const [code] = await once(child, 'close');
    expect(code).toBe(1);
    return errors;
  }
  const real = {
    HATEXCARD_SECRET: 'whsec_real',
    HITPAY_SALT: 'real-salt',
    DEXCHANGE_CALLBACK_SECRET: 'real-callback-secret',
    DEXCHANGE_API_KEY: 'real-api-key',
  };

  it('refuses the development secrets in production, and on any address but this machine', async () => {
    const [production, exposed] = await Promise.all([
      failure({ NODE_ENV: 'production' }),
      failure({ HOST: '0.0.0.0' }),
    ]);
    expect(production).toContain('not starting with a development secret');
    expect(exposed).toContain('not starting with a development secret');
  });

  it('refuses a development secret that was put in the environment, and an empty one', async () => {
    const HATEXCARD_SECRET = 'development-only-HATEXCARD_SECRET';
    const [known, empty] = await Promise.all([
      failure({ ...real, NODE_ENV: 'production', HATEXCARD_SECRET }),
      failure({ ...real, HATEXCARD_SECRET: '' }),
    ]);
    expect(known).toContain('not starting with a development secret');
    expect(empty).toContain('the secret is empty');
  });

  it.runIf(SHOPS.includes(example))('refuses to believe DExchange in production', async () => {
    const { DEXCHANGE_API_KEY: _, ...rest } = real;
    const refused = await failure({ ...rest, NODE_ENV: 'production' });
    expect(refused).toContain('confirm.apiKey: the secret is missing');
  });

  it('starts in production with secrets of its own, and ends in peace on SIGTERM', async () => {
    const shop = await start(example, { ...real, NODE_ENV: 'production' });
    const forged = await post(`${shop.url}/webhooks/hatexcard`, hatexcard('HT-1001', 1500));
    expect(forged.status).toBe(403);
    expect(await stop(shop)).toBe(0);
  });
}, 20_000);

describe('examples/README.md', () => {
  it.each(SHOPS)('posts a payment that the %s shop accepts', async (example) => {
    const [, script = ''] =
      /```sh\n(.*?)```/s.exec(readFileSync('examples/README.md', 'utf8')) ?? [];
    const shop = await start(example);
    try {
      const here = script.replaceAll('http://127.0.0.1:3000', shop.url);
      const child = spawn('bash', ['-euc', here], { stdio: ['ignore', 'pipe', 'ignore'] });
      let output = '';
      child.stdout.on('data', (chunk) => {
        output += chunk;
      });
      expect(await once(child, 'close')).toEqual([0, null]);
      expect(output).toMatch(/^HTTP\/1.1 200 OK/);
      expect(output).toContain('"paid":true');
    } finally {
      await stop(shop);
    }
  }, 20_000);
});
