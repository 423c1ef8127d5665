// @ts-check
// What hostile requests cost: so many at once, none of which ever ends its body, while a good client is
// served. The server, the attackers and the good client are processes of their own (`hostile-server.mjs`,
// `hostile-clients.mjs`), and every attack has a fresh server. Times are taken on both sides: the clients'
// contain what their own process waits for while it sends.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { interleave, markdown, median, quantile, rounded, target } from './measure.mjs';

const ROUNDS = Number(process.env.BENCH_ROUNDS || 5);
const ATTACKERS = Number(process.env.BENCH_ATTACKERS || 1_000);
const MB = 1_024 * 1_024;
/** Milliseconds; the middleware's default would only make the run longer. */
const BODY_TIMEOUT = 2_000;
/** How long the good client is alone, in milliseconds: to get warm, and then to be measured. */
const ALONE = 1_500;
/** How long after the last answer the server still notes which connections are closed. */
const AFTER = 1_500;
const FRAMEWORKS = { express: 'Express 5', koa: 'Koa 3' };
/**
 * By when every attacker is answered or closed, in milliseconds. Who stays within the limits has the time of
 * `bodyTimeout`.
 */
const ENDS = { endless: 2_000, hoarding: BODY_TIMEOUT + 1_000, stalled: BODY_TIMEOUT + 1_000 };
/** MB, and milliseconds of the good client. */
const MOST = { memory: 64, p99: 50 };

/** @typedef {'endless' | 'hoarding' | 'stalled'} Attack */
/** @typedef {{ number: number, began: number, status: number | null, answered: number | null, closed: number | null }} Seen */
const NOTHING = { answered: null, closed: null };

// ---- One attack ----------------------------------------------------------------------------------

