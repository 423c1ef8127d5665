// @ts-check
// The kill test: `npm run test:kill`. A merchant under load is killed with SIGKILL again and again, and
// then the server of its store. Afterwards the ledger is counted: every acknowledged event has its
// effect, and none has it twice.
//
//   KILL_EVENTS        events on SQLite and on PostgreSQL each         default 10000
//   KILL_KILLS         kills of the merchant in each                   default 110
//   KILL_STORE_EVENTS  events where the store's server is killed       default KILL_EVENTS / 4
//   KILL_STORE_KILLS   kills of the store's server                     default 12
//   KILL_SEED          what is chosen at random                        default 1
//   KILL_ONLY          a part of the names of the phases to run        default all
//   KILL_BREAK=1       a merchant whose effect and mark are two commits: the test must fail
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { Redis } from 'ioredis';
import pg from 'pg';
import { noCounts, provide } from './provider.mjs';
import { seeded, until } from './random.mjs';
import { end, privatePostgres, privateRedis, run } from './servers.mjs';

/** @param {string} name @param {number} otherwise */
function setting(name, otherwise) {
  const value = Number(process.env[name] || otherwise);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`${name}: a number, 1 or more`);
  return value;
}
const EVENTS = setting('KILL_EVENTS', 10_000);
const KILLS = setting('KILL_KILLS', 110);
const STORE_EVENTS = setting('KILL_STORE_EVENTS', Math.ceil(EVENTS / 4));
const STORE_KILLS = setting('KILL_STORE_KILLS', 12);
const SEED = setting('KILL_SEED', 1);
const BREAK = process.env.KILL_BREAK === '1';
const ONLY = process.env.KILL_ONLY ?? '';
/** No phase may take longer, nor go so long without a new acknowledgement. */
const PHASE_LIMIT = 600_000;
const STALL_LIMIT = 20_000;
/** Longer than any lease or wait of the merchant: time for the marks that follow an answer. */
const SETTLED = 3_000;

const salt = randomBytes(24).toString('hex');
const home = mkdtempSync(join(tmpdir(), 'payproof-kill-'));
// The user of PostgreSQL must be able to enter it.
chmodSync(home, 0o711);
process.once('exit', () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, () => process.exit(1)); // whose hooks end what was started
}

