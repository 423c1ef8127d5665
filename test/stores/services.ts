import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';

/** How long a service may take to answer before its tests are skipped, in milliseconds. */
const PATIENCE = 2_000;

const redisUrl = process.env.REDIS_URL || 'redis://127.0.0.1:6379';
const postgresConfig: pg.PoolConfig = process.env.DATABASE_URL
  ? { connectionString: process.env.DATABASE_URL }
  : { host: '127.0.0.1', port: 5432, user: 'postgres', database: 'test' };

/**
 * The Redis and the PostgreSQL of this machine, or null where there is none: then a line on stderr
 * says which tests are skipped. With `PAYPROOF_REQUIRE_SERVICES=1` their absence is a failure.
 */
export const services: Services = {
  redis: (await answers('Redis', 'REDIS_URL', tryRedis)) ? redisUrl : null,
  postgres: (await answers('PostgreSQL', 'DATABASE_URL', tryPostgres)) ? postgresConfig : null,
};

export interface Services {
  readonly redis: string | null;
  readonly postgres: pg.PoolConfig | null;
}

/** A name that no other run uses. */
export const unique = (): string => `payproof_test_${randomBytes(6).toString('hex')}`;

/** Removes every key that a test left in Redis. */
export async function removeKeys(client: Redis, prefix: string): Promise<void> {
  for await (const keys of client.scanStream({ match: `${prefix}*`, count: 1_000 })) {
    if (keys.length > 0) await client.unlink(...keys);
  }
}

async function answers(
  name: string,
  variable: string,
  attempt: () => Promise<unknown>,
): Promise<boolean> {
  try {
    await attempt();
    return true;
  } catch (cause) {
    const absent = `payproof: no ${name} answers here (set ${variable})`;
    if (process.env.PAYPROOF_REQUIRE_SERVICES === '1') throw new Error(absent, { cause });
    process.stderr.write(`${absent}: the tests on ${name} are SKIPPED\n`);
    return false;
  }
}

async function tryRedis(): Promise<void> {
  const client = new Redis(redisUrl, {
    lazyConnect: true,
    connectTimeout: PATIENCE,
    commandTimeout: PATIENCE,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.ping();
  } finally {
    client.disconnect();
  }
}

async function tryPostgres(): Promise<void> {
  const client = new pg.Client({ ...postgresConfig, connectionTimeoutMillis: PATIENCE });
  try {
    await client.connect();
    await client.query('SELECT 1');
  } finally {
    await client.end().catch(() => {});
  }
}
