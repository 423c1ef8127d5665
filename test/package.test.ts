import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENTRIES, manifest, type Packed, pack, project, ROOT, run, TOOLS } from './types/packed.ts';

const VECTORS = join(ROOT, 'test/vectors');

/** The frameworks' generations that a merchant may have beside payproof. */
const GENERATIONS = [
  ['Express 5, Koa 3', { express: 'express', koa: 'koa' }],
  ['Express 4, Koa 2', { express: 'express4', koa: 'koa2' }],
] as const;

let packed: Packed;
let unpacked: string;
const projects = new Map<string, string>();

beforeAll(() => {
  packed = pack();
  for (const [name, frameworks] of GENERATIONS) {
    const directory = project(packed, name, { link: { 'raw-body': 'raw-body', ...frameworks } });
    cpSync(join(ROOT, 'test/types/runtime'), directory, { recursive: true });
    projects.set(name, directory);
  }
  unpacked = join(inProject(), 'node_modules/payproof');
});

afterAll(() => packed?.remove());

function inProject(generation: string = GENERATIONS[0][0]): string {
  return projects.get(generation) as string;
}

describe('the tarball', () => {
  it('holds what was built, and beside it only what describes it', () => {
    const beside = packed.files.filter((path) => !path.startsWith('dist/')).sort();
    expect(beside.filter((path) => !path.startsWith('docs/'))).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'package.json',
    ]);
    // Errors and findings name it.
    expect(beside).toContain('docs/troubleshooting.md');
  });

  it('holds both builds with their types, and no sources, tests or maps', () => {
    const built = packed.files.filter((path) => path.startsWith('dist/'));
    expect(built.filter((path) => !/\.(js|d\.ts)$/.test(path))).toEqual(['dist/cjs/package.json']);
    for (const entry of ENTRIES) {
      const name = entry === 'payproof' ? 'index' : entry.slice('payproof/'.length);
      for (const file of [`${name}.js`, `${name}.d.ts`, `cjs/${name}.js`, `cjs/${name}.d.ts`]) {
        expect(built).toContain(`dist/${file}`);
      }
    }
  });

  it('depends on raw-body and nothing else', () => {
    expect(Object.keys(manifest(unpacked).dependencies ?? {})).toEqual(['raw-body']);
  });

  it('runs nothing when it is installed', () => {
    const { scripts } = JSON.parse(readFileSync(join(unpacked, 'package.json'), 'utf8'));
    expect(Object.keys(scripts).filter((name) => /install|prepare/.test(name))).toEqual([]);
  });

  it.each(['express', 'koa'])('imports no %s', (framework) => {
    const loads = new RegExp(`(?:from|require\\(|import\\()\\s*['"]${framework}['"/]`);
    for (const path of packed.files.filter((file) => file.endsWith('.js'))) {
      expect(readFileSync(join(unpacked, path), 'utf8'), path).not.toMatch(loads);
    }
  });
});

describe('an entry', () => {
  it.each([
    ['import', 'import.mjs'],
    ['require', 'require.cjs'],
  ])('%s: every one loads, without output, timers or new globals', async (_, program) => {
    const { code, output, stdout } = await run(inProject(), program, ...ENTRIES);
    expect(output).toBe(stdout);
    expect(code, output).toBe(0);
    const { found, added, active } = JSON.parse(stdout);
    expect({ added, active }).toEqual({ added: [], active: [] });
    expect(Object.keys(found)).toEqual(ENTRIES);
    for (const [entry, names] of Object.entries(found)) {
      expect(names, entry).not.toEqual([]);
      expect(names, entry).not.toContain('default');
    }
  });

  it('has the same exports in both formats', async () => {
    const [esm, cjs] = await Promise.all(
      ['import.mjs', 'require.cjs'].map(async (program) => {
        const { found } = JSON.parse((await run(inProject(), program, ...ENTRIES)).stdout);
        return Object.fromEntries(
          Object.entries<string[]>(found).map(([entry, names]) => [entry, names.toSorted()]),
        );
      }),
    );
    expect(cjs).toEqual(esm);
  });

  it.each([
    'payproof/dist/index.js',
    'payproof/dist/core/secrets.js',
    'payproof/core/secrets',
    'payproof/core/secrets.js',
    'payproof/http/pipeline',
    'payproof/index.js',
    'payproof/express.js',
    'payproof/cjs/index.js',
  ])('that is not exported does not load: %s', async (path) => {
    for (const program of ['import.mjs', 'require.cjs']) {
      const { code, output } = await run(inProject(), program, path);
      expect(code).not.toBe(0);
      expect(output).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED');
    }
  });

  it('payproof/package.json: tells the version', async () => {
    const { output } = await run(inProject(), '-p', 'require("payproof/package.json").name');
    expect(output).toBe('payproof\n');
  });
});

describe.each(GENERATIONS)('a server with %s', (generation) => {
  it.each(['esm.mjs', 'cjs.cjs'])('%s: verifies, and judges real deliveries', async (program) => {
    const { code, output, stdout } = await run(inProject(generation), program, VECTORS);
    expect(code, output).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ express: true, koa: true });
    expect(JSON.parse(stdout).vectors).toBeGreaterThan(20);
  });
});

describe('two builds in one process', () => {
  it('know each other’s errors and providers', async () => {
    const { code, output } = await run(inProject(), 'formats.mjs');
    expect(output).toBe('');
    expect(code).toBe(0);
  });
});

describe('the checkers of packages', () => {
  it('publint --strict finds nothing', async () => {
    const { code, output } = await run(ROOT, TOOLS.publint, 'run', packed.tarball, '--strict');
    expect(output).toContain('All good');
    expect(code).toBe(0);
  });

  it('attw finds the types right for every way to import (node10, node16 and bundlers)', async () => {
    const { code, output } = await run(ROOT, TOOLS.attw, packed.tarball);
    expect(code, output).toBe(0);
  });
});
