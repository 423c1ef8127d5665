import { randomUUID } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { isWebhookError, WebhookError } from '../core/errors.ts';
import { eventId, type PaymentEventType, type ProviderEvent } from '../core/event.ts';
import { boundedNumber, knownOptions } from '../core/options.ts';
import type { ClaimResult, DedupeOptions, DedupeStore, PaymentClaim } from '../dedupe.ts';
import { whenGone, wireOf } from './wire.ts';

const DEFAULT_LEASE = 60_000;
/** Longer than any provider retries. */
const DEFAULT_REMEMBER = 30 * 24 * 60 * 60 * 1_000;
const DEFAULT_TIMEOUT = 5_000;
/** The longest delay that a timer takes. */
const MAX_TIMER = 2 ** 31 - 1;
/** How long after its failure a commit is tried again the first time, in milliseconds. */
const FIRST_RETRY = 100;
/** Parts of a lease after which it is renewed. */
const RENEWALS = 3;

/**
 * The order of a payment's states. An event is stale where a state of a higher rank is known.
 */
const RANKS: Readonly<Partial<Record<PaymentEventType, number>>> = {
  'payment.pending': 1,
  'payment.failed': 2,
  'payment.expired': 2,
  'payment.canceled': 2,
  'payment.succeeded': 3,
  'payment.partially_refunded': 4,
  'payment.refunded': 5,
};

/** Published with `{ error, key }` where a claim could not be settled after its answer. */
const unsettled = channel('payproof:unsettled');

