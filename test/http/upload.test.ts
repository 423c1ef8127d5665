import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PER_TURN, turn } from '../../src/http/turns.ts';
import { hatexcard, hitpay } from '../../src/index.ts';
import { FRAMEWORKS, type Framework, type Running, type Setup } from '../servers.ts';
import {
  type Answer,
  Client,
  chunk,
  codes,
  expectRefused,
  hatex,
  head,
  isExpress,
  type Loose,
  post,
  SALT,
  SECRET,
  type Sent,
  serve,
  tap,
  until,
} from './support.ts';

const LIMIT = 64 * 1024;
const BLOCK = chunk(Buffer.alloc(16 * 1024, 0x20));
const CHUNKED = { 'transfer-encoding': 'chunked' };
const MEGABYTE = 1024 * 1024;
/** A machine that is busy with something else gets a second try. */
const TIMED = { retry: 2, timeout: 20_000 };

/** Tells when the server has read so many bytes, and how many in the end. */
async function serveCounting(framework: Framework, setup: Partial<Setup> = {}) {
  const app = await serve(framework, {
    ...setup,
    options: { limit: LIMIT, bodyTimeout: 5_000, ...setup.options },
  });
  const sockets: import('node:net').Socket[] = [];
  app.server.on('connection', (socket) => sockets.push(socket));
  return { app, bytesRead: () => sockets[0]?.bytesRead ?? 0 };
}

const measured: string[] = [];
afterAll(() => {
  if (process.env.PAYPROOF_MEASURE) console.log(measured.join('\n'));
});

type Cause = [
  name: string,
  status: number,
  code: string,
  sent: Partial<Sent>,
  setup: (framework: Framework) => Partial<Setup>,
];

const CAUSES: Cause[] = [
  ['over the limit', 413, 'body_too_large', {}, () => ({})],
  [
    'with a declared length over the limit',
    413,
    'body_too_large',
    { headers: { ...hatex().headers, 'content-length': '99999999999' } },
    () => ({}),
  ],
  ['of a method that is not POST', 405, 'method_not_allowed', { method: 'PUT' }, () => ({})],
  [
    'of a content type that no provider sends',
    415,
    'content_type_unsupported',
    { headers: { ...hatex().headers, 'content-type': 'text/plain' } },
    () => ({}),
  ],
  [
    'of an encoded body',
    415,
    'content_encoding_unsupported',
    { headers: { ...hatex().headers, 'content-encoding': 'gzip' } },
    () => ({}),
  ],
  [
    'where an async provider function throws',
    500,
    'Error: no such shop',
    {},
    () => ({
      provider: async () => {
        throw new Error('no such shop');
      },
    }),
  ],
  [
    'where a provider function throws',
    500,
    'Error: no such shop',
    {},
    () => ({
      provider: () => {
        throw new Error('no such shop');
      },
    }),
  ],
  ['of no known merchant', 413, 'body_too_large', {}, () => ({ provider: () => null })],
  [
    'that no provider of the list recognises',
    413,
    'body_too_large',
    { headers: { 'content-type': 'application/json' } },
    () => ({ provider: [hatexcard({ secret: SECRET }), hitpay({ salt: SALT })] }),
  ],
  [
    'behind a setEncoding',
    500,
    'body_consumed',
    {},
    (framework) => ({ before: [tap(framework, (req) => void req.setEncoding('utf8'))] }),
  ],
];

/** Those that need no byte of the body. */
const BEFORE_THE_BODY = CAUSES.filter(
  ([, , code, { headers }]) => code !== 'body_too_large' || headers?.['content-length'],
);

describe.each(FRAMEWORKS)('%s: crossing the limit', (framework) => {
  it('413 within 100 ms, with little read, and the connection is cut', TIMED, async () => {
    const { app, bytesRead } = await serveCounting(framework);
    const client = await Client.open(app.port, true);
    const start = head({ headers: { ...hatex().headers, ...CHUNKED } }, 'keep-alive');
    client.send(start).send(chunk(Buffer.alloc(LIMIT, 0x20)));
    await until(() => bytesRead() >= start.length + LIMIT);
    const crossed = performance.now();
    client.flood(BLOCK);
    const answer = await client.answer();
    const answered = performance.now() - crossed;
    await client.closed;
    const closed = performance.now() - crossed;
    measured.push(
      `${framework}: answer ${answered.toFixed(1)} ms, closed ${closed.toFixed(0)} ms, ` +
        `read limit + ${((bytesRead() - LIMIT) / 1024).toFixed(0)} KB`,
    );
    expectRefused(app, answer, 413, 'body_too_large');
    expect(answer.headers.connection).toBe('close');
    expect(answered).toBeLessThan(100);
    expect(bytesRead()).toBeLessThan(LIMIT + MEGABYTE);
    expect(closed).toBeLessThan(1_750);
  });
});

