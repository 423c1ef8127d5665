import koaParser6 from '@koa/bodyparser';
import bodyParser1 from 'body-parser';
import express5 from 'express';
import express4 from 'express4';
import fc from 'fast-check';
import { koaBody } from 'koa-body';
import koaParser4 from 'koa-bodyparser';
import { afterAll, describe, expect, it } from 'vitest';
import { isWebhookError, type PaymentEvent, verify } from '../../src/index.ts';
import { Chance } from '../hitpay-bodies.ts';
import { isExpress } from '../http/support.ts';
import { FRAMEWORKS, type Framework, type Middleware, type Running, start } from '../servers.ts';
import { NOW, type Parcel, PROVIDERS, SCHEMES, type Sent } from './schemes.ts';
import { chanceFor, fault, guard, Mutator, REQUESTS, SEED, Tally, TIMEOUT } from './support.ts';
import { type Attempt, Attempts, bodyOf, chunked, cutAt, plain, type Reply, send } from './wire.ts';

// Malformed requests, chunked bodies and stacks of body parsers on real sockets, on every framework.

guard();

const running: Running[] = [];
afterAll(() => Promise.all(running.map((app) => app.close())));

const OPTIONS = { clock: () => NOW, dedupe: false, bodyTimeout: 3_000 } as const;

/** A server for all schemes, whose handler judges by itself what reaches it. */
async function serve(framework: Framework, faults: string[], before: Middleware[] = []) {
  const app = await start(framework, {
    provider: PROVIDERS,
    options: OPTIONS,
    before,
    handler: (event, { rawBody }, { req }) => {
      if (before.length > 0) return;
      const parcel = { url: `${req.url}`, headers: named(req.rawHeaders), body: rawBody as Buffer };
      if (!isGenuine(event, parcel))
        faults.push(`${event.scheme} ran for ${JSON.stringify(parcel)}`);
      if (req.method !== 'POST') faults.push(`ran for the method ${req.method}`);
    },
  });
  running.push(app);
  return app;
}

async function stop(app: Running): Promise<void> {
  running.splice(running.indexOf(app), 1);
  await app.close();
}

/** Of those that Node takes only once, it keeps the first; any other that is repeated fits nothing. */
function named(raw: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] as string).toLowerCase();
    const value = raw[at + 1] as string;
    if (!Object.hasOwn(headers, name)) headers[name] = value;
    else if (!['authorization', 'content-type'].includes(name)) headers[name] += `, ${value}`;
  }
  return headers;
}

/** By the tests' own judgement, not payproof's. */
function isGenuine(event: PaymentEvent, parcel: Parcel): boolean {
  const scheme = SCHEMES.find(({ name }) => name === event.scheme);
  return scheme?.isAuthentic(parcel) ?? false;
}

/** What `verify` makes of a delivery, as a handler's answer has it. */
function eventOf(sent: Parcel): string {
  return JSON.stringify(verify(PROVIDERS, { ...sent, receivedAt: NOW }));
}

// ---- Malformed requests --------------------------------------------------------------------------

/** How many connections are open at once. */
const PARALLEL = 48;
/** After so many attempts one that is genuine must get its 200. */
const BETWEEN = 50;

describe.each(FRAMEWORKS)('%s: malformed requests', (framework) => {
  it('are answered 4xx or cut, and run no handler', { timeout: TIMEOUT }, async () => {
    const tally = new Tally(`${framework}, malformed requests`);
    const chance = chanceFor(framework);
    const pool = Array.from({ length: 70 }, (_, index) =>
      (SCHEMES[index % SCHEMES.length] as (typeof SCHEMES)[number]).make(chance),
    );
    const attempts = new Attempts(chance, pool);
    const faults: string[] = [];
    const app = await serve(framework, faults);
    let malformed = 0;
    let count = 0;
    const one = async (): Promise<void> => {
      while (malformed < REQUESTS && faults.length === 0) {
        const attempt = attempts.next();
        const reply = await send(app.port, [attempt.bytes], attempt.answers);
        faults.push(...wrongs(attempt, reply));
        if (isAccepted(reply)) tally.add('that were genuine all the same');
        else {
          malformed++;
          tally.add('malformed requests');
          tally.add(reply.statuses.length > 0 ? 'answered 4xx' : 'cut');
        }
        if (++count % BETWEEN === 0) await genuine(app, attempts.genuine());
        app.errors.length = 0;
        app.events.length = 0;
      }
    };
    const genuine = async (app: Running, sent: Sent): Promise<void> => {
      const { statuses, text } = await send(app.port, [plain(sent)], 1);
      tally.add('genuine in between');
      if (statuses.join() !== '200' || bodyOf(text) !== eventOf(sent)) {
        faults.push(`a genuine delivery got ${statuses.join() || 'no answer'}`);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, one));
    await genuine(app, attempts.genuine());
    await stop(app);
    tally.tell();
    expect(faults).toEqual([]);
    expect(tally.counts['malformed requests']).toBeGreaterThanOrEqual(REQUESTS);
    expect(tally.counts['answered 4xx']).toBeGreaterThan(REQUESTS / 2);
  });
});

