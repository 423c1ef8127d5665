import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { DedupeStore } from '../../src/dedupe.ts';
import type { Body } from '../../src/http/body.ts';
import { endProbe, type Probe, probeOf, register } from '../../src/http/probe.ts';
import type { ProviderEvent } from '../../src/index.ts';

const request = () => ({}) as IncomingMessage;
const nothing: Probe = {
  patience: 1_000,
  reached: () => {},
  passed: () => {},
  refused: () => {},
};
const event = { id: 'hatexcard:ping::1' } as ProviderEvent;
const body: Body = { candidates: [], source: 'fields' };
const released: string[] = [];
const store = (changes: Partial<DedupeStore> = {}): DedupeStore => ({
  claim: async () => ({ status: 'claimed' }),
  commit: async () => true,
  release: async (key) => {
    released.push(key);
    return true;
  },
  ...changes,
});

describe('a request is a probe', () => {
  it('from its registration to its end, and no other is', () => {
    const [one, other] = [request(), request()];
    const probe = { ...nothing };
    const [end, endOther] = [register(one, probe), register(other, nothing)];
    expect(probeOf(one)).toBe(probe);
    expect(probeOf(request())).toBeUndefined();
    end();
    expect([probeOf(one), probeOf(other)]).toEqual([undefined, nothing]);
    endOther();
    expect(probeOf(other)).toBeUndefined();
    expect(Reflect.has(globalThis, Symbol.for('payproof.probes'))).toBe(false);
  });
});

describe('the end of a probe', () => {
  async function told(dedupe: Parameters<typeof endProbe>[3], patience = 1_000) {
    const all: Parameters<Probe['passed']>[] = [];
    const probe: Probe = { ...nothing, patience, passed: (...args) => all.push(args) };
    const { run, claim } = await endProbe(probe, event, body, dedupe);
    expect([run, claim.key, await claim.commitIn({})]).toEqual([false, event.id, undefined]);
    expect(all).toMatchObject([[event, 'fields', expect.any(Boolean)]]);
    return all[0]?.[2];
  }

  it('tells that the store is there: it takes a claim of the probe alone, and gives it back', async () => {
    const claims: unknown[] = [];
    const claim: DedupeStore['claim'] = async (one) => {
      claims.push(one);
      return { status: 'claimed' };
    };
    expect(await told(store({ claim }))).toBe(true);
    expect(await told({ store: store({ claim }) })).toBe(true);
    expect(new Set(released).size).toBe(2);
    expect(claims).toMatchObject(released.map((key) => ({ key, owner: key, lease: 1_000 })));
    for (const key of released) expect(key).toMatch(/^payproof\/probe\/[0-9a-f-]{36}$/);
  });

  it('tells so where none is wanted', async () => {
    expect(await told(false)).toBe(true);
  });

  it.each<[string, Partial<DedupeStore>]>([
    [
      'holds the claim of another',
      { claim: async () => ({ status: 'in_progress', retryAfter: 1 }) },
    ],
    ['answers nothing', { claim: async () => undefined as never }],
    ['fails', { claim: () => Promise.reject(new Error('down')) }],
    ['gives nothing back', { release: async () => false as never }],
    ['never answers', { claim: () => new Promise(() => {}) }],
    ['never gives back', { release: () => new Promise(() => {}) }],
  ])('tells of a store that %s', async (_, changes) => {
    expect(await told({ store: store(changes), timeout: 5 })).toBe(false);
  });

  it('does not wait for the store longer than the check does', async () => {
    const hanging = store({ claim: () => new Promise(() => {}) });
    expect(await told(hanging, 5)).toBe(false);
    expect(await told({ store: hanging, timeout: 60_000 }, 5)).toBe(false);
  });

  it('tells before it asks the store, and only where there is one', async () => {
    const order: string[] = [];
    const probe: Probe = { ...nothing, reached: (place) => order.push(place) };
    const claim = async () => {
      order.push('claim');
      return { status: 'claimed' as const };
    };
    await endProbe(probe, event, body, store({ claim }));
    await endProbe(probe, event, body, false);
    expect(order).toEqual(['store', 'claim']);
  });
});
