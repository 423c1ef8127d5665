// @ts-check
// Runs the parts, each in a process of its own: `npm run bench`, or `npm run bench -- core growth`.
//
// A part is a module `<part>.mjs` that exports
//   run(options)    async; gives the figures as JSON. `options.quick`: only show that it works.
//                   `targets` in it is a list of `target(...)` (measure.mjs); `{ skipped: 'why' }` in
//                   place of figures says that something it needs is not there.
//   table(result)   the figures in Markdown
//   plots(result)   optional: `{ 'name.svg': svg }`
//   flags           optional: flags of Node that it needs
//
// Writes results/<part>.json, plots/*.svg and the part's section of README.md; with `--quick` nothing.
// Ends with 1 if a target is not kept.
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { circumstances, targetTable } from './measure.mjs';

const PARTS = ['core', 'middleware', 'growth', 'hostile', 'stores'];
const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, child: { type: 'boolean' } },
});
const { quick, child } = values;

if (child) {
  const part = await import(`./${positionals[0]}.mjs`);
  const result = await part.run({ quick });
  process.send?.(result, () => process.exit());
} else {
  await main();
}

async function main() {
  const unknown = positionals.filter((part) => !PARTS.includes(part));
  if (unknown.length > 0) throw new RangeError(`no such part: ${unknown}. Parts: ${PARTS}`);
  install();
  /** @type {string[]} */
  const missed = [];
  for (const part of positionals.length > 0 ? positionals : PARTS) {
    if (!existsSync(at(`${part}.mjs`))) continue;
    const module = await import(`./${part}.mjs`);
    console.log(`\n## ${part}\n`);
    const result = { part, ...circumstances(), ...(await runChild(part, module.flags ?? [])) };
    if (result.skipped) {
      console.log(`skipped: ${result.skipped}`);
      continue;
    }
    const text = report(result, module.table(result));
    console.log(text);
    missed.push(...result.targets.filter((/** @type {any} */ { kept }) => !kept).map(nameOf));
    if (!quick) write(result, text, module.plots?.(result) ?? {});
  }
  if (missed.length > 0) {
    console.error(`\nNOT KEPT:\n${missed.map((name) => `- ${name}`).join('\n')}`);
    process.exitCode = 1;
  }
}

/** @param {{ name: string }} target */
function nameOf({ name }) {
  return name;
}

/** The peers, where they are not there or the lock is newer. */
function install() {
  const done = at('node_modules/.package-lock.json');
  if (existsSync(done) && statSync(done).mtimeMs >= statSync(at('package-lock.json')).mtimeMs) {
    return;
  }
  execFileSync('npm', ['ci', '--prefix', at('.')], { stdio: 'inherit' });
}

/** @param {string} part @param {string[]} flags @returns {Promise<any>} */
async function runChild(part, flags) {
  const args = ['--child', part, ...(quick ? ['--quick'] : [])];
  const running = fork(at('bench.mjs'), args, { execArgv: ['--expose-gc', ...flags] });
  /** @type {any} */
  let result;
  running.on('message', (message) => {
    result = message;
  });
  const [code] = await once(running, 'exit');
  if (code !== 0 || result === undefined) throw new Error(`${part}: ended with ${code}`);
  return result;
}

/** @param {any} result @param {string} table */
function report({ date, node, machine, targets }, table) {
  const kept = targets.length > 0 ? [targetTable(targets)] : [];
  return [`${date}, Node ${node}, ${machine}.`, table, ...kept].join('\n\n');
}

/** @param {any} result @param {string} text @param {Record<string, string>} plots */
function write(result, text, plots) {
  for (const folder of ['results', 'plots']) mkdirSync(at(folder), { recursive: true });
  writeFileSync(at(`results/${result.part}.json`), JSON.stringify(result, null, 2));
  const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome');
  execFileSync(process.execPath, [biome, 'format', '--write', at('results')], { stdio: 'ignore' });
  for (const [name, svg] of Object.entries(plots)) writeFileSync(at(`plots/${name}`), svg);
  const [begin, end] = [`<!-- figures: ${result.part} -->`, `<!-- end: ${result.part} -->`];
  const readme = readFileSync(at('README.md'), 'utf8');
  const [before, rest] = readme.split(begin);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`README.md: no section between ${begin} and ${end}`);
  writeFileSync(at('README.md'), `${before}${begin}\n\n${text}\n\n${end}${after}`);
}
