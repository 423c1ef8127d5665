import { randomUUID } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import type { Context as KoaContext } from 'koa';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ClaimRequest, ClaimResult, DedupeStore } from '../../src/dedupe.ts';
import { onceGate } from '../../src/http/once.ts';
import { hatexcard, verify } from '../../src/index.ts';
import { FRAMEWORKS, type Setup } from '../servers.ts';
import {
  Client,
  codes,
  expectRefused,
  hatex,
  head,
  isExpress,
  NOW,
  PAYMENT,
  post,
  SECRET,
  serve,
  tap,
  until,
} from './support.ts';

const ID = 'hatexcard:payment.succeeded:HTX-1';

/** A store that only keeps the interface's promises, and a log of what was asked of it. */
function notebook(answer?: (request: ClaimRequest) => unknown) {
  const log: string[] = [];
  const requests: ClaimRequest[] = [];
  const entries = new Map<string, { owner: string | null; fingerprint: string }>();
  const store: DedupeStore = {
    claim(request): Promise<ClaimResult> {
      log.push('claim');
      requests.push(request);
      if (answer) return answer(request) as Promise<ClaimResult>;
      const { key, owner, fingerprint } = request;
      const entry = entries.get(key);
      if (entry && entry.fingerprint !== fingerprint)
        return Promise.resolve({ status: 'conflict' });
      if (entry?.owner === null) return Promise.resolve({ status: 'done' });
      if (entry) return Promise.resolve({ status: 'in_progress', retryAfter: 2_100 });
      entries.set(key, { owner, fingerprint });
      return Promise.resolve({ status: 'claimed' });
    },
    async commit(key, owner) {
      log.push('commit');
      const entry = entries.get(key);
      if (entry?.owner !== owner) return false;
      entry.owner = null;
      return true;
    },
    async release(key, owner) {
      log.push('release');
      return entries.get(key)?.owner === owner && entries.delete(key);
    },
  };
  return { store, log, requests, entries };
}

const CLAIMED = async () => ({ status: 'claimed' });

it('a delivery whose claim was lost does not end the hold of the one that has it now', async () => {
  const { store, entries } = notebook();
  const [first, second] = [onceGate(store), onceGate(store)];
  const answer = () => new ServerResponse(new IncomingMessage(new Socket()));
  const [slow, quick] = [answer(), answer()];
  const event = verify(hatexcard({ secret: SECRET }), {
    headers: hatex().headers,
    body: Buffer.from(hatex().body),
    receivedAt: NOW,
  });
  const scope = { request: null, account: '' };
  await first?.(event, slow, scope);
  entries.clear();
  const held = await first?.(event, quick, scope);
  slow.statusCode = 500;
  slow.emit('close');
  await new Promise((resolve) => setTimeout(resolve, 5));
  // Another middleware on the way of the same request.
  expect(await second?.(event, quick, scope)).toBe(held);
  quick.emit('close');
});

