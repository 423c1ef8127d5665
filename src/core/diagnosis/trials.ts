import { createHash } from 'node:crypto';
import type { Keyring } from '../secrets.ts';
import type { Suspicion } from './causes.ts';
import type { Clue, SignedText } from './clues.ts';
import { oddReadings, type Reading, readingsOf } from './readings.ts';
import { lateVariants, secretVariants } from './secrets.ts';

/** Of so many texts every combination with a changed secret is tried before the rest. */
const LIKELY_TEXTS = 12;

/** A secret to try. Null: it is one that should sign. */
interface Candidate {
  readonly bytes: Uint8Array;
  readonly suspicion: Suspicion | null;
}

/** A combination that fits: everything that must be assumed for it, the secret's part first. */
export interface Fit {
  readonly suspicions: readonly Suspicion[];
  readonly proven: boolean;
}

/** Secrets of other origin than the clue's provider, and what it would mean if one fits. */
export interface ForeignKeys {
  readonly keys: Keyring;
  readonly suspicion: (id: string) => Suspicion;
}

/** Caps of a search. */
export interface BudgetCaps {
  readonly trials: number;
  /** How many of them are made however long they take, so that a busy machine still gives an answer. */
  readonly sure: number;
  /** Milliseconds. */
  readonly time: number;
  readonly clock: () => number;
}

/** Counts trials and watches the clock. */
export class Budget {
  /** How many MACs were made. */
  spent = 0;
  readonly #caps: BudgetCaps;
  readonly #deadline: number;

  constructor(caps: BudgetCaps) {
    this.#caps = caps;
    this.#deadline = caps.clock() + caps.time;
  }

