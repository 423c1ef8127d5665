import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENTRIES, type Installed, type Packed, pack, project, ROOT, run, TOOLS } from './packed.ts';

const CONSUMERS = join(ROOT, 'test/types/consumers');

/** As strict as a merchant's project can be; the types of the packages are checked as well. */
const STRICT = {
  target: 'ES2022',
  lib: ['ES2023'],
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  skipLibCheck: false,
  noEmit: true,
};

const NODE = ['@types/node'];
const EXPRESS = [...NODE, '@types/express'];
// Without koa and @koa/router themselves, whose own dependencies would stand in the way of the types.
const KOA = [...NODE, '@types/koa', '@koa/router'];

let packed: Packed;

beforeAll(() => {
  packed = pack();
});

afterAll(() => packed?.remove());

/** Makes a project of the given files and compiles it. */
function compile(
  name: string,
  installed: readonly string[] | Installed,
  compilerOptions: object,
  files: Readonly<Record<string, string>>,
): Promise<{ code: number; output: string }> {
  const contents = 'map' in installed ? { copy: installed } : installed;
  const directory = project(packed, name, contents);
  for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text);
  writeFileSync(
    join(directory, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: { ...STRICT, ...compilerOptions },
      files: Object.keys(files),
    }),
  );
  return run(directory, TOOLS.tsc, '-p', '.');
}

/** The consumers of that name in the given kinds: `mts` is ESM, `cts` CommonJS. */
function consumers(names: readonly string[], kinds: readonly ('mts' | 'cts' | 'ts')[]) {
  const files: Record<string, string> = {};
  for (const kind of kinds) {
    for (const name of ['equal', ...names]) {
      const text = readFileSync(join(CONSUMERS, `${name}.ts`), 'utf8');
      files[`${name}.${kind}`] = text.replace('./equal.js', `./equal.${kind.replace('ts', 'js')}`);
    }
  }
  return files;
}

/** Imports every entry but those of the frameworks that are not there. */
function entries(installed: readonly string[]): string {
  return ENTRIES.filter(
    (entry) =>
      (entry !== 'payproof/express' || installed.includes('@types/express')) &&
      (entry !== 'payproof/koa' || installed.includes('@types/koa')),
  )
    .map((entry, index) => `import * as e${index} from '${entry}';\nvoid e${index};\n`)
    .join('');
}

describe('a strict project compiles', () => {
  it.each([
    ['without a framework, in both formats', NODE, ['core'], ['mts', 'cts']],
    ['with Express, as ESM', EXPRESS, ['core', 'express'], ['mts']],
    ['with Express, as CommonJS', EXPRESS, ['core', 'express'], ['cts']],
    ['with Koa, as ESM', KOA, ['core', 'koa'], ['mts']],
    ['with Koa, as CommonJS', KOA, ['core', 'koa'], ['cts']],
    ['with a third party’s provider, in both formats', EXPRESS, ['third-party'], ['mts', 'cts']],
  ] as const)('%s', { timeout: 60_000 }, async (name, installed, files, kinds) => {
    const { code, output } = await compile(
      name,
      installed,
      { module: 'nodenext' },
      {
        ...consumers(files, kinds),
        ...Object.fromEntries(kinds.map((kind) => [`entries.${kind}`, entries(installed)])),
      },
    );
    expect(output).toBe('');
    expect(code).toBe(0);
  });

  it.each([
    ['module commonjs', { module: 'commonjs', esModuleInterop: true }],
    ['for a bundler', { module: 'esnext', verbatimModuleSyntax: true }],
  ])('%s', { timeout: 60_000 }, async (name, options) => {
    const installed = [...EXPRESS, ...KOA];
    const { code, output } = await compile(
      name,
      installed,
      { moduleResolution: 'bundler', ...options },
      { ...consumers(['core', 'express', 'koa'], ['ts']), 'entries.ts': entries(installed) },
    );
    expect(output).toBe('');
    expect(code).toBe(0);
  });
});

describe('the stores take', () => {
  it('better-sqlite3, ioredis, node-redis and pg as they are', { timeout: 60_000 }, async () => {
    const clients = [
      ...['better-sqlite3', '@types/better-sqlite3', 'ioredis', 'redis', 'pg', '@types/pg'],
      ...['@types/node', '@types/express'],
    ];
    const { code, output } = await compile(
      'stores',
      { link: Object.fromEntries(clients.map((name) => [name, name])) },
      // The clients' own types are none of ours.
      { module: 'nodenext', skipLibCheck: true },
      consumers(['stores'], ['mts']),
    );
    expect(output).toBe('');
    expect(code).toBe(0);
  });
});

