import { boundedNumber, knownOptions } from './core/options.ts';
import type { ClaimRequest, ClaimResult, DedupeStore } from './dedupe.ts';

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /**
   * How many events and payments are remembered. Default 100000. When it is full, what was done
   * longest ago is forgotten first; claims in progress are never forgotten.
   */
  maxEntries?: number | undefined;
  /** The time in milliseconds. Default: the system's clock. */
  clock?: (() => number) | undefined;
}

interface Entry {
  owner: string | null;
  fingerprint: string;
  /** The end of the lease, or of the memory. */
  until: number;
}

/** Looked up once: reading the environment costs more than a claim. */
let isProductionKnown = false;

/**
 * A store in the memory of one process: the default of `paymentWebhook`. It forgets everything when
 * the process ends, and several processes do not see each other's; in production it says so once.
 *
 * @throws TypeError | RangeError if an option is wrong
 */
export function memoryStore(options: MemoryStoreOptions = {}): DedupeStore {
  knownOptions('memoryStore', options, ['maxEntries', 'clock']);
  const { clock = Date.now, maxEntries: most = 100_000 } = options;
  const maxEntries = boundedNumber('maxEntries', most, 1, 10_000_000);
  // A Map keeps the order of insertion, which is the order of age here.
  const claims = new Map<string, Entry>();
  const ranks = new Map<string, { rank: number; until: number }>();

  function live(key: string): Entry | undefined {
    const entry = claims.get(key);
    return entry !== undefined && entry.until > clock() ? entry : undefined;
  }

  function put(key: string, entry: Entry): void {
    claims.delete(key);
    if (claims.size >= maxEntries) makeRoom();
    claims.set(key, entry);
  }

  function makeRoom(): void {
    const now = clock();
    for (const [key, { owner, until }] of claims) {
      if (owner === null || until <= now) {
        claims.delete(key);
        return;
      }
    }
    throw new RangeError('memoryStore: every entry is a claim in progress');
  }

  function owned(key: string, owner: string): Entry | undefined {
    const entry = claims.get(key);
    return entry?.owner === owner ? entry : undefined;
  }

  return {
    async claim({ key, owner, lease, fingerprint }: ClaimRequest): Promise<ClaimResult> {
      warnInProduction();
      const entry = live(key);
      if (entry !== undefined && entry.fingerprint !== fingerprint) return { status: 'conflict' };
      if (entry?.owner === null) return { status: 'done' };
      if (entry !== undefined && entry.owner !== owner) {
        return { status: 'in_progress', retryAfter: entry.until - clock() };
      }
      put(key, { owner, fingerprint, until: clock() + lease });
      return { status: 'claimed' };
    },
    async commit(key, owner, ttl) {
      const entry = owned(key, owner);
      if (entry === undefined) return false;
      put(key, { ...entry, owner: null, until: clock() + ttl });
      return true;
    },
    async release(key, owner) {
      return owned(key, owner) !== undefined && claims.delete(key);
    },
    async advance(payment, rank, ttl) {
      const known = ranks.get(payment);
      const before = known !== undefined && known.until > clock() ? known.rank : 0;
      if (rank > before) {
        ranks.delete(payment);
        const [oldest] = ranks.keys();
        if (ranks.size >= maxEntries && oldest !== undefined) ranks.delete(oldest);
        ranks.set(payment, { rank, until: clock() + ttl });
      }
      return Math.max(before, rank);
    },
  };
}

/** On first use rather than at construction: a test that only builds an app need not hear it. */
function warnInProduction(): void {
  if (isProductionKnown) return;
  isProductionKnown = true;
  if (process.env.NODE_ENV !== 'production') return;
  process.emitWarning(
    'events are remembered in this process only. With several processes, or across restarts, use ' +
      'payproof/sqlite, payproof/redis or payproof/postgres.',
    { type: 'PayproofWarning', code: 'PAYPROOF_MEMORY_STORE' },
  );
}
