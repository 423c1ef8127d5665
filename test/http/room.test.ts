import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { readBody } from '../../src/http/body.ts';
import { ROOM, roomTaken, SMALL, Valve } from '../../src/http/room.ts';
import { PER_TURN, turn } from '../../src/http/turns.ts';
import { FRAMEWORKS } from '../servers.ts';
import {
  Client,
  chunk,
  codes,
  hatex,
  head,
  LAST_CHUNK,
  type Loose,
  PAYMENT,
  post,
  serve,
  tap,
  until,
} from './support.ts';

const CHUNKED = { 'transfer-encoding': 'chunked' };
const KB = 1024;
const EVENTS = ['data', 'end', 'error', 'aborted', 'close'];

/** A signed body of exactly so many bytes. */
function hatexOf(length: number) {
  const empty = JSON.stringify({ ...PAYMENT, pad: '' });
  return hatex({ ...PAYMENT, pad: 'x'.repeat(length - empty.length) });
}

/** A request's stream as far as a valve needs it. */
class Stream extends EventEmitter {
  complete = false;
  isPaused = false;
  readableLength: number | undefined = 0;
  pause() {
    this.isPaused = true;
  }
  resume() {
    this.isPaused = false;
  }
}

interface Body {
  req: Stream;
  valve: Valve;
  errors: unknown[];
  send(bytes: number): void;
}

const bodies: Body[] = [];
afterEach(async () => {
  for (const { valve } of bodies.splice(0)) valve.shut();
  // The last in the queue.
  await turn();
  expect(roomTaken()).toBe(0);
});

function body(declared = Number.NaN): Body {
  const req = new Stream();
  const valve = new Valve(req as unknown as IncomingMessage, declared);
  const errors: unknown[] = [];
  valve.on('error', (error) => errors.push(error));
  const one = {
    req,
    valve,
    errors,
    send: (bytes: number) => req.emit('data', Buffer.alloc(bytes)),
  };
  bodies.push(one);
  return one;
}

const listening = (req: EventEmitter): number =>
  EVENTS.reduce((sum, name) => sum + req.listenerCount(name), 0);

describe('the room of unfinished bodies', () => {
  it('is never exceeded, whoever comes', () => {
    const all = Array.from({ length: 400 }, body);
    for (let round = 0; round < 6; round++) {
      for (const { send } of all) {
        send(10 * KB);
        expect(roomTaken()).toBeLessThanOrEqual(ROOM);
      }
    }
    const out = all.filter(({ errors }) => errors.length > 0);
    expect(out.length).toBeGreaterThan(200);
    // A few stay, and are served if they end: the room is not emptied.
    expect(roomTaken()).toBeGreaterThan(ROOM / 2);
    for (const { errors, req } of out) {
      expect(errors).toMatchObject([
        { code: 'body_too_large', status: 413, headers: { 'Retry-After': expect.any(String) } },
      ]);
      expect(listening(req)).toBe(0);
    }
  });

  it('puts out one of the largest', () => {
    const [large, other] = [body(), body()];
    other.send(ROOM / 4);
    large.send(ROOM / 2);
    const next = body();
    next.send(ROOM / 4);
    expect([large, other, next].map(({ errors }) => errors.length)).toEqual([1, 0, 0]);
  });

  it('puts out the one that comes, if it is too large by itself', () => {
    const [first, large] = [body(), body()];
    first.send(SMALL);
    large.send(ROOM);
    expect([first, large].map(({ errors }) => errors.length)).toEqual([0, 1]);
  });

  it('never puts out a small one, and takes nothing for it', () => {
    const small = body();
    small.send(SMALL / 2);
    expect(roomTaken()).toBe(0);
    for (let n = 0; n < 100; n++) body().send(ROOM / 10);
    expect(small.errors).toEqual([]);
    small.send(1);
    expect(small.errors).toEqual([]);
  });

  it('takes nothing for one of exactly that size', () => {
    const one = body();
    one.send(SMALL - 512);
    expect(roomTaken()).toBe(0);
    one.send(1);
    expect(roomTaken()).toBeGreaterThan(SMALL);
  });

  it('counts what a chunk needs beside its bytes', () => {
    const one = body();
    for (let n = 0; n < ROOM / 256 && one.errors.length === 0; n++) one.send(1);
    expect(one.errors).toHaveLength(1);
  });

  it('may be taken to the last byte', () => {
    const [one, other] = [body(), body()];
    one.send(ROOM - 512);
    expect([roomTaken(), one.errors]).toEqual([ROOM, []]);
    other.send(SMALL);
    expect(one.errors).toHaveLength(1);
  });

  it('is not asked for the rest of a body that is then whole', () => {
    for (let n = 0; n < 200; n++) body().send(20 * KB);
    const [whole, part] = [body(60 * KB), body(60 * KB)];
    whole.send(60 * KB);
    part.send(60 * KB - 1);
    expect([whole, part].map(({ errors }) => errors.length)).toEqual([0, 1]);
  });

  it('has nobody to tell of a body whose reader left', () => {
    const { valve, send } = body();
    valve.removeAllListeners('error');
    send(ROOM);
    expect(roomTaken()).toBe(0);
  });

  it('passes on what comes, and nothing once it is shut', () => {
    const { req, valve, errors, send } = body();
    const seen: string[] = [];
    for (const name of EVENTS) valve.on(name, () => seen.push(name));
    send(1);
    const error = new Error('torn');
    for (const name of ['aborted', 'end', 'close']) req.emit(name);
    req.emit('error', error);
    expect(seen).toEqual(['data', 'aborted', 'end', 'close', 'error']);
    expect(errors).toEqual([error]);
    valve.shut();
    expect(listening(req)).toBe(0);
    send(1);
    expect(seen).toHaveLength(5);
  });
});

