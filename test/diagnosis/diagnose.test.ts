import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import koaBodyparser from '@koa/bodyparser';
import express from 'express';
import type Koa from 'koa';
import { koaBody } from 'koa-body';
import { describe, expect, it, onTestFinished } from 'vitest';
import { paymentWebhook } from '../../src/express.ts';
import {
  DIAGNOSIS_CAUSES,
  type Diagnosis,
  dexchange,
  diagnose,
  hatexcard,
  hitpay,
  keyring,
  type Provider,
  verify,
  WebhookError,
  type WebhookErrorCode,
} from '../../src/index.ts';
import { FRAMEWORKS, type Middleware, start } from '../servers.ts';
import {
  hatex,
  hex,
  hitpayForm,
  hitpayText,
  hmac,
  NOW,
  ORDER,
  PAYMENT,
  post,
  refused,
  SALT,
  SECRET,
} from './support.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const provider = hatexcard({ secret: SECRET });
const OTHER = 'whsec_00112233445566778899aabbccddeeff0011223344556677';
const wrong = (body = JSON.stringify(PAYMENT)) => ({
  ...hatex(body, OTHER),
  body: Buffer.from(body),
  receivedAt: NOW,
});

describe('options', () => {
  const bad: [string, unknown, RegExp][] = [
    ['an unknown one', { trials: 1 }, /unknown option "trials"/],
    ['maxTrials', { maxTrials: -1 }, /maxTrials/],
    ['maxTime', { maxTime: Number.NaN }, /maxTime/],
    ['clock', { clock: 1 }, /clock/],
    ['error', { error: new Error('x') }, /error/],
    ['orders', { orders: 'ORDER' }, /orders/],
    ['orders null', { orders: null }, /orders/],
    ['an order', { orders: [1] }, /orders/],
    ['otherSecrets', { otherSecrets: ['a '] }, /otherSecrets/],
  ];
  it.each(bad)('refuses %s', (_, options, message) => {
    expect(() => diagnose(provider, wrong(), options as never)).toThrow(message);
  });

  it.each([[{}], [[]], ['text']])('refuses the body %j', (body) => {
    expect(() => diagnose(provider, { ...wrong(), body } as never)).toThrow(TypeError);
  });

  it('needs the error where the body was not read', () => {
    expect(() => diagnose(provider, { headers: {}, body: null })).toThrow(/error/);
    const error = new WebhookError('body_timeout');
    expect(diagnose(provider, { headers: {}, body: null }, { error }).cause).toBe('body_timeout');
  });

  it('passes on what is not a refusal', () => {
    expect(() => diagnose(provider, { headers: null as never, body: Buffer.from('') })).toThrow(
      TypeError,
    );
    const broken: Provider = {
      ...provider,
      authenticate: () => {
        throw new RangeError('broken');
      },
    };
    expect(() => diagnose(broken, wrong())).toThrow(RangeError);
  });

  it('takes the error of verify, headers of any kind, and of assertPaid', () => {
    const input = wrong();
    let error: unknown;
    try {
      verify(provider, input);
    } catch (thrown) {
      error = thrown;
    }
    const found = diagnose(
      provider,
      { ...input, headers: new Headers(input.headers as Record<string, string>) },
      { error: error as WebhookError, otherSecrets: { id: 'sandbox', value: OTHER } },
    );
    expect(found).toMatchObject({
      cause: 'secret_other',
      confidence: 'proven',
      evidence: ['It is sandbox.'],
    });
    const unpaid = new WebhookError('payment_not_expected');
    expect(diagnose(provider, input, { error: unpaid }).cause).toBe('payment_not_expected');
  });

  it('reads no more than a thousand orders', () => {
    let read = 0;
    function* endless() {
      for (;;) yield `ORDER-${read++}`;
    }
    const body = Buffer.from('{"externalTransactionId":"A"}');
    const headers = { 'content-type': 'application/json' };
    const url = `/webhook?payproof=${'A'.repeat(43)}`;
    const token = dexchange({ token: { secret: SECRET } });
    diagnose(token, { headers, body, url }, { orders: endless() });
    expect(read).toBe(1000);
  });
});