/** @param {string} file @param {string[]} args */
async function start(file, args) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    execArgv: ['--expose-gc'],
    env: { ...process.env, NODE_ENV: 'production', NODE_NO_WARNINGS: '1' },
  });
  child.once('exit', (code) => {
    if (code) throw new Error(`${file} ${args[0]} ended with ${code}`);
  });
  const [ready] = await once(child, 'message');
  return {
    ready,
    tell: (/** @type {string} */ what) => void child.send(what),
    /** @param {string} [what] @returns {Promise<any>} */
    async ask(what) {
      if (what) child.send(what);
      return (await once(child, 'message'))[0];
    },
    async stop() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

/** @param {string} framework @param {Attack} attack @param {number} count */
async function attacked(framework, attack, count) {
  const server = await start('hostile-server.mjs', [framework, `${BODY_TIMEOUT}`]);
  const port = `${server.ready}`;
  const good = await start('hostile-clients.mjs', ['good', port]);
  const bad = await start('hostile-clients.mjs', [attack, port, `${count}`]);
  /** @param {Promise<any>} what @returns {Promise<{ waits: number[], wrong: number }>} */
  const during = async (what) => {
    good.tell('begin');
    await what;
    return good.ask('end');
  };
  try {
    await during(sleep(ALONE));
    await server.ask('begin');
    const alone = await during(sleep(ALONE));
    const { resident: before } = await server.ask('end');
    await server.ask('begin');
    await bad.ask('connect');
    while ((await server.ask('accepted')) < count) await sleep(20);
    const attacking = bad.ask('go');
    const meanwhile = await during(attacking);
    /** @type {Seen[]} */
    const theirs = await attacking;
    await sleep(AFTER);
    const { attackers, resident, cpu } = await server.ask('end');
    /** @type {Map<number, { answered: number | null, closed: number | null }>} */
    const noted = new Map(attackers);
    const ours = theirs.map((seen) => ({ ...seen, ...(noted.get(seen.number) ?? NOTHING) }));
    const base = median(before);
    return {
      statuses: theirs.map(({ status }) => status ?? 'none'),
      server: ended(ours),
      client: ended(theirs),
      memory: (Math.max(...resident) - base) / MB,
      left: (resident.at(-1) - base) / MB,
      cpu,
      alone: quantile(alone.waits, 0.99),
      p50: median(meanwhile.waits),
      p99: quantile(meanwhile.waits, 0.99),
      max: Math.max(...meanwhile.waits),
      wrong: meanwhile.wrong,
      served: meanwhile.waits.length,
    };
  } finally {
    await Promise.all([good.stop(), bad.stop()]);
    await server.stop();
  }
}

/** When they were answered or closed, whichever came first; and when closed. @param {Seen[]} attackers */
function ended(attackers) {
  const never = Number.POSITIVE_INFINITY;
  const ends = attackers.map(
    ({ began, answered, closed }) => (answered ?? closed ?? never) - began,
  );
  return {
    p50: median(ends),
    p99: quantile(ends, 0.99),
    max: Math.max(...ends),
    closed: Math.max(...attackers.map(({ began, closed }) => (closed ?? never) - began)),
  };
}

/** @param {readonly (string | number)[]} values @returns {Record<string, number>} */
function counts(values) {
  /** @type {Record<string, number>} */
  const all = {};
  for (const value of values) all[value] = (all[value] ?? 0) + 1;
  return all;
}

// ---- The part ------------------------------------------------------------------------------------

const ATTACKS = /** @type {Attack[]} */ (Object.keys(ENDS));
/** @typedef {Awaited<ReturnType<typeof attacked>>} Round */

/** @param {{ quick?: boolean }} options */
export async function run({ quick = false }) {
  const [rounds, attackers] = quick ? [1, 100] : [ROUNDS, ATTACKERS];
  const keys = Object.keys(FRAMEWORKS).flatMap((framework) =>
    ATTACKS.map((attack) => `${framework}/${attack}`),
  );
  const measured = await interleave(keys, rounds, (key) => {
    const [framework = '', attack] = key.split('/');
    return attacked(framework, /** @type {Attack} */ (attack), attackers);
  });
  const cases = keys.map((key) => summary(key, measured.get(key) ?? []));
  return { rounds, attackers, cases, targets: cases.flatMap(targetsOf) };
}

/** The worst round of every figure, and the middle one of those that are judged. */
/** @param {string} key @param {Round[]} rounds */
function summary(key, rounds) {
  const [framework = '', attack = ''] = key.split('/');
  const figure = (/** @type {(round: Round) => number} */ of) => {
    const values = rounds.map(of);
    return { median: rounded(median(values)), worst: rounded(Math.max(...values)) };
  };
  return {
    framework: FRAMEWORKS[/** @type {keyof typeof FRAMEWORKS} */ (framework)],
    attack: /** @type {Attack} */ (attack),
    statuses: counts(rounds.flatMap((round) => round.statuses)),
    ended: figure(({ server }) => server.max),
    endedSeen: figure(({ client }) => client.max),
    closed: figure(({ server }) => server.closed),
    memory: figure(({ memory }) => memory),
    cpu: figure(({ cpu }) => cpu),
    p50: figure(({ p50 }) => p50),
    p99: figure(({ p99 }) => p99),
    max: figure(({ max }) => max),
    alone: figure(({ alone }) => alone),
    served: rounds.reduce((sum, { served }) => sum + served, 0),
    wrong: rounds.reduce((sum, { wrong }) => sum + wrong, 0),
  };
}

/** @param {ReturnType<typeof summary>} summary */
function targetsOf({ framework, attack, ended, endedSeen, memory, p99, wrong }) {
  const name = `${attack}, ${framework}`;
  return [
    target(`${name}: last one answered or closed, ms`, ended.median, '<=', ENDS[attack]),
    target(`${name}: the same as the attackers see it, ms`, endedSeen.median, '<=', ENDS[attack]),
    target(`${name}: memory, MB`, memory.median, '<=', MOST.memory),
    target(`${name}: p99 of the good client, ms`, p99.median, '<=', MOST.p99),
    target(`${name}: good deliveries without a 200`, wrong, '<=', 0),
  ];
}

/** @param {any} result */
export function table({ rounds, attackers, cases }) {
  const of = (/** @type {{ median: number, worst: number }} */ { median: middle, worst }) =>
    `${middle.toFixed(0)} (${worst.toFixed(0)})`;
  const precise = (/** @type {{ median: number, worst: number }} */ { median: middle, worst }) =>
    `${middle.toFixed(1)} (${worst.toFixed(1)})`;
  const name = (/** @type {any} */ { attack, framework }) => `${attack}, ${framework}`;
  const told = (/** @type {Record<string, number>} */ statuses) =>
    Object.entries(statuses)
      .map(([status, count]) => `${status}: ${count}`)
      .join(', ');
  return [
    `${rounds} rounds of ${attackers} attackers at once, \`bodyTimeout\` ${BODY_TIMEOUT} ms. The median of the rounds (the worst).`,
    markdown(
      [
        'attackers',
        'answers',
        'last answered or closed, ms',
        'as they see it, ms',
        'last connection gone, ms',
        'memory, MB more',
        'CPU of the server, ms',
      ],
      cases.map((/** @type {any} */ one) => [
        name(one),
        told(one.statuses),
        of(one.ended),
        of(one.endedSeen),
        of(one.closed),
        of(one.memory),
        of(one.cpu),
      ]),
    ),
    markdown(
      ['the good client', 'p50, ms', 'p99, ms', 'longest, ms', 'p99 alone, ms', 'served'],
      cases.map((/** @type {any} */ one) => [
        name(one),
        precise(one.p50),
        precise(one.p99),
        precise(one.max),
        precise(one.alone),
        one.served,
      ]),
    ),
  ].join('\n\n');
}
