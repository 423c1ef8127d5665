import { STATUS_CODES } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { PaymentWebhookOptions } from '../../src/http/pipeline.ts';
import { dexchange, hatexcard, hitpay, isWebhookError, type Provider } from '../../src/index.ts';
import { FRAMEWORKS } from '../servers.ts';
import {
  codes,
  dex,
  hatex,
  hatexAt,
  hitpayEvent,
  hitpayForm,
  isExpress,
  NOW,
  ORDER,
  PAYMENT,
  PUBLIC,
  post,
  SALT,
  SECRET,
  type Sent,
  serve,
} from './support.ts';

const HATEX = hatexcard({ secret: SECRET });
const HITPAY = hitpay({ salt: SALT });
const DEX = dexchange({ token: { secret: SECRET } });
const BEARER = dexchange({ bearer: { token: SECRET } });
const SIGNED = dexchange({ signature: { header: 'x-sig', secret: SECRET } });
const confirming = (status: number, answer: object) =>
  dexchange({
    token: { secret: SECRET },
    confirm: { apiKey: 'key', fetch: async () => Response.json(answer, { status }) },
  });
const seconds = Math.floor(+NOW / 1000);

function without(sent: Sent, name: string): Sent {
  const { [name]: _, ...headers } = sent.headers;
  return { ...sent, headers };
}

const header = (sent: Sent, name: string, value: string): Sent => ({
  ...sent,
  headers: { ...sent.headers, [name]: value },
});

type Cause = [
  name: string,
  code: string,
  provider: Provider | Provider[] | (() => null),
  sent: Sent,
  options?: PaymentWebhookOptions,
];

const CAUSES: Cause[] = [
  ['Hatexcard: no signature', 'signature_missing', HATEX, without(hatex(), 'x-hatex-signature')],
  ['Hatexcard: junk', 'signature_malformed', HATEX, header(hatex(), 'x-hatex-signature', 'zz')],
  ['Hatexcard: another secret', 'signature_mismatch', HATEX, hatex(PAYMENT, 'another')],
  ['Hatexcard: body changed', 'signature_mismatch', HATEX, { ...hatex(), body: '{}' }],
  ['Hatexcard: too old', 'timestamp_out_of_tolerance', HATEX, hatexAt(seconds - 301)],
  ['Hatexcard: from the future', 'timestamp_out_of_tolerance', HATEX, hatexAt(seconds + 301)],
  ['Hatexcard: timestamp is junk', 'timestamp_invalid', HATEX, hatexAt(`${seconds}x`)],
  [
    'Hatexcard: the timestamp was taken away',
    'signature_mismatch',
    HATEX,
    without(hatexAt(seconds), 'x-hatex-timestamp'),
  ],
  [
    'Hatexcard: a scheme that is off',
    'timestamp_invalid',
    hatexcard({ secret: SECRET, schemes: ['timestamped'] }),
    hatex(),
  ],
  [
    'Hatexcard: a secret that ended',
    'signature_mismatch',
    hatexcard({ secret: { id: 'old', value: SECRET, notAfter: new Date(0) } }),
    hatex(),
  ],
  ['HitPay form: another salt', 'signature_mismatch', HITPAY, hitpayForm(ORDER, 'another')],
  [
    'HitPay form: no hmac',
    'signature_missing',
    HITPAY,
    { ...hitpayForm(), body: new URLSearchParams(ORDER).toString() },
  ],
  [
    'HitPay form: a field twice',
    'field_ambiguous',
    HITPAY,
    { ...hitpayForm(), body: `${hitpayForm().body}&status=failed` },
  ],
  [
    'HitPay form: a moved boundary, rightly signed',
    'field_ambiguous',
    HITPAY,
    hitpayForm({ ...ORDER, status: 'complete', statusd: '' }),
  ],
  ['HitPay event: another salt', 'signature_mismatch', HITPAY, hitpayEvent({}, 'another')],
  [
    'HitPay event: no signature',
    'signature_missing',
    HITPAY,
    without(hitpayEvent(), 'hitpay-signature'),
  ],
  [
    'HitPay event: cut signature',
    'signature_malformed',
    HITPAY,
    header(hitpayEvent(), 'hitpay-signature', 'abc'),
  ],
  ['DExchange: no token', 'token_missing', DEX, { ...dex(), path: '/webhook' }],
  ['DExchange: token of another order', 'token_mismatch', DEX, { ...dex(), ...dexBody('ORDER-2') }],
  ['DExchange: no bearer', 'token_missing', BEARER, dex()],
  ['DExchange: wrong bearer', 'token_mismatch', BEARER, header(dex(), 'authorization', 'Bearer x')],
  ['DExchange: no signature', 'signature_missing', SIGNED, dex()],
  [
    'DExchange: wrong signature',
    'signature_mismatch',
    SIGNED,
    header(dex(), 'x-sig', '0'.repeat(64)),
  ],
  ['DExchange: the API knows none', 'confirmation_mismatch', confirming(404, {}), dex()],
  [
    'DExchange: the API says PENDING',
    'confirmation_mismatch',
    confirming(200, { STATUS: 'PENDING' }),
    dex(),
  ],
  ['two spellings of a field', 'field_ambiguous', DEX, { ...dex(), ...dexBody('ORDER-001', true) }],
  [
    'no provider of the list recognises it',
    'provider_unrecognized',
    [HATEX, HITPAY],
    without(hatex(), 'x-hatex-signature'),
  ],
  ['no provider for the merchant', 'provider_unrecognized', () => null, hatex()],
  [
    'the same event with another amount',
    'delivery_conflict',
    HATEX,
    hatex(),
    {
      dedupe: {
        claim: async () => ({ status: 'conflict' }),
        commit: async () => true,
        release: async () => true,
      },
    },
  ],
];

