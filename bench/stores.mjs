// @ts-check
// What a store costs a request: the same route with each store, beside the route with `dedupe: false`.
// Every request is another event, signed beforehand, so each is claimed and committed anew. `none again`
// is the route without a store a second time: how far its ratio is from 1 is what this machine's noise
// makes of nothing.
import { fork } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { cell, interleave, markdown, median, ratio, rounded } from './measure.mjs';

const ROUNDS = Number(process.env.BENCH_ROUNDS || 15);
/** Of a variant in a round. */
const REQUESTS = Number(process.env.BENCH_REQUESTS || 400);
const CONNECTIONS = [1, 16];
const WARMUP = 4;
const VARIANTS = [
  'none',
  'none again',
  'memory',
  'sqlite NORMAL',
  'sqlite FULL',
  'redis',
  'postgres',
];

const salt = randomBytes(24).toString('hex');
let event = 0;

/** A request as it goes over the wire, of an event that no other tells. @param {string} path */
function signedRequest(path) {
  const n = (event++).toString(16).padStart(12, '0');
  /** @type {Record<string, string>} */
  const fields = {
    payment_id: `92965a2d-ccc7-4d35-8c1e-${n}`,
    payment_request_id: `92965a20-dae5-4d89-a452-${n}`,
    phone: '',
    amount: '599.00',
    currency: 'SGD',
    reference_number: `ORDER-${n}`,
    status: 'completed',
  };
  const text = Object.keys(fields)
    .sort()
    .map((field) => field + fields[field])
    .join('');
  const hmac = createHmac('sha256', salt).update(text).digest('hex');
  const body = new URLSearchParams({ ...fields, hmac }).toString();
  return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** Sends the requests one after another on one connection. @param {number} port @param {string[]} requests */
function sendAll(port, requests) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1');
    let answer = '';
    let next = 0;
    const send = () => {
      if (next === requests.length) return void socket.end(() => resolve(undefined));
      socket.write(requests[next++] ?? '');
    };
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
    socket.on('connect', send).on('error', reject);
    socket.on('data', (data) => {
      answer += data;
      // The whole answer is `OK`.
      if (!answer.endsWith('\r\n\r\nOK')) return;
      if (!answer.startsWith('HTTP/1.1 200 ')) return reject(new Error(answer.slice(0, 80)));
      answer = '';
      send();
    });
    socket.on('close', () => reject(new Error(`closed after ${next}: ${answer.slice(0, 80)}`)));
  });
}

/** Milliseconds for each request. @param {number} port @param {string} variant @param {number} connections @param {number} requests */
async function measure(port, variant, connections, requests) {
  const path = `/${variant.replace(' ', '-')}`;
  const each = Math.ceil(requests / connections);
  const lists = Array.from({ length: connections }, () =>
    Array.from({ length: each }, () => signedRequest(path)),
  );
  const began = performance.now();
  await Promise.all(lists.map((list) => sendAll(port, list)));
  return (performance.now() - began) / (each * connections);
}

/** @param {{ quick?: boolean }} options */
export async function run({ quick = false }) {
  const [rounds, requests] = quick ? [2, 50] : [ROUNDS, REQUESTS];
  const server = fork(fileURLToPath(new URL('stores-server.mjs', import.meta.url)), {
    env: { ...process.env, SALT: salt, NAME: `payproof_bench_${randomBytes(6).toString('hex')}` },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  server.stderr?.on('data', (data) => {
    said += data;
  });
  const gone = once(server, 'exit');
  const port = await Promise.race([once(server, 'message').then(([value]) => value), gone]);
  if (typeof port !== 'number') {
    const reason = /^\w*Error.*$/m.exec(said)?.[0] ?? 'its server did not start';
    return { skipped: `needs Redis and PostgreSQL on this machine: ${reason}` };
  }
  const loads = [];
  for (const connections of CONNECTIONS) {
    const times = await interleave(VARIANTS, WARMUP + rounds, (variant) =>
      measure(port, variant, connections, requests),
    );
    const of = (/** @type {string} */ variant) => (times.get(variant) ?? []).slice(WARMUP);
    loads.push({
      connections,
      variants: VARIANTS.map((variant) => ({
        variant,
        ratio: ratio(of(variant), of('none')),
        milliseconds: rounded(median(of(variant))),
      })),
    });
  }
  server.disconnect();
  await gone;
  return { rounds, requests, loads, targets: [] };
}

/** @param {any} result */
export function table({ rounds, requests, loads }) {
  return [
    `${rounds} rounds of ${requests} requests for each variant.`,
    ...loads.map((/** @type {any} */ { connections, variants }) =>
      markdown(
        [
          `${connections} connection${connections > 1 ? 's' : ''}`,
          'time ÷ without a store',
          'ms a request',
        ],
        variants.map((/** @type {any} */ one) => [
          one.variant,
          cell(one.ratio),
          one.milliseconds.toFixed(3),
        ]),
      ),
    ),
  ].join('\n\n');
}
