// @ts-check
// The clients of `hostile.mjs`, each kind in a process of its own:
// `node hostile-clients.mjs good|endless|stalled|hoarding <port> <count>`. One begins with every message
// from its parent, and tells what it saw: attackers when all are closed, the good client at the next one.
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { arrived } from './deliveries.mjs';

const [kind = '', port, count] = process.argv.slice(2);
const where = { port: Number(port), host: '127.0.0.1' };
const KB = 1_024;
/** The middleware's default. */
const LIMIT = 256 * KB;
/** Milliseconds between two good deliveries. */
const PAUSE = 5;
/** How often a good client sends each kind of delivery beforehand. */
const WARMUP = 500;
/** Milliseconds after which an attacker gives up. */
const PATIENCE = 30_000;

// ---- Attackers -----------------------------------------------------------------------------------

/** The server knows an attacker by its number: to ask for a connection's port would cost it a system call for each. */
const headOf = (/** @type {number} */ number) =>
  `POST /webhook HTTP/1.1\r\nHost: shop.example\r\nX-Attacker: ${number}\r\n` +
  `Content-Type: application/json\r\nX-Hatex-Signature: ${'0'.repeat(64)}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n';
const BLOCK_BYTES = 16 * KB;
const BLOCK = Buffer.from(`${BLOCK_BYTES.toString(16)}\r\n${' '.repeat(BLOCK_BYTES)}\r\n`);

/**
 * What each kind sends at first behind its head, and how many blocks after it. None of them ever ends its body, or its
 * side of the connection.
 *
 * @type {Record<string, { first: string, blocks: number }>}
 */
const ATTACKS = {
  endless: { first: CHUNKED, blocks: Number.POSITIVE_INFINITY },
  stalled: { first: `Content-Length: ${64 * KB}\r\n\r\n${' '.repeat(KB)}`, blocks: 0 },
  hoarding: { first: CHUNKED, blocks: LIMIT / BLOCK_BYTES - 1 },
};

/**
 * Times are of the clock that all processes share.
 *
 * @typedef {{ number: number, began: number, status: number | null, answered: number | null, closed: number | null }} Seen
 */
const now = () => performance.timeOrigin + performance.now();

/** All are connected before the first one sends, so that they begin at once. */
async function attack({ first, blocks } = /** @type {typeof ATTACKS[string]} */ (ATTACKS[kind])) {
  const sockets = Array.from({ length: Number(count) }, () =>
    // A connection that was cut shows as `close` too.
    connect({ ...where, allowHalfOpen: true }).on('error', () => {}),
  );
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  process.send?.('connected');
  await once(process, 'message');
  return Promise.all(sockets.map((socket, number) => upload(socket, number, first, blocks)));
}

/**
 * @param {import('node:net').Socket} socket @param {number} number @param {string} first
 * @param {number} blocks
 * @returns {Promise<Seen>}
 */
function upload(socket, number, first, blocks) {
  return new Promise((resolve) => {
    /** @type {Seen} */
    const seen = {
      number,
      began: now(),
      status: null,
      answered: null,
      closed: null,
    };
    const patience = setTimeout(() => socket.destroy(), PATIENCE);
    let left = blocks;
    // One block a turn: else the kernel's buffers of one connection, which hold megabytes, would be filled
    // before the next one had its turn.
    const pump = () => {
      if (left-- > 0 && socket.writable) socket.write(BLOCK, () => setImmediate(pump));
    };
    socket.write(headOf(number) + first, pump);
    socket.on('data', (data) => {
      seen.answered ??= now();
      seen.status ??= Number(data.toString('latin1').split(' ', 2)[1]);
    });
    const onEnd = () => {
      clearTimeout(patience);
      seen.closed ??= now();
      resolve(seen);
    };
    socket.once('close', onEnd);
    // Who sends nothing more does not learn that the other side of the connection is gone as well.
    if (blocks !== Number.POSITIVE_INFINITY) socket.once('end', onEnd);
  });
}

// ---- The good client -----------------------------------------------------------------------------

const { headers, body } = arrived('hatexcard/body', 512);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** @param {Record<string, string>} [more] @returns {Promise<number>} the status, 0 without an answer */
function deliver(more) {
  return new Promise((resolve) => {
    const sent = { ...headers, ...more };
    const asked = request({ ...where, method: 'POST', path: '/webhook', headers: sent, agent });
    asked.once('error', () => resolve(0));
    asked.once('response', (answer) =>
      answer.resume().once('end', () => resolve(answer.statusCode ?? 0)),
    );
    asked.end(body);
  });
}

/** Refusals, so that the server's code for them is compiled as it is in one that has run for a while. */
async function warmUp() {
  for (let n = 0; n < WARMUP; n++) {
    await deliver();
    await deliver({ 'x-hatex-signature': '0'.repeat(64) });
    await deliver({ 'content-length': `${LIMIT + 1}` });
  }
}

/** One delivery after the other, until the next message. */
async function good() {
  /** @type {number[]} */
  const waits = [];
  let wrong = 0;
  let sending = true;
  process.once('message', () => {
    sending = false;
  });
  while (sending) {
    const began = performance.now();
    if ((await deliver()) !== 200) wrong++;
    waits.push(performance.now() - began);
    await sleep(PAUSE);
  }
  return { waits, wrong };
}

// ---- This process --------------------------------------------------------------------------------

process.once('disconnect', () => process.exit());
if (kind === 'good') await warmUp();
process.send?.('ready');
for (;;) {
  await once(process, 'message');
  process.send?.(await (kind === 'good' ? good() : attack()));
}
