import { setImmediate as turn } from 'node:timers/promises';
import type { ClaimRequest, ClaimResult, DedupeStore } from '../../src/dedupe.ts';

interface Entry {
  /** Null where the event is done. */
  owner: string | null;
  fingerprint: string;
  until: number;
}

/** A right store, as plain as can be, for the faulty ones to differ from in one thing. */
export class PlainStore implements DedupeStore {
  protected readonly entries = new Map<string, Entry>();
  protected readonly ranks = new Map<string, { rank: number; until: number }>();

  protected find(key: string): Entry | undefined {
    const entry = this.entries.get(key);
    return entry && entry.until > Date.now() ? entry : undefined;
  }

  protected owned(key: string, owner: string): Entry | undefined {
    const entry = this.entries.get(key);
    return entry?.owner === owner ? entry : undefined;
  }

  async claim({ key, owner, lease, fingerprint }: ClaimRequest): Promise<ClaimResult> {
    const entry = this.find(key);
    if (entry && entry.fingerprint !== fingerprint) return { status: 'conflict' };
    if (entry?.owner === null) return { status: 'done' };
    if (entry && entry.owner !== owner) {
      return { status: 'in_progress', retryAfter: entry.until - Date.now() };
    }
    this.entries.set(key, { owner, fingerprint, until: Date.now() + lease });
    return { status: 'claimed' };
  }

  async commit(key: string, owner: string, ttl: number): Promise<boolean> {
    const entry = this.owned(key, owner);
    if (entry) this.entries.set(key, { ...entry, owner: null, until: Date.now() + ttl });
    return entry !== undefined;
  }

  async release(key: string, owner: string): Promise<boolean> {
    return this.owned(key, owner) !== undefined && this.entries.delete(key);
  }

  async advance(payment: string, rank: number, ttl: number): Promise<number> {
    const known = this.ranks.get(payment);
    const before = known && known.until > Date.now() ? known.rank : 0;
    if (rank > before) this.ranks.set(payment, { rank, until: Date.now() + ttl });
    return Math.max(before, rank);
  }
}

