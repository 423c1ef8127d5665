// @ts-check
// What a route costs with payproof, and with what else could stand there, on Express 5 and Koa 3. Every
// variant is a server in a process of its own (`middleware-server.mjs`), the load comes from this one. A
// round is a run of each variant with each traffic; after some rounds all servers are started anew, since
// two processes of the same code already differ by a little.
import { arrived, hmacHex } from './deliveries.mjs';
import { load, start } from './load.mjs';
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
/** Loads of each variant in a round, in turns. */
const LOADS = 5;
/** The same for what must be told apart by a few percent: a load differs from the next by a tenth and more. */
const CLOSE_LOADS = 20;
const REQUESTS = Number(process.env.BENCH_REQUESTS || 1_000);
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
/** Whose forged traffic takes turns with its good traffic. */
const FACED = [HAND, OURS, OURS_BODY];
const FACED_LOADS = 10;
const isClose = (/** @type {{ variant: string, traffic: string }} */ { variant, traffic }) =>
  [HAND, `${HAND} again`, OURS].includes(variant) && traffic === 'good';

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

const KEYS = Object.entries(VARIANTS).flatMap(([framework, variants]) =>
  variants.flatMap((variant) =>
    TRAFFIC.map((traffic) => ({
      framework,
      variant,
      traffic,
      key: keyOf(framework, variant, traffic),
    })),
  ),
);

/** What is compared with each other. */
const GROUPS = Object.keys(VARIANTS).flatMap((framework) =>
  TRAFFIC.map((traffic) => /** @type {const} */ ([framework, traffic])),
);

/** @param {string} framework @param {string} variant @param {string} traffic */
function keyOf(framework, variant, traffic) {
  return [framework, variant, traffic].join('/');
}

const PAIRS = Object.keys(VARIANTS).flatMap((framework) =>
  FACED.map((variant) => /** @type {const} */ ([framework, variant])),
);
/** The loads of a key where good and forged traffic took turns. @param {string} key */
const faceOf = (key) => `${key}, faced`;
const FACES = PAIRS.flatMap(([framework, variant]) =>
  ['good', 'forged'].map((traffic) => faceOf(keyOf(framework, variant, traffic))),
);

/** @typedef {Awaited<ReturnType<typeof load>>} Loaded */

/**
 * Load by load, those of one turn.
 *
 * @param {readonly (readonly Loaded[])[]} a
 * @param {readonly (readonly Loaded[])[]} b
 * @param {'rate' | 'p99' | 'cpu'} figure
 */
function inTurns(a, b, figure) {
  const pairs = a.flatMap((loads, round) =>
    loads.flatMap((loaded, turn) => {
      const other = b[round]?.[turn];
      return other ? [[loaded[figure], other[figure]]] : [];
    }),
  );
  const of = (/** @type {0 | 1} */ side) => pairs.map((pair) => Number(pair[side]));
  return ratio(of(0), of(1));
}

/** @param {number} rounds @param {number} count @param {number} warmup @param {boolean} quick */
async function life(rounds, count, warmup, quick) {
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
    /** @type {Map<string, Loaded[][]>} */
    const runs = new Map([...KEYS.map(({ key }) => key), ...FACES].map((key) => [key, []]));
    const turns = (/** @type {typeof KEYS} */ keys, /** @type {number} */ loads) =>
      interleave(
        keys.map(({ key }) => key),
        quick ? 1 : loads,
        async (key) => {
          const one = /** @type {KEYS[number]} */ (keys.find((one) => one.key === key));
          const { framework, variant, traffic } = one;
          const server = servers.get(`${framework}/${variant}`);
          if (!server) throw new Error(key);
          const loaded = await load(server, requests(variant, traffic, count), CONNECTIONS);
          checkAnswers(key, variant, traffic, count, loaded);
          return loaded;
        },
      );
    for (let round = 0; round < rounds; round++) {
      // One after the other what is compared, so that the machine is the same for all of it.
      for (const [framework, traffic] of shuffled(GROUPS)) {
        const all = KEYS.filter((one) => one.framework === framework && one.traffic === traffic);
        const loads = await turns(all, LOADS);
        const more = await turns(all.filter(isClose), CLOSE_LOADS - LOADS);
        for (const [key, some] of loads) runs.get(key)?.push([...some, ...(more.get(key) ?? [])]);
      }
      for (const [framework, variant] of shuffled(PAIRS)) {
        const both = KEYS.filter(
          (one) =>
            one.framework === framework && one.variant === variant && one.traffic !== 'mixed',
        );
        for (const [key, loads] of await turns(both, FACED_LOADS)) {
          runs.get(faceOf(key))?.push(loads);
        }
      }
    }
    return runs;
  } finally {
    for (const server of servers.values()) await server.stop();
  }
}

/** A route that lets forged deliveries through, or refuses true ones, would be no comparison. */
/** @param {string} key @param {string} variant @param {Traffic} traffic @param {number} count @param {Loaded} loaded */
function checkAnswers(key, variant, traffic, count, { statuses }) {
  const good = { good: count, forged: 0, mixed: Math.ceil(count / 2) }[traffic];
  if ((statuses[200] ?? 0) !== (variant === 'empty route' ? count : good)) {
    throw new Error(`${key}: ${JSON.stringify(statuses)}`);
  }
}

