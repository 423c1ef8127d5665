// Tries the packed package with every version of Node.js, Express, Koa and TypeScript that it claims,
// each installed with npm into a project of its own, and writes the outcome to docs/versions.md.
// Takes some minutes and the npm registry, so `npm test` leaves it out: `npm run test:versions`.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE = ['20', '22', '24', '26'];
const FRAMEWORKS = [
  { express: '4', koa: '2' },
  { express: '4', koa: '3' },
  { express: '5', koa: '2' },
  { express: '5', koa: '3' },
];
const FORMATS = { ESM: 'esm.mjs', CommonJS: 'cjs.cjs' };
const TYPESCRIPT = ['~5.5.0', '~5.9.0', '~6.0.0', '~7.0.0'];
const CONSUMERS = { Express: ['core', 'express'], Koa: ['core', 'koa'] };
const KINDS = { ESM: 'mts', CommonJS: 'cts' };
const STRICT = {
  target: 'ES2022',
  lib: ['ES2023'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  noEmit: true,
};

const root = fileURLToPath(new URL('..', import.meta.url));
const temporary = mkdtempSync(join(tmpdir(), 'payproof-versions-'));
const failures = [];

try {
  main();
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

function main() {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', temporary];
  const tarball = join(temporary, execFileSync('npm', pack, { cwd: root }).toString().trim());

  const runtime = tryRuntimes(tarball);
  const types = tryTypes(tarball);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const date = new Date().toISOString().slice(0, 10);

  console.log(`\n${runtime}\n\n${types}\n`);
  for (const { what, output } of failures) console.error(`FAILED: ${what}\n${output}\n`);
  writeFileSync(
    join(root, 'docs/versions.md'),
    `# Versions

payproof ${version} on ${date}, as \`npm run test:versions\` found it. It packs the package, installs it with npm into new projects and tries it there. \`npm test\` does not run it.

## At run time

Each cell: the recorded deliveries of \`test/vectors\` through \`verify\`, then a true and an altered delivery to a real server of each framework. Once as ESM, once as CommonJS.

${runtime}

## In TypeScript

Each cell: the strict projects of \`test/types/consumers\` compile, with \`exactOptionalPropertyTypes\`, \`noUncheckedIndexedAccess\` and without \`skipLibCheck\`.

${types}
`,
  );
  if (failures.length > 0) process.exitCode = 1;
}

/** @returns the table of Node.js versions against frameworks */
function tryRuntimes(tarball) {
  const projects = FRAMEWORKS.map(({ express, koa }) => {
    const directory = install(`express${express}-koa${koa}`, [
      tarball,
      `express@${express}`,
      `koa@${koa}`,
    ]);
    cpSync(join(root, 'test/types/runtime'), directory, { recursive: true });
    const name = `Express ${installed(directory, 'express')}, Koa ${installed(directory, 'koa')}`;
    return { directory, name };
  });
  const rows = NODE.map((major) => {
    const directory = install(`node${major}`, [`node@${major}`]);
    const node = join(directory, 'node_modules/.bin/node');
    const version = run(node, ['--version'], directory).output.trim();
    if (!version.startsWith(`v${major}.`)) fail(`Node.js ${major}`, `is ${version}`);
    return [
      version.slice(1),
      ...projects.map((project) =>
        Object.entries(FORMATS).map(([format, program]) =>
          verdict(
            format,
            `Node.js ${version}, ${project.name}, ${format}`,
            run(node, [program, join(root, 'test/vectors')], project.directory),
          ),
        ),
      ),
    ];
  });
  return table(['Node.js', ...projects.map(({ name }) => name)], rows);
}

/** @returns the table of TypeScript versions against frameworks */
function tryTypes(tarball) {
  const rows = TYPESCRIPT.map((range) => {
    // Only the types of the frameworks: with koa itself, npm may hoist a content-disposition that
    // @types/koa does not compile with, whoever uses it.
    const directory = install(
      `typescript${range.replace(/\D/g, '')}`,
      [
        tarball,
        `typescript@${range}`,
        '@types/express@5',
        '@types/koa@3',
        '@types/node@20',
        '@koa/router@15',
      ],
      ['--legacy-peer-deps'],
    );
    const tsc = join(directory, 'node_modules/.bin/tsc');
    const version = installed(directory, 'typescript');
    return [
      version,
      ...Object.entries(CONSUMERS).map(([framework, names]) =>
        Object.entries(KINDS).map(([format, kind]) => {
          const project = consumer(join(directory, `${framework}-${kind}`), names, kind);
          const what = `TypeScript ${version}, ${framework}, ${format}`;
          return verdict(format, what, run(tsc, ['-p', '.'], project));
        }),
      ),
    ];
  });
  return table(['TypeScript', ...Object.keys(CONSUMERS)], rows);
}

function consumer(directory, names, kind) {
  mkdirSync(directory);
  const files = ['equal', ...names].map((name) => {
    const text = readFileSync(join(root, `test/types/consumers/${name}.ts`), 'utf8');
    const file = `${name}.${kind}`;
    const extension = kind.replace('ts', 'js');
    writeFileSync(join(directory, file), text.replace('./equal.js', `./equal.${extension}`));
    return file;
  });
  const config = { compilerOptions: STRICT, files };
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(config));
  return directory;
}

function install(name, packages, options = []) {
  console.log(`Installing ${name}`);
  const directory = join(temporary, name);
  mkdirSync(directory);
  writeFileSync(join(directory, 'package.json'), '{ "private": true }');
  const command = ['install', '--silent', '--no-audit', '--no-fund', ...options, ...packages];
  const { code, output } = run('npm', command, directory);
  if (code !== 0) fail(`npm install for ${name}`, output);
  return directory;
}

function installed(directory, name) {
  try {
    const path = join(directory, 'node_modules', name, 'package.json');
    return JSON.parse(readFileSync(path, 'utf8')).version;
  } catch {
    return '(not installed)';
  }
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 300_000,
  });
  return { code: status, output: `${stdout ?? ''}${stderr ?? ''}${error ?? ''}` };
}

function verdict(name, what, { code, output }) {
  if (code === 0) return `${name} passes`;
  fail(what, output);
  return `${name} FAILS`;
}

function fail(what, output) {
  // No path of this machine in what may be copied from here.
  failures.push({ what, output: output.replaceAll(temporary, '.').replaceAll(root, './') });
}

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows.map((row) => row.map((cell) => [cell].flat()))]
    .map((row) => `| ${row.map((cell) => [cell].flat().join(', ')).join(' | ')} |`)
    .join('\n');
}
