// @ts-check
// What a route costs with payproof, and with what else could stand there, on Express 5 and Koa 3. Every
// variant is a server in a process of its own (`middleware-server.mjs`), the load comes from this one. In a
// round the variants are loaded in turns, and all that a variant served in it is one figure. On a shared machine
// the speed changes from load to load by a third, so a few percent show only in many loads, and sooner in short
// ones: five times as many of a fifth tell twice as well. After some rounds all servers are started anew, since
// two processes of the same code already differ by a little.
import { arrived, hmacHex } from './deliveries.mjs';
import { figures, load, start } from './load.mjs';
import {
  cell,
  interleave,
  markdown,
  median,
  ratio,
  rounded,
  shuffled,
  target,
} from './measure.mjs';

const ROUNDS = Number(process.env.BENCH_ROUNDS || 15);
/** Rounds after which the servers are started anew. */
const LIFE = 3;
/** Loads of each variant and traffic in a round. */
const LOADS = 10;
/** The same for what has a bound. */
const JUDGED_LOADS = 100;
const REQUESTS = Number(process.env.BENCH_REQUESTS || 100);
/** Until V8 has stopped optimising (`--trace-opt`). */
const WARMUP = 10_000;
const CONNECTIONS = 10;
const BYTES = 512;

const HAND = 'hand-written';
const OURS = 'payproof, dedupe: false';
const OURS_BODY = 'payproof, scheme body';
const GUIDE = "the guide's code";
const COMMON = [
  HAND,
  `${HAND} again`,
  `${HAND}, in the handler`,
  OURS,
  'payproof, default',
  OURS_BODY,
  GUIDE,
  'empty route',
];
/** @type {Record<string, string[]>} */
const VARIANTS = {
  express: [...COMMON, 'express.raw + stripe', '@octokit/webhooks', '@slack/bolt'],
  koa: COMMON,
};
const TITLES = { express: 'Express 5', koa: 'Koa 3' };
/** @typedef {'good' | 'forged' | 'mixed'} Traffic */
/** @type {Traffic[]} */
const TRAFFIC = ['good', 'forged', 'mixed'];
/**
 * What has a bound, and what these are compared with: all of it takes turns. Each with both kinds of traffic, since a
 * server with half as many turns as another of the same code came out some percent slower.
 */
/** @type {readonly (readonly [variant: string, traffic: Traffic])[]} */
const JUDGED = [HAND, `${HAND} again`, OURS, OURS_BODY, GUIDE].flatMap((variant) => [
  [variant, 'good'],
  [variant, 'forged'],
]);

// ---- The requests --------------------------------------------------------------------------------

// An amount that `JSON.parse` and `JSON.stringify` leave as it is, for the guide's code.
const STAMPED = arrived('hatexcard/timestamped', BYTES, { amount: 1500 });
const BODY_ONLY = arrived('hatexcard/body', BYTES, { amount: 1500 });

const now = () => `${Math.floor(Date.now() / 1000)}`;

/** The headers that prove a body, as each variant wants them. */
/** @type {Record<string, (body: string) => Record<string, string>>} */
const PROOFS = {
  'express.raw + stripe': (body) => {
    const time = now();
    return { 'stripe-signature': `t=${time},v1=${hmacHex(`${time}.${body}`)}` };
  },
  '@octokit/webhooks': (body) => ({
    'x-github-event': 'push',
    'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    'x-hub-signature-256': `sha256=${hmacHex(body)}`,
  }),
  '@slack/bolt': (body) => {
    const time = now();
    return {
      'x-slack-request-timestamp': time,
      'x-slack-signature': `v0=${hmacHex(`v0:${time}:${body}`)}`,
    };
  },
  [OURS_BODY]: (body) => ({ 'x-hatex-signature': hmacHex(body) }),
  [GUIDE]: (body) => ({ 'x-hatex-signature': hmacHex(body) }),
};

/** @param {string} body */
function stamped(body) {
  const time = now();
  return {
    'x-hatex-event': 'payment.success',
    'x-hatex-timestamp': time,
    'x-hatex-signature': hmacHex(`${time}.${body}`),
  };
}

let payment = 0;

/**
 * Deliveries of as many payments. A forged one differs in the last digit of its signature.
 *
 * @param {string} variant @param {Traffic} traffic @param {number} count
 */
export function requests(variant, traffic, count) {
  const { body: bytes, headers: sent } = [OURS_BODY, GUIDE].includes(variant) ? BODY_ONLY : STAMPED;
  // autocannon writes the length itself.
  const { 'content-length': _, ...headers } = sent;
  const template = bytes.toString();
  const prove = PROOFS[variant] ?? stamped;
  return Array.from({ length: count }, (_, at) => {
    const id = (payment++).toString(16).padStart(16, '0');
    const body = template.replace(/HTX-\w{16}/, `HTX-${id}`);
    const proof = prove(body);
    if (traffic === 'forged' || (traffic === 'mixed' && at % 2 === 1)) {
      for (const name of Object.keys(proof).filter((one) => one.includes('signature'))) {
        proof[name] = proof[name]?.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')) ?? '';
      }
    }
    return {
      method: /** @type {const} */ ('POST'),
      path: '/webhook',
      headers: { ...headers, ...proof },
      body: Buffer.from(body),
    };
  });
}

