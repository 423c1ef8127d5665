import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { paymentWebhook as expressWebhook } from '../../src/express.ts';
import { readBody } from '../../src/http/body.ts';
import { hatexcard, hitpay } from '../../src/index.ts';
import { paymentWebhook as koaWebhook } from '../../src/koa.ts';
import { FRAMEWORKS } from '../servers.ts';
import {
  Client,
  chunk,
  codes,
  expectRefused,
  hatex,
  head,
  hitpayForm,
  isExpress,
  LAST_CHUNK,
  PAYMENT,
  post,
  SALT,
  SECRET,
  serve,
  tap,
  until,
} from './support.ts';

const CHUNKED = { 'transfer-encoding': 'chunked' };
const UNICODE = { ...PAYMENT, customer_name: 'Jan Batìs 支払い 😀' };

/** A signed body of exactly so many bytes. */
function hatexOf(length: number) {
  const empty = JSON.stringify({ ...PAYMENT, pad: '' });
  return hatex({ ...PAYMENT, pad: 'x'.repeat(length - empty.length) });
}

function listeners(req: NodeJS.EventEmitter): Record<string, number> {
  return Object.fromEntries(
    ['aborted', 'close', 'data', 'end', 'error'].map((name) => [name, req.listenerCount(name)]),
  );
}

describe("a host's own imitation of a request", () => {
  const request = (headers = {}) => Object.assign(new PassThrough(), { headers });
  const read = (req: unknown, bodyTimeout: number) =>
    readBody({ req: req as never, rawBody: undefined, body: undefined }, null, {
      limit: 100,
      bodyTimeout,
      consumedAdvice: '',
    });

  it.each([
    ['closes without a word', undefined],
    ['fails in a way of its own', new Error('the host gave up')],
  ])('body_aborted if it %s', async (_, error) => {
    const req = request();
    const reading = read(req, 5_000);
    req.write('{');
    setTimeout(() => req.destroy(error), 5);
    await expect(reading).rejects.toMatchObject({ code: 'body_aborted' });
    expect(req.listenerCount('close')).toBe(0);
  });

  it('body_aborted if it closes at once', async () => {
    const req = request();
    const reading = read(req, 50);
    req.destroy();
    await expect(reading).rejects.toMatchObject({ code: 'body_aborted' });
  });

  it.each([
    ['body_aborted', 'gone, all there but unread', { complete: true }],
    [
      'body_aborted',
      'gone, not all there, a part read',
      { complete: false, readableDidRead: true },
    ],
    ['body_consumed', 'read and gone', { complete: true, readableDidRead: true }],
  ])('%s if it is %s', (code, _, state) => {
    const req = request();
    for (const [name, value] of Object.entries(state)) Object.defineProperty(req, name, { value });
    req.destroy();
    expect(() => read(req, 50)).toThrow(expect.objectContaining({ code }));
  });

  it('body_malformed if it ends before its length', async () => {
    const req = request({ 'content-length': '5' });
    req.end('{}');
    await expect(read(req, 5_000)).rejects.toMatchObject({ code: 'body_malformed' });
  });
});

