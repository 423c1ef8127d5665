import { describe, expect, it } from 'vitest';
import type { DedupeOptions, DedupeStore } from '../../src/dedupe.ts';
import { hatexcard, hitpay, type Provider } from '../../src/index.ts';
import { memoryStore } from '../../src/memory.ts';
import { FRAMEWORKS, type Framework } from '../servers.ts';
import {
  codes,
  hatex,
  hitpayForm,
  ORDER,
  PAYMENT,
  post,
  type Sent,
  serve,
  unhandledDuring,
  until,
} from './support.ts';

const SHOPS: Record<string, Provider> = {
  one: hatexcard({ secret: 'secret-of-one' }),
  two: hatexcard({ secret: 'secret-of-two' }),
};
type Headers = Record<string, string | string[] | undefined>;
const ofShop = (headers: Headers) => SHOPS[String(headers['x-shop'])];

/** A payment that the shop tells of, signed with the shop's own secret. */
function told(shop: string, change: object = {}): Sent {
  const sent = hatex({ ...PAYMENT, ...change }, `secret-of-${shop}`);
  return { ...sent, headers: { ...sent.headers, 'x-shop': shop } };
}

/** A memory that notes its keys. */
function noted() {
  const inner = memoryStore();
  const keys: string[] = [];
  const committed: string[] = [];
  const payments: string[] = [];
  const store: DedupeStore = {
    claim: (request) => {
      keys.push(request.key);
      return inner.claim(request);
    },
    commit: async (key, owner, ttl) => {
      const done = await inner.commit(key, owner, ttl);
      committed.push(key);
      return done;
    },
    release: inner.release,
    advance: async (payment, rank, ttl) => {
      payments.push(payment);
      return (await inner.advance?.(payment, rank, ttl)) ?? 0;
    },
  };
  return { store, keys, committed, payments };
}

const ID = 'hatexcard:payment.succeeded:HTX-1';

/** The scope by the shop's name, from the framework's own request. */
const byShop = (request: { headers: Headers }) => String(request.headers['x-shop'] ?? '');

describe.each(
  FRAMEWORKS,
)('%s: two shops behind a function that gives the provider', (framework) => {
  const serveShops = (dedupe: DedupeStore | DedupeOptions | undefined) =>
    serve(framework, { provider: ofShop, options: { dedupe } });

  const SCOPES: [string, (store: DedupeStore) => DedupeStore | DedupeOptions | undefined][] = [
    ['by default', (store) => store],
    ['with the default store', () => undefined],
    ['with a scope by name', (store) => ({ store, scope: byShop as never })],
  ];

  it.each(SCOPES)('neither takes the id of the other: %s', async (_, dedupe) => {
    const app = await serveShops(dedupe(noted().store));
    // The second shop signs the first one's payment id, with another amount and with the same.
    expect((await post(app, told('two', { amount: 1 }))).status).toBe(200);
    expect((await post(app, told('one'))).status).toBe(200);
    expect((await post(app, told('one', { transaction_id: 'HTX-2' }))).status).toBe(200);
    expect((await post(app, told('two', { transaction_id: 'HTX-2' }))).status).toBe(200);
    expect([app.events.length, app.errors]).toEqual([4, []]);
  });

  it('each still has its own redeliveries and conflicts', async () => {
    const { store, keys, committed } = noted();
    const app = await serveShops(store);
    for (const shop of ['one', 'two']) expect((await post(app, told(shop))).status).toBe(200);
    await until(() => committed.length === 2);
    for (const shop of ['one', 'two']) {
      expect((await post(app, told(shop))).status).toBe(200);
      expect((await post(app, told(shop, { amount: 1 }))).status).toBe(403);
    }
    expect(app.events).toHaveLength(2);
    expect(codes(app)).toEqual(['delivery_conflict', 'delivery_conflict']);
    const [one, two] = keys;
    expect(one).not.toBe(two);
    for (const key of [one, two]) {
      expect(key).toMatch(/^[\w-]{16}\/hatexcard:payment\.succeeded:HTX-1$/);
      expect(key).not.toContain('secret-of');
    }
  });

  it('neither overtakes a state of the other', async () => {
    const { store, payments } = noted();
    const salts = { one: 'salt-of-one', two: 'salt-of-two' };
    const of = (shop: keyof typeof salts, status: string): Sent => {
      const { headers, body } = hitpayForm({ ...ORDER, status }, salts[shop]);
      return { headers: { ...headers, 'x-shop': shop }, body };
    };
    const app = await serve(framework, {
      provider: (headers) => hitpay({ salt: salts[headers['x-shop'] as keyof typeof salts] }),
      options: { dedupe: { store, stale: 'mark' } },
    });
    expect((await post(app, of('two', 'completed'))).status).toBe(200);
    await until(() => payments.length === 2);
    expect((await post(app, of('one', 'failed'))).status).toBe(200);
    expect((await post(app, of('two', 'failed'))).status).toBe(200);
    expect(app.events.map(({ stale }) => stale)).toEqual([undefined, undefined, true]);
    expect(new Set(payments).size).toBe(2);
  });

  it('the account outlives a secret that is added behind the old one', async () => {
    const { store, keys } = noted();
    const app = await serveShops(store);
    await post(app, told('one'));
    const rotated = hatexcard({ secret: ['secret-of-one', 'secret-of-two'] });
    const later = await serve(framework, { provider: () => rotated, options: { dedupe: store } });
    await post(later, told('one'));
    expect(keys[1]).toBe(keys[0]);
    expect(later.events).toEqual([]);
  });

  it('a provider without an account needs a scope: nothing runs without', async () => {
    const { account: _, ...rest } = SHOPS.one as Provider;
    const { store, keys } = noted();
    const app = await serve(framework, { provider: () => rest, options: { dedupe: store } });
    expect((await post(app, told('one'))).status).toBe(500);
    expect(app.errors[0]).toMatchObject({
      name: 'TypeError',
      message: 'dedupe.scope: needed, since this provider does not tell its account',
    });
    expect([keys, app.events]).toEqual([[], []]);
    const options = { dedupe: { store, scope: 'one' } };
    const scoped = await serve(framework, { provider: () => rest, options });
    expect((await post(scoped, told('one'))).status).toBe(200);
  });
});

