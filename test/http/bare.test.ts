import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  connect,
  constants,
  createServer as createHttp2Server,
  type Http2Server,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DedupeStore } from '../../src/dedupe.ts';
import { paymentWebhook as expressWebhook } from '../../src/express.ts';
import { hatexcard, isWebhookError } from '../../src/index.ts';
import { paymentWebhook as koaWebhook } from '../../src/koa.ts';
import { memoryStore } from '../../src/memory.ts';
import { hatex, PAYMENT, SECRET, until } from './support.ts';

const provider = hatexcard({ secret: SECRET });

describe('the Express middleware on a bare node:http server', () => {
  it('serves and refuses, with the path of req.url for the log', async () => {
    const paths: string[] = [];
    const middleware = expressWebhook(provider, {
      dedupe: false,
      onRejected: ({ request }) => paths.push(request.path),
    });
    const server = createServer((req, res) => {
      middleware(req, res, (error) => {
        res.statusCode = isWebhookError(error) ? error.status : 200;
        res.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/bare?private`;
    const send = async ({ headers, body }: ReturnType<typeof hatex>) =>
      (await fetch(url, { method: 'POST', headers, body: String(body) })).status;
    expect(await send(hatex())).toBe(200);
    expect(await send(hatex(PAYMENT, 'other'))).toBe(403);
    await new Promise(setImmediate);
    expect(paths).toEqual(['/bare']);
  });
});

describe('the Express middleware where it cannot hand over', () => {
  /** Serves with a fault, and tells what `next` was called with. */
  async function serveWith(fault: (req: IncomingMessage, res: ServerResponse) => void) {
    const nexts: unknown[] = [];
    const middleware = expressWebhook(provider);
    const server = createServer((req, res) => {
      const { writeHead } = res;
      fault(req, res);
      middleware(req, res, (error) => {
        nexts.push(error);
        res.writeHead = writeHead;
        res.writeHead(error === undefined ? 200 : 500).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const { headers, body } = hatex();
    const post = async () =>
      (await fetch(url, { method: 'POST', headers, body: String(body) })).status;
    return { nexts, post };
  }

  it('calls next once, with the error, for a request whose properties cannot be set', async () => {
    const { nexts, post } = await serveWith((req) => {
      Object.defineProperty(req, 'rawBody', { get: () => undefined });
    });
    expect(await post()).toBe(500);
    expect(nexts).toEqual([expect.any(TypeError)]);
  });

  it('calls next once, with the error, where the answer to a redelivery fails', async () => {
    let isPatched = false;
    const { nexts, post } = await serveWith((_, res) => {
      if (!isPatched) return;
      res.writeHead = () => {
        throw new RangeError('another middleware has patched the response');
      };
    });
    expect(await post()).toBe(200);
    isPatched = true;
    expect(await post()).toBe(500);
    expect(nexts).toEqual([undefined, expect.any(RangeError)]);
  });
});

describe('Koa on HTTP/2', () => {
  const ask = (server: Http2Server, method: string, sent: ReturnType<typeof hatex>) =>
    new Promise<number>((resolve, reject) => {
      const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      onTestFinished(() => session.destroy());
      const stream = session.request({ ':method': method, ':path': '/', ...sent.headers });
      stream.once('error', reject);
      stream.once('response', (headers) => resolve(Number(headers[':status'])));
      if (method === 'POST') stream.end(sent.body);
      else stream.write(sent.body);
    });

  it('serves, refuses, and answers an upload that goes on, without Connection: close', async () => {
    const codes: unknown[] = [];
    const app = new Koa();
    app.on('error', (error) => codes.push(error.code));
    app.use(koaWebhook(provider, { dedupe: false }) as unknown as Koa.Middleware);
    app.use((ctx) => {
      ctx.status = 204;
    });
    const server = createHttp2Server(app.callback());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    expect(await ask(server, 'POST', hatex())).toBe(204);
    expect(await ask(server, 'POST', hatex(PAYMENT, 'other'))).toBe(403);
    const { headers, body } = hatex();
    const upload = { headers: { ...headers, 'content-length': '1000' }, body };
    expect(await ask(server, 'PUT', upload)).toBe(405);
    expect(codes).toEqual(['signature_mismatch', 'method_not_allowed']);
  });

  it('releases what a sender reset while the store was asked', async () => {
    const memory = memoryStore();
    const calls: string[] = [];
    let go = () => {};
    const asked = new Promise<void>((resolve) => {
      go = resolve;
    });
    const store: DedupeStore = {
      ...memory,
      claim: async (claim) => {
        calls.push('claim');
        await asked;
        return memory.claim(claim);
      },
      release: (...args) => {
        calls.push('release');
        return memory.release(...args);
      },
    };
    const app = new Koa();
    const codes: unknown[] = [];
    app.on('error', (error) => codes.push(error.code));
    app.use(koaWebhook(provider, { dedupe: store }) as unknown as Koa.Middleware);
    app.use((ctx) => {
      calls.push('handler');
      ctx.status = 204;
    });
    const server = createHttp2Server(app.callback());
    let closed = 0;
    server.on('stream', (stream) => stream.once('close', () => closed++));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => session.destroy());
    const { headers, body } = hatex();
    const stream = session.request({ ':method': 'POST', ':path': '/', ...headers });
    stream.on('error', () => {});
    stream.end(body);
    await until(() => calls.length === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    await until(() => closed === 1);
    go();
    await until(() => calls.includes('release'));
    expect(calls).toEqual(['claim', 'release']);
    expect(await ask(server, 'POST', hatex())).toBe(204);
  });

  it('takes no more of an upload over the limit, however late the answer', async () => {
    const app = new Koa();
    app.on('error', () => {});
    app.use(async (ctx, next) => {
      await next().catch(async (error) => {
        await new Promise((resolve) => setTimeout(resolve, 200));
        ctx.status = error.status;
      });
    });
    app.use(koaWebhook(provider, { dedupe: false, limit: 16_384 }) as unknown as Koa.Middleware);
    const server = createHttp2Server(app.callback());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => session.destroy());
    const stream = session.request({ ':method': 'POST', ':path': '/', ...hatex().headers });
    stream.on('error', () => {});
    let taken = 0;
    const block = Buffer.alloc(16_384, 0x20);
    const pump = (): void => {
      if (stream.destroyed || !stream.writable) return;
      stream.write(block, () => {
        taken += block.length;
        setImmediate(pump);
      });
    };
    pump();
    const status = await new Promise((resolve) =>
      stream.once('response', (answer) => resolve(answer[':status'])),
    );
    expect(status).toBe(413);
    // Some windows, and not megabytes.
    expect(taken).toBeLessThan(512 * 1024);
  });

  it.each([
    ['that is over the limit', 'POST', 413, 'body_too_large', 4_096],
    // A window at once: some of it is unread when the answer is out.
    ['that is far over the limit', 'POST', 413, 'body_too_large', 65_535],
    ['of a wrong method', 'PUT', 405, 'method_not_allowed', 65_535],
    ['that stalls', 'POST', 408, 'body_timeout', 4_096],
  ])('closes the stream of an upload %s after the answer', async (_, method, status, code, size) => {
    const codes: unknown[] = [];
    const app = new Koa();
    app.on('error', (error) => codes.push(error.code));
    app.use(
      koaWebhook(provider, {
        dedupe: false,
        limit: 16_384,
        bodyTimeout: status === 408 ? 50 : 5_000,
      }) as unknown as Koa.Middleware,
    );
    const server = createHttp2Server(app.callback());
    const closed: unknown[] = [];
    server.on('stream', (stream) => stream.once('close', () => closed.push(stream.rstCode)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => session.destroy());
    const { headers } = hatex();
    const stream = session.request({ ':method': method, ':path': '/', ...headers });
    stream.on('error', () => {});
    let sent = 0;
    const block = Buffer.alloc(size, 0x20);
    const sending = setInterval(() => {
      if (status === 408 && sent > 0) return;
      if (stream.destroyed || !stream.writable) return;
      stream.write(block);
      sent += block.length;
    }, 2);
    onTestFinished(() => clearInterval(sending));
    let body = '';
    stream.setEncoding('utf8').on('data', (text) => (body += text));
    const answered = new Promise((resolve) =>
      stream.once('response', (answer) => resolve(answer[':status'])),
    );
    const ended = new Promise<void>((resolve) => stream.once('end', resolve));
    expect(await answered).toBe(status);
    await ended;
    await until(() => closed.length > 0);
    // No one is told of an error: the answer was whole.
    expect([codes, closed, body.length > 0]).toEqual([[code], [0], true]);
    // The connection serves the next delivery.
    const next = session.request({ ':method': 'POST', ':path': '/', ...headers });
    const served = new Promise((resolve) =>
      next.once('response', (answer) => resolve(answer[':status'])),
    );
    next.end(hatex().body);
    expect(await served).toBe(404);
  });
});