describe('the parser that took the body', () => {
  const body = JSON.stringify(PAYMENT, null, 2);
  it.each([
    ['express4', express.json(), 'express.json()'],
    ['express5', express.json(), 'express.json()'],
    ['koa3', koaBody(), null],
    ['koa2', bodyParserWithoutText(), 'bodyParser()'],
  ] as const)('is named (%s)', async (framework, parser, name) => {
    const before = [parser];
    const { diagnosis } = await refused({ framework, provider, before }, hatex(body));
    expect(diagnosis.cause).toBe('body_consumed');
    const named = diagnosis.evidence.includes(`${name} is mounted in the application.`);
    expect(named).toBe(name !== null);
  });

  it('is not named where there is no application', async () => {
    const diagnosed = new Promise<Diagnosis>((resolve) => {
      const webhook = paymentWebhook(provider, {
        onRejected: async (rejection) => resolve(await rejection.diagnose()),
      });
      const server = createServer((req, res) => {
        req.resume().on('end', () => webhook(req, res, () => res.writeHead(500).end()));
      });
      onTestFinished(() => {
        server.close();
        server.closeAllConnections();
      });
      server.listen(0, '127.0.0.1', () => post((server.address() as AddressInfo).port, hatex()));
    });
    expect(await diagnosed).toMatchObject({ cause: 'body_consumed', evidence: [], others: [] });
  });

  /** Koa's body parser leaves the text, which payproof would use. */
  function bodyParserWithoutText(): Middleware {
    const parse = koaBodyparser();
    return Object.defineProperty(
      async (ctx: Koa.Context, next: Koa.Next) => {
        await parse(ctx as never, async () => {});
        delete (ctx.request as { rawBody?: string }).rawBody;
        return next();
      },
      'name',
      { value: parse.name },
    );
  }
});

describe('an answer that does not come', () => {
  it('is waited for no longer than a second', async () => {
    const diagnosed = new Promise<Diagnosis>((resolve) => {
      const webhook = paymentWebhook(provider, {
        onRejected: async (rejection) => resolve(await rejection.diagnose()),
      });
      const server = createServer((req, res) => webhook(req, res, () => {}));
      onTestFinished(() => {
        server.closeAllConnections();
        server.close();
      });
      server.listen(0, '127.0.0.1', () => {
        post((server.address() as AddressInfo).port, wrong()).catch(() => {});
      });
    });
    // By the clock of the machine, since this route has none of its own.
    expect((await diagnosed).cause).toBe('clock_skew');
  });
});

describe('rarer ways', () => {
  const named = (body: string, headers: Record<string, string>) =>
    diagnose(provider, { headers, body: Buffer.from(body), receivedAt: NOW }, { maxTime: 60_000 });
  const right = hatex();
  const signature = right.headers['x-hatex-signature'] as string;
  const signedBy = (text: string) =>
    named(right.body as string, { ...(right.headers as object), 'x-hatex-signature': text });

  it.each([
    ['something before it', `00${signature}`, 'signature_encoding', 'proven'],
    ['its end', signature.slice(-40), 'signature_truncated', 'proven'],
    ['too long to look at', signature.repeat(20), 'signature_encoding', 'likely'],
    [
      'an odd number of digits of another length',
      signature.slice(0, 19),
      'signature_truncated',
      'proven',
    ],
  ])('knows a signature with %s', (_, text, cause, confidence) => {
    expect(signedBy(text)).toMatchObject({ cause, confidence });
  });

  it('knows the line of an environment file without quotes', () => {
    const other = hatexcard({ secret: `HATEX_SECRET=${SECRET}` });
    const input = { ...hatex(), body: Buffer.from(right.body as string), receivedAt: NOW };
    expect(diagnose(other, input).cause).toBe('secret_prefix');
  });

  it('knows amounts that lost a nought', () => {
    const body = '{"amount":1.1,"fee":2}';
    for (const text of [
      '{"amount":1.10,"fee":2.00}',
      '{"amount":1.10,"fee":2}',
      '{"amount":1.1,"fee":2.0}',
    ]) {
      const { headers } = hatex(body, SECRET, text);
      expect(named(body, headers as Record<string, string>).cause).toBe('body_reserialized');
    }
  });

  const salted = (body: string, headers: Record<string, string> = {}) =>
    diagnose(hitpay({ salt: SALT }), { headers, body: Buffer.from(body) }, { maxTime: 60_000 });

  it('reads a form without a content type, and one of recurring billing', () => {
    const billing = {
      payment_id: '92965a2d-ece3-4ace-1245-494050c9a3c1',
      recurring_billing_id: '92965a20-dae5-4d89-a452-5fdfa382dbe1',
      amount: '5.00',
      currency: 'SGD',
      status: 'succeeded',
    };
    const form = hitpayForm(billing, SALT, hitpayText({ ...billing, reference: '' }));
    expect(salted(form.body as string)).toMatchObject({
      cause: 'empty_fields_dropped',
      evidence: ['They did not arrive: reference.'],
    });
    const json = { 'hitpay-signature': hex(SALT, '{}\n') };
    expect(salted('{}', json).cause).toBe('trailing_newline');
  });

  it('tries the currencies that HitPay has, and leaves an amount alone that is none', () => {
    const { currency: _, ...rest } = ORDER;
    const body = hitpayForm(rest, SALT, hitpayText(ORDER)).body as string;
    expect(salted(body)).toMatchObject({
      cause: 'field_missing',
      evidence: ['It is the field currency.'],
    });
    const long = { ...ORDER, amount: '1'.repeat(41) };
    expect(salted(hitpayForm(long, SALT, 'x').body as string).cause).toBe('secret_unknown');
  });

  it('does not indent a large body', () => {
    const large = JSON.stringify({ text: 'a'.repeat(40_000), b: 1 });
    const { headers } = hatex(large, SECRET, JSON.stringify(JSON.parse(large), null, 2));
    expect(named(large, headers as Record<string, string>).cause).toBe('secret_unknown');
    const sorted = hatex(large, SECRET, JSON.stringify({ b: 1, text: 'a'.repeat(40_000) }));
    expect(named(large, sorted.headers as Record<string, string>).cause).toBe('body_reserialized');
  });

  it('leaves spaces alone where there are too many to try', () => {
    const many = { ...ORDER, reference_number: 'a b c d e f g h i j k l' };
    const form = hitpayForm(
      many,
      SALT,
      hitpayText({ ...many, reference_number: 'a+b c d e f g h i j k l' }),
    );
    expect(salted(form.body as string).cause).toBe('secret_unknown');
  });
});