describe('does not compile', () => {
  /** Stands before every case, and compiles by itself. */
  const PRELUDE = `
    import { assertPaid, callbackUrl, dexchange, hatexcard, hitpay, verify, WebhookError } from 'payproof';
    import type { HitPayEvent, PaymentEvent, Provider, WebhookErrorCode } from 'payproof';
    import { paymentWebhook } from 'payproof/express';
    import { paymentWebhook as koaWebhook } from 'payproof/koa';
    import express from 'express';
    import Router from '@koa/router';
    import Koa from 'koa';
    declare const event: PaymentEvent;
    declare const hitpayEvent: HitPayEvent;
    declare const code: WebhookErrorCode;
    const provider = hitpay({ salt: 's' });
    const body = new Uint8Array();
    const app = express();
    const router = new Router();
    const koa = new Koa();
    export { assertPaid, body, callbackUrl, code, dexchange, event, hatexcard, hitpayEvent, koa, koaWebhook };
    export { app, paymentWebhook, provider, router, verify, WebhookError };
    export type { Provider };
  `;

  /** What a merchant may write by mistake, with the compiler's number for it. */
  const WRONG: readonly [name: string, text: string, error: number][] = [
    ['a misspelt option', `hitpay({ slat: 's' });`, 2353],
    ['an unknown option', `hitpay({ salt: 's', tolerance: 300 });`, 2353],
    ['a number as secret', `hitpay({ salt: 42 });`, 2322],
    ['a number among the secrets', `hitpay({ salt: ['a', 42] });`, 2322],
    ['a named secret without id', `hitpay({ salt: { value: 'a' } });`, 2322],
    ['notAfter that is no Date', `hitpay({ salt: { id: 'a', value: 'a', notAfter: 1 } });`, 2322],
    ['no options', `hitpay();`, 2554],
    ['no secret', `hatexcard({});`, 2345],
    ['text as tolerance', `hatexcard({ secret: 's', tolerance: '300' });`, 2322],
    ['an unknown scheme', `hatexcard({ secret: 's', schemes: ['timestampd'] });`, 2820],
    ['one scheme instead of a list', `hatexcard({ secret: 's', schemes: 'body' });`, 2322],
    ['a bare token', `dexchange({ token: 's' });`, 2322],
    ['a signature without its header', `dexchange({ signature: { secret: 's' } });`, 2741],
    ['confirm without an API key', `dexchange({ token: { secret: 's' }, confirm: {} });`, 2741],

    ['an unknown type', `event.type === 'payment.paid';`, 2367],
    ['an unknown provider', `event.provider === 'paypal';`, 2367],
    ['an unknown scheme of HitPay', `hitpayEvent.scheme === 'hitpay/json';`, 2367],
    ['an unknown trust', `event.trust === 'verified';`, 2367],
    ['a misspelt field', `event.refernce;`, 2551],
    ['an amount that may be null', `event.amount.value;`, 18047],
    ['minor units that may be null', `if (event.amount) event.amount.minorUnits + 1;`, 18047],
    ['an amount as a number', `if (event.amount) { const n: number = event.amount.value; }`, 2322],
    ['a reference that may be null', `event.reference.length;`, 18047],
    ['a time that may be null', `event.occurredAt.getTime();`, 18047],
    ['a payload before narrowing', `event.payload.externalTransactionId;`, 2339],
    [
      'a misspelt payload field after narrowing',
      `if (event.provider === 'dexchange') event.payload.externalTransactionID;`,
      2551,
    ],
    [
      'another provider’s payload field',
      `if (event.provider === 'hatexcard') event.payload.externalTransactionId;`,
      2339,
    ],
    ['a form’s field before narrowing HitPay’s scheme', `hitpayEvent.payload.payment_id;`, 2339],
    [
      'a JSON body’s field in a form',
      `if (hitpayEvent.scheme === 'hitpay/form') hitpayEvent.payload.recurring_billing;`,
      2551,
    ],

    ['text as body', `verify(provider, { headers: {}, body: 'a=1' });`, 2322],
    ['a parsed body', `verify(provider, { headers: {}, body: { a: 1 } });`, 2353],
    ['no headers', `verify(provider, { body });`, 2345],
    ['a misspelt input', `verify(provider, { headers: {}, body, recievedAt: new Date() });`, 2561],
    ['a number as time', `verify(provider, { headers: {}, body, receivedAt: 1 });`, 2322],
    ['a provider’s name', `verify('hitpay', { headers: {}, body });`, 2345],
    [
      'another provider’s event',
      `const e: HitPayEvent = verify(hatexcard({ secret: 's' }), { headers: {}, body });`,
      2375,
    ],

    ['an order without currency', `assertPaid(event, { reference: 'a', amount: 1 });`, 2345],
    [
      'an order without reference',
      `assertPaid(event, { reference: null, amount: 1, currency: 'SGD' });`,
      2322,
    ],
    ['a callback URL without secret', `callbackUrl('https://shop.example', '1');`, 2554],
    ['an unknown code', `new WebhookError('nope');`, 2345],
    ['an unknown code compared', `code === 'signature_wrong';`, 2367],

    ['Express: no provider', `paymentWebhook();`, 2554],
    ['Express: a name as provider', `paymentWebhook('hitpay');`, 2345],
    ['Express: a factory that was not called', `paymentWebhook(hitpay);`, 2345],
    ['Express: no provider in the list', `paymentWebhook([{ salt: 's' }]);`, 2353],
    ['Express: a function of text', `paymentWebhook(() => 'hitpay');`, 2345],
    ['Express: a misspelt option', `paymentWebhook(provider, { limt: 1 });`, 2561],
    ['Express: text as limit', `paymentWebhook(provider, { limit: '1mb' });`, 2322],
    ['Express: true as store', `paymentWebhook(provider, { dedupe: true });`, 2322],
    [
      'Express: a misspelt field of the event',
      `app.post('/', paymentWebhook(provider), (req) => { req.paymentEvent.refernce; });`,
      2551,
    ],
    [
      'Express: the event as something else',
      `app.post('/', paymentWebhook(provider), (req) => { const n: number = req.paymentEvent; });`,
      2322,
    ],
    ['Express: on the whole application', `paymentWebhook(provider)(app);`, 2554],

    ['Koa: no provider', `koaWebhook();`, 2554],
    ['Koa: a factory that was not called', `koaWebhook(hitpay);`, 2345],
    ['Koa: a misspelt option', `koaWebhook(provider, { limt: 1 });`, 2561],
    ['Koa: in an Express application', `app.post('/', koaWebhook(provider));`, 2769],
    ['Koa: Express’ in its place', `koa.use(paymentWebhook(provider));`, 2345],
    [
      'Koa: a misspelt field of the event',
      `koa.use(koaWebhook(provider)); koa.use((ctx) => { ctx.state.paymentEvent.refernce; });`,
      2551,
    ],
    [
      'Koa: a misspelt field of the event, behind a router',
      `router.post('/', koaWebhook(provider), (ctx) => { ctx.state.paymentEvent.refernce; });`,
      2551,
    ],
    [
      'Koa: the event as something else, behind a router',
      `router.post('/', koaWebhook(provider), (ctx) => { const n: number = ctx.state.paymentEvent; });`,
      2322,
    ],

    [
      'a third party’s provider without recognizes',
      `const p: Provider = { name: 'p', contentTypes: [], authenticate: () => event };`,
      2741,
    ],
    [
      'a third party’s provider whose events lack a field',
      `const p: Provider = { name: 'p', contentTypes: [], recognizes: () => true, authenticate: () => ({ provider: 'p' }) };`,
      2740,
    ],
    [
      'a third party’s provider under another name than its events',
      `const p: Provider<HitPayEvent> = { ...provider, name: 'other' };`,
      2322,
    ],
    ['what is not exported', `import { hmacSha256 } from 'payproof';`, 2305],
    ['a deep import', `import { money } from 'payproof/core/money';`, 2307],
    ['the build’s own path', `import { money } from 'payproof/dist/core/money.js';`, 2307],
  ];

  let output = '';

  beforeAll(async () => {
    const files = Object.fromEntries(
      WRONG.map(([, text], index) => [`wrong-${index}.mts`, `${PRELUDE}\n${text}\n`]),
    );
    ({ output } = await compile(
      'wrong',
      [...EXPRESS, ...KOA],
      { module: 'nodenext', skipLibCheck: true },
      { ...files, 'prelude.mts': PRELUDE },
    ));
  }, 60_000);

  it('but what stands before every case does', () => {
    expect(output.split('\n').filter((line) => line.startsWith('prelude.mts'))).toEqual([]);
  });

  it.each(
    WRONG.map(([name, , error], index) => [name, index, error] as const),
  )('%s', (_, index, error) => {
    const line = PRELUDE.split('\n').length + 1;
    const errors = output.split('\n').filter((text) => text.startsWith(`wrong-${index}.mts(`));
    expect(errors.join('\n')).toContain(`error TS${error}:`);
    for (const text of errors) expect(text).toMatch(new RegExp(`\\(${line},\\d+\\)`));
  });
});
