import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { paymentWebhook as expressWebhook } from '../../src/express.ts';
import { dexchange, hatexcard, hitpay, type Provider, WebhookError } from '../../src/index.ts';
import { paymentWebhook as koaWebhook } from '../../src/koa.ts';
import { FRAMEWORKS } from '../servers.ts';
import {
  codes,
  dex,
  EVENT,
  expectRefused,
  hatex,
  hitpayEvent,
  hitpayForm,
  isExpress,
  ORDER,
  PAYMENT,
  post,
  SECRET,
  type Sent,
  serve,
} from './support.ts';

// Express logs errors itself outside of tests.
beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}));
afterEach(() => void vi.restoreAllMocks());

/** One secret for all of them, so that nothing but the scheme tells them apart. */
const PROVIDERS: Record<string, Provider> = {
  hatexcard: hatexcard({ secret: SECRET }),
  hitpay: hitpay({ salt: SECRET }),
  'dexchange by token': dexchange({ token: { secret: SECRET } }),
  'dexchange by bearer': dexchange({ bearer: { token: SECRET } }),
  'dexchange by signature': dexchange({ signature: { header: 'x-sig', secret: SECRET } }),
};

const bySignature = (): Sent => {
  const { headers, body } = hatex(String(dex().body));
  return {
    headers: { 'content-type': 'application/json', 'x-sig': headers['x-hatex-signature'] ?? '' },
    body,
  };
};

