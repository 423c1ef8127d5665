// @ts-check
// What `verify` costs beside the least that there is to do (the floor: `createHmac` over the same bytes,
// `timingSafeEqual`, `JSON.parse`) and beside what other packages do with a body of the same bytes.
// Each scheme has processes of its own, as a shop has one provider.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { WebhookVerificationService } from '@hookflo/tern';
import { verify as octokit } from '@octokit/webhooks-methods';
import { Webhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { dexchange, hatexcard, hitpay, verify } from '../dist/index.js';
import { arrived, hmacHex, SECRET, SIGNERS } from './deliveries.mjs';
import { floor, formFloor, withSignature } from './floors.mjs';
import { cell, interleave, markdown, median, ratio, rounded, target } from './measure.mjs';

/** Long bodies are measured twice, since what `JSON.parse` costs depends on what is in them. */
const BODIES = [
  { title: '0.5 KB', bytes: 512, filling: 'lines' },
  { title: '4 KB', bytes: 4_096, filling: 'lines' },
  { title: '64 KB', bytes: 65_536, filling: 'lines' },
  { title: '64 KB, one long text', bytes: 65_536, filling: 'text' },
];
const ROUNDS = Number(process.env.BENCH_ROUNDS || 120);
/** Processes among which the rounds are shared out: two of the same code already differ by some percent. */
const PROCESSES = 4;
/** Milliseconds of a variant's turn. */
const TURN = 20;
/** Deliveries that a turn goes through, so that nothing is the same twice in a row. */
const DELIVERIES = 16;

const FORM = 'hitpay/form';
const SCHEMES = Object.keys(SIGNERS);
const JSON_SCHEMES = SCHEMES.filter((scheme) => scheme !== FORM);
/** What the peers are compared with: like most of them, it signs a timestamp and the body. */
const OURS = 'hatexcard/timestamped';

/** @type {Record<string, import('../dist/index.js').Provider>} */
const PROVIDERS = {
  'hatexcard/timestamped': hatexcard({ secret: SECRET }),
  'hatexcard/body': hatexcard({ secret: SECRET }),
  'hitpay/event': hitpay({ salt: SECRET }),
  'dexchange/signature': dexchange({
    signature: { header: 'x-dexchange-signature', secret: SECRET },
  }),
  'dexchange/token': dexchange({ token: { secret: SECRET } }),
  'dexchange/bearer': dexchange({ bearer: { token: SECRET } }),
  'hitpay/form': hitpay({ salt: SECRET }),
};

/** @typedef {import('./floors.mjs').Signed} Signed */

// ---- The peers -----------------------------------------------------------------------------------

const { webhooks } = new Stripe('sk_test_bench');
const standard = new Webhook(Buffer.from(SECRET).toString('base64'));
/** @type {any} */
const TERN = {
  platform: 'custom',
  secret: SECRET,
  signatureConfig: {
    algorithm: 'hmac-sha256',
    headerName: 'x-hatex-signature',
    headerFormat: 'raw',
    timestampHeader: 'x-hatex-timestamp',
    timestampFormat: 'unix',
    payloadFormat: 'timestamped',
  },
};

/** @type {Record<string, { headers: (body: Buffer) => Record<string, string>, run: (delivery: Signed) => unknown }>} */
const PEERS = {
  stripe: {
    headers: (body) => {
      const time = Math.floor(Date.now() / 1000);
      return { 'stripe-signature': `t=${time},v1=${hmacHex(`${time}.${body}`)}` };
    },
    run: ({ body, headers }) =>
      webhooks.constructEvent(body, headers['stripe-signature'] ?? '', SECRET),
  },
  standardwebhooks: {
    headers: (body) => {
      const now = new Date();
      return {
        'webhook-id': 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W',
        'webhook-timestamp': `${Math.floor(+now / 1000)}`,
        'webhook-signature': standard.sign('msg_2KWPBgLlAfxdpx2AI54pPJ85f4W', now, body),
      };
    },
    run: ({ body, headers }) => standard.verify(body, headers),
  },
  '@octokit/webhooks-methods': {
    headers: (body) => ({ 'x-hub-signature-256': `sha256=${hmacHex(`${body}`)}` }),
    run: async ({ body, headers }) => {
      const text = body.toString();
      if (!(await octokit(SECRET, text, headers['x-hub-signature-256'] ?? ''))) throw new Error();
      return JSON.parse(text);
    },
  },
  '@hookflo/tern': {
    headers: (body) => {
      const time = `${Math.floor(Date.now() / 1000)}`;
      return { 'x-hatex-signature': hmacHex(`${time}.${body}`), 'x-hatex-timestamp': time };
    },
    run: async ({ body, headers }) => {
      const request = new Request('http://127.0.0.1/', { method: 'POST', headers, body });
      const result = await WebhookVerificationService.verify(request, TERN);
      if (!result.isValid) throw new Error(result.error);
      return result.payload;
    },
  },
};

// ---- The run -------------------------------------------------------------------------------------

/** @typedef {{ run: (delivery: Signed) => unknown, deliveries: Signed[], times: number }} Variant */

/** @param {string} scheme @param {typeof BODIES[number]} body */
function deliveries(scheme, { bytes, filling }) {
  return Array.from({ length: DELIVERIES }, () =>
    withSignature(arrived(scheme, bytes, {}, filling)),
  );
}

/** @param {string} scheme @param {typeof BODIES[number]} body @returns {Map<string, Variant>} */
function variantsOf(scheme, body) {
  const variants = new Map();
  const add = (
    /** @type {string} */ name,
    /** @type {Signed[]} */ deliveries,
    /** @type {Variant['run']} */ run,
  ) => variants.set(name, { run, deliveries, times: 1 });
  const sent = deliveries(scheme, body);
  const provider = /** @type {import('../dist/index.js').Provider} */ (PROVIDERS[scheme]);
  add(scheme, sent, (delivery) => verify(provider, delivery));
  add('floor', scheme === FORM ? deliveries(OURS, body) : sent, floor);
  if (scheme === FORM) add('floor of a form', sent, formFloor);
  if (scheme !== OURS) return variants;
  add('floor again', sent, floor);
  for (const [name, { headers, run }] of Object.entries(PEERS)) {
    const own = sent.map((delivery) => ({
      ...delivery,
      headers: { ...withoutProof(delivery.headers), ...headers(delivery.body) },
    }));
    add(name, own, run);
  }
  return variants;
}

/** @param {Record<string, string>} headers */
function withoutProof(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !/^x-hatex-/.test(name)));
}