describe.each(FRAMEWORKS)('%s: the unread stream', (framework) => {
  it.each([1, 2, 3, 7, 64])('is read in chunks of %i bytes, UTF-8 cut or not', async (size) => {
    const app = await serve(framework);
    const { headers, body } = hatex(UNICODE);
    const bytes = Buffer.from(body as string);
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...headers, ...CHUNKED } }));
    for (let at = 0; at < bytes.length; at += size) {
      client.send(chunk(bytes.subarray(at, at + size)));
    }
    const answer = await client.send(LAST_CHUNK).answer();
    expect(answer.status).toBe(200);
    expect(app.events[0]?.customer.name).toBe(UNICODE.customer_name);
    expect(app.nexts).toBe(1);
  });

  it('is read when every byte is a packet of its own', async () => {
    const app = await serve(framework);
    const { headers, body } = hatex(UNICODE);
    const bytes = Buffer.from(body as string);
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...headers, 'content-length': `${bytes.length}` } }));
    for (const byte of bytes) {
      client.send(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    expect((await client.answer()).status).toBe(200);
    expect(app.events[0]?.customer.name).toBe(UNICODE.customer_name);
  });

  it('is read after 100 Continue', async () => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const client = await Client.open(app.port);
    const length = `${(body as string).length}`;
    client.send(
      head({ headers: { ...headers, 'content-length': length, expect: '100-continue' } }),
    );
    await until(() => client.received.startsWith('HTTP/1.1 100 Continue\r\n\r\n'));
    expect((await client.send(body).answer()).status).toBe(200);
  });

  it.each([
    1_000, 20_000, 200_000,
  ])('is read, %i bytes, where somebody has paused it', async (length) => {
    const app = await serve(framework, {
      before: [
        tap(framework, async (req) => {
          req.pause();
          await new Promise(setImmediate);
        }),
      ],
      options: { bodyTimeout: 2_000 },
    });
    expect((await post(app, hatexOf(length))).status).toBe(200);
  });

  it('leaves the connection to the next delivery, after an acceptance and after a refusal', async () => {
    const app = await serve(framework);
    const client = await Client.open(app.port);
    for (const [index, sent] of [hatex(), hatex(PAYMENT, 'other'), hatex()].entries()) {
      const headers = { ...sent.headers, 'content-length': `${sent.body.length}` };
      client.send(head({ headers }, 'keep-alive')).send(sent.body);
      expect((await client.answer(index)).status).toBe(index === 1 ? 403 : 200);
    }
    expect(codes(app)).toEqual(['signature_mismatch']);
    expect(app.events).toHaveLength(2);
    client.socket.destroy();
  });

  it('leaves req.rawBody as the bytes and req.body as the payload', async () => {
    const seen: unknown[] = [];
    const app = await serve(framework, {
      handler: (_event, { body, rawBody }) => seen.push(body, rawBody),
    });
    const sent = hatex(UNICODE);
    expect((await post(app, sent)).status).toBe(200);
    expect(seen).toEqual([UNICODE, Buffer.from(sent.body as string)]);
  });

  it('is known as read to the parsers of Express 4', async () => {
    if (!isExpress(framework)) return;
    const seen: unknown[] = [];
    const after = [tap(framework, (req) => seen.push(req._body))];
    const app = await serve(framework, { after });
    expect((await post(app, hatex())).status).toBe(200);
    expect(seen).toEqual([true]);
  });

  it('leaves a body that was there', async () => {
    const seen: unknown[] = [];
    const app = await serve(framework, {
      before: [
        tap(framework, (_req, _res, request) => {
          request.body = { mine: true };
        }),
      ],
      handler: (_event, { body }) => seen.push(body),
    });
    expect((await post(app, hatex())).status).toBe(200);
    expect(seen).toEqual([{ mine: true }]);
  });

  it('leaves no timer running', async () => {
    const timers = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const app = await serve(framework);
    await post(app, hatex());
    const before = timers();
    for (let n = 0; n < 10; n++) await post(app, hatex());
    expect(timers()).toBeLessThan(before + 5);
  });

  it('leaves no listener on the request', async () => {
    const counts: unknown[] = [];
    const app = await serve(framework, {
      before: [tap(framework, (req) => counts.push(listeners(req)))],
      handler: (_event, _request, { req }) => counts.push(listeners(req)),
    });
    await post(app, hatex());
    expect(counts[1]).toEqual(counts[0]);
  });
});

describe.each(FRAMEWORKS)('%s: limit', (framework) => {
  const limit = 300;
  const send = async (length: number, declared: boolean) => {
    const app = await serve(framework, { options: { limit } });
    const { headers, body } = hatexOf(length);
    const client = await Client.open(app.port);
    if (declared) {
      client.send(head({ headers: { ...headers, 'content-length': `${length}` } })).send(body);
    } else {
      client.send(head({ headers: { ...headers, ...CHUNKED } }));
      client
        .send(chunk(body.slice(0, 100)))
        .send(chunk(body.slice(100)))
        .send(LAST_CHUNK);
    }
    return { app, answer: await client.answer() };
  };

  it.each([true, false])('accepts a body of exactly the limit (declared: %s)', async (declared) => {
    const { app, answer } = await send(limit, declared);
    expect(answer.status).toBe(200);
    expect(app.events).toHaveLength(1);
  });

  it.each([true, false])('413 for one byte more (declared: %s)', async (declared) => {
    const { app, answer } = await send(limit + 1, declared);
    expectRefused(app, answer, 413, 'body_too_large');
  });

  it('413 for a declared length before any byte of the body', async () => {
    const app = await serve(framework, { options: { limit } });
    const client = await Client.open(app.port);
    const headers = { ...hatex().headers, 'content-length': `${limit + 1}` };
    const started = performance.now();
    const answer = await client.send(head({ headers }, 'keep-alive')).answer();
    expect(performance.now() - started).toBeLessThan(100);
    expectRefused(app, answer, 413, 'body_too_large');
    expect(answer.headers.connection).toBe('close');
  });

  it('is 256 KB by default', async () => {
    const app = await serve(framework);
    expect((await post(app, hatexOf(256 * 1024))).status).toBe(200);
    app.events.length = 0;
    const client = await Client.open(app.port);
    const headers = { ...hatex().headers, 'content-length': `${256 * 1024 + 1}` };
    expect((await client.send(head({ headers })).answer()).status).toBe(413);
    expect(codes(app)).toEqual(['body_too_large']);
  });
});

