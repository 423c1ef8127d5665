import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import bodyParserKoa from '@koa/bodyparser';
import Router from '@koa/router';
import express5 from 'express';
import express4 from 'express4';
import Koa3 from 'koa';
import { koaBody } from 'koa-body';
import Koa2 from 'koa2';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { paymentWebhook } from '../../src/express.ts';
import { probeOf, register } from '../../src/http/probe.ts';
import { dexchange, hatexcard, hitpay } from '../../src/index.ts';
import { paymentWebhook as koaWebhook } from '../../src/koa.ts';
import { memoryStore } from '../../src/memory.ts';
import { checkWiring, type Signer, type Wired } from '../../src/testing.ts';

const secret = 'whsec_0123456789abcdef';
const FORM: Signer = { provider: 'hitpay', scheme: 'form', secret };
const EVENT: Signer = { provider: 'hitpay', scheme: 'event', secret };
const HATEXCARD: Signer = { provider: 'hatexcard', scheme: 'timestamped', secret };
const TOKEN: Signer = { provider: 'dexchange', scheme: 'token', secret };
const path = '/webhooks/pay';

const viaHatexcard = hatexcard({ secret });
const viaHitpay = hitpay({ salt: secret, eventSalt: secret });

// biome-ignore lint/suspicious/noExplicitAny: apps of four frameworks' generations
type Any = any;
const EXPRESS = [
  ['Express 4', express4 as unknown as typeof express5],
  ['Express 5', express5],
] as const;
const KOA = [
  ['Koa 2', Koa2 as unknown as typeof Koa3],
  ['Koa 3', Koa3],
] as const;

function expressApp(build: (app: Any) => void, make = express5): Wired {
  const app = make();
  app.set('env', 'test');
  build(app);
  return app;
}

function koaApp(build: (app: Any, router: Any) => void, make = Koa3): Wired {
  const app = new make();
  app.on('error', () => {});
  const router = new Router();
  build(app, router);
  app.use(router.routes() as Any).use(router.allowedMethods() as Any);
  return app as Wired;
}

const never = () => {
  throw new Error('the handler must not run');
};

async function only(app: Wired, provider: Signer | readonly Signer[], more: object = {}) {
  const { ok, findings } = await checkWiring(app, { path, provider, timeout: 1500, ...more });
  expect(ok).toBe(false);
  expect(findings).toHaveLength(1);
  return findings[0] as { code: string; problem: string; fix: string };
}

const OK = { ok: true, findings: [] };

