import { createRequire } from 'node:module';
import Database from 'better-sqlite3';
import { Redis } from 'ioredis';
import pg from 'pg';
import { createClient } from 'redis';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryStore } from '../../src/memory.ts';
import { type PostgresQuery, postgresStore } from '../../src/postgres.ts';
import { redisStore } from '../../src/redis.ts';
import { type SqliteDatabase, sqliteStore } from '../../src/sqlite.ts';
import { type ContractCase, storeContract } from '../../src/testing.ts';
import { FAULTS, PlainStore } from './faults.ts';
import { removeKeys, services, unique } from './services.ts';

const cleanups: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanup of cleanups) await cleanup();
});

type Make = Parameters<typeof storeContract>[0];

const NO_REDIS = 'skipped: no Redis answers here (set REDIS_URL)';
const NO_POSTGRES = 'skipped: no PostgreSQL answers here (set DATABASE_URL)';

/** Where the service, or the module in this version of Node, is not there: why nothing is tested. */
const stores: Record<string, Make | string> = {
  memory: once(() => memoryStore()),
  'a store of thirty lines': once(() => new PlainStore()),
  'sqlite (better-sqlite3)': once(() => sqliteStore({ database: new Database(':memory:') })),
  'sqlite (better-sqlite3, safe integers)': once(() =>
    sqliteStore({ database: new Database(':memory:').defaultSafeIntegers() }),
  ),
  'sqlite (node:sqlite)': nodeSqlite(),
  'redis (ioredis)': services.redis === null ? NO_REDIS : ioredis(services.redis),
  'redis (node-redis)': services.redis === null ? NO_REDIS : nodeRedis(services.redis),
  'postgres (pg)': services.postgres === null ? NO_POSTGRES : postgres(services.postgres),
};

describe.each(Object.entries(stores))('%s', (_, make) => {
  if (typeof make === 'string') return it.skip(make, () => {});
  verify(make);
});

describe('a store without the optional verbs', () => {
  verify(() => {
    const store = new PlainStore();
    return {
      claim: (claim) => store.claim(claim),
      commit: (...args) => store.commit(...args),
      release: (...args) => store.release(...args),
    };
  });
});

describe('the contract refuses a store that', () => {
  it.each(
    FAULTS.map((fault) => ({ ...fault, failures: failuresOf(storeContract(fault.make)) })),
  )('$name', async ({ caughtBy, failures }) => {
    expect(await failures).toContain(caughtBy);
  });

  it('tries enough: every case catches at least one of these', async () => {
    const caught = await Promise.all(FAULTS.map(({ make }) => failuresOf(storeContract(make))));
    const names = storeContract(() => new PlainStore()).map(({ name }) => name);
    expect(new Set(caught.flat())).toEqual(new Set(names));
  });
});

/** All cases at once, since most of them wait. Nothing runs before the test: what fails is its failure. */
function verify(make: Make): void {
  it('keeps the contract', async () => {
    expect(await failuresOf(storeContract(make))).toEqual([]);
  });
}

/** The cases that fail, by name. */
async function failuresOf(cases: readonly ContractCase[]): Promise<string[]> {
  const outcomes = await Promise.allSettled(cases.map(({ run }) => run()));
  return cases.flatMap(({ name }, at) => (outcomes[at]?.status === 'rejected' ? [name] : []));
}

/** The same store for all cases. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

function nodeSqlite(): Make | string {
  let DatabaseSync: new (path: string) => SqliteDatabase;
  try {
    ({ DatabaseSync } = createRequire(import.meta.url)('node:sqlite'));
  } catch {
    const absent = `Node ${process.version} has no node:sqlite (22.5 has)`;
    process.stderr.write(`payproof: ${absent}: its tests are SKIPPED\n`);
    return `skipped: ${absent}`;
  }
  return once(() => sqliteStore({ database: new DatabaseSync(':memory:') }));
}

function ioredis(url: string): Make {
  const client = new Redis(url);
  const prefix = `${unique()}:`;
  cleanups.push(() => removeKeys(client, prefix).then(() => client.quit()));
  return once(() => redisStore({ sendCommand: (...args) => client.call(...args), prefix }));
}

function nodeRedis(url: string): Make {
  const connecting = createClient({ url }).connect();
  const prefix = `${unique()}:`;
  cleanups.push(async () => {
    const janitor = new Redis(url);
    await removeKeys(janitor, prefix);
    await janitor.quit();
    (await connecting).destroy();
  });
  return async () => {
    const client = await connecting;
    return redisStore({ sendCommand: (...args) => client.sendCommand(args), prefix });
  };
}

function postgres(config: pg.PoolConfig): Make {
  const pool = new pg.Pool(config);
  const table = unique();
  const query: PostgresQuery = (text, values) => pool.query(text, values);
  const make = once(async () => {
    const store = postgresStore({ query, table });
    await store.migrate();
    return store;
  });
  cleanups.push(() => pool.query(`DROP TABLE IF EXISTS ${table}`).then(() => pool.end()));
  return make;
}
