import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import Koa from 'koa';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DedupeStore } from '../../src/dedupe.ts';
import { paymentWebhook as expressWebhook } from '../../src/express.ts';
import { hatexcard, isWebhookError } from '../../src/index.ts';
import { paymentWebhook as koaWebhook } from '../../src/koa.ts';
import { memoryStore } from '../../src/memory.ts';
import { hatex, PAYMENT, SECRET, until } from './support.ts';

const provider = hatexcard({ secret: SECRET });

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

describe('Koa on HTTP/2: the status that was sent', () => {
  it.each([
    [500, 200, 'release'],
    [200, 500, 'commit'],
  ])('%i settles the claim, and not %i that was set after it', async (sent, later, settled) => {
    const calls: string[] = [];
    const app = new Koa();
    app.silent = true;
    app.use(koaWebhook(provider, { dedupe: noting(calls) }) as unknown as Koa.Middleware);
    app.use(({ res }) => {
      res.statusCode = sent;
      res.end();
      res.statusCode = later;
    });
    const { session } = await running(createHttp2Server(app.callback()));
    send(session, hatex().body).end();
    await until(() => calls.length === 1);
    expect(calls).toEqual([settled]);
  });
});

/** A memory that notes how claims are settled. */
function noting(calls: string[]): DedupeStore {
  const memory = memoryStore();
  return {
    ...memory,
    commit: (...args) => {
      calls.push('commit');
      return memory.commit(...args);
    },
    release: (...args) => {
      calls.push('release');
      return memory.release(...args);
    },
  };
}

type Options = NonNullable<Parameters<typeof koaWebhook>[1]>;
type Handler = (answer: (status: number) => void) => unknown;

/** A server on HTTP/2: the handler answers, or sets the status and ends later. */
const SERVERS: Record<string, (options: Options, handler: Handler) => Http2Server> = {
  Koa(options, handler) {
    const app = new Koa();
    app.silent = true;
    app.use(koaWebhook(provider, options) as unknown as Koa.Middleware);
    app.use(async (ctx) => {
      await handler((status) => {
        ctx.status = status;
      });
    });
    return createHttp2Server(app.callback());
  },
  'the Express middleware'(options, handler) {
    const middleware = expressWebhook(provider, options);
    return createHttp2Server((request: Http2ServerRequest, response: Http2ServerResponse) => {
      const [req, res] = [request, response] as unknown as [IncomingMessage, ServerResponse];
      middleware(req, res, async (error) => {
        try {
          if (error !== undefined) throw error;
          await handler((status) => {
            res.statusCode = status;
          });
        } catch (thrown) {
          res.statusCode = isWebhookError(thrown) ? thrown.status : 500;
        }
        if (!res.writableEnded) res.end(`${res.statusCode}`);
      });
    });
  },
};

/** Starts it, and connects; tells of its streams. */
async function running(
  server: Http2Server,
  settings = {},
): Promise<{ port: number; session: ClientHttp2Session; streams: ServerHttp2Stream[] }> {
  const streams: ServerHttp2Stream[] = [];
  server.on('stream', (stream) => streams.push(stream));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const session = connect(`http://127.0.0.1:${port}`, { settings });
  session.on('error', () => {});
  onTestFinished(() => session.destroy());
  return { port, session, streams };
}

function send(session: ClientHttp2Session, body: Buffer | string, more = {}) {
  const { headers } = hatex();
  const stream = session.request({ ':method': 'POST', ':path': '/', ...headers, ...more });
  stream.on('error', () => {});
  stream.write(body);
  return stream;
}

