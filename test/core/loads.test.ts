import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

// A module that throws while it loads takes its tests' files with it, which a run can mistake for
// "no test failed": here it is a test that fails.
describe('loading', () => {
  const modules = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('cli/'))
    .map((file) => file.replace(/\.ts$/, ''));

  it.each(modules)('%s loads', async (file) => {
    expect(await import(/* @vite-ignore */ resolve(`src/${file}.ts`))).toBeTypeOf('object');
  });
});
