import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClaimRequest } from '../../src/dedupe.ts';
import { type PostgresQuery, postgresStore } from '../../src/postgres.ts';
import { hatex, type Loose, PAYMENT, post, serve, until } from '../http/support.ts';
import { services, unique } from './services.ts';

const request = (key: string, changes: Partial<ClaimRequest> = {}): ClaimRequest => ({
  key,
  owner: randomUUID(),
  lease: 60_000,
  fingerprint: 'print',
  ...changes,
});

describe.skipIf(services.postgres === null)('a real PostgreSQL', () => {
  const pool = new pg.Pool({ ...services.postgres, max: 12 });
  const query: PostgresQuery = (text, values) => pool.query(text, values);
  const table = unique();
  const orders = unique();
  const store = postgresStore({ query, table });

  beforeAll(async () => {
    await store.migrate();
    await pool.query(
      `CREATE TABLE ${orders} (id text PRIMARY KEY, paid integer NOT NULL DEFAULT 0)`,
    );
  });
  afterAll(async () => {
    await pool.query(`DROP TABLE ${table}, ${orders}`);
    await pool.end();
  });

  /** A claimed event and the order that it pays. */
  async function claimed(changes: Partial<ClaimRequest> = {}) {
    const claim = request(randomUUID(), changes);
    expect((await store.claim(claim)).status).toBe('claimed');
    await pool.query(`INSERT INTO ${orders} VALUES ($1)`, [claim.key]);
    const paid = async () =>
      (await pool.query(`SELECT paid FROM ${orders} WHERE id = $1`, [claim.key])).rows[0].paid;
    const again = () => store.claim(request(claim.key));
    return { claim, paid, again };
  }

  /** The merchant's transaction. */
  async function transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  }
  const pay = (client: pg.PoolClient, id: string) =>
    client.query(`UPDATE ${orders} SET paid = paid + 1 WHERE id = $1`, [id]);

  it.each([[new Error('down')], [undefined]])('rejects as the client does: %s', async (failure) => {
    const broken = postgresStore({ query: () => Promise.reject(failure) });
    await expect(broken.claim(request('a'))).rejects.toBe(failure);
  });

  describe('migrate', () => {
    it('may run again, and leaves the rows', async () => {
      const { again } = await claimed();
      await store.migrate();
      expect((await again()).status).toBe('in_progress');
    });

    it('may run in servers that start together', async () => {
      const name = unique();
      const one = postgresStore({ query, table: name });
      await Promise.all(Array.from({ length: 12 }, () => pool.query('SELECT pg_sleep(0.05)')));
      await Promise.all(Array.from({ length: 12 }, () => one.migrate()));
      await pool.query(`DROP TABLE ${name}`);
    });

    it('makes what the printed DDL makes', async () => {
      const name = unique();
      const one = postgresStore({ query, table: name });
      await pool.query(one.ddl);
      expect((await one.claim(request('a'))).status).toBe('claimed');
      await pool.query(`DROP TABLE ${name}`);
    });

    it('rejects where the schema is not there; so does a claim without the table', async () => {
      const one = postgresStore({ query, table: `${unique()}.events` });
      await expect(one.migrate()).rejects.toThrow('does not exist');
      await expect(one.claim(request('a'))).rejects.toThrow('does not exist');
    });

    it('takes a table in a schema', async () => {
      const schema = unique();
      await pool.query(`CREATE SCHEMA ${schema}`);
      const one = postgresStore({ query, table: `${schema}.events` });
      await one.migrate();
      expect((await one.claim(request('a'))).status).toBe('claimed');
      const { rows } = await pool.query(`SELECT key FROM ${schema}.events`);
      expect(rows).toEqual([{ key: 'a' }]);
      await pool.query(`DROP SCHEMA ${schema} CASCADE`);
    });
  });

  describe('commitIn', () => {
    it('keeps the event while its handler goes on after a rollback', async () => {
      let finish = () => {};
      const working = new Promise<void>((resolve) => {
        finish = resolve;
      });
      const app = await serve('koa3', {
        options: { dedupe: { store, lease: 300 } },
        after: [
          async (ctx: Loose) => {
            app.events.push(ctx.state.paymentEvent);
            const client = await pool.connect();
            await client.query('BEGIN');
            await ctx.state.paymentClaim.commitIn(client);
            await client.query('ROLLBACK');
            client.release();
            await working;
            ctx.status = 200;
          },
        ],
      });
      const sent = hatex({ ...PAYMENT, transaction_id: randomUUID() });
      const first = post(app, sent);
      await until(() => app.events.length === 1);
      await sleep(600);
      expect((await post(app, sent)).status).toBe(409);
      finish();
      expect((await first).status).toBe(200);
      await expect.poll(async () => (await post(app, sent)).status).toBe(200);
      expect(app.events).toHaveLength(1);
    });

    it('stands with the transaction', async () => {
      const { claim, paid, again } = await claimed();
      await transaction(async (client) => {
        await pay(client, claim.key);
        expect(await store.commitIn(client, claim.key, claim.owner, 60_000)).toBe(true);
      });
      expect(await paid()).toBe(1);
      expect((await again()).status).toBe('done');
      // What the middleware does after the answer finds nothing left to do.
      expect(await store.commit(claim.key, claim.owner, 60_000)).toBe(false);
    });

    it('falls with the transaction: the event is not done, and runs again', async () => {
      const { claim, paid, again } = await claimed();
      const failed = transaction(async (client) => {
        await pay(client, claim.key);
        await store.commitIn(client, claim.key, claim.owner, 60_000);
        throw new Error('out of stock');
      });
      await expect(failed).rejects.toThrow('out of stock');
      expect(await paid()).toBe(0);
      expect((await again()).status).toBe('in_progress');
      expect(await store.release(claim.key, claim.owner)).toBe(true);
      expect((await again()).status).toBe('claimed');
    });

    it.each([
      ['commits, and is done', 'COMMIT', 'done'],
      ['rolls back, and is in progress', 'ROLLBACK', 'in_progress'],
    ])('lets a claim wait for the open transaction, which %s', async (_, end, expected) => {
      const { claim, again } = await claimed();
      const client = await pool.connect();
      await client.query('BEGIN');
      await store.commitIn(client, claim.key, claim.owner, 60_000);
      const waiting = again();
      expect(await Promise.race([waiting, sleep(100, 'waits')])).toBe('waits');
      await client.query(end);
      client.release();
      expect((await waiting).status).toBe(expected);
    });

    it('lets no claim hold a connection for long: it is in progress', async () => {
      const { claim, again } = await claimed();
      const client = await pool.connect();
      await client.query('BEGIN');
      await store.commitIn(client, claim.key, claim.owner, 60_000);
      expect(await Promise.all([again(), again()])).toEqual([
        { status: 'in_progress', retryAfter: 250 },
        { status: 'in_progress', retryAfter: 250 },
      ]);
      // What the merchant's own statements may wait is theirs.
      const limits = await Promise.all([1, 2].map(() => pool.query('SHOW lock_timeout')));
      expect(limits.map(({ rows }) => rows)).toEqual([
        [{ lock_timeout: '0' }],
        [{ lock_timeout: '0' }],
      ]);
      await client.query('COMMIT');
      client.release();
      expect((await again()).status).toBe('done');
    });

    it('is refused to an owner whose claim went to another delivery', async () => {
      const { claim, paid } = await claimed({ lease: 20 });
      await sleep(40);
      const next = request(claim.key);
      expect((await store.claim(next)).status).toBe('claimed');
      await transaction(async (client) => {
        expect(await store.commitIn(client, claim.key, claim.owner, 60_000)).toBe(false);
        expect(await store.commitIn(client, next.key, next.owner, 60_000)).toBe(true);
      });
      expect(await paid()).toBe(0);
    });

    it('decides between two owners that commit at the same time', async () => {
      const { claim, paid } = await claimed({ lease: 20 });
      await sleep(40);
      const next = request(claim.key);
      await store.claim(next);
      const attempts = await Promise.all(
        [claim, next].map(({ key, owner }) =>
          transaction(async (client) => {
            await pay(client, key);
            if (!(await store.commitIn(client, key, owner, 60_000))) throw new Error('lost');
          }).then(
            () => 'paid',
            (error: Error) => error.message,
          ),
        ),
      );
      expect(attempts).toEqual(['lost', 'paid']);
      expect(await paid()).toBe(1);
    });

    it.each([undefined, null, {}, 'client'])('throws a TypeError for %j', async (tx) => {
      await expect(store.commitIn(tx, 'a', 'o', 1)).rejects.toThrow(
        'commitIn: needs the client ({ query }) on which the transaction is open',
      );
    });

    it('throws a TypeError for the pool, whose clients are in no transaction', async () => {
      await expect(store.commitIn(pool, 'a', 'o', 1)).rejects.toThrow(/not the pool/);
    });
  });

  it('purges what need not be remembered, and nothing else', async () => {
    const name = unique();
    const one = postgresStore({ query, table: name });
    await one.migrate();
    const old = request('old');
    const young = request('young');
    for (const [claim, ttl] of [[old, 20] as const, [young, 60_000] as const]) {
      await one.claim(claim);
      await one.commit(claim.key, claim.owner, ttl);
    }
    await one.claim(request('held'));
    await one.claim(request('dead', { lease: 20 }));
    await one.advance('p', 3, 20);
    await sleep(40);
    expect(await one.purge()).toBe(3);
    expect(await one.purge()).toBe(0);
    const { rows } = await pool.query(`SELECT key FROM ${name} ORDER BY key`);
    expect(rows.map(({ key }) => key)).toEqual(['held', 'young']);
    await pool.query(`DROP TABLE ${name}`);
  });

  it('goes on after the server ended its connections', async () => {
    const own = new pg.Pool({ ...services.postgres, max: 1, application_name: table });
    own.on('error', () => {});
    const one = postgresStore({ query: (text, values) => own.query(text, values), table });
    const claim = request(randomUUID());
    await one.claim(claim);
    await pool.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
      [table],
    );
    await sleep(50);
    expect((await one.claim(request(claim.key))).status).toBe('in_progress');
    await own.end();
  });
});
