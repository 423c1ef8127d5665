// @ts-check
// The merchant of the kill test: one route, one ledger, nothing between them but payproof. The ledger
// has no UNIQUE on purpose: what is booked twice must show.
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import express from 'express';
import { Redis } from 'ioredis';
import { hitpay } from 'payproof';
import { paymentWebhook } from 'payproof/express';
import { postgresStore } from 'payproof/postgres';
import { redisStore } from 'payproof/redis';
import { sqliteStore } from 'payproof/sqlite';
import pg from 'pg';
import { seeded } from './random.mjs';

const { SALT, STORE, SQLITE_FILE = '', STORE_PORT, SEED, BREAK } = process.env;
const LEDGER = 'CREATE TABLE IF NOT EXISTS ledger (event TEXT NOT NULL)';
const random = seeded(Number(SEED));

/**
 * A store, and a transaction in which the effect is booked.
 *
 * @typedef {{ store: import('payproof/express').DedupeStore,
 *   book(event: string, mark?: (tx: unknown) => Promise<void>): Promise<void>,
 *   markAlone?(mark: (tx: unknown) => Promise<void>): Promise<void> }} Books
 */

/** @returns {Books} */
function sqlite() {
  const database = openSqlite();
  return {
    store: sqliteStore({ database }),
    // Nothing is awaited in the transaction but commitIn, which does not wait for anything: other
    // requests share this connection.
    async book(event, mark) {
      database.exec('BEGIN IMMEDIATE');
      try {
        database.prepare('INSERT INTO ledger VALUES (?)').run(event);
        await mark?.(database);
        database.exec('COMMIT');
      } catch (error) {
        if (database.inTransaction) database.exec('ROLLBACK');
        throw error;
      }
    },
    markAlone: (mark) => mark(database),
  };
}

/** @returns {Promise<Books>} */
async function postgres() {
  const pool = new pg.Pool({
    connectionString: `postgres://postgres@127.0.0.1:${STORE_PORT}/postgres`,
    connectionTimeoutMillis: 2_000,
    max: 16,
  });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const store = postgresStore({ query: (text, values) => pool.query(text, values) });
  await store.migrate();
  await pool.query(LEDGER);
  return {
    store,
    async book(event, mark) {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        await client.query('INSERT INTO ledger VALUES ($1)', [event]);
        await mark?.(client);
        const { command } = await client.query('COMMIT');
        if (command !== 'COMMIT') throw new Error('rolled back');
        client.release();
      } catch (error) {
        await client.query('ROLLBACK').then(
          () => client.release(),
          () => client.release(true),
        );
        throw error;
      }
    },
    markAlone: (mark) => mark(pool),
  };
}

/** Redis has no part in the merchant's transaction: the effect is booked in SQLite, the mark follows. @returns {Books} */
function redis() {
  const database = openSqlite();
  const client = new Redis(Number(STORE_PORT), '127.0.0.1', {
    retryStrategy: () => 50,
    maxRetriesPerRequest: 3,
  });
  client.on('error', () => {});
  const insert = database.prepare('INSERT INTO ledger VALUES (?)');
  return {
    store: redisStore({ sendCommand: (command, ...args) => client.call(command, ...args) }),
    book: async (event) => void insert.run(event),
  };
}

function openSqlite() {
  const database = new Database(SQLITE_FILE);
  // better-sqlite3 alone would sync a WAL at checkpoints only: enough for SIGKILL, not for a power cut.
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec(LEDGER);
  return database;
}

const makers = { sqlite, postgres, redis };
const { store, book, markAlone } = await makers[/** @type {keyof makers} */ (STORE)]();
const transactional = store.commitIn !== undefined;

const app = express();
app.post(
  '/webhook',
  // A dead process' claims are free soon, and a store that is away is not waited for long.
  paymentWebhook(hitpay({ salt: SALT }), { dedupe: { store, lease: 500, timeout: 2_000 } }),
  async (req, res) => {
    const { paymentEvent: event, paymentClaim: claim } = req;
    /** @param {unknown} tx */
    const mark = (tx) => claim.commitIn(tx);
    await sleep(random() * 4);
    if (BREAK === '1' && markAlone) await wrongly(event.id, () => markAlone(mark));
    else await book(event.id, transactional ? mark : undefined);
    await sleep(random() * 4);
    res.set('x-handler', 'ran').sendStatus(200);
  },
);
app.use(
  /** @type {express.ErrorRequestHandler} */
  (error, _req, res, _next) => void res.sendStatus(error.status ?? 500),
);

/**
 * The two mistakes that the test must find: of every second event the mark is one commit and the effect
 * a later one, of the others the effect is one commit and the mark follows the answer.
 *
 * @param {string} event
 * @param {() => Promise<void>} markFirst
 */
async function wrongly(event, markFirst) {
  if (/[0-7]:[^:]*$/.test(event)) {
    await markFirst();
    await sleep(random() * 4);
  }
  await book(event);
}

const server = app.listen(0, '127.0.0.1', () => {
  process.send?.(/** @type {import('node:net').AddressInfo} */ (server.address()).port);
});
// The script that started it is gone.
process.once('disconnect', () => process.exit());