function isAccepted({ statuses }: Reply): boolean {
  return statuses.some((status) => status < 300);
}

function wrongs({ kind, bytes, mayPass, answers }: Attempt, reply: Reply): string[] {
  const { statuses, isOver } = reply;
  const shown = `${kind}, answered ${statuses.join() || 'nothing'}: ${bytes.toString('latin1').slice(0, 2_000)}`;
  const wrong: string[] = [];
  if (!isOver) wrong.push(`still open: ${shown}`);
  if (answers !== undefined && statuses.length !== answers) wrong.push(`other answers: ${shown}`);
  for (const status of statuses) {
    const isRight = (status >= 400 && status < 500) || (mayPass && status === 200);
    if (!isRight) wrong.push(`${status}: ${shown}`);
  }
  return wrong;
}

// ---- Bodies in pieces ----------------------------------------------------------------------------

/** A delivery drawn from a number: genuine, or with a byte changed. */
function drawn(seed: number, isForged: boolean): Sent {
  const chance = new Chance(seed);
  const sent = chance.of(SCHEMES).make(chance);
  if (!isForged) return sent;
  const body = Buffer.from(sent.body);
  const at = chance.int(0, body.length - 1);
  body[at] = (body[at] as number) ^ (1 << chance.int(0, 6));
  return { ...sent, body };
}

const sizes = (max: number) => fc.array(fc.integer({ min: 0, max }), { maxLength: 12 });

describe.each(FRAMEWORKS)('%s: a body in pieces', (framework) => {
  it('has the outcome that it has in one', { timeout: TIMEOUT }, async () => {
    const tally = new Tally(`${framework}, bodies in pieces`);
    const faults: string[] = [];
    const app = await serve(framework, faults);
    const seeds = fc.integer({ min: 0, max: 2 ** 31 });
    const property = fc.asyncProperty(
      ...([seeds, fc.boolean(), fc.boolean(), sizes(60), sizes(200)] as const),
      async (seed, isForged, isChunked, inChunks, inWrites) => {
        const sent = drawn(seed, isForged);
        const whole = await send(app.port, [plain(sent)], 1);
        const bytes = isChunked ? chunked(sent, inChunks) : plain(sent);
        const pieces = cutAt(bytes, inWrites).filter((piece) => piece.length > 0);
        const cut = await send(app.port, pieces, 1);
        tally.add('bodies in pieces');
        tally.add(isAccepted(cut) ? 'accepted' : 'refused');
        app.errors.length = 0;
        app.events.length = 0;
        expect([cut.statuses, bodyOf(cut.text)]).toEqual([whole.statuses, bodyOf(whole.text)]);
        expect(cut.statuses).toHaveLength(1);
        if (!isForged) expect(bodyOf(cut.text)).toBe(eventOf(sent));
        expect(faults).toEqual([]);
      },
    );
    await fc.assert(property, { seed: SEED, numRuns: Math.ceil(REQUESTS / 10) });
    await stop(app);
    tally.tell();
  });
});

// ---- Stacks of body parsers ----------------------------------------------------------------------

const keep = (req: object, _res: unknown, bytes: Buffer) => {
  Object.assign(req, { rawBody: bytes });
};

/** What merchants mount before payproof. */
function parsers(framework: Framework): readonly (() => Middleware)[] {
  if (!isExpress(framework)) {
    return [
      () => koaParser4(),
      () => koaParser4({ enableTypes: ['json', 'form', 'text'] }),
      () => koaParser6(),
      () => koaParser6({ enableTypes: ['json'], encoding: 'utf-8' }),
      () => koaBody(),
      () => koaBody({ includeUnparsed: true }),
      () => koaBody({ urlencoded: false }),
      () => koaBody({ json: false, text: true }),
      () => koaBody({ jsonStrict: false }),
    ];
  }
  const express = framework === 'express4' ? express4 : express5;
  return [
    () => express.json(),
    () => express.json({ strict: false }),
    () => express.json({ type: '*/*' }),
    () => express.json({ verify: keep }),
    () => express.raw({ type: '*/*' }),
    () => express.text({ type: '*/*' }),
    () => express.text(),
    () => express.urlencoded({ extended: true }),
    () => express.urlencoded({ extended: false }),
    () => express.urlencoded({ extended: true, type: '*/*' }),
    () => bodyParser1.json(),
    () => bodyParser1.urlencoded(),
  ];
}

