// @ts-check
// One server of `middleware.mjs`: `node middleware-server.mjs express 'hand-written'`. Every route answers
// a good delivery `200 OK`, and a forged one in its own way.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import koaRouter from '@koa/router';
import { createNodeMiddleware, Webhooks } from '@octokit/webhooks';
import bolt from '@slack/bolt';
import express from 'express';
import Koa from 'koa';
import bodyParser from 'koa-bodyparser';
import getRawBody from 'raw-body';
import Stripe from 'stripe';
import * as onExpress from '../dist/express.js';
import { hatexcard } from '../dist/index.js';
import * as onKoa from '../dist/koa.js';
import { SECRET } from './deliveries.mjs';

const REFUSED = 'The delivery could not be authenticated.';
const LIMIT = 256 * 1024;
const PATH = '/webhook';

// ---- By hand -------------------------------------------------------------------------------------

/** What a careful merchant writes: the bytes, the time, the signature in constant time, then the JSON. */
/** @param {import('node:http').IncomingMessage} req @returns {Promise<any>} null if it is forged */
async function byHand(req) {
  const { headers } = req;
  const body = await getRawBody(req, { limit: LIMIT, length: headers['content-length'] ?? null });
  const time = String(headers['x-hatex-timestamp']);
  const signature = String(headers['x-hatex-signature']);
  if (!/^\d{10}$/.test(time) || !/^[0-9a-f]{64}$/i.test(signature)) return null;
  if (Math.abs(Date.now() / 1000 - Number(time)) > 300) return null;
  const mac = createHmac('sha256', SECRET).update(`${time}.`).update(body).digest();
  return timingSafeEqual(mac, Buffer.from(signature, 'hex')) ? JSON.parse(body.toString()) : null;
}

/** As in the guide of Hatexcard. @param {unknown} body @param {unknown} signature */
function asInGuide(body, signature) {
  const hash = createHmac('sha256', SECRET).update(JSON.stringify(body)).digest('hex');
  return hash === signature;
}

// ---- Express -------------------------------------------------------------------------------------

/** @typedef {import('express').RequestHandler} Handler */
/** @type {Handler} */
const ok = (_req, res) => {
  res.sendStatus(200);
};
/** @type {import('express').ErrorRequestHandler} */
const refuse = (error, _req, res, _next) => {
  res.status(error.status ?? 500).send(error.expose ? error.message : 'Internal Server Error');
};
/** @param {import('../dist/express.js').PaymentWebhookOptions} [options] @param {any} [schemes] */
const payproof = (options, schemes) =>
  /** @type {Handler} */ (
    /** @type {unknown} */ (
      onExpress.paymentWebhook(hatexcard({ secret: SECRET, schemes }), options)
    )
  );
const { webhooks } = new Stripe('sk_test_bench');
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** @type {Handler} */
const handWritten = async (req, res, next) => {
  const event = await byHand(req);
  if (event === null) {
    res.status(403).send(REFUSED);
    return;
  }
  Object.assign(req, { event });
  next();
};
/** @type {Handler} */
const inHandler = async (req, res) => {
  const event = await byHand(req);
  if (event === null) res.status(403).send(REFUSED);
  else res.sendStatus(200);
};

function octokit() {
  const receiver = new Webhooks({ secret: SECRET, log: quiet });
  receiver.on('push', () => {});
  return createNodeMiddleware(receiver, { path: PATH, log: quiet });
}

function slack() {
  const receiver = new bolt.ExpressReceiver({
    signingSecret: SECRET,
    endpoints: PATH,
    logger: /** @type {any} */ (quiet),
  });
  receiver.init(/** @type {any} */ ({ processEvent: (/** @type {any} */ event) => event.ack() }));
  return receiver.router;
}