describe('a stack that is right', () => {
  const schemes: [Signer, Any][] = [
    [HATEXCARD, viaHatexcard],
    [{ ...HATEXCARD, scheme: 'body' }, viaHatexcard],
    [FORM, viaHitpay],
    [EVENT, viaHitpay],
    [TOKEN, dexchange({ token: { secret } })],
    [{ provider: 'dexchange', scheme: 'bearer', secret }, dexchange({ bearer: { token: secret } })],
    [
      { provider: 'dexchange', scheme: 'signature', secret, header: 'X-Sig' },
      dexchange({ signature: { header: 'x-sig', secret } }),
    ],
  ];

  it.each(EXPRESS)('%s: every scheme, without handler, hooks and store', async (_, make) => {
    for (const [signer, provider] of schemes) {
      const handler = vi.fn(never);
      const hook = vi.fn();
      const options = { onAccepted: hook, onRejected: hook };
      const app = expressApp(
        (one) => one.post(path, paymentWebhook(provider, options), handler),
        make,
      );
      expect(await checkWiring(app, { path, provider: signer })).toEqual(OK);
      expect(handler).not.toHaveBeenCalled();
      expect(hook).not.toHaveBeenCalled();
    }
  });

  it.each(KOA)('%s: every scheme, without handler, hooks and store', async (_, make) => {
    for (const [signer, provider] of schemes) {
      const handler = vi.fn(never);
      const hook = vi.fn();
      const options = { onAccepted: hook, onRejected: hook };
      const app = koaApp(
        (_app, router) => router.post(path, koaWebhook(provider, options), handler),
        make,
      );
      expect(await checkWiring(app, { path, provider: signer })).toEqual(OK);
      expect(handler).not.toHaveBeenCalled();
      expect(hook).not.toHaveBeenCalled();
    }
  });

  it('a parser that keeps the bytes, and one for forms, are no problem', async () => {
    const verify = (req: Any, _: unknown, bytes: Buffer) => {
      req.rawBody = bytes;
    };
    const app = expressApp((one) => {
      one.use(express5.json({ verify }), express5.urlencoded({ extended: false }));
      one.post(path, paymentWebhook([viaHatexcard, viaHitpay]), never);
    });
    for (const provider of [FORM, EVENT, HATEXCARD]) {
      expect(await checkWiring(app, { path, provider })).toEqual(OK);
    }
  });

  it.each(KOA)('%s: a body parser that keeps the text is no problem', async (_, make) => {
    const app = koaApp((one, router) => {
      one.use(bodyParserKoa());
      router.post(path, koaWebhook([viaHatexcard, viaHitpay]), never);
    }, make);
    for (const provider of [FORM, EVENT, HATEXCARD]) {
      expect(await checkWiring(app, { path, provider })).toEqual(OK);
    }
  });

  it('a server, listening or not, of http or https', async () => {
    const app = expressApp((one) => one.post(path, paymentWebhook(viaHitpay), never)) as Any;
    const server = createServer(app);
    expect(await checkWiring(server, { path, provider: FORM })).toEqual(OK);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    expect(await checkWiring(server, { path, provider: FORM })).toEqual(OK);
    server.close();
    expect(await checkWiring(createHttps(app) as Any, { path, provider: FORM })).toEqual(OK);
  });

  it('a server with TLS is asked as one, so that an app that wants https is content', async () => {
    const onlySecure = expressApp((one) => {
      one.use((req: Any, res: Any, next: Any) =>
        req.secure ? next() : res.redirect(308, `https://shop.example${req.originalUrl}`),
      );
      one.post(path, paymentWebhook(viaHitpay), never);
    }) as Any;
    expect(await checkWiring(createHttps(onlySecure), { path, provider: FORM })).toEqual(OK);
    const found = await only(createServer(onlySecure), FORM);
    expect(found.code).toBe('proxy');

    const koa = koaApp((one, router) => {
      one.use((ctx: Any, next: Any) =>
        ctx.secure ? next() : ctx.redirect(`https://shop.example${ctx.originalUrl}`),
      );
      router.post(path, koaWebhook(viaHitpay), never);
    }) as Any;
    const http2 = createSecureServer({ allowHTTP1: true }, koa.callback());
    expect(await checkWiring(http2, { path, provider: FORM })).toEqual(OK);
  });

  it('asks the store and leaves nothing in it', async () => {
    const store = memoryStore();
    const claim = vi.spyOn(store, 'claim');
    const release = vi.spyOn(store, 'release');
    const commit = vi.spyOn(store, 'commit');
    const app = expressApp((one) =>
      one.post(path, paymentWebhook(viaHitpay, { dedupe: { store } }), never),
    );
    expect(await checkWiring(app, { path, provider: FORM })).toEqual(OK);
    expect(claim).toHaveBeenCalledOnce();
    expect(await release.mock.results[0]?.value).toBe(true);
    expect(commit).not.toHaveBeenCalled();
  });

  it.each(
    EXPRESS,
  )('%s: with several proofs of DExchange, all of which must hold', async (_, make) => {
    const BEARER = { provider: 'dexchange', scheme: 'bearer', secret: 'a-token' } as const;
    const SIGNATURE = {
      provider: 'dexchange',
      scheme: 'signature',
      secret,
      header: 'X-Sig',
    } as const;
    const provider = dexchange({
      token: { secret },
      bearer: { token: 'a-token' },
      signature: { header: 'x-sig', secret },
    });
    const app = expressApp((one) => one.post(path, paymentWebhook(provider), never), make);
    for (const signers of [
      [TOKEN, BEARER, SIGNATURE],
      [SIGNATURE, BEARER, TOKEN],
      [BEARER, SIGNATURE, TOKEN],
    ]) {
      expect(await checkWiring(app, { path, provider: signers })).toEqual(OK);
    }
    expect((await only(app, [TOKEN, BEARER])).code).toBe('refused');
    const other = [TOKEN, { ...BEARER, secret: 'another-token' }, SIGNATURE];
    expect((await only(app, other)).code).toBe('secret');
  });

  it('does not ask the API that confirms', async () => {
    const fetch = vi.fn();
    const provider = dexchange({ token: { secret }, confirm: { apiKey: 'key', fetch } });
    const app = expressApp((one) =>
      one.post(path, paymentWebhook(provider, { dedupe: false }), never),
    );
    expect(await checkWiring(app, { path, provider: TOKEN })).toEqual(OK);
    expect(fetch).not.toHaveBeenCalled();
  });

  it('is one behind a proxy that ends TLS, if the app trusts its header', async () => {
    const app = expressApp((one) => {
      one.set('trust proxy', 1);
      one.use((req: Any, res: Any, next: Any) =>
        req.secure ? next() : res.redirect(308, `https://shop.example${req.originalUrl}`),
      );
      one.post(path, paymentWebhook(viaHitpay), never);
    });
    expect(await checkWiring(app, { path, provider: FORM })).toEqual(OK);
  });
});