describe.each(FRAMEWORKS)('%s: a body that does not end well', (framework) => {
  it('408 after bodyTimeout if it stalls, and the connection ends', async () => {
    const app = await serve(framework, { options: { bodyTimeout: 60 } });
    const { headers, body } = hatex();
    const client = await Client.open(app.port);
    const started = performance.now();
    client.send(head({ headers: { ...headers, 'content-length': '1000' } }, 'keep-alive'));
    const answer = await client.send(body.slice(0, 20)).answer();
    const took = performance.now() - started;
    expect(took).toBeGreaterThan(50);
    expect(took).toBeLessThan(1_000);
    expectRefused(app, answer, 408, 'body_timeout');
    expect(answer.headers.connection).toBe('close');
    await client.closed;
    expect(performance.now() - started).toBeLessThan(1_750);
  });

  it('408 after bodyTimeout if it trickles', async () => {
    const app = await serve(framework, { options: { bodyTimeout: 80 } });
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...hatex().headers, ...CHUNKED } }));
    const trickle = setInterval(() => client.send(chunk(' ')), 10);
    const answer = await client.answer();
    clearInterval(trickle);
    expectRefused(app, answer, 408, 'body_timeout');
    client.socket.destroy();
  });

  it('body_aborted if the sender goes away, next once, no listener left', async () => {
    const requests: NodeJS.EventEmitter[] = [];
    const counts: Record<string, number>[] = [];
    const app = await serve(framework, {
      before: [
        tap(framework, (req) => {
          requests.push(req);
          counts.push(listeners(req));
        }),
      ],
    });
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...hatex().headers, 'content-length': '1000' } })).send('{');
    await until(() => requests.length === 1 && (requests[0]?.listenerCount('data') ?? 0) > 0);
    client.socket.destroy();
    await until(() => app.errors.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(codes(app)).toEqual(['body_aborted']);
    expect(app.nexts).toBe(1);
    expect(app.events).toEqual([]);
    expect(listeners(requests[0] as NodeJS.EventEmitter)).toMatchObject({
      data: 0,
      aborted: 0,
      error: counts[0]?.error,
    });
  });

  it('body_consumed if somebody has read a part of it', async () => {
    const sent = hatex();
    const app = await serve(framework, {
      before: [
        tap(framework, async (req) => {
          await once(req, 'readable');
          req.read(1);
        }),
      ],
    });
    const client = await Client.open(app.port);
    const headers = { ...sent.headers, 'content-length': `${sent.body.length}` };
    client.send(head({ headers })).send((sent.body as string).slice(0, 10));
    const answer = await client.answer();
    expect((app.errors[0] as Error).message).toContain('move the line');
    expectRefused(app, answer, 500, 'body_consumed');
    client.socket.destroy();
  });

  it('body_aborted if the sender was gone before payproof looked', async () => {
    const app = await serve(framework, {
      before: [
        tap(framework, (req) => new Promise((resolve) => req.socket.once('close', resolve))),
      ],
    });
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...hatex().headers, 'content-length': '1000' } })).send('{');
    await until(() => client.socket.bytesWritten > 0);
    setTimeout(() => client.socket.destroy(), 20);
    await until(() => app.errors.length > 0);
    expect(codes(app)).toEqual(['body_aborted']);
    expect(app.nexts).toBe(1);
  });

  it('body_aborted if the sender was gone, with all it had sent, before payproof looked', async () => {
    const app = await serve(framework, {
      before: [
        tap(framework, (req) => new Promise((resolve) => req.socket.once('close', resolve))),
      ],
    });
    const { headers, body } = hatex();
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...headers, 'content-length': `${body.length}` } })).send(body);
    await until(() => client.socket.bytesWritten > 0);
    setTimeout(() => client.socket.destroy(), 20);
    await until(() => app.errors.length > 0);
    expect(codes(app)).toEqual(['body_aborted']);
  });

  it('400 for fewer bytes than Content-Length', async () => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...headers, 'content-length': `${body.length + 1}` } }));
    client.send(body).socket.end();
    const answer = await client.answer();
    expect(answer.status).toBe(400);
    await until(() => app.errors.length > 0);
    expect(codes(app)).toEqual(['body_aborted']);
    expect(app.nexts).toBe(1);
    expect(app.events).toEqual([]);
  });

  it('400 for more bytes than Content-Length', async () => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...headers, 'content-length': `${body.length - 1}` } }));
    expect((await client.send(body).answer()).status).toBe(400);
    await until(() => app.errors.length > 0);
    expect(codes(app)).toEqual([expect.stringMatching(/^(signature_mismatch|body_aborted)$/)]);
    expect(app.events).toEqual([]);
  });

  it('403 for an empty body', async () => {
    const app = await serve(framework);
    const answer = await post(app, { headers: hatex().headers, body: '' });
    expectRefused(app, answer, 403, 'signature_mismatch');
  });

  it('400 for an authentic body that is no JSON', async () => {
    const app = await serve(framework);
    expectRefused(app, await post(app, hatex('nonsense')), 400, 'body_malformed');
  });
});