// ---- The run -------------------------------------------------------------------------------------

/** @typedef {{ framework: string, variant: string, traffic: Traffic }} Case */
/** @typedef {ReturnType<typeof figures>} Figures */

/** @param {Case} which */
const keyOf = ({ framework, variant, traffic }) => [framework, variant, traffic].join('/');

/** What takes turns with each other: what has a bound, then all variants with one traffic. */
const GROUPS = Object.entries(VARIANTS).flatMap(([framework, variants]) => [
  {
    name: `${framework}, judged`,
    loads: JUDGED_LOADS,
    cases: JUDGED.map(([variant, traffic]) => ({ framework, variant, traffic })),
  },
  ...TRAFFIC.map((traffic) => ({
    name: `${framework}, ${traffic}`,
    loads: LOADS,
    cases: variants.map((variant) => ({ framework, variant, traffic })),
  })),
]);

/** By group and key: the figures of each round. @typedef {Map<string, Map<string, Figures[]>>} Runs */

/** @param {Runs} runs @param {number} rounds @param {number} count @param {number} warmup @param {boolean} quick */
async function life(runs, rounds, count, warmup, quick) {
  /** @type {Map<string, import('./load.mjs').Server>} */
  const servers = new Map();
  try {
    for (const [framework, variants] of Object.entries(VARIANTS)) {
      const started = await Promise.all(variants.map((variant) => start(framework, variant)));
      for (const [at, variant] of variants.entries()) {
        const server = /** @type {import('./load.mjs').Server} */ (started[at]);
        servers.set(`${framework}/${variant}`, server);
        await load(server, requests(variant, 'mixed', warmup), CONNECTIONS);
      }
    }
    for (let round = 0; round < rounds; round++) {
      // One after the other what is compared, so that the machine is the same for all of it.
      for (const { name, loads, cases } of shuffled(GROUPS)) {
        const byKey = new Map(cases.map((one) => [keyOf(one), one]));
        const loaded = await interleave([...byKey.keys()], quick ? 1 : loads, async (key) => {
          const { framework, variant, traffic } = /** @type {Case} */ (byKey.get(key));
          const server = servers.get(`${framework}/${variant}`);
          if (!server) throw new Error(key);
          const one = await load(server, requests(variant, traffic, count), CONNECTIONS);
          checkAnswers(key, variant, traffic, count, one);
          return one;
        });
        for (const [key, some] of loaded) runs.get(name)?.get(key)?.push(figures(some));
      }
    }
  } finally {
    for (const server of servers.values()) await server.stop();
  }
}

/** A route that lets forged deliveries through, or refuses true ones, would be no comparison. */
/** @param {string} key @param {string} variant @param {Traffic} traffic @param {number} count @param {Awaited<ReturnType<typeof load>>} loaded */
function checkAnswers(key, variant, traffic, count, { statuses }) {
  const good = { good: count, forged: 0, mixed: Math.ceil(count / 2) }[traffic];
  if ((statuses[200] ?? 0) !== (variant === 'empty route' ? count : good)) {
    throw new Error(`${key}: ${JSON.stringify(statuses)}`);
  }
}

/** @param {{ quick?: boolean }} options */
export async function run({ quick = false }) {
  const [rounds, count, warmup] = quick ? [2, 50, 300] : [ROUNDS, REQUESTS, WARMUP];
  /** @type {Runs} */
  const runs = new Map(
    GROUPS.map(({ name, cases }) => [name, new Map(cases.map((one) => [keyOf(one), []]))]),
  );
  for (let done = 0; done < rounds; done += LIFE) {
    await life(runs, Math.min(LIFE, rounds - done), count, warmup, quick);
  }
  const frameworks = Object.keys(VARIANTS).map((framework) => summary(framework, runs));
  return {
    rounds,
    loads: LOADS,
    judgedLoads: JUDGED_LOADS,
    requests: count,
    connections: CONNECTIONS,
    bytes: BYTES,
    frameworks,
    targets: frameworks.flatMap(targetsOf),
  };
}