describe('a provider of a third party', () => {
  const clue = {
    option: 'secret',
    keys: keyring('secret', SECRET),
    place: 'the header x-third',
    kind: 'base64url',
    spare: [],
    assumption: null,
  } as const;
  const third = (proof: string | undefined, error: WebhookErrorCode): Provider => ({
    name: 'third',
    contentTypes: ['application/json'],
    recognizes: () => true,
    authenticate: () => {
      throw new WebhookError(error);
    },
    evidence: () => ({
      clues: [
        {
          ...clue,
          proof,
          texts: () => [
            { parts: ['{}'], suspicion: null },
            { parts: ['[]'], suspicion: { cause: 'body_reserialized' } },
          ],
        },
      ],
      plain: [],
    }),
  });

  it('may tell no evidence of its causes', () => {
    const proof = hmac(SECRET, '[]').toString('base64url');
    const input = { headers: {}, body: [Buffer.from('{}')] };
    expect(diagnose(third(proof, 'signature_mismatch'), input)).toMatchObject({
      cause: 'body_consumed',
      confidence: 'proven',
      evidence: [],
    });
  });

  it('is told how a malformed proof is written, as far as that shows', () => {
    const input = { headers: {}, body: Buffer.from('{}') };
    const found = diagnose(third('x', 'signature_malformed'), input);
    expect(found.cause).toBe('token_damaged');
    expect(diagnose(third(undefined, 'signature_malformed'), input).cause).toBe(
      'signature_encoding',
    );
  });

  const { evidence: _, ...bare } = provider;
  it('needs no evidence', () => {
    expect(diagnose(bare, wrong())).toMatchObject({ cause: 'secret_unknown', others: [] });
  });

  it('is not left without a finding where nothing explains a fit', () => {
    const refusing: Provider = {
      ...provider,
      authenticate: () => {
        throw new WebhookError('token_mismatch');
      },
    };
    const input = { ...hatex(), body: Buffer.from(JSON.stringify(PAYMENT)), receivedAt: NOW };
    expect(diagnose(refusing, input).cause).toBe('secret_unknown');
  });

  it('is told of a wrong content type, proven where the signature fits', () => {
    const input = { ...hatex(), body: Buffer.from(JSON.stringify(PAYMENT)), receivedAt: NOW };
    const headers = { ...input.headers, 'content-type': 'text/plain' };
    expect(diagnose(provider, { ...input, headers })).toMatchObject({
      cause: 'content_type',
      confidence: 'proven',
    });
  });
});

