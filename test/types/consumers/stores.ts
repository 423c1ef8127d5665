// The stores take the clients that merchants have, as they are.
import Database from 'better-sqlite3';
import { Redis } from 'ioredis';
import type { DedupeStore, PaymentClaim } from 'payproof/express';
import { memoryStore } from 'payproof/memory';
import { postgresStore } from 'payproof/postgres';
import { redisStore } from 'payproof/redis';
import { sqliteStore } from 'payproof/sqlite';
import { storeContract } from 'payproof/testing';
import pg from 'pg';
import { createClient } from 'redis';

const pool = new pg.Pool();
const ioredis = new Redis();
const redis = createClient();

export const stores: readonly DedupeStore[] = [
  memoryStore(),
  sqliteStore({ database: new Database(':memory:') }),
  redisStore({ sendCommand: (...args) => redis.sendCommand(args) }),
  redisStore({
    sendCommand: (command, ...args) => ioredis.call(command, ...args),
  }),
  postgresStore({ query: (text, values) => pool.query(text, values) }),
];

export const contract: unknown = storeContract(() => memoryStore());

// The order and the mark of the event stand or fall together.
export async function inOneTransaction(claim: PaymentClaim): Promise<void> {
  const client = await pool.connect();
  await claim.commitIn(client);
  await client.query('COMMIT');
}