function dexBody(order: string, twice = false): Pick<Sent, 'body'> {
  const body = { id: 'MID1', externalTransactionId: order, STATUS: 'SUCCESS', AMOUNT: 5 };
  return { body: JSON.stringify(twice ? { ...body, status: 'FAILED' } : body) };
}

const RUNS = FRAMEWORKS.flatMap((framework) =>
  (isExpress(framework)
    ? ['development', 'test', 'production']
    : ['development', 'production']
  ).map((env) => [framework, env] as const),
);

const logged: string[] = [];
beforeEach(() => {
  logged.length = 0;
  vi.spyOn(console, 'error').mockImplementation((...args) => void logged.push(args.join(' ')));
});
afterEach(() => void vi.restoreAllMocks());

describe.each(RUNS)('%s in %s', (framework, env) => {
  it('answers every failure of authenticity with the same bytes, and tells them apart for the log', async () => {
    const answers = new Map<string, string>();
    for (const [name, code, provider, sent, options] of CAUSES) {
      const app = await serve(framework, { provider, env, ...(options && { options }) });
      const answer = await post(app, sent);
      expect([name, codes(app), answer.status]).toEqual([name, [code], 403]);
      expect(app.events).toEqual([]);
      // In production Express itself says no more than the status.
      const terse = isExpress(framework) && env === 'production';
      expect(answer.body).toContain(terse ? 'Forbidden' : PUBLIC);
      answers.set(name, answer.raw);
    }
    const [first] = answers.values();
    for (const [name, raw] of answers) expect(raw, name).toBe(first);
    expect(CAUSES.length).toBeGreaterThanOrEqual(15);
  });

  it('tells no secret, no signature and nothing of the body, in the answer or in the log', async () => {
    for (const [name, , provider, sent, options] of CAUSES) {
      const app = await serve(framework, { provider, env, ...(options && { options }) });
      const { raw } = await post(app, sent);
      const told = [raw, ...logged, ...app.errors.map((error) => JSON.stringify(error))].join();
      for (const private_ of [
        SECRET,
        SALT,
        'another',
        'HTX-1',
        'CMD-1',
        'ABC123',
        'ORDER-001',
        'MID',
        sent.headers['x-hatex-signature'] ?? 'no-such-text',
        sent.headers['hitpay-signature'] ?? 'no-such-text',
        sent.path?.split('=')[1] ?? 'no-such-text',
      ]) {
        expect(told, name).not.toContain(private_);
      }
    }
  });
});

