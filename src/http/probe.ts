import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { ProviderEvent } from '../core/event.ts';
import type { DedupeOptions, DedupeStore } from '../dedupe.ts';
import type { Body } from './body.ts';
import type { Outcome, Rejection } from './pipeline.ts';

// The way of `checkWiring` (payproof/testing) through the pipeline: everything up to the handler runs
// as for a delivery; then the finding is told to the check, and neither the handler nor a hook is
// called.
//
// It cannot be set off from outside: a probe is known by its request object, which `checkWiring` in
// this very process received on a server of its own and registered; no header or body makes one.

/** What payproof may wait for on the way of a request. */
export type Stage = 'provider' | 'body' | 'store';

/** What a check wants to know of its request. */
export interface Probe {
  /** How long the check waits for the store, in milliseconds: not to its own end, or it could not tell. */
  readonly patience: number;
  /** The request came so far, and waits there for what the merchant gave. */
  reached(stage: Stage): void;
  /** It was authenticated and would have been claimed. */
  passed(event: ProviderEvent, source: Body['source'], isStoreThere: boolean): void;
  refused(rejection: Rejection): void;
}

/** Shared by the copies and formats of payproof in one process. */
const PROBES = Symbol.for('payproof.probes');
const STORE_TIMEOUT = 5_000;
/** Should the release fail, the store forgets the probe by itself. In milliseconds. */
const LEASE = 1_000;

type Registry = { [PROBES]?: Map<IncomingMessage, Probe> | undefined };

/** The probe that a request is; undefined for every request from outside. */
export function probeOf(req: IncomingMessage): Probe | undefined {
  return (globalThis as Registry)[PROBES]?.get(req);
}

/**
 * Makes a request a probe.
 *
 * @returns ends it; call it when the request was answered
 */
export function register(req: IncomingMessage, probe: Probe): () => void {
  const registry = globalThis as Registry;
  const probes = registry[PROBES] ?? new Map<IncomingMessage, Probe>();
  registry[PROBES] = probes;
  probes.set(req, probe);
  return () => {
    probes.delete(req);
    if (probes.size === 0) delete registry[PROBES];
  };
}

/** Ends the way of a probe in place of the claim: nothing is remembered, no handler runs. */
export async function endProbe(
  probe: Probe,
  event: ProviderEvent,
  { source }: Body,
  dedupe: DedupeStore | DedupeOptions | false,
): Promise<Outcome> {
  probe.passed(event, source, dedupe === false || (await answers(dedupe, probe)));
  const claim = { key: event.id, commitIn: async () => {} };
  return { event, bytes: null, run: false, claim, fail() {} };
}

/** Whether the store takes a claim and gives it back in time. */
async function answers(dedupe: DedupeStore | DedupeOptions, probe: Probe): Promise<boolean> {
  const { store, timeout = STORE_TIMEOUT } =
    'store' in dedupe ? dedupe : { store: dedupe, timeout: undefined };
  probe.reached('store');
  const key = `payproof/probe/${randomUUID()}`;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const wait = Math.min(timeout, probe.patience);
    timer = setTimeout(() => reject(new RangeError('no answer in time')), wait);
  });
  try {
    const claim = { key, owner: key, lease: LEASE, fingerprint: '' };
    const claimed = await Promise.race([store.claim(claim), late]);
    return claimed?.status === 'claimed' && (await Promise.race([store.release(key, key), late]));
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
