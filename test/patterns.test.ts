import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { check } from 'recheck';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

// No regular expression takes more than linear time, whatever a stranger sends. Those that `core/json.ts`
// builds look back, of which the checker knows little: they are timed in `core/json.test.ts`.

interface Pattern {
  place: string;
  source: string;
  flags: string;
}

function patternsIn(file: string): Pattern[] {
  const found: Pattern[] = [];
  const tree = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const { source, flags } = new RegExp(...parts(node.text));
      const { line } = tree.getLineAndCharacterOfPosition(node.getStart());
      found.push({ place: `${file}:${line + 1}`, source, flags });
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

function parts(literal: string): [source: string, flags: string] {
  const end = literal.lastIndexOf('/');
  return [literal.slice(1, end), literal.slice(end + 1)];
}

const PATTERNS = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .flatMap((name) => patternsIn(join('src', name)));

/** Those that are not known to be linear. One by one, so that each has its time however busy the machine is. */
async function doubtful(patterns: readonly Pattern[]): Promise<string[]> {
  const found: string[] = [];
  for (const { place, source, flags } of patterns) {
    const { status } = await check(source, flags, { timeout: 60_000 });
    if (status !== 'safe') found.push(`${place} ${status}: ${source}`);
  }
  return found;
}

describe('regular expressions', { timeout: 120_000 }, () => {
  it('of the source take linear time', async () => {
    expect(PATTERNS.length).toBeGreaterThan(100);
    expect(await doubtful(PATTERNS)).toEqual([]);
  });

  it.each(['=+$', '^(?:a+)*b$', ' +x'])('%s is found not to', async (source) => {
    expect(await doubtful([{ place: 'here', source, flags: '' }])).toHaveLength(1);
  });
});