/** @type {Record<string, () => Handler[]>} */
const EXPRESS = {
  'empty route': () => [ok],
  'hand-written': () => [handWritten, ok],
  'hand-written again': () => [handWritten, ok],
  'hand-written, in the handler': () => [inHandler],
  'payproof, dedupe: false': () => [payproof({ dedupe: false }), ok],
  'payproof, default': () => [payproof(), ok],
  'payproof, scheme body': () => [payproof({ dedupe: false }, ['body']), ok],
  "the guide's code": () => [
    express.json(),
    (req, res) => {
      if (asInGuide(req.body, req.headers['x-hatex-signature'])) res.sendStatus(200);
      else res.status(403).send(REFUSED);
    },
  ],
  'express.raw + stripe': () => [
    express.raw({ type: 'application/json', limit: LIMIT }),
    (req, res) => {
      try {
        webhooks.constructEvent(req.body, req.headers['stripe-signature'] ?? '', SECRET);
      } catch {
        res.status(400).send(REFUSED);
        return;
      }
      res.sendStatus(200);
    },
  ],
};

/** @param {string} variant */
function expressApp(variant) {
  const app = express();
  if (variant === '@octokit/webhooks') app.use(octokit());
  else if (variant === '@slack/bolt') app.use(slack());
  else app.post(PATH, .../** @type {() => Handler[]} */ (EXPRESS[variant])());
  app.use(refuse);
  return app;
}

// ---- Koa -----------------------------------------------------------------------------------------

/** @typedef {import('koa').Middleware} Step */
/** @type {Step} */
const okKoa = (ctx) => {
  ctx.status = 200;
};
/** @param {import('../dist/koa.js').PaymentWebhookOptions} [options] @param {any} [schemes] */
const payproofKoa = (options, schemes) =>
  /** @type {Step} */ (
    /** @type {unknown} */ (onKoa.paymentWebhook(hatexcard({ secret: SECRET, schemes }), options))
  );
/** @type {Step} */
const handWrittenKoa = async (ctx, next) => {
  const event = await byHand(ctx.req);
  if (event === null) {
    ctx.status = 403;
    ctx.body = REFUSED;
    return;
  }
  ctx.state.event = event;
  await next();
};
/** @type {Step} */
const inHandlerKoa = async (ctx) => {
  const event = await byHand(ctx.req);
  ctx.status = event === null ? 403 : 200;
  if (event === null) ctx.body = REFUSED;
};

/** @type {Record<string, () => Step[]>} */
const KOA = {
  'empty route': () => [okKoa],
  'hand-written': () => [handWrittenKoa, okKoa],
  'hand-written again': () => [handWrittenKoa, okKoa],
  'hand-written, in the handler': () => [inHandlerKoa],
  'payproof, dedupe: false': () => [payproofKoa({ dedupe: false }), okKoa],
  'payproof, default': () => [payproofKoa(), okKoa],
  'payproof, scheme body': () => [payproofKoa({ dedupe: false }, ['body']), okKoa],
  "the guide's code": () => [
    bodyParser(),
    (ctx) => {
      const isTrue = asInGuide(ctx.request.body, ctx.get('x-hatex-signature'));
      ctx.status = isTrue ? 200 : 403;
      if (!isTrue) ctx.body = REFUSED;
    },
  ],
};

/** @param {string} variant */
function koaApp(variant) {
  const router = new koaRouter();
  router.post(PATH, .../** @type {any} */ (KOA[variant])());
  return new Koa().use(router.routes()).callback();
}

// ---- The server ----------------------------------------------------------------------------------

const [framework, variant = ''] = process.argv.slice(2);
const server = createServer(framework === 'koa' ? koaApp(variant) : expressApp(variant));
server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  process.send?.({ port });
});
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
// A message asks how much it has used. A collection that finds no request alive also throws away the code
// that V8 had optimised for requests, so only the question of memory makes one.
process.on('message', (question) => {
  if (question === 'cpu') process.send?.(cpu());
  else {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    process.send?.(heapUsed + external);
  }
});
process.once('disconnect', () => process.exit());