/** Stores that break one promise, each with the case of the contract that must notice. */
export const FAULTS: readonly { name: string; make: () => DedupeStore; caughtBy: string }[] = [
  {
    name: 'refuses everything as in progress',
    caughtBy: 'an event that is new is claimed',
    make: () =>
      new (class extends PlainStore {
        override async claim(): Promise<ClaimResult> {
          return { status: 'in_progress', retryAfter: 1 };
        }
      })(),
  },
  {
    name: 'marks the event as done before it is handled',
    caughtBy: 'a claim in other hands is in progress, and says for how long',
    make: () =>
      new (class extends PlainStore {
        override async claim(request: ClaimRequest) {
          const result = await super.claim(request);
          if (result.status === 'claimed') await super.commit(request.key, request.owner, 60_000);
          return result;
        }
      })(),
  },
  {
    name: 'looks first and inserts later',
    caughtBy: 'of a hundred claims at once exactly one succeeds',
    make: () =>
      new (class extends PlainStore {
        override async claim(request: ClaimRequest) {
          const entry = this.find(request.key);
          await turn();
          if (entry === undefined) this.entries.delete(request.key);
          return super.claim(request);
        }
      })(),
  },
  {
    name: 'commits for anyone',
    caughtBy: 'only the owner commits',
    make: () =>
      new (class extends PlainStore {
        protected override owned(key: string) {
          return this.entries.get(key);
        }
      })(),
  },
  {
    name: 'lets the late owner commit what the next one holds',
    caughtBy: 'a claim whose lease ran out belongs to the next delivery',
    make: () =>
      new (class extends PlainStore {
        private readonly everOwned = new Set<string>();
        override async claim(request: ClaimRequest) {
          const result = await super.claim(request);
          if (result.status === 'claimed') this.everOwned.add(request.key + request.owner);
          return result;
        }
        override async commit(key: string, owner: string, ttl: number) {
          const entry = this.find(key);
          if (entry && this.everOwned.has(key + owner)) entry.owner = owner;
          return super.commit(key, owner, ttl);
        }
      })(),
  },
  {
    name: 'commits what was never claimed',
    caughtBy: 'what was never claimed is neither committed nor released',
    make: () =>
      new (class extends PlainStore {
        override async commit(key: string, owner: string, ttl: number) {
          if (!this.entries.has(key)) {
            this.entries.set(key, { owner, fingerprint: 'print', until: Date.now() + ttl });
          }
          return super.commit(key, owner, ttl);
        }
      })(),
  },
  {
    name: 'says that nothing was committed',
    caughtBy: 'a committed event is done for everyone',
    make: () =>
      new (class extends PlainStore {
        override async commit(key: string, owner: string, ttl: number) {
          await super.commit(key, owner, ttl);
          return false;
        }
      })(),
  },
  {
    name: 'releases for anyone',
    caughtBy: 'only the owner releases',
    make: () =>
      new (class extends PlainStore {
        override async release(key: string) {
          return this.entries.delete(key);
        }
      })(),
  },
  {
    name: 'releases what is done',
    caughtBy: 'a committed event is not released and not committed again',
    make: () =>
      new (class extends PlainStore {
        override async release(key: string, owner: string) {
          const entry = this.entries.get(key);
          return entry?.owner === null ? this.entries.delete(key) : super.release(key, owner);
        }
      })(),
  },
  {
    name: 'keeps what was released',
    caughtBy: 'a released event is free for the next delivery',
    make: () =>
      new (class extends PlainStore {
        override async release(key: string, owner: string) {
          return this.owned(key, owner) !== undefined;
        }
      })(),
  },
  {
    name: 'never lets a lease run out',
    caughtBy: 'a claim whose lease ran out belongs to the next delivery',
    make: () =>
      new (class extends PlainStore {
        override claim(request: ClaimRequest) {
          return super.claim({ ...request, lease: 3_600_000 });
        }
      })(),
  },
  {
    name: 'takes the lease for seconds',
    caughtBy: 'a claim in other hands is in progress, and says for how long',
    make: () =>
      new (class extends PlainStore {
        override claim(request: ClaimRequest) {
          return super.claim({ ...request, lease: request.lease * 1_000 });
        }
      })(),
  },
  {
    name: 'tells the wait in seconds',
    caughtBy: 'a claim in other hands is in progress, and says for how long',
    make: () =>
      new (class extends PlainStore {
        override async claim(request: ClaimRequest) {
          const result = await super.claim(request);
          if (result.status !== 'in_progress') return result;
          return { ...result, retryAfter: result.retryAfter / 1_000 };
        }
      })(),
  },
  {
    name: 'does not look at the fingerprint',
    caughtBy: 'another fingerprint is a conflict, in progress and done',
    make: () =>
      new (class extends PlainStore {
        override claim(request: ClaimRequest) {
          return super.claim({ ...request, fingerprint: '' });
        }
      })(),
  },
  {
    name: 'gives the claim to the delivery that conflicts',
    caughtBy: 'a conflict leaves the claim as it was',
    make: () =>
      new (class extends PlainStore {
        override async claim(request: ClaimRequest) {
          const result = await super.claim(request);
          const entry = this.entries.get(request.key);
          if (result.status === 'conflict' && entry) entry.owner = request.owner;
          return result;
        }
      })(),
  },
  {
    name: 'does not renew',
    caughtBy: 'the owner renews its lease by claiming again',
    make: () =>
      new (class extends PlainStore {
        override async claim(request: ClaimRequest): Promise<ClaimResult> {
          if (this.find(request.key)?.owner === request.owner) return { status: 'claimed' };
          return super.claim(request);
        }
      })(),
  },
  {
    name: 'forgets what is done when the lease ends',
    caughtBy: 'commit remembers for its own time, not for the lease',
    make: () =>
      new (class extends PlainStore {
        override commit(key: string, owner: string) {
          return super.commit(key, owner, (this.find(key)?.until ?? 0) - Date.now());
        }
      })(),
  },
  {
    name: 'never forgets what is done',
    caughtBy: 'a done event is forgotten after its time',
    make: () =>
      new (class extends PlainStore {
        override commit(key: string, owner: string) {
          return super.commit(key, owner, 3_600_000);
        }
      })(),
  },
  {
    name: 'puts keys into its statements without quoting them',
    caughtBy: 'keys and fingerprints are any text',
    make: () =>
      new (class extends PlainStore {
        override async claim(request: ClaimRequest) {
          if (request.key.includes("'")) throw new Error('syntax error');
          return super.claim(request);
        }
      })(),
  },
  {
    name: 'cuts keys to 200 characters',
    caughtBy: 'keys that differ in case, in white space or in their last character are different',
    make: () =>
      new (class extends PlainStore {
        override claim(request: ClaimRequest) {
          return super.claim({ ...request, key: request.key.slice(0, 200) });
        }
      })(),
  },
  {
    name: 'compares keys without case',
    caughtBy: 'keys that differ in case, in white space or in their last character are different',
    make: () =>
      new (class extends PlainStore {
        override claim(request: ClaimRequest) {
          return super.claim({ ...request, key: request.key.toLowerCase() });
        }
      })(),
  },
  {
    name: 'keeps one rank for all payments',
    caughtBy: "a payment's rank is its own",
    make: () =>
      new (class extends PlainStore {
        override advance(_payment: string, rank: number, ttl: number) {
          return super.advance('', rank, ttl);
        }
      })(),
  },
  {
    name: 'lowers the rank of a payment',
    caughtBy: "a payment's rank rises and never falls",
    make: () =>
      new (class extends PlainStore {
        override async advance(payment: string, rank: number, ttl: number) {
          this.ranks.set(payment, { rank, until: Date.now() + ttl });
          return rank;
        }
      })(),
  },
  {
    name: 'never forgets the rank of a payment',
    caughtBy: "a payment's rank is forgotten after its time",
    make: () =>
      new (class extends PlainStore {
        override advance(payment: string, rank: number) {
          return super.advance(payment, rank, 3_600_000);
        }
      })(),
  },
];
