// @ts-check
// How time and memory grow: with the size of the body up to the limit, the number of secrets, the number
// of providers on a route, the number of connections. Each must be linear or flat. Of every curve the
// exponent is judged (least squares in log-log: 1 is linear, 0 flat), over the upper half of its points:
// there a square would show, and what every delivery costs anyway hides it least. What the engine itself
// does not do in linear time (a text from 128 KB on is allocated in another way) is no growth of ours: by
// size, time is judged as a multiple of the floor's, which must be no greater for long bodies than for short ones.
import { once } from 'node:events';
import { connect } from 'node:net';
import { dexchange, hatexcard, hitpay, verify } from '../dist/index.js';
import { arrived, SECRET } from './deliveries.mjs';
import { floor, formFloor, withSignature } from './floors.mjs';
import { figures, load, start } from './load.mjs';
import { interleave, markdown, median, rounded, spread, target } from './measure.mjs';
import { requests } from './middleware.mjs';
import { chart } from './plot.mjs';

/** So that no collection comes between two readings of the memory in use. */
export const flags = ['--min-semi-space-size=64', '--max-semi-space-size=64'];

const ROUNDS = Number(process.env.BENCH_ROUNDS || 40);
const MAX_EXPONENT = 1.15;
/** Of the multiple of the floor's time. */
const MAX_GROWTH = 1.15;
/** Below it a line has no slope to speak of, and R² says nothing. */
const FLAT = 0.3;
/** Milliseconds of a turn. */
const TURN = 8;
const KB = 1_024;
/** The default `limit`. */
const LIMIT_KB = 256;
const FIXED_SIZE = 512;
const CONNECTIONS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
/** Bytes of each body whose second half is still to come: no larger, or payproof would refuse some of so many. */
const HALF_SENT = 16 * KB;
const VARIANT = 'payproof, dedupe: false';

/** @typedef {{ name: string, xs: number[], ys: import('./measure.mjs').Spread[], exponent: number, r2: number, toFloor?: number }} Curve */
/** @typedef {{ id: string, title: string, x: string, y: string, curves: Curve[] }} Figure */

// ---- What is verified ----------------------------------------------------------------------------

const other = (/** @type {number} */ n) => `${SECRET}-${n}`;
/** The secret that fits is the last of them. @param {number} count */
const secrets = (count) => [...Array.from({ length: count - 1 }, (_, n) => other(n)), SECRET];
/** The provider that judges is the last of them. @param {number} count */
const providers = (count) => [
  ...Array.from({ length: count - 1 }, (_, n) =>
    dexchange({ signature: { header: `x-account-${n}-signature`, secret: SECRET } }),
  ),
  hatexcard({ secret: SECRET }),
];

/** @typedef {{ provider: any, scheme: string, bytes: number }} Case */
/** @typedef {{ scheme: string, run: (delivery: import('./floors.mjs').Signed) => unknown, of: string[] }} Floor */
/** @typedef {{ id: string, title: string, x: string, unit: string, xs: number[], cases: Record<string, (x: number) => Case>, floors?: Record<string, Floor> }} Sweep */

/** @type {Sweep[]} */
const SWEEPS = [
  {
    id: 'size',
    title: 'the size of the body',
    x: 'body, KB',
    unit: '1 KB',
    xs: [1, 2, 4, 8, 16, 32, 64, 128, LIMIT_KB],
    cases: {
      'hatexcard/timestamped': (kb) => ({
        provider: hatexcard({ secret: SECRET }),
        scheme: 'hatexcard/timestamped',
        bytes: kb * KB,
      }),
      'dexchange/token': (kb) => ({
        provider: dexchange({ token: { secret: SECRET } }),
        scheme: 'dexchange/token',
        bytes: kb * KB,
      }),
      'hitpay/form': (kb) => ({
        provider: hitpay({ salt: SECRET }),
        scheme: 'hitpay/form',
        bytes: kb * KB,
      }),
    },
    floors: {
      'floor of JSON': {
        scheme: 'hatexcard/timestamped',
        run: floor,
        of: ['hatexcard/timestamped', 'dexchange/token'],
      },
      'floor of a form': { scheme: 'hitpay/form', run: formFloor, of: ['hitpay/form'] },
    },
  },
  {
    id: 'secrets',
    title: 'the number of secrets',
    x: 'secrets',
    unit: '1 secret',
    xs: [1, 2, 4, 6, 8, 10, 12, 14, 16],
    cases: {
      'hatexcard/timestamped': (count) => ({
        provider: hatexcard({ secret: secrets(count) }),
        scheme: 'hatexcard/timestamped',
        bytes: FIXED_SIZE,
      }),
      'hitpay/form': (count) => ({
        provider: hitpay({ salt: secrets(count) }),
        scheme: 'hitpay/form',
        bytes: FIXED_SIZE,
      }),
    },
  },
  {
    id: 'providers',
    title: 'the number of providers on a route',
    x: 'providers',
    unit: '1 provider',
    xs: [1, 2, 3, 4, 5, 6, 7, 8],
    cases: {
      'the last one judges': (count) => ({
        provider: providers(count),
        scheme: 'hatexcard/timestamped',
        bytes: FIXED_SIZE,
      }),
    },
  },
];