describe.each(FRAMEWORKS)('%s: dedupe', (framework) => {
  const serveWith = (store: DedupeStore, setup: Partial<Setup> = {}) =>
    serve(framework, { ...setup, options: { ...setup.options, dedupe: store } });

  it('asks the store to remember for 30 days by default', async () => {
    const { store } = notebook();
    const commit = vi.spyOn(store, 'commit');
    expect((await post(await serveWith(store), hatex())).status).toBe(200);
    await until(() => commit.mock.calls.length > 0);
    expect(commit.mock.calls[0]?.[2]).toBe(2_592_000_000);
  });

  it('claims the event before the handler and commits it after a 2xx', async () => {
    const { store, log, requests } = notebook();
    const app = await serveWith(store, {
      handler: (_event, _request, { answer }) => {
        log.push('handler');
        answer(204);
      },
    });
    expect((await post(app, hatex())).status).toBe(204);
    await until(() => log.length >= 3);
    expect(log).toEqual(['claim', 'handler', 'commit']);
    expect(requests).toEqual([
      {
        key: ID,
        owner: expect.stringMatching(/^[0-9a-f-]{36}\/1$/),
        lease: 60_000,
        fingerprint: expect.stringContaining('HTG'),
      },
    ]);
  });

  it('claims nothing for what is refused', async () => {
    const { store, log } = notebook();
    const app = await serveWith(store);
    expectRefused(app, await post(app, hatex(PAYMENT, 'other')), 403, 'signature_mismatch');
    expect(log).toEqual([]);
  });

  it('owns each delivery by a name of its own', async () => {
    const { store, requests } = notebook();
    const app = await serveWith(store);
    await post(app, hatex());
    await post(app, hatex());
    expect(new Set(requests.map(({ owner }) => owner)).size).toBe(2);
  });

  it('200 without the handler for an event that is done', async () => {
    const { store, log } = notebook();
    const app = await serveWith(store);
    expect((await post(app, hatex())).status).toBe(200);
    await until(() => log.includes('commit'));
    const again = await post(app, hatex());
    expect([again.status, app.events.length, app.errors, app.nexts]).toEqual([200, 1, [], 1]);
    expect(again.body).not.toContain('HTX-1');
    expect(log).toEqual(['claim', 'commit', 'claim']);
  });

  it('calls no hook for an event that is done', async () => {
    const accepted: unknown[] = [];
    const { store } = notebook(async () => ({ status: 'done' }));
    const app = await serveWith(store, {
      options: { onAccepted: (event) => accepted.push(event), onRejected: accepted.push },
    });
    expect((await post(app, hatex())).status).toBe(200);
    expect([accepted, app.events]).toEqual([[], []]);
  });

  it('409 with Retry-After in whole seconds for an event in progress', async () => {
    const { store } = notebook();
    let finish: () => void = () => {};
    const app = await serveWith(store, {
      handler: () =>
        new Promise<void>((resolve) => {
          finish = resolve;
        }),
    });
    const first = post(app, hatex());
    await until(() => app.events.length === 1);
    const second = await post(app, hatex());
    expect([second.status, second.headers['retry-after']]).toEqual([409, '3']);
    expect(codes(app)).toEqual(['delivery_in_progress']);
    finish();
    expect((await first).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });

  it.each([
    [0, '1'],
    [-5, '1'],
    [1, '1'],
    [1_000, '1'],
    [1_001, '2'],
    [60_000, '60'],
  ])('409: %i ms are Retry-After: %s', async (retryAfter, seconds) => {
    const { store } = notebook(async () => ({ status: 'in_progress', retryAfter }));
    const app = await serveWith(store);
    const answer = await post(app, hatex());
    expectRefused(app, answer, 409, 'delivery_in_progress');
    expect(answer.headers['retry-after']).toBe(seconds);
  });

  it('409 keeps Retry-After beside a Connection: close', async () => {
    const { store } = notebook(async () => ({ status: 'in_progress', retryAfter: 1 }));
    const app = await serveWith(store);
    const answer = await post(app, hatex());
    expect(answer.headers).toMatchObject({ connection: 'close', 'retry-after': '1' });
  });

  it('runs an event once of 50 at the same time', async () => {
    const { store, log } = notebook();
    const app = await serveWith(store, {
      handler: () => new Promise((resolve) => setTimeout(resolve, 50)),
    });
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(app, hatex())));
    expect(app.events).toHaveLength(1);
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 409 || status === 200)).toHaveLength(50);
    await until(() => log.includes('commit'));
    expect(log.filter((verb) => verb === 'commit')).toHaveLength(1);
    expect(log).not.toContain('release');
  });

  it('403 and a report for the same event with another amount, currency or reference', async () => {
    const rejections: unknown[] = [];
    const { store, log } = notebook();
    const app = await serveWith(store, {
      options: { onRejected: ({ error }) => rejections.push(error.code) },
    });
    expect((await post(app, hatex())).status).toBe(200);
    await until(() => log.includes('commit'));
    app.events.length = 0;
    for (const change of [{ amount: 1 }, { currency: 'USD' }, { order_id: 'CMD-2' }]) {
      const answer = await post(app, hatex({ ...PAYMENT, ...change }));
      expect([answer.status, codes(app), app.events]).toEqual([403, ['delivery_conflict'], []]);
      app.errors.length = 0;
    }
    // The same amount, spelt otherwise, is the same fact.
    const text = JSON.stringify(PAYMENT).replace('1500', '1500.00');
    expect((await post(app, hatex(text))).status).toBe(200);
    expect(app.events).toEqual([]);
    await until(() => rejections.length === 3);
    expect(rejections).toEqual(Array(3).fill('delivery_conflict'));
  });

  describe('gives the claim back', () => {
    it.each([500, 503, 404, 400, 302])('after an answer of %i', async (status) => {
      const { store, log, entries } = notebook();
      const app = await serveWith(store, {
        handler: (_event, _request, { answer }) => answer(status),
      });
      expect((await post(app, hatex())).status).toBe(status);
      await until(() => log.length === 2);
      expect(log).toEqual(['claim', 'release']);
      expect(entries.size).toBe(0);
    });

    it.each<[string, () => unknown]>([
      [
        'throws',
        () => {
          throw new Error('handler');
        },
      ],
      ['rejects', () => Promise.reject(new Error('handler'))],
      [
        'rejects later',
        () => new Promise((_, reject) => setTimeout(reject, 5, new Error('handler'))),
      ],
    ])('if the handler %s, and the next delivery runs', async (_, handler) => {
      const { store, log } = notebook();
      let fails = true;
      const app = await serveWith(store, { handler: () => (fails ? handler() : undefined) });
      expect((await post(app, hatex())).status).toBe(500);
      expect(codes(app)).toEqual(['Error: handler']);
      await until(() => log.includes('release'));
      fails = false;
      expect((await post(app, hatex())).status).toBe(200);
      expect(app.events).toHaveLength(2);
      await until(() => log.length === 4);
      expect(log).toEqual(['claim', 'release', 'claim', 'commit']);
    });

    it('if the client goes away while the handler runs', async () => {
      const { store, log } = notebook();
      const app = await serveWith(store, { handler: () => new Promise(() => {}) });
      const { headers, body } = hatex();
      const client = await Client.open(app.port);
      client.send(head({ headers: { ...headers, 'content-length': `${body.length}` } })).send(body);
      await until(() => app.events.length === 1);
      client.socket.destroy();
      await until(() => log.length === 2);
      expect(log).toEqual(['claim', 'release']);
    });

    it('if the client goes away while the store is asked; the handler does not run', async () => {
      let grant: (result: ClaimResult) => void = () => {};
      const { store, log } = notebook(
        () =>
          new Promise((resolve) => {
            grant = resolve;
          }),
      );
      const app = await serveWith(store);
      let closed = false;
      app.server.on('connection', (socket) => socket.once('close', () => (closed = true)));
      const { headers, body } = hatex();
      const client = await Client.open(app.port);
      client.send(head({ headers: { ...headers, 'content-length': `${body.length}` } })).send(body);
      await until(() => log.includes('claim'));
      client.socket.destroy();
      await until(() => closed);
      await new Promise(setImmediate);
      grant({ status: 'claimed' });
      await until(() => log.length === 2);
      expect(log).toEqual(['claim', 'release']);
      expect(app.events).toEqual([]);
      await until(() => app.nexts === 1);
      expect(codes(app)).toEqual(['body_aborted']);
    });

    it('once, if the connection closes after the answer', async () => {
      const { store, log } = notebook();
      const app = await serveWith(store);
      await post(app, hatex());
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(log).toEqual(['claim', 'commit']);
    });
  });

  describe('503 for a store that', () => {
    it.each<[string, () => unknown]>([
      ['rejects', () => Promise.reject(new Error('down'))],
      ['rejects with nothing', () => Promise.reject(undefined)],
      [
        'throws',
        () => {
          throw new Error('down');
        },
      ],
      ['answers nothing', () => undefined],
      ['answers null', async () => null],
      ['answers a text', async () => 'claimed'],
      ['answers a number', () => 1],
      ['answers an empty object', async () => ({})],
      ['answers an unknown status', async () => ({ status: 'maybe' })],
      ['answers true', async () => true],
      ['does not say when to retry', async () => ({ status: 'in_progress' })],
      ['says never to retry', async () => ({ status: 'in_progress', retryAfter: Infinity })],
      ['says when to retry in words', async () => ({ status: 'in_progress', retryAfter: '1 s' })],
      ['answers a property of Object', async () => ({ status: 'constructor' })],
    ])('%s', async (_, answer) => {
      const { store, log } = notebook(answer);
      const app = await serveWith(store);
      const { status, body } = await post(app, hatex());
      expect([status, codes(app), app.events]).toEqual([503, ['store_unavailable'], []]);
      expect(body).not.toContain('down');
      expect(app.nexts).toBe(1);
      // One that fails may have taken the claim all the same.
      expect(log.filter((verb) => verb !== 'release')).toEqual(['claim']);
    });
  });

  it('processes the event when the store is up again', async () => {
    let down = true;
    const { store } = notebook(() => (down ? Promise.reject(new Error('down')) : CLAIMED()));
    const app = await serveWith(store);
    expect((await post(app, hatex())).status).toBe(503);
    down = false;
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });

  it.each<[string, () => Promise<never> | never]>([
    ['rejects', () => Promise.reject(new Error('down'))],
    [
      'throws',
      () => {
        throw new Error('down');
      },
    ],
  ])('has answered already when a commit or a release %s', async (_, fail) => {
    const store: DedupeStore = { claim: CLAIMED as never, commit: fail, release: fail };
    for (const status of [200, 500]) {
      const app = await serveWith(store, {
        handler: (_event, _request, { answer }) => answer(status),
      });
      expect((await post(app, hatex())).status).toBe(status);
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(app.errors).toEqual([]);
    }
  });

  it('says that there was no answer in time', async () => {
    const { store } = notebook(() => new Promise(() => {}));
    const app = await serve(framework, { options: { dedupe: { store, timeout: 20 } } });
    await post(app, hatex());
    expect(app.errors[0]).toMatchObject({ cause: { message: 'no answer in time' } });
  });

  it('503 after `timeout` for a store that never answers', async () => {
    const { store } = notebook(() => new Promise(() => {}));
    const app = await serve(framework, { options: { dedupe: { store, timeout: 30 } } });
    const { status } = await post(app, hatex());
    expect([status, codes(app), app.events]).toEqual([503, ['store_unavailable'], []]);
  });

  it('gives back a claim that was granted too late', async () => {
    let grant: (result: ClaimResult) => void = () => {};
    const { store, log } = notebook(
      () =>
        new Promise((resolve) => {
          grant = resolve;
        }),
    );
    const app = await serve(framework, { options: { dedupe: { store, timeout: 20 } } });
    expect((await post(app, hatex())).status).toBe(503);
    expect(codes(app)).toEqual(['store_unavailable']);
    grant({ status: 'claimed' });
    await until(() => log.length === 2);
    expect(log).toEqual(['claim', 'release']);
  });

  it('is a memory in this process by default', async () => {
    const app = await serve(framework, { options: { dedupe: undefined } });
    expect((await post(app, hatex())).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });

  it('false runs the handler each time', async () => {
    const app = await serve(framework, { options: { dedupe: false } });
    await post(app, hatex());
    await post(app, hatex());
    expect(app.events).toHaveLength(2);
    for (const event of app.events) expect(event).not.toHaveProperty('stale');
  });
});

