import { appendFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { isWebhookError, type WebhookErrorCode } from '../../src/index.ts';
import { Chance } from '../hitpay-bodies.ts';

// What all of the fuzzing shares: how much of it, the source of chance, the record of what ran, and
// what must hold after anything. `docs/fuzzing.md` has the long run's figures.

/** Inputs for each decoder. */
export const INPUTS = amount('FUZZ_INPUTS', 10_000);
/** Changed deliveries for each scheme, which take several times as long. */
export const DELIVERIES = Math.ceil(INPUTS / 5);
/** Malformed HTTP requests for each framework. */
export const REQUESTS = amount('FUZZ_REQUESTS', 500);
export const SEED = amount('SEED', 2026);
/** The long run takes minutes for each test. */
export const TIMEOUT = 30 * 60_000;

function amount(name: string, standard: number): number {
  const number = Number(process.env[name] ?? standard);
  if (!Number.isSafeInteger(number) || number < 1) throw new RangeError(`${name}: a whole number`);
  return number;
}

/** Of its own for each test, so that one test's draws do not move another's. */
export function chanceFor(what: string): Chance {
  let hash = SEED;
  for (const character of what) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return new Chance(hash);
}

// ---- The record ----------------------------------------------------------------------------------

/** What one test ran, counted where it ran. */
export class Tally {
  readonly what: string;
  readonly counts: Record<string, number> = {};
  readonly #started = performance.now();

  constructor(what: string) {
    this.what = what;
  }

  add(name: string, by = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + by;
  }

  /** Says it on stdout, and to the long run, which makes a table of it. */
  tell(): void {
    const seconds = Math.round((performance.now() - this.#started) / 100) / 10;
    const parts = Object.entries(this.counts).map(([name, count]) => `${count} ${name}`);
    console.log(`fuzz ${this.what}: ${parts.join(', ')}; ${seconds} s, seed ${SEED}`);
    const record = process.env.FUZZ_RECORD;
    if (!record) return;
    const { what, counts } = this;
    appendFileSync(record, `${JSON.stringify({ what, counts, seconds, seed: SEED })}\n`);
  }
}

/** A failure that can be repeated. */
export function fault(what: string, at: number, input: unknown): Error {
  const shown =
    input instanceof Uint8Array ? `hex ${Buffer.from(input).toString('hex')}` : show(input);
  return new Error(`${what}\ninput ${at} of seed ${SEED}: ${shown}`);
}

function show(input: unknown): string {
  return JSON.stringify(input, (_, value) =>
    value instanceof Uint8Array || value?.type === 'Buffer'
      ? `hex ${Buffer.from(value).toString('hex')}`
      : value,
  );
}

// ---- What must hold after anything -----------------------------------------------------------------

const PROTOTYPES = { Object, Array, String, Number, Function, Map, Uint8Array, Promise, Error };
const ownNames = () =>
  Object.entries(PROTOTYPES).map(
    ([name, { prototype }]) => `${name}: ${Reflect.ownKeys(prototype).map(String).sort().join()}`,
  );
/** By how much the heap may differ, since compiled code and vitest's own records stay. */
const HEAP_MARGIN = 48 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');
function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Watches over a file: prototypes, what nobody handled, and the heap. */
export function guard(): void {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  const clean = ownNames();
  let before = 0;
  beforeAll(() => {
    process.on('unhandledRejection', note);
    process.on('uncaughtExceptionMonitor', note);
    before = heapUsed();
  });
  beforeEach(({ onTestFinished }) => {
    onTestFinished(async () => {
      await new Promise(setImmediate);
      expect(unhandled).toEqual([]);
      expect(ownNames()).toEqual(clean);
    });
  });
  afterAll(() => {
    process.off('unhandledRejection', note);
    process.off('uncaughtExceptionMonitor', note);
    expect(heapUsed() - before).toBeLessThan(HEAP_MARGIN);
  });
}

/** What a call gives, or the code that it is refused with; nothing but a `WebhookError` may be thrown. */
export function outcome<T>(
  call: () => T,
): { value: T; code?: never } | { code: WebhookErrorCode; value?: never } {
  try {
    return { value: call() };
  } catch (error) {
    if (isWebhookError(error)) return { code: error.code };
    throw new Error(`something else than a WebhookError was thrown: ${error}`);
  }
}

// ---- Inputs --------------------------------------------------------------------------------------

/** Changes bytes a little, as an attacker or a broken client would. */
export class Mutator {
  readonly #chance: Chance;
  readonly #seeds: readonly Buffer[];
  readonly #words: readonly Buffer[];

  /** @param words what means something to the reader, put in now and then */
  constructor(chance: Chance, seeds: readonly (string | Buffer)[], words: readonly string[]) {
    this.#chance = chance;
    this.#seeds = seeds.map((seed) => Buffer.from(seed as string));
    this.#words = words.map((word) => Buffer.from(word, 'latin1'));
  }

  /** One of the seeds after some changes, or noise. */
  bytes(): Buffer {
    const chance = this.#chance;
    if (chance.is(0.05)) return this.noise(chance.int(0, 60));
    return this.change(chance.of(this.#seeds), chance.int(0, 4));
  }

  noise(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at++) bytes[at] = this.#chance.int(0, 255);
    return bytes;
  }

  change(from: Buffer, changes: number): Buffer {
    let bytes: Buffer = Buffer.from(from);
    for (let left = changes; left > 0; left--) bytes = this.#changeOnce(bytes);
    return bytes;
  }

  #changeOnce(bytes: Buffer): Buffer {
    const chance = this.#chance;
    const at = chance.int(0, bytes.length);
    const end = Math.min(bytes.length, at + chance.int(1, 8));
    const put = (from: number, what: Uint8Array, to: number) =>
      Buffer.concat([bytes.subarray(0, from), what, bytes.subarray(to)]);
    switch (chance.int(0, 8)) {
      case 0:
      case 1:
        if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << chance.int(0, 7));
        return bytes;
      case 2:
        if (at < bytes.length) bytes[at] = chance.int(0, 255);
        return bytes;
      case 3:
        return put(at, chance.of(this.#words), at);
      case 4:
        return put(at, chance.of(this.#words), end);
      case 5:
        return put(at, Buffer.alloc(0), end);
      case 6:
        return put(at, bytes.subarray(at, end), at);
      case 7:
        return put(at, this.noise(chance.int(1, 3)), at);
      default: {
        const other = chance.of(this.#seeds);
        const from = chance.int(0, other.length);
        return put(at, other.subarray(from, from + chance.int(1, 20)), end);
      }
    }
  }
}
