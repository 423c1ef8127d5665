import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaimRequest, DedupeStore } from '../dedupe.ts';

/** One promise of a store, to be run as a test. */
export interface ContractCase {
  readonly name: string;
  /** @throws AssertionError if the store breaks the promise */
  run(): Promise<void>;
}

/** Long enough for a store on a busy machine to answer within it, in milliseconds. */
const LEASE = 400;
const LONG = 60_000;

/**
 * The contract of a {@link DedupeStore} as a list of tests, for any test runner:
 *
 * ```js
 * for (const { name, run } of storeContract(() => myStore())) test(name, run);
 * ```
 *
 * Every case uses keys of its own, so the store may be shared and need not be emptied.
 *
 * @param makeStore gives the store; called once per case
 */
export function storeContract(
  makeStore: () => DedupeStore | Promise<DedupeStore>,
): readonly ContractCase[] {
  return Object.entries(CASES).map(([name, run]) => ({
    name,
    run: async () => run(await makeStore()),
  }));
}

function request(changes: Partial<ClaimRequest> = {}): ClaimRequest {
  return { key: randomUUID(), owner: randomUUID(), lease: LONG, fingerprint: 'print', ...changes };
}

/** The same event in the hands of another delivery. */
function other(claim: ClaimRequest, changes: Partial<ClaimRequest> = {}): ClaimRequest {
  return { ...claim, owner: randomUUID(), ...changes };
}

async function status(store: DedupeStore, claim: ClaimRequest): Promise<string> {
  return (await store.claim(claim)).status;
}

