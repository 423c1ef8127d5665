// @ts-check
// What a store costs a request: the same route with each store, as a ratio to the route with
// `dedupe: false`. All in one run on this machine, in rounds in which every variant has its turn, in an
// order that changes; the ratio is taken within the round. Every request is another event, signed
// beforehand, so each is claimed and committed anew. `none again` is the route without a store a second
// time: how far its ratio is from 1 is what this machine's noise makes of nothing.
//
//   BENCH_ROUNDS    default 15
//   BENCH_REQUESTS  per variant and round, default 400
import { fork } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';

const ROUNDS = Number(process.env.BENCH_ROUNDS || 15);
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
const name = `payproof_bench_${randomBytes(6).toString('hex')}`;
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

/** Milliseconds for each request. @param {number} port @param {string} variant @param {number} connections */
async function measure(port, variant, connections) {
  const path = `/${variant.replace(' ', '-')}`;
  const each = Math.ceil(REQUESTS / connections);
  const lists = Array.from({ length: connections }, () =>
    Array.from({ length: each }, () => signedRequest(path)),
  );
  const began = performance.now();
  await Promise.all(lists.map((list) => sendAll(port, list)));
  return (performance.now() - began) / (each * connections);
}

/** @param {readonly string[]} list */
function shuffled(list) {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [copy[i], copy[j]] = [/** @type {string} */ (copy[j]), /** @type {string} */ (copy[i])];
  }
  return copy;
}

/** @param {number[]} numbers @param {number} part */
function quantile(numbers, part) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)] ?? 0;
  return below + ((sorted[Math.ceil(at)] ?? below) - below) * (at - Math.floor(at));
}

const server = fork(fileURLToPath(new URL('server.mjs', import.meta.url)), {
  env: { ...process.env, SALT: salt, NAME: name },
});
server.once('exit', (code) => {
  if (code) process.exit(code);
});
const [port] = await once(server, 'message');

console.log(
  `${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model.trim()}), load ${loadavg()[0]?.toFixed(1)} at the start`,
);
console.log(`${ROUNDS} rounds of ${REQUESTS} requests for each variant\n`);
for (const connections of CONNECTIONS) {
  /** @type {Map<string, { ratios: number[], times: number[] }>} */
  const results = new Map(VARIANTS.map((variant) => [variant, { ratios: [], times: [] }]));
  for (let round = -WARMUP; round < ROUNDS; round++) {
    /** @type {Map<string, number>} */
    const times = new Map();
    for (const variant of shuffled(VARIANTS)) {
      times.set(variant, await measure(port, variant, connections));
    }
    if (round < 0) continue;
    for (const [variant, { ratios, times: all }] of results) {
      const time = times.get(variant) ?? Number.NaN;
      all.push(time);
      ratios.push(time / (times.get('none') ?? Number.NaN));
    }
  }
  console.log(
    `| ${connections} connection${connections > 1 ? 's' : ''} | ratio, median | middle half | min to max | ms a request, median |`,
  );
  console.log('| --- | --: | --: | --: | --: |');
  for (const [variant, { ratios, times }] of results) {
    const [low, q1, median, q3, high] = [0, 0.25, 0.5, 0.75, 1].map((part) =>
      quantile(ratios, part).toFixed(2),
    );
    console.log(
      `| ${variant} | ${median} | ${q1} to ${q3} | ${low} to ${high} | ${quantile(times, 0.5).toFixed(3)} |`,
    );
  }
  console.log();
}
const gone = once(server, 'exit');
server.disconnect();
await gone;