describe.each(Object.entries(SERVERS))('%s on HTTP/2', (_, serve) => {
  it.each([
    ['without an error', (stream) => stream.close(constants.NGHTTP2_NO_ERROR)],
    ['by CANCEL', (stream) => stream.close(constants.NGHTTP2_CANCEL)],
    ['with its connection', (stream) => stream.session?.destroy()],
  ] satisfies [
    string,
    (stream: ReturnType<typeof send>) => void,
  ][])('gives back a claim whose stream was lost %s before the handler ended', async (_, lose) => {
    const calls: string[] = [];
    const store = noting(calls);
    let go = () => {};
    const fails = new Promise<void>((_, reject) => {
      go = () => reject(new RangeError('the database is down'));
    });
    fails.catch(() => {});
    const server = serve({ dedupe: store }, (answer) => {
      calls.push('handler');
      // Before the work is done, as handlers in Koa do.
      answer(200);
      return calls.length === 1 ? fails : undefined;
    });
    const { session, streams, port } = await running(server);
    const { body } = hatex();
    const stream = send(session, body);
    stream.end();
    await until(() => calls.length === 1);
    lose(stream);
    await until(() => streams[0]?.destroyed === true && calls.length === 2);
    go();
    await new Promise(setImmediate);
    expect(calls).toEqual(['handler', 'release']);
    // So the provider's next delivery runs.
    const other = connect(`http://127.0.0.1:${port}`);
    onTestFinished(() => other.destroy());
    const next = send(other, body);
    next.end();
    const [answer] = await Promise.all([
      new Promise((resolve) => next.once('response', resolve)),
      until(() => calls.length === 4),
    ]);
    expect(answer).toMatchObject({ ':status': 200 });
    expect(calls.slice(2)).toEqual(['handler', 'commit']);
  });

  it('keeps nothing of an upload that was reset without an error', async () => {
    const server = serve({ dedupe: false }, () => {});
    const { port, streams } = await running(server);
    const { session, toServer } = await tapped(port);
    // Both come at once, so that the reader has no time to take it all.
    toServer.cork();
    send(session, Buffer.alloc(60_000, 0x20));
    await until(() => toServer.writableLength > 60_000);
    toServer.write(resetOf(1, constants.NGHTTP2_NO_ERROR));
    toServer.uncork();
    await until(() => streams.length === 1);
    await until(() => streams.every(({ destroyed }) => destroyed));
  });

  it('lets go of refused uploads where the client takes no answer', async () => {
    const server = serve({ dedupe: false, limit: 16_384 }, () => {});
    const { session, streams } = await running(server, { initialWindowSize: 0 });
    const began = performance.now();
    for (const headers of [{}, { ':method': 'PUT' }, { 'content-type': 'text/plain' }]) {
      send(session, Buffer.alloc(60_000, 0x20), headers);
    }
    await until(() => streams.length === 3 && streams.every(({ destroyed }) => destroyed), 5_000);
    // It had its time to read.
    expect(performance.now() - began).toBeGreaterThan(900);
  });

  it('ends an answer before it closes the stream', async () => {
    const server = serve({ dedupe: false, limit: 16_384 }, () => {});
    const { port } = await running(server);
    const { frames, session } = await tapped(port);
    for (const [at, [method, size]] of [
      ['GET', 0],
      ['PUT', 1_000],
      ['POST', 20_000],
    ].entries() as ArrayIterator<[number, [string, number]]>) {
      const stream = send(session, Buffer.alloc(size), { ':method': method });
      stream.resume();
      if (size === 0) stream.end();
      await new Promise((resolve) => stream.once('close', resolve));
      const own = frames.filter(({ id }) => id === 2 * at + 1);
      const reset = own.findIndex(({ type }) => type === RST_STREAM);
      const whole = own.slice(0, reset < 0 ? own.length : reset);
      expect(
        whole.some(({ isEnd }) => isEnd),
        `${method} ${size}`,
      ).toBe(true);
    }
  });
});

/** A server whose refusals are answered like this. */
function refusing(answer: (res: ServerResponse) => void): Http2Server {
  const middleware = expressWebhook(provider, { dedupe: false, limit: 16_384 });
  return createHttp2Server((request: Http2ServerRequest, response: Http2ServerResponse) => {
    const [req, res] = [request, response] as unknown as [IncomingMessage, ServerResponse];
    middleware(req, res, (error) => {
      res.statusCode = isWebhookError(error) ? error.status : 200;
      answer(res);
    });
  });
}