const CASES: Readonly<Record<string, (store: DedupeStore) => Promise<void>>> = {
  'an event that is new is claimed': async (store) => {
    assert.equal(await status(store, request()), 'claimed');
  },

  'a claim in other hands is in progress, and says for how long': async (store) => {
    const first = request();
    await store.claim(first);
    const result = await store.claim(other(first));
    assert.ok(result.status === 'in_progress');
    assert.ok(result.retryAfter > LONG / 2 && result.retryAfter <= LONG, 'in milliseconds');
  },

  'of a hundred claims at once exactly one succeeds': async (store) => {
    const first = request();
    const all = await Promise.all(Array.from({ length: 100 }, () => status(store, other(first))));
    assert.equal(all.filter((one) => one === 'claimed').length, 1);
    assert.equal(all.filter((one) => one === 'in_progress').length, 99);
  },

  'a committed event is done for everyone': async (store) => {
    const first = request();
    await store.claim(first);
    assert.equal(await store.commit(first.key, first.owner, LONG), true);
    assert.equal(await status(store, other(first)), 'done');
    assert.equal(await status(store, first), 'done');
  },

  'only the owner commits': async (store) => {
    const first = request();
    await store.claim(first);
    assert.equal(await store.commit(first.key, randomUUID(), LONG), false);
    assert.equal(await status(store, other(first)), 'in_progress');
  },

  'what was never claimed is neither committed nor released': async (store) => {
    const { key, owner } = request();
    assert.equal(await store.commit(key, owner, LONG), false);
    assert.equal(await store.release(key, owner), false);
    assert.equal(await status(store, request({ key })), 'claimed');
  },

  'a released event is free for the next delivery': async (store) => {
    const first = request();
    await store.claim(first);
    assert.equal(await store.release(first.key, first.owner), true);
    assert.equal(await status(store, other(first)), 'claimed');
  },

  'only the owner releases': async (store) => {
    const first = request();
    await store.claim(first);
    assert.equal(await store.release(first.key, randomUUID()), false);
    assert.equal(await status(store, other(first)), 'in_progress');
  },

  'a committed event is not released and not committed again': async (store) => {
    const first = request();
    await store.claim(first);
    await store.commit(first.key, first.owner, LONG);
    assert.equal(await store.release(first.key, first.owner), false);
    assert.equal(await store.commit(first.key, first.owner, LONG), false);
    assert.equal(await status(store, other(first)), 'done');
  },

  'another fingerprint is a conflict, in progress and done': async (store) => {
    const first = request();
    await store.claim(first);
    assert.equal(await status(store, other(first, { fingerprint: 'else' })), 'conflict');
    await store.commit(first.key, first.owner, LONG);
    assert.equal(await status(store, other(first, { fingerprint: 'else' })), 'conflict');
    assert.equal(await status(store, other(first)), 'done');
  },

  'a conflict leaves the claim as it was': async (store) => {
    const first = request();
    await store.claim(first);
    await store.claim(other(first, { fingerprint: 'else' }));
    assert.equal(await store.commit(first.key, first.owner, LONG), true);
  },

  'a claim whose lease ran out belongs to the next delivery': async (store) => {
    const first = request({ lease: LEASE });
    await store.claim(first);
    await sleep(LEASE + 50);
    const second = other(first, { lease: LONG });
    assert.equal(await status(store, second), 'claimed');
    assert.equal(await store.commit(first.key, first.owner, LONG), false);
    assert.equal(await store.release(first.key, first.owner), false);
    assert.equal(await store.commit(second.key, second.owner, LONG), true);
  },

  'the owner renews its lease by claiming again': async (store) => {
    const first = request({ lease: LEASE });
    await store.claim(first);
    assert.equal(await status(store, { ...first, lease: LONG }), 'claimed');
    await sleep(LEASE + 50);
    assert.equal(await status(store, other(first)), 'in_progress');
  },

  'a done event is forgotten after its time': async (store) => {
    const first = request();
    await store.claim(first);
    await store.commit(first.key, first.owner, LEASE);
    assert.equal(await status(store, other(first)), 'done');
    await sleep(LEASE + 50);
    assert.equal(await status(store, other(first)), 'claimed');
  },

  'commit remembers for its own time, not for the lease': async (store) => {
    const first = request({ lease: LEASE });
    await store.claim(first);
    await store.commit(first.key, first.owner, LONG);
    await sleep(LEASE + 50);
    assert.equal(await status(store, other(first)), 'done');
  },

  'keys and fingerprints are any text': async (store) => {
    const suffix = randomUUID();
    for (const text of [
      "'; DROP TABLE x; --",
      '{a}:b c',
      '\u00e9\u{1f4b8}',
      '__proto__',
      '%_\\',
      'x'.repeat(240),
    ]) {
      const first = request({ key: `${text}${suffix}`, fingerprint: text });
      assert.equal(await status(store, first), 'claimed');
      assert.equal(await status(store, other(first)), 'in_progress');
      assert.equal(await store.commit(first.key, first.owner, LONG), true);
      assert.equal(await status(store, other(first)), 'done');
    }
  },

  'keys that differ in case, in white space or in their last character are different': async (
    store,
  ) => {
    const key = `${'k'.repeat(200)}${randomUUID()}`;
    for (const one of [key, key.toUpperCase(), `${key} `, ` ${key}`, `${key}x`]) {
      assert.equal(await status(store, request({ key: one })), 'claimed');
    }
  },

  "a payment's rank rises and never falls": async (store) => {
    if (store.advance === undefined) return;
    const payment = randomUUID();
    assert.equal(await store.advance(payment, 0, LONG), 0);
    assert.equal(await store.advance(payment, 3, LONG), 3);
    assert.equal(await store.advance(payment, 1, LONG), 3);
    assert.equal(await store.advance(payment, 0, LONG), 3);
    assert.equal(await store.advance(payment, 5, LONG), 5);
  },

  "a payment's rank is its own": async (store) => {
    if (store.advance === undefined) return;
    await store.advance(randomUUID(), 3, LONG);
    assert.equal(await store.advance(randomUUID(), 0, LONG), 0);
  },

  "a payment's rank is forgotten after its time": async (store) => {
    if (store.advance === undefined) return;
    const payment = randomUUID();
    await store.advance(payment, 3, LEASE);
    await sleep(LEASE + 50);
    assert.equal(await store.advance(payment, 0, LONG), 0);
  },
};
