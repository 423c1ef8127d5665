import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ClaimRequest, DedupeStore } from '../../src/dedupe.ts';
import { memoryStore } from '../../src/memory.ts';
import { child } from './child.ts';

const LEASE = 1_000;
const request = (key: string, changes: Partial<ClaimRequest> = {}): ClaimRequest => ({
  key,
  owner: randomUUID(),
  lease: LEASE,
  fingerprint: 'print',
  ...changes,
});
const status = async (store: DedupeStore, key: string) => (await store.claim(request(key))).status;

async function finish(store: DedupeStore, key: string, ttl = 60_000): Promise<void> {
  const claim = request(key);
  expect((await store.claim(claim)).status).toBe('claimed');
  expect(await store.commit(claim.key, claim.owner, ttl)).toBe(true);
}

describe('options', () => {
  it.each([
    ['null', null, TypeError, /^memoryStore: /],
    ['an unknown option', { max: 5 }, TypeError, /^memoryStore: .*max/],
    ['maxEntries as text', { maxEntries: '5' }, TypeError, /^maxEntries: /],
    ['maxEntries 0', { maxEntries: 0 }, RangeError, /^maxEntries: /],
    ['maxEntries NaN', { maxEntries: Number.NaN }, RangeError, /^maxEntries: /],
    [
      'maxEntries without end',
      { maxEntries: Number.POSITIVE_INFINITY },
      RangeError,
      /^maxEntries: /,
    ],
  ])('throws for %s', (_, options, error, message) => {
    expect(() => memoryStore(options as never)).toThrow(error);
    expect(() => memoryStore(options as never)).toThrow(message);
  });

  it('takes undefined for absent', () => {
    expect(memoryStore({ maxEntries: undefined, clock: undefined })).toHaveProperty('claim');
  });
});

describe('maxEntries', () => {
  it('forgets first what was done longest ago', async () => {
    const store = memoryStore({ maxEntries: 3 });
    for (const key of ['a', 'b', 'c', 'd']) await finish(store, key);
    expect(await status(store, 'b')).toBe('done');
    expect(await status(store, 'c')).toBe('done');
    expect(await status(store, 'd')).toBe('done');
    expect(await status(store, 'a')).toBe('claimed');
  });

  it('counts age from the commit, not from the claim', async () => {
    const store = memoryStore({ maxEntries: 2 });
    const slow = request('slow');
    await store.claim(slow);
    await finish(store, 'fast');
    await store.commit(slow.key, slow.owner, 60_000);
    await store.claim(request('new'));
    expect(await status(store, 'slow')).toBe('done');
  });

  it('never forgets a claim in progress', async () => {
    const store = memoryStore({ maxEntries: 2 });
    const held = request('held');
    await store.claim(held);
    for (let n = 0; n < 10; n++) await finish(store, `other ${n}`);
    expect(await status(store, 'held')).toBe('in_progress');
    expect(await store.commit(held.key, held.owner, 60_000)).toBe(true);
  });

  it('rejects a claim when it is full of claims in progress, and takes it again afterwards', async () => {
    let now = 0;
    const store = memoryStore({ maxEntries: 2, clock: () => now });
    const [a, b] = [request('a'), request('b')];
    await store.claim(a);
    await store.claim(b);
    await expect(status(store, 'c')).rejects.toThrow(RangeError);
    expect(await store.commit(a.key, a.owner, 60_000)).toBe(true);
    expect(await status(store, 'c')).toBe('claimed');
    await expect(status(store, 'd')).rejects.toThrow('every entry is a claim in progress');
    now += LEASE;
    expect(await status(store, 'd')).toBe('claimed');
  });

  it('holds for the states of payments as well', async () => {
    const store = memoryStore({ maxEntries: 2 });
    for (const payment of ['a', 'b', 'c']) await store.advance?.(payment, 3, 60_000);
    expect(await store.advance?.('a', 0, 60_000)).toBe(0);
    expect(await store.advance?.('b', 0, 60_000)).toBe(3);
    expect(await store.advance?.('c', 0, 60_000)).toBe(3);
  });
});

describe('clock', () => {
  it('ends a lease and a memory to the millisecond', async () => {
    let now = 1_000_000;
    const store = memoryStore({ clock: () => now });
    await store.claim(request('leased'));
    await finish(store, 'done', LEASE);
    await store.advance?.('payment', 3, LEASE);
    now += LEASE - 1;
    expect(await store.advance?.('payment', 0, LEASE)).toBe(3);
    expect(await store.claim(request('leased'))).toEqual({ status: 'in_progress', retryAfter: 1 });
    expect(await status(store, 'done')).toBe('done');
    now += 1;
    expect(await store.advance?.('payment', 0, LEASE)).toBe(0);
    expect(await status(store, 'leased')).toBe('claimed');
    expect(await status(store, 'done')).toBe('claimed');
  });
});

describe('the warning that the memory is not shared', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  it.each([
    ['production', 1],
    ['development', 0],
  ])('in %s: comes %i times', async (environment, times) => {
    vi.stubEnv('NODE_ENV', environment);
    vi.resetModules();
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue();
    const { memoryStore } = await import('../../src/memory.ts');
    const store = memoryStore();
    for (const key of ['a', 'b']) await store.claim(request(key));
    expect(warn).toHaveBeenCalledTimes(times);
    for (const [text] of warn.mock.calls) {
      expect(text).toMatch(/this process only.* use payproof\/sqlite.* or payproof\/postgres\.$/);
    }
  });

  const text = `
    import { memoryStore } from 'payproof/memory';
    for (const store of [memoryStore(), memoryStore()]) {
      for (const key of ['a', 'b']) await store.claim({ key, owner: 'o', lease: 9, fingerprint: '' });
    }`;

  it('comes once in production', async () => {
    const { stderr } = await child(text, { NODE_ENV: 'production' });
    expect(stderr.match(/PAYPROOF_MEMORY_STORE/g)).toHaveLength(1);
    expect(stderr).toContain('payproof/postgres');
  });

  it('has a code by which it can be told from others', async () => {
    vi.resetModules();
    vi.stubEnv('NODE_ENV', 'production');
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const fresh = await import('../../src/memory.ts');
    const store = fresh.memoryStore();
    await store.claim(request('a'));
    await store.claim(request('b'));
    expect(warn.mock.calls).toEqual([
      [
        expect.stringContaining('in this process only'),
        { type: 'PayproofWarning', code: 'PAYPROOF_MEMORY_STORE' },
      ],
    ]);
    vi.unstubAllEnvs();
    warn.mockRestore();
  });

  it('does not come elsewhere, nor before the first delivery', async () => {
    const { stderr } = await child(text, { NODE_ENV: 'development' });
    expect(stderr).not.toContain('PAYPROOF');
    const unused = "import { memoryStore } from 'payproof/memory'; memoryStore();";
    expect((await child(unused, { NODE_ENV: 'production' })).stderr).not.toContain('PAYPROOF');
  });
});