// ---- In this process: time and memory of `verify` ------------------------------------------------

/** Holds the last result, so that nothing of the work can be left out. */
export let last;

/** @param {Sweep} sweep @param {number} rounds @returns {Promise<Figure[]>} */
async function sweepFigures({ id, title, x, unit, xs, cases, floors = {} }, rounds) {
  /** @param {string} name @param {(x: number) => { bytes: number, run: () => unknown }} make */
  const sized = (name, make) =>
    xs.map((value) => {
      const { bytes, run } = make(value);
      const once = () => {
        last = run();
      };
      return /** @type {const} */ ([`${name}/${value}`, { bytes, once, times: 1 }]);
    });
  const variants = new Map([
    ...Object.entries(cases).flatMap(([name, make]) =>
      sized(name, (value) => {
        const { provider, scheme, bytes } = make(value);
        const delivery = arrived(scheme, bytes);
        return { bytes, run: () => verify(provider, delivery) };
      }),
    ),
    ...Object.entries(floors).flatMap(([name, { scheme, run }]) =>
      sized(name, (kb) => {
        const delivery = withSignature(arrived(scheme, kb * KB));
        return { bytes: kb * KB, run: () => run(delivery) };
      }),
    ),
  ]);
  const of = (/** @type {string} */ key) =>
    /** @type {{ bytes: number, once: () => void, times: number }} */ (variants.get(key));
  for (const variant of variants.values()) {
    for (const end = performance.now() + 10 * TURN; performance.now() < end; ) {
      variant.times = Math.max(1, Math.round((TURN * 1_000) / timeOf(variant.once, variant.times)));
    }
  }
  const keys = [...variants.keys()];
  const times = await interleave(keys, rounds, (key) => timeOf(of(key).once, of(key).times));
  const memory = await interleave(keys, Math.ceil(rounds / 4), (key) => memoryOf(of(key)));
  const curves = (/** @type {Map<string, number[]>} */ measured) =>
    Object.keys({ ...cases, ...floors }).map((name) =>
      curve(
        name,
        xs,
        xs.map((value) => measured.get(`${name}/${value}`) ?? []),
      ),
    );
  return [
    {
      id: `${id}-time`,
      title: `Time of verify by ${title}`,
      x,
      y: `time, 1 = ${unit}`,
      curves: besideFloors(curves(times), floors).map(relative),
    },
    {
      id: `${id}-memory`,
      title: `Memory that verify allocates by ${title}`,
      x,
      y: 'KB of heap a delivery',
      curves: curves(memory),
    },
  ];
}

/**
 * Adds what a curve is at most of its floor in the upper half of its points, over that in the lower half.
 *
 * @param {Curve[]} curves @param {Record<string, Floor>} floors @returns {Curve[]}
 */
function besideFloors(curves, floors) {
  return curves.map((one) => {
    const floor = curves.find(({ name }) => floors[name]?.of.includes(one.name));
    if (floor === undefined) return one;
    const ratios = one.ys.map((y, at) => y.median / (floor.ys[at]?.median ?? Number.NaN));
    const half = Math.floor(ratios.length / 2);
    const toFloor = Math.max(...ratios.slice(half)) / Math.max(...ratios.slice(0, half));
    return { ...one, toFloor: rounded(toFloor) };
  });
}