/** @param {string} framework @param {Runs} runs */
function summary(framework, runs) {
  const of = (
    /** @type {string} */ group,
    /** @type {string} */ variant,
    /** @type {Traffic} */ traffic,
  ) => runs.get(`${framework}, ${group}`)?.get(keyOf({ framework, variant, traffic })) ?? [];
  const ratioOf = (
    /** @type {keyof Figures} */ figure,
    /** @type {readonly Figures[]} */ some,
    /** @type {readonly Figures[]} */ others,
  ) =>
    ratio(
      some.map((one) => one[figure]),
      others.map((one) => one[figure]),
    );
  const judged = (
    /** @type {readonly [string, Traffic]} */ one,
    /** @type {readonly [string, Traffic]} */ other,
  ) =>
    withError(
      ratioOf('rate', of('judged', ...one), of('judged', ...other)),
      of('judged', ...one).length,
    );
  const hand = of('good', HAND, 'good');
  return {
    framework,
    rate: rounded(median(hand.map(({ rate }) => rate))),
    p99: rounded(median(hand.map(({ p99 }) => p99))),
    judged: {
      handToHand: judged([`${HAND} again`, 'good'], [HAND, 'good']),
      oursToHand: judged([OURS, 'good'], [HAND, 'good']),
      bodyToGuide: judged([OURS_BODY, 'good'], [GUIDE, 'good']),
      oursForgedToGood: judged([OURS, 'forged'], [OURS, 'good']),
      bodyForgedToGood: judged([OURS_BODY, 'forged'], [OURS_BODY, 'good']),
      handForgedToGood: judged([HAND, 'forged'], [HAND, 'good']),
    },
    variants: (VARIANTS[framework] ?? []).map((variant) => ({
      variant,
      rateToHand: Object.fromEntries(
        TRAFFIC.map((traffic) => [
          traffic,
          ratioOf('rate', of(traffic, variant, traffic), of(traffic, HAND, traffic)),
        ]),
      ),
      p99ToHand: ratioOf('p99', of('good', variant, 'good'), hand),
      cpuToHand: ratioOf('cpu', of('good', variant, 'good'), hand),
    })),
  };
}

/**
 * With the standard error of the median, from the middle half as if it were a normal distribution's.
 *
 * @param {import('./measure.mjs').Spread} spread @param {number} count
 */
function withError(spread, count) {
  const { q1, q3 } = spread;
  return { ...spread, error: rounded((1.2533 * (q3 - q1)) / 1.349 / Math.sqrt(count)) };
}

/** @param {ReturnType<typeof summary>} summary */
function targetsOf({ framework, judged }) {
  const title = TITLES[/** @type {'express'} */ (framework)];
  const { oursToHand, bodyToGuide, oursForgedToGood, bodyForgedToGood } = judged;
  return [
    target(`${OURS} ÷ ${HAND}, ${title}`, oursToHand.median, '>=', 0.97),
    target(`${OURS_BODY} ÷ ${GUIDE}, ${title}`, bodyToGuide.median, '>=', 1.05),
    ...[
      /** @type {const} */ ([OURS, oursForgedToGood]),
      /** @type {const} */ ([OURS_BODY, bodyForgedToGood]),
    ].map(([name, { median, error }]) =>
      target(`forged ÷ good, ${name}, ${title}`, median, '>=', rounded(1 - error)),
    ),
  ];
}

/** @param {any} result */
export function table({
  rounds,
  loads,
  judgedLoads,
  requests: count,
  connections,
  bytes,
  frameworks,
}) {
  const intro = `${rounds} rounds of ${judgedLoads} loads of what has a bound, and ${loads} of each variant with each traffic; a load is ${count} requests over ${connections} connections, bodies of ${bytes} bytes.`;
  const tables = frameworks.flatMap(
    (/** @type {any} */ { framework, rate, p99, judged, variants }) => {
      const title = TITLES[/** @type {'express'} */ (framework)];
      const line = (/** @type {string} */ name, /** @type {any} */ ratio) => [
        name,
        cell(ratio),
        ratio.error.toFixed(3),
      ];
      return [
        `**${title}.** The hand-written route answered ${rate} good deliveries a second; p99 ${p99} ms.`,
        markdown(
          ['requests a second ÷ requests a second', '', 'standard error'],
          [
            line(`${HAND} again ÷ ${HAND}`, judged.handToHand),
            line(`${OURS} ÷ ${HAND}`, judged.oursToHand),
            line(`${OURS_BODY} ÷ ${GUIDE}`, judged.bodyToGuide),
            line(`${OURS}: forged ÷ good`, judged.oursForgedToGood),
            line(`${OURS_BODY}: forged ÷ good`, judged.bodyForgedToGood),
            line(`${HAND}: forged ÷ good`, judged.handForgedToGood),
          ],
        ),
        markdown(
          [
            `÷ ${HAND}`,
            ...TRAFFIC.map((traffic) => `requests a second, ${traffic}`),
            'p99, good',
            'CPU a request, good',
          ],
          variants.map((/** @type {any} */ { variant, rateToHand, p99ToHand, cpuToHand }) => [
            variant,
            ...TRAFFIC.map((traffic) => cell(rateToHand[traffic])),
            cell(p99ToHand),
            cell(cpuToHand),
          ]),
        ),
      ];
    },
  );
  return [intro, ...tables].join('\n\n');
}
