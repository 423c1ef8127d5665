import { createHash, randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, it } from 'vitest';
import type { ClaimRequest } from '../../src/dedupe.ts';
import { redisStore } from '../../src/redis.ts';
import { removeKeys, services, unique } from './services.ts';

const request = (key: string, changes: Partial<ClaimRequest> = {}): ClaimRequest => ({
  key,
  owner: randomUUID(),
  lease: 60_000,
  fingerprint: 'print',
  ...changes,
});
const DAY = 86_400_000;

describe('commands', () => {
  /** A Redis that knows no script until its text was sent. */
  function fake(answer: unknown = ['claimed', 0]) {
    const sent: string[][] = [];
    const known = new Set<string>();
    const store = redisStore({
      sendCommand: async (...args) => {
        sent.push(args);
        const [command, script = ''] = args;
        if (command === 'EVAL') known.add(createHash('sha1').update(script).digest('hex'));
        else if (!known.has(script)) throw new Error('NOSCRIPT No matching script. Use EVAL.');
        return answer;
      },
    });
    return { store, sent };
  }

  it('sends the digest, and the text only where Redis does not know it', async () => {
    const { store, sent } = fake();
    await store.claim(request('a'));
    await store.claim(request('b'));
    expect(sent.map(([command]) => command)).toEqual(['EVALSHA', 'EVAL', 'EVALSHA']);
  });

  it('names one key per command, so that a cluster knows where it goes', async () => {
    const { store, sent } = fake(1);
    await store.commit('a', 'owner', 1);
    await store.release('a', 'owner');
    await store.advance('p', 3, 1);
    await store.claim(request('a')).catch(() => {});
    expect(sent).toHaveLength(8);
    for (const [, , keys, key] of sent) {
      expect(keys).toBe('1');
      expect(key).toMatch(/^payproof:(a|payment p)$/);
    }
  });

  it('sends whole milliseconds and nothing but text', async () => {
    const { store, sent } = fake(1);
    await store.commit('a', 'owner', 0.5);
    expect(sent[0]?.slice(3)).toEqual(['payproof:a', 'owner', '1']);
    expect(sent.flat().every((one) => typeof one === 'string')).toBe(true);
  });

  it('passes on every other error, and asks once', async () => {
    let asked = 0;
    const store = redisStore({
      sendCommand: async () => {
        asked++;
        throw new Error('READONLY You cannot write against a read only replica.');
      },
    });
    await expect(store.claim(request('a'))).rejects.toThrow('READONLY');
    expect(asked).toBe(1);
  });

  it.each([1, '1', 1n])('understands %s as a yes', async (yes) => {
    const { store } = fake(yes);
    expect(await store.commit('a', 'owner', 1)).toBe(true);
    expect(await store.release('a', 'owner')).toBe(true);
  });

  it('reads a wait that comes as text', async () => {
    const { store } = fake(['in_progress', '250']);
    expect(await store.claim(request('a'))).toEqual({ status: 'in_progress', retryAfter: 250 });
  });
});

describe.skipIf(services.redis === null)('a real Redis', () => {
  const client = new Redis(services.redis ?? '', { lazyConnect: true });
  const prefix = `${unique()}:`;
  const store = redisStore({ sendCommand: (...args) => client.call(...args), prefix });
  afterAll(async () => {
    await removeKeys(client, prefix);
    await client.quit();
  });

  it('goes on when Redis forgets its scripts', async () => {
    const claim = request('forgotten');
    expect((await store.claim(claim)).status).toBe('claimed');
    await client.script('FLUSH');
    expect((await store.claim(request('forgotten'))).status).toBe('in_progress');
    await client.script('FLUSH');
    expect(await store.commit(claim.key, claim.owner, 60_000)).toBe(true);
  });

  it('keeps each event under one key with the prefix', async () => {
    await store.claim(request('hitpay:p1:payment.succeeded'));
    expect(await client.type(`${prefix}hitpay:p1:payment.succeeded`)).toBe('hash');
  });

  it('lets Redis delete a claim a day after its lease, and what is done after its time', async () => {
    const claim = request('kept', { lease: 5_000 });
    await store.claim(claim);
    const held = await client.pttl(`${prefix}kept`);
    expect(held).toBeGreaterThan(DAY);
    expect(held).toBeLessThanOrEqual(DAY + 5_000);
    await store.commit(claim.key, claim.owner, 90_000);
    const done = await client.pttl(`${prefix}kept`);
    expect(done).toBeGreaterThan(80_000);
    expect(done).toBeLessThanOrEqual(90_000);
  });

  it('lets a late owner commit where nobody took over', async () => {
    const claim = request('late', { lease: 20 });
    await store.claim(claim);
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(await store.commit(claim.key, claim.owner, 60_000)).toBe(true);
    expect((await store.claim(request('late'))).status).toBe('done');
  });

  it('leaves nothing behind of what was released or never had a state', async () => {
    const claim = request('released');
    await store.claim(claim);
    await store.release(claim.key, claim.owner);
    await store.advance('unknown', 0, 60_000);
    expect(await client.exists(`${prefix}released`, `${prefix}payment unknown`)).toBe(0);
  });

  it('lets Redis delete the state of a payment', async () => {
    await store.advance('p', 3, 90_000);
    await store.advance('p', 1, 900_000);
    const left = await client.pttl(`${prefix}payment p`);
    expect(left).toBeGreaterThan(80_000);
    expect(left).toBeLessThanOrEqual(90_000);
  });

  it('takes a client that gives numbers as text', async () => {
    const texts = new Redis(services.redis ?? '', { stringNumbers: true });
    const other = redisStore({ sendCommand: (...args) => texts.call(...args), prefix });
    const claim = request('texts');
    await other.claim(claim);
    const result = await other.claim(request('texts'));
    expect(result).toEqual({ status: 'in_progress', retryAfter: expect.any(Number) });
    expect(await other.commit(claim.key, claim.owner, 60_000)).toBe(true);
    await texts.quit();
  });
});
