// @ts-check
// Servers in processes of their own, and the load on them: a fixed number of requests, each signed
// beforehand and sent once, over keep-alive connections (autocannon).
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { quantile } from './measure.mjs';

const SERVER = fileURLToPath(new URL('middleware-server.mjs', import.meta.url));

/** @typedef {Awaited<ReturnType<typeof start>>} Server */
/** @typedef {{ method: 'POST', path: string, headers: Record<string, string>, body: Buffer }} Request */

/** @param {string} framework @param {string} variant */
export async function start(framework, variant) {
  const child = fork(SERVER, [framework, variant], {
    execArgv: ['--expose-gc'],
    env: { ...process.env, NODE_ENV: 'production', NODE_NO_WARNINGS: '1' },
  });
  child.once('exit', (code) => {
    if (code) throw new Error(`the server of ${framework}, ${variant} ended with ${code}`);
  });
  const [{ port }] = await once(child, 'message');
  return {
    port,
    /** Bytes in use after a full collection, or microseconds of CPU so far. */
    async used(/** @type {'memory' | 'cpu'} */ what) {
      child.send(what);
      const [used] = await once(child, 'message');
      return /** @type {number} */ (used);
    },
    async stop() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

/**
 * @param {Server} server
 * @param {readonly Request[]} requests shared out among the connections
 * @param {number} connections
 */
export async function load(server, requests, connections) {
  const before = await server.used('cpu');
  /** @type {number[]} */
  const latencies = [];
  /** @type {Record<number, number>} */
  const statuses = {};
  let next = 0;
  let opened = 0;
  const running = autocannon({
    url: `http://127.0.0.1:${server.port}`,
    connections,
    amount: requests.length,
    sampleInt: 20,
    setupClient(client) {
      const share = Math.ceil((requests.length - next) / (connections - opened++));
      client.setRequests(requests.slice(next, next + share));
      next += share;
    },
  });
  // From answer to answer: to open the connections takes as long as some requests.
  let began = 0;
  let ended = 0;
  let answers = 0;
  const open = new WeakSet();
  running.on('response', (client, status, _bytes, latency) => {
    ended = performance.now();
    began ||= ended;
    answers++;
    // The first on a connection waits until it is open, and until all others are.
    if (open.has(client)) latencies.push(latency);
    open.add(client);
    statuses[status] = (statuses[status] ?? 0) + 1;
  });
  const { errors } = await running;
  if (errors > 0 || answers !== requests.length) {
    throw new Error(`${errors} errors, ${answers} of ${requests.length} answers`);
  }
  const after = await server.used('cpu');
  return {
    answers,
    seconds: (ended - began) / 1_000,
    latencies,
    cpu: after - before,
    statuses,
  };
}

/**
 * What one or more loads of a server come to.
 *
 * @param {readonly Awaited<ReturnType<typeof load>>[]} loads
 */
export function figures(loads) {
  const sum = (/** @type {'answers' | 'seconds' | 'cpu'} */ what) =>
    loads.reduce((total, one) => total + one[what], 0);
  const answers = sum('answers');
  return {
    /** Requests a second. */
    rate: (answers - loads.length) / sum('seconds'),
    /** Milliseconds. */
    p99: quantile(
      loads.flatMap((one) => one.latencies),
      0.99,
    ),
    /** Microseconds of the server a request. */
    cpu: sum('cpu') / answers,
  };
}
