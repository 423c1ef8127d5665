import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { services, unique } from './stores/services.ts';

// examples/postgres as a merchant runs it: a process of its own, on the built package (dist), with a
// schema of its own in a real PostgreSQL.

const root = fileURLToPath(new URL('..', import.meta.url));
const SALT = 'salt-of-the-test-0123456789';
const schema = unique();
const base = process.env.DATABASE_URL || 'postgres://postgres@127.0.0.1:5432/test';
const database = `${base}${base.includes('?') ? '&' : '?'}options=${encodeURIComponent(`-c search_path=${schema}`)}`;

function launch(env: Record<string, string>): ChildProcess {
  return spawn(process.execPath, ['examples/postgres/server.mjs'], {
    cwd: root,
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function listening(child: ChildProcess): Promise<string> {
  child.stderr?.resume();
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('the example did not start')));
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      if (line.startsWith('listening on ')) resolve(line.slice('listening on '.length));
    });
  });
}

/** What a process that ends by itself says on stderr. */
async function lastWords(child: ChildProcess): Promise<{ code: number | null; stderr: string }> {
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdout?.resume();
  await once(child, 'close');
  return { code: child.exitCode, stderr };
}

/** A form as HitPay signs it, made without payproof. */
function form(fields: Record<string, string>): string {
  const all: Record<string, string> = {
    payment_id: randomUUID(),
    payment_request_id: randomUUID(),
    phone: '',
    amount: '599.00',
    currency: 'SGD',
    status: 'completed',
    ...fields,
  };
  const text = Object.keys(all)
    .sort()
    .map((name) => name + all[name])
    .join('');
  const hmac = createHmac('sha256', SALT).update(text).digest('hex');
  return new URLSearchParams({ ...all, hmac }).toString();
}