describe.each(FRAMEWORKS)('%s: what is refused by the head', (framework) => {
  const provider = hatexcard({ secret: SECRET });

  it.each([
    ['GET', 405],
    ['PUT', 405],
    ['PATCH', 405],
    ['DELETE', 405],
  ])('%s: %i with Allow', async (method) => {
    const app = await serve(framework, { provider });
    const answer = await post(app, { ...hatex(), method });
    expectRefused(app, answer, 405, 'method_not_allowed');
    expect(answer.headers.allow).toBe('POST');
  });

  it.each([
    ['GET', {}],
    ['PUT', { 'content-length': '0' }],
  ])('%s without a body leaves the connection open', async (method, headers) => {
    const app = await serve(framework);
    const client = await Client.open(app.port);
    client.send(head({ method, headers: headers as Record<string, string> }, 'keep-alive'));
    const answer = await client.answer();
    expect(answer.status).toBe(405);
    expect(answer.headers.connection).not.toBe('close');
    client.socket.destroy();
  });

  it('HEAD: 405 with Allow', async () => {
    const app = await serve(framework);
    const client = await Client.open(app.port);
    client.send(head({ method: 'HEAD', headers: {} }));
    await client.closed;
    expect(client.received).toMatch(/^HTTP\/1\.1 405 /);
    expect(client.received).toMatch(/\r\nAllow: POST\r\n/i);
    expect(codes(app)).toEqual(['method_not_allowed']);
  });

  it.each([
    'application/json; charset=utf-8',
    'Application/JSON',
    'APPLICATION/JSON ; Charset="UTF-8"',
    'application/json;',
  ])('accepts the content type %s', async (type) => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const answer = await post(app, { headers: { ...headers, 'content-type': type }, body });
    expect(answer.status).toBe(200);
  });

  it.each([
    'application/x-www-form-urlencoded; charset=utf-8',
    'APPLICATION/X-WWW-FORM-URLENCODED',
  ])('accepts the content type %s', async (type) => {
    const app = await serve(framework, { provider: hitpay({ salt: SALT }) });
    const answer = await post(app, { ...hitpayForm(), headers: { 'content-type': type } });
    expect(answer.status).toBe(200);
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/vnd.api+json',
    'application/json, application/json',
    'application/jsonx',
    '; application/json',
    'json',
    '',
  ])('415 for JSON sent as "%s"', async (type) => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const answer = await post(app, { headers: { ...headers, 'content-type': type }, body });
    expectRefused(app, answer, 415, 'content_type_unsupported');
  });

  it('415 without a content type', async () => {
    const app = await serve(framework);
    const { 'content-type': _, ...headers } = hatex().headers;
    const answer = await post(app, { headers, body: hatex().body });
    expectRefused(app, answer, 415, 'content_type_unsupported');
  });

  it('403 for a form sent as JSON where the provider sends both', async () => {
    const app = await serve(framework, { provider: hitpay({ salt: SALT }) });
    const answer = await post(app, {
      ...hitpayForm(),
      headers: { 'content-type': 'application/json' },
    });
    expectRefused(app, answer, 403, 'signature_missing');
  });

  it('415 for a form where the provider has no salt for forms', async () => {
    const app = await serve(framework, { provider: hitpay({ eventSalt: SALT }) });
    expectRefused(app, await post(app, hitpayForm()), 415, 'content_type_unsupported');
  });

  it('415 for a type that another provider of the list sends', async () => {
    const app = await serve(framework, { provider: [provider, hitpay({ salt: SALT })] });
    const { headers } = hatex();
    const answer = await post(app, {
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'a=b',
    });
    expectRefused(app, answer, 415, 'content_type_unsupported');
  });

  it.each([
    'gzip',
    'deflate',
    'br',
    'GZIP',
    'gzip, identity',
    'x',
  ])('415 for Content-Encoding: %s', async (encoding) => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const answer = await post(app, {
      headers: { ...headers, 'content-encoding': encoding },
      body,
    });
    expectRefused(app, answer, 415, 'content_encoding_unsupported');
  });

  it.each(['identity', 'Identity'])('accepts Content-Encoding: %s', async (encoding) => {
    const app = await serve(framework);
    const { headers, body } = hatex();
    const answer = await post(app, { headers: { ...headers, 'content-encoding': encoding }, body });
    expect(answer.status).toBe(200);
  });
});

