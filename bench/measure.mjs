// @ts-check
// What all parts share. Every variant has its turn in every round, in an order that changes, and a ratio
// is taken within its round: what slows the machine down for a while slows both sides of it.
import { cpus, totalmem } from 'node:os';

/** @typedef {{ min: number, q1: number, median: number, q3: number, max: number }} Spread */
/** @typedef {{ name: string, value: number, sign: '<=' | '>=', bound: number, kept: boolean }} Target */

/**
 * Measures every variant once a round.
 *
 * @template T
 * @param {readonly string[]} variants
 * @param {number} rounds
 * @param {(variant: string, round: number) => T | Promise<T>} measure
 * @returns {Promise<Map<string, T[]>>} what was measured, by variant, in the order of the rounds
 */
export async function interleave(variants, rounds, measure) {
  /** @type {Map<string, T[]>} */
  const results = new Map(variants.map((variant) => [variant, []]));
  for (let round = 0; round < rounds; round++) {
    for (const variant of shuffled(variants)) {
      results.get(variant)?.push(await measure(variant, round));
    }
  }
  return results;
}

/** @template T @param {readonly T[]} list @returns {T[]} */
export function shuffled(list) {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [copy[i], copy[j]] = [/** @type {T} */ (copy[j]), /** @type {T} */ (copy[i])];
  }
  return copy;
}

/** @param {readonly number[]} numbers @param {number} part */
export function quantile(numbers, part) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  return below + ((sorted[Math.ceil(at)] ?? below) - below) * (at - Math.floor(at));
}

/** @param {readonly number[]} numbers */
export function median(numbers) {
  return quantile(numbers, 0.5);
}

/** @param {readonly number[]} numbers @returns {Spread} */
export function spread(numbers) {
  const [min = 0, q1 = 0, middle = 0, q3 = 0, max = 0] = [0, 0.25, 0.5, 0.75, 1].map((part) =>
    rounded(quantile(numbers, part)),
  );
  return { min, q1, median: middle, q3, max };
}

/** The spread of `a / b`, round by round. @param {readonly number[]} a @param {readonly number[]} b */
export function ratio(a, b) {
  return spread(a.map((value, round) => value / (b[round] ?? Number.NaN)));
}

/** Four significant digits: more would be noise. @param {number} value */
export function rounded(value) {
  return Number(value.toPrecision(4));
}

/**
 * @param {string} name
 * @param {number} value
 * @param {Target['sign']} sign
 * @param {number} bound
 * @returns {Target}
 */
export function target(name, value, sign, bound) {
  return { name, value, sign, bound, kept: sign === '<=' ? value <= bound : value >= bound };
}

/** Median, middle half, and from the least to the greatest. @param {Spread} spread */
export function cell({ min, q1, median: middle, q3, max }) {
  const [least, low, mid, high, most] = [min, q1, middle, q3, max].map((value) => value.toFixed(2));
  return `**${mid}** (${low} to ${high}; ${least} to ${most})`;
}

/**
 * A table in Markdown; the first column is text, the others are figures.
 *
 * @param {readonly string[]} head
 * @param {readonly (readonly (string | number)[])[]} rows
 */
export function markdown(head, rows) {
  const line = (/** @type {readonly (string | number)[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [
    line(head),
    line(head.map((_, at) => (at === 0 ? '---' : '--:'))),
    ...rows.map(line),
  ].join('\n');
}

/** @param {readonly Target[]} targets */
export function targetTable(targets) {
  return markdown(
    ['target', 'bound', 'found', ''],
    targets.map(({ name, value, sign, bound, kept }) => [
      name,
      `${sign === '<=' ? 'at most' : 'at least'} ${bound.toFixed(2)}`,
      value.toFixed(2),
      kept ? 'kept' : '**NOT KEPT**',
    ]),
  );
}

/** Where and when figures were taken. */
export function circumstances() {
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    machine: `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform} ${process.arch}`,
  };
}