/** Holds the last result, so that nothing of the work can be left out. */
export let last;

/** Microseconds for each of `times` calls. @param {Variant} variant @param {number} times */
async function turn({ run, deliveries }, times) {
  // What the turn before left behind is not this one's to clear away.
  globalThis.gc?.({ type: 'minor' });
  const began = performance.now();
  for (let i = 0; i < times; i++) {
    const result = run(/** @type {Signed} */ (deliveries[i % deliveries.length]));
    last = result instanceof Promise ? await result : result;
  }
  return ((performance.now() - began) * 1_000) / times;
}

/** Runs until it is hot, and finds how often it fits into a turn. @param {Variant} variant */
async function warmUp(variant) {
  for (const end = performance.now() + 10 * TURN; performance.now() < end; ) {
    variant.times = Math.max(1, Math.round((TURN * 1_000) / (await turn(variant, variant.times))));
  }
}

/**
 * Microseconds of each variant in each round.
 *
 * @param {string} scheme
 * @param {typeof BODIES[number]} body
 * @param {number} rounds
 * @returns {Promise<Record<string, number[]>>}
 */
async function measure(scheme, body, rounds) {
  const variants = variantsOf(scheme, body);
  for (const variant of variants.values()) await warmUp(variant);
  const times = await interleave([...variants.keys()], rounds, (name) => {
    const variant = /** @type {Variant} */ (variants.get(name));
    return turn(variant, variant.times);
  });
  return Object.fromEntries(times);
}