/** Microseconds of a call. @param {() => void} once @param {number} times */
function timeOf(once, times) {
  globalThis.gc?.({ type: 'minor' });
  const began = performance.now();
  for (let i = 0; i < times; i++) once();
  return ((performance.now() - began) * 1_000) / times;
}

/** KB of heap that a call allocates. @param {{ bytes: number, once: () => void }} variant */
function memoryOf({ bytes, once }) {
  const calls = Math.ceil((2 * KB * KB) / (bytes + KB));
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < calls; i++) once();
  return (process.memoryUsage().heapUsed - before) / calls / KB;
}

// ---- Over HTTP: connections ----------------------------------------------------------------------

/** @param {number} rounds @param {number} count @returns {Promise<Figure[]>} */
async function connectionFigures(rounds, count) {
  const names = { express: 'Express 5', koa: 'Koa 3' };
  /** @type {Map<string, import('./load.mjs').Server>} */
  const servers = new Map();
  for (const framework of Object.keys(names)) {
    const server = await start(framework, VARIANT);
    servers.set(framework, server);
    await load(server, requests(VARIANT, 'good', count), 64);
  }
  const keys = [...servers.keys()].flatMap((framework) =>
    CONNECTIONS.map((connections) => `${framework}/${connections}`),
  );
  const measured = await interleave(keys, rounds, async (key) => {
    const [framework = '', connections] = key.split('/');
    const server = /** @type {import('./load.mjs').Server} */ (servers.get(framework));
    const open = Number(connections);
    // At least 16 on each.
    const sent = requests(VARIANT, 'good', Math.max(count, 16 * open));
    const { rate, p99 } = figures([await load(server, sent, open)]);
    return { time: 1 / rate, p99, memory: await memoryInFlight(server, open) };
  });
  for (const server of servers.values()) await server.stop();
  const curves = (/** @type {'time' | 'p99' | 'memory'} */ what) =>
    Object.entries(names).map(([framework, name]) => {
      const all = CONNECTIONS.map((connections) =>
        (measured.get(`${framework}/${connections}`) ?? []).map((one) => one[what]),
      );
      return curve(name, CONNECTIONS, all);
    });
  const x = 'connections';
  return [
    {
      id: 'connections-time',
      title: 'Time of a request by the number of connections',
      x,
      y: 'time, 1 = 1 connection',
      curves: curves('time').map(relative),
    },
    {
      id: 'connections-p99',
      title: 'p99 by the number of connections, all of them busy',
      x,
      y: 'p99, 1 = 1 connection',
      curves: curves('p99').map(relative),
    },
    {
      id: 'connections-memory',
      title: 'Memory by the number of connections, half of 16 KB sent on each',
      x,
      y: 'MB in use',
      curves: curves('memory'),
    },
  ];
}

/**
 * MB that a server holds while so many bodies are half there.
 *
 * @param {import('./load.mjs').Server} server
 * @param {number} connections
 */
async function memoryInFlight(server, connections) {
  // Twice: what the load before left is not all gone after one collection.
  await server.used('memory');
  const before = await server.used('memory');
  const { headers, body } = arrived('hatexcard/timestamped', HALF_SENT);
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect(server.port, '127.0.0.1').on('error', () => {});
      await once(socket, 'connect');
      socket.write(`POST /webhook HTTP/1.1\r\n${head.join('')}\r\n`);
      socket.write(body.subarray(0, HALF_SENT / 2));
      return socket;
    }),
  );
  // The bytes are in the server once it has been idle for a moment.
  await new Promise((resolve) => setTimeout(resolve, 50 + connections / 2));
  const memory = await server.used('memory');
  await Promise.all(
    sockets.map(async (socket) => {
      socket.end(body.subarray(HALF_SENT / 2));
      const [answer] = await once(socket, 'data');
      if (!String(answer).startsWith('HTTP/1.1 200 ')) throw new Error(String(answer));
      socket.destroy();
    }),
  );
  return (memory - before) / KB / KB;
}

// ---- The fit -------------------------------------------------------------------------------------