describe('what stands in the way', () => {
  it.each(EXPRESS)('%s: express.json() before payproof', async (_, make) => {
    const app = expressApp((one) => {
      one.use((make as Any).json());
      one.post(path, paymentWebhook([viaHatexcard, viaHitpay]), never);
    }, make);
    for (const provider of [HATEXCARD, EVENT]) {
      const found = await only(app, provider);
      expect(found.code).toBe('parser');
      expect(found.problem).toMatch(/read by body-parser before payproof.*express\.json\(\)/);
      expect(found.fix).toContain('move the line app.post(path, paymentWebhook(...)) above');
    }
  });

  it.each(KOA)('%s: koa-body before payproof', async (_, make) => {
    const app = koaApp((one, router) => {
      one.use(koaBody());
      router.post(path, koaWebhook(viaHatexcard), never);
    }, make);
    const found = await only(app, HATEXCARD);
    expect(found.code).toBe('parser');
    expect(found.problem).toContain('read by koa-body before payproof');
  });

  it('a middleware of the app that reads the body: its file', async () => {
    const app = expressApp((one) => {
      one.use(async (req: Any, _: unknown, next: Any) => {
        for await (const __ of req);
        next();
      });
      one.post(path, paymentWebhook(viaHatexcard), never);
    });
    const found = await only(app, HATEXCARD);
    expect(found.code).toBe('parser');
    expect(found.problem).toMatch(/read by test\/testing\/wiring\.test\.ts:\d+ before payproof/);
  });

  it.each(EXPRESS)('%s: another path', async (_, make) => {
    const app = expressApp(
      (one) => one.post('/webhook/pay', paymentWebhook(viaHitpay), never),
      make,
    );
    const found = await only(app, FORM);
    expect(found).toMatchObject({ code: 'not_found' });
    expect(found.problem).toContain(`Nothing is mounted at POST ${path}`);
  });

  it('Koa: another path, and a router that is not mounted', async () => {
    expect(
      (
        await only(
          koaApp(() => {}),
          FORM,
        )
      ).code,
    ).toBe('not_found');
  });

  it.each(EXPRESS)('%s: GET only', async (_, make) => {
    const app = expressApp((one) => one.get(path, paymentWebhook(viaHitpay), never), make);
    const found = await only(app, FORM);
    expect(found.code).toBe('method');
    expect(found.problem).toMatch(/takes GET, ?HEAD, not POST/);
  });

  it('Koa: GET only, answered 405', async () => {
    const app = koaApp((_, router) => router.get(path, koaWebhook(viaHitpay), never));
    const found = await only(app, FORM);
    expect(found.code).toBe('method');
    expect(found.problem).toContain('not POST (the answer was 405');
  });

  it.each([
    [401, 'login'],
    [403, 'CSRF'],
    [419, 'CSRF'],
    [429, 'rate limit'],
    [418, 'middleware'],
  ])('a guard that answers %i', async (status, word) => {
    const guard = (_req: Any, res: Any) => res.status(status).end();
    const app = expressApp((one) => {
      one.use(guard);
      one.post(path, paymentWebhook(viaHitpay), never);
    });
    const found = await only(app, FORM);
    expect(found.code).toBe('guard');
    expect(found.problem).toContain(word);
    expect(found.problem).toMatch(/answered \d+ by test\/testing\/wiring\.test\.ts:\d+/);
    expect(found.fix).toContain(`Except ${path}`);
  });

  it('Koa: a guard that sets the status, and one that throws', async () => {
    const set = koaApp((one, router) => {
      one.use((ctx: Any) => {
        ctx.status = 403;
      });
      router.post(path, koaWebhook(viaHitpay), never);
    });
    const thrown = koaApp((one, router) => {
      one.use((ctx: Any) => ctx.throw(401));
      router.post(path, koaWebhook(viaHitpay), never);
    });
    expect((await only(set, FORM)).problem).toMatch(/answered 403 by test\/testing\/wiring/);
    expect(await only(thrown, FORM)).toMatchObject({ code: 'guard' });
  });

  it('a redirect to https that no header of a proxy mends', async () => {
    const app = expressApp((one) => {
      one.use((req: Any, res: Any) => res.redirect(301, `https://shop.example${req.originalUrl}`));
      one.post(path, paymentWebhook(viaHitpay), never);
    });
    const found = await only(app, FORM);
    expect(found.code).toBe('proxy');
    expect(found.fix).toContain("app.set('trust proxy', 1)");
  });

  it('a redirect to the trailing slash, and one to a login', async () => {
    const to = (location: string) =>
      expressApp((one) => one.use((_: unknown, res: Any) => res.redirect(302, location)));
    expect((await only(to(`${path}/`), FORM)).fix).toContain(`ends in ${path}/`);
    expect((await only(to('/login'), FORM)).problem).toContain('redirected to /login');
  });

  it('asks the app itself where the path begins with two slashes', async () => {
    const asked: string[] = [];
    const app = expressApp((one) =>
      one.use((req: Any, res: Any) => {
        asked.push(req.originalUrl);
        res.sendStatus(404);
      }),
    );
    for (const provider of [FORM, { provider: 'dexchange', scheme: 'token', secret } as const]) {
      await checkWiring(app, { path: '//127.0.0.1:9/w', provider, timeout: 1500 });
    }
    expect(asked).not.toEqual([]);
    expect(asked.every((url) => url.startsWith('//127.0.0.1:9/w'))).toBe(true);
  });

  it('a redirect without a readable place', async () => {
    const app = expressApp((one) => one.use((_: unknown, res: Any) => res.status(304).end()));
    expect(await only(app, FORM)).toMatchObject({ code: 'guard' });
  });

  it('a route that answers 200 before payproof', async () => {
    const app = expressApp((one) => {
      one.post(path, (_: unknown, res: Any) => res.sendStatus(200));
      one.post(path, paymentWebhook(viaHitpay), never);
    });
    const found = await only(app, FORM);
    expect(found.code).toBe('bypassed');
    expect(found.problem).toContain('a forged delivery would be taken too');
  });

  it('a middleware that fails, one that reads and fails, and one that never answers', async () => {
    const failing = expressApp((one) =>
      one.use((_: unknown, __: unknown, next: Any) => next(new Error('x'))),
    );
    expect((await only(failing, FORM)).problem).toContain('The answer was 500');
    const small = expressApp((one) => {
      one.use(express5.json());
      one.use((_: unknown, res: Any) => res.status(500).end());
    });
    expect((await only(small, HATEXCARD)).problem).toContain('The body was read by body-parser');
    const silent = expressApp((one) => one.use(express5.json(), () => {}));
    const found = await only(silent, HATEXCARD, { timeout: 300 });
    expect(found.code).toBe('no_answer');
    expect(found.problem).toContain('read by body-parser');
    const mute = await only(() => {}, FORM, { timeout: 100 });
    expect(mute.problem).not.toContain('body was read');
  });

  it.each(EXPRESS)('%s: names nobody for what the framework itself answers', async (_, make) => {
    const missing = await only(
      expressApp(() => {}, make),
      FORM,
    );
    expect(missing.problem).toBe(`Nothing is mounted at POST ${path}: the answer was 404.`);
    const failing = (error: Error) =>
      expressApp((one) => one.use((_req: Any, _res: Any, next: Any) => next(error)), make);
    const failed = await only(failing(new Error('x')), FORM);
    expect(failed.problem).toBe('The answer was 500, before payproof was reached.');
    const refused = await only(failing(Object.assign(new Error('x'), { status: 403 })), FORM);
    expect(refused.problem).toMatch(/^A guard .* answered 403, before payproof was reached\.$/);
    const getOnly = expressApp((one) => one.get(path, never), make);
    expect((await only(getOnly, FORM)).problem).toMatch(/\(the answer was 404\)\.$/);
  });

  it('a middleware that ends the connection is not one that never answers', async () => {
    const app = expressApp((one) => one.use((req: Any) => req.socket.destroy()));
    const found = await only(app, FORM);
    expect(found.code).toBe('no_answer');
    expect(found.problem).toBe(
      `POST ${path} was not answered: the connection was ended (ECONNRESET), and payproof was not reached.`,
    );
    expect(found.fix).toContain('ends the connection');
    const mute = await only(() => {}, FORM, { timeout: 100 });
    expect(mute.problem).toContain('in time');
  });

  it('a middleware that switches to another protocol', async () => {
    const headers = { connection: 'upgrade', upgrade: 'websocket' };
    const app = expressApp((one) =>
      one.use((_: unknown, res: Any) => res.writeHead(101, headers).end()),
    );
    const found = await only(app, FORM);
    expect(found.code).toBe('no_answer');
    expect(found.problem).toContain('(EPROTO)');
  });

  it('a server with TLS that redirects to another host: no proxy is to be trusted', async () => {
    const app = expressApp((one) => {
      one.use((req: Any, res: Any) => res.redirect(308, `https://www.shop.example${req.url}`));
    });
    const found = await only(createHttps(app as Any), FORM);
    expect(found.code).toBe('redirect');
    expect(found.fix).toContain('another host');
  });

  it('another secret, and another kind of secret', async () => {
    const other = expressApp((one) =>
      one.post(path, paymentWebhook(hitpay({ salt: 'another-salt' })), never),
    );
    const found = await only(other, FORM);
    expect(found.code).toBe('secret');
    expect(found.fix).toContain('different secrets');
    expect(JSON.stringify(found)).not.toContain(secret);
    expect(JSON.stringify(found)).not.toContain('another-salt');
    const token = expressApp((one) =>
      one.post(path, paymentWebhook(dexchange({ token: { secret: 'another' } })), never),
    );
    expect((await only(token, TOKEN)).code).toBe('secret');
  });

  it('the route of another provider', async () => {
    const app = expressApp((one) => one.post(path, paymentWebhook(viaHatexcard), never));
    const found = await only(app, FORM);
    expect(found.code).toBe('refused');
    expect(found.problem).toContain('content_type_unsupported');
  });

  it('a store that cannot be reached, refuses, or does not answer', async () => {
    const working = memoryStore();
    const stores = [
      { ...working, claim: async () => Promise.reject(new Error('connection refused')) },
      { ...working, claim: async () => ({ status: 'done' as const }) },
      { ...working, release: async () => false },
    ];
    for (const store of stores) {
      const app = expressApp((one) =>
        one.post(path, paymentWebhook(viaHitpay, { dedupe: store }), never),
      );
      expect((await only(app, FORM)).code).toBe('store');
    }
    const mute = { ...working, claim: () => new Promise<never>(() => {}) };
    const app = expressApp((one) =>
      one.post(path, paymentWebhook(viaHitpay, { dedupe: { store: mute, timeout: 50 } }), never),
    );
    expect((await only(app, FORM)).code).toBe('store');
  });

  it.each(EXPRESS)('%s: a store that hangs, however long payproof would wait', async (_, make) => {
    const hanging = { ...memoryStore(), claim: () => new Promise<never>(() => {}) };
    for (const dedupe of [hanging, { store: hanging, timeout: 60_000 }]) {
      const app = expressApp(
        (one) => one.post(path, paymentWebhook(viaHitpay, { dedupe }), never),
        make,
      );
      expect((await only(app, FORM, { timeout: 400 })).code).toBe('store');
    }
  });

  it('a store that hangs behind a middleware that gives up earlier', async () => {
    const dedupe = { ...memoryStore(), claim: () => new Promise<never>(() => {}) };
    const app = expressApp((one) => {
      one.use((_: unknown, res: Any, next: Any) => {
        setTimeout(() => res.status(503).end(), 50);
        next();
      });
      one.post(path, paymentWebhook(viaHitpay, { dedupe }), never);
    });
    expect((await only(app, FORM)).code).toBe('store');
  });

  it('a function that chooses the provider and hangs, or fails', async () => {
    const choosing = (choose: () => Any) =>
      expressApp((one) => one.post(path, paymentWebhook(choose), never));
    const hangs = await only(
      choosing(() => new Promise(() => {})),
      FORM,
      { timeout: 300 },
    );
    expect(hangs.code).toBe('no_answer');
    expect(hangs.problem).toBe(
      'payproof was reached, but the function that chooses the provider gave none: nothing answered in time.',
    );
    expect(hangs.fix).toContain('a time limit');
    const fails = await only(
      choosing(() => Promise.reject(new Error('password=1'))),
      FORM,
    );
    expect(fails.code).toBe('failure');
    expect(fails.problem).toContain('gave none: the answer was 500.');
    expect(JSON.stringify(fails)).not.toContain('password=1');
  });

  it('a middleware that holds the body back, and a clock that fails', async () => {
    const paused = expressApp((one) => {
      one.use((req: Any, _: unknown, next: Any) => {
        req.pause();
        // Or payproof would have it go on.
        req.resume = () => req;
        next();
      });
      one.post(path, paymentWebhook(viaHitpay), never);
    });
    const held = await only(paused, FORM, { timeout: 300 });
    expect(held.code).toBe('no_answer');
    expect(held.problem).toContain('payproof was reached, but came to no judgement');
    const clock = (() => 'noon') as Any;
    const app = expressApp((one) => one.post(path, paymentWebhook(viaHitpay, { clock }), never));
    const failed = await only(app, FORM);
    expect(failed.code).toBe('failure');
    expect(failed.problem).toContain('payproof was reached, but came to no judgement');
  });

  it('an error handler that answers 200', async () => {
    const app = expressApp((one) => {
      one.post(path, paymentWebhook(viaHitpay), never);
      one.use((_error: unknown, _req: Any, res: Any, _next: Any) => res.status(200).end());
    });
    expect((await only(app, FORM)).code).toBe('refusal_acknowledged');
  });

  it('something that changes the answer behind payproof', async () => {
    const app = koaApp((one, router) => {
      one.use(async (ctx: Any, next: Any) => {
        await next();
        ctx.status = 502;
      });
      router.post(path, koaWebhook(viaHitpay), never);
    });
    const found = await only(app, FORM);
    expect(found.problem).toMatch(/let the sample through, but the answer was 502 by test/);
  });
});

