import { setTimeout as sleep } from 'node:timers/promises';
import { knownOptions } from './core/options.ts';
import type { ClaimRequest, ClaimResult, DedupeStore } from './dedupe.ts';

/** How long the locked file of another process is waited for, and how often it is tried, in milliseconds. */
const BUSY_TIMEOUT = 5_000;
const BUSY_RETRY = 20;

/** What better-sqlite3's `Database` and node:sqlite's `DatabaseSync` have in common. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

/** A prepared statement of either. */
export interface SqliteStatement {
  get(...values: (string | number)[]): unknown;
  run(...values: (string | number)[]): { changes: number | bigint };
}

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /** An open database of better-sqlite3 or node:sqlite. It stays the caller's to close. */
  database: SqliteDatabase;
  /** The name of the table, which is made if it is not there. Default `payproof_events`. */
  table?: string | undefined;
  /** The time in milliseconds. Default: the system's clock. */
  clock?: (() => number) | undefined;
}

/** What the SQLite store has beside the verbs of every store. */
export interface SqliteStore extends DedupeStore {
  advance(payment: string, rank: number, ttl: number): Promise<number>;
  /** `tx`: the same database, while the merchant's own transaction is open on it. */
  commitIn(tx: unknown, key: string, owner: string, ttl: number): boolean;
  /** Deletes what need not be remembered any more. Call it now and then; returns the number of rows. */
  purge(): Promise<number>;
}

/**
 * A durable store in an SQLite file, for the processes of one machine.
 *
 * @throws TypeError if an option is missing or wrong
 */
export function sqliteStore(options: SqliteStoreOptions): SqliteStore {
  knownOptions('sqliteStore', options, ['database', 'table', 'clock']);
  const { database, table = 'payproof_events', clock = Date.now } = options;
  if (typeof database?.prepare !== 'function' || typeof database.exec !== 'function') {
    throw new TypeError('database: must be an open database of better-sqlite3 or node:sqlite');
  }
  if (typeof table !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(table)) {
    throw new TypeError('table: must be a plain SQL name');
  }
  // Another process may hold the write lock of the file for a moment.
  const timeout = database.prepare('PRAGMA busy_timeout');
  if (busyTimeout() === 0) database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
  // owner is null where the event is done; until is the end of the lease or of the memory.
  database.exec(
    `CREATE TABLE IF NOT EXISTS ${table} (
       key TEXT PRIMARY KEY,
       owner TEXT,
       fingerprint TEXT NOT NULL,
       rank INTEGER NOT NULL DEFAULT 0,
       until INTEGER NOT NULL
     ) WITHOUT ROWID`,
  );
  // What writes is run to its end, and tells by its count: a row that it returned would come before its commit,
  // which can still fail. What a second statement tells of a claim that was not taken may be old by then, which
  // costs the sender a retry at most.
  const claim = database.prepare(
    `INSERT INTO ${table} AS t (key, owner, fingerprint, until) VALUES (?, ?, ?, ?)
     ON CONFLICT (key) DO UPDATE
       SET owner = excluded.owner, fingerprint = excluded.fingerprint, until = excluded.until
       WHERE t.until <= ? OR (t.owner = excluded.owner AND t.fingerprint = excluded.fingerprint)`,
  );
  const look = database.prepare(`SELECT owner, fingerprint, until FROM ${table} WHERE key = ?`);
  const commit = `UPDATE ${table} SET owner = NULL, until = ? WHERE key = ? AND owner = ?`;
  const release = database.prepare(`DELETE FROM ${table} WHERE key = ? AND owner = ?`);
  const advance = database.prepare(
    `INSERT INTO ${table} AS t (key, fingerprint, rank, until) VALUES (?, '', ?, ?)
     ON CONFLICT (key) DO UPDATE
       SET rank = max(excluded.rank, CASE WHEN t.until > ? THEN t.rank ELSE 0 END),
           until = max(excluded.until, t.until)`,
  );
  const rankOf = database.prepare(`SELECT rank FROM ${table} WHERE key = ?`);
  const purge = database.prepare(`DELETE FROM ${table} WHERE until <= ?`);

  function busyTimeout(): number {
    return Number(Object.values(timeout.get() as object)[0]);
  }

  /** Tries again while the file is locked. SQLite's own way to wait would hold up the whole process. */
  async function unlocked<T>(verb: () => T): Promise<T> {
    for (let waited = 0; ; waited += BUSY_RETRY) {
      const before = busyTimeout();
      database.exec('PRAGMA busy_timeout = 0');
      try {
        return verb();
      } catch (error) {
        if (!isBusy(error) || waited >= BUSY_TIMEOUT) throw error;
      } finally {
        database.exec(`PRAGMA busy_timeout = ${before}`);
      }
      await sleep(BUSY_RETRY);
    }
  }

  const commitOn = (on: SqliteDatabase, key: string, owner: string, ttl: number): boolean =>
    changed(on.prepare(commit).run(clock() + ttl, key, owner));

  return {
    async claim({ key, owner, lease, fingerprint }: ClaimRequest): Promise<ClaimResult> {
      return unlocked(() => {
        const now = clock();
        const isClaimed = changed(claim.run(key, owner, fingerprint, now + lease, now));
        if (isClaimed) return { status: 'claimed' };
        const row = look.get(key) as Row | undefined;
        if (row === undefined) return { status: 'in_progress', retryAfter: 0 };
        if (row.fingerprint !== fingerprint) return { status: 'conflict' };
        if (row.owner === null) return { status: 'done' };
        return { status: 'in_progress', retryAfter: Number(row.until) - now };
      });
    },
    commit: (key, owner, ttl) => unlocked(() => commitOn(database, key, owner, ttl)),
    commitIn(tx, key, owner, ttl) {
      if (typeof (tx as SqliteDatabase | null)?.prepare !== 'function') {
        throw new TypeError('commitIn: needs the database on which the transaction is open');
      }
      // better-sqlite3 and node:sqlite each have a name for it; older versions of the latter have none.
      const { inTransaction, isTransaction = inTransaction } = tx as OpenDatabase;
      if (isTransaction === false) {
        throw new TypeError('commitIn: no transaction is open on this database');
      }
      return commitOn(tx as SqliteDatabase, key, owner, ttl);
    },
    release: (key, owner) => unlocked(() => changed(release.run(key, owner))),
    advance: (payment, rank, ttl) =>
      unlocked(() => {
        const now = clock();
        advance.run(`payment ${payment}`, rank, now + ttl, now);
        return Number((rankOf.get(`payment ${payment}`) as Pick<Row, 'rank'>).rank);
      }),
    purge: () => unlocked(() => Number(purge.run(clock()).changes)),
  };
}

/** By the names of better-sqlite3, and by the numbers of node:sqlite (of which the last byte tells the kind). */
function isBusy(error: unknown): boolean {
  const { code, errcode } = Object(error) as { code?: unknown; errcode?: unknown };
  return `${code}`.startsWith('SQLITE_BUSY') || (Number(errcode) & 0xff) === 5;
}

/** What tells whether a transaction is open. */
interface OpenDatabase {
  readonly inTransaction?: boolean;
  readonly isTransaction?: boolean;
}

/** The numbers are bigints where the database was told to read them so. */
interface Row {
  owner: string | null;
  fingerprint: string;
  rank: number | bigint;
  until: number | bigint;
}

function changed({ changes }: { changes: number | bigint }): boolean {
  return Number(changes) > 0;
}
