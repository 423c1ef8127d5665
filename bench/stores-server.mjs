// @ts-check
// The server of `stores.mjs`: the same Express route once without a store and once with each.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import express from 'express';
import { Redis } from 'ioredis';
import pg from 'pg';
import { paymentWebhook } from '../dist/express.js';
import { hitpay } from '../dist/index.js';
import { memoryStore } from '../dist/memory.js';
import { postgresStore } from '../dist/postgres.js';
import { redisStore } from '../dist/redis.js';
import { sqliteStore } from '../dist/sqlite.js';

const { SALT, NAME = '', REDIS_URL, DATABASE_URL } = process.env;
// First of all: without Redis or PostgreSQL this ends here, and nothing is left behind.
const redis = new Redis(REDIS_URL || 'redis://127.0.0.1:6379', {
  lazyConnect: true,
  retryStrategy: null,
});
redis.on('error', () => {});
await redis.connect();
const pool = new pg.Pool({
  connectionString: DATABASE_URL || 'postgres://postgres@127.0.0.1:5432/test',
  max: 16,
});
const postgres = postgresStore({ query: (text, values) => pool.query(text, values), table: NAME });
await postgres.migrate();
const home = mkdtempSync(join(tmpdir(), 'payproof-bench-'));

/** @param {string} synchronous FULL: each commit is on disk when it is answered; NORMAL: soon after */
function openSqlite(synchronous) {
  const database = new Database(join(home, `${synchronous}.sqlite`));
  database.pragma('journal_mode = WAL');
  database.pragma(`synchronous = ${synchronous}`);
  return database;
}
const databases = { full: openSqlite('FULL'), normal: openSqlite('NORMAL') };
const stores = {
  none: /** @type {const} */ (false),
  'none again': /** @type {const} */ (false),
  memory: memoryStore({ maxEntries: 1_000_000 }),
  'sqlite FULL': sqliteStore({ database: databases.full }),
  'sqlite NORMAL': sqliteStore({ database: databases.normal }),
  redis: redisStore({
    sendCommand: (command, ...args) => redis.call(command, ...args),
    prefix: `${NAME}:`,
  }),
  postgres,
};

const app = express();
for (const [name, dedupe] of Object.entries(stores)) {
  app.post(
    `/${name.replace(' ', '-')}`,
    paymentWebhook(hitpay({ salt: SALT }), { dedupe }),
    (_req, res) => {
      res.sendStatus(200);
    },
  );
}
const server = app.listen(0, '127.0.0.1', () => {
  process.send?.(/** @type {import('node:net').AddressInfo} */ (server.address()).port);
});

process.once('disconnect', async () => {
  server.close();
  databases.full.close();
  databases.normal.close();
  rmSync(home, { recursive: true, force: true });
  for await (const keys of redis.scanStream({ match: `${NAME}:*`, count: 1_000 })) {
    if (keys.length > 0) await redis.unlink(...keys);
  }
  redis.disconnect();
  await pool.query(`DROP TABLE ${NAME}`);
  await pool.end();
  process.exit();
});