describe.each(FRAMEWORKS)('%s: the public answer of each class', (framework) => {
  const store = (status: string) => ({
    claim: async () => ({ status, retryAfter: 1_500 }) as never,
    commit: async () => true,
    release: async () => true,
  });
  it.each<[number, string, string, Provider, Sent, PaymentWebhookOptions]>([
    [
      405,
      'method_not_allowed',
      'A delivery is a POST request.',
      HATEX,
      { ...hatex(), method: 'PUT' },
      {},
    ],
    [413, 'body_too_large', 'The body is larger than the limit.', HATEX, hatex(), { limit: 10 }],
    [
      415,
      'content_type_unsupported',
      'The content type is not one that the provider sends.',
      HATEX,
      header(hatex(), 'content-type', 'text/plain'),
      {},
    ],
    [
      415,
      'content_encoding_unsupported',
      'An encoded (compressed) body is not accepted.',
      HATEX,
      header(hatex(), 'content-encoding', 'gzip'),
      {},
    ],
    [400, 'body_malformed', 'The body is malformed.', HATEX, hatex('[]'), {}],
    [403, 'signature_mismatch', PUBLIC, HATEX, hatex('{}', 'another'), {}],
    [
      409,
      'delivery_in_progress',
      'The same event is being processed.',
      HATEX,
      hatex(),
      { dedupe: store('in_progress') },
    ],
    [503, 'confirmation_unavailable', 'Service Unavailable', confirming(500, {}), dex(), {}],
    [
      503,
      'store_unavailable',
      'Service Unavailable',
      HATEX,
      hatex(),
      { dedupe: store('nonsense') },
    ],
  ])('%i %s', async (status, code, sentence, provider, sent, options) => {
    const app = await serve(framework, { provider, options, env: 'production' });
    const answer = await post(app, sent);
    expect([answer.status, codes(app), app.events]).toEqual([status, [code], []]);
    expect(answer.body).toContain(isExpress(framework) ? STATUS_CODES[status] : sentence);
    if (status >= 500) expect(answer.body).not.toMatch(/store|confirm/);
    expect(answer.headers['retry-after']).toBe(status === 409 ? '2' : undefined);
  });
});

describe.each(FRAMEWORKS)("%s: the merchant's own error handling", (framework) => {
  it('sees the error with its code, status and headers, and answers', async () => {
    const seen: unknown[] = [];
    const app = await serve(framework, {
      onError: (error) => {
        seen.push(error);
        return isWebhookError(error)
          ? { status: error.status, body: { refused: error.code } }
          : { status: 500, body: {} };
      },
    });
    const refused = await post(app, header(hatex(), 'x-hatex-signature', 'zz'));
    expect([refused.status, JSON.parse(refused.body)]).toEqual([
      403,
      { refused: 'signature_malformed' },
    ]);
    expect(seen).toEqual([
      expect.objectContaining({
        name: 'WebhookError',
        code: 'signature_malformed',
        status: 403,
        statusCode: 403,
        expose: true,
        message: PUBLIC,
      }),
    ]);
    const wrongMethod = await post(app, { ...hatex(), method: 'PUT' });
    expect([wrongMethod.status, wrongMethod.headers.allow]).toEqual([405, 'POST']);
    expect((await post(app, hatex())).status).toBe(200);
  });

  it('sees what the handler throws, and only that', async () => {
    const app = await serve(framework, {
      handler: () => {
        throw new Error('the order is unknown');
      },
      onError: (error) => ({ status: 418, body: String(error) }),
    });
    const answer = await post(app, hatex());
    expect([answer.status, answer.body]).toEqual([
      418,
      expect.stringContaining('Error: the order is unknown'),
    ]);
    expect(app.nexts).toBe(1);
  });
});