/** @param {string[]} args @returns {Promise<Record<string, number[]>>} */
async function inOwnProcess(...args) {
  const running = fork(fileURLToPath(import.meta.url), args, { execArgv: ['--expose-gc'] });
  const [[times]] = await Promise.all([once(running, 'message'), once(running, 'exit')]);
  return times;
}

/** @param {string} scheme @param {number} body @param {number} rounds */
async function inOwnProcesses(scheme, body, rounds) {
  /** @type {Record<string, number[]>} */
  const all = {};
  for (let at = 0; at < PROCESSES; at++) {
    const times = await inOwnProcess(scheme, `${body}`, `${Math.ceil(rounds / PROCESSES)}`);
    for (const [name, each] of Object.entries(times)) all[name] = [...(all[name] ?? []), ...each];
  }
  return all;
}

/** @param {{ quick?: boolean }} options */
export async function run({ quick = false }) {
  const rounds = quick ? 5 : ROUNDS;
  const sizes = [];
  for (const [at, { title }] of BODIES.entries()) {
    const size = { title, microseconds: {}, toFloor: {}, toPayproof: {} };
    for (const scheme of SCHEMES) {
      const times = await inOwnProcesses(scheme, at, rounds);
      const of = (/** @type {string} */ name) => /** @type {number[]} */ (times[name]);
      for (const [name, each] of Object.entries(times)) {
        const isFloor = name === 'floor';
        const key = isFloor ? `floor of ${scheme}` : name;
        Object.assign(size.microseconds, { [key]: rounded(median(each)) });
        if (name in PEERS) Object.assign(size.toPayproof, { [name]: ratio(each, of(OURS)) });
        else if (!isFloor) Object.assign(size.toFloor, { [name]: ratio(each, of('floor')) });
      }
    }
    sizes.push(size);
  }
  return { rounds, turn: TURN, sizes, targets: targetsOf(sizes) };
}

/** @param {any[]} sizes */
function targetsOf(sizes) {
  return sizes.flatMap(({ title: size, toFloor, toPayproof }, at) => {
    const bound = { 512: 1.35, 65536: 1.1 }[BODIES[at]?.bytes ?? 0];
    return [
      ...(bound === undefined
        ? []
        : JSON_SCHEMES.map((name) =>
            target(`${name} ÷ floor, ${size}`, toFloor[name].median, '<=', bound),
          )),
      target(`${FORM} ÷ floor, ${size}`, toFloor[FORM].median, '<=', 2.5),
      target(`stripe ÷ ${OURS}, ${size}`, toPayproof.stripe.median, '>=', 1),
      target(`standardwebhooks ÷ ${OURS}, ${size}`, toPayproof.standardwebhooks.median, '>=', 2),
    ];
  });
}

/** @param {any} result */
export function table({ rounds, turn, sizes }) {
  const columns = sizes.map((/** @type {any} */ { title }) => title);
  const rows = (/** @type {'toFloor' | 'toPayproof'} */ of) =>
    Object.keys(sizes[0][of]).map((name) => [
      name === 'floor again' || name === 'floor of a form' ? `*${name}*` : name,
      ...sizes.map((/** @type {any} */ size) => cell(size[of][name])),
    ]);
  const floors = sizes
    .map((/** @type {any} */ { microseconds }) => microseconds[`floor of ${OURS}`])
    .join(', ');
  return [
    `${rounds} rounds of ${turn} ms for each variant, in ${PROCESSES} processes. The floor took ${floors} µs.`,
    markdown(['time ÷ time of the floor', ...columns], rows('toFloor')),
    markdown([`time ÷ time of \`${OURS}\``, ...columns], rows('toPayproof')),
  ].join('\n\n');
}

// The child: `core.mjs <scheme> <index of the body> <rounds>`.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [scheme = '', at, rounds] = process.argv.slice(2);
  const body = /** @type {typeof BODIES[number]} */ (BODIES[Number(at)]);
  process.send?.(await measure(scheme, body, Number(rounds)), () => process.exit());
}