/** The merchant as a process of its own, killed and started again. @param {Record<string, string>} env */
function merchant(env) {
  let starts = 0;
  let port = 0;
  /** @type {import('node:child_process').ChildProcess} */
  let child;
  return {
    port: () => port,
    async start() {
      child = run(process.execPath, [fileURLToPath(new URL('merchant.mjs', import.meta.url))], {
        env: { PATH: process.env.PATH, SALT: salt, SEED: `${SEED + starts++}`, ...env },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      port = await new Promise((resolve, reject) => {
        child.once('message', (message) => resolve(Number(message)));
        child.once('exit', (code) => reject(new Error(`the merchant did not start: ${code}`)));
      });
    },
    kill: () => end(child, 'SIGKILL'),
    alive: () => child.exitCode === null && child.signalCode === null,
  };
}

/**
 * @typedef {object} Phase
 * @property {string} name
 * @property {string} killed
 * @property {number} events
 * @property {number} kills
 * @property {Record<string, string>} env of the merchant
 * @property {import('./servers.mjs').Server | null} server of the store
 * @property {() => Promise<{ ledger: string[], done: number }>} count the ledger, and the marks
 * @property {boolean} exactly whether effect and mark are one commit; else doubles are counted only
 */

/** @param {Phase} phase */
async function play({ name, killed, events, kills, env, server, count, exactly }) {
  const began = Date.now();
  const random = seeded(SEED);
  const counts = noCounts();
  const shop = merchant(env);
  await shop.start();
  const halt = new AbortController();
  const watch = setInterval(() => {
    const now = Date.now();
    const stalled = counts.acknowledged.size < events && now - counts.lastNew > STALL_LIMIT;
    const wrong = killed === 'merchant' && counts.unexpected.length > 0;
    if (stalled || wrong || now - began > PHASE_LIMIT) halt.abort();
  }, 100);
  const provided = provide({
    events,
    salt,
    random: seeded(SEED + 1),
    port: shop.port,
    // Where the store's server stays up, nothing but the kill itself may go wrong.
    expected: killed === 'merchant' ? [409] : [409, 500, 503],
    counts,
    signal: halt.signal,
  });

  let done = 0;
  let underLoad = 0;
  const killing = (async () => {
    for (; done < kills; done++) {
      // At a random place of its share of the events, at a random instant there.
      const place = ((done + random()) / kills) * 0.97 * events;
      await until(
        () => counts.acknowledged.size >= place || halt.signal.aborted,
        name,
        PHASE_LIMIT,
      );
      if (halt.signal.aborted) return;
      await sleep(random() * 20);
      if (counts.inFlight > 0) underLoad++;
      if (killed === 'merchant') {
        await shop.kill();
        await shop.start();
      } else if (server !== null) {
        await server.kill(random());
        await sleep(random() * 300);
        await server.start();
      }
      if ((done + 1) % 10 === 0) {
        console.error(
          `${name}: ${done + 1} kills, ${counts.acknowledged.size} of ${events} events`,
        );
      }
    }
  })();
  await Promise.all([provided, killing]).finally(() => clearInterval(watch));
  const seconds = (Date.now() - began) / 1000;
  const merchantDied = !shop.alive();
  // With Redis the mark follows the answer; then the merchant is killed once more.
  if (!exactly) await sleep(SETTLED);
  await shop.kill();

  const { ledger, done: marked } = await count();
  const effects = new Map();
  for (const id of ledger) effects.set(id, (effects.get(id) ?? 0) + 1);
  const lost = [...counts.acknowledged].filter((id) => !effects.has(id)).length;
  const doubled = [...effects.values()].filter((times) => times > 1).length;
  const violations = [
    counts.acknowledged.size < events &&
      `${events - counts.acknowledged.size} events never acknowledged`,
    counts.acknowledgements < 2 * events && 'not every event was acknowledged twice',
    done < kills && `only ${done} kills`,
    merchantDied && 'the merchant died by itself',
    lost > 0 && `${lost} acknowledged events without their effect`,
    exactly && doubled > 0 && `${doubled} events with their effect twice`,
    exactly && marked < events && `${events - marked} events not marked as done`,
    ...counts.unexpected.slice(0, 3).map((answer) => `unexpected answer: ${answer}`),
  ].filter((violation) => typeof violation === 'string');
  return {
    violations,
    row: {
      'store; killed': name,
      kills: done,
      'under load': underLoad,
      events,
      deliveries: counts.deliveries,
      acknowledged: counts.acknowledgements,
      'without handler': counts.unhandled,
      retries: counts.retries,
      'of them cut': counts.broken,
      effects: ledger.length,
      lost,
      doubled,
      'not done': events - marked,
      seconds: Math.round(seconds),
    },
  };
}

/** @param {string} file */
function countSqlite(file) {
  return async () => {
    const database = new Database(file);
    const ledger = database.prepare('SELECT event FROM ledger').pluck().all();
    const marks = "SELECT count(*) FROM sqlite_master WHERE name = 'payproof_events'";
    const done = database.prepare(marks).pluck().get()
      ? database.prepare('SELECT count(*) FROM payproof_events WHERE owner IS NULL').pluck().get()
      : 0;
    database.close();
    return { ledger: /** @type {string[]} */ (ledger), done: Number(done) };
  };
}

/** @param {number} port */
async function countPostgres(port) {
  const client = new pg.Client(`postgres://postgres@127.0.0.1:${port}/postgres`);
  await client.connect();
  const { rows } = await client.query('SELECT event FROM ledger');
  const marks = await client.query('SELECT count(*) FROM payproof_events WHERE owner IS NULL');
  // For the next phase.
  await client.query('DROP TABLE ledger, payproof_events');
  await client.end();
  return { ledger: rows.map(({ event }) => event), done: Number(marks.rows[0].count) };
}

/** @param {number} port */
async function countRedis(port) {
  const client = new Redis(port, '127.0.0.1');
  let done = 0;
  for await (const keys of client.scanStream({ match: 'payproof:*', count: 1_000 })) {
    const owners = await Promise.all(
      keys.map((/** @type {string} */ key) => client.hget(key, 'owner')),
    );
    done += owners.filter((owner) => owner === '').length;
  }
  client.disconnect();
  return done;
}

/** @param {string} name */
const wanted = (name) => name.includes(ONLY);
/** @type {Awaited<ReturnType<typeof play>>[]} */
const results = [];
/** @param {Phase} phase */
async function phase(phase) {
  if (wanted(phase.name)) results.push(await play(phase));
}
/** @param {string} what */
function absent(what) {
  if (process.env.PAYPROOF_REQUIRE_SERVICES === '1')
    throw new Error(`${what} is not installed here`);
  console.log(`SKIPPED: ${what} is not installed here`);
}

const began = Date.now();
const BREAKING = { BREAK: BREAK ? '1' : '' };

const sqliteFile = join(home, 'shop.sqlite');
await phase({
  name: 'SQLite; merchant',
  killed: 'merchant',
  events: EVENTS,
  kills: KILLS,
  env: { STORE: 'sqlite', SQLITE_FILE: sqliteFile, ...BREAKING },
  server: null,
  count: countSqlite(sqliteFile),
  exactly: true,
});

if (wanted('PostgreSQL; merchant') || wanted('PostgreSQL; server')) {
  const server = await privatePostgres(join(home, 'postgres'), seeded(SEED + Date.now()));
  if (server === null) absent('PostgreSQL');
  else {
    await server.start();
    const common = {
      env: { STORE: 'postgres', STORE_PORT: `${server.port}`, ...BREAKING },
      server,
      count: () => countPostgres(server.port),
      exactly: true,
    };
    await phase({
      name: 'PostgreSQL; merchant',
      killed: 'merchant',
      events: EVENTS,
      kills: KILLS,
      ...common,
    });
    await phase({
      name: 'PostgreSQL; server',
      killed: 'server',
      events: STORE_EVENTS,
      kills: STORE_KILLS,
      ...common,
    });
    await server.stop();
  }
}

// The effect is in the merchant's SQLite file, the mark in Redis: two commits, so what is promised is
// that nothing is lost, and what happened twice is counted.
if (wanted('Redis; server') && !BREAK) {
  const server = await privateRedis(join(home, 'redis'), seeded(SEED + Date.now()));
  if (server === null) absent('Redis');
  else {
    await server.start();
    const file = join(home, 'redis-shop.sqlite');
    await phase({
      name: 'Redis; server',
      killed: 'server',
      events: STORE_EVENTS,
      kills: STORE_KILLS,
      env: { STORE: 'redis', STORE_PORT: `${server.port}`, SQLITE_FILE: file },
      server,
      count: async () => ({ ...(await countSqlite(file)()), done: await countRedis(server.port) }),
      exactly: false,
    });
    await server.stop();
  }
}

const rows = results.map(({ row }) => row);
const columns = Object.keys(rows[0] ?? {});
const line = (/** @type {unknown[]} */ cells) => `| ${cells.join(' | ')} |`;
console.log(`\n${line(columns)}\n${line(columns.map((_, i) => (i === 0 ? '---' : '--:')))}`);
for (const row of rows) console.log(line(Object.values(row)));
console.log(
  `\nNode ${process.version}, seed ${SEED}, ${Math.round((Date.now() - began) / 1000)} s in all${BREAK ? ', with a merchant that is wrong on purpose' : ''}`,
);
const violations = results.flatMap(({ violations, row }) =>
  violations.map((violation) => `${row['store; killed']}: ${violation}`),
);
for (const violation of violations) console.log(`VIOLATION  ${violation}`);
if (violations.length === 0) console.log('no violation');
process.exitCode = violations.length === 0 ? 0 : 1;