describe('the rest of a large body', () => {
  const goingOn = (all: readonly Body[]) => all.filter(({ req }) => !req.isPaused).length;
  const nextTurn = () => new Promise(setImmediate);

  /** So many that have begun. */
  async function begun(count: number): Promise<Body[]> {
    const all = Array.from({ length: count }, () => body());
    expect(goingOn(all)).toBe(0);
    await until(() => goingOn(all) === count);
    return all;
  }

  it('waits for its turn, of which there are a few at a time', async () => {
    const all = await begun(3 * PER_TURN);
    for (const { send } of all) send(SMALL + 1);
    // Of what came with that chunk.
    await nextTurn();
    expect(goingOn(all)).toBe(0);
    for (let served = PER_TURN; served <= all.length; served += PER_TURN) {
      await nextTurn();
      expect(goingOn(all)).toBe(served);
    }
  });

  it('does not wait while the body is small, nor once it is whole', async () => {
    const all = (await begun(2)) as [Body, Body];
    const whole = body(60 * KB);
    const [small, complete] = all;
    small.send(SMALL);
    complete.req.complete = true;
    complete.send(60 * KB);
    whole.req.resume();
    whole.send(60 * KB);
    expect(goingOn([...all, whole])).toBe(3);
  });

  it('does not wait for a turn once all of it is there', async () => {
    const all = await begun(2 * PER_TURN);
    for (const { send } of all) send(SMALL + 1);
    const last = all.at(-1) as Body;
    last.req.complete = true;
    await nextTurn();
    expect(goingOn(all)).toBe(1);
    expect(last.req.isPaused).toBe(false);
  });

  it('takes room for what is buffered while it waits, and only then', async () => {
    const [one] = (await begun(1)) as [Body];
    one.send(SMALL + 1);
    const passed = roomTaken();
    const resting = body();
    one.req.readableLength = 40 * KB;
    resting.req.readableLength = 60 * KB;
    for (let n = 0; n < PER_TURN; n++) turn();
    expect(roomTaken()).toBe(passed);
    await nextTurn();
    expect(roomTaken()).toBe(passed + 100 * KB);
    await until(() => !resting.req.isPaused);
    expect(one.req.isPaused).toBe(false);
    expect(roomTaken()).toBe(passed);
  });

  it('puts out who waits where others need the room, once', async () => {
    const first = body();
    first.req.readableLength = ROOM - 100 * KB;
    const second = body();
    second.req.readableLength = 110 * KB;
    for (let n = 0; n < PER_TURN; n++) turn();
    await nextTurn();
    expect([first.errors.length, second.errors.length]).toEqual([1, 0]);
    expect(first.errors[0]).toMatchObject({ code: 'body_too_large' });
    expect(roomTaken()).toBe(110 * KB);
    await until(() => !second.req.isPaused);
    expect(first.req.isPaused).toBe(true);
    expect(roomTaken()).toBe(0);
  });

  it('waits also where a stand-in for a request does not tell what is buffered', async () => {
    const one = body();
    one.req.readableLength = undefined;
    for (let n = 0; n < PER_TURN; n++) turn();
    await nextTurn();
    expect([one.req.isPaused, roomTaken()]).toEqual([true, 0]);
    await until(() => !one.req.isPaused);
    expect(roomTaken()).toBe(0);
  });

  it('does not come once the body was refused', async () => {
    const [one] = (await begun(1)) as [Body];
    const resting = body();
    one.send(SMALL + 1);
    one.valve.shut();
    resting.valve.shut();
    for (let n = 0; n < 3; n++) await nextTurn();
    expect([one.req.isPaused, resting.req.isPaused]).toEqual([true, true]);
  });
});

