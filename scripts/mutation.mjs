// @ts-check
// Mutation testing: changes the source in every small way that Stryker knows, and sees whether a test
// fails. `npm run test:mutation`, or `npm run test:mutation -- core` for one area.
//
// A mutant that survives is either killed by a better test or stands in mutation-survivors.json with
// the reason why no test can tell it from the source. A survivor without a reason, and a score below
// the area's bound, end the run with 1. The figures go to docs/mutation.md.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const at = (/** @type {string} */ path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const isOfDiagnosis = (/** @type {string} */ name) => /^(diagnosing|probe)\.ts$/.test(name);
const isEvidence = (/** @type {string} */ name) => name.endsWith('-evidence.ts');

/** @param {string} folder @param {(name: string) => boolean} which */
function sources(folder, which = () => true) {
  const names = readdirSync(at(folder)).filter((name) => name.endsWith('.ts') && which(name));
  return names.map((name) => `${folder}/${name}`);
}

/** `atOnce`: more than there are cores where the tests mostly wait. */
/** @type {Record<string, { files: string[], tests: string, bound: number, atOnce: number, frameworks?: string }>} */
const AREAS = {
  core: {
    files: sources('src/core', (name) => name !== 'diagnosis.ts'),
    tests: 'test/core/*.test.ts,test/verify.test.ts,test/providers/*.test.ts',
    bound: 95,
    atOnce: 2,
  },
  providers: {
    files: sources('src/providers', (name) => !isEvidence(name)),
    tests: 'test/core/{loads,verify}.test.ts,test/verify.test.ts,test/providers/*.test.ts',
    bound: 95,
    atOnce: 2,
  },
  diagnosis: {
    files: [
      'src/core/diagnosis.ts',
      // `texts.ts` holds sentences and nothing that decides.
      ...sources('src/core/diagnosis', (name) => name !== 'texts.ts'),
      ...sources('src/providers', isEvidence),
      ...sources('src/http', isOfDiagnosis),
    ],
    tests:
      'test/core/loads.test.ts,test/diagnosis/*.test.ts,test/testing/{probe,wiring}.test.ts,test/http/{bare,hooks}.test.ts',
    frameworks: 'express5',
    bound: 90,
    atOnce: 4,
  },
  http: {
    files: [...sources('src/http', (name) => !isOfDiagnosis(name)), 'src/express.ts', 'src/koa.ts'],
    tests:
      'test/core/loads.test.ts,test/http/*.test.ts,test/stores/once.test.ts,test/testing/wiring.test.ts,test/diagnosis/broken.test.ts',
    bound: 90,
    atOnce: 5,
  },
  stores: {
    files: ['src/memory.ts', 'src/sqlite.ts', 'src/redis.ts', 'src/postgres.ts'],
    tests:
      'test/core/loads.test.ts,test/stores/{contract,memory,options,postgres,redis,sqlite,once}.test.ts,test/http/dedupe.test.ts',
    frameworks: 'koa3',
    bound: 90,
    atOnce: 5,
  },
};

/** @typedef {{ file: string, line: string, from: string, to: string }} Change */
/** @typedef {Change & { why: string }} Explained */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  // Only reads the reports of the last runs.
  options: { report: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !(name in AREAS));
if (unknown.length > 0) {
  throw new RangeError(`no such area: ${unknown}. Areas: ${Object.keys(AREAS)}`);
}
const names = positionals.length > 0 ? positionals : Object.keys(AREAS);
/** @type {Explained[]} */
const explained = JSON.parse(readFileSync(at('scripts/mutation-survivors.json'), 'utf8'));
const used = new Set();
const rows = [];
let isKept = true;
for (const name of names) {
  if (!values.report) mutate(name);
  rows.push(judge(name));
}
const stale = explained.filter(
  (one) => !used.has(one) && names.some((name) => area(name).files.includes(one.file)),
);
for (const one of stale) console.log(`Explained, but it did not survive: ${place(one)}`);
write(rows);
process.exitCode = isKept ? 0 : 1;

