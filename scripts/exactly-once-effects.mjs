// What a merchant does when an order is paid, in a place of its own that nothing guards: a second
// effect would be a second row, or a count of two.
import { Redis } from 'ioredis';
import { postgresStore } from 'payproof/postgres';
import { redisStore } from 'payproof/redis';
import pg from 'pg';

/** The store and the effects of a run, in Redis or in PostgreSQL. */
export function effectsIn(kind, name) {
  if (kind === 'redis') return inRedis(name);
  if (kind === 'postgres') return inPostgres(name);
  throw new RangeError('--store: redis or postgres');
}

function inRedis(name) {
  const client = new Redis(process.env.REDIS_URL || 'redis://127.0.0.1:6379');
  const effects = `${name}:effects`;
  return {
    store: redisStore({ sendCommand: (...args) => client.call(...args), prefix: `${name}:` }),
    prepare: async () => {},
    effect: (payment) => client.hincrby(effects, payment, 1),
    count: async () => Object.values(await client.hgetall(effects)).map(Number),
    remove: async () => {
      for await (const keys of client.scanStream({ match: `${name}:*`, count: 1000 })) {
        if (keys.length > 0) await client.unlink(...keys);
      }
      await client.quit();
    },
  };
}

function inPostgres(name) {
  const { DATABASE_URL: connectionString } = process.env;
  const pool = new pg.Pool({
    ...(connectionString
      ? { connectionString }
      : { host: '127.0.0.1', port: 5432, user: 'postgres', database: 'test' }),
    max: 6,
  });
  const store = postgresStore({ query: (text, values) => pool.query(text, values), table: name });
  const effects = `${name}_effects`;
  return {
    store,
    prepare: async () => {
      await store.migrate();
      await pool.query(`CREATE TABLE ${effects} (payment text NOT NULL)`);
    },
    effect: (payment) => pool.query(`INSERT INTO ${effects} VALUES ($1)`, [payment]),
    count: async () => {
      const { rows } = await pool.query(
        `SELECT count(*)::int AS count FROM ${effects} GROUP BY payment`,
      );
      return rows.map(({ count }) => count);
    },
    remove: async () => {
      await pool.query(`DROP TABLE ${name}, ${effects}`);
      await pool.end();
    },
  };
}