/** @param {{ quick?: boolean }} options */
export async function run({ quick = false }) {
  const [rounds, count, warmup] = quick ? [2, 300, 300] : [ROUNDS, REQUESTS, WARMUP];
  /** @type {Map<string, Loaded[][]>} */
  const all = new Map([...KEYS.map(({ key }) => key), ...FACES].map((key) => [key, []]));
  for (let done = 0; done < rounds; done += LIFE) {
    const some = await life(Math.min(LIFE, rounds - done), count, warmup, quick);
    for (const [key, each] of some) all.get(key)?.push(...each);
  }
  const frameworks = Object.keys(VARIANTS).map((framework) => summary(framework, all));
  return {
    rounds,
    loads: LOADS,
    closeLoads: CLOSE_LOADS,
    requests: count,
    connections: CONNECTIONS,
    bytes: BYTES,
    frameworks,
    targets: frameworks.flatMap(targetsOf),
  };
}

/** @param {string} framework @param {Map<string, Loaded[][]>} all */
function summary(framework, all) {
  const of = (/** @type {string} */ variant, /** @type {Traffic} */ traffic) =>
    all.get(keyOf(framework, variant, traffic)) ?? [];
  const faced = (/** @type {string} */ variant) => {
    const loads = (/** @type {Traffic} */ traffic) =>
      all.get(faceOf(keyOf(framework, variant, traffic))) ?? [];
    const forgedToGood = inTurns(loads('forged'), loads('good'), 'rate');
    return { ...forgedToGood, error: errorOfMedian(forgedToGood, loads('good').flat().length) };
  };
  const variants = VARIANTS[framework]?.map((variant) => {
    const good = of(variant, 'good');
    const hand = of(HAND, 'good');
    return {
      variant,
      rate: rounded(median(good.flat().map(({ rate }) => rate))),
      p99: rounded(median(good.flat().map(({ p99 }) => p99))),
      rateToHand: Object.fromEntries(
        TRAFFIC.map((traffic) => [
          traffic,
          inTurns(of(variant, traffic), of(HAND, traffic), 'rate'),
        ]),
      ),
      p99ToHand: inTurns(good, hand, 'p99'),
      cpuToHand: inTurns(good, hand, 'cpu'),
      rateToGuide: inTurns(good, of(GUIDE, 'good'), 'rate'),
      ...(FACED.includes(variant) && { forgedToGood: faced(variant) }),
    };
  });
  return { framework, variants: variants ?? [] };
}

/** @param {ReturnType<typeof summary>} summary */
function targetsOf({ framework, variants }) {
  const title = TITLES[/** @type {'express'} */ (framework)];
  const of = (/** @type {string} */ name) =>
    /** @type {variants[number]} */ (variants.find(({ variant }) => variant === name));
  return [
    target(`${OURS} ÷ ${HAND}, ${title}`, of(OURS).rateToHand.good?.median ?? 0, '>=', 0.97),
    target(`${OURS_BODY} ÷ ${GUIDE}, ${title}`, of(OURS_BODY).rateToGuide.median, '>=', 1.05),
    ...[OURS, OURS_BODY].map((name) => {
      const { median = 0, error = 0 } = of(name).forgedToGood ?? {};
      return target(`forged ÷ good, ${name}, ${title}`, median, '>=', rounded(1 - error));
    }),
  ];
}

/**
 * The standard error of a median, from the middle half as if it were a normal distribution's.
 *
 * @param {{ q1: number, q3: number }} spread @param {number} count
 */
function errorOfMedian({ q1, q3 }, count) {
  return rounded((1.2533 * (q3 - q1)) / 1.349 / Math.sqrt(count));
}

/** @param {any} result */
export function table({
  rounds,
  loads,
  closeLoads,
  requests: count,
  connections,
  bytes,
  frameworks,
}) {
  const intro = `${rounds} rounds of ${loads} loads for each variant and traffic (${closeLoads} for good traffic by hand and by payproof), of ${count} requests over ${connections} connections, bodies of ${bytes} bytes.`;
  const tables = frameworks.flatMap((/** @type {any} */ { framework, variants }) => {
    const title = TITLES[/** @type {'express'} */ (framework)];
    const { rate, p99 } = variants[0];
    return [
      `**${title}.** The hand-written route answered ${rate} good deliveries a second; p99 ${p99} ms.`,
      markdown(
        [`requests a second ÷ ${HAND}`, ...TRAFFIC],
        variants.map((/** @type {any} */ { variant, rateToHand }) => [
          variant,
          ...TRAFFIC.map((traffic) => cell(rateToHand[traffic])),
        ]),
      ),
      markdown(
        [
          '',
          `p99 ÷ ${HAND}, good`,
          `CPU a request ÷ ${HAND}, good`,
          'requests a second, forged ÷ good',
        ],
        variants.map((/** @type {any} */ { variant, p99ToHand, cpuToHand, forgedToGood }) => [
          variant,
          ...[p99ToHand, cpuToHand].map(cell),
          forgedToGood ? cell(forgedToGood) : '',
        ]),
      ),
    ];
  });
  return [intro, ...tables].join('\n\n');
}
