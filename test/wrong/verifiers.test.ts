import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { WRONG } from './verifiers.mjs';

// That the tests fail on each of them takes a run of the tests each: `npm run test:wrong`.

const sources = new Map<string, string>();

function sourceOf(file: string): string {
  const source =
    sources.get(file) ?? readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  sources.set(file, source);
  return source;
}

describe('faulty versions', () => {
  it('there are enough of them, each once', () => {
    expect(WRONG.length).toBeGreaterThanOrEqual(30);
    expect(new Set(WRONG.map(({ name }) => name)).size).toBe(WRONG.length);
  });

  it.each(WRONG.map((wrong) => [wrong.name, wrong] as const))('still applies: %s', (_, wrong) => {
    for (const [file, find, replace] of wrong.edits) {
      expect(sourceOf(file).split(find), file).toHaveLength(2);
      expect(replace).not.toBe(find);
    }
    expect(() => sourceOf(wrong.tests)).not.toThrow();
  });
});