describe('the guard of an app whose files are named like those of payproof', () => {
  let directory: string;
  beforeAll(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'payproof-app-')));
    mkdirSync(join(directory, 'node_modules'));
    mkdirSync(join(directory, 'src/http'), { recursive: true });
    symlinkSync(process.cwd(), join(directory, 'node_modules/payproof'));
    symlinkSync(
      join(process.cwd(), 'node_modules/express'),
      join(directory, 'node_modules/express'),
    );
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const app = `
    const app = express().use((req, res) => res.status(403).end());
    app.post('/w', paymentWebhook(hitpay({ salt: 'x' })));
    const options = { path: '/w', provider: { provider: 'hitpay', scheme: 'form', secret: 'x' } };
    checkWiring(app, options).then(({ findings }) => console.log(findings[0].problem));`;
  const modules = [
    ['express', 'express'],
    ['{ hitpay }', 'payproof'],
    ['{ paymentWebhook }', 'payproof/express'],
    ['{ checkWiring }', 'payproof/testing'],
  ];

  // On the built package, in both of its formats.
  it.each([
    ['module', modules.map(([names, from]) => `import ${names} from '${from}';`)],
    ['commonjs', modules.map(([names, from]) => `const ${names} = require('${from}');`)],
  ])('is named: src/http/guard.js of type %s', (type, imports) => {
    const file = join('src', 'http', 'guard.js');
    writeFileSync(join(directory, 'package.json'), JSON.stringify({ type }));
    writeFileSync(join(directory, file), imports.join('') + app);
    const shown = execFileSync(process.execPath, [file], { cwd: directory, encoding: 'utf8' });
    expect(shown).toContain(`answered 403 by ${file}:2,`);
  });
});

