import { gzipSync } from 'node:zlib';
import express5 from 'express';
import express4 from 'express4';
import { koaBody } from 'koa-body';
import koaParser from 'koa-bodyparser';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dexchange, hitpay } from '../../src/index.ts';
import { FRAMEWORKS } from '../servers.ts';
import {
  Client,
  chunk,
  codes,
  dex,
  expectRefused,
  hatex,
  head,
  hitpayEvent,
  hitpayForm,
  isExpress,
  ORDER,
  post,
  SALT,
  SECRET,
  serve,
  until,
} from './support.ts';

const unhandled: unknown[] = [];
const note = (error: unknown) => unhandled.push(error);
const prototype = () => Reflect.ownKeys(Object.prototype).map(String).sort().join();
const clean = prototype();

beforeAll(() => {
  process.on('unhandledRejection', note);
  process.on('uncaughtExceptionMonitor', note);
});
beforeEach(({ onTestFinished }) => {
  onTestFinished(async () => {
    await new Promise(setImmediate);
    expect(unhandled).toEqual([]);
    expect(prototype()).toBe(clean);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});
afterAll(() => {
  process.off('unhandledRejection', note);
  process.off('uncaughtExceptionMonitor', note);
});

const GOOD = hatex().headers['x-hatex-signature'] as string;

describe.each(FRAMEWORKS)('%s: a hostile signature', (framework) => {
  it.each([
    ['zz', 'signature_malformed'],
    ['', 'signature_malformed'],
    [' ', 'signature_malformed'],
    ['0', 'signature_malformed'],
    ['undefined', 'signature_malformed'],
    [`sha256=${GOOD}`, 'signature_malformed'],
    [GOOD.slice(0, 63), 'signature_malformed'],
    [GOOD.slice(0, 62), 'signature_malformed'],
    [`${GOOD}0`, 'signature_malformed'],
    [`${GOOD}00`, 'signature_malformed'],
    [`${GOOD}, ${GOOD}`, 'signature_malformed'],
    [`"${GOOD}"`, 'signature_malformed'],
    [`${GOOD.slice(0, 62)}zz`, 'signature_malformed'],
    [`${GOOD.slice(0, 62)}\u00e9\u00e9`, 'signature_malformed'],
    [Buffer.from(GOOD, 'hex').toString('base64'), 'signature_malformed'],
    ['0'.repeat(64), 'signature_mismatch'],
    ['f'.repeat(64), 'signature_mismatch'],
    ['a'.repeat(8_000), 'signature_malformed'],
  ])('403 for "%s"', async (signature, code) => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const answer = await post(app, {
      headers: { ...headers, 'x-hatex-signature': signature },
      body,
    });
    expectRefused(app, answer, 403, code);
    // The process and the server go on.
    expect((await post(app, hatex())).status).toBe(200);
  });

  it('403 for the right signature sent twice', async () => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const doubled = `${GOOD}\r\nX-Hatex-Signature: ${GOOD}`;
    const answer = await post(app, { headers: { ...headers, 'x-hatex-signature': doubled }, body });
    expectRefused(app, answer, 403, 'signature_malformed');
  });

  it('403 for a right and a wrong signature, in either order', async () => {
    const wrong = '0'.repeat(64);
    for (const pair of [
      [GOOD, wrong],
      [wrong, GOOD],
    ]) {
      const app = await serve(framework);
      const { headers, body } = hatex();
      const doubled = pair.join('\r\nX-Hatex-Signature: ');
      const answer = await post(app, {
        headers: { ...headers, 'x-hatex-signature': doubled },
        body,
      });
      expectRefused(app, answer, 403, 'signature_malformed');
    }
  });

  it('403 for a timestamp sent twice', async () => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const answer = await post(app, {
      headers: { ...headers, 'x-hatex-timestamp': '1785067200\r\nX-Hatex-Timestamp: 1785067200' },
      body,
    });
    expectRefused(app, answer, 403, 'timestamp_invalid');
  });

  it('403 for an hmac that is a list, an object or empty', async () => {
    const genuine = hitpayForm();
    const [fields, signature] = String(genuine.body).split('&hmac=');
    for (const [tail, status, code] of [
      [`&hmac=${signature}&hmac=${signature}`, 403, 'field_ambiguous'],
      ['&hmac=', 403, 'signature_malformed'],
      ['&hmac=zz', 403, 'signature_malformed'],
      ['', 403, 'signature_missing'],
      [`&hmac[]=${signature}`, 400, 'body_malformed'],
      [`&hmac[x]=${signature}`, 400, 'body_malformed'],
    ] as const) {
      const app = await serve(framework, { provider: hitpay({ salt: SALT }) });
      const answer = await post(app, { ...genuine, body: fields + tail });
      expectRefused(app, answer, status, code);
    }
  });
});

