import { type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { signed } from '../../src/testing.ts';
import { BIN, ROOT, SECRETS } from './support.ts';

// What becomes of the program when nobody reads what it writes, or the disk is full.

const FORM = { provider: 'hitpay', scheme: 'form', secret: SECRETS.HITPAY_SALT } as const;
const directory = mkdtempSync(join(tmpdir(), 'payproof-streams-'));
afterAll(() => rmSync(directory, { recursive: true }));
const file = join(directory, 'request.http');
const { path, headers, body } = signed(FORM);
const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`);
writeFileSync(file, `POST ${path} HTTP/1.1\n${lines.join('')}\n${body}`);

const EXPLAIN = ['explain', '--provider', 'hitpay', file];
const LISTEN = ['listen', '--provider', 'hitpay', '--port', '0'];

function start(argv: readonly string[], stdio: StdioOptions = 'pipe') {
  const child = spawn(process.execPath, [BIN, ...argv], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...SECRETS },
    stdio,
  });
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (chunk) => {
      written[name] += chunk;
    });
  }
  const ended = once(child, 'close').then(([code]) => ({ code, ...written }));
  return { child, written, ended };
}

/** Where it listens. */
async function opened({ written }: ReturnType<typeof start>): Promise<string> {
  for (;;) {
    const [, url] = /listening on (\S+)/.exec(written.stderr) ?? [];
    if (url) return url;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('a reader that is gone', () => {
  it('stderr: the exit code is that of the result', async () => {
    const verified = start(EXPLAIN);
    verified.child.stderr?.destroy();
    expect(await verified.ended).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^verified/),
    });
    const wrong = start(['frobnicate']);
    wrong.child.stderr?.destroy();
    expect(await wrong.ended).toMatchObject({ code: 2 });
  });

  it('stderr, while it listens: it ends in peace', async () => {
    const server = start(LISTEN);
    await opened(server);
    server.child.stderr?.destroy();
    server.child.kill('SIGINT');
    expect(await server.ended).toMatchObject({ code: 0 });
  });

  it('stdout: is no fault, and nothing is said', async () => {
    const { child, ended } = start(EXPLAIN);
    child.stdout?.destroy();
    expect(await ended).toMatchObject({ code: 0, stderr: expect.not.stringContaining('EPIPE') });
  });
});

describe.runIf(existsSync('/dev/full'))('a full disk', () => {
  const full = () => openSync('/dev/full', 'w');

  it.each([
    [EXPLAIN],
    [[...EXPLAIN, '--json']],
    [['--help']],
  ])('stdout: is told, code 3: %j', async (argv) => {
    const { ended } = start(argv, ['ignore', full(), 'pipe']);
    const { code, stderr } = await ended;
    expect(code).toBe(3);
    expect(stderr).toContain('payproof: the output cannot be written (ENOSPC)\n');
  });

  it('stdout, while it listens: is told after the first delivery', async () => {
    const server = start([...LISTEN, '--json'], ['ignore', full(), 'pipe']);
    const url = await opened(server);
    await fetch(url + path, { method: 'POST', headers, body }).catch(() => {});
    const { code, stderr } = await server.ended;
    expect(code).toBe(3);
    expect(stderr).toContain('payproof: the output cannot be written (ENOSPC)\n');
  });

  it('stderr: the exit code is that of the result', async () => {
    expect(await start(['frobnicate'], ['ignore', 'pipe', full()]).ended).toMatchObject({
      code: 2,
    });
    expect(await start(EXPLAIN, ['ignore', 'pipe', full()]).ended).toMatchObject({ code: 0 });
    expect(await start(EXPLAIN, ['ignore', full(), full()]).ended).toMatchObject({ code: 3 });
  });
});