it('a body is read where a stand-in for a connection can neither pause nor resume', async () => {
  const socket = Object.assign(new EventEmitter(), { end() {}, destroy() {} });
  const req = Object.assign(new PassThrough(), { headers: {}, httpVersionMajor: 1, socket });
  const reading = { limit: 100, bodyTimeout: 5_000, consumedAdvice: '' };
  const arrival = { req: req as never, rawBody: undefined, body: undefined };
  const read = readBody(arrival, null, reading);
  req.end('{}');
  const { candidates } = await read;
  expect(`${candidates}`).toBe('{}');
});

describe('turns', () => {
  it('are taken by a few at a time, in order', async () => {
    const done: number[] = [];
    const all = Promise.all(
      Array.from({ length: 3 * PER_TURN + 1 }, (_, n) => turn().then(() => done.push(n))),
    );
    const perTurn: number[] = [];
    for (let before = 0; before <= 3 * PER_TURN; before = done.length) {
      await new Promise(setImmediate);
      perTurn.push(done.length - before);
    }
    await all;
    expect(Math.max(...perTurn)).toBe(PER_TURN);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
  });
});

describe.each(FRAMEWORKS)('%s: the room', (framework) => {
  it('is free again after each end of a large body', async () => {
    const requests: EventEmitter[] = [];
    const counts: number[] = [];
    const app = await serve(framework, {
      options: { bodyTimeout: 300 },
      before: [
        tap(framework, (req) => {
          requests.push(req);
          counts.push(req.listenerCount('data') + req.listenerCount('error'));
        }),
      ],
    });
    const start = head({ headers: { ...hatex().headers, ...CHUNKED } }, 'keep-alive');
    const large = chunk(Buffer.alloc(100 * KB, 0x20));

    expect((await post(app, hatexOf(200 * KB))).status).toBe(200);
    expect(roomTaken()).toBe(0);

    const gone = await Client.open(app.port);
    gone.send(start).send(large);
    await until(() => roomTaken() > 0);
    gone.socket.destroy();
    await until(() => roomTaken() === 0);

    const declared = await Client.open(app.port);
    const length = { 'content-length': `${200 * KB}` };
    declared.send(head({ headers: { ...hatex().headers, ...length } })).send(large);
    await until(() => roomTaken() > 0);
    declared.socket.destroy();
    await until(() => roomTaken() === 0);

    const slow = await Client.open(app.port);
    expect((await slow.send(start).send(large).answer()).status).toBe(408);
    expect(roomTaken()).toBe(0);

    const tooLarge = await Client.open(app.port, true);
    expect((await tooLarge.send(start).flood(large).answer()).status).toBe(413);
    expect(roomTaken()).toBe(0);
    await tooLarge.closed;

    expect(codes(app)).toEqual(['body_aborted', 'body_aborted', 'body_timeout', 'body_too_large']);
    const left = requests.map((req) => req.listenerCount('data') + req.listenerCount('error'));
    expect(left).toEqual(counts);
  });

  it('counts the chunks of a small body that comes byte by byte', async () => {
    const requests: EventEmitter[] = [];
    const app = await serve(framework, { before: [tap(framework, (req) => requests.push(req))] });
    const { headers } = hatex();
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...headers, 'content-length': `${SMALL}` } })).send(' ');
    await until(() => (requests[0]?.listenerCount('close') ?? 0) > 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const [req] = requests;
    for (let n = 0; n < 16; n++) req?.emit('data', Buffer.alloc(1));
    expect(roomTaken()).toBe(0);
    for (let n = 0; n < 32; n++) req?.emit('data', Buffer.alloc(1));
    expect(roomTaken()).toBeGreaterThan(0);
    for (let n = 0; n < ROOM / 512; n++) req?.emit('data', Buffer.alloc(1));
    const answer = await client.answer();
    expect([answer.status, answer.headers['retry-after'], roomTaken()]).toEqual([413, '10', 0]);
  });

  it('counts each chunk of a larger body once', async () => {
    const requests: IncomingMessage[] = [];
    const app = await serve(framework, { before: [tap(framework, (req) => requests.push(req))] });
    const client = await Client.open(app.port);
    const length = { 'content-length': `${200 * KB}` };
    client.send(head({ headers: { ...hatex().headers, ...length } })).send(' ');
    await until(() => requests[0]?.readableDidRead === true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (let n = 0; n < 64; n++) requests[0]?.emit('data', Buffer.alloc(KB));
    expect(roomTaken()).toBe(513 + 64 * (KB + 512));
    client.socket.destroy();
    await until(() => roomTaken() === 0);
  });

  it('is kept while others hoard, who are told to come again', async () => {
    const limit = 1024 * KB;
    const app = await serve(framework, { options: { limit } });
    const hoarders = await Promise.all(
      Array.from({ length: 2 * (ROOM / limit) }, () => Client.open(app.port, true)),
    );
    const start = head({ headers: { ...hatex().headers, ...CHUNKED } }, 'keep-alive');
    const almost = chunk(Buffer.alloc(limit - KB, 0x20));
    for (const client of hoarders) client.send(start).send(almost);
    const answer = await Promise.race(hoarders.map((client) => client.answer()));
    expect([answer.status, codes(app)[0]]).toEqual([413, 'body_too_large']);
    expect(answer.headers['retry-after']).toMatch(/^\d+$/);
    expect(answer.headers.connection).toBe('close');
    expect(roomTaken()).toBeLessThanOrEqual(ROOM);
    expect(roomTaken()).toBeGreaterThan(0);

    expect((await post(app, hatex())).status).toBe(200);
    const { headers, body } = hatexOf(10 * KB);
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...headers, ...CHUNKED } }));
    expect((await client.send(chunk(body)).send(LAST_CHUNK).answer()).status).toBe(200);

    for (const { socket } of hoarders) socket.destroy();
    await until(() => roomTaken() === 0);
  });
});

