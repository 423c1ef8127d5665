// @ts-check
// Whether the time of a comparison tells where the first difference is: `npm run test:timing`.
//
// The method is that of dudect (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2016):
// inputs of two classes in random order, each timed; slow outliers are cropped at several percentiles;
// Welch's t between the classes. Above 4.5 the times of the two classes differ. Here the classes are
// proofs that are wrong in their first byte, and proofs that are wrong in their last byte only.
//
// `===` on the same texts stands beside it as the control: a method that finds nothing there finds
// nothing anywhere. Ends with 1 if payproof shows a difference, or if the control shows none.
import { createHmac, randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  hexSignature,
  keyring,
  signingKey,
  signingKeyOfText,
  tokenKey,
} from '../dist/core/secrets.js';

const SAMPLES = Number(process.env.TIMING_SAMPLES ?? 200_000);
/** Above this, dudect calls the difference certain. */
const THRESHOLD = 4.5;
/** Where outliers are cropped: at no percentile, and at these. */
const CROPS = [1, 0.99, 0.95, 0.9, 0.75, 0.5];
/** A chance or a bad moment of the machine does not come thrice with the same sign. */
const RUNS = 3;

// Begins and ends with a letter: see `wrongAt`.
const secret = 'secret-of-the-0123456789-timing-test';
const keys = keyring('secret', secret);
const body = Buffer.from('{"event":"payment.success","amount":1500}');
const now = new Date();
const mac = createHmac('sha256', secret).update(body).digest();
const hex = mac.toString('hex');

/**
 * A text that is wrong at one place. A new one each time, so that neither class has its place in memory. A letter
 * stays a letter and a digit a digit, since whoever reads hex goes another way for each: the classes would
 * differ in what stands there, and not only in where. For the same reason both places have a letter, or both a
 * digit: with lists of 25 and of 9 others to choose from, the times differed by what was allocated before.
 *
 * @param {string} right @param {number} at @param {string} digits
 */
function wrongAt(right, at, digits) {
  const bytes = Buffer.from(right, 'latin1');
  const isLetter = (/** @type {string | undefined} */ one = '') => one > '9';
  const others = [...digits].filter(
    (digit) => digit !== right[at] && isLetter(digit) === isLetter(right[at]),
  );
  bytes[at] = /** @type {string} */ (others[randomInt(others.length)]).charCodeAt(0);
  return bytes.toString('latin1');
}

const HEX = '0123456789abcdef';
const ALPHANUMERIC = 'abcdefghijklmnopqrstuvwxyz0123456789';
const token = mac.toString('base64url');

/**
 * @typedef {object} Subject
 * @property {string} name
 * @property {number} batch calls in one sample: enough for the clock, few enough for the signal
 * @property {boolean} isControl
 * @property {(kind: 0 | 1) => string} wrong a wrong proof: 0 differs first, 1 differs last
 * @property {(proof: string) => unknown} compare
 */

/** @type {Subject[]} */
const SUBJECTS = [
  {
    name: '`===` on hex signatures (control)',
    batch: 400,
    isControl: true,
    wrong: (kind) => wrongAt(hex, kind === 0 ? 0 : 63, HEX),
    compare: (proof) => proof === hex,
  },
  {
    name: '`===` on bearer tokens (control)',
    batch: 400,
    isControl: true,
    wrong: (kind) => wrongAt(secret, kind === 0 ? 0 : secret.length - 1, ALPHANUMERIC),
    compare: (proof) => proof === secret,
  },
  {
    name: 'hex signature: `hexSignature`, `signingKey`',
    batch: 4,
    isControl: false,
    wrong: (kind) => wrongAt(hex, kind === 0 ? 0 : 63, HEX),
    compare: (proof) => signingKey(keys, hexSignature(proof), now, body),
  },
  {
    name: 'token of a callback URL: `signingKeyOfText`',
    batch: 4,
    isControl: false,
    wrong: (kind) => wrongAt(token, kind === 0 ? 0 : token.length - 1, ALPHANUMERIC),
    compare: (proof) => signingKeyOfText(keys, proof, now, body),
  },
  {
    name: 'bearer token: `tokenKey`',
    batch: 4,
    isControl: false,
    wrong: (kind) => wrongAt(secret, kind === 0 ? 0 : secret.length - 1, ALPHANUMERIC),
    compare: (proof) => tokenKey(keys, proof, now),
  },
];