  /** Counts one more trial, if there may be one. */
  spend(): boolean {
    const { trials, sure, clock } = this.#caps;
    if (this.spent >= trials) return false;
    if (this.spent >= sure && clock() >= this.#deadline) return false;
    this.spent++;
    return true;
  }
}

/**
 * Searches the smallest change under which one of the proofs fits: first none, then one, then a change
 * of the secret together with one of the text. Each stage is gone through for all proofs before the
 * next, so that none of them uses up what the others may spend.
 */
export function search(
  clues: readonly (readonly [clue: Clue, foreign: readonly ForeignKeys[]])[],
  receivedAt: Date,
  budget: Budget,
): Fit | null {
  const hunts = clues.map(([clue, foreign]) => hunt(clue, foreign, receivedAt));
  for (let stage = 0; stage < STAGES; stage++) {
    for (const { clue, readings, stages } of hunts) {
      for (const [secret, text, odd] of stages[stage] as Iterable<Trial>) {
        for (const reading of odd ?? readings) {
          if (!budget.spend()) return null;
          if (reading.fits(reading.algorithm(secret.bytes, text.parts))) {
            const all = [clue.assumption, secret.suspicion, text.suspicion, reading.suspicion];
            return { suspicions: all.filter((one) => one !== null), proven: reading.proves };
          }
        }
      }
    }
  }
  return null;
}

type Trial = readonly [secret: Candidate, text: SignedText, odd?: readonly Reading[]];

const STAGES = 4;

function hunt(clue: Clue, foreign: readonly ForeignKeys[], receivedAt: Date) {
  const readings = readingsOf(clue);
  if (readings.length === 0) return { clue, readings, stages: [[], [], [], []] };
  const [own, others] = candidates(clue, foreign, receivedAt);
  const texts = replayable(clue.texts());
  const right = replayable(first(texts));
  const ownVariants = replayable(variantsOf(own, secretVariants));
  const odd = oddReadings(clue);
  return {
    clue,
    readings,
    stages: [
      pairs([...own, ...others], right),
      chain<Trial>(
        () => pairs(ownVariants, right),
        () => pairs(variantsOf(others, secretVariants), right),
        () => withReadings(pairs(own, right), odd),
      ),
      chain<Trial>(
        () => pairs(own, altered(texts, false)),
        () => pairs(others, altered(texts, false)),
      ),
      // Two changes at once, the likely texts first; between them the single ones that are many.
      chain<Trial>(
        () => pairs(ownVariants, part(altered(texts, false), 0, LIKELY_TEXTS)),
        () => pairs(variantsOf(own, lateVariants), right),
        () => pairs(own, altered(texts, true)),
        () => pairs(ownVariants, part(altered(texts, false), LIKELY_TEXTS, Infinity)),
      ),
    ] satisfies Iterable<Trial>[],
  };
}

function* chain<T>(...parts: readonly (() => Iterable<T>)[]): Generator<T> {
  for (const one of parts) yield* one();
}

function* part<T>(all: Iterable<T>, from: number, to: number): Generator<T> {
  let index = 0;
  for (const one of all) {
    if (index >= from && index < to) yield one;
    index++;
  }
}

function* withReadings(
  trials: Iterable<[Candidate, SignedText]>,
  readings: readonly Reading[],
): Generator<Trial> {
  for (const [secret, text] of trials) {
    for (const reading of readings) yield [secret, text, [reading]];
  }
}

function* pairs(
  secrets: Iterable<Candidate>,
  texts: Iterable<SignedText>,
): Generator<[Candidate, SignedText]> {
  for (const text of texts) {
    for (const secret of secrets) yield [secret, text];
  }
}

/** The texts without a suspicion: the right one in all its forms. */
function* first(texts: Iterable<SignedText>): Generator<SignedText> {
  for (const text of texts) {
    if (text.suspicion !== null) return;
    yield text;
  }
}

function* altered(texts: Iterable<SignedText>, late: boolean): Generator<SignedText> {
  for (const text of texts) {
    if (text.suspicion !== null && (text.late ?? false) === late) yield text;
  }
}

function* variantsOf(
  secrets: readonly Candidate[],
  change: typeof secretVariants,
): Generator<Candidate> {
  for (const { bytes, suspicion } of secrets) {
    for (const one of change(bytes)) {
      // Another's secret, and changed too: both are said, as one.
      const evidence = [...(suspicion?.evidence ?? []), ...one.suspicion.evidence];
      yield { bytes: one.bytes, suspicion: { cause: one.suspicion.cause, evidence } };
    }
  }
}

function candidates(
  clue: Clue,
  foreign: readonly ForeignKeys[],
  receivedAt: Date,
): [own: Candidate[], others: Candidate[]] {
  const seen = new Set<string>();
  const fresh = ({ bytes }: Candidate) => {
    const name = createHash('sha256').update(bytes).digest('base64');
    return !seen.has(name) && seen.add(name).size > 0;
  };
  const all = clue.keys.map(({ id, key, notAfter }): Candidate => {
    const expired: Suspicion = { cause: 'secret_expired', evidence: [`The secret is ${id}.`] };
    return { bytes: key.export(), suspicion: +receivedAt <= notAfter ? null : expired };
  });
  const spare = clue.spare.flatMap(({ option, keys }) =>
    keys.map(({ id, key }): Candidate => {
      const evidence = [`The secret of the option ${option} fits: ${id}.`];
      return { bytes: key.export(), suspicion: { cause: 'secret_other_option', evidence } };
    }),
  );
  const rest = foreign.flatMap(({ keys, suspicion }) =>
    keys.map(({ id, key }): Candidate => ({ bytes: key.export(), suspicion: suspicion(id) })),
  );
  const isOwn = ({ suspicion }: Candidate) => suspicion === null;
  // The valid ones first, so that a secret that is configured twice counts as valid.
  const own = all.filter(isOwn).filter(fresh);
  return [own, [...all.filter((one) => !isOwn(one)), ...spare, ...rest].filter(fresh)];
}

/** What a generator gives, kept as far as somebody asked, so that it can be gone through again. */
function replayable<T>(source: Iterable<T>): Iterable<T> {
  const kept: T[] = [];
  const iterator = source[Symbol.iterator]();
  return {
    *[Symbol.iterator]() {
      for (let index = 0; ; index++) {
        if (index === kept.length) {
          const next = iterator.next();
          if (next.done) return;
          kept.push(next.value);
        }
        yield kept[index] as T;
      }
    },
  };
}