describe.each(FRAMEWORKS)('%s: a body that may be large', (framework) => {
  const CROWD = 5;
  const { headers, body: text } = hatexOf(30 * KB);
  const body = String(text);
  const LARGE = head({ headers: { ...headers, 'content-length': `${30 * KB}` } });
  const LARGEST = head({ headers: { ...headers, 'content-length': `${256 * KB}` } });
  const UNKNOWN = head({ headers: { ...headers, ...CHUNKED } }, 'keep-alive');

  /** In each turn of the event loop from its head on, while a crowd waits: whether it was begun, or its connection rests. */
  async function watched(...packets: (string | Buffer)[]) {
    const seen: ('begun' | 'resting' | 'neither')[] = [];
    const app = await serve(framework, {
      before: [
        tap(framework, (req) => {
          for (let n = 0; n < CROWD * PER_TURN; n++) turn();
          const look = () => {
            const isBegun = req.readableDidRead || req.readableFlowing;
            seen.push(isBegun ? 'begun' : req.socket.isPaused() ? 'resting' : 'neither');
            if (seen.length < CROWD + 2) setImmediate(look);
          };
          setImmediate(look);
        }),
      ],
    });
    const client = await Client.open(app.port);
    client.send(Buffer.concat(packets.map((packet) => Buffer.from(packet as string))));
    await until(() => seen.length === CROWD + 2);
    client.socket.destroy();
    return seen;
  }
  const AFTER_THE_CROWD = [...Array(CROWD).fill('resting'), 'begun', 'begun'];

  it('begins when its turn comes, and its connection rests until then', async () => {
    expect(await watched(UNKNOWN)).toEqual(AFTER_THE_CROWD);
    expect(await watched(UNKNOWN, chunk('{'))).toEqual(AFTER_THE_CROWD);
    expect(await watched(LARGE)).toEqual(AFTER_THE_CROWD);
    expect(await watched(LARGEST)).toEqual(AFTER_THE_CROWD);
  });

  it('does not wait if it came whole, nor if it is small or too large by its length', async () => {
    const begun = Array(CROWD + 1).fill('begun');
    const whole = await watched(UNKNOWN, chunk(body), LAST_CHUNK);
    const small = await watched(head({ headers: { ...headers, 'content-length': `${SMALL}` } }));
    // Whether it is whole shows after the packet, so one turn later.
    expect([whole.slice(1), small.slice(1)]).toEqual([begun, begun]);
    expect([whole[0], small[0]]).toEqual(['neither', 'begun']);
    const tooLarge = head({ headers: { ...headers, 'content-length': `${300 * KB}` } });
    expect(await watched(tooLarge)).not.toContain('resting');
  });

  it('is not held back if it is too large by its length', async () => {
    const pauses: MockInstance[] = [];
    const watch = tap(framework, (req: IncomingMessage) =>
      pauses.push(vi.spyOn(req.socket, 'pause')),
    );
    const app = await serve(framework, { before: [watch] });
    const tooLarge = await Client.open(app.port);
    tooLarge.send(head({ headers: { ...headers, 'content-length': `${300 * KB}` } }));
    expect((await tooLarge.answer()).status).toBe(413);
    expect(pauses[0]).not.toHaveBeenCalled();
    const large = await Client.open(app.port);
    large.send(LARGE);
    await until(() => pauses[1]?.mock.calls.length === 1);
    large.socket.destroy();
  });

  it.each([
    ['at once', []],
    ['after other middleware', [tap(framework, () => new Promise((done) => setTimeout(done, 20)))]],
  ])('leaves the connection to the next request: read %s', async (_, before) => {
    const app = await serve(framework, { before });
    let requests = 0;
    app.server.on('request', () => requests++);
    const client = await Client.open(app.port);
    const rest = [chunk(body), Buffer.from(LAST_CHUNK)];
    const whole = Buffer.concat([Buffer.from(UNKNOWN), ...rest]);
    for (let n = 0; n < 3; n++) {
      expect((await client.send(whole).answer(2 * n)).status).toBe(200);
      client.send(UNKNOWN);
      await until(() => requests > 2 * n + 1);
      for (const packet of rest) client.send(packet);
      expect((await client.answer(2 * n + 1)).status).toBe(200);
    }
    client.socket.destroy();
  });

  const tick = () => Promise.resolve();
  const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));
  const listen = (req: Loose) => req.on('data', () => {});
  // What other middleware may do with a request before payproof, or beside it.
  const BESIDE: [string, (req: Loose) => unknown][] = [
    ['does nothing', () => undefined],
    ['listens, and goes on later', (req) => tick().then(() => listen(req) && tick())],
    ['listens once payproof has begun', (req) => void setImmediate(listen, req)],
    ['has begun to read', (req) => req.read(0)],
    [
      'has begun to read long ago',
      (req) => {
        req.read(0);
        return pause(10);
      },
    ],
    [
      'waited for something to read',
      (req) => {
        const look = () => {};
        req.on('readable', look);
        return pause(5).then(() => req.off('readable', look));
      },
    ],
    ['has paused the connection', (req) => req.socket.pause()],
    ['has paused the body', (req) => req.pause()],
  ];
  it.each(BESIDE)('is read where other middleware %s', async (_, look) => {
    const app = await serve(framework, { before: [tap(framework, look)] });
    const ways: [head: string, rest: (string | Buffer)[]][] = [
      [UNKNOWN, [chunk(body.slice(0, 9000)), chunk(body.slice(9000)), LAST_CHUNK]],
      [head({ headers: { ...headers, 'content-length': `${30 * KB}` } }, 'keep-alive'), [body]],
    ];
    const client = await Client.open(app.port);
    let answers = 0;
    for (const [start, rest] of ways) {
      // A paused connection's second head would wait for whoever paused it.
      client.send(Buffer.concat([start, ...rest].map((one) => Buffer.from(one as string))));
      expect((await client.answer(answers++)).status).toBe(200);
      const seen = app.nexts;
      client.send(start);
      await pause(20);
      for (const one of rest) {
        client.send(one);
        await pause(2);
      }
      expect([(await client.answer(answers++)).status, app.nexts]).toEqual([200, seen + 1]);
    }
    client.socket.destroy();
  });

  it.each([
    ['large', body],
    ['small', '{}'],
  ])('is refused in time where other middleware keeps waiting for something to read: %s', async (_, sent) => {
    const before = [tap(framework, (req) => req.on('readable', () => {}))];
    const app = await serve(framework, { before, options: { bodyTimeout: 50 } });
    const client = await Client.open(app.port);
    const start = head(
      { headers: { ...headers, 'content-length': `${sent.length}` } },
      'keep-alive',
    );
    expect((await client.send(start + sent).answer()).status).toBe(408);
    client.socket.destroy();
  });

  it('is read where other middleware has begun to read behind its first chunk', async () => {
    const look = (req: Loose) => until(() => req.readableLength > 0).then(() => req.read(0));
    const app = await serve(framework, { before: [tap(framework, look)] });
    const client = await Client.open(app.port);
    client.send(UNKNOWN).send(chunk(body.slice(0, 1000)));
    await pause(50);
    const answer = client
      .send(chunk(body.slice(1000)))
      .send(LAST_CHUNK)
      .answer();
    expect(await Promise.race([answer, pause(2000)])).toMatchObject({ status: 200 });
    client.socket.destroy();
  });

  it('is read where somebody listens from the first', async () => {
    const app = await serve(framework);
    const counts: number[] = [];
    app.server.prependListener('request', (req) => {
      let count = 0;
      req.on('data', ({ length }) => {
        count += length;
      });
      req.on('end', () => counts.push(count));
    });
    const client = await Client.open(app.port);
    const rest = [chunk(body.slice(0, 1000)), chunk(body.slice(1000)), Buffer.from(LAST_CHUNK)];
    client.send(Buffer.concat([Buffer.from(UNKNOWN), ...rest]));
    expect((await client.answer(0)).status).toBe(200);
    client.send(UNKNOWN);
    await pause(20);
    for (const one of rest) client.send(one);
    expect([(await client.answer(1)).status, counts]).toEqual([200, [30 * KB, 30 * KB]]);
    client.socket.destroy();
  });

  it('is served though its client closes its side behind the last chunk', async () => {
    const app = await serve(framework);
    for (let n = 0; n < 5; n++) {
      const client = await Client.open(app.port, true);
      const parts = [body.slice(0, 9000), body.slice(9000, 18_000), body.slice(18_000)].map(chunk);
      client.socket.end(Buffer.concat([Buffer.from(UNKNOWN), ...parts, Buffer.from(LAST_CHUNK)]));
      expect((await client.answer()).status).toBe(200);
    }
  });

  it('408 if it does not come, and 413 if it has no end, though the crowd is there', async () => {
    const before = [tap(framework, () => void Array.from({ length: CROWD * PER_TURN }, turn))];
    const app = await serve(framework, { before, options: { bodyTimeout: 100 } });
    const stalled = await Client.open(app.port);
    expect((await stalled.send(UNKNOWN).answer()).status).toBe(408);
    const endless = await Client.open(app.port, true);
    endless.send(UNKNOWN).flood(chunk(Buffer.alloc(16 * KB, 0x20)));
    expect((await endless.answer()).status).toBe(413);
    await endless.closed;
  });

  it('whose client is gone before its turn is no surprise', async () => {
    const requests: EventEmitter[] = [];
    const before = [
      tap(framework, (req) => {
        requests.push(req);
        for (let n = 0; n < CROWD * PER_TURN; n++) turn();
        setImmediate(() => req.socket.destroy());
      }),
    ];
    const app = await serve(framework, { before });
    const client = await Client.open(app.port);
    await client.send(UNKNOWN).closed;
    await until(() => codes(app).length > 0);
    expect(codes(app)).toEqual(['body_aborted']);
    expect(requests[0]?.listenerCount('data')).toBe(0);
  });
});

describe.each(FRAMEWORKS)('%s: a limit beyond the room', (framework) => {
  it('makes the room larger', async () => {
    const app = await serve(framework, { options: { limit: 2 * ROOM } });
    expect((await post(app, hatexOf(2 * ROOM))).status).toBe(200);
    expect(roomTaken()).toBe(0);
  });
});
