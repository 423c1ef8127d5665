// @ts-check
// Shows that the tests fail on every faulty version of test/wrong/verifiers.mjs: `npm run test:wrong`,
// or with a part of a name behind `--` for some of them. Works on a copy of the sources.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WRONG } from '../test/wrong/verifiers.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const COPIED = ['src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'];

/** @typedef {import('../test/wrong/verifiers.mjs').Wrong} Wrong */

const [part = ''] = process.argv.slice(2);
const chosen = WRONG.filter(({ name }) => name.includes(part));
if (chosen.length === 0) throw new RangeError(`no faulty version has "${part}" in its name`);

const folders = Array.from({ length: Math.min(2, availableParallelism()) }, copy);
try {
  process.exitCode = (await main()) ? 0 : 1;
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

async function main() {
  // A test that fails on the source as it is would prove nothing.
  const [first = ''] = folders;
  const right = await failures(first, [...new Set(chosen.map(({ tests }) => tests))]);
  if (right.length > 0) {
    console.log(`The source as it is fails: ${right.join(', ')}`);
    return false;
  }
  const waiting = [...chosen];
  /** @type {string[]} */
  const missed = [];
  await Promise.all(
    folders.map(async (folder) => {
      for (let wrong = waiting.shift(); wrong; wrong = waiting.shift()) {
        const [failed] = await judge(folder, wrong);
        console.log(failed ? `caught  ${wrong.name}\n        ${failed}` : `MISSED  ${wrong.name}`);
        if (!failed) missed.push(wrong.name);
      }
    }),
  );
  console.log(`\n${chosen.length - missed.length} of ${chosen.length} faulty versions are caught.`);
  return missed.length === 0;
}

function copy() {
  const folder = mkdtempSync(join(tmpdir(), 'payproof-wrong-'));
  for (const name of COPIED) cpSync(join(root, name), join(folder, name), { recursive: true });
  for (const name of ['node_modules', 'dist']) {
    symlinkSync(join(root, name), join(folder, name), 'dir');
  }
  return folder;
}

/** @param {string} folder @param {Wrong} wrong */
async function judge(folder, { edits, tests }) {
  const files = [...new Set(edits.map(([file]) => file))];
  for (const file of files) {
    let source = readFileSync(join(root, file), 'utf8');
    for (const [at, find, replace] of edits) {
      if (at === file) source = source.replace(find, () => replace);
    }
    writeFileSync(join(folder, file), source);
  }
  try {
    return await failures(folder, [tests]);
  } finally {
    for (const file of files) cpSync(join(root, file), join(folder, file));
  }
}

/**
 * The tests that failed. A file that does not even load has none: a change that breaks the source proves
 * nothing of the tests.
 *
 * @param {string} folder @param {string[]} tests @returns {Promise<string[]>}
 */
async function failures(folder, tests) {
  const first = await run(folder, tests, '--bail=1');
  // A run that was cut short can lose the name of the test that did it.
  const { failed } = first.isGreen || first.failed.length > 0 ? first : await run(folder, tests);
  return failed;
}

/** @param {string} folder @param {string[]} tests @param {string[]} flags */
async function run(folder, tests, ...flags) {
  const report = join(folder, 'report.json');
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const args = ['run', ...tests, ...flags, '--retry=0', '--reporter=json'];
  const running = spawn(process.execPath, [vitest, ...args, `--outputFile=${report}`], {
    cwd: folder,
    stdio: 'ignore',
    env: { ...process.env, PAYPROOF_REQUIRE_SERVICES: '1' },
  });
  const [code] = await once(running, 'close');
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
  rmSync(report);
  /** @type {any[]} */
  const results = testResults.flatMap((/** @type {any} */ file) => file.assertionResults);
  if (results.length === 0) throw new Error(`${tests}: no test ran`);
  const failed = results.filter(({ status }) => status === 'failed');
  return { isGreen: code === 0, failed: failed.map(({ fullName }) => fullName) };
}
