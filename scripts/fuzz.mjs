// The long run of the fuzzing in `test/fuzz`: a million inputs for each decoder, a hundred thousand
// malformed HTTP requests for each framework. `npm test` runs the same with less. Ends with 1 on any
// fault.
//
//   [SEED=2026] [FUZZ_INPUTS=1000000] [FUZZ_REQUESTS=100000] node scripts/fuzz.mjs
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const VITEST = join(
  dirname(createRequire(import.meta.url).resolve('vitest/package.json')),
  'vitest.mjs',
);
const AMOUNTS = { SEED: '2026', FUZZ_INPUTS: '1000000', FUZZ_REQUESTS: '100000' };

const folder = mkdtempSync(join(tmpdir(), 'payproof-fuzz-'));
try {
  const record = join(folder, 'record.jsonl');
  const started = performance.now();
  const args = [VITEST, 'run', 'test/fuzz', '--silent=passed-only'];
  const env = { ...AMOUNTS, ...process.env, FUZZ_RECORD: record };
  const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: 'inherit' });
  const [status] = await once(child, 'exit');
  const rows = recorded(record);
  print(rows, (performance.now() - started) / 1000);
  process.exitCode = status === 0 && rows.length > 0 ? 0 : 1;
  console.log(process.exitCode === 0 ? 'no fault' : 'FAULTS: see above');
} finally {
  rmSync(folder, { recursive: true });
}

/** What each test said of itself; none if it did not come so far. */
function recorded(file) {
  try {
    return readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  } catch {
    return [];
  }
}

function print(rows, seconds) {
  const width = Math.max(...rows.map(({ what }) => what.length), 4);
  for (const { what, counts, seconds: taken } of rows) {
    const parts = Object.entries(counts).map(([name, count]) => `${grouped(count)} ${name}`);
    console.log(`${what.padEnd(width)} | ${`${taken} s`.padStart(8)} | ${parts.join(', ')}`);
  }
  const sum = (name) => grouped(rows.reduce((all, { counts }) => all + (counts[name] ?? 0), 0));
  const [{ seed } = {}] = rows;
  console.log(`inputs: ${sum('inputs')}; malformed requests: ${sum('malformed requests')}`);
  console.log(`seed ${seed}, Node ${process.versions.node}, ${Math.round(seconds)} s`);
}

function grouped(number) {
  return number.toLocaleString('en-US');
}