describe.each(FRAMEWORKS)('%s: a hostile body', (framework) => {
  const providers = [hitpay({ salt: SALT })];
  const brackets = '['.repeat(20_000);
  const nested = `{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`;

  it.each([
    ['20 KB of [', brackets],
    ['deeply nested arrays', nested],
    ['deeply nested objects', `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`],
    ['an array', '[1]'],
    ['null', 'null'],
    ['a number', '1'],
    ['a byte order mark', '\ufeff{"event":"ping"}'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    [
      'a lone surrogate in CESU-8',
      Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d]),
    ],
    ['NUL bytes', Buffer.alloc(1_000)],
  ])('400 for %s, signed; 403 unsigned', async (_, body) => {
    const signed = await serve(framework);
    expectRefused(signed, await post(signed, hatex(body)), 400, 'body_malformed');
    const unsigned = await serve(framework);
    expectRefused(unsigned, await post(unsigned, hatex(body, 'other')), 403, 'signature_mismatch');
    const missing = await serve(framework);
    const { 'x-hatex-signature': _signature, ...headers } = hatex(body).headers;
    expectRefused(missing, await post(missing, { headers, body }), 403, 'signature_missing');
  });

  it('400 for 20 KB of [ where the token is in the URL', async () => {
    const app = await serve(framework, { provider: dexchange({ token: { secret: SECRET } }) });
    const answer = await post(app, { ...dex(), body: brackets });
    expectRefused(app, answer, 400, 'body_malformed');
  });

  it('400 for 20 KB of [ in an authentic event of HitPay', async () => {
    const app = await serve(framework, { provider: providers });
    expectRefused(app, await post(app, hitpayEvent(brackets)), 400, 'body_malformed');
  });

  it('400 and a report for an object of 45,000 levels that a parser left', async () => {
    const levels = 45_000;
    const deep = `{"event":"payment.success","more":${'['.repeat(levels)}${']'.repeat(levels)}}`;
    const parser = isExpress(framework)
      ? (framework === 'express4' ? express4 : express5).json()
      : koaBody();
    const provider = dexchange({ token: { secret: SECRET } });
    for (const [setup, sent] of [
      [{}, hatex(deep)],
      [{}, { ...hatex(deep), headers: hatex().headers }],
      [{ provider }, { ...dex(), body: deep }],
    ] as const) {
      const rejected: string[] = [];
      const app = await serve(framework, {
        ...setup,
        before: [parser],
        options: { onRejected: ({ error }) => rejected.push(error.code) },
      });
      expectRefused(app, await post(app, sent), 400, 'body_malformed');
      await until(() => rejected.length > 0);
      expect(rejected).toEqual(['body_malformed']);
    }
  });

  it.each([
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
  ])('takes %s in authentic JSON for a field like any other', async (name) => {
    const app = await serve(framework);
    const text = `{"${name}":{"polluted":1},"event":"payment.success","data":{"${name}":{"polluted":1}}}`;
    const answer = await post(app, hatex(text));
    expect(answer.status).toBe(200);
    expect(JSON.stringify(app.events[0]?.payload)).toBe(text);
  });

  it.each([
    'constructor',
    'toString',
    'hasOwnProperty',
  ])('finds no header %s that was not sent', async (header) => {
    const app = await serve(framework, {
      provider: dexchange({ bearer: { token: SECRET, header } }),
    });
    expectRefused(app, await post(app, dex()), 403, 'token_missing');
    const sent = dex();
    const answer = await post(app, { ...sent, headers: { ...sent.headers, [header]: SECRET } });
    expect([answer.status, app.events.length]).toEqual([200, 1]);
  });

  it.each([
    '__proto__',
    '__proto__[polluted]',
    'constructor[prototype][polluted]',
  ])('refuses %s in a form', async (name) => {
    const app = await serve(framework, { provider: hitpay({ salt: SALT }) });
    const { headers, body } = hitpayForm(
      Object.fromEntries([...Object.entries(ORDER), [name, '1']]),
    );
    const answer = await post(app, { headers, body });
    expect([answer.status, app.events]).toEqual([name.includes('[') ? 400 : 403, []]);
    expect(codes(app)).toEqual([name.includes('[') ? 'body_malformed' : 'field_ambiguous']);
  });

  it('400 for a form of 65 fields, of bad escapes, of control characters', async () => {
    for (const body of [
      Array.from({ length: 65 }, (_, n) => `f${n}=1`).join('&'),
      'a=%zz',
      'a=%ff',
      'a=%00',
      '=1',
      'a',
      '',
      '&'.repeat(20_000),
    ]) {
      const app = await serve(framework, { provider: hitpay({ salt: SALT }) });
      const answer = await post(app, { ...hitpayForm(), body });
      expectRefused(app, answer, 400, 'body_malformed');
    }
  });

  it('415 for a compressed bomb, which no inflater sees', async () => {
    const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024, 0x20));
    const sent = hatex(bomb);
    for (const encoding of ['gzip', 'x-gzip', 'deflate', 'br', 'gzip, gzip']) {
      const app = await serve(framework);
      const before = process.memoryUsage().rss;
      const answer = await post(app, {
        ...sent,
        headers: { ...sent.headers, 'content-encoding': encoding },
      });
      expectRefused(app, answer, 415, 'content_encoding_unsupported');
      expect(process.memoryUsage().rss - before).toBeLessThan(20 * 1024 * 1024);
    }
  });

  it('415 for a compressed delivery that a parser before inflated', async () => {
    const parser = isExpress(framework)
      ? (framework === 'express4' ? express4 : express5).json()
      : koaParser();
    const app = await serve(framework, { before: [parser] });
    const { headers, body } = hatex();
    const answer = await post(app, {
      headers: { ...headers, 'content-encoding': 'gzip' },
      body: gzipSync(body),
    });
    expectRefused(app, answer, 415, 'content_encoding_unsupported');
  });
});

