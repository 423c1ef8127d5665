import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DedupeStore } from '../../src/dedupe.ts';
import { type DexchangeConfirmOptions, dexchange } from '../../src/index.ts';
import { sqliteStore } from '../../src/sqlite.ts';
import { FRAMEWORKS, type Framework } from '../servers.ts';
import { PlainStore } from '../stores/faults.ts';
import {
  codes,
  dex,
  expectRefused,
  PUBLIC,
  post,
  SECRET,
  serve,
  TRANSACTION,
  until,
} from './support.ts';

const API_KEY = 'api-key-not-a-real-one';

/** DExchange's API on this machine. */
async function api(listener: RequestListener) {
  const asked: { method: string | undefined; url: string | undefined; key: string | undefined }[] =
    [];
  const server = createServer((req, res) => {
    asked.push({ method: req.method, url: req.url, key: req.headers.authorization });
    listener(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  };
  onTestFinished(() => close());
  return { asked, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const says =
  (body: unknown, status = 200): RequestListener =>
  (_req, res) => {
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };

const serveWith = (framework: Framework, confirm: Partial<DexchangeConfirmOptions>) =>
  serve(framework, {
    provider: dexchange({ token: { secret: SECRET }, confirm: { apiKey: API_KEY, ...confirm } }),
  });

const FACTS = { STATUS: 'SUCCESS', AMOUNT: 5000 };

describe.each(FRAMEWORKS)('%s: confirm', (framework) => {
  it("asks DExchange with the merchant's key, and takes status and amount from its answer", async () => {
    const { baseUrl, asked } = await api(
      says({ transaction: { STATUS: 'SUCCESS', AMOUNT: 4990 } }),
    );
    const app = await serveWith(framework, { baseUrl });
    const answer = await post(app, dex({ ...TRANSACTION, AMOUNT: 999999 }));
    expect(answer.status).toBe(200);
    expect(asked).toEqual([
      {
        method: 'GET',
        url: '/api/v1/transaction/merchant/MID123456789',
        key: `Bearer ${API_KEY}`,
      },
    ]);
    expect(app.events[0]).toMatchObject({
      trust: 'confirmed',
      type: 'payment.succeeded',
      amount: { currency: 'XOF', value: '4990', minorUnits: 4990 },
    });
  });

  it('does not ask for a delivery that is not authentic', async () => {
    const { baseUrl, asked } = await api(says(FACTS));
    const app = await serveWith(framework, { baseUrl });
    const answer = await post(app, dex(TRANSACTION, 'ORDER-002'));
    expectRefused(app, answer, 403, 'token_mismatch');
    expect(asked).toEqual([]);
  });

  it.each([
    ['knows no such transaction', 404, {}],
    ['says PENDING', 200, { STATUS: 'PENDING', AMOUNT: 5000 }],
    ['says FAILED', 200, { STATUS: 'FAILED', AMOUNT: 5000 }],
    ['says something new', 200, { STATUS: 'CHARGED_BACK', AMOUNT: 5000 }],
  ])('403 for a claimed success if the API %s', async (_, status, body) => {
    const { baseUrl } = await api(says(body, status));
    const app = await serveWith(framework, { baseUrl });
    expectRefused(app, await post(app, dex()), 403, 'confirmation_mismatch');
  });

  it.each([
    'TID-1',
    '../MID1',
    'MID1/..',
    'MID1?x=1',
    `MID${'1'.repeat(65)}`,
    'XID1',
    '',
    7,
    null,
  ])('403 for the id %j, without asking', async (id) => {
    const { baseUrl, asked } = await api(says(FACTS));
    const app = await serveWith(framework, { baseUrl });
    const answer = await post(app, dex({ ...TRANSACTION, id }));
    expectRefused(app, answer, 403, 'confirmation_mismatch');
    expect(asked).toEqual([]);
  });

  it('403 if the transaction is not the one of the order', async () => {
    const { baseUrl, asked } = await api(says(FACTS));
    const app = await serveWith(framework, { baseUrl, transactionId: () => 'MID999' });
    expectRefused(app, await post(app, dex()), 403, 'confirmation_mismatch');
    expect(asked).toEqual([]);
  });

  const cases: [string, RequestListener][] = [
    ['answers 500', says({}, 500)],
    ['answers 401', says({}, 401)],
    ['answers no JSON', (_req, res) => res.end('<html>')],
    ['answers without a status', says({ AMOUNT: 5000 })],
    ['redirects', (_req, res) => res.writeHead(302, { location: '/elsewhere' }).end()],
    ['answers without end', (_req, res) => res.writeHead(200).end(Buffer.alloc(100 * 1024, 0x20))],
    ['does not answer', () => {}],
    ['hangs up', (req) => req.socket.destroy()],
    [
      'answers by and by',
      (_req, res) => {
        res.writeHead(200).write('{"STATUS":');
      },
    ],
  ];
  it.each(cases)('503 if the API %s', async (_, listener) => {
    const { baseUrl, asked } = await api(listener);
    const app = await serveWith(framework, { baseUrl, timeout: 100 });
    const answer = await post(app, dex());
    expect([answer.status, codes(app), app.events]).toEqual([
      503,
      ['confirmation_unavailable'],
      [],
    ]);
    expect(answer.raw).not.toContain(API_KEY);
    expect(asked).toHaveLength(1);
  });

  it('503 if the API is down, and 200 for the next delivery when it is up', async () => {
    // Not a port that was let go: another test's server could take it.
    const { baseUrl } = await api((req) => req.socket.destroy());
    let down = true;
    const app = await serve(framework, {
      provider: dexchange({
        token: { secret: SECRET },
        confirm: {
          apiKey: API_KEY,
          baseUrl,
          fetch: (...args) => (down ? fetch(...args) : Promise.resolve(Response.json(FACTS))),
        },
      }),
      options: { dedupe: undefined },
    });
    const answer = await post(app, dex());
    expect([answer.status, codes(app)]).toEqual([503, ['confirmation_unavailable']]);
    down = false;
    expect((await post(app, dex())).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });

  it('503 if the merchant cannot tell the transaction', async () => {
    const { baseUrl } = await api(says(FACTS));
    const app = await serveWith(framework, {
      baseUrl,
      transactionId: async () => {
        throw new Error('the database is down');
      },
    });
    expect((await post(app, dex())).status).toBe(503);
    expect(codes(app)).toEqual(['confirmation_unavailable']);
  });

  it('503 within the timeout if the merchant never tells the transaction', async () => {
    const { baseUrl, asked } = await api(says(FACTS));
    const transactionId = () => new Promise<never>(() => {});
    const app = await serveWith(framework, { baseUrl, transactionId, timeout: 50 });
    const started = performance.now();
    expect((await post(app, dex())).status).toBe(503);
    expect(performance.now() - started).toBeLessThan(2_000);
    expect([codes(app), app.events, asked]).toEqual([['confirmation_unavailable'], [], []]);
  });

  it.each<[string, () => DedupeStore | undefined]>([
    ['the default store', () => undefined],
    ['a store written by hand', () => new PlainStore()],
    ['SQLite', () => sqliteStore({ database: new Database(':memory:') })],
  ])('403 and a report where one transaction is shown for a second order, by %s', async (_, store) => {
    const { baseUrl } = await api(says(FACTS));
    const rejected: string[] = [];
    const app = await serve(framework, {
      provider: dexchange({
        token: { secret: SECRET },
        confirm: { apiKey: API_KEY, baseUrl },
      }),
      options: { dedupe: store(), onRejected: ({ error }) => rejected.push(error.code) },
    });
    const id = 'MIDabc123';
    const paid = (order: string, change: object = {}) =>
      dex({ ...TRANSACTION, id, externalTransactionId: order, ...change }, order);
    expect((await post(app, paid('ORDER-001'))).status).toBe(200);
    for (const again of [
      paid('ORDER-002'),
      // Whatever is claimed of it, the API's answer stands; and it may not care for case.
      paid('ORDER-002', { STATUS: 'PENDING' }),
      paid('ORDER-003', { id: 'MIDABC123' }),
    ]) {
      const answer = await post(app, again);
      expect([answer.status, codes(app)]).toEqual([403, ['delivery_conflict']]);
      expect(answer.body).toContain(PUBLIC);
      app.errors.length = 0;
    }
    await until(() => rejected.length === 3);
    expect(rejected).toEqual(Array(3).fill('delivery_conflict'));
    // Its own order may hear of it again.
    expect((await post(app, paid('ORDER-001'))).status).toBe(200);
    expect(app.events.map(({ reference }) => reference)).toEqual(['ORDER-001']);
  });

  it('500 if confirm throws something else', async () => {
    const provider = dexchange({ token: { secret: SECRET } });
    const app = await serve(framework, {
      provider: {
        ...provider,
        confirm: async () => {
          throw new Error('mine');
        },
      },
    });
    expect((await post(app, dex())).status).toBe(500);
    expect(codes(app)).toEqual(['Error: mine']);
    expect(app.events).toEqual([]);
  });
});