describe.each(FRAMEWORKS)('%s: other middleware that answered meanwhile', (framework) => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  beforeEach(() => {
    unhandled.length = 0;
    process.on('unhandledRejection', note);
    process.on('uncaughtExceptionMonitor', note);
  });
  afterEach(() => {
    process.off('unhandledRejection', note);
    process.off('uncaughtExceptionMonitor', note);
  });

  /** A merchant's own timeout: it answers 504, or begins to, as soon as the store was asked. */
  async function impatient(result: ClaimResult, isWhole = true) {
    let give: (result: ClaimResult) => void = () => {};
    const { store, log } = notebook(() => new Promise((resolve) => (give = resolve)));
    const asked = () => until(() => log.includes('claim'));
    const onTime = isExpress(framework)
      ? (_req: never, res: ServerResponse, next: () => void) => {
          next();
          asked().then(() => {
            res.writeHead(504).flushHeaders();
            if (isWhole) res.end();
          });
        }
      : async (ctx: KoaContext, next: () => Promise<unknown>) => {
          await Promise.race([next(), asked()]);
          ctx.body = isWhole ? '' : new PassThrough();
          ctx.status = 504;
          if (!isWhole) ctx.flushHeaders();
        };
    const rejected: string[] = [];
    const app = await serve(framework, {
      before: [onTime],
      options: { dedupe: store, onRejected: ({ error }) => rejected.push(error.code) },
    });
    const { headers, body } = hatex();
    // The client stays, so that nothing but the answer tells.
    const client = await Client.open(app.port);
    client.send(
      head({ headers: { ...headers, 'content-length': `${body.length}` } }, 'keep-alive'),
    );
    client.send(body);
    await until(() => client.received.startsWith('HTTP/1.1 504'));
    give(result);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const { received } = client;
    client.socket.destroy();
    return { app, log, rejected, received };
  }

  it('a redelivery that shows too late does not end an answer that goes on', async () => {
    const { received } = await impatient({ status: 'done' }, false);
    // The last chunk.
    expect(received).not.toContain('0\r\n\r\n');
  });

  it('a redelivery that shows too late ends in silence', async () => {
    const { app, log, rejected } = await impatient({ status: 'done' });
    expect([unhandled, log, rejected, app.events, app.errors]).toEqual([[], ['claim'], [], [], []]);
  });

  it.each([
    ['a whole answer', true],
    ['the beginning of one', false],
  ])('a claim that comes after %s is given back, as if the client had gone', async (_, isWhole) => {
    const { app, log, rejected } = await impatient({ status: 'claimed' }, isWhole);
    expect([unhandled, log, app.events]).toEqual([[], ['claim', 'release'], []]);
    // Express would cut the connection of an answer that is out.
    const nexts = isWhole && isExpress(framework) ? 0 : 1;
    expect([rejected, app.nexts]).toEqual([['body_aborted'], nexts]);
  });

  it('a claim that comes too late leaves the connection to the request that follows there', async () => {
    const gives: ((result: ClaimResult) => void)[] = [];
    const { store, log } = notebook(() => new Promise((resolve) => gives.push(resolve)));
    let count = 0;
    const app = await serve(framework, {
      before: [
        isExpress(framework)
          ? (_req: never, res: ServerResponse, next: () => void) => {
              next();
              if (count++ === 0) until(() => gives.length > 0).then(() => res.writeHead(504).end());
            }
          : async (ctx: KoaContext, next: () => Promise<unknown>) => {
              const passed = next();
              if (count++ > 0) return await passed;
              passed.catch(() => {});
              await until(() => gives.length > 0);
              ctx.status = 504;
            },
      ],
      options: { dedupe: store },
    });
    const { headers, body } = hatex();
    const delivery = `${head({ headers: { ...headers, 'content-length': `${body.length}` } }, 'keep-alive')}${body}`;
    const client = await Client.open(app.port);
    client.send(delivery);
    await until(() => client.received.startsWith('HTTP/1.1 504'));
    client.send(delivery);
    await until(() => gives.length > 1);
    gives[0]?.({ status: 'claimed' });
    await until(() => log.includes('release'));
    gives[1]?.({ status: 'claimed' });
    expect((await client.answer(1)).status).toBe(200);
    await until(() => log.includes('commit'));
    expect([unhandled, app.events.length]).toEqual([[], 1]);
    client.socket.destroy();
  });

  it('a claim that is refused too late changes nothing of the answer', async () => {
    const { app, log, rejected } = await impatient({ status: 'in_progress', retryAfter: 500 });
    expect([unhandled, log, app.events]).toEqual([[], ['claim'], []]);
    expect([rejected, app.nexts]).toEqual([['delivery_in_progress'], isExpress(framework) ? 0 : 1]);
  });
});