describe.skipIf(services.postgres === null)('examples/postgres', () => {
  const pool = new pg.Pool({ connectionString: database, max: 2 });
  let server: ChildProcess;
  let url: string;

  const post = async (body: string) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await fetch(`${url}/webhooks/hitpay`, { method: 'POST', headers, body });
    await answer.arrayBuffer();
    return answer.status;
  };
  const order = async (amount = '599.00') => {
    const reference = `SG-${randomUUID()}`;
    await pool.query("INSERT INTO orders (reference, amount, currency) VALUES ($1, $2, 'SGD')", [
      reference,
      amount,
    ]);
    return reference;
  };
  const shown = async (reference: string) => {
    const answer = await fetch(`${url}/orders/${reference}`);
    return { status: answer.status, body: await answer.json() };
  };
  const outcomes = async (reference: string) => {
    const sql = 'SELECT outcome FROM ledger WHERE reference = $1 ORDER BY id';
    return (await pool.query(sql, [reference])).rows.map((row) => row.outcome);
  };
  const marks = async (paymentId: string) => {
    const sql = `SELECT owner FROM payproof_events WHERE key LIKE $1`;
    return (await pool.query(sql, [`%${paymentId}%`])).rows;
  };

  beforeAll(async () => {
    await pool.query(`CREATE SCHEMA ${schema}`);
    server = launch({ HITPAY_SALT: SALT, DATABASE_URL: database });
    url = await listening(server);
  });
  afterAll(async () => {
    if (server?.exitCode === null) {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
    await pool.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
    await pool.end();
  });

  it('books a payment once although it is delivered three times', async () => {
    const reference = await order();
    const delivery = form({ reference_number: reference });
    expect(await shown(reference)).toMatchObject({ status: 200, body: { paid: false } });
    expect([await post(delivery), await post(delivery), await post(delivery)]).toEqual([
      200, 200, 200,
    ]);
    expect(await outcomes(reference)).toEqual(['paid']);
    expect(await shown(reference)).toMatchObject({ body: { amount: '599.00', paid: true } });
  });

  it('books a payment once although it is delivered ten times at once', async () => {
    const reference = await order();
    const delivery = form({ reference_number: reference });
    const statuses = await Promise.all(Array.from({ length: 10 }, () => post(delivery)));
    expect(statuses).toContain(200);
    // 409: in progress elsewhere, so the provider sends it again.
    expect(statuses.filter((status) => status !== 200 && status !== 409)).toEqual([]);
    expect(await post(delivery)).toBe(200);
    expect(await outcomes(reference)).toEqual(['paid']);
  });

  it('answers 500 where the transaction fails, keeps nothing, and runs the next delivery', async () => {
    const reference = await order();
    const paymentId = randomUUID();
    const delivery = form({ reference_number: reference, payment_id: paymentId });
    await pool.query('ALTER TABLE ledger RENAME TO ledger_away');
    try {
      expect(await post(delivery)).toBe(500);
    } finally {
      await pool.query('ALTER TABLE ledger_away RENAME TO ledger');
    }
    expect(await shown(reference)).toMatchObject({ body: { paid: false } });
    await expect.poll(() => post(delivery)).toBe(200);
    expect(await outcomes(reference)).toEqual(['paid']);
    expect(await marks(paymentId)).toEqual([{ owner: null }]);
  });

  it('books the mark in the same transaction: what COMMIT refuses is not done either', async () => {
    const reference = await order();
    const paymentId = randomUUID();
    const delivery = form({ reference_number: reference, payment_id: paymentId });
    // Deferred to COMMIT, so it fails after commitIn.
    await pool.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'refused at commit'; END $$`);
    await pool.query(`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON ledger
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`);
    try {
      expect(await post(delivery)).toBe(500);
    } finally {
      await pool.query('DROP TRIGGER refuse ON ledger');
    }
    expect(await outcomes(reference)).toEqual([]);
    expect((await marks(paymentId)).filter(({ owner }) => owner === null)).toEqual([]);
    // The claim is given back after the answer went out, so the very next delivery may come too soon.
    await expect.poll(() => post(delivery)).toBe(200);
    expect(await outcomes(reference)).toEqual(['paid']);
  });

  it('goes on after its connections were cut', async () => {
    const reference = await order();
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE pid <> pg_backend_pid() AND query LIKE '%' || $1 || '%'`;
    await shown(reference);
    await pool.query(cut, ['paid_by IS NOT NULL AS paid']);
    const delivery = form({ reference_number: reference });
    await expect.poll(() => post(delivery), { timeout: 5_000 }).toBe(200);
    expect(await outcomes(reference)).toEqual(['paid']);
  });

  it.each([
    ['another amount', { amount: '1.00' }, 'review: not the price'],
    ['another currency', { currency: 'USD' }, 'review: not the price'],
  ])('books %s for review and leaves the order unpaid', async (_, fields, outcome) => {
    const reference = await order();
    expect(await post(form({ reference_number: reference, ...fields }))).toBe(200);
    expect(await outcomes(reference)).toEqual([outcome]);
    expect(await shown(reference)).toMatchObject({ body: { paid: false } });
  });

  it('books a second payment of one order, and one for no order, for review', async () => {
    const reference = await order();
    const unknown = `SG-${randomUUID()}`;
    expect(await post(form({ reference_number: reference }))).toBe(200);
    expect(await post(form({ reference_number: reference }))).toBe(200);
    expect(await post(form({ reference_number: unknown }))).toBe(200);
    expect(await outcomes(reference)).toEqual(['paid', 'review: paid twice']);
    expect(await outcomes(unknown)).toEqual(['review: no such order']);
  });

  it('acknowledges a failed payment and books nothing', async () => {
    const reference = await order();
    expect(await post(form({ reference_number: reference, status: 'failed' }))).toBe(200);
    expect(await outcomes(reference)).toEqual([]);
  });

  it('refuses a forged delivery and books nothing', async () => {
    const reference = await order();
    const delivery = form({ reference_number: reference });
    expect(await post(delivery.replace('599.00', '1.00'))).toBe(403);
    expect(await outcomes(reference)).toEqual([]);
  });

  it('answers 404 for an order that is not there', async () => {
    expect(await shown('SG-none')).toEqual({ status: 404, body: null });
  });

  it.each([
    ['HITPAY_SALT', { DATABASE_URL: database, NODE_ENV: 'production' }],
    ['DATABASE_URL', { HITPAY_SALT: SALT, NODE_ENV: 'production' }],
    ['HITPAY_SALT', { DATABASE_URL: database, HOST: '0.0.0.0' }],
  ])('does not start without %s in %o', async (name, env) => {
    const { code, stderr } = await lastWords(launch(env as Record<string, string>));
    expect(code).toBe(1);
    expect(stderr).toContain(`${name} is not set: not starting with a development default`);
  });

  it('ends by itself on SIGTERM', async () => {
    server.kill('SIGTERM');
    await once(server, 'exit');
    expect(server.exitCode).toBe(0);
  });
});
