// @ts-check
// The server of `hostile.mjs`: `node hostile-server.mjs express 2000` (the framework, and `bodyTimeout`). It
// notes of every attacker when it was accepted, answered and closed, and how much memory it has meanwhile.
import { createServer } from 'node:http';
import express from 'express';
import Koa from 'koa';
import * as onExpress from '../dist/express.js';
import { hatexcard } from '../dist/index.js';
import * as onKoa from '../dist/koa.js';
import { SECRET } from './deliveries.mjs';

/** Milliseconds between two readings of the memory. */
const EVERY = 5;

const [framework, bodyTimeout] = process.argv.slice(2);
// Without a memory: what it keeps of good deliveries would look like the attackers' doing.
const options = { dedupe: /** @type {const} */ (false), bodyTimeout: Number(bodyTimeout) };

function expressApp() {
  const app = express();
  const webhook = onExpress.paymentWebhook(hatexcard({ secret: SECRET }), options);
  app.post('/webhook', /** @type {any} */ (webhook), (_req, res) => {
    res.sendStatus(200);
  });
  /** @type {express.ErrorRequestHandler} */
  const refuse = (error, _req, res, _next) => {
    res
      .set(error.headers)
      .status(error.status ?? 500)
      .send(error.message);
  };
  return app.use(refuse);
}

function koaApp() {
  const app = new Koa();
  app.silent = true;
  app.use(/** @type {any} */ (onKoa.paymentWebhook(hatexcard({ secret: SECRET }), options)));
  app.use((ctx) => {
    ctx.status = 200;
  });
  return app.callback();
}

const server = createServer(framework === 'koa' ? koaApp() : expressApp());

// ---- What is noted -------------------------------------------------------------------------------

/** @typedef {{ answered: number | null, closed: number | null }} Noted */
/** By their numbers. @type {Map<number, Noted>} */
let attackers = new Map();
/** @type {number[]} */
let resident = [];
let connections = 0;
let used = process.cpuUsage();
const now = () => performance.timeOrigin + performance.now();

server.on('connection', () => connections++);
// What the parser says of a connection that was cut is of no interest here.
server.on('clientError', (_error, socket) => socket.destroy());
server.prependListener('request', ({ headers, socket }, res) => {
  const number = headers['x-attacker'];
  if (number === undefined) return;
  /** @type {Noted} */
  const noted = { answered: null, closed: null };
  attackers.set(Number(number), noted);
  res.once('finish', () => {
    noted.answered = now();
  });
  socket.once('close', () => {
    noted.closed = now();
  });
});
setInterval(() => resident.push(process.memoryUsage.rss()), EVERY);

/** @type {Record<string, () => unknown>} */
const COMMANDS = {
  begin() {
    globalThis.gc?.();
    [attackers, resident, connections] = [new Map(), [], 0];
  },
  accepted() {
    used = process.cpuUsage();
    return connections;
  },
  end() {
    const { user, system } = process.cpuUsage(used);
    return { attackers: [...attackers], resident, cpu: (user + system) / 1_000 };
  },
};
process.on('message', (command) => process.send?.(COMMANDS[String(command)]?.() ?? null));
process.once('disconnect', () => process.exit());

server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
  process.send?.(/** @type {import('node:net').AddressInfo} */ (server.address()).port);
});
