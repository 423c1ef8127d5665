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
  running.on('response', (_client, status, _bytes, latency) => {
    ended = performance.now();
    began ||= ended;
    latencies.push(latency);
    statuses[status] = (statuses[status] ?? 0) + 1;
  });
  const { errors } = await running;
  if (errors > 0 || latencies.length !== requests.length) {
    throw new Error(`${errors} errors, ${latencies.length} of ${requests.length} answers`);
  }
  const after = await server.used('cpu');
  return { seconds: (ended - began) / 1_000, latencies, cpu: after - before, statuses };
}

/**
 * What one or more loads of a server come to.
 *
 * @param {readonly Awaited<ReturnType<typeof load>>[]} loads
 */
export function figures(loads) {
  const latencies = loads.flatMap((one) => one.latencies);
  const sum = (/** @type {'seconds' | 'cpu'} */ what) =>
    loads.reduce((total, one) => total + one[what], 0);
  return {
    /** Requests a second. */
    rate: (latencies.length - loads.length) / sum('seconds'),
    /** Milliseconds. */
    p99: quantile(latencies, 0.99),
    /** Microseconds of the server a request. */
    cpu: sum('cpu') / latencies.length,
  };
}