interface Flood {
  app: Running;
  answer: Answer;
  answered: number;
  closed: number;
  read: number;
}

async function flood(
  framework: Framework,
  sent: Partial<Sent>,
  setup: Partial<Setup>,
  when: 'at once' | 'after the answer' = 'at once',
): Promise<Flood> {
  const { app, bytesRead } = await serveCounting(framework, setup);
  const client = await Client.open(app.port, true);
  const headers = { ...CHUNKED, ...(sent.headers ?? hatex().headers) };
  if ('content-length' in headers) Reflect.deleteProperty(headers, 'transfer-encoding');
  const started = performance.now();
  client.send(head({ ...sent, headers }, 'keep-alive'));
  if (when === 'at once') client.flood(BLOCK);
  const answer = await client.answer();
  const answered = performance.now() - started;
  if (when === 'after the answer') client.flood(BLOCK);
  await client.closed;
  return { app, answer, answered, closed: performance.now() - started, read: bytesRead() };
}

describe.each(FRAMEWORKS)('%s: an endless upload', (framework) => {
  const floods = new Map<string, Flood>();
  const late = new Map<string, Flood>();
  // All at once, since each takes the second that a client has to read its answer.
  beforeAll(async () => {
    await Promise.all([
      ...CAUSES.map(async ([name, , , sent, setup]) => {
        floods.set(name, await flood(framework, sent, setup(framework)));
      }),
      ...BEFORE_THE_BODY.map(async ([name, , , sent, setup]) => {
        late.set(name, await flood(framework, sent, setup(framework), 'after the answer'));
      }),
    ]);
  });

  it.each(CAUSES)('%s: %i at once, little is read, and it is cut', (name, status, code) => {
    const { app, answer, answered, closed, read } = floods.get(name) as Flood;
    expect([answer.status, codes(app), app.events, app.nexts]).toEqual([status, [code], [], 1]);
    expect(answer.headers.connection).toBe('close');
    expect(read).toBeLessThan(LIMIT + MEGABYTE);
    // Several floods share this process, so the times are looser here.
    expect(answered).toBeLessThan(750);
    expect(closed).toBeLessThan(2_500);
  });

  // Node would read all that comes when the answer was out before anything of the body.
  it.each(
    BEFORE_THE_BODY,
  )('%s: %i, and little is read of what comes after the answer', (name, status, code) => {
    const { app, answer, closed, read } = late.get(name) as Flood;
    expect([answer.status, codes(app), app.nexts]).toEqual([status, [code], 1]);
    expect(read).toBeLessThan(MEGABYTE);
    expect(closed).toBeLessThan(2_500);
  });

  // RFC 9112, section 9.6: they could not be answered any more.
  describe('what follows the refused request on its connection', () => {
    const { headers, body } = hatex();
    const genuine = `${head({ headers: { ...headers, 'content-length': `${body.length}` } }, 'keep-alive')}${body}`;
    const refused = (length: number) => ({ ...headers, 'content-length': `${length}` });
    const asText = { ...refused(4), 'content-type': 'text/plain' };

    it('is not handled after the answer', async () => {
      const { app } = await serveCounting(framework);
      const client = await Client.open(app.port, true);
      client.send(head({ headers: asText }, 'keep-alive'));
      expect((await client.answer()).status).toBe(415);
      client.send(`tail${genuine}`);
      client.socket.end();
      await client.closed;
      expect([app.events, codes(app), app.nexts]).toEqual([[], ['content_type_unsupported'], 1]);
    });

    it('is not to blame for what came before it', async () => {
      const { app } = await serveCounting(framework);
      const client = await Client.open(app.port, true);
      client.send(
        genuine + head({ headers: { ...refused(5), 'content-type': 'text/plain' } }, 'keep-alive'),
      );
      const statuses = [(await client.answer()).status, (await client.answer(1)).status];
      client.socket.end();
      await client.closed;
      expect([statuses, codes(app)]).toEqual([[200, 415], ['content_type_unsupported']]);
      expect(app.events).toHaveLength(1);
    });

    it.each([
      [415, 'content_type_unsupported', `${head({ headers: asText }, 'keep-alive')}tail`],
      [
        413,
        'body_too_large',
        head({ headers: refused(LIMIT + 1) }, 'keep-alive') + ' '.repeat(LIMIT + 1),
      ],
      [
        413,
        'body_too_large',
        head({ headers: { ...headers, ...CHUNKED } }, 'keep-alive') +
          chunk(Buffer.alloc(LIMIT + 1, 0x20)) +
          chunk(Buffer.alloc(0)),
      ],
    ])('is not handled in vain when it comes with it: %i %s', async (status, code, first) => {
      const rejected: string[] = [];
      const { app } = await serveCounting(framework, {
        options: { onRejected: ({ error }) => rejected.push(error.code) },
      });
      const client = await Client.open(app.port, true);
      client.send(first + genuine);
      expect((await client.answer()).status).toBe(status);
      client.socket.end();
      await client.closed;
      expect(codes(app)).toContain(code);
      expect(codes(app).every((one) => one === code || one === 'body_aborted')).toBe(true);
      expect(rejected.every((one) => one === code || one === 'body_aborted')).toBe(true);
      // One that was whole before it was refused leaves its connection open for the next.
      expect(app.events).toHaveLength((await client.answer(1)).status === 200 ? 1 : 0);
    });
  });

  it('is refused when its turn comes', async () => {
    let waiting = 5 * PER_TURN;
    const waitingAtAnswer: number[] = [];
    const crowd = tap(framework, (_req, res) => {
      for (let n = waiting; n > 0; n--) turn().then(() => waiting--);
      res.on('finish', () => waitingAtAnswer.push(waiting));
    });
    const app = await serve(framework, { before: [crowd] });
    const client = await Client.open(app.port);
    const headers = { ...hatex().headers, ...CHUNKED, 'content-type': 'text/plain' };
    expect((await client.send(head({ headers })).answer()).status).toBe(415);
    expect(waitingAtAnswer).toEqual([0]);
    client.socket.destroy();
  });

  it.each([
    ['before', (res: Loose) => res.setHeader('Connection', 'keep-alive')],
    [
      'at last',
      (res: Loose) => {
        const { writeHead } = res;
        res.writeHead = (...args: unknown[]) => {
          res.setHeader('Connection', 'keep-alive');
          return writeHead.apply(res, args);
        };
      },
    ],
  ])('is cut as well where other middleware sets keep-alive, %s', async (when, set) => {
    const { app, bytesRead } = await serveCounting(framework, {
      before: [tap(framework, (_req, res) => void set(res))],
    });
    const client = await Client.open(app.port, true);
    const started = performance.now();
    const headers = { ...hatex().headers, ...CHUNKED, 'content-type': 'text/plain' };
    client.send(head({ headers }, 'keep-alive'));
    const answer = await client.answer();
    client.flood(BLOCK);
    await client.closed;
    expect([answer.status, codes(app)]).toEqual([415, ['content_type_unsupported']]);
    // Koa drops what was set when it answers an error.
    if (when === 'before') {
      expect(answer.headers.connection).toBe(isExpress(framework) ? 'close' : undefined);
    }
    expect(bytesRead()).toBeLessThan(MEGABYTE);
    expect(performance.now() - started).toBeLessThan(2_500);
  });

  it('of which nothing is kept, and little read, while the answer is on its way', async () => {
    let kept = Number.NaN;
    const { app, bytesRead } = await serveCounting(framework, {
      before: [
        tap(framework, (req, res) => {
          const { end } = res;
          // As where something before it is slow to write.
          res.end = (...args: unknown[]) => {
            setTimeout(() => {
              kept = req.readableLength;
              end.apply(res, args);
            }, 50);
          };
        }),
      ],
    });
    const client = await Client.open(app.port, true);
    const headers = { ...hatex().headers, ...CHUNKED, 'content-type': 'text/plain' };
    client.send(head({ headers }, 'keep-alive'));
    client.flood(BLOCK);
    expect((await client.answer()).status).toBe(415);
    expect(kept).toBe(0);
    expect(bytesRead()).toBeLessThan(MEGABYTE);
    client.socket.destroy();
  });

  it('of which no more is read, however small its chunks are', async () => {
    const { app, bytesRead } = await serveCounting(framework, {
      before: [
        tap(framework, (_req, res) => {
          const { end } = res;
          res.end = (...args: unknown[]) => void setTimeout(() => end.apply(res, args), 100);
        }),
      ],
    });
    const client = await Client.open(app.port, true);
    const headers = { ...hatex().headers, ...CHUNKED, 'content-type': 'text/plain' };
    client.send(head({ headers }, 'keep-alive'));
    for (let sent = 0; sent < 20; sent++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      client.send(chunk('x'.repeat(512)));
    }
    expect((await client.answer()).status).toBe(415);
    expect(bytesRead()).toBeLessThan(5_000);
    client.socket.destroy();
  });

  it('leaves the client time to read: the connection is half-closed and not reset', async () => {
    const { app } = await serveCounting(framework);
    const server = new Promise<import('node:net').Socket>((resolve) =>
      app.server.once('connection', resolve),
    );
    const client = await Client.open(app.port, true);
    const headers = { ...hatex().headers, ...CHUNKED, 'content-type': 'text/plain' };
    client.send(head({ headers }, 'keep-alive'));
    expect((await client.answer()).status).toBe(415);
    const socket = await server;
    await until(() => socket.writableFinished);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(socket.destroyed).toBe(false);
    client.socket.destroy();
  });

  it('is cut as well where other middleware has answered before', async () => {
    const rejected: string[] = [];
    const { app } = await serveCounting(framework, {
      options: { bodyTimeout: 100, onRejected: ({ error }) => rejected.push(error.code) },
      before: [
        tap(framework, (_req, res) => {
          setTimeout(() => res.writeHead(503).end(), 20);
        }),
      ],
    });
    const client = await Client.open(app.port, true);
    const started = performance.now();
    client.send(head({ headers: { ...hatex().headers, ...CHUNKED } }, 'keep-alive'));
    expect((await client.answer()).status).toBe(503);
    await until(() => rejected.length > 0);
    client.flood(BLOCK);
    await client.closed;
    expect([rejected, app.events]).toEqual([['body_timeout'], []]);
    expect(performance.now() - started).toBeLessThan(2_500);
  });

  it('ends at once for a client that reads its answer and hangs up', async () => {
    const { app } = await serveCounting(framework);
    const client = await Client.open(app.port);
    const started = performance.now();
    client.send(head({ headers: { ...hatex().headers, 'content-length': `${LIMIT + 1}` } }));
    const answer = await client.answer();
    await client.closed;
    expectRefused(app, answer, 413, 'body_too_large');
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe.each(FRAMEWORKS)('%s: a body that is there before it is refused', (framework) => {
  const { headers, body } = hatex();
  const genuine = { ...headers, 'content-length': `${body.length}` };

  it.each([
    ['nobody has read it', 415, { 'content-type': 'text/plain' }],
    ['it was read', 403, { 'x-hatex-signature': '0'.repeat(64) }],
  ])('leaves its connection open for the next request: %s', async (_, status, wrong) => {
    const whole = tap(framework, (req) => until(() => req.complete));
    const app = await serve(framework, { before: [whole] });
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...genuine, ...wrong } }, 'keep-alive')).send(body);
    const refused = await client.answer();
    expect(refused.status).toBe(status);
    expect(refused.headers.connection).not.toBe('close');
    client.send(head({ headers: genuine }, 'keep-alive')).send(body);
    expect((await client.answer(1)).status).toBe(200);
    expect(app.events).toHaveLength(1);
    client.socket.destroy();
  });
});

