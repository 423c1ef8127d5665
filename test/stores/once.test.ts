import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { describe, expect, it, vi } from 'vitest';
import type { ClaimRequest, DedupeStore, PaymentClaim } from '../../src/dedupe.ts';
import { paymentWebhook as expressWebhook } from '../../src/express.ts';
import type { Rejection } from '../../src/http/pipeline.ts';
import {
  dexchange,
  hatexcard,
  hitpay,
  isWebhookError,
  type PaymentEvent,
  type Provider,
} from '../../src/index.ts';
import { paymentWebhook as koaWebhook } from '../../src/koa.ts';
import { memoryStore } from '../../src/memory.ts';
import { sqliteStore } from '../../src/sqlite.ts';
import {
  Client,
  codes,
  dex,
  hatex,
  head,
  hitpayEvent,
  hitpayForm,
  isExpress,
  type Loose,
  NOW,
  ORDER,
  PAYMENT,
  PUBLIC,
  post,
  SALT,
  SECRET,
  type Sent,
  serve,
  TRANSACTION,
  tap,
  until,
} from '../http/support.ts';
import { FRAMEWORKS, type Framework, type Setup } from '../servers.ts';
import { PlainStore } from './faults.ts';

const SOON = 60;

/** Notes what it is asked, and does not work where a test says so. */
class Watched extends PlainStore {
  readonly calls: string[] = [];
  /** What a verb does instead. */
  instead: Partial<Record<'claim' | 'commit' | 'release' | 'advance', () => Promise<never>>> = {};

  override async claim(request: ClaimRequest) {
    await this.#enter('claim');
    return super.claim(request);
  }
  override async commit(key: string, owner: string, ttl: number) {
    await this.#enter('commit');
    return super.commit(key, owner, ttl);
  }
  override async release(key: string, owner: string) {
    await this.#enter('release');
    return super.release(key, owner);
  }
  override async advance(payment: string, rank: number, ttl: number) {
    await this.#enter('advance');
    return super.advance(payment, rank, ttl);
  }
  async #enter(verb: keyof Watched['instead']) {
    this.calls.push(verb);
    await this.instead[verb]?.();
  }
  /** Hands the event to another owner, as if the lease had run out; null: who has done it since. */
  usurp(owner: string | null = 'another'): void {
    for (const entry of this.entries.values()) Object.assign(entry, { owner, until: Infinity });
  }
  /** Loses everything, as a Redis without persistence that was started again. */
  forget(): void {
    this.entries.clear();
  }
}

const down = async (): Promise<never> => {
  throw new Error('ECONNREFUSED');
};
const silent = (): Promise<never> => new Promise(() => {});

/** Sends a whole delivery and does not wait for the answer. */
async function send(port: number, sent: Sent): Promise<Client> {
  const client = await Client.open(port);
  const headers = { ...sent.headers, 'content-length': `${Buffer.byteLength(sent.body)}` };
  return client.send(head({ ...sent, headers })).send(sent.body);
}

/** Collects what is published on `payproof:unsettled` during a test. */
async function unsettledDuring(run: (found: { error: unknown; key: string }[]) => Promise<void>) {
  const found: { error: unknown; key: string }[] = [];
  const note = (message: unknown) => found.push(message as (typeof found)[number]);
  subscribe('payproof:unsettled', note);
  await run(found).finally(() => unsubscribe('payproof:unsettled', note));
}

/** Makes the claim of a request reachable, where the framework keeps it. */
function claims(framework: Framework) {
  const found: PaymentClaim[] = [];
  const after = isExpress(framework)
    ? tap(framework, (req) => found.push(req.paymentClaim))
    : async (ctx: { state: { paymentClaim: PaymentClaim } }, next: () => Promise<unknown>) => {
        found.push(ctx.state.paymentClaim);
        return next();
      };
  return { found, after: [after] };
}

