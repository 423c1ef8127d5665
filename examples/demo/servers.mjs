// @ts-check
// Who receives: the example servers, as processes of their own, and a bench for the schemes and the
// body parsers that the examples do not have. Each tells what it made of a delivery on the
// merchant's side (a log line, a hook); the HTTP answer never says why something was refused.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Router from '@koa/router';
import express from 'express';
import Koa from 'koa';
import { koaBody } from 'koa-body';
import { assertPaid, dexchange, hatexcard, hitpay, isWebhookError } from 'payproof';
import { paymentWebhook as expressWebhook } from 'payproof/express';
import { paymentWebhook as koaWebhook } from 'payproof/koa';
import { prices, secrets, transactions } from './deliveries.mjs';

/**
 * @typedef {Record<string, unknown>} Entry what the merchant's side told of one delivery
 * @typedef {{ url: string, entries: Entry[], close: () => unknown }} Running
 */

/** Exits when the demo is gone, even if it was killed. */
const LEASH =
  'data:text/javascript,process.on("disconnect",()=>process.exit());process.channel.unref()';
const START_TIMEOUT = 8_000;

/**
 * Starts an example server as a merchant would, with `HATEXCARD_SECRET` and so on in its environment.
 *
 * @param {string} file
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Running>}
 */
export async function startExample(file, env) {
  const child = spawn(
    process.execPath,
    ['--import', LEASH, fileURLToPath(new URL(file, import.meta.url))],
    {
      env: { ...process.env, HOST: undefined, DEXCHANGE_API_KEY: undefined, ...env, PORT: '0' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    },
  );
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors = (errors + chunk).slice(-2_000);
  });
  /** @type {Entry[]} */
  const entries = [];
  const url = await new Promise((resolve, reject) => {
    const fail = () => {
      kill();
      reject(new Error(`${file} did not start\n${errors}`));
    };
    const timer = setTimeout(fail, START_TIMEOUT);
    child.once('error', fail).once('close', fail);
    const stdout = /** @type {import('node:stream').Readable} */ (child.stdout);
    createInterface({ input: stdout }).on('line', (line) => {
      if (line.startsWith('{')) entries.push(JSON.parse(line));
      if (!line.startsWith('listening on ')) return;
      clearTimeout(timer);
      resolve(line.slice('listening on '.length));
    });
  });
  return {
    url,
    entries,
    close: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      const timer = setTimeout(kill, 2_000);
      child.kill('SIGTERM');
      await gone;
      clearTimeout(timer);
    },
  };
}

/**
 * The bench: schemes that need a server of their own, and under /parsed all of them behind the body
 * parsers that merchants have.
 *
 * @param {'Express' | 'Koa'} framework
 * @param {string} apiUrl of the fake DExchange
 * @returns {Promise<Running>}
 */
export async function startBench(framework, apiUrl) {
  /** @type {Entry[]} */
  const entries = [];
  /** @type {import('payproof/express').PaymentWebhookOptions} */
  const options = {
    onRejected: ({ error: { code } }) => entries.push({ outcome: 'refused', code }),
  };
  /** @param {import('payproof').PaymentEvent} event */
  const settle = (event) => {
    const { type, reference, amount } = event;
    const price = amount && `${amount.currency} ${amount.value}`;
    entries.push({ outcome: judge(event), type, reference, amount: price });
  };
  const providers = benchProviders(apiUrl);
  const apart = ['confirm', 'bearer', 'signature'];
  let listener;
  if (framework === 'Express') {
    const app = express();
    app.set('env', 'test'); // Express does not print the errors that the demo provokes
    /** @type {(path: string, name: string) => void} */
    const mount = (path, name) => {
      app.post(path, expressWebhook(providers(name), options), (req, res) => {
        settle(req.paymentEvent);
        res.sendStatus(200);
      });
    };
    for (const name of apart) mount(`/${name}`, name);
    app.use(express.json(), express.urlencoded({ extended: false }));
    for (const name of [...apart, 'token', 'hatexcard', 'hitpay']) mount(`/parsed/${name}`, name);
    listener = app;
  } else {
    const app = new Koa();
    app.silent = true; // Koa does not print the errors that the demo provokes
    /** @type {(router: Router, path: string, name: string) => void} */
    const mount = (router, path, name) => {
      router.post(path, koaWebhook(providers(name), options), (ctx) => {
        settle(ctx.state.paymentEvent);
        ctx.status = 200;
      });
    };
    const before = new Router();
    const after = new Router();
    for (const name of apart) mount(before, `/${name}`, name);
    for (const name of [...apart, 'token', 'hatexcard', 'hitpay'])
      mount(after, `/parsed/${name}`, name);
    app.use(before.routes()).use(koaBody()).use(after.routes());
    listener = app.callback();
  }
  return { entries, ...(await listen(listener)) };
}

/** @type {(apiUrl: string) => (name: string) => import('payproof').Provider<import('payproof').PaymentEvent>} */
function benchProviders(apiUrl) {
  const token = { secret: secrets.DEXCHANGE_CALLBACK_SECRET };
  const confirm = { apiKey: secrets.DEXCHANGE_API_KEY, baseUrl: apiUrl };
  return (name) => {
    switch (name) {
      case 'hatexcard':
        return hatexcard({ secret: secrets.HATEXCARD_SECRET });
      case 'hitpay':
        return hitpay({ salt: secrets.HITPAY_SALT, eventSalt: secrets.HITPAY_EVENT_SALT });
      case 'token':
        return dexchange({ token });
      case 'confirm':
        return dexchange({ token, confirm });
      case 'bearer':
        return dexchange({ bearer: { token: secrets.bearer } });
      default:
        return dexchange({
          signature: { header: 'X-Webhook-Signature', secret: secrets.signature },
        });
    }
  };
}

/** The bench's shop: the decision of the examples, without keeping books. */
function judge(/** @type {import('payproof').PaymentEvent} */ event) {
  if (event.type !== 'payment.succeeded') return 'noted';
  const reference = event.reference ?? '';
  const price = prices.get(reference);
  if (price === undefined) return 'review: no such order';
  try {
    assertPaid(event, { reference, ...price });
    return 'paid';
  } catch (error) {
    if (!isWebhookError(error)) throw error;
    return 'review: not the price';
  }
}

/** A DExchange on this machine that answers the transaction query, and only to the right API key. */
export function startDexchangeApi() {
  return listen((req, res) => {
    const known = req.headers.authorization === `Bearer ${secrets.DEXCHANGE_API_KEY}`;
    const id = /^\/api\/v1\/transaction\/merchant\/(\w+)$/.exec(req.url ?? '')?.[1] ?? '';
    const transaction = transactions.get(id);
    res.statusCode = !known ? 401 : transaction ? 200 : 404;
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify(res.statusCode === 200 ? { transaction } : { success: false }));
  });
}

/** @param {import('node:http').RequestListener} listener */
async function listen(listener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
