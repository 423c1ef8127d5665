import { knownOptions } from './core/options.ts';
import type { ClaimRequest, ClaimResult, DedupeStore } from './dedupe.ts';

/**
 * How long a claim waits for the transaction of a handler that called `commitIn`, in milliseconds. Each that waits
 * holds a connection of the pool, which that handler may need.
 */
const LOCK_TIMEOUT = 250;
/** SQLSTATE of a lock that did not come in time. */
const LOCK_NOT_AVAILABLE = '55P03';

/** Runs one statement: `(text, values) => pool.query(text, values)` with pg. */
export type PostgresQuery = (
  text: string,
  values: unknown[],
) => Promise<{ rows: Record<string, unknown>[]; rowCount?: number | null }>;

/** Options of {@link postgresStore}. */
export interface PostgresStoreOptions {
  /** Runs one statement on a connection of its own, outside of any transaction of the merchant. */
  query: PostgresQuery;
  /** The table, with its schema if need be. Default `payproof_events`. */
  table?: string | undefined;
}

/** What the PostgreSQL store has beside the verbs of every store. */
export interface PostgresStore extends DedupeStore {
  /** The statements that make the table, for a migration of the merchant's own. */
  readonly ddl: string;
  /** Makes the table if it is not there. */
  migrate(): Promise<void>;
  advance(payment: string, rank: number, ttl: number): Promise<number>;
  /** `tx`: the client (`{ query }`) on which the merchant's own transaction is open. */
  commitIn(tx: unknown, key: string, owner: string, ttl: number): Promise<boolean>;
  /** Deletes what need not be remembered any more. Call it now and then; returns the number of rows. */
  purge(): Promise<number>;
}

/**
 * A durable store in a PostgreSQL table, for any number of processes. Times are the server's.
 *
 * @throws TypeError if an option is missing or wrong
 */
export function postgresStore(options: PostgresStoreOptions): PostgresStore {
  knownOptions('postgresStore', options, ['query', 'table']);
  const { query, table = 'payproof_events' } = options;
  if (typeof query !== 'function') throw new TypeError('query: must be a function');
  if (typeof table !== 'string' || !/^(?:[a-z_][a-z0-9_]*\.)?[a-z_][a-z0-9_]*$/.test(table)) {
    throw new TypeError(
      'table: must be a plain SQL name in lower case, with its schema or without',
    );
  }
  // owner is null where the event is done; until is the end of the lease or of the memory.
  const ddl = `CREATE TABLE IF NOT EXISTS ${table} (
  key text PRIMARY KEY,
  owner text,
  fingerprint text NOT NULL,
  rank integer NOT NULL DEFAULT 0,
  until timestamptz NOT NULL
);`;
  const after = (parameter: string) =>
    `statement_timestamp() + ${parameter}::double precision * interval '1 millisecond'`;
  // Writes the row even where nothing changes: so one statement both decides and tells, whatever
  // other transactions do meanwhile. One instant for the whole statement, or its parts could disagree.
  const free = 't.until <= statement_timestamp()';
  const mine = `(${free} OR (t.owner = excluded.owner AND t.fingerprint = excluded.fingerprint))`;
  // The limit must be set before the row is asked for, and ends with the statement.
  const CLAIM = `INSERT INTO ${table} AS t (key, owner, fingerprint, until)
SELECT $1, $2, $3, ${after('$4')}
FROM (SELECT set_config('lock_timeout', '${LOCK_TIMEOUT}', true)) AS limited
WHERE limited IS NOT NULL
ON CONFLICT (key) DO UPDATE SET
  owner = CASE WHEN ${free} THEN excluded.owner ELSE t.owner END,
  fingerprint = CASE WHEN ${free} THEN excluded.fingerprint ELSE t.fingerprint END,
  until = CASE WHEN ${mine} THEN excluded.until ELSE t.until END
RETURNING owner, fingerprint,
  (extract(epoch FROM until - statement_timestamp()) * 1000)::double precision AS left`;
  const COMMIT = `UPDATE ${table} SET owner = NULL, until = ${after('$3')}
WHERE key = $1 AND owner = $2`;
  const RELEASE = `DELETE FROM ${table} WHERE key = $1 AND owner = $2`;
  const ADVANCE = `INSERT INTO ${table} AS t (key, fingerprint, rank, until)
VALUES ($1, '', $2, ${after('$3')})
ON CONFLICT (key) DO UPDATE SET
  rank = greatest(excluded.rank, CASE WHEN ${free} THEN 0 ELSE t.rank END),
  until = greatest(excluded.until, t.until)
RETURNING rank`;
  const PURGE = `DELETE FROM ${table} WHERE until <= statement_timestamp()`;

  const commitOn = async (on: PostgresQuery, key: string, owner: string, ttl: number) =>
    changed(await on(COMMIT, [key, owner, ttl]));

  return {
    ddl,
    async migrate() {
      // Servers that start together can collide within CREATE TABLE; by then the table is there.
      await query(ddl, []).catch(() => query(ddl, []));
    },
    async claim({ key, owner, lease, fingerprint }: ClaimRequest): Promise<ClaimResult> {
      const { rows } = await query(CLAIM, [key, owner, fingerprint, lease]).catch((error) => {
        if (error?.code === LOCK_NOT_AVAILABLE) return { rows: [] };
        throw error;
      });
      if (rows.length === 0) return { status: 'in_progress', retryAfter: LOCK_TIMEOUT };
      const row = rows[0] as { owner: string | null; fingerprint: string; left: number };
      if (row.fingerprint !== fingerprint) return { status: 'conflict' };
      if (row.owner === null) return { status: 'done' };
      if (row.owner === owner) return { status: 'claimed' };
      return { status: 'in_progress', retryAfter: Number(row.left) };
    },
    commit: (key, owner, ttl) => commitOn(query, key, owner, ttl),
    async commitIn(tx, key, owner, ttl) {
      const client = tx as { query: PostgresQuery } | null;
      if (typeof client?.query !== 'function') {
        throw new TypeError(
          'commitIn: needs the client ({ query }) on which the transaction is open',
        );
      }
      if ('totalCount' in client) {
        throw new TypeError('commitIn: needs the client of the transaction, not the pool');
      }
      return commitOn((text, values) => client.query(text, values), key, owner, ttl);
    },
    async release(key, owner) {
      return changed(await query(RELEASE, [key, owner]));
    },
    async advance(payment, rank, ttl) {
      const { rows } = await query(ADVANCE, [`payment ${payment}`, rank, ttl]);
      return Number((rows[0] as { rank: number }).rank);
    },
    async purge() {
      return (await query(PURGE, [])).rowCount ?? 0;
    },
  };
}

/** The count that pg gives as `rowCount` and other clients give by the name `count`. */
function changed(result: { rowCount?: number | null; count?: number }): boolean {
  return (result.rowCount ?? result.count ?? 0) > 0;
}