describe.concurrent.each(FRAMEWORKS)('%s', (framework) => {
  describe('the answer settles the claim', () => {
    it.each([
      200, 201, 204,
    ])('commits on %i, and a redelivery is 200 without the handler', async (status) => {
      const store = new Watched();
      const onAccepted = vi.fn();
      const app = await serve(framework, {
        options: { dedupe: store, onAccepted },
        handler: (_event, _request, { answer }) => answer(status),
      });
      expect((await post(app, hatex())).status).toBe(status);
      await until(() => store.calls.includes('commit'));
      const second = await post(app, hatex());
      expect(second).toMatchObject({ status: 200 });
      expect(app.events).toHaveLength(1);
      expect(onAccepted).toHaveBeenCalledTimes(1);
      expect(store.calls).toEqual(['claim', 'commit', 'claim']);
    });

    it.each([
      300, 302, 400, 404, 409, 500, 503,
    ])('releases on %i, and the same delivery runs again', async (status) => {
      const store = new Watched();
      let attempt = 0;
      const app = await serve(framework, {
        options: { dedupe: store },
        handler: (_event, _request, { res, answer }) => {
          if (attempt++ > 0) return;
          // Koa takes a status without a body for unanswered where it is 404.
          if (isExpress(framework)) answer(status);
          else res.writeHead(status).end();
        },
      });
      expect((await post(app, hatex())).status).toBe(status);
      await until(() => store.calls.includes('release'));
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(2);
      await until(() => store.calls.length === 4);
      expect(store.calls).toEqual(['claim', 'release', 'claim', 'commit']);
    });

    it.each([
      [
        'throws',
        () => {
          throw new Error('out of stock');
        },
      ],
      [
        'rejects',
        () =>
          sleep(5).then(() => {
            throw new Error('out of stock');
          }),
      ],
    ])('releases where the handler %s, and the same delivery runs again', async (_, fail) => {
      const store = new Watched();
      let attempt = 0;
      const app = await serve(framework, {
        options: { dedupe: store },
        handler: () => (attempt++ === 0 ? fail() : undefined),
      });
      expect((await post(app, hatex())).status).toBe(500);
      await until(() => store.calls.includes('release'));
      expect((await post(app, hatex())).status).toBe(200);
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(2);
    });

    it('releases where a handler goes on to a 200 after it has answered 500', async () => {
      const store = new Watched();
      const app = await serve(framework, {
        options: { dedupe: store },
        handler: (_event, _request, { res, answer }) => {
          if (store.calls.length > 1) return;
          res.writeHead(500).end();
          // As after a missing `return`: the status is set before Express finds that headers are sent.
          answer(200);
        },
      });
      expect((await post(app, hatex())).status).toBe(500);
      await until(() => store.calls.includes('release'));
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(2);
    });

    it('releases where the sender closes before the answer', async () => {
      const store = new Watched();
      let finish = () => {};
      const app = await serve(framework, {
        options: { dedupe: store },
        handler: () =>
          new Promise<void>((resolve) => {
            finish = resolve;
          }),
      });
      const client = await send(app.port, hatex());
      await until(() => app.events.length === 1);
      client.socket.destroy();
      await until(() => store.calls.includes('release'));
      finish();
      await sleep(20);
      expect(store.calls).toEqual(['claim', 'release']);
    });

    it('releases what waits behind another answer when their connection is gone', async () => {
      const store = new Watched();
      let finish = () => {};
      const done = new Promise<void>((resolve) => {
        finish = resolve;
      });
      const app = await serve(framework, {
        options: { dedupe: store },
        handler: () => done,
      });
      const sent = ['HTX-A', 'HTX-B'].map((id) => hatex({ ...PAYMENT, transaction_id: id }));
      const client = await Client.open(app.port);
      for (const { headers, body } of sent) {
        const length = `${(body as string).length}`;
        client.send(head({ headers: { ...headers, 'content-length': length } }, 'keep-alive'));
        client.send(body);
      }
      await until(() => app.events.length === 2);
      client.socket.destroy();
      await until(() => store.calls.filter((verb) => verb === 'release').length === 2);
      finish();
      for (const one of sent) expect((await post(app, one)).status).toBe(200);
      expect(app.events).toHaveLength(4);
    });

    it.each([
      'claim',
      'advance',
    ] as const)('does not run for a sender that left while the store answered %s', async (verb) => {
      const store = new Watched();
      let go = () => {};
      const answers: ServerResponse[] = [];
      const app = await serve(framework, {
        before: [tap(framework, (_req, res) => answers.push(res))],
        options: { dedupe: { store, stale: 'mark' } },
      });
      store.instead[verb] = () =>
        new Promise((resolve) => {
          go = resolve as () => void;
        });
      const client = await send(app.port, hatex());
      await until(() => store.calls.includes(verb));
      client.socket.destroy();
      await until(() => answers[0]?.destroyed === true);
      go();
      await until(() => store.calls.includes('release'));
      store.instead = {};
      expect(app.events).toEqual([]);
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(1);
    });
  });

  it('of a hundred deliveries at once one runs; the others are told to come again', async () => {
    const app = await serve(framework, {
      options: { dedupe: memoryStore() },
      handler: () => sleep(SOON * 5),
    });
    const answers = await Promise.all(Array.from({ length: 100 }, () => post(app, hatex())));
    expect(app.events).toHaveLength(1);
    const refused = answers.filter(({ status }) => status === 409);
    for (const { status } of answers) expect([200, 409]).toContain(status);
    for (const { headers } of refused) expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(refused.length).toBeGreaterThan(0);
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });

  it('remembers by default, each middleware for itself', async () => {
    const [one, two] = await Promise.all([
      serve(framework, { options: { dedupe: undefined } }),
      serve(framework, { options: { dedupe: undefined } }),
    ]);
    for (const app of [one, one, two]) expect((await post(app, hatex())).status).toBe(200);
    expect([one.events.length, two.events.length]).toEqual([1, 1]);
  });

  it('runs every delivery with dedupe: false', async () => {
    const app = await serve(framework, { options: { dedupe: false } });
    for (let n = 0; n < 3; n++) expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(3);
  });

  describe('lease', () => {
    it('is kept by a handler that takes longer', async () => {
      const store = new Watched();
      let finish = () => {};
      const app = await serve(framework, {
        options: { dedupe: { store, lease: 1_000 } },
        handler: () =>
          new Promise<void>((resolve) => {
            finish = resolve;
          }),
      });
      const first = await send(app.port, hatex());
      await until(() => app.events.length === 1);
      await sleep(1_300);
      const second = await post(app, hatex());
      expect(second.status).toBe(409);
      expect(second.headers['retry-after']).toBe('1');
      expect(codes(app)).toEqual(['delivery_in_progress']);
      finish();
      expect((await first.answer()).status).toBe(200);
      await until(() => store.calls.includes('commit'));
      const calls = store.calls.length;
      await sleep(200);
      expect(store.calls).toHaveLength(calls);
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(1);
    });

    it('of a dead process runs out: the next delivery runs, and the late commit is refused', async () => {
      const store = new Watched();
      const app = await serve(framework, { options: { dedupe: store } });
      const [id] = await idsOf(hatex());
      const dead = { key: id as string, owner: 'dead', lease: 400, fingerprint: FINGERPRINT };
      await store.claim(dead);
      expect((await post(app, hatex())).status).toBe(409);
      await sleep(450);
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(1);
      await until(() => store.calls.includes('commit'));
      expect(await store.commit(dead.key, dead.owner, 1_000)).toBe(false);
      expect(await store.release(dead.key, dead.owner)).toBe(false);
    });
  });

  describe('the same id with other facts', () => {
    it.each([
      ['amount', { amount: 15 }],
      ['currency', { currency: 'USD' }],
      ['reference', { order_id: 'CMD-2' }],
    ])('is refused and reported where the %s differs', async (_, change) => {
      const rejections: Rejection[] = [];
      const app = await serve(framework, {
        options: { dedupe: new Watched(), onRejected: (one) => rejections.push(one) },
      });
      await post(app, hatex());
      const answer = await post(app, hatex({ ...PAYMENT, ...change }));
      expect(answer.status).toBe(403);
      expect(answer.body).toContain(PUBLIC);
      expect(app.events).toHaveLength(1);
      await until(() => rejections.length === 1);
      expect(rejections[0]).toMatchObject({
        provider: 'hatexcard',
        error: { code: 'delivery_conflict' },
      });
      expect((await post(app, hatex())).status).toBe(200);
    });
  });

  describe('a store that does not work', () => {
    it.each([
      ['rejects', down],
      [
        'throws',
        () => {
          throw new Error('no connection');
        },
      ],
      ['is silent', silent],
      [
        'answers nonsense',
        async () => {
          throw null;
        },
      ],
    ])('that %s: 503, and the event is processed when it works again', async (_, instead) => {
      const store = new Watched();
      const app = await serve(framework, { options: { dedupe: { store, timeout: SOON } } });
      store.instead.claim = instead as () => Promise<never>;
      const answer = await post(app, hatex());
      expect(answer.status).toBe(503);
      expect(answer.body).not.toContain('ECONNREFUSED');
      expect(codes(app)).toEqual(['store_unavailable']);
      expect(app.events).toEqual([]);
      store.instead = {};
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(1);
    });

    it.each([
      undefined,
      null,
      {},
      { status: 'yes' },
      'claimed',
      true,
    ])('that answers %j: 503', async (nonsense) => {
      const store: DedupeStore = {
        claim: async () => nonsense as never,
        commit: async () => true,
        release: async () => true,
      };
      const app = await serve(framework, { options: { dedupe: store } });
      expect((await post(app, hatex())).status).toBe(503);
      expect(codes(app)).toEqual(['store_unavailable']);
      expect(app.events).toEqual([]);
    });

    it('gives back a claim whose answer was lost', async () => {
      const store = new Watched();
      const claim = store.claim.bind(store);
      let isLost = true;
      store.claim = async (request) => {
        const result = await claim(request);
        if (isLost) throw new Error('ECONNRESET');
        return result;
      };
      const app = await serve(framework, { options: { dedupe: store } });
      expect((await post(app, hatex())).status).toBe(503);
      await until(() => store.calls.includes('release'));
      isLost = false;
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(1);
    });

    it('gives back a claim that it took too late', async () => {
      const store = new Watched();
      let go = () => {};
      store.instead.claim = () =>
        new Promise((resolve) => {
          go = resolve as () => void;
        });
      const app = await serve(framework, { options: { dedupe: { store, timeout: SOON } } });
      expect((await post(app, hatex())).status).toBe(503);
      go();
      await until(() => store.calls.includes('release'));
      store.instead = {};
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(1);
    });
  });

  describe('commitIn', () => {
    it.each([
      ['a store without transactions', memoryStore()],
      ['dedupe: false', false as const],
    ])('throws a TypeError with %s', async (_, dedupe) => {
      const { found, after } = claims(framework);
      const app = await serve(framework, {
        options: { dedupe },
        after,
        handler: () => found[0]?.commitIn({}),
      });
      expect((await post(app, hatex())).status).toBe(500);
      expect(app.errors[0]).toBeInstanceOf(TypeError);
      expect((app.errors[0] as Error).message).toMatch(/^commitIn: /);
      expect(found[0]?.key).toBe(app.events[0]?.id);
    });

    it('makes effect and mark one commit', async () => {
      const db = new Database(':memory:');
      db.exec('CREATE TABLE effects (id TEXT)');
      const { found, after } = claims(framework);
      let fail = true;
      const app = await serve(framework, {
        options: { dedupe: sqliteStore({ database: db }) },
        after,
        handler: async (event) => {
          db.exec('BEGIN');
          try {
            db.prepare('INSERT INTO effects VALUES (?)').run(event.id);
            await found.at(-1)?.commitIn(db);
            if (fail) throw new Error('out of stock');
            db.exec('COMMIT');
          } catch (error) {
            db.exec('ROLLBACK');
            throw error;
          }
        },
      });
      const effects = () => db.prepare('SELECT count(*) FROM effects').pluck().get();
      expect((await post(app, hatex())).status).toBe(500);
      expect(effects()).toBe(0);
      fail = false;
      await until(() => db.prepare('SELECT count(*) FROM payproof_events').pluck().get() === 0);
      expect((await post(app, hatex())).status).toBe(200);
      expect((await post(app, hatex())).status).toBe(200);
      expect(effects()).toBe(1);
    });

    it("is refused in place within SQLite's own transaction(), which then falls", async () => {
      const db = new Database(':memory:');
      db.exec('CREATE TABLE effects (id TEXT)');
      const { found, after } = claims(framework);
      const app = await serve(framework, {
        options: { dedupe: sqliteStore({ database: db }) },
        after,
        handler: (event) => {
          db.exec("UPDATE payproof_events SET owner = 'another'");
          db.transaction(() => {
            db.prepare('INSERT INTO effects VALUES (?)').run(event.id);
            found[0]?.commitIn(db);
          })();
        },
      });
      expect((await post(app, hatex())).status).toBe(409);
      expect(db.prepare('SELECT count(*) FROM effects').pluck().get()).toBe(0);
    });

    it('is refused where the claim went to another delivery: 409', async () => {
      const db = new Database(':memory:');
      const { found, after } = claims(framework);
      const app = await serve(framework, {
        options: { dedupe: sqliteStore({ database: db }) },
        after,
        handler: async () => {
          db.exec("UPDATE payproof_events SET owner = 'another'");
          db.transaction(() => found[0]?.commitIn(db))();
        },
      });
      expect((await post(app, hatex())).status).toBe(409);
      expect(codes(app)).toEqual(['delivery_in_progress']);
    });
  });

  describe('stale', () => {
    const told = (status: string, payment_id = ORDER.payment_id) =>
      hitpayForm({ ...ORDER, status, payment_id });
    const shop = (store: DedupeStore, stale: 'mark' | 'skip', handler?: Setup['handler']) =>
      serve(framework, {
        provider: hitpay({ salt: SALT }),
        options: { dedupe: { store, stale } },
        ...(handler && { handler }),
      });

    it('marks what a later state has overtaken', async () => {
      const app = await shop(memoryStore(), 'mark');
      for (const event of ['completed', 'pending', 'failed']) {
        expect((await post(app, told(event))).status).toBe(200);
      }
      expect(app.events.map(({ type, stale }) => [type, stale])).toEqual([
        ['payment.succeeded', undefined],
        ['payment.pending', true],
        ['payment.failed', true],
      ]);
    });

    it('skips it where that is wanted: 200 without the handler', async () => {
      const app = await shop(memoryStore(), 'skip');
      for (const event of ['completed', 'pending', 'pending', 'failed']) {
        expect((await post(app, told(event))).status).toBe(200);
      }
      expect(app.events.map(({ type }) => type)).toEqual(['payment.succeeded']);
    });

    it('lets a payment succeed after it failed, and keeps payments apart', async () => {
      const app = await shop(memoryStore(), 'mark');
      for (const [event, id] of [
        ['pending', 'A'],
        ['failed', 'A'],
        ['completed', 'A'],
        ['failed', 'B'],
        ['failed', 'C'],
        // Neither overtakes the other.
        ['canceled', 'C'],
      ] as const) {
        expect((await post(app, told(event, id))).status).toBe(200);
      }
      expect(app.events).toHaveLength(6);
      expect(app.events.filter(({ stale }) => stale)).toEqual([]);
    });

    it('keeps the states of a signed payment together, whatever order it names', async () => {
      const app = await shop(memoryStore(), 'mark');
      for (const [status, reference_number] of [
        ['completed', 'A'],
        ['failed', 'B'],
      ] as const) {
        const sent = hitpayForm({ ...ORDER, status, reference_number });
        expect((await post(app, sent)).status).toBe(200);
      }
      expect(app.events.map(({ stale }) => stale)).toEqual([undefined, true]);
    });

    it('keeps the states of each order apart where only its token was shown', async () => {
      const app = await serve(framework, {
        provider: dexchange({ token: { secret: SECRET } }),
        options: { dedupe: { store: memoryStore(), stale: 'mark' } },
      });
      // The holder of one order's URL tells of the payment of another.
      for (const [externalTransactionId, STATUS] of [
        ['ORDER-2', 'SUCCESS'],
        ['ORDER-1', 'PENDING'],
        ['ORDER-1', 'SUCCESS'],
        ['ORDER-1', 'FAILED'],
      ] as const) {
        const body = { ...TRANSACTION, externalTransactionId, STATUS };
        expect((await post(app, dex(body, externalTransactionId))).status).toBe(200);
      }
      expect(app.events.map(({ reference, type, stale }) => [reference, type, stale])).toEqual([
        ['ORDER-2', 'payment.succeeded', undefined],
        ['ORDER-1', 'payment.pending', undefined],
        ['ORDER-1', 'payment.succeeded', undefined],
        ['ORDER-1', 'payment.failed', true],
      ]);
    });

    it('keeps the states of a payment whose order was not told', async () => {
      const app = await serve(framework, {
        provider: dexchange({ bearer: { token: SECRET } }),
        options: { dedupe: { store: memoryStore(), stale: 'mark' } },
      });
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` };
      for (const STATUS of ['SUCCESS', 'FAILED']) {
        const body = JSON.stringify({ id: TRANSACTION.id, STATUS });
        expect((await post(app, { headers, body })).status).toBe(200);
      }
      expect(app.events.map(({ stale }) => stale)).toEqual([undefined, true]);
    });

    it.each([
      ['an answer that was lost', true],
      ['a transaction that was rolled back', false],
    ])('knows by the store what commitIn did before %s', async (_, stands) => {
      const db = new Database(':memory:');
      const { found, after } = claims(framework);
      const app = await serve(framework, {
        provider: hitpay({ salt: SALT }),
        options: { dedupe: { store: sqliteStore({ database: db }), stale: 'mark' } },
        after,
        handler: async ({ type }) => {
          if (type !== 'payment.succeeded') return;
          db.exec('BEGIN');
          await found.at(-1)?.commitIn(db);
          db.exec(stands ? 'COMMIT' : 'ROLLBACK');
          throw new Error('no mail server');
        },
      });
      const ranks = () => db.prepare('SELECT max(rank) FROM payproof_events').pluck().get();
      const events = () => db.prepare('SELECT count(*) FROM payproof_events WHERE key = ?').pluck();
      expect((await post(app, told('completed'))).status).toBe(500);
      await until(() => (stands ? ranks() === 3 : events().get(found[0]?.key) === 0));
      expect((await post(app, told('failed'))).status).toBe(200);
      expect(app.events.map(({ stale }) => stale)).toEqual([undefined, stands || undefined]);
    });

    it('learns of a redelivery what a process could not write down before it died', async () => {
      const store = memoryStore();
      const dead = await serve(framework, {
        provider: hitpay({ salt: SALT }),
        options: { dedupe: store },
      });
      expect((await post(dead, told('completed'))).status).toBe(200);
      const app = await shop(store, 'skip');
      for (const event of ['completed', 'failed']) {
        expect((await post(app, told(event))).status).toBe(200);
      }
      expect(app.events).toEqual([]);
    });

    it('counts only what was processed: a success that failed overtakes nothing', async () => {
      const store = new Watched();
      const app = await shop(store, 'mark', ({ type }) => {
        if (type === 'payment.succeeded') throw new Error('out of stock');
      });
      await post(app, told('completed'));
      await until(() => store.calls.includes('release'));
      await post(app, told('failed'));
      expect(app.events.at(-1)).toMatchObject({ type: 'payment.failed' });
      expect(app.events.at(-1)?.stale).toBeUndefined();
    });

    it.each([
      ['advance', 'mark'],
      ['commit', 'skip'],
    ] as const)('gives the claim back and answers 503 where %s fails', async (verb, stale) => {
      const store = new Watched();
      const app = await shop(store, stale);
      await post(app, told('completed'));
      await until(() => store.calls.includes('commit'));
      store.instead[verb] = down;
      expect((await post(app, told('failed'))).status).toBe(503);
      await until(() => store.calls.includes('release'));
      store.instead = {};
      expect((await post(app, told('failed'))).status).toBe(200);
    });
  });

  describe('a charge and a form of one payment', () => {
    const charge = (reference_number?: string) =>
      hitpayEvent({
        id: ORDER.payment_id,
        amount: 599,
        currency: 'sgd',
        status: 'succeeded',
        refunded_amount: 0,
        ...(reference_number && {
          payment_request: { id: ORDER.payment_request_id, reference_number },
        }),
      });
    it.each<[string, Sent[], (string | null)[]]>([
      ['both run where the charge names no order', [charge(), hitpayForm()], [null, 'ABC123']],
      ['both run in the other order', [hitpayForm(), charge()], ['ABC123', null]],
      ['have one effect where both name it', [charge('ABC123'), hitpayForm()], ['ABC123']],
      ['have one effect in the other order', [hitpayForm(), charge('ABC123')], ['ABC123']],
    ])('%s', async (_, tellings, references) => {
      const app = await serve(framework, {
        provider: hitpay({ salt: SALT }),
        options: { dedupe: memoryStore() },
      });
      for (const told of [...tellings, ...tellings]) {
        expect((await post(app, told)).status).toBe(200);
      }
      expect(app.events.map(({ type, reference }) => [type, reference])).toEqual(
        references.map((reference) => ['payment.succeeded', reference]),
      );
      expect(app.errors).toEqual([]);
    });
  });

  it('one payment told by a form, a payment request and a charge has one effect', async () => {
    const app = await serve(framework, {
      provider: hitpay({ salt: SALT }),
      options: { dedupe: memoryStore() },
    });
    const { payment_id, payment_request_id, reference_number } = ORDER;
    const tellings = [
      hitpayForm(),
      hitpayEvent({
        id: payment_request_id,
        amount: '599.00',
        currency: 'sgd',
        status: 'completed',
        reference_number,
        payments: [{ id: payment_id, amount: '599.00', currency: 'sgd', status: 'succeeded' }],
      }),
      hitpayEvent({
        id: payment_id,
        amount: 599,
        currency: 'sgd',
        status: 'succeeded',
        refunded_amount: 0,
        payment_request: { id: payment_request_id, reference_number },
      }),
    ];
    for (const told of [...tellings, ...tellings.toReversed()]) {
      expect((await post(app, told)).status).toBe(200);
    }
    expect(app.events).toHaveLength(1);
    expect(app.errors).toEqual([]);
  });
});

describe.each(['express5', 'koa3'] as const)('%s: scope', (framework) => {
  const by = (secret: string, shop: string): Sent => {
    const sent = hatex(PAYMENT, secret);
    return { ...sent, headers: { ...sent.headers, 'x-shop': shop } };
  };

  it('keeps apart the same event of merchants who share a store', async () => {
    const store = new Watched();
    const { found, after } = claims(framework);
    const shops = await Promise.all(
      ['a', 'b', 'b'].map((scope) =>
        serve(framework, { options: { dedupe: { store, scope } }, after }),
      ),
    );
    for (const shop of shops) expect((await post(shop, hatex())).status).toBe(200);
    expect(shops.map(({ events }) => events.length)).toEqual([1, 1, 0]);
    expect(new Set(found.map(({ key }) => key)).size).toBe(2);
    expect(shops[0]?.events[0]?.id).toBe(shops[1]?.events[0]?.id);
  });

  it('may be told by the request', async () => {
    const scope = ({ headers }: { headers: Record<string, string> }) => headers['x-shop'] as string;
    const app = await serve(framework, {
      options: { dedupe: { store: memoryStore(), scope: scope as (request: never) => string } },
    });
    for (const shop of ['a', 'b', 'a']) {
      expect((await post(app, by(SECRET, shop))).status).toBe(200);
    }
    expect(app.events).toHaveLength(2);
  });

  it.each([
    undefined,
    null,
    '',
    5,
  ])('is a mistake of the merchant where it gives %j: 500', async (name) => {
    const app = await serve(framework, {
      options: { dedupe: { store: memoryStore(), scope: () => name as string } },
    });
    expect((await post(app, hatex())).status).toBe(500);
    expect(app.errors[0]).toBeInstanceOf(TypeError);
    expect(app.events).toEqual([]);
  });

  it("is the provider's account where a function of the request chooses it", async () => {
    const secrets: Record<string, string> = {
      a: 'secret-of-the-first-shop',
      b: 'secret-of-another-shop',
    };
    const app = await serve(framework, {
      provider: (headers) => hatexcard({ secret: secrets[`${headers['x-shop']}`] }),
      options: { dedupe: memoryStore() },
    });
    for (const shop of ['a', 'b', 'a', 'b']) {
      expect((await post(app, by(secrets[shop] as string, shop))).status).toBe(200);
    }
    expect(app.events).toHaveLength(2);
  });
});

describe('events without a payment', () => {
  it('have no order, and are once all the same', async () => {
    const store = new Watched();
    const app = await serve('express5', { options: { dedupe: { store, stale: 'mark' } } });
    for (let n = 0; n < 2; n++) {
      expect((await post(app, hatex({ event: 'something.new', amount: 'free' }))).status).toBe(200);
      await until(() => store.calls.includes('commit'));
    }
    expect(app.events).toMatchObject([{ type: 'other', amount: null }]);
    expect(store.calls).not.toContain('advance');
  });

  it('have none either where a payment is told without its id', async () => {
    const store = new Watched();
    const app = await serve('express5', { options: { dedupe: { store, stale: 'mark' } } });
    const { transaction_id: _, ...payment } = PAYMENT;
    expect((await post(app, hatex(payment))).status).toBe(200);
    expect(app.events).toMatchObject([{ type: 'payment.succeeded', paymentId: null }]);
    expect(app.events[0]).not.toHaveProperty('stale');
    expect(store.calls).not.toContain('advance');
  });

  it('nor has a payment whose rank the store does not tell', async () => {
    const store = Object.assign(new Watched(), { advance: async () => undefined as never });
    const app = await serve('express5', { options: { dedupe: { store, stale: 'skip' } } });
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });

  it('conflict where the money has no minor unit known here, by its text', async () => {
    const app = await serve('express5', { options: { dedupe: new Watched() } });
    for (const [amount, status] of [
      [5, 200],
      [5, 200],
      [6, 403],
    ] as const) {
      expect((await post(app, hatex({ ...PAYMENT, currency: 'XXQ', amount }))).status).toBe(status);
    }
  });
});

it('a provider of somebody else may leave out the amount and the reference', async () => {
  const base = hatexcard({ secret: SECRET });
  const provider: Provider = {
    ...base,
    authenticate: (delivery) => {
      const { amount: _, reference: __, ...event } = base.authenticate(delivery);
      return event as ReturnType<typeof base.authenticate>;
    },
  };
  const app = await serve('express5', { provider, options: { dedupe: memoryStore() } });
  expect([(await post(app, hatex())).status, (await post(app, hatex())).status]).toEqual([
    200, 200,
  ]);
  expect(app.events).toHaveLength(1);
});

it('a store that throws in place has failed at once', async () => {
  const store: DedupeStore = {
    ...memoryStore(),
    claim: () => {
      throw new RangeError('down');
    },
  };
  // Longer than this test may take.
  const app = await serve('koa3', { options: { dedupe: { store, timeout: 600_000 } } });
  expect((await post(app, hatex())).status).toBe(503);
  expect(app.events).toEqual([]);
});

describe('payproof:unsettled', () => {
  it('tells of a commit that failed after the answer', () =>
    unsettledDuring(async (unsettled) => {
      const store = new Watched();
      store.instead.commit = down;
      const app = await serve('express5', { options: { dedupe: store } });
      expect((await post(app, hatex())).status).toBe(200);
      await until(() => unsettled.length === 1);
      expect(unsettled[0]?.key).toBe(app.events[0]?.id);
      expect(isWebhookError(unsettled[0]?.error)).toBe(true);
      expect(unsettled[0]?.error).toMatchObject({ code: 'store_unavailable' });
      // Or it would go on trying, and telling, during the next tests.
      store.instead = {};
      await until(() => store.calls.filter((verb) => verb === 'commit').length === 2);
    }));

  it('a commit that failed after the answer is tried again while the lease holds', () =>
    unsettledDuring(async (unsettled) => {
      const store = new Watched();
      store.instead.commit = down;
      const app = await serve('koa3', { options: { dedupe: store } });
      expect((await post(app, hatex())).status).toBe(200);
      await until(() => unsettled.length === 1);
      store.instead = {};
      await until(() => store.calls.filter((verb) => verb === 'commit').length === 2);
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(1);
    }));

  it('a commit of which only the answer was lost is settled by the next try', () =>
    unsettledDuring(async (unsettled) => {
      const store = new Watched();
      store.instead.commit = async () => {
        store.usurp(null);
        store.instead = {};
        throw new Error('ECONNRESET');
      };
      const app = await serve('koa3', { options: { dedupe: store } });
      expect((await post(app, hatex())).status).toBe(200);
      await until(() => store.calls.filter((verb) => verb === 'claim').length === 2);
      await sleep(300);
      expect(unsettled).toEqual([
        { key: app.events[0]?.id, error: expect.objectContaining({ code: 'store_unavailable' }) },
      ]);
      expect(store.calls).toEqual(['claim', 'commit', 'commit', 'claim']);
    }));

  it('a try that finds the event with another delivery is told, also within the lease', () =>
    unsettledDuring(async (unsettled) => {
      const store = new Watched();
      store.instead.commit = async () => {
        store.usurp();
        store.instead = {};
        throw new Error('ECONNRESET');
      };
      const app = await serve('express5', { options: { dedupe: store } });
      expect((await post(app, hatex())).status).toBe(200);
      await until(() => unsettled.length === 2);
      expect(unsettled[1]?.error).toMatchObject({ cause: { code: 'delivery_in_progress' } });
    }));

  it('a try that finds the event done when the lease may have run out is told', () =>
    unsettledDuring(async (unsettled) => {
      const store = new Watched();
      store.instead.commit = async () => {
        store.usurp(null);
        await sleep(60);
        throw new Error('ECONNRESET');
      };
      const app = await serve('koa3', { options: { dedupe: { store, lease: 150 } } });
      expect((await post(app, hatex())).status).toBe(200);
      await until(() => unsettled.length === 1);
      store.instead = {};
      await until(() => unsettled.length === 2);
      expect(unsettled[1]?.error).toMatchObject({ cause: { code: 'delivery_in_progress' } });
    }));

  it('a commit that goes on failing is given up with the lease', () =>
    unsettledDuring(async (unsettled) => {
      const store = new Watched();
      store.instead.commit = down;
      const app = await serve('express5', { options: { dedupe: { store, lease: 150 } } });
      expect((await post(app, hatex())).status).toBe(200);
      await until(() => unsettled.length === 2);
      await sleep(300);
      expect(unsettled).toHaveLength(2);
    }));

  it('tells of a commit that was refused since another delivery has the event', () =>
    unsettledDuring(async (unsettled) => {
      const store = new Watched();
      const app = await serve('koa3', {
        options: { dedupe: store },
        handler: () => store.usurp(),
      });
      expect((await post(app, hatex())).status).toBe(200);
      await until(() => unsettled.length === 1);
      expect(unsettled[0]?.error).toMatchObject({ cause: { code: 'delivery_in_progress' } });
    }));

  it('tells of a renewal and of a release that failed', () =>
    unsettledDuring(async (unsettled) => {
      const store = new Watched();
      const app = await serve('express5', {
        options: { dedupe: { store, lease: 150 } },
        handler: async () => {
          store.instead = { claim: down, release: down };
          // On a busy machine there may be more than one renewal.
          await until(() => unsettled.length > 0);
          throw new Error('out of stock');
        },
      });
      expect((await post(app, hatex())).status).toBe(500);
      await until(() => store.calls.includes('release') && unsettled.length > 1);
    }));

  it.each(
    FRAMEWORKS.flatMap(
      (one) =>
        [
          [one, 200],
          [one, 500],
        ] as const,
    ),
  )('%s: is silent where commitIn settled the event and %i is answered', async (framework, status) => {
    await unsettledDuring(async (unsettled) => {
      const db = new Database(':memory:');
      const { found, after } = claims(framework);
      const app = await serve(framework, {
        options: { dedupe: sqliteStore({ database: db }) },
        after,
        handler: async () => {
          db.exec('BEGIN');
          await found[0]?.commitIn(db);
          db.exec('COMMIT');
          if (status === 500) throw new Error('the mail could not be sent');
        },
      });
      expect((await post(app, hatex())).status).toBe(status);
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(1);
      expect(unsettled).toEqual([]);
    });
  });

  it('is silent where nobody listens', async () => {
    const store = new Watched();
    store.instead.commit = down;
    const app = await serve('express5', { options: { dedupe: store } });
    expect((await post(app, hatex())).status).toBe(200);
    await until(() => store.calls.includes('commit'));
    await sleep(20);
  });
});

it('a transaction whose answer was lost is not looked at where no order of states is kept', async () => {
  const store = Object.assign(new Watched(), { commitIn: async () => true });
  const { found, after } = claims('koa3');
  const app = await serve('koa3', {
    options: { dedupe: store },
    after,
    handler: async () => {
      await found[0]?.commitIn({});
      throw new Error('no mail server');
    },
  });
  expect((await post(app, hatex())).status).toBe(500);
  await until(() => store.calls.includes('release'));
  expect(store.calls).toEqual(['claim', 'release']);
});

describe('a claim that is given back', () => {
  const settled = async (
    stale: 'mark' | undefined,
    commit: ((store: Watched) => Promise<unknown> | undefined) | null,
  ) => {
    const store: Watched & Partial<Pick<DedupeStore, 'commitIn'>> = new Watched();
    if (commit) {
      store.commitIn = async () => {
        await commit(store);
        return true;
      };
    }
    const { found, after } = claims('express5');
    const app = await serve('express5', {
      options: { dedupe: { store, stale } },
      after,
      handler: async (_event, _request, { answer }) => {
        if (commit) await found[0]?.commitIn({});
        answer(500);
      },
    });
    expect((await post(app, hatex())).status).toBe(500);
    await sleep(40);
    return store.calls;
  };

  it.each([
    ['no commitIn', 'mark', null, ['claim', 'advance', 'release']],
    ['a transaction that was rolled back', 'mark', async () => {}, ['claim', 'advance', 'release']],
    [
      'one that stands, without an order of states',
      undefined,
      async (store: Watched) => store.usurp(null),
      ['claim', 'release'],
    ],
    [
      'one that stands',
      'mark',
      async (store: Watched) => store.usurp(null),
      ['claim', 'advance', 'release', 'claim', 'advance'],
    ],
    [
      'one whose event another delivery has',
      'mark',
      async (store: Watched) => store.usurp(),
      ['claim', 'advance', 'release', 'claim'],
    ],
    [
      'one that the store forgot',
      'mark',
      async (store: Watched) => store.forget(),
      ['claim', 'advance', 'release', 'claim', 'release'],
    ],
  ] as const)('asks the store no more than it must, after %s', async (_, stale, commit, calls) => {
    expect(await settled(stale, commit)).toEqual(calls);
  });
});

it('an event that is marked is asked for no more', async () => {
  const store = new Watched();
  const app = await serve('koa3', { options: { dedupe: store } });
  expect((await post(app, hatex())).status).toBe(200);
  await sleep(40);
  expect(store.calls).toEqual(['claim', 'commit']);
});

describe('a claim that is gone', () => {
  it('is taken and marked again where the store forgot it: the event does not run twice', async () => {
    const store = new Watched();
    const app = await serve('express5', {
      options: { dedupe: { store } },
      handler: () => store.forget(),
    });
    expect((await post(app, hatex())).status).toBe(200);
    await until(() => store.calls.length === 4);
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(1);
    expect(store.calls).toEqual(['claim', 'commit', 'claim', 'commit', 'claim']);
  });

  it.each([
    ['has', 'another'],
    ['had', null],
  ])('is told as unsettled where another delivery %s it', async (_, owner) => {
    const store = new Watched();
    await unsettledDuring(async (found) => {
      const app = await serve('koa3', {
        options: { dedupe: { store } },
        handler: () => store.usurp(owner),
      });
      expect((await post(app, hatex())).status).toBe(200);
      await until(() => found.length > 0);
      expect(found[0]?.error).toMatchObject({ cause: { code: 'delivery_in_progress' } });
    });
    expect(store.calls).toEqual(['claim', 'commit', 'claim']);
  });

  it('before its handler runs is refused: the store took as long as the lease', async () => {
    const store = new Watched();
    const app = await serve('koa3', { options: { dedupe: { store, lease: 30 } } });
    store.instead.claim = async () => {
      await sleep(40);
      return undefined as never;
    };
    expect((await post(app, hatex())).status).toBe(503);
    await until(() => store.calls.includes('release'));
    expect([app.events, codes(app)]).toEqual([[], ['store_unavailable']]);
    store.instead = {};
    expect((await post(app, hatex())).status).toBe(200);
  });
});

describe('renewals', () => {
  it('that are under way do not take the claim again after its release', async () => {
    const store = new Watched();
    let go = () => {};
    const app = await serve('express5', {
      options: { dedupe: { store, lease: 90 } },
      handler: async (_event, _request, { answer }) => {
        if (store.calls.length > 1) return;
        store.instead.claim = () => {
          // The first one hangs, the second does not.
          store.instead = {};
          return new Promise((resolve) => {
            go = resolve as () => void;
          });
        };
        await until(() => store.calls.length === 3);
        answer(500);
      },
    });
    expect((await post(app, hatex())).status).toBe(500);
    await sleep(20);
    expect(store.calls).not.toContain('release');
    go();
    await until(() => store.calls.includes('release'));
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(2);
  });

  it('that the store answers long after their time do not hold the event', async () => {
    const store = new Watched();
    let go = () => {};
    const app = await serve('koa3', {
      options: { dedupe: { store, lease: 300, timeout: SOON } },
      handler: async (_event, _request, { answer }) => {
        if (store.calls.length > 1) return;
        store.instead.claim = () =>
          new Promise((resolve) => {
            go = resolve as () => void;
          });
        await until(() => store.calls.length === 2);
        answer(500);
      },
    });
    expect((await post(app, hatex())).status).toBe(500);
    await until(() => store.calls.includes('release'));
    store.instead = {};
    go();
    await until(() => store.calls.filter((call) => call === 'release').length === 2);
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(2);
  });

  it('that hang do not hold back the commit', async () => {
    const store = new Watched();
    const app = await serve('koa3', {
      options: { dedupe: { store, lease: 90 } },
      handler: async () => {
        store.instead.claim = silent;
        await until(() => store.calls.length === 2);
      },
    });
    expect((await post(app, hatex())).status).toBe(200);
    await until(() => store.calls.includes('commit'), 1_000);
  });

  it('go on after commitIn, whose transaction may be rolled back', async () => {
    const store = Object.assign(new Watched(), { commitIn: async () => true });
    const { found, after } = claims('express5');
    const app = await serve('express5', {
      options: { dedupe: { store, lease: 60 } },
      after,
      handler: async () => {
        await until(() => store.calls.length === 2);
        await found[0]?.commitIn({});
        await until(() => store.calls.length === 4);
        expect(store.calls).toEqual(['claim', 'claim', 'claim', 'claim']);
      },
    });
    expect((await post(app, hatex())).status).toBe(200);
  });
});

describe.each(FRAMEWORKS)('%s: two middlewares on one route', (framework) => {
  it.each([
    ['share a store', (store: DedupeStore) => store],
    ['have a store each', () => memoryStore()],
  ])('run the handler once where they %s', async (_, second) => {
    const store = new Watched();
    const provider = hatexcard({ secret: SECRET });
    const webhook: Loose = isExpress(framework) ? expressWebhook : koaWebhook;
    const app = await serve(framework, {
      provider,
      options: { dedupe: store },
      after: [webhook(provider, { clock: () => NOW, dedupe: second(store) })],
    });
    expect((await post(app, hatex())).status).toBe(200);
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });

  it.each([
    ['was given back, since another answered', 60_000, 503],
    ['ran out', 150, 409],
  ])('do not run the handler where the claim %s, and another process has it', async (_, lease, status) => {
    const store = new Watched();
    const provider = hatexcard({ secret: SECRET });
    const webhook: Loose = isExpress(framework) ? expressWebhook : koaWebhook;
    const dedupe = { store, lease };
    const claim = store.claim.bind(store);
    let first: ClaimRequest | undefined;
    let isElsewhere = false;
    store.claim = (request) => {
      // It cannot be renewed until the other process has it.
      if (request.owner === first?.owner && !isElsewhere) return down();
      first ??= request;
      return claim(request);
    };
    const app = await serve(framework, {
      provider,
      options: { dedupe },
      after: [
        tap(framework, async (_req, res) => {
          if (status === 503) {
            res.writeHead(503).end();
            await until(() => store.calls.includes('release'));
          } else await sleep(2 * lease);
          const elsewhere = { ...(first as ClaimRequest), owner: 'another process', lease: 60_000 };
          expect(await claim(elsewhere)).toEqual({ status: 'claimed' });
          isElsewhere = true;
          // Longer than it takes until the next renewal.
          if (status === 409) await sleep(lease);
        }),
        webhook(provider, { clock: () => NOW, dedupe }),
      ],
    });
    expect((await post(app, hatex())).status).toBe(status);
    await sleep(20);
    expect(app.events).toEqual([]);
  });

  it('run the handler where what stands between them takes longer than the lease', async () => {
    const provider = hatexcard({ secret: SECRET });
    const webhook: Loose = isExpress(framework) ? expressWebhook : koaWebhook;
    const dedupe = { store: new Watched(), lease: 120 };
    const app = await serve(framework, {
      provider,
      options: { dedupe },
      after: [tap(framework, () => sleep(250)), webhook(provider, { clock: () => NOW, dedupe })],
    });
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });

  it('do not let another delivery of the event through', async () => {
    const store = new Watched();
    const provider = hatexcard({ secret: SECRET });
    const webhook: Loose = isExpress(framework) ? expressWebhook : koaWebhook;
    let finish = () => {};
    const app = await serve(framework, {
      provider,
      options: { dedupe: store },
      after: [webhook(provider, { clock: () => NOW, dedupe: store })],
      handler: () =>
        new Promise<void>((resolve) => {
          finish = resolve;
        }),
    });
    const first = post(app, hatex());
    await until(() => app.events.length === 1);
    expect((await post(app, hatex())).status).toBe(409);
    finish();
    expect((await first).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });
});

it('two secrets or spellings of an amount are no conflict', async () => {
  const app = await serve('koa2', {
    provider: hatexcard({ secret: [SECRET, 'another-secret-that-rotates'] }),
    options: { dedupe: memoryStore() },
  });
  expect(
    (
      await post(
        app,
        hatex(
          '{"event":"payment.success","transaction_id":"T","order_id":"O","amount":1500.50,"currency":"HTG"}',
        ),
      )
    ).status,
  ).toBe(200);
  expect(
    (
      await post(
        app,
        hatex(
          { ...PAYMENT, transaction_id: 'T', order_id: 'O', amount: 1500.5 },
          'another-secret-that-rotates',
        ),
      )
    ).status,
  ).toBe(200);
  expect(app.events).toHaveLength(1);
});

describe('options.dedupe', () => {
  const verbs = { claim() {}, commit() {}, release() {} };
  const store = memoryStore();
  const make = {
    express: (dedupe: unknown) =>
      expressWebhook(hatexcard({ secret: SECRET }), { dedupe: dedupe as never }),
    koa: (dedupe: unknown) =>
      koaWebhook(hatexcard({ secret: SECRET }), { dedupe: dedupe as never }),
  };

  it.each([
    ['null', null, TypeError],
    ['true', true, TypeError],
    ['text', 'redis', TypeError],
    ['an empty object', {}, TypeError],
    ['a store without release', { claim() {}, commit() {} }, TypeError],
    ['{ store: undefined }', { store: undefined }, TypeError],
    ['{ store: null }', { store: null }, TypeError],
    ['a store that was not made', { store: memoryStore }, TypeError],
    ['an unknown option', { store, leese: 5 }, TypeError],
    ['lease as text', { store, lease: '60s' }, TypeError],
    ['lease 0', { store, lease: 0 }, RangeError],
    ['lease NaN', { store, lease: Number.NaN }, RangeError],
    ['a lease longer than a timer', { store, lease: 2 ** 31 }, RangeError],
    ['remember 0', { store, remember: 0 }, RangeError],
    ['remember without end', { store, remember: Number.POSITIVE_INFINITY }, RangeError],
    ['timeout -1', { store, timeout: -1 }, RangeError],
    ['a timeout longer than a timer', { store, timeout: 2 ** 31 }, RangeError],
    ['stale: true', { store, stale: true }, TypeError],
    ['an empty scope', { store, scope: '' }, TypeError],
    ['a scope that is no text', { store, scope: 5 }, TypeError],
    ['stale with a store that keeps no states', { store: verbs, stale: 'mark' }, TypeError],
  ])('throws for %s', (_, dedupe, error) => {
    expect(() => make.express(dedupe)).toThrow(error);
    expect(() => make.express(dedupe)).toThrow(/dedupe/);
    expect(() => make.koa(dedupe)).toThrow(error);
  });

  it.each([
    ['a store', store],
    ['a store with no more than the three verbs', verbs],
    ['{ store }', { store, lease: undefined, remember: undefined, timeout: undefined }],
    ['every option', { store, lease: 1, remember: 1, timeout: 1, stale: 'skip' }],
    ['false', false],
    ['undefined', undefined],
  ])('takes %s', (_, dedupe) => {
    expect(make.express(dedupe)).toBeTypeOf('function');
    expect(make.koa(dedupe)).toBeTypeOf('function');
  });

  it('keeps `this` of a store that is a class', async () => {
    class Mine implements DedupeStore {
      readonly #inner = memoryStore();
      claim = (...args: Parameters<DedupeStore['claim']>) => this.#inner.claim(...args);
      commit(...args: Parameters<DedupeStore['commit']>) {
        return this.#inner.commit(...args);
      }
      release(...args: Parameters<DedupeStore['release']>) {
        return this.#inner.release(...args);
      }
    }
    const app = await serve('express4', { options: { dedupe: new Mine() } });
    await post(app, hatex());
    await post(app, hatex());
    expect(app.events).toHaveLength(1);
  });
});

const FINGERPRINT = JSON.stringify(['HTG', 150_000, 'CMD-1']);

/** The ids that deliveries have, as a handler gets them. */
async function idsOf(...sent: Sent[]): Promise<string[]> {
  const app = await serve('express5', { options: { dedupe: false } });
  for (const one of sent) await post(app, one);
  return app.events.map(({ id }: PaymentEvent) => id);
}
