// @ts-check
// A private PostgreSQL and a private Redis, in a directory of their own and on a free port, to be
// killed and started again. Never the ones of this machine.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import pg from 'pg';
import { until } from './random.mjs';

/**
 * @typedef {object} Server
 * @property {number} port
 * @property {() => Promise<void>} start waits until it answers
 * @property {(how: number) => Promise<void>} kill `how` in [0, 1) chooses the manner
 * @property {() => Promise<void>} stop
 */

/** Processes that must not outlive this one. @type {Map<import('node:child_process').ChildProcess, NodeJS.Signals>} */
const children = new Map();
process.once('exit', () => {
  for (const [child, signal] of children) child.kill(signal);
});

/**
 * Starts a process that is ended with this one, however this one ends (but by SIGKILL).
 *
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @param {NodeJS.Signals} signal ends it at once
 */
export function run(command, args, options, signal = 'SIGKILL') {
  const child = spawn(command, args, options);
  children.set(child, signal);
  child.once('exit', () => children.delete(child));
  return child;
}

/** @param {import('node:child_process').ChildProcess} child @param {NodeJS.Signals} signal */
export async function end(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

/** Outside the range from which the system takes the ports of clients. @param {() => number} random */
async function freePort(random) {
  for (let tries = 0; tries < 100; tries++) {
    const port = 20_000 + Math.floor(random() * 10_000);
    const probe = createServer();
    const free = await new Promise((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    probe.close();
    if (free) return port;
  }
  throw new Error('no free port');
}

/** @param {string} name @param {string[]} directories @returns {string | null} */
function find(name, directories) {
  const path = [...(process.env.PATH ?? '').split(delimiter), ...directories];
  return path.map((directory) => join(directory, name)).find((file) => existsSync(file)) ?? null;
}

/** @param {string} parent @returns {string[]} the directories in it, if it is there */
const below = (parent) =>
  existsSync(parent) ? readdirSync(parent).map((name) => join(parent, name, 'bin')) : [];

/**
 * A new cluster, as PostgreSQL comes (fsync and synchronous_commit on).
 *
 * @param {string} directory @param {() => number} random
 * @returns {Promise<Server | null>} null if PostgreSQL is not installed here
 */
export async function privatePostgres(directory, random) {
  const places = below('/usr/lib/postgresql').reverse();
  const postgres = find('postgres', places);
  const initdb = find('initdb', places);
  if (postgres === null || initdb === null) return null;
  mkdirSync(directory);
  /** @type {{ uid?: number, gid?: number, cwd: string }} */
  const as = { cwd: directory };
  if (process.getuid?.() === 0) {
    // PostgreSQL does not run as root.
    const id = (/** @type {string} */ flag) =>
      Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
    Object.assign(as, { uid: id('-u'), gid: id('-g') });
    chownSync(directory, id('-u'), id('-g'));
  }
  const data = join(directory, 'data');
  const sure = ['-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--locale=C', '--no-sync'];
  execFileSync(initdb, ['-D', data, ...sure], { ...as, stdio: 'ignore' });
  const port = await freePort(random);
  const sockets = ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='];
  /** @type {import('node:child_process').ChildProcess} */
  let child;
  const answers = async () => {
    const client = new pg.Client({
      connectionString: `postgres://postgres@127.0.0.1:${port}/postgres`,
      connectionTimeoutMillis: 1_000,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.query('SELECT 1');
      return true;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => {});
    }
  };
  const launch = () => {
    const args = ['-D', data, '-p', `${port}`, ...sockets];
    child = run(postgres, args, { ...as, stdio: 'ignore' }, 'SIGQUIT');
  };
  return {
    port,
    async start() {
      launch();
      await until(async () => {
        // It refuses to start while a process of the killed one is still ending.
        if (child.exitCode !== null || child.signalCode !== null) launch();
        return answers();
      }, 'PostgreSQL');
    },
    async kill(how) {
      const pids = childrenOf(child.pid);
      // As when the machine loses it: the whole family at once. Or `immediate` shutdown.
      if (how < 0.5 || pids === null) return end(child, 'SIGQUIT');
      const gone = end(child, 'SIGKILL');
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {} // it ended by itself
      }
      await gone;
    },
    stop: () => end(child, 'SIGINT'),
  };
}

/** @param {number | undefined} pid @returns {number[] | null} null where the system does not tell */
function childrenOf(pid) {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(file)) return null;
  return readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number);
}

/**
 * With `appendonly yes` and `appendfsync always`: a write is on disk before it is answered.
 *
 * @param {string} directory @param {() => number} random
 * @returns {Promise<Server | null>} null if Redis is not installed here
 */
export async function privateRedis(directory, random) {
  const redis = find('redis-server', ['/usr/bin', '/usr/local/bin']);
  if (redis === null) return null;
  mkdirSync(directory);
  chmodSync(directory, 0o700);
  const port = await freePort(random);
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  const place = ['--bind', '127.0.0.1', '--port', `${port}`, '--dir', directory];
  /** @type {import('node:child_process').ChildProcess} */
  let child;
  return {
    port,
    async start() {
      child = run(redis, [...place, ...durable], { stdio: 'ignore', cwd: directory });
      await until(() => pong(port), 'Redis');
    },
    kill: () => end(child, 'SIGKILL'),
    stop: () => end(child, 'SIGTERM'),
  };
}

/** @param {number} port @returns {Promise<boolean>} false also while it loads its file */
function pong(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('data', (data) => {
      resolve(data.toString().startsWith('+PONG'));
      socket.destroy();
    });
    socket.on('error', () => {}).on('close', () => resolve(false));
  });
}
