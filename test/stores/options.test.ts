import { describe, expect, it } from 'vitest';
import { type PostgresQuery, postgresStore } from '../../src/postgres.ts';
import { redisStore } from '../../src/redis.ts';

// Apart from the tests with real servers, whose stores are made while their files are read.

describe('postgresStore', () => {
  const query: PostgresQuery = async () => ({ rows: [] });

  it.each([
    ['nothing', undefined, /^postgresStore: /],
    ['no query', {}, 'query: must be a function'],
    ['a pool in its place', { query: {} }, 'query: must be a function'],
    ['an unknown option', { query, table: 'a', pool: {} }, /^postgresStore: .*pool/],
  ])('throws for %s', (_, options, message) => {
    expect(() => postgresStore(options as never)).toThrow(TypeError);
    expect(() => postgresStore(options as never)).toThrow(message);
  });

  it.each([
    'a',
    '_a1',
    'payments_2',
    'shop.a',
    's2.events_2',
  ])('takes the table name %s', (table) => {
    expect(postgresStore({ query, table }).ddl).toContain(`EXISTS ${table} (`);
  });

  it('tries again where another server makes the table at the same time', async () => {
    const asked: unknown[] = [];
    const store = postgresStore({
      query: async (text, values) => {
        asked.push([text, values]);
        if (asked.length === 1) throw new Error('duplicate key');
        return { rows: [] };
      },
    });
    await store.migrate();
    expect(asked).toEqual([
      [store.ddl, []],
      [store.ddl, []],
    ]);
  });

  it.each([
    '',
    'a b',
    'Events',
    'a.b.c',
    'a.',
    '"events"',
    'events; DROP TABLE orders',
    '1a',
    5,
    ['events'],
  ])('refuses the table name %j', (table) => {
    expect(() => postgresStore({ query, table: table as string })).toThrow(
      'table: must be a plain SQL name',
    );
  });

  it('shows its DDL without asking the database', () => {
    expect(postgresStore({ query, table: 'shop.seen' }).ddl).toMatch(
      /^CREATE TABLE IF NOT EXISTS shop\.seen \(\n {2}key text PRIMARY KEY,\n/,
    );
  });

  it('understands a client that counts rows as `count`, or not at all', async () => {
    const counts: { rowCount?: number | null; count?: number }[] = [{ count: 1 }, {}];
    const store = postgresStore({ query: async () => ({ rows: [], ...counts.shift() }) });
    expect(await store.commit('a', 'o', 1)).toBe(true);
    expect(await store.commit('a', 'o', 1)).toBe(false);
    expect(await store.purge()).toBe(0);
  });
});

describe('redisStore', () => {
  const sendCommand = async () => null;

  it.each([
    ['nothing', undefined, /^redisStore: /],
    ['no sendCommand', {}, 'sendCommand: must be a function'],
    ['a client in its place', { sendCommand: {} }, 'sendCommand: must be a function'],
    ['a prefix that is no text', { sendCommand, prefix: 5 }, 'prefix: must be a string'],
    ['null as prefix', { sendCommand, prefix: null }, 'prefix: must be a string'],
    ['an unknown option', { sendCommand, client: {} }, /^redisStore: .*client/],
  ])('throws for %s', (_, options, message) => {
    expect(() => redisStore(options as never)).toThrow(TypeError);
    expect(() => redisStore(options as never)).toThrow(message);
  });

  it('takes a prefix', async () => {
    const sent: string[][] = [];
    const store = redisStore({
      sendCommand: async (...args) => sent.push(args),
      prefix: 'shop:',
    });
    await store.release('a', 'o');
    expect(sent[0]?.[3]).toBe('shop:a');
  });
});
