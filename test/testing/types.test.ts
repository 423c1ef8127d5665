import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('what is right compiles, and a wrong scheme or field does not', () => {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const fixture = fileURLToPath(new URL('types.fixture.ts', import.meta.url));
  const flags =
    '--ignoreConfig --noEmit --strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess ' +
    '--skipLibCheck --target es2022 --lib es2023 --module nodenext --types node --allowImportingTsExtensions';
  let output = '';
  try {
    execFileSync(process.execPath, [tsc, ...flags.split(' '), fixture], { encoding: 'utf8' });
  } catch (error) {
    output = String((error as { stdout?: unknown }).stdout);
  }
  expect(output).toBe('');
}, 30_000);