/** @param {string} name */
function mutate(name) {
  const { files, tests, atOnce, frameworks = 'express5,koa3' } = area(name);
  forget(name);
  const { status } = spawnSync(
    process.execPath,
    [at('node_modules/@stryker-mutator/core/bin/stryker.js'), 'run'],
    {
      cwd: at('.'),
      stdio: 'inherit',
      env: {
        ...process.env,
        MUTATION_AREA: name,
        MUTATION_FILES: files.join(' '),
        MUTATION_TESTS: tests,
        MUTATION_AT_ONCE: `${atOnce}`,
        PAYPROOF_REQUIRE_SERVICES: '1',
        FRAMEWORKS: frameworks,
      },
    },
  );
  if (status !== 0) throw new Error(`${name}: Stryker ended with ${status}`);
}

/**
 * Has every survivor tried again: Stryker does not see that a new test may kill a mutant of what runs when
 * a module loads. @param {string} name
 */
function forget(name) {
  const path = at(`reports/mutation/${name}.incremental.json`);
  if (!existsSync(path)) return;
  const report = JSON.parse(readFileSync(path, 'utf8'));
  for (const file of Object.values(report.files)) {
    file.mutants = file.mutants.filter((/** @type {any} */ { status }) => status === 'Killed');
  }
  writeFileSync(path, JSON.stringify(report));
}

/** @param {string} name */
function judge(name) {
  const report = JSON.parse(readFileSync(at(`reports/mutation/${name}.json`), 'utf8'));
  /** @type {Record<string, number>} */
  const count = { Killed: 0, Timeout: 0, Survived: 0, NoCoverage: 0, RuntimeError: 0 };
  /** @type {Change[]} */
  const open = [];
  let equivalent = 0;
  for (const file of area(name).files) {
    const { source, mutants } = report.files[file] ?? { source: '', mutants: [] };
    const lines = source.split('\n');
    for (const { status, replacement, location } of mutants) {
      count[status] = (count[status] ?? 0) + 1;
      if (status !== 'Survived' && status !== 'NoCoverage') continue;
      const survivor = {
        file,
        line: lines[location.start.line - 1].trim(),
        from: cut(lines, location),
        to: replacement,
      };
      const reason = explained.find((one) => isSame(one, survivor));
      if (reason === undefined) open.push(survivor);
      else {
        equivalent++;
        used.add(reason);
      }
    }
  }
  const { Killed = 0, Timeout = 0, Survived = 0, NoCoverage = 0 } = count;
  const detected = Killed + Timeout;
  const score = (100 * detected) / (detected + Survived + NoCoverage);
  for (const survivor of open) console.log(`Survived: ${place(survivor)}`);
  if (score < area(name).bound || open.length > 0) isKept = false;
  const row = { name, Killed, Timeout, Survived, NoCoverage, equivalent, open: open.length, score };
  console.log(JSON.stringify(row));
  return row;
}

/** The text that was replaced. @param {string[]} lines @param {any} location */
function cut(lines, { start, end }) {
  const text = lines.slice(start.line - 1, end.line).join('\n');
  const tail = (lines[end.line - 1] ?? '').length - (end.column - 1);
  return text.slice(start.column - 1, text.length - tail);
}

/** @param {Change} a @param {Change} b */
function isSame(a, b) {
  return a.file === b.file && a.line === b.line && a.from === b.from && a.to === b.to;
}

/** @param {Change} change */
function place({ file, line, from, to }) {
  return JSON.stringify({ file, line, from, to });
}

/** @param {string} name */
function area(name) {
  const found = AREAS[name];
  if (found === undefined) throw new RangeError(`no such area: ${name}`);
  return found;
}

/** @param {ReturnType<typeof judge>[]} done */
function write(done) {
  const page = readFileSync(at('docs/mutation.md'), 'utf8');
  let text = page;
  for (const row of done) {
    const { name, Killed, Timeout, Survived, NoCoverage, equivalent, open, score } = row;
    const cells = [Killed, Timeout, Survived + NoCoverage, equivalent, open];
    const date = new Date().toISOString().slice(0, 10);
    const line = `| ${name} | ${cells.join(' | ')} | ${score.toFixed(1)} % | ${area(name).bound} % | ${date} |`;
    text = text.replace(new RegExp(`^\\| ${name} \\|.*$`, 'm'), () => line);
  }
  if (text !== page) writeFileSync(at('docs/mutation.md'), text);
}