describe('the Express middleware on HTTP/2', () => {
  const later = (res: ServerResponse) => {
    res.write('refused');
    setTimeout(() => res.end(), 20);
  };
  const piped = (res: ServerResponse) => void Readable.from(['re', 'fus', 'ed']).pipe(res);
  const long = (res: ServerResponse) => void res.end(Buffer.alloc(100_000, 0x20));
  it.each([
    ['ended later', later, {}, 7],
    ['piped', piped, {}, 7],
    ['longer than a window', long, {}, 100_000],
    ['longer than small windows', long, { initialWindowSize: 1_024 }, 100_000],
  ])('ends an answer that is %s', async (_, answer, settings, length) => {
    const { port } = await running(refusing(answer));
    const { frames, session } = await tapped(port, settings);
    const stream = send(session, ' '.repeat(20_000));
    let got = 0;
    stream.on('data', (chunk) => {
      got += chunk.length;
    });
    await new Promise((resolve) => stream.once('close', resolve));
    expect(got).toBe(length);
    const end = frames.findIndex(({ isEnd }) => isEnd);
    const reset = frames.findIndex(({ type }) => type === RST_STREAM);
    expect(end).toBeGreaterThan(0);
    expect(reset < 0 || reset > end).toBe(true);
  });

  it('lets a slow client read a long answer to its end', async () => {
    const { session } = await running(refusing((res) => res.end(Buffer.alloc(250_000, 0x20))));
    const stream = send(session, ' '.repeat(20_000));
    let got = 0;
    let seen = 0;
    stream.on('data', (chunk) => {
      got += chunk.length;
      if (got - seen < 60_000) return;
      seen = got;
      stream.pause();
      setTimeout(() => stream.resume(), 800);
    });
    await new Promise((resolve) => stream.once('close', resolve));
    expect(got).toBe(250_000);
  });

  it.each([
    ['ends', (res: ServerHttp2Stream) => void res.end('done')],
    ['pipes into', (res: ServerHttp2Stream) => void Readable.from(['do', 'ne']).pipe(res)],
  ])('takes an event for processed whose handler %s the stream itself', async (_, answer) => {
    const settled: string[] = [];
    const store = noting(settled);
    const middleware = expressWebhook(provider, { dedupe: store });
    const server = createHttp2Server(
      (request: Http2ServerRequest, response: Http2ServerResponse) => {
        const [req, res] = [request, response] as unknown as [IncomingMessage, ServerResponse];
        middleware(req, res, () => {
          response.writeHead(200);
          answer(response.stream);
        });
      },
    );
    const { session } = await running(server);
    const stream = send(session, hatex().body);
    stream.end();
    stream.resume();
    await until(() => settled.length > 0);
    expect(settled).toEqual(['commit']);
  });

  it('answers a HEAD request, also where that takes a while', async () => {
    // Longer than a client has to take an answer that is there.
    const server = refusing((res) => void setTimeout(() => res.end(), 1_200));
    const { session, streams } = await running(server);
    const stream = session.request({ ':method': 'HEAD', ':path': '/' });
    const answer = await new Promise((resolve) => stream.once('response', resolve));
    expect(answer).toMatchObject({ ':status': 405, allow: 'POST' });
    await until(() => streams.every(({ destroyed }) => destroyed), 5_000);
  });
});

describe('the choice of a provider on HTTP/2', () => {
  it('is not blamed on a parser where the sender has left meanwhile', async () => {
    const codes: unknown[] = [];
    let go = () => {};
    const chosen = new Promise<void>((resolve) => {
      go = resolve;
    });
    const app = new Koa();
    app.on('error', (error) => codes.push(error.code));
    const choose = async () => {
      await chosen;
      return provider;
    };
    app.use(koaWebhook(choose, { dedupe: false }) as unknown as Koa.Middleware);
    const { session, streams } = await running(createHttp2Server(app.callback()));
    const stream = send(session, hatex().body);
    await until(() => streams.length === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    await until(() => streams[0]?.destroyed === true);
    go();
    await until(() => codes.length === 1);
    expect(codes).toEqual(['body_aborted']);
  });
});

const RST_STREAM = 3;

interface Frame {
  readonly id: number;
  readonly type: number;
  readonly isEnd: boolean;
}

/** A frame that no client of Node's sends while it has more to send (RFC 9113, section 6.4). */
function resetOf(id: number, code: number): Buffer {
  const frame = Buffer.alloc(13);
  frame.writeUIntBE(4, 0, 3);
  frame[3] = RST_STREAM;
  frame.writeUInt32BE(id, 5);
  frame.writeUInt32BE(code, 9);
  return frame;
}

interface Tapped {
  readonly frames: Frame[];
  readonly session: ClientHttp2Session;
  readonly toServer: Socket;
}

/** A connection whose frames from the server are read on the way (RFC 9113, section 4.1). */
async function tapped(port: number, settings = {}): Promise<Tapped> {
  const frames: Frame[] = [];
  const sockets: Socket[] = [];
  const tap = createServer((client) => {
    const server = createConnection(port, '127.0.0.1');
    sockets.push(client, server);
    let rest = Buffer.alloc(0);
    server.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const [type = 0, flags = 0] = rest.subarray(3, 5);
        const isEnd = type <= 1 && (flags & 1) === 1;
        frames.push({ id: rest.readUInt32BE(5), type, isEnd });
        rest = rest.subarray(9 + rest.readUIntBE(0, 3));
      }
      client.write(chunk);
    });
    client.on('data', (chunk) => server.write(chunk));
    for (const socket of [client, server]) socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => tap.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    tap.close();
    for (const socket of sockets) socket.destroy();
  });
  const session = connect(`http://127.0.0.1:${(tap.address() as AddressInfo).port}`, { settings });
  session.on('error', () => {});
  onTestFinished(() => session.destroy());
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  return { frames, session, toServer: sockets[1] as Socket };
}
