// @ts-check
import { setTimeout as sleep } from 'node:timers/promises';

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). @param {number} seed */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @param {() => boolean | Promise<boolean>} condition */
export async function until(condition, what = 'a condition', limit = 30_000) {
  const end = Date.now() + limit;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${limit} ms`);
    await sleep(5);
  }
}
