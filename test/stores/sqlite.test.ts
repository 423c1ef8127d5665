import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { ClaimRequest } from '../../src/dedupe.ts';
import { type SqliteDatabase, sqliteStore } from '../../src/sqlite.ts';
import { child } from './child.ts';

const folder = mkdtempSync(join(tmpdir(), 'payproof-sqlite-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = (): string => join(folder, `${randomUUID()}.db`);
const request = (key: string, changes: Partial<ClaimRequest> = {}): ClaimRequest => ({
  key,
  owner: randomUUID(),
  lease: 60_000,
  fingerprint: 'print',
  ...changes,
});

/** A database whose statements do something else first. */
function disturbed(db: InstanceType<typeof Database>, first: (sql: string, verb: string) => void) {
  return {
    exec: (sql: string) => db.exec(sql),
    prepare: (sql: string) => {
      const statement = db.prepare(sql);
      const verb =
        (name: 'get' | 'run') =>
        (...values: unknown[]) => {
          first(sql, name);
          return statement[name](...values);
        };
      return { get: verb('get'), run: verb('run') };
    },
  } as unknown as SqliteDatabase;
}

describe('options', () => {
  const database = new Database(':memory:');
  const NO_DATABASE = 'database: must be an open database of better-sqlite3 or node:sqlite';

  it.each([
    ['nothing', undefined, /^sqliteStore: /],
    ['no database', {}, NO_DATABASE],
    ['a path', { database: '/tmp/a.db' }, NO_DATABASE],
    ['null as database', { database: null }, NO_DATABASE],
    ['a database of another kind', { database: { query() {} } }, NO_DATABASE],
    ['one that only prepares', { database: { prepare() {} } }, NO_DATABASE],
    ['one that only executes', { database: { exec() {} } }, NO_DATABASE],
    ['an unknown option', { database, path: 'a' }, /^sqliteStore: .*path/],
  ])('throws for %s', (_, options, message) => {
    expect(() => sqliteStore(options as never)).toThrow(TypeError);
    expect(() => sqliteStore(options as never)).toThrow(message);
  });

  it.each([
    '',
    'a b',
    'events; DROP TABLE orders',
    'events"',
    '1events',
    'main.events',
    'é',
    'x'.repeat(64),
    5,
    null,
  ])('refuses the table name %j', (table) => {
    expect(() => sqliteStore({ database, table: table as string })).toThrow(
      'table: must be a plain SQL name',
    );
  });

  it('keeps its events in the table of that name', async () => {
    const db = new Database(':memory:');
    await sqliteStore({ database: db, table: 'Seen_2' }).claim(request('a'));
    await sqliteStore({ database: db }).claim(request('b'));
    expect(db.prepare('SELECT key FROM Seen_2').all()).toEqual([{ key: 'a' }]);
    expect(db.prepare('SELECT key FROM payproof_events').all()).toEqual([{ key: 'b' }]);
  });

  it('ends a lease and a memory by its clock', async () => {
    let now = 1_000_000;
    const store = sqliteStore({ database: new Database(':memory:'), clock: () => now });
    const first = request('a', { lease: 1_000 });
    await store.claim(first);
    now += 999;
    expect(await store.claim(request('a'))).toEqual({ status: 'in_progress', retryAfter: 1 });
    now += 1;
    expect(await store.claim(request('a'))).toEqual({ status: 'claimed' });
  });
});

describe('a file', () => {
  it('remembers across a restart what is done and what is in progress', async () => {
    const path = file();
    const before = new Database(path);
    const [done, held] = [request('done'), request('held')];
    const store = sqliteStore({ database: before });
    await store.claim(done);
    await store.claim(held);
    await store.commit(done.key, done.owner, 60_000);
    await store.advance('p', 3, 60_000);
    before.close();

    const after = sqliteStore({ database: new Database(path) });
    expect((await after.claim(request('done'))).status).toBe('done');
    expect((await after.claim(request('held'))).status).toBe('in_progress');
    expect(await after.commit(held.key, held.owner, 60_000)).toBe(true);
    expect(await after.advance('p', 1, 60_000)).toBe(3);
  });

  it('is shared by processes: of their claims for one event one succeeds', async () => {
    const text = `
      import Database from 'better-sqlite3';
      import { sqliteStore } from 'payproof/sqlite';
      const store = sqliteStore({ database: new Database(process.env.DB_FILE) });
      let claimed = 0;
      for (let n = 0; n < 100; n++) {
        const claim = { key: 'e' + n, owner: process.pid + '-' + n, lease: 60000, fingerprint: '' };
        if ((await store.claim(claim)).status !== 'claimed') continue;
        claimed++;
        if (!(await store.commit(claim.key, claim.owner, 60000))) process.exit(1);
      }
      console.log(claimed);`;
    const DB_FILE = file();
    const runs = await Promise.all([1, 2, 3].map(() => child(text, { DB_FILE })));
    expect(runs.reduce((sum, { stdout }) => sum + Number(stdout), 0)).toBe(100);
  });

  it('is waited for while another process has it locked, and nobody else waits', async () => {
    const path = file();
    const database = new Database(path, { timeout: 7 });
    const store = sqliteStore({ database });
    expect(database.pragma('busy_timeout', { simple: true })).toBe(7);
    const other = new Database(path);
    other.exec('BEGIN EXCLUSIVE');
    const claim = request('a');
    const claiming = store.claim(claim);
    let turns = 0;
    for (const start = Date.now(); Date.now() - start < 100; turns++) await sleep(1);
    expect(turns).toBeGreaterThan(10);
    expect(await Promise.race([claiming, sleep(1, 'waits')])).toBe('waits');
    other.exec('COMMIT');
    expect((await claiming).status).toBe('claimed');
    expect((await store.claim(request('a'))).status).toBe('in_progress');
    expect(database.pragma('busy_timeout', { simple: true })).toBe(7);
  });

  it('is waited for by statements of the merchant, too, where no time was set', () => {
    const database = new Database(file(), { timeout: 0 });
    sqliteStore({ database });
    expect(database.pragma('busy_timeout', { simple: true })).toBe(5_000);
  });

  it('rejects where it stays locked for five seconds', async () => {
    const path = file();
    const store = sqliteStore({ database: new Database(path) });
    const other = new Database(path);
    other.exec('BEGIN EXCLUSIVE');
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const claiming = store.claim(request('a')).catch((error) => error.code);
    await vi.advanceTimersByTimeAsync(4_990);
    expect(await Promise.race([claiming, 'waits'])).toBe('waits');
    await vi.advanceTimersByTimeAsync(10);
    vi.useRealTimers();
    expect(await claiming).toBe('SQLITE_BUSY');
    other.exec('COMMIT');
    expect((await store.claim(request('a'))).status).toBe('claimed');
  });

  it('is tried every 20 milliseconds, for the last time after five seconds', async () => {
    let tries = 0;
    const database = disturbed(new Database(':memory:'), (_, verb) => {
      if (verb !== 'run') return;
      tries++;
      throw Object.assign(new Error('failed'), { code: 'SQLITE_BUSY' });
    });
    const store = sqliteStore({ database });
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const claiming = store.claim(request('a')).catch((error) => error.code);
    await vi.advanceTimersByTimeAsync(6_000);
    vi.useRealTimers();
    expect([await claiming, tries]).toEqual(['SQLITE_BUSY', 251]);
  });

  it.each([
    [{ code: 'SQLITE_BUSY' }, 2],
    [{ code: 'SQLITE_BUSY_SNAPSHOT' }, 2],
    [{ code: 'ERR_SQLITE_ERROR', errcode: 5 }, 2],
    [{ code: 'ERR_SQLITE_ERROR', errcode: 517 }, 2],
    [{ code: 'ERR_SQLITE_ERROR', errcode: 8 }, 1],
    [{ code: 'SQLITE_FULL' }, 1],
    [{}, 1],
  ])('is tried again after %j: %i times', async (facts, tries) => {
    const failures = [Object.assign(new Error('failed'), facts)];
    let count = 0;
    const database = disturbed(new Database(':memory:'), (_, verb) => {
      if (verb !== 'run') return;
      count++;
      const failure = failures.pop();
      if (failure) throw failure;
    });
    const store = sqliteStore({ database });
    const result = await store.claim(request('a')).catch((error) => error.message);
    expect([result, count]).toEqual([tries === 2 ? { status: 'claimed' } : 'failed', tries]);
  });

  it('does not take for written what another process kept from its commit', async () => {
    const path = file();
    const store = sqliteStore({ database: new Database(path) });
    const reader = new Database(path);
    reader.exec('BEGIN');
    reader.prepare('SELECT * FROM payproof_events').all();
    const claim = request('a');
    const claiming = store.claim(claim);
    expect(await Promise.race([claiming, sleep(50, 'waits')])).toBe('waits');
    reader.exec('COMMIT');
    expect((await claiming).status).toBe('claimed');
    expect(await store.commit(claim.key, claim.owner, 60_000)).toBe(true);
  });

  it('rejects where the database is closed', async () => {
    const db = new Database(':memory:');
    const store = sqliteStore({ database: db });
    db.close();
    await expect(store.claim(request('a'))).rejects.toThrow();
  });

  it('tells a claim to come again whose event was released in between', async () => {
    const db = new Database(':memory:');
    // Another process deletes the row between the two statements of a claim.
    const database = disturbed(db, (sql) => {
      if (sql.startsWith('SELECT')) db.exec('DELETE FROM payproof_events');
    });
    const store = sqliteStore({ database });
    await store.claim(request('a'));
    expect(await store.claim(request('a'))).toEqual({ status: 'in_progress', retryAfter: 0 });
    expect(await store.claim(request('a'))).toEqual({ status: 'claimed' });
  });
});

describe('purge', () => {
  it('deletes what need not be remembered, and nothing else', async () => {
    let now = 0;
    const db = new Database(':memory:');
    const store = sqliteStore({ database: db, clock: () => now });
    const [old, young] = [request('old'), request('young')];
    for (const [claim, ttl] of [[old, 1_000] as const, [young, 2_000] as const]) {
      await store.claim(claim);
      await store.commit(claim.key, claim.owner, ttl);
    }
    await store.claim(request('held', { lease: 2_000 }));
    await store.claim(request('dead', { lease: 500 }));
    await store.advance('p', 3, 1_000);
    now = 1_000;
    expect(await store.purge()).toBe(3);
    expect(await store.purge()).toBe(0);
    expect(db.prepare('SELECT key FROM payproof_events ORDER BY key').pluck().all()).toEqual([
      'held',
      'young',
    ]);
  });
});

describe('commitIn', () => {
  async function shop() {
    const db = new Database(file());
    db.exec(
      "CREATE TABLE orders (id TEXT PRIMARY KEY, paid INTEGER) ; INSERT INTO orders VALUES ('o', 0)",
    );
    const store = sqliteStore({ database: db });
    const claim = request('e');
    await store.claim(claim);
    const paid = () => db.prepare('SELECT paid FROM orders').pluck().get();
    const pay = () => db.exec('UPDATE orders SET paid = paid + 1');
    return { db, store, claim, paid, pay };
  }

  it('stands with the transaction', async () => {
    const { db, store, claim, paid, pay } = await shop();
    db.exec('BEGIN');
    pay();
    expect(await store.commitIn(db, claim.key, claim.owner, 60_000)).toBe(true);
    db.exec('COMMIT');
    expect(paid()).toBe(1);
    expect((await store.claim(request('e'))).status).toBe('done');
  });

  it("runs within better-sqlite3's transaction(), whose function is not async", async () => {
    const { db, store, claim, paid, pay } = await shop();
    let committed: boolean | undefined;
    db.transaction(() => {
      pay();
      committed = store.commitIn(db, claim.key, claim.owner, 60_000);
      expect(db.inTransaction).toBe(true);
    })();
    expect(committed).toBe(true);
    expect(paid()).toBe(1);
    expect((await store.claim(request('e'))).status).toBe('done');
  });

  it('falls with the transaction: the event is not done, and runs again', async () => {
    const { db, store, claim, paid, pay } = await shop();
    expect(() =>
      db.transaction(() => {
        pay();
        store.commitIn(db, claim.key, claim.owner, 60_000);
        throw new Error('out of stock');
      })(),
    ).toThrow('out of stock');
    expect(paid()).toBe(0);
    expect((await store.claim(request('e'))).status).toBe('in_progress');
    expect(await store.release(claim.key, claim.owner)).toBe(true);
    expect((await store.claim(request('e'))).status).toBe('claimed');
  });

  it('is refused to an owner that lost its claim', async () => {
    const { db, store } = await shop();
    db.exec('BEGIN');
    expect(await store.commitIn(db, 'e', randomUUID(), 60_000)).toBe(false);
    db.exec('ROLLBACK');
    expect((await store.claim(request('e'))).status).toBe('in_progress');
  });

  it('takes another connection to the same file', async () => {
    const { db, store, claim } = await shop();
    const second = new Database(db.name);
    second.exec('BEGIN');
    expect(await store.commitIn(second, claim.key, claim.owner, 60_000)).toBe(true);
    second.exec('ROLLBACK');
    expect((await store.claim(request('e'))).status).toBe('in_progress');
  });

  it('throws a TypeError where no transaction is open: the mark would stand at once', async () => {
    const { db, store, claim } = await shop();
    expect(() => store.commitIn(db, claim.key, claim.owner, 60_000)).toThrow(
      'commitIn: no transaction is open on this database',
    );
    expect((await store.claim(request('e'))).status).toBe('in_progress');
  });

  it.each([
    [{ isTransaction: false }, 'throws'],
    [{ isTransaction: true }, 'commits'],
    [{}, 'commits'],
  ])('asks node:sqlite, whose name for it is another: %j %s', async (names, outcome) => {
    const { db, store, claim } = await shop();
    const tx = { prepare: db.prepare.bind(db), ...names };
    const commit = () => store.commitIn(tx, claim.key, claim.owner, 60_000);
    if (outcome === 'throws') expect(commit).toThrow(TypeError);
    else expect(commit()).toBe(true);
  });

  it.each([undefined, null, {}, 'db'])('throws a TypeError for %j', async (tx) => {
    const { store, claim } = await shop();
    expect(() => store.commitIn(tx, claim.key, claim.owner, 60_000)).toThrow(
      'commitIn: needs the database on which the transaction is open',
    );
  });
});