describe('the arguments', () => {
  it.each([
    [{}, 'needs an Express app'],
    [null, 'needs an Express app'],
    [createServer(), 'no request listener'],
  ])('throws for what is no app', async (app, message) => {
    await expect(checkWiring(app as never, { path, provider: FORM })).rejects.toThrow(message);
  });

  it('throws for wrong options', async () => {
    const app = expressApp(() => {});
    const bad = (options: object) => checkWiring(app, options as never);
    await expect(bad({ path, provider: FORM, extra: 1 })).rejects.toThrow('unknown option');
    await expect(bad({ path: 'x', provider: FORM })).rejects.toThrow('path:');
    await expect(bad({ path, provider: FORM, timeout: 0 })).rejects.toThrow('timeout');
    await expect(bad({ provider: FORM })).rejects.toThrow('path: the path of the route is missing');
  });

  it.each([
    [{ 'x-forwarded-host': undefined }, 'headers["x-forwarded-host"]: must be a text'],
    [{ 'x-forwarded-port': 443 }, 'headers["x-forwarded-port"]: must be a text'],
    [{ 'x-real-ip': '1\n2' }, 'headers["x-real-ip"]: has a character that no header can hold'],
    [{ 'x y': '1' }, 'headers["x y"]: must be the name of an HTTP header'],
    [null, 'headers: must be an object'],
  ])('throws for headers that cannot be sent: %j', async (headers, message) => {
    const app = expressApp(() => {});
    const options = { path, provider: FORM, headers: headers as Any };
    const error = await checkWiring(app, options).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(message);
  });

  it('throws for several signers that are not of DExchange', async () => {
    const app = expressApp(() => {});
    for (const provider of [[], [FORM, EVENT], [TOKEN, FORM]]) {
      await expect(checkWiring(app, { path, provider })).rejects.toThrow(
        'provider: only proofs of DExchange can be put together',
      );
    }
    expect((await only(app, [FORM])).code).toBe('not_found');
  });
});