describe.each(FRAMEWORKS)('%s: 100 endless uploads at once', (framework) => {
  it(
    'are all cut within 3 s, in bounded memory, while a good client is served',
    TIMED,
    async () => {
      const app = await serve(framework, { options: { limit: LIMIT } });
      const sockets: import('node:net').Socket[] = [];
      app.server.on('connection', (socket) => sockets.push(socket));
      // The clients' own buffers are in this process as well: one block for all of them.
      const before = process.memoryUsage();
      const clients = await Promise.all(
        Array.from({ length: 100 }, () => Client.open(app.port, true)),
      );
      const started = performance.now();
      for (const client of clients) {
        client.send(head({ headers: { ...hatex().headers, ...CHUNKED } }, 'keep-alive'));
        client.flood(BLOCK);
      }
      const served: number[] = [];
      for (let n = 0; n < 5; n++) {
        const sent = performance.now();
        expect((await post(app, hatex())).status).toBe(200);
        served.push(performance.now() - sent);
      }
      const during = process.memoryUsage();
      const answers = await Promise.all(clients.map((client) => client.answer()));
      await Promise.all(clients.map((client) => client.closed));
      const took = performance.now() - started;
      const grown =
        (during.heapUsed + during.external - before.heapUsed - before.external) / MEGABYTE;
      const read = Math.max(...sockets.map((socket) => socket.bytesRead)) - LIMIT;
      measured.push(
        `${framework}: 100 uploads closed in ${took.toFixed(0)} ms, good client at most ` +
          `${Math.max(...served).toFixed(0)} ms, memory +${grown.toFixed(0)} MB, ` +
          `read at most limit + ${(read / 1024).toFixed(0)} KB each`,
      );
      expect(took).toBeLessThan(3_000);
      expect(Math.max(...served)).toBeLessThan(1_000);
      expect(grown).toBeLessThan(100);
      expect(read).toBeLessThan(MEGABYTE);
      expect(app.events).toHaveLength(5);
      expect(new Set(codes(app))).toEqual(new Set(['body_too_large']));
      // A client that the kernel cut before it read its answer has none; most read it.
      const got = answers.filter((answer) => answer.status === 413);
      expect(got.length).toBeGreaterThan(90);
    },
  );
});