describe('the cost', () => {
  const large = JSON.stringify({
    ...PAYMENT,
    items: Array.from({ length: 60 }, (_, index) => ({
      name: `article ${index}`,
      price: index,
      url: 'https://x/é',
    })),
  }).padEnd(4096);

  it('is bounded in trials', () => {
    const trials = (options: object) =>
      Number(/\d+/.exec(diagnose(provider, wrong(large), options).evidence[0] as string)?.[0]);
    expect(trials({ maxTime: 60_000 })).toBe(1500);
    expect(trials({ maxTime: 60_000, maxTrials: 10 })).toBe(10);
    expect(trials({ maxTrials: 0 })).toBe(0);
    let now = 0;
    // One unit a look, and one look a trial.
    expect(trials({ maxTime: 100, clock: () => now++ })).toBeLessThanOrEqual(100);
    // A machine that stands still: what is sure is tried, and no more.
    now = 0;
    const slow = { clock: () => (now += 1000) };
    expect(trials(slow)).toBeGreaterThan(300);
    expect(trials(slow)).toBeLessThan(600);
  });

  it('makes few trials of a large body where time is short', () => {
    const body = JSON.stringify({ text: 'a'.repeat(200_000) });
    let now = 0;
    const found = diagnose(provider, wrong(body), { clock: () => (now += 1000) });
    expect(Number(/\d+/.exec(found.evidence[0] as string)?.[0])).toBeLessThan(30);
  });

  it.each([
    ['spaces', `{"a":1}${' '.repeat(200_000)}x`],
    ['spaces inside', `{"amount":${' '.repeat(200_000)}1}`],
    ['digits', `{"amount":${'0'.repeat(100_000)}1}`],
    ['arrays', `{"a":[${'[],'.repeat(60_000)}[]]}`],
    ['deep arrays', `{"a":${'['.repeat(100_000)}`],
    ['a long text', JSON.stringify({ a: '\\"/é'.repeat(30_000) })],
    ['backslashes', `"${'\\'.repeat(200_000)}`],
    ['line breaks', '\r\n'.repeat(100_000)],
    [
      'a form of noughts',
      `amount=${'0'.repeat(200_000)}1&phone=${'+'.repeat(20_000)}&hmac=${'a'.repeat(64)}`,
    ],
    [
      'marks upon one letter',
      JSON.stringify({ a: '\u0301'.repeat(16_000) + '\u0316'.repeat(16_000) }),
    ],
    [
      'names of marks',
      `a${'\u0301'.repeat(16_000)}${'\u0316'.repeat(16_000)}=1&a${'\u0316'.repeat(16_000)}=2`,
    ],
    ['percent signs', `phone=${'%25'.repeat(60_000)}&status=%&hmac=${'a'.repeat(64)}`],
  ])('does not explode: %s', (_, body) => {
    for (const [one, headers] of [
      [provider, wrong(body).headers],
      [hitpay({ salt: SALT }), { 'content-type': 'application/x-www-form-urlencoded' }],
    ] as const) {
      const start = performance.now();
      diagnose(one, { headers, body: Buffer.from(body), receivedAt: NOW });
      // Quadratic cost would be minutes.
      expect(performance.now() - start).toBeLessThan(2_000);
    }
  });

  it('is a few milliseconds for a body of 4 KB', () => {
    const times = Array.from({ length: 30 }, () => {
      const start = performance.now();
      diagnose(provider, wrong(large));
      return performance.now() - start;
    }).sort((a, b) => a - b);
    // Printed, not asserted: the machine may be busy.
    console.info(
      `diagnosis of a mismatch, 4 KB: median ${times[15]?.toFixed(1)} ms, best ${times[0]?.toFixed(1)} ms`,
    );
    const start = performance.now();
    diagnose(hitpay({ salt: SALT }), {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(hitpayForm(undefined, OTHER).body),
    });
    console.info(`diagnosis of a mismatch, form: ${(performance.now() - start).toFixed(1)} ms`);
  });
});

