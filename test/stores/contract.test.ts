import Database from 'better-sqlite3';
import { Redis } from 'ioredis';
import pg from 'pg';
import { createClient } from 'redis';
import { describe, it } from 'vitest';
import { memoryStore } from '../../src/memory.ts';
import { postgresStore } from '../../src/postgres.ts';
import { redisStore } from '../../src/redis.ts';
import { sqliteStore } from '../../src/sqlite.ts';
import { storeContract } from '../../src/testing.ts';

const stores = {
  memory: memoryStore(),
  sqlite: sqliteStore({ database: new Database(':memory:') }),
};
describe.each(Object.entries(stores))('%s', (_, store) => {
  it.each(storeContract(() => store))('$name', ({ run }) => run());
});
describe('postgres', async () => {
  const pool = new pg.Pool({ host: '127.0.0.1', user: 'postgres', database: 'test' });
  const store = postgresStore({ query: (t, v) => pool.query(t, v) });
  await store.migrate();
  it.each(storeContract(() => store))('$name', ({ run }) => run());
});
describe('ioredis', () => {
  const client = new Redis();
  const store = redisStore({ sendCommand: (c, ...a) => client.call(c, ...a) });
  it.each(storeContract(() => store))('$name', ({ run }) => run());
});
describe('redis', async () => {
  const client = await createClient().connect();
  const store = redisStore({ sendCommand: (...a) => client.sendCommand(a) });
  it.each(storeContract(() => store))('$name', ({ run }) => run());
});