/** Whether the handler runs, and its hold on the event. */
export interface Admission {
  /** False if the event was processed before, or is stale and skipped: answer 200 without the handler. */
  readonly run: boolean;
  readonly claim: PaymentClaim;
  /** True if a later state of the payment is known. */
  readonly stale: boolean;
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

interface Options {
  /** Unique; with the count of claims after it, the name of an owner. */
  readonly name: string;
  count: number;
  readonly store: DedupeStore;
  readonly lease: number;
  readonly remember: number;
  readonly timeout: number;
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
  return {
    name: randomUUID(),
    count: 0,
    store,
    lease: boundedNumber('dedupe.lease', lease, 1, MAX_TIMER),
    remember: boundedNumber('dedupe.remember', remember, 1, 2 ** 45),
    timeout: boundedNumber('dedupe.timeout', timeout, 1, MAX_TIMER),
    stale,
    scope,
  };
}

/**
 * @throws WebhookError `delivery_in_progress`, `delivery_conflict`, `store_unavailable`
 */
async function admit(
  options: Options,
  event: ProviderEvent,
  res: ServerResponse,
  prefix: string,
): Promise<Admission> {
  const { store, lease, remember, timeout } = options;
  const key = prefix + event.id;
  const owner = `${options.name}/${++options.count}`;
  const request = { key, owner, lease, fingerprint: fingerprint(event) };
  const claim: PaymentClaim = { key, commitIn };
  const rank = options.stale === undefined ? 0 : (RANKS[event.type] ?? 0);
  const payment =
    event.paymentId === null || rank === 0 ? null : prefix + paymentOf(event, event.paymentId);
  const raise = async (payment: string, to: number): Promise<number> =>
    (await store.advance?.(payment, to, remember)) ?? 0;
  const asked = performance.now();
  const result = await firstClaim();
  switch (result?.status) {
    case 'claimed':
      break;
    case 'done':
      // By `commitIn`, perhaps, in a process that died before it raised the rank.
      if (payment !== null) await answered(timeout, () => raise(payment, rank));
      return { run: false, stale: false, claim };
    case 'conflict':
      throw new WebhookError('delivery_conflict');
    case 'in_progress': {
      if (!Number.isFinite(result.retryAfter)) throw new WebhookError('store_unavailable');
      const seconds = Math.max(1, Math.ceil(result.retryAfter / 1000));
      throw new WebhookError('delivery_in_progress', { headers: { 'Retry-After': `${seconds}` } });
    }
    default:
      throw new WebhookError('store_unavailable');
  }
  let stale: boolean;
  try {
    stale = payment !== null && (await answered(timeout, () => raise(payment, 0))) > rank;
    if (stale && options.stale === 'skip') {
      await answered(timeout, () => store.commit(key, owner, remember));
      return { run: false, stale, claim };
    }
    // The store took so long that another delivery may have it by now.
    if (performance.now() - asked >= lease) throw new WebhookError('store_unavailable');
  } catch (error) {
    settle(() => store.release(key, owner));
    throw error;
  }
  // While the store was asked, the client may have gone or other middleware may have answered: then
  // no answer of the handler's will end, and nothing runs.
  const wire = wireOf(res);
  if (res.destroyed || wire?.destroyed || res.headersSent) {
    settle(() => store.release(key, owner));
    throw new WebhookError('body_aborted');
  }

  let committed = false;
  let isReleased = false;
  let renewed: Promise<unknown> = Promise.resolve();
  const renewal = setInterval(() => {
    renewed = Promise.all([renewed, settle(renew)]);
  }, lease / RENEWALS);
  renewal.unref();
  const onEnd = (): void => {
    clearInterval(renewal);
    res.off('finish', onEnd);
    res.off('close', onEnd);
    forget();
    // Of HTTP/2 an answer counts as finished, too, where the stream was lost before it was given.
    const isAnswered = res.writableEnded && res.writableFinished;
    if (isAnswered && res.statusCode >= 200 && res.statusCode < 300) {
      commit();
      return;
    }
    // A renewal that is still under way would take the claim again after its release.
    renewed.then(() => {
      isReleased = true;
      return settle(giveBack);
    });
  };
  res.on('finish', onEnd);
  res.on('close', onEnd);
  const forget = whenGone(wire, onEnd);
  return { run: true, stale, claim };

  async function renew(): Promise<void> {
    const result = await store.claim(request);
    // The store took so long that the event was given back meanwhile: nobody would work on it.
    if (isReleased && result?.status === 'claimed') await settle(() => store.release(key, owner));
  }

  /** Not async: with a store that answers at once it throws in place, inside the transaction. */
  function commitIn(tx: unknown): Promise<void> {
    if (store.commitIn === undefined) {
      const message =
        'commitIn: this store has no transactions; use payproof/postgres or payproof/sqlite';
      return Promise.reject(new TypeError(message));
    }
    const done = store.commitIn(tx, key, owner, remember);
    return typeof done === 'boolean' ? Promise.resolve(took(done)) : done.then(took);
  }

  function took(done: boolean): void {
    if (!done) throw new WebhookError('delivery_in_progress');
    committed = true;
    // The merchant's transaction holds the row: a renewal would wait for its end.
    clearInterval(renewal);
  }

  /** Where `commitIn` was called, only the store knows whether the transaction stands. */
  async function giveBack(): Promise<void> {
    // It waits for the end of the transaction.
    if ((await store.release(key, owner)) || !committed || payment === null) return;
    const { status } = await store.claim(request);
    if (status === 'done') await raise(payment, rank);
    else if (status === 'claimed') await store.release(key, owner);
  }

  /** Again and again while the lease holds: the answer is out, and the event must not run again. */
  async function commit(): Promise<void> {
    let waited = 0;
    for (let wait = FIRST_RETRY; ; wait *= 2) {
      const settled = await settle(async () => {
        // Before the commit: what dies between the two makes the next delivery raise it again.
        if (payment !== null) await raise(payment, rank);
        if (!(await mark()) && !committed) throw new WebhookError('delivery_in_progress');
      });
      waited += wait;
      if (settled || waited > lease) return;
      await sleep(wait, undefined, { ref: false });
    }
  }

  /** @returns false if the lease ran out and the next delivery has, or had, the event */
  async function mark(): Promise<boolean> {
    if (await store.commit(key, owner, remember)) return true;
    // A store that lost its memory meanwhile has nobody else's claim either.
    if (committed || (await store.claim(request)).status !== 'claimed') return false;
    return store.commit(key, owner, remember);
  }

  async function firstClaim(): Promise<ClaimResult> {
    let claiming: Promise<ClaimResult> | undefined;
    try {
      return await answered(timeout, () => {
        claiming = store.claim(request);
        return claiming;
      });
    } catch (error) {
      // A claim that is taken too late is nobody's: the sender was told to come again.
      claiming?.then(
        (late) => late?.status === 'claimed' && settle(() => store.release(key, owner)),
        // Perhaps it was taken, and only the answer was lost. If the store is down, its lease ends it.
        () => answered(timeout, () => store.release(key, owner)).catch(() => {}),
      );
      throw error;
    }
  }

  /**
   * Works on the claim after its answer. What fails is published.
   *
   * @returns false if the store failed, and another try may do
   */
  async function settle(verb: () => Promise<unknown>): Promise<boolean> {
    try {
      await answered(timeout, verb);
      return true;
    } catch (error) {
      if (unsettled.hasSubscribers) unsettled.publish({ error, key });
      const { cause } = error as WebhookError;
      return isWebhookError(cause);
    }
  }
}

/** The hold on an event where nothing is remembered. */
export function noClaim(event: ProviderEvent): PaymentClaim {
  return {
    key: event.id,
    commitIn: async () => {
      throw new TypeError('commitIn: this route has dedupe: false');
    },
  };
}

/** Where only a token for one order was shown, the payment's id is that order's claim. */
function paymentOf({ provider, trust, reference }: ProviderEvent, paymentId: string): string {
  return eventId(provider, trust === 'token' ? (reference ?? '') : '', paymentId);
}

/** By value, not by spelling: a form tells `599.00` where another webhook tells `599`. */
function fingerprint({ amount, reference }: ProviderEvent): string {
  return JSON.stringify([
    amount?.currency ?? null,
    amount?.minorUnits ?? amount?.value ?? null,
    reference,
  ]);
}

/**
 * A store's answer, if it comes in time.
 *
 * @throws WebhookError `store_unavailable`
 */
function answered<T>(timeout: number, verb: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
      clearTimeout(timer);
    };
    const fail = (cause: unknown): void => {
      settle();
      reject(new WebhookError('store_unavailable', { cause }));
    };
    const succeed = (answer: T): void => {
      settle();
      resolve(answer);
    };
    // A store that throws in place has failed like any other.
    new Promise<T>((answer) => answer(verb())).then(succeed, fail);
    // A store in this process has answered by then, and needs no timer.
    process.nextTick(() => {
      if (isSettled) return;
      timer = setTimeout(() => fail(new RangeError('no answer in time')), timeout);
    });
  });
}