describe.each(FRAMEWORKS)('%s', (framework) => {
  it('answers before it looks', async () => {
    const order: string[] = [];
    const done = new Promise<void>((resolve) => {
      start(framework, {
        provider: {
          ...provider,
          evidence: (delivery, scene) => {
            order.push('looks');
            return provider.evidence?.(delivery, scene) as never;
          },
        },
        options: {
          onRejected: async (rejection) => {
            await rejection.diagnose();
            resolve();
          },
        },
      }).then(async (app) => {
        onTestFinished(() => app.close());
        app.server.prependListener('request', (_, res) => {
          res.on('finish', () => order.push('answered'));
        });
        await post(app.port, wrong());
      });
    });
    await done;
    expect(order).toEqual(['answered', 'looks']);
  });

  it('looks only when it is asked, and is not in the way of a log line', async () => {
    const { rejection } = await refused({ framework, provider }, wrong());
    expect(Object.keys(rejection)).toEqual(['error', 'provider', 'request']);
    expect(await rejection.diagnose({ otherSecrets: OTHER })).toMatchObject({
      cause: 'secret_other',
    });
    await expect(rejection.diagnose({ maxTrials: -1 })).rejects.toThrow(RangeError);
  });

  it('makes no trials in a flood, and says so', async () => {
    const { rejection } = await refused({ framework, provider }, wrong());
    const found = await Promise.all(
      Array.from({ length: 80 }, () => rejection.diagnose({ maxTrials: 1 })),
    );
    const tried = found.filter(({ evidence }) => evidence[0] === '1 combinations were tried.');
    expect(tried.length).toBeLessThan(60);
    expect(found.at(-1)).toMatchObject({ cause: 'not_examined', evidence: [], others: [] });
  });

  it('looks at no body in a flood, and at fewer of the large ones', async () => {
    const counts = [];
    for (const size of [100, 200_000]) {
      const { rejection } = await refused(
        { framework, provider },
        wrong(JSON.stringify({ ...PAYMENT, padding: 'x'.repeat(size) })),
      );
      let looks = 0;
      const tried = await Promise.all(
        Array.from({ length: 60 }, () => rejection.diagnose({ maxTrials: 1 })),
      );
      for (const { evidence } of tried) if (evidence[0] === '1 combinations were tried.') looks++;
      counts.push(looks);
    }
    expect(counts[0]).toBeGreaterThan(40);
    expect(counts[1]).toBeLessThan(10);
  });
});

describe('docs/troubleshooting.md', () => {
  const text = readFileSync(join(ROOT, 'docs/troubleshooting.md'), 'utf8');
  const headings = [...text.matchAll(/^### `(\w+)`$/gm)].map(([, name]) => name);

  it('has a heading for each cause, in the order of the code, and no other', () => {
    expect(headings).toEqual(DIAGNOSIS_CAUSES);
  });

  it('lists each cause in the table at the top', () => {
    const listed = [...text.matchAll(/^\| \[`(\w+)`\]\(#(\w+)\)/gm)];
    expect(listed.map(([, name]) => name)).toEqual(DIAGNOSIS_CAUSES);
    for (const [, name, link] of listed) expect(link).toBe(name);
  });

  it.each(DIAGNOSIS_CAUSES)('says what is seen, why, and what to do: %s', (cause) => {
    const section = text.split(`### \`${cause}\`\n`)[1]?.split(/^##/m)[0] ?? '';
    expect(section).toMatch(/\*\*Seen\.\*\* .+/);
    expect(section).toMatch(/\*\*Why\.\*\* .+/);
    expect(section).toMatch(/\*\*Do\.\*\* .+/);
  });

  it('has code that compiles', () => {
    const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);
    expect(blocks.length).toBeGreaterThan(0);
    const directory = mkdtempSync(join(ROOT, 'node_modules/.troubleshooting-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    symlinkSync(join(ROOT, 'src'), join(directory, 'src'));
    const files = blocks.map((code, index) => {
      const file = join(directory, `block${index}.ts`);
      const local = (code as string)
        .replaceAll("'payproof'", "'./src/index.ts'")
        .replaceAll(/'payproof\/(\w+)'/g, "'./src/$1.ts'");
      writeFileSync(file, local);
      return file;
    });
    const flags =
      '--ignoreConfig --noEmit --strict --module nodenext --target es2022 --lib es2023 --types node --skipLibCheck --allowImportingTsExtensions --exactOptionalPropertyTypes --noUncheckedIndexedAccess';
    execFileSync(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), ...flags.split(' '), ...files],
      { stdio: 'pipe' },
    );
  }, 60_000);
});
