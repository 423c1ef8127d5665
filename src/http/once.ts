import { randomUUID } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import { WebhookError } from '../core/errors.ts';
import type { PaymentEventType, ProviderEvent } from '../core/event.ts';
import { boundedNumber, knownOptions } from '../core/options.ts';
import type { DedupeOptions, DedupeStore, PaymentClaim } from '../dedupe.ts';

const DEFAULT_LEASE = 60_000;
/** Longer than any provider retries. */
const DEFAULT_REMEMBER = 30 * 24 * 60 * 60 * 1_000;
const DEFAULT_TIMEOUT = 5_000;
/** The longest delay that a timer takes. */
const MAX_TIMER = 2 ** 31 - 1;
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
export type Gate = (event: ProviderEvent, res: ServerResponse) => Promise<Admission>;

/**
 * Builds the gate of a middleware.
 *
 * @throws TypeError | RangeError if an option is wrong
 */
export function onceGate(dedupe: DedupeStore | DedupeOptions | false): Gate {
  if (dedupe === false)
    return async (event) => ({ run: true, stale: false, claim: noClaim(event) });
  const options = readOptions(dedupe);
  return (event, res) => admit(options, event, res);
}

interface Options {
  readonly store: DedupeStore;
  readonly lease: number;
  readonly remember: number;
  readonly timeout: number;
  readonly stale: DedupeOptions['stale'];
}

function readOptions(dedupe: DedupeStore | DedupeOptions): Options {
  const options = dedupe !== null && 'store' in Object(dedupe) ? dedupe : { store: dedupe };
  const { store, lease, remember, timeout, stale } = options as DedupeOptions;
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
  ]);
  if (stale !== undefined && stale !== 'mark' && stale !== 'skip') {
    throw new TypeError('dedupe.stale: must be "mark" or "skip"');
  }
  if (stale !== undefined && typeof store.advance !== 'function') {
    throw new TypeError('dedupe.stale: this store cannot keep the order of states');
  }
  return {
    store,
    lease: boundedNumber('dedupe.lease', lease ?? DEFAULT_LEASE, 1, MAX_TIMER),
    remember: boundedNumber('dedupe.remember', remember ?? DEFAULT_REMEMBER, 1, 2 ** 45),
    timeout: boundedNumber('dedupe.timeout', timeout ?? DEFAULT_TIMEOUT, 1, MAX_TIMER),
    stale,
  };
}

/**
 * @throws WebhookError `delivery_in_progress`, `delivery_conflict`, `store_unavailable`
 */
async function admit(
  options: Options,
  event: ProviderEvent,
  res: ServerResponse,
): Promise<Admission> {
  const { store, lease, remember, timeout } = options;
  const request = { key: event.id, owner: randomUUID(), lease, fingerprint: fingerprint(event) };
  const { key, owner } = request;
  const claim: PaymentClaim = { key, commitIn };
  const result = await answered(timeout, () => store.claim(request));
  switch (result?.status) {
    case 'claimed':
      break;
    case 'done':
      return { run: false, stale: false, claim };
    case 'conflict':
      throw new WebhookError('delivery_conflict');
    case 'in_progress': {
      const seconds = Math.max(1, Math.ceil(result.retryAfter / 1000));
      throw new WebhookError('delivery_in_progress', { headers: { 'Retry-After': `${seconds}` } });
    }
    default:
      throw new WebhookError('store_unavailable');
  }
  // The client may have gone while the store was asked; then no answer will end, and nothing runs.
  if (res.destroyed) {
    settle(() => store.release(key, owner));
    throw new WebhookError('body_aborted');
  }

  const rank = options.stale === undefined ? 0 : (RANKS[event.type] ?? 0);
  const payment =
    event.paymentId === null || rank === 0 ? null : `${event.provider}:${event.paymentId}`;
  const raise = async (to: number): Promise<number> =>
    payment === null ? 0 : ((await store.advance?.(payment, to, remember)) ?? 0);

  let stale: boolean;
  try {
    stale = (await answered(timeout, () => raise(0))) > rank;
    if (stale && options.stale === 'skip') {
      await answered(timeout, () => store.commit(key, owner, remember));
      return { run: false, stale, claim };
    }
  } catch (error) {
    settle(() => store.release(key, owner));
    throw error;
  }

  let renewed: Promise<unknown> = Promise.resolve();
  const renewal = setInterval(() => {
    renewed = settle(() => store.claim(request));
  }, lease / RENEWALS);
  renewal.unref();
  const onEnd = (): void => {
    clearInterval(renewal);
    res.off('finish', onEnd);
    res.off('close', onEnd);
    const succeeded = res.writableFinished && res.statusCode >= 200 && res.statusCode < 300;
    settle(async () => {
      // A renewal that is still under way would take the claim again after its release.
      await renewed;
      if (!succeeded) return store.release(key, owner);
      // Before the commit: a crash between the two makes the next delivery raise it again.
      await raise(rank);
      return store.commit(key, owner, remember);
    });
  };
  res.once('finish', onEnd);
  res.once('close', onEnd);
  return { run: true, stale, claim };

  async function commitIn(tx: unknown): Promise<void> {
    if (store.commitIn === undefined) {
      throw new TypeError(
        'commitIn: this store has no transactions; use payproof/postgres or payproof/sqlite',
      );
    }
    if (!(await store.commitIn(tx, key, owner, remember))) {
      throw new WebhookError('delivery_in_progress');
    }
  }

  /** Works on the claim after its answer. What fails leaves the lease to run out, and is published. */
  function settle(verb: () => Promise<unknown>): Promise<unknown> {
    return answered(timeout, verb).catch((error: unknown) => {
      if (unsettled.hasSubscribers) unsettled.publish({ error, key });
    });
  }
}

function noClaim(event: ProviderEvent): PaymentClaim {
  return {
    key: event.id,
    commitIn: async () => {
      throw new TypeError('commitIn: this route has dedupe: false');
    },
  };
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
async function answered<T>(timeout: number, verb: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new RangeError('no answer in time')), timeout);
  });
  try {
    return await Promise.race([verb(), late]);
  } catch (cause) {
    throw new WebhookError('store_unavailable', { cause });
  } finally {
    clearTimeout(timer);
  }
}