describe.each(FRAMEWORKS)('%s: hostile HTTP', (framework) => {
  it.each([
    ['a chunk size that is no number', 'zz\r\n'],
    ['a negative chunk size', '-1\r\n'],
    ['a chunk size beyond 64 bits', 'fffffffffffffffff\r\n'],
    ['a chunk longer than its size', '1\r\nabc\r\n0\r\n\r\n'],
  ])('400 for %s; body_aborted', async (_, chunks) => {
    const app = await serve(framework);
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...hatex().headers, 'transfer-encoding': 'chunked' } }));
    const answer = await client.send(chunk('{')).send(chunks).answer();
    expect(answer.status).toBe(400);
    await until(() => app.nexts === 1);
    expect(codes(app)).toEqual(['body_aborted']);
    expect(app.events).toEqual([]);
    expect((await post(app, hatex())).status).toBe(200);
  });

  it.each([
    ['Content-Length twice', { 'content-length': '2\r\nContent-Length: 3' }],
    ['Content-Length and chunked', { 'content-length': '2', 'transfer-encoding': 'chunked' }],
    ['a Content-Length that is no number', { 'content-length': '2x' }],
    ['a negative Content-Length', { 'content-length': '-2' }],
  ])('400 for %s, before payproof', async (_, extra) => {
    const app = await serve(framework);
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...hatex().headers, ...extra } }));
    expect((await client.send('{}').answer()).status).toBe(400);
    expect([app.nexts, app.events]).toEqual([0, []]);
    expect((await post(app, hatex())).status).toBe(200);
  });

  it('431 for 100 KB of headers, before payproof', async () => {
    const app = await serve(framework);
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...hatex().headers, 'x-flood': 'x'.repeat(100_000) } }));
    expect((await client.answer()).status).toBe(431);
    expect([app.nexts, app.events]).toEqual([0, []]);
    expect((await post(app, hatex())).status).toBe(200);
  });

  it('serves or refuses a delivery with 900 headers, as any other', async () => {
    const app = await serve(framework);
    const flood = Object.fromEntries(Array.from({ length: 900 }, (_, n) => [`h${n}`, '']));
    const good = hatex();
    expect((await post(app, { ...good, headers: { ...flood, ...good.headers } })).status).toBe(200);
    app.events.length = 0;
    const bad = await post(app, {
      ...good,
      headers: { ...flood, ...good.headers, 'x-hatex-signature': 'zz' },
    });
    expect([bad.status, codes(app), app.events]).toEqual([403, ['signature_malformed'], []]);
  });

  it('refuses a delivery whose own headers are beyond those that Node keeps', async () => {
    const app = await serve(framework);
    const flood = Object.fromEntries(Array.from({ length: 1_500 }, (_, n) => [`h${n}`, '']));
    const good = hatex();
    const answer = await post(app, { ...good, headers: { ...flood, ...good.headers } });
    expectRefused(app, answer, 415, 'content_type_unsupported');
  });

  it('judges the path and query as sent, however odd', async () => {
    const provider = dexchange({ token: { secret: SECRET } });
    const { path = '', ...sent } = dex();
    const token = path.slice(path.indexOf('=') + 1);
    for (const query of [
      `?payproof=${token}&payproof=${token}`,
      `?payproof[]=${token}`,
      `?payproof=`,
      `?payproof=${token}%00`,
      `?payproof=${token.toLowerCase()}`,
      `?__proto__[payproof]=${token}`,
      `?x=${'y'.repeat(8_000)}`,
      '?payproof=%ff%zz',
    ]) {
      const app = await serve(framework, { provider });
      const answer = await post(app, { ...sent, path: `/webhook${query}` });
      expect(answer.status).toBe(403);
      expect(codes(app)).toEqual([expect.stringMatching(/^token_(missing|mismatch)$/)]);
      expect(app.events).toEqual([]);
    }
  });

  it('judges a header that Node keeps the first of', async () => {
    const app = await serve(framework, { provider: dexchange({ bearer: { token: SECRET } }) });
    const { headers, body } = dex();
    const authorization = 'Bearer wrong\r\nAuthorization: Bearer wrong too';
    const answer = await post(app, { headers: { ...headers, authorization }, body });
    expectRefused(app, answer, 403, 'token_mismatch');
  });
});
