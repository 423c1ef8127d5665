// @ts-check
import { setTimeout as sleep } from 'node:timers/promises';
import { deliveries, secrets } from './deliveries.mjs';
import { startBench, startDexchangeApi, startExample } from './servers.mjs';
import { isRight, painter, summary, table } from './table.mjs';

/** @typedef {import('./deliveries.mjs').Delivery} Delivery */
/** @typedef {import('./servers.mjs').Running} Running */

const FRAMEWORKS = /** @type {const} */ (['Express', 'Koa']);
const PROVIDERS = { Hatexcard: 'Haiti', HitPay: 'South-East Asia', DExchange: 'Senegal' };
/** How long an answer may take, and the merchant's log line after it, in milliseconds. */
const ANSWER_TIMEOUT = 3_000;
const LOG_TIMEOUT = 1_000;
/** How long a handler that must not run is waited for, in milliseconds. */
const SILENCE = 60;

/**
 * Starts the servers, sends them every delivery, shows what came of it, and stops the servers.
 *
 * @param {object} [options]
 * @param {(text: string) => void} [options.print]
 * @param {boolean} [options.colours]
 * @param {NodeJS.ProcessEnv} [options.env] for the example servers, above the demo's own secrets
 * @returns {Promise<boolean>} whether every outcome is the right one
 */
export async function run({ print = console.log, colours = false, env = {} } = {}) {
  const began = performance.now();
  const paint = painter(colours);
  const api = await startDexchangeApi();
  const { DEXCHANGE_API_KEY, HATEXCARD_SECRET, HITPAY_SALT, HITPAY_EVENT_SALT } = secrets;
  const { DEXCHANGE_CALLBACK_SECRET } = secrets;
  const shopEnv = {
    HATEXCARD_SECRET,
    HITPAY_SALT,
    HITPAY_EVENT_SALT,
    DEXCHANGE_CALLBACK_SECRET,
    ...env,
  };
  const confirmingEnv = { ...shopEnv, DEXCHANGE_API_KEY, DEXCHANGE_API_URL: api.url };

  const starting = FRAMEWORKS.flatMap((framework) => {
    const example = `../${framework.toLowerCase()}/server.mjs`;
    return [
      { site: `${framework}, shop`, server: startExample(example, shopEnv) },
      { site: `${framework}, confirming shop`, server: startExample(example, confirmingEnv) },
      { site: `${framework}, bench`, server: startBench(framework, api.url) },
    ];
  });
  try {
    /** @type {Map<string, Running>} */
    const sites = new Map();
    await Promise.all(starting.map(async ({ site, server }) => sites.set(site, await server)));
    print(
      paint.dim(
        `${sites.size} servers are up (${seconds(began)}). Why a delivery was refused is read from`,
      ),
    );
    print(paint.dim("the merchant's log: the HTTP answer does not tell the sender.\n"));

    const all = deliveries();
    const rows = [];
    for (const [provider, place] of Object.entries(PROVIDERS)) {
      for (const framework of FRAMEWORKS) {
        const group = [];
        for (const delivery of all.filter((one) => one.provider === provider)) {
          const site = /** @type {Running} */ (sites.get(`${framework}, ${delivery.to}`));
          group.push({ delivery, actual: await deliver(delivery, site) });
        }
        print(table(`${provider} (${place}) on ${framework}`, group, paint));
        rows.push(...group);
      }
    }
    const right = rows.every(isRight);
    print((right ? paint.green : paint.red)(`${summary(rows)} (${seconds(began)})`));
    return right;
  } finally {
    const started = await Promise.allSettled(starting.map(({ server }) => server));
    const servers = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    await Promise.all([api, ...servers].map((server) => server.close()));
  }
}

/**
 * Sends a delivery over HTTP, and joins the answer's status with what the merchant's side told.
 *
 * @param {Delivery} delivery
 * @param {Running} site
 */
async function deliver({ path, headers, body, expected }, { url, entries }) {
  entries.length = 0;
  /** @type {number | string} */
  let status = 'none';
  let text = '';
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT);
    const answer = await fetch(url + path, { method: 'POST', headers, body, signal });
    status = answer.status;
    text = await answer.text();
  } catch {
    // No answer, which no delivery expects.
  }
  const silent = 'outcome' in expected && expected.outcome === 'not run again';
  const end = performance.now() + (silent ? SILENCE : LOG_TIMEOUT);
  while (entries.length === 0 && performance.now() < end) await sleep(2);
  const [entry = silent ? { outcome: 'not run again' } : undefined] = entries;
  return { ...entry, status, leaked: text.includes(String(entry?.code)) };
}

/** @param {number} since */
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