describe.each([
  ['express', expressWebhook],
  ['koa', koaWebhook],
] as const)('%s: options', (_, paymentWebhook) => {
  const provider = hatexcard({ secret: SECRET });
  const make = (options: unknown) => () =>
    (paymentWebhook as (...args: unknown[]) => unknown)(provider, options);

  it.each(['limit', 'bodyTimeout'])('%s that bounds nothing throws', (name) => {
    for (const value of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(make({ [name]: value })).toThrow(RangeError);
      expect(make({ [name]: value })).toThrow(name);
    }
    for (const value of ['1mb', '10', null, {}, 10n, true]) {
      if (value === null) continue;
      expect(make({ [name]: value })).toThrow(TypeError);
      expect(make({ [name]: value })).toThrow(name);
    }
  });

  it.each([
    ['limit', 2 ** 30],
    // What a timer takes.
    ['bodyTimeout', 2 ** 31 - 1],
  ])('%s is at most %i', (name, most) => {
    expect(make({ [name]: most })).not.toThrow();
    expect(make({ [name]: most + 1 })).toThrow(RangeError);
  });

  it.each(['limit', 'bodyTimeout'])('%s: undefined is absent, null is wrong', (name) => {
    expect(make({ [name]: undefined })).not.toThrow();
    expect(make({ [name]: null })).toThrow(TypeError);
  });

  it.each(['clock', 'onAccepted', 'onRejected'])('%s must be a function', (name) => {
    for (const value of ['x', 1, {}, true]) {
      expect(make({ [name]: value })).toThrow(TypeError);
      expect(make({ [name]: value })).toThrow(name);
    }
    expect(make({ [name]: undefined })).not.toThrow();
  });

  it('clock must give a date', async () => {
    const app = await serve('express5', { options: { clock: () => new Date(Number.NaN) } });
    expect((await post(app, hatex())).status).toBe(500);
    expect(app.errors[0]).toMatchObject({ message: expect.stringMatching(/^clock: /) });
  });

  it('dedupe must be a store or false', () => {
    for (const value of [true, 'memory', {}, 1, { claim: 1 }]) {
      expect(make({ dedupe: value })).toThrow(TypeError);
      expect(make({ dedupe: value })).toThrow('dedupe');
    }
    expect(make({ dedupe: false })).not.toThrow();
  });

  it('an unknown option throws', () => {
    expect(make({ limits: 10 })).toThrow('paymentWebhook: unknown option "limits"');
    for (const options of [null, 1, 'x']) {
      expect(make(options)).toThrow(TypeError);
    }
  });

  it.each([
    undefined,
    null,
    {},
    'hitpay',
    [],
    [provider, {}],
    [[provider]],
  ])('a provider that is none throws: %j', (value) => {
    const without = () => (paymentWebhook as (provider: unknown) => unknown)(value);
    expect(without).toThrow(TypeError);
    expect(without).toThrow('provider');
  });
});
