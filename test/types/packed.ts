import { execFile, execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MODULES = join(ROOT, 'node_modules');

export interface Manifest {
  name: string;
  exports?: Record<string, unknown>;
  dependencies?: Record<string, string>;
}

export function manifest(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
}

/** The entries of the package as an importer writes them: `payproof`, `payproof/express`, ... */
export const ENTRIES = Object.keys(manifest(ROOT).exports ?? {})
  .filter((path) => path !== './package.json')
  .map((path) => `payproof${path.slice(1)}`);

/** What a merchant would install: the packed tarball, and where it was unpacked. */
export interface Packed {
  /** A directory of its own; projects are made below it. */
  readonly directory: string;
  readonly tarball: string;
  /** The tarball's files, without the leading `package/`. */
  readonly files: readonly string[];
  remove(): void;
}

/** Packs `dist` as it stands. `--ignore-scripts`, since `prepack` would build under other tests' feet. */
export function pack(): Packed {
  if (!existsSync(join(ROOT, 'dist/cjs/package.json'))) {
    execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT });
  }
  const directory = mkdtempSync(join(tmpdir(), 'payproof-'));
  const output = execFileSync(
    'npm',
    ['pack', '--ignore-scripts', '--json', '--pack-destination', directory],
    { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const [{ filename, files }] = JSON.parse(output) as [
    { filename: string; files: { path: string }[] },
  ];
  return {
    directory,
    tarball: join(directory, filename),
    files: files.map(({ path }) => path),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** What a project has in its `node_modules` beside payproof. */
export interface Installed {
  /** Linked to the repository's own copies, under the name that is given: enough to run. */
  link?: Readonly<Record<string, string>>;
  /** Copied with all they depend on, so that the compiler meets nothing else: needed to compile. */
  copy?: readonly string[];
}

/** Makes a project with the unpacked tarball, as `npm install` would, without the network. */
export function project(packed: Packed, name: string, { link = {}, copy = [] }: Installed): string {
  const directory = join(packed.directory, name);
  const modules = join(directory, 'node_modules');
  mkdirSync(modules, { recursive: true });
  execFileSync('tar', ['-xzf', packed.tarball, '-C', modules]);
  cpSync(join(modules, 'package'), join(modules, 'payproof'), { recursive: true });
  rmSync(join(modules, 'package'), { recursive: true });
  for (const [as, source] of Object.entries(link)) {
    mkdirSync(dirname(join(modules, as)), { recursive: true });
    symlinkSync(join(MODULES, source), join(modules, as));
  }
  const done = new Set<string>();
  const copyAll = (names: readonly string[]): void => {
    for (const one of names) {
      if (done.has(one)) continue;
      done.add(one);
      cpSync(join(MODULES, one), join(modules, one), { recursive: true });
      copyAll(Object.keys(manifest(join(MODULES, one)).dependencies ?? {}));
    }
  };
  copyAll(copy);
  return directory;
}

/** The program of a development tool, to run with `process.execPath`. */
export const TOOLS = {
  tsc: join(MODULES, 'typescript/bin/tsc'),
  publint: join(MODULES, 'publint/src/cli.js'),
  attw: join(MODULES, '@arethetypeswrong/cli/dist/index.js'),
} as const;

/** What a program printed and how it ended; nothing is thrown, so that a test can show the text. */
export function run(
  directory: string,
  ...command: readonly string[]
): Promise<{ code: number; output: string; stdout: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      command,
      // Colours and warnings of the test's own environment are none of the program's output.
      { cwd: directory, timeout: 60_000, env: { PATH: process.env.PATH, NO_COLOR: '1' } },
      (error, stdout, stderr) =>
        resolve({
          code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1,
          output: stdout + stderr,
          stdout,
        }),
    );
  });
}
