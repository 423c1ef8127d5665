import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { WebhookError } from '../core/errors.ts';
import { eventId, type ProviderEvent } from '../core/event.ts';
import { boundedNumber, knownOptions } from '../core/options.ts';
import type { DedupeOptions, DedupeStore, PaymentClaim } from '../dedupe.ts';
import { Claim, type Terms } from './claim.ts';
import { wireOf } from './wire.ts';

const DEFAULT_LEASE = 60_000;
/** Longer than any provider retries. */
const DEFAULT_REMEMBER = 30 * 24 * 60 * 60 * 1_000;
const DEFAULT_TIMEOUT = 5_000;
/** The longest delay that a timer takes. */
const MAX_TIMER = 2 ** 31 - 1;
/** Whether the handler runs, and its hold on the event. */
export interface Admission {
  /** False if the event was processed before, or is stale and skipped: answer 200 without the handler. */
  readonly run: boolean;
  readonly claim: PaymentClaim;
  /** True if a later state of the payment is known. */
  readonly stale: boolean;
  /** To be called where the handler failed, whatever is answered. */
  fail(): void;
}

/** Admits each event once, and ties its claim to the answer. */
export type Gate = (event: ProviderEvent, res: ServerResponse, scope: Scope) => Promise<Admission>;

/** What a gate may ask to tell merchants apart. */
export interface Scope {
  readonly request: unknown;
  /** Used where the options name no scope; undefined if the provider cannot tell it. */
  readonly account: string | undefined;
}

/**
 * Builds the gate of a middleware, or none where every delivery runs.
 *
 * @throws TypeError | RangeError if an option is wrong
 */
export function onceGate(dedupe: DedupeStore | DedupeOptions | false): Gate | null {
  if (dedupe === false) return null;
  const options = readOptions(dedupe);
  return async (event, res, scope) => admit(options, event, res, prefixOf(options, scope));
}

/** What every key of the merchant begins with. */
function prefixOf({ scope }: Options, { request, account }: Scope): string {
  const name = typeof scope === 'function' ? scope(request as never) : (scope ?? account);
  if (name === undefined) {
    // Silence would let one merchant's event pass for a redelivery of another's.
    throw new TypeError('dedupe.scope: needed, since this provider does not tell its account');
  }
  if (typeof name !== 'string' || (name === '' && typeof scope === 'function')) {
    // Of an asynchronous one; what becomes of its promise must not end the process.
    Promise.resolve(name).catch(() => {});
    throw new TypeError('dedupe.scope: must give a text that names the merchant');
  }
  return name === '' ? '' : `${eventId(name)}/`;
}

interface Options extends Terms {
  /** Unique; with the count of claims after it, the name of an owner. */
  readonly name: string;
  count: number;
  readonly held: Map<string, Held>;
  readonly stale: DedupeOptions['stale'];
  readonly scope: DedupeOptions['scope'];
}

function readOptions(dedupe: DedupeStore | DedupeOptions): Options {
  const options = 'store' in Object(dedupe) ? dedupe : { store: dedupe };
  const { store, stale, scope } = options as DedupeOptions;
  const {
    lease = DEFAULT_LEASE,
    remember = DEFAULT_REMEMBER,
    timeout = DEFAULT_TIMEOUT,
  } = options as DedupeOptions;
  for (const verb of ['claim', 'commit', 'release'] as const) {
    if (typeof store?.[verb] !== 'function') {
      throw new TypeError('dedupe: must be a store, { store, ... } or false');
    }
  }
  knownOptions('dedupe', options === dedupe ? options : {}, [
    'store',
    'lease',
    'remember',
    'timeout',
    'stale',
    'scope',
  ]);
  if (stale !== undefined && stale !== 'mark' && stale !== 'skip') {
    throw new TypeError('dedupe.stale: must be "mark" or "skip"');
  }
  if (stale !== undefined && typeof store.advance !== 'function') {
    throw new TypeError('dedupe.stale: this store cannot keep the order of states');
  }
  if (scope !== undefined && typeof scope !== 'function' && (typeof scope !== 'string' || !scope)) {
    throw new TypeError('dedupe.scope: must be a text or a function of the request');
  }
  const held = heldIn.get(store) ?? new Map<string, Held>();
  heldIn.set(store, held);
  return {
    name: randomUUID(),
    count: 0,
    held,
    store,
    lease: boundedNumber('dedupe.lease', lease, 1, MAX_TIMER),
    remember: boundedNumber('dedupe.remember', remember, 1, 2 ** 45),
    timeout: boundedNumber('dedupe.timeout', timeout, 1, MAX_TIMER),
    isRanked: stale !== undefined,
    stale,
    scope,
  };
}

/** What a middleware has admitted, and whose answer is not out. */
interface Held {
  readonly res: ServerResponse;
  readonly claim: Claim;
  readonly admission: Admission;
}

/**
 * By store, then by key. Where two middlewares with one store stand on a route, the second finds the event in
 * progress, by the first.
 */
const heldIn = new WeakMap<DedupeStore, Map<string, Held>>();

/**
 * @throws WebhookError `delivery_in_progress`, `delivery_conflict`, `store_unavailable`
 */
async function admit(
  options: Options,
  event: ProviderEvent,
  res: ServerResponse,
  prefix: string,
): Promise<Admission> {
  const claim = new Claim(options, event, prefix, `${options.name}/${++options.count}`);
  const { held } = options;
  const handle = claim.handle();
  const admission = { claim: handle, fail: () => claim.fail() };
  const result = await claim.take();
  switch (result?.status) {
    case 'claimed':
      break;
    case 'done':
      // By `commitIn`, perhaps, in a process that died before it raised the rank.
      await claim.rank();
      return { ...admission, run: false, stale: false };
    case 'conflict':
      throw new WebhookError('delivery_conflict');
    case 'in_progress': {
      const before = held.get(handle.key);
      if (before?.res === res && before.claim.isHeld) return before.admission;
      if (!Number.isFinite(result.retryAfter)) throw new WebhookError('store_unavailable');
      const seconds = Math.max(1, Math.ceil(result.retryAfter / 1000));
      throw new WebhookError('delivery_in_progress', { headers: { 'Retry-After': `${seconds}` } });
    }
    default:
      throw new WebhookError('store_unavailable');
  }
  try {
    const stale = await claim.isStale();
    if (stale && options.stale === 'skip') {
      await claim.skip();
      return { ...admission, run: false, stale };
    }
    // The store took so long that another delivery may have it by now.
    if (!claim.isHeld) throw new WebhookError('store_unavailable');
    // While the store was asked, the client may have gone or other middleware may have answered: then
    // no answer of the handler's will end, and nothing runs.
    const wire = wireOf(res);
    if (res.destroyed || wire?.destroyed || res.headersSent) throw new WebhookError('body_aborted');
    const own: Held = { res, claim, admission: { ...admission, run: true, stale } };
    held.set(handle.key, own);
    claim.follow(res, wire, () => {
      if (held.get(handle.key) === own) held.delete(handle.key);
    });
    return own.admission;
  } catch (error) {
    claim.release();
    throw error;
  }
}

/** Admits an event where nothing is remembered. */
export function admitAlways(event: ProviderEvent): Admission {
  const claim = {
    key: event.id,
    commitIn: async () => {
      throw new TypeError('commitIn: this route has dedupe: false');
    },
  };
  return { run: true, stale: false, claim, fail() {} };
}
