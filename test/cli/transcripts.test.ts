import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { ROOT } from './support.ts';

it('the transcripts of docs/cli.md are what the commands print', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['scripts/cli-transcripts.mjs', '--check'],
    { cwd: ROOT },
  ).catch((error) => error as { stdout: string });
  expect(stdout).toBe('all current\n');
}, 30_000);

it('docs/cli.md names the options of every command', async () => {
  const { inProcess } = await import('./support.ts');
  const document = readFileSync(`${ROOT}/docs/cli.md`, 'utf8');
  for (const name of ['send', 'explain', 'listen']) {
    const { stdout } = await inProcess([name, '--help']);
    expect(stdout).toContain('--json');
    expect(document).toContain(`## ${name}`);
  }
});