/** @param {string} name @param {number[]} xs @param {number[][]} all @returns {Curve} */
function curve(name, xs, all) {
  const middles = all.map((values) => Math.max(median(values), Number.EPSILON));
  const half = Math.floor(xs.length / 2);
  const upper = (/** @type {number[]} */ list) => list.slice(half).map(Math.log);
  return {
    name,
    xs,
    ys: all.map(spread),
    exponent: rounded(fit(upper(xs), upper(middles)).slope),
    r2: rounded(fit(xs, middles).r2),
  };
}

/** Least squares of a straight line. @param {readonly number[]} xs @param {readonly number[]} ys */
function fit(xs, ys) {
  const mean = (/** @type {readonly number[]} */ list) =>
    list.reduce((a, b) => a + b) / list.length;
  const [x, y] = [mean(xs), mean(ys)];
  const sum = (/** @type {(at: number) => number} */ of) =>
    xs.reduce((all, _, at) => all + of(at), 0);
  const dx = (/** @type {number} */ at) => (xs[at] ?? 0) - x;
  const dy = (/** @type {number} */ at) => (ys[at] ?? 0) - y;
  const xy = sum((at) => dx(at) * dy(at));
  const [xx, yy] = [sum((at) => dx(at) ** 2), sum((at) => dy(at) ** 2)];
  return { slope: xy / xx, r2: yy === 0 ? 1 : xy ** 2 / (xx * yy) };
}

/** The same curve with its first median as 1. @param {Curve} curve @returns {Curve} */
function relative(curve) {
  const unit = curve.ys[0]?.median ?? 1;
  const over = (/** @type {number} */ value) => rounded(value / unit);
  return {
    ...curve,
    ys: curve.ys.map(({ min, q1, median: middle, q3, max }) => ({
      min: over(min),
      q1: over(q1),
      median: over(middle),
      q3: over(q3),
      max: over(max),
    })),
  };
}

// ---- The part ------------------------------------------------------------------------------------

/** @param {{ quick?: boolean }} options */
export async function run({ quick = false }) {
  const rounds = quick ? 3 : ROUNDS;
  /** @type {Figure[]} */
  const figures = [];
  for (const sweep of SWEEPS) figures.push(...(await sweepFigures(sweep, rounds)));
  figures.push(...(await connectionFigures(quick ? 2 : ROUNDS / 4, quick ? 600 : 2_048)));
  return {
    rounds,
    figures,
    targets: figures.flatMap(({ title, curves }) =>
      curves
        .filter(({ name }) => !name.startsWith('floor'))
        .map(({ name, exponent, toFloor }) =>
          toFloor === undefined
            ? target(`${title}, ${name}: exponent`, exponent, '<=', MAX_EXPONENT)
            : target(`${title}, ${name}: ÷ floor, long ÷ short`, toFloor, '<=', MAX_GROWTH),
        ),
    ),
  };
}

/** @param {any} result */
export function table({ rounds, figures }) {
  const rows = figures.flatMap((/** @type {Figure} */ { title, x, curves }) =>
    curves.map(({ name, xs, ys, exponent, r2 }) => {
      const [from, to] = [ys[0]?.median ?? 0, ys.at(-1)?.median ?? 0];
      return [
        `${title}: ${name}`,
        `${xs[0]} to ${xs.at(-1)} ${x.split(', ').at(-1)}`,
        from > 0 ? `× ${(to / from).toFixed(2)}` : '',
        exponent.toFixed(2),
        exponent < FLAT ? 'flat' : r2.toFixed(3),
      ];
    }),
  );
  const images = figures.map(
    (/** @type {Figure} */ { id, title }) => `![${title}](plots/growth-${id}.svg)`,
  );
  return [
    `${rounds} rounds; the points are medians.`,
    markdown(['', 'from, to', 'grows', 'exponent', 'R² of a line'], rows),
    images.join('\n'),
  ].join('\n\n');
}

/** @param {any} result */
export function plots({ figures }) {
  return Object.fromEntries(
    figures.map((/** @type {Figure} */ { id, title, x, y, curves }) => [
      `growth-${id}.svg`,
      chart({
        title,
        x,
        y,
        series: curves.map(({ name, xs, ys }) => ({
          name,
          points: ys.map((one, at) => ({
            x: xs[at] ?? 0,
            y: one.median,
            low: one.q1,
            high: one.q3,
          })),
        })),
      }),
    ]),
  );
}