/** How many deliveries each stack gets. */
const FOR_A_STACK = 20;
const WORDS = [
  '&',
  '=',
  '+',
  '%20',
  '"',
  ',',
  '{',
  '[',
  '\\u0041',
  ' ',
  '1e5',
  '&__proto__=1',
  '&a[]=1',
];

describe.each(FRAMEWORKS)('%s: body parsers in front', (framework) => {
  it('let nothing forged pass and change no event', { timeout: TIMEOUT }, async () => {
    const tally = new Tally(`${framework}, stacks of body parsers`);
    const known = parsers(framework);
    const stack = fc.array(fc.nat(known.length - 1), { minLength: 1, maxLength: 3 });
    const property = fc.asyncProperty(stack, fc.nat(), async (indexes, seed) => {
      const before = indexes.map((index) => (known[index] as () => Middleware)());
      const app = await serve(framework, [], before);
      tally.add('stacks');
      try {
        for (let count = 0; count < FOR_A_STACK; count++) {
          await judged(app, new Chance(seed + count), tally);
        }
      } finally {
        await stop(app);
      }
    });
    const numRuns = Math.max(5, Math.ceil(REQUESTS / 200));
    await fc.assert(property, { seed: SEED, numRuns });
    tally.tell();
    expect(tally.counts['accepted with the same event']).toBeGreaterThan(numRuns);
  });

  async function judged(app: Running, chance: Chance, tally: Tally): Promise<void> {
    const sent = chance.of(SCHEMES).make(chance);
    const parcel = chance.is(0.4) ? sent : forged(chance, sent);
    const { nexts } = app;
    const { statuses, text, isOver } = await send(app.port, [plain(parcel)], 1);
    const [status = 0] = statuses;
    const error = app.errors.pop();
    // A parser has refused by itself, before payproof: two of them fight for one stream, say.
    const isParsers = app.nexts === nexts;
    app.events.length = 0;
    tally.add('deliveries');
    if (!isOver || statuses.length !== 1) throw fault('no answer', 0, parcel);
    if (status === 200) {
      // Also a changed one, if it says the same: what is accepted is the genuine event.
      const isSame = bodyOf(text) === eventOf(sent);
      if (!isSame && !saysNothing(bodyOf(text))) {
        throw fault(`read as ${bodyOf(text)}`, 0, [sent, parcel]);
      }
      tally.add(isSame ? 'accepted with the same event' : 'claims that a parser garbled');
      return;
    }
    if (isParsers) {
      tally.add('refused by a parser');
      return;
    }
    tally.add('refused');
    const code = isWebhookError(error) ? error.code : null;
    const isRight = status === 500 ? code === 'body_consumed' : status >= 400 && status < 500;
    if (code === null || !isRight) {
      throw fault(`answered ${status}, ${String(error)}`, 0, [sent, parcel]);
    }
    // What is genuine is only refused where a parser lost what was signed, or the order's id.
    if (parcel === sent && code !== 'body_consumed' && code !== 'token_mismatch') {
      throw fault(`a genuine delivery was refused: ${code}`, 0, sent);
    }
  }

  /**
   * A token in a header proves no body: one that a parser reads as something else, such as JSON as a
   * form, gives what that parser made of it. It must not be an event that anyone acts upon.
   */
  function saysNothing(answer: string): boolean {
    const { scheme, type, reference, amount, paymentId } = JSON.parse(answer);
    const facts = [reference, amount, paymentId];
    return (
      scheme === 'dexchange/bearer' && type === 'other' && facts.every((fact) => fact === null)
    );
  }

  /** Another body under the same proof; of what signs no body, another proof. */
  function forged(chance: Chance, sent: Sent): Parcel {
    const scheme = SCHEMES.find(({ name }) => name === sent.scheme);
    const mutator = new Mutator(chance, [sent.body], WORDS);
    if (scheme?.signsBody) {
      return { ...sent, body: mutator.change(sent.body, chance.int(1, 3)) };
    }
    const { authorization = '' } = sent.headers;
    return sent.scheme === 'dexchange/token'
      ? { ...sent, url: sent.url.replace(/.$/, '=') }
      : { ...sent, headers: { ...sent.headers, authorization: authorization.slice(0, -1) } };
  }
});