describe('the probe', () => {
  it('is unknown outside of a check, and leaves no trace behind it', async () => {
    const registry = Symbol.for('payproof.probes');
    const seen: unknown[] = [];
    const app = expressApp((one) => {
      one.use((req: Any, _: unknown, next: Any) => {
        seen.push(req.headers['payproof-probe'], req.rawHeaders.includes('payproof-probe'));
        seen.push(probeOf(req) !== undefined);
        next();
      });
      one.post(path, paymentWebhook(viaHitpay), never);
    });
    await checkWiring(app, { path, provider: FORM });
    expect(seen).toEqual([undefined, false, true, undefined, false, true]);
    expect(Object.hasOwn(globalThis, registry)).toBe(false);
  });

  it('is known by the request alone: another request during a check is no probe', async () => {
    const ends = [register({} as never, {} as never), register({} as never, {} as never)];
    expect(probeOf({} as never)).toBeUndefined();
    for (const end of ends) end();
    expect(probeOf({} as never)).toBeUndefined();
  });

  it('a stranger at the port of the check gets 404 and reaches no app', async () => {
    const reached = vi.fn();
    let stranger: Promise<number> | undefined;
    const ask = (port: number, headers: Record<string, string>) =>
      new Promise<number>((resolve) => {
        const req = request({ port, host: '127.0.0.1', method: 'POST', path, headers }, (res) => {
          res.resume();
          resolve(res.statusCode ?? 0);
        });
        req.end();
      });
    const app: Wired = (req, res) => {
      reached();
      stranger ??= ask(req.socket.localPort as number, { 'payproof-probe': '00'.repeat(32) });
      stranger.then(async (status) => {
        expect(await ask(req.socket.localPort as number, {})).toBe(404);
        res.writeHead(status).end();
      });
    };
    const found = await only(app, FORM);
    expect(found.problem).toContain('404');
    // The sample and the question for the methods.
    expect(reached).toHaveBeenCalledTimes(2);
  });
});