describe.each(FRAMEWORKS)('%s: dedupe.scope', (framework) => {
  const keyWith = async (scope: DedupeOptions['scope'], provider: unknown = SHOPS.one) => {
    const { store, keys } = noted();
    const app = await serve(framework, {
      provider: provider as Provider,
      options: { dedupe: { store, scope } },
      handler: (_event, request) => {
        // biome-ignore lint/suspicious/noExplicitAny: Express' and Koa's requests
        const { paymentClaim, ctx } = request as any;
        expect((paymentClaim ?? ctx.state.paymentClaim).key).toBe(keys[0]);
      },
    });
    expect((await post(app, told('one'))).status).toBe(200);
    return keys[0];
  };

  it('that fails asynchronously is told by its kind, and ends no process', async () => {
    const scope = async () => {
      throw new Error('no shop');
    };
    const { store, keys } = noted();
    const options = { dedupe: { store, scope: scope as never } };
    const app = await serve(framework, { provider: SHOPS.one as Provider, options });
    const unhandled = await unhandledDuring(async () => {
      expect((await post(app, told('one'))).status).toBe(500);
    });
    expect([unhandled, keys, app.errors]).toMatchObject([[], [], [{ name: 'TypeError' }]]);
  });

  it('is none for a provider that is given as such', async () => {
    expect(await keyWith(undefined)).toBe(ID);
  });

  it('a text stands before every key, whoever chose the provider', async () => {
    expect(await keyWith('shop')).toBe(`shop/${ID}`);
    expect(await keyWith('shop', ofShop)).toBe(`shop/${ID}`);
  });

  it('a function of the request does too', async () => {
    expect(await keyWith(byShop as never)).toBe(`one/${ID}`);
    expect(await keyWith(byShop as never, ofShop)).toBe(`one/${ID}`);
  });

  it('no text passes for another scope and another id', async () => {
    const keys = [await keyWith('a/b'), await keyWith('a:b'), await keyWith('a%2Fb')];
    expect(new Set(keys).size).toBe(3);
    // An id has its provider's name before the first colon: a scope has none that is not escaped.
    for (const key of keys) expect(key?.split(':')[0]).toMatch(/\/hatexcard$/);
  });

  it.each([
    [''],
    [undefined],
    [null],
    [7],
    [{}],
  ])('a function that gives %j: 500 as for any bug, and nothing is claimed', async (name) => {
    const { store, keys } = noted();
    const app = await serve(framework, {
      provider: SHOPS.one as Provider,
      options: { dedupe: { store, scope: (() => name) as never } },
    });
    expect((await post(app, told('one'))).status).toBe(500);
    expect(codes(app)).toEqual([expect.stringContaining('TypeError: dedupe.scope')]);
    expect([app.events, keys]).toEqual([[], []]);
  });

  it('a function that throws: 500, and nothing is claimed', async () => {
    const { store, keys } = noted();
    const scope = () => {
      throw new Error('no shop');
    };
    const app = await serve(framework, {
      provider: SHOPS.one as Provider,
      options: { dedupe: { store, scope } },
    });
    expect((await post(app, told('one'))).status).toBe(500);
    expect([codes(app), app.events, keys]).toEqual([['Error: no shop'], [], []]);
  });

  it.each([
    [''],
    [null],
    [7],
    [true],
    [{}],
    [['shop']],
  ])('%j throws at construction', async (scope) => {
    const dedupe = { store: memoryStore(), scope: scope as never };
    const served = serve(framework, { provider: SHOPS.one as Provider, options: { dedupe } });
    await expect(served).rejects.toThrow(/^dedupe\.scope: /);
    await expect(served).rejects.toThrow(TypeError);
  });
});

describe.each<Framework>([
  'express5',
  'koa3',
])('%s: middlewares that share a store', (framework) => {
  it('are one shop where they name no scope, and several where each names its own', async () => {
    const { store } = noted();
    const serveAs = (scope?: string) =>
      serve(framework, {
        provider: SHOPS.one as Provider,
        options: { dedupe: { store, ...(scope && { scope }) } },
      });
    const apps = [await serveAs(), await serveAs(), await serveAs('a'), await serveAs('b')];
    for (const app of apps) {
      expect((await post(app, told('one'))).status).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(apps.map(({ events }) => events.length)).toEqual([1, 0, 1, 1]);
  });
});
