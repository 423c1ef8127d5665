import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

// The demo runs on the built package (dist), as `npm run demo` does.

const root = fileURLToPath(new URL('..', import.meta.url));
const moduleOf = (file: string) => new URL(`../examples/demo/${file}`, import.meta.url).href;

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

function node(args: string[], env: Record<string, string> = {}): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      { cwd: root, env: { PATH: process.env.PATH, ...env }, timeout: 20_000 },
      (_, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

const runWith = (options: object, env?: Record<string, string>) =>
  node(
    [
      '--input-type=module',
      '--eval',
      `const { run } = await import(${JSON.stringify(moduleOf('run.mjs'))});
       process.exitCode = (await run(${JSON.stringify(options)})) ? 0 : 1;`,
    ],
    env,
  );

/** How many processes have the mark in their environment: the demo and its servers inherit it. */
function running(mark: string): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark);
    } catch {
      return false; // gone meanwhile, or another user's
    }
  }).length;
}

describe('the demo', () => {
  it('ends with 0 and a closing line when every outcome is the right one', async () => {
    const { code, stdout, stderr } = await node(['examples/demo/demo.mjs']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    const [, all, right, rest] =
      /^(\d+) deliveries, (\d+) as they should be(.*)$/.exec(lines.at(-1) as string) ?? [];
    expect(right).toBe(all);
    expect(rest).toMatch(/^ \([\d.]+ s\)$/);
    expect(Number(all)).toBeGreaterThanOrEqual(90);
    expect(lines.filter((line) => line.startsWith('✓'))).toHaveLength(Number(all));
    expect(stdout).not.toContain('✗');
  }, 30_000);

  it('has a genuine, a tampered, a forged and a parsed delivery of every scheme', async () => {
    const { deliveries } = await import(moduleOf('deliveries.mjs'));
    const schemes = new Map<string, string[]>();
    for (const { provider, scheme, sent } of deliveries()) {
      const name = `${provider} ${scheme}`;
      schemes.set(name, [...(schemes.get(name) ?? []), sent]);
    }
    expect(schemes.size).toBe(9);
    for (const sent of schemes.values()) {
      expect(sent.length).toBeGreaterThanOrEqual(5);
      for (const kind of [/^genuine$/, /^tampered/, /^forged/, /after a body parser/]) {
        expect(sent.some((one) => kind.test(one))).toBe(true);
      }
    }
  });

  it('stays within 110 columns, without colours where stdout is no terminal', async () => {
    const { stdout } = await runWith({});
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(110);
    expect(stdout).not.toContain('\u001b');
  }, 30_000);

  it('ends with 1 and shows what should have been when a server has another secret', async () => {
    const { code, stdout } = await runWith({ env: { HITPAY_SALT: 'another-salt' } });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^✗ form \(request\)\s+genuine\s+403\s+signature_mismatch$/m);
    expect(stdout).toMatch(/^ +should be .*"SG-2001"/m);
    expect(stdout).toMatch(/deliveries, \d+ as they should be, [1-9]\d* NOT/);
  }, 30_000);

  it('ends with an error, and leaves nothing running, when a server does not start', async () => {
    const mark = randomUUID();
    const { code, stderr } = await runWith({ env: { HITPAY_SALT: '' } }, { MARK: mark });
    expect(code).toBe(1);
    expect(stderr).toContain('did not start');
    expect(stderr).toContain('the secret is empty');
    if (process.platform === 'linux') expect(running(mark)).toBe(0);
  }, 30_000);

  it.runIf(process.platform === 'linux').each(['SIGTERM', 'SIGKILL'] as const)(
    'leaves nothing running when it is ended by %s',
    async (signal) => {
      const mark = randomUUID();
      const child = spawn(process.execPath, ['examples/demo/demo.mjs'], {
        cwd: root,
        env: { PATH: process.env.PATH, MARK: mark },
        stdio: 'ignore',
      });
      await expect.poll(() => running(mark), { timeout: 10_000, interval: 20 }).toBe(5);
      child.kill(signal);
      await expect.poll(() => running(mark), { timeout: 10_000 }).toBe(0);
    },
    30_000,
  );
});

describe('the judgement of a row', async () => {
  const { isRight, summary } = await import(moduleOf('table.mjs'));
  const accepted = {
    status: 200,
    outcome: 'paid',
    type: 'payment.succeeded',
    reference: 'A',
    amount: 'HTG 1',
  };
  const refused = { status: 403, code: 'signature_mismatch' };
  const row = (expected: object, actual: object) => ({ delivery: { expected }, actual });
  const refusal = { ...refused, outcome: 'refused' };

  it.each([
    ['the expected acceptance', row(accepted, accepted)],
    ['the expected refusal', row(refused, refusal)],
  ])('%s is right', (_, one) => {
    expect(isRight(one)).toBe(true);
  });

  it.each([
    ['a refusal of what is genuine', row(accepted, refusal)],
    ['another status', row(accepted, { ...accepted, status: 500 })],
    ['another amount', row(accepted, { ...accepted, amount: 'HTG 9' })],
    ['another order', row(accepted, { ...accepted, reference: 'B' })],
    ['another type', row(accepted, { ...accepted, type: 'payment.failed' })],
    ['not marked paid', row(accepted, { ...accepted, outcome: 'review: not the price' })],
    ['an acceptance of what is forged', row(refused, accepted)],
    ['another code', row(refused, { ...refusal, code: 'token_mismatch' })],
    ['the right answer, but a handler that ran', row(refused, { ...refused, outcome: 'paid' })],
    ['an answer that names the code', row(refused, { ...refusal, leaked: true })],
    ['no answer and no word of the merchant', row(refused, { status: 'none' })],
  ])('%s is wrong', (_, one) => {
    expect(isRight(one)).toBe(false);
    expect(summary([one])).toBe('1 deliveries, 0 as they should be, 1 NOT');
  });

  it('nothing sent is not a success', () => {
    expect(summary([])).toBe('0 deliveries, 0 as they should be, 0 NOT');
  });
});
