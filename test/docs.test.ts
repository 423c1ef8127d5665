import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Packed, pack, project, ROOT, run, TOOLS } from './types/packed.ts';

/** The documents whose code must compile. */
const DOCUMENTS = ['README.md', ...markdownIn('docs')];
/** The documents whose links must lead somewhere. */
const LINKED = [...markdownIn('.'), ...markdownIn('docs'), ...markdownIn('examples')];

function markdownIn(directory: string): string[] {
  return existsSync(join(ROOT, directory))
    ? readdirSync(join(ROOT, directory))
        .filter((name) => name.endsWith('.md'))
        .map((name) => join(directory, name))
    : [];
}

/** The text of a document, which must exist. */
function read(path: string): string {
  expect(existsSync(join(ROOT, path)), `${path} is missing`).toBe(true);
  return readFileSync(join(ROOT, path), 'utf8');
}

/** A block of code in a document. */
interface Block {
  document: string;
  /** The line of its first line of code. */
  line: number;
  language: string;
  text: string;
  /** From `<!-- no-compile: reason -->` on the line before. */
  skipped: string | null;
}

function blocksOf(document: string): Block[] {
  if (!existsSync(join(ROOT, document))) return [];
  const lines = read(document).split('\n');
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const fence = /^(\s*)(`{3,}|~{3,})\s*(\w*)/.exec(lines[at] ?? '');
    if (!fence) continue;
    const [, indent = '', mark = '', language = ''] = fence;
    const end = lines.findIndex((line, index) => index > at && line.trim() === mark);
    if (end < 0) throw new Error(`${document}:${at + 1}: a block of code does not end`);
    const before = lines.slice(0, at).findLast((line) => line.trim() !== '') ?? '';
    const text = lines.slice(at + 1, end).map((line) => line.slice(indent.length));
    blocks.push({
      document,
      line: at + 2,
      language,
      text: `${text.join('\n')}\n`,
      skipped: /^\s*<!--\s*no-compile:\s*(.+?)\s*-->\s*$/.exec(before)?.[1] ?? null,
    });
    at = end;
  }
  return blocks;
}

const TYPED = ['ts', 'tsx', 'typescript', 'mts', 'cts'];
const UNTYPED = ['js', 'mjs', 'cjs', 'javascript'];

const blocks = DOCUMENTS.flatMap(blocksOf).filter(
  ({ language, skipped }) => [...TYPED, ...UNTYPED].includes(language) && skipped === null,
);

/** Every block is a module of its own. */
function fileName({ document, line, language, text }: Block): string {
  const stem = `${document.replace(/\W+/g, '-')}-L${line}`;
  const commonjs = /^\s*(?:(?:const|let|var|import)\b[^;]*= ?)?require\(/m.test(text);
  if (language === 'tsx') return `${stem}.tsx`;
  return `${stem}.${commonjs ? 'c' : 'm'}${TYPED.includes(language) ? 'ts' : 'js'}`;
}

describe('the code in the documents', () => {
  let packed: Packed;
  let directory: string;
  let output = '';

  beforeAll(async () => {
    packed = pack();
    // As in a merchant's project, where payproof is one package among the others.
    const names = readdirSync(join(ROOT, 'node_modules')).filter((name) => !name.startsWith('.'));
    directory = project(packed, 'docs', {
      link: Object.fromEntries(names.map((name) => [name, name])),
    });
    for (const block of blocks) {
      // Moved down to its place in the document, so that the compiler's lines are the document's.
      writeFileSync(
        join(directory, fileName(block)),
        `${'\n'.repeat(block.line - 1)}${block.text}`,
      );
    }
    writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
    for (const [config, languages, strict] of [
      ['typed', TYPED, true],
      ['untyped', UNTYPED, false],
    ] as const) {
      const files = blocks.filter((block) => languages.includes(block.language)).map(fileName);
      if (files.length === 0) continue;
      const compilerOptions = {
        target: 'ES2022',
        lib: ['ES2023'],
        module: 'nodenext',
        moduleDetection: 'force',
        types: ['node'],
        skipLibCheck: true,
        noEmit: true,
        strict,
        exactOptionalPropertyTypes: strict,
        noUncheckedIndexedAccess: strict,
        allowJs: !strict,
        checkJs: !strict,
      };
      writeFileSync(join(directory, `${config}.json`), JSON.stringify({ compilerOptions, files }));
      output += (await run(directory, TOOLS.tsc, '-p', `${config}.json`)).output;
    }
  }, 60_000);

  afterAll(() => packed?.remove());

  it('is built from what the compiler can find', () => {
    // An error that names no block is one of the set-up.
    const names = blocks.map(fileName);
    const errors = output.split('\n').filter((line) => /^\S/.test(line));
    expect(errors.filter((line) => !names.some((name) => line.startsWith(name)))).toEqual([]);
  });

  it('is in the README', () => {
    read('README.md');
    expect(blocks.filter(({ document }) => document === 'README.md')).not.toEqual([]);
  });

  it.each(
    blocks.map((block) => [`${block.document}:${block.line}`, block] as const),
  )('compiles: %s', async (_, block) => {
    const name = fileName(block);
    expect(output.split('\n').filter((line) => line.startsWith(name))).toEqual([]);
    if (UNTYPED.includes(block.language)) {
      const { code, output: message } = await run(directory, '--check', name);
      expect(code, message).toBe(0);
    }
  });
});

describe('the README', () => {
  it.each(['npm ci && npm run demo', 'npm ci && npm test'])('tells: %s', (command) => {
    expect(read('README.md')).toContain(command);
  });
});

describe('docs/errors.md', () => {
  const source = readFileSync(join(ROOT, 'src/core/errors.ts'), 'utf8');
  const catalogue = source.slice(source.indexOf('CATALOGUE = {'), source.indexOf('} as const'));
  const codes = [...catalogue.matchAll(/^ {2}(\w+): \[/gm)].map(([, code]) => code as string);
  const headings = (): string[] =>
    [...read('docs/errors.md').matchAll(/^#{2,4} `(\w+)`$/gm)].map(([, code]) => code as string);

  it('is held against the whole catalogue', () => {
    expect(codes.length).toBeGreaterThan(20);
    expect(codes).toContain('signature_mismatch');
  });

  it.each(codes)('has a heading for %s', (code) => {
    expect(headings()).toContain(code);
  });

  it('has no heading for a code that does not exist', () => {
    expect(headings().filter((code) => !codes.includes(code))).toEqual([]);
  });
});

describe('links', () => {
  /** The anchors that GitHub gives to a document's headings. */
  function anchorsOf(path: string): Set<string> {
    const anchors = new Set<string>();
    for (const [, heading = ''] of withoutCode(read(path)).matchAll(/^#{1,6} +(.+?) *$/gm)) {
      const anchor = heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
        .replaceAll(' ', '-');
      let unique = anchor;
      for (let n = 1; anchors.has(unique); n += 1) unique = `${anchor}-${n}`;
      anchors.add(unique);
    }
    for (const [, id = ''] of read(path).matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id);
    return anchors;
  }

  function withoutCode(text: string): string {
    return text.replace(/^(\s*)(`{3,}|~{3,}).*\n[\s\S]*?^\s*\2\s*$/gm, '');
  }

  const links = LINKED.flatMap((document) => {
    const text = withoutCode(read(document)).replace(/`[^`\n]*`(?!\])/g, '');
    const targets = [
      ...text.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g),
      ...text.matchAll(/^\[[^\]]+\]: (\S+)/gm),
      ...text.matchAll(/(?:src|href)="([^"]+)"/g),
    ].map(([, target]) => target as string);
    return [...new Set(targets)]
      .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
      .map((target) => [document, target] as const);
  });

  it('lead out of the README', () => {
    expect(links.filter(([document]) => document === 'README.md')).not.toEqual([]);
  });

  it.each(links)('%s: %s', (document, target) => {
    const [path = '', anchor] = decodeURI(target).split('#');
    const file = path === '' ? document : join(dirname(document), path);
    expect(relative('.', file).startsWith('..'), `${file} is outside of the repository`).toBe(
      false,
    );
    expect(existsSync(join(ROOT, file)), `${file} is missing`).toBe(true);
    if (anchor === undefined || !file.endsWith('.md')) return;
    expect(statSync(join(ROOT, file)).isFile()).toBe(true);
    expect([...anchorsOf(file)]).toContain(anchor);
  });
});