describe.each(FRAMEWORKS)('%s: a claim that is held', (framework) => {
  const slow = (ms: number) => () => new Promise((resolve) => setTimeout(resolve, ms));

  it('is renewed by its owner while the handler runs, and committed once', async () => {
    const { log, requests } = notebook();
    const store: DedupeStore = {
      claim: async (request) => {
        log.push('claim');
        requests.push(request);
        return { status: 'claimed' };
      },
      commit: async () => log.push('commit') > 0,
      release: async () => log.push('release') > 0,
    };
    const app = await serve(framework, {
      options: { dedupe: { store, lease: 60 } },
      handler: slow(100),
    });
    expect((await post(app, hatex())).status).toBe(200);
    await until(() => log.includes('commit'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(requests.length).toBeGreaterThanOrEqual(3);
    expect(new Set(requests.map(({ owner }) => owner)).size).toBe(1);
    expect(log.filter((verb) => verb !== 'claim')).toEqual(['commit']);
    expect(log.at(-1)).toBe('commit');
    expect(app.events).toHaveLength(1);
  });

  it.each([
    ['a commit that fails', async () => Promise.reject(new Error('down'))],
    ['a claim that was lost', async () => false],
  ])('tells of %s on payproof:unsettled, after the answer', async (_, commit) => {
    const told: unknown[] = [];
    // A commit that fails is tried again for a while: not to be heard by the next test.
    const transaction_id = randomUUID();
    const listen = (message: unknown) => {
      if ((message as { key: string }).key.includes(transaction_id)) told.push(message);
    };
    subscribe('payproof:unsettled', listen);
    onTestFinished(() => void unsubscribe('payproof:unsettled', listen));
    const { store } = notebook();
    const app = await serve(framework, { options: { dedupe: { ...store, commit } } });
    expect((await post(app, hatex({ ...PAYMENT, transaction_id }))).status).toBe(200);
    await until(() => told.length > 0);
    expect(told[0]).toEqual({
      key: `hatexcard:payment.succeeded:${transaction_id}`,
      error: expect.any(Error),
    });
  });

  it.each([
    'mark',
    'skip',
  ] as const)('stale: %s what a later state has overtaken', async (stale) => {
    const { store, log } = notebook();
    const app = await serve(framework, {
      options: { dedupe: { store: { ...store, advance: async () => 9 }, stale } },
    });
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events.map((event) => event.stale)).toEqual(stale === 'mark' ? [true] : []);
    await until(() => log.includes('commit'));
  });

  it('503 and a claim given back if the order of states cannot be asked', async () => {
    const { store, log } = notebook();
    const advance = () => Promise.reject(new Error('down'));
    const app = await serve(framework, {
      options: { dedupe: { store: { ...store, advance }, stale: 'mark' } },
    });
    expect((await post(app, hatex())).status).toBe(503);
    expect([codes(app), app.events]).toEqual([['store_unavailable'], []]);
    await until(() => log.includes('release'));
  });

  it.each<[string, object]>([
    ['an unknown option', { lock: 1 }],
    ['a lease of 0', { lease: 0 }],
    ['a timeout of NaN', { timeout: Number.NaN }],
    ['an endless memory', { remember: Number.POSITIVE_INFINITY }],
    ['an unknown way with stale events', { stale: 'drop' }],
    ['a store that keeps no order of states', { stale: 'mark' }],
  ])('%s throws at construction', async (_, options) => {
    const { store } = notebook();
    const dedupe = { store, ...options } as never;
    await expect(serve(framework, { options: { dedupe } })).rejects.toThrow(/dedupe/);
  });
});

describe.each(FRAMEWORKS)('%s: paymentClaim', (framework) => {
  const committing = (dedupe: DedupeStore | false) =>
    serve(framework, {
      options: { dedupe },
      after: [
        tap(framework, (req, _res, request) =>
          (req.paymentClaim ?? request.ctx.state.paymentClaim).commitIn('tx'),
        ),
      ],
    });

  it('commits in the transaction of the merchant', async () => {
    const { store, log } = notebook();
    const seen: unknown[] = [];
    const app = await committing({
      ...store,
      commitIn: async (tx, key) => {
        seen.push(tx, key);
        return true;
      },
    });
    expect((await post(app, hatex())).status).toBe(200);
    await until(() => log.includes('commit'));
    expect(seen).toEqual(['tx', expect.stringContaining('HTX-1')]);
  });

  it('409 if the claim was lost, and the handler does not run', async () => {
    const { store } = notebook();
    const app = await committing({ ...store, commitIn: async () => false });
    expect((await post(app, hatex())).status).toBe(409);
    expect([codes(app), app.events]).toEqual([['delivery_in_progress'], []]);
  });

  it('500 where there are no transactions', async () => {
    for (const dedupe of [notebook().store, false] as const) {
      const app = await committing(dedupe);
      expect((await post(app, hatex())).status).toBe(500);
      expect(codes(app)).toEqual([expect.stringContaining('TypeError: commitIn')]);
      expect(app.events).toEqual([]);
    }
  });
});

describe.each(FRAMEWORKS)('%s: a silent store', (framework) => {
  afterEach(() => void vi.useRealTimers());

  it('503 after 5 s by default', async () => {
    const { store, log } = notebook(() => new Promise(() => {}));
    const app = await serve(framework, { options: { dedupe: store } });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const answer = post(app, hatex());
    while (!log.includes('claim')) await new Promise(setImmediate);
    await vi.advanceTimersByTimeAsync(4_990);
    expect(app.nexts).toBe(0);
    await vi.advanceTimersByTimeAsync(10);
    expect((await answer).status).toBe(503);
    expect([codes(app), app.events]).toEqual([['store_unavailable'], []]);
  });
});