const report = SUBJECTS.map((subject) => {
  const runs = Array.from({ length: RUNS }, () => measure(subject));
  const ts = runs.map(largestT);
  const differs = ts.every((t) => Math.abs(t) > THRESHOLD && t * (ts[0] ?? 0) > 0);
  const shown = ts.map((t) => t.toFixed(1)).join(', ');
  const [first, last] = runs[0]?.map((times) => median(times) / subject.batch) ?? [];
  const ns = `${first?.toFixed(1)} / ${last?.toFixed(1)}`;
  console.log(`${subject.name}: ${ns} ns, t ${shown}: ${differs ? 'DIFFERS' : 'no difference'}`);
  return { ...subject, shown, differs, ns };
});
write();
process.exitCode = report.every(({ differs, isControl }) => differs === isControl) ? 0 : 1;

/** Nanoseconds of each sample, by class. @param {Subject} subject */
function measure({ batch, wrong, compare }) {
  /** @type {[number[], number[]]} */
  const times = [[], []];
  let sink = 0;
  for (let n = 0; n < 2 * SAMPLES + 20_000; n++) {
    const kind = /** @type {0 | 1} */ (randomInt(2));
    const proof = wrong(kind);
    const start = process.hrtime.bigint();
    for (let i = 0; i < batch; i++) if (compare(proof)) sink++;
    const time = Number(process.hrtime.bigint() - start);
    // The first ones are for the compiler.
    if (n >= 20_000) times[kind].push(time);
  }
  if (sink > 0) throw new Error('a wrong proof was accepted');
  return times;
}

/** The largest t over all crops, with its sign. @param {[number[], number[]]} times */
function largestT([first, last]) {
  const all = Float64Array.from([...first, ...last]).sort();
  let largest = 0;
  for (const crop of CROPS) {
    const bound = all[Math.ceil(all.length * crop) - 1] ?? Infinity;
    const t = welch(
      first.filter((time) => time <= bound),
      last.filter((time) => time <= bound),
    );
    if (Math.abs(t) > Math.abs(largest)) largest = t;
  }
  return largest;
}

/** Welch's t of two samples: above 0 if `b` is larger. @param {number[]} a @param {number[]} b */
function welch(a, b) {
  const [x, y] = [moments(a), moments(b)];
  return (y.mean - x.mean) / Math.sqrt(x.variance / a.length + y.variance / b.length);
}

/** @param {number[]} list */
function moments(list) {
  const mean = list.reduce((sum, one) => sum + one, 0) / list.length;
  const variance = list.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (list.length - 1);
  return { mean, variance };
}

/** @param {number[]} times */
function median(times) {
  return Float64Array.from(times).sort()[times.length >> 1] ?? Number.NaN;
}

/** Puts the figures into docs/timing.md. */
function write() {
  const page = fileURLToPath(new URL('../docs/timing.md', import.meta.url));
  const date = new Date().toISOString().slice(0, 10);
  const rows = report.map(
    ({ name, ns, shown, differs }) => `| ${name} | ${ns} | ${shown} | ${differs ? 'yes' : 'no'} |`,
  );
  const table = [
    `${date}, Node ${process.version}, ${SAMPLES} samples of each class in each of ${RUNS} runs.`,
    '',
    '| what is compared | ns, wrong first / last (median) | largest t of each run | depends on the place |',
    '|---|--:|--:|---|',
    ...rows,
  ].join('\n');
  const text = readFileSync(page, 'utf8');
  const [before] = text.split('<!-- figures -->');
  writeFileSync(page, `${before}<!-- figures -->\n\n${table}\n`);
}