const DELIVERIES: [string, keyof typeof PROVIDERS, Sent][] = [
  ['of Hatexcard', 'hatexcard', hatex()],
  ['of HitPay, a form', 'hitpay', hitpayForm(ORDER, SECRET)],
  ['of HitPay, an event', 'hitpay', hitpayEvent(EVENT, SECRET)],
  ['of DExchange, by token', 'dexchange by token', dex()],
  [
    'of DExchange, by bearer',
    'dexchange by bearer',
    {
      headers: { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` },
      body: dex().body,
    },
  ],
  ['of DExchange, by signature', 'dexchange by signature', bySignature()],
];

describe.each(FRAMEWORKS)('%s: one provider', (framework) => {
  it.each(DELIVERIES)('accepts a delivery %s, which every other refuses', async (_, name, sent) => {
    for (const [other, provider] of Object.entries(PROVIDERS)) {
      const app = await serve(framework, { provider });
      const answer = await post(app, sent);
      if (other === name) {
        expect([answer.status, app.events.length]).toEqual([200, 1]);
        continue;
      }
      expect([403, 415], other).toContain(answer.status);
      expect(codes(app)).toEqual([
        expect.stringMatching(/^(signature_missing|token_missing|content_type_unsupported)$/),
      ]);
      expect(app.events).toEqual([]);
    }
  });
});

describe.each(FRAMEWORKS)('%s: a list of providers', (framework) => {
  it.each(
    DELIVERIES,
  )('lets the one that recognises a delivery %s judge it', async (_, name, sent) => {
    const list = [
      PROVIDERS['dexchange by signature'],
      PROVIDERS['dexchange by bearer'],
      PROVIDERS['dexchange by token'],
      PROVIDERS.hitpay,
      PROVIDERS.hatexcard,
    ] as Provider[];
    const app = await serve(framework, { provider: list });
    expect((await post(app, sent)).status).toBe(200);
    expect(app.events[0]?.provider).toBe(PROVIDERS[name]?.name);
    const forged = await post(app, { ...sent, body: String(sent.body).replace(/\d/, '8') });
    // A bearer token says nothing of the body.
    if (name !== 'dexchange by bearer' && name !== 'dexchange by token') {
      expect([forged.status, app.events.length]).toEqual([403, 1]);
      expect(codes(app)).toEqual(['signature_mismatch']);
    }
  });

  it('403 if none recognises it', async () => {
    const app = await serve(framework, { provider: Object.values(PROVIDERS) });
    const answer = await post(app, { headers: { 'content-type': 'application/json' }, body: '{}' });
    expectRefused(app, answer, 403, 'provider_unrecognized');
  });

  it('does not let another one judge what the first refused', async () => {
    const app = await serve(framework, {
      provider: [hatexcard({ secret: 'another' }), hatexcard({ secret: SECRET })],
    });
    expectRefused(app, await post(app, hatex()), 403, 'signature_mismatch');
  });
});

describe.each(FRAMEWORKS)('%s: a function that gives the provider', (framework) => {
  const shops: Record<string, Provider> = {
    one: hatexcard({ secret: 'secret-of-one' }),
    two: hatexcard({ secret: 'secret-of-two' }),
  };
  const from = (shop: string, secret: string): Sent => {
    const sent = hatex(PAYMENT, secret);
    return { ...sent, headers: { ...sent.headers, 'x-shop': shop } };
  };

  it.each([
    ['at once', (headers: Record<string, unknown>) => shops[String(headers['x-shop'])]],
    [
      'later',
      async (headers: Record<string, unknown>) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        return shops[String(headers['x-shop'])];
      },
    ],
  ])('%s: a secret for each shop', async (_, provider) => {
    const app = await serve(framework, { provider });
    expect((await post(app, from('one', 'secret-of-one'))).status).toBe(200);
    expect((await post(app, from('two', 'secret-of-two'))).status).toBe(200);
    expect((await post(app, from('one', 'secret-of-two'))).status).toBe(403);
    expect((await post(app, from('three', 'secret-of-two'))).status).toBe(403);
    expect(codes(app)).toEqual(['signature_mismatch', 'provider_unrecognized']);
    expect(app.events).toHaveLength(2);
  });

  it('may give a list', async () => {
    const app = await serve(framework, { provider: () => Object.values(PROVIDERS) });
    expect((await post(app, hatex())).status).toBe(200);
  });

  it.each([null, undefined])('403 for %s: an unknown shop', async (nothing) => {
    for (const provider of [() => nothing, async () => nothing]) {
      const app = await serve(framework, { provider });
      expectRefused(app, await post(app, hatex()), 403, 'provider_unrecognized');
    }
  });

  const [wrongForm, wrongEvent] = [hitpayForm(ORDER, 'wrong'), hitpayEvent(EVENT, 'wrong')];
  const typed = (sent: Sent, type: string): Sent => ({
    ...sent,
    headers: { ...sent.headers, 'content-type': type },
  });
  it.each<[string, Sent, number]>([
    ['with a wrong signature', wrongEvent, 403],
    ['with no signature', typed({ ...wrongEvent, headers: {} }, 'application/json'), 403],
    ['with junk for a signature', { ...wrongForm, body: 'amount=1&hmac=zz' }, 403],
    ['that is a form with a wrong signature', wrongForm, 403],
    ['that is empty', { ...wrongEvent, body: '' }, 403],
    ['that is no JSON', { ...wrongEvent, body: '{' }, 403],
    ['of text/plain', typed(wrongEvent, 'text/plain'), 415],
    ['of multipart/form-data', typed(wrongForm, 'multipart/form-data; boundary=x'), 415],
    ['of text/html', typed(wrongEvent, 'text/html; charset=utf-8'), 415],
    ['without a content type', { ...wrongEvent, headers: {} }, 415],
    ['with a content type that is junk', typed(wrongEvent, ';'), 415],
    ['in another charset', typed(wrongEvent, 'application/json; charset=utf-7'), 415],
    [
      'that is compressed',
      typed({ ...wrongEvent, headers: { 'content-encoding': 'br' } }, ''),
      415,
    ],
    ['of another method', { ...wrongEvent, method: 'PUT' }, 405],
    ['over the limit', { ...wrongEvent, body: 'x'.repeat(300_000) }, 413],
  ])('an unknown shop answers a delivery %s as a known one does', async (_, sent, status) => {
    const known = await serve(framework, { provider: () => hitpay({ salt: SECRET }) });
    const unknown = await serve(framework, { provider: () => null });
    const answers = [await post(known, sent), await post(unknown, sent)];
    expect(answers[0]?.status).toBe(status);
    expect(answers[1]?.raw).toBe(answers[0]?.raw);
    expect([known.events, unknown.events]).toEqual([[], []]);
  });

  it.each([
    {},
    'hatexcard',
    [],
    [{}],
    1,
    false,
    '',
  ])('500 for what is no provider: %j', async (nonsense) => {
    const app = await serve(framework, { provider: () => nonsense });
    expect((await post(app, hatex())).status).toBe(500);
    expect(app.errors).toEqual([expect.any(TypeError)]);
    expect([app.events, app.nexts]).toEqual([[], 1]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('the database is down');
      },
    ],
    ['rejects', async () => Promise.reject(new Error('the database is down'))],
  ])('500 through the framework if it %s', async (_, provider) => {
    const app = await serve(framework, { provider, env: 'production' });
    const answer = await post(app, hatex());
    expect([answer.status, codes(app)]).toEqual([500, ['Error: the database is down']]);
    expect(answer.body).not.toContain('database');
    expect([app.events, app.nexts]).toEqual([[], 1]);
  });

  it('keeps the status of an error that it throws on purpose', async () => {
    const app = await serve(framework, {
      provider: () => {
        throw new WebhookError('provider_unrecognized');
      },
    });
    expectRefused(app, await post(app, hatex()), 403, 'provider_unrecognized');
  });

  it('is not asked for what is refused by its head', async () => {
    let asked = 0;
    const app = await serve(framework, {
      provider: () => {
        asked++;
        return shops.one;
      },
    });
    expectRefused(app, await post(app, { ...hatex(), method: 'PUT' }), 405, 'method_not_allowed');
    expect(asked).toBe(0);
  });

  it('still lets the body be read if it takes its time', async () => {
    const app = await serve(framework, {
      provider: () => new Promise((resolve) => setTimeout(resolve, 30, PROVIDERS.hatexcard)),
    });
    const sent = hatex({ ...PAYMENT, pad: 'x'.repeat(200_000) });
    expect((await post(app, sent)).status).toBe(200);
  });
});

describe.each(FRAMEWORKS)('%s: a provider of a third party', (framework) => {
  const MINE: Provider = {
    name: 'mine',
    contentTypes: ['text/csv'],
    recognizes: () => true,
    authenticate: () => {
      throw new TypeError('a bug');
    },
  };

  it('500 if authenticate throws something else than a WebhookError', async () => {
    const app = await serve(framework, { provider: MINE });
    const answer = await post(app, { headers: { 'content-type': 'text/csv' }, body: 'a,b' });
    expect([answer.status, codes(app), app.events]).toEqual([500, ['TypeError: a bug'], []]);
  });

  it('415 for what it does not send', async () => {
    const app = await serve(framework, { provider: MINE });
    expectRefused(app, await post(app, hatex()), 415, 'content_type_unsupported');
  });
});

describe.each(FRAMEWORKS)('%s: the middleware', (framework) => {
  const paymentWebhook = (isExpress(framework) ? expressWebhook : koaWebhook) as (
    provider: Provider[],
  ) => (...args: never[]) => unknown;
  const make = () =>
    paymentWebhook([
      hatexcard({ secret: [{ id: 'new', value: SECRET }, 'another-secret'] }),
      hitpay({ salt: 'salt-secret', eventSalt: 'event-secret' }),
      dexchange({
        token: { secret: 'token-secret' },
        bearer: { token: 'bearer-secret' },
        signature: { header: 'x-sig', secret: 'signature-secret' },
        confirm: { apiKey: 'api-secret' },
      }),
    ]);

  it('bears the name of its factory', () => {
    expect(make().name).toBe('paymentWebhook');
    expect(make().length).toBe(isExpress(framework) ? 3 : 2);
  });

  it('shows no secret', () => {
    const middleware = make();
    const shown =
      inspect(middleware, { depth: 20, showHidden: true }) +
      JSON.stringify(middleware) +
      String(middleware) +
      Object.values(PROVIDERS)
        .map(
          (provider) =>
            inspect(provider, { depth: 20, showHidden: true }) + JSON.stringify(provider),
        )
        .join();
    for (const secret of [SECRET, /\w+-secret/]) expect(shown).not.toMatch(secret);
  });
});
