import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../../src/cli/main.ts';
import { printable, wrapped } from '../../src/cli/terminal.ts';
import { BIN, inProcess, ROOT, run, SECRETS } from './support.ts';

const manifest = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8'));

describe('payproof', () => {
  it('is the bin of the package, with a shebang', () => {
    expect(manifest.bin).toEqual({ payproof: './dist/cli/payproof.js' });
    expect(readFileSync(BIN, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  it('--version: tells the package’s own', async () => {
    expect(VERSION).toBe(manifest.version);
    for (const flag of ['--version', '-v']) {
      expect(await inProcess([flag])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' });
    }
    expect(await run(['--version'])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' });
  });

  it.each([['--help'], ['-h'], ['help']])('%s: shows the commands on stdout', async (flag) => {
    const { code, stdout, stderr } = await inProcess([flag]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const name of Object.keys(SECRETS)) expect(stdout).toContain(name);
  });

  it.each(['send', 'explain', 'listen'])('%s --help: shows its options on stdout', async (name) => {
    const { code, stdout, stderr } = await inProcess([name, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`payproof ${name}`);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(102);
  });

  it.each([
    [[]],
    [['frobnicate']],
    [['toString']],
    [['send']],
    [['send', 'stripe', '--to', 'http://x']],
    [['send', 'hitpay']],
    [['send', 'hitpay', 'hatexcard', '--to', 'http://x']],
    [['send', 'hitpay', '--to', 'x']],
    [['send', 'hitpay', '--to', 'ftp://x/']],
    [['send', 'hitpay', '--to', 'file:///etc/passwd']],
    [['send', 'hitpay', '--to', 'http://user:pass@x/']],
    [['send', 'hitpay', '--to', 'http://x', '--scheme', 'token']],
    [['send', 'hitpay', '--to', 'http://x', '--times', '0']],
    [['send', 'hitpay', '--to', 'http://x', '--times', '1e3']],
    [['send', 'hitpay', '--to', 'http://x', '--parallel', '1000']],
    [['send', 'hitpay', '--to', 'http://x', '--tamper', '--replay']],
    [['send', 'hitpay', '--to', 'http://x', '--expire']],
    [['send', 'hitpay', '--to', 'http://x', '--status', 'SUCCESS']],
    [['send', 'hitpay', '--to', 'http://x', '--email', 'a@b.c']],
    [['send', 'hatexcard', '--to', 'http://x', '--status', 'completed']],
    [['send', 'hatexcard', '--to', 'http://x', '--kind', 'refund']],
    [['send', 'hatexcard', '--to', 'http://x', '--amount', '-1']],
    [['send', 'hatexcard', '--to', 'http://x', '--recut']],
    [['send', 'hatexcard', '--to', 'http://x', '--out-of-order']],
    [['send', 'dexchange', '--scheme', 'signature', '--to', 'http://x']],
    [['send', 'dexchange', '--to', 'http://x', '--header', 'x']],
    [['send', 'hitpay', '--to', 'http://x', '--secret', 'abc']],
    [['send', 'hitpay', '--to']],
    [['explain']],
    [['explain', '--provider', 'hitpay']],
    [['explain', '--provider', 'hitpay', 'a', 'b']],
    [['explain', '--provider', 'hitpay', '/does/not/exist']],
    [['explain', 'package.json']],
    [['explain', '--provider', 'hitpay', '--entry', 'x', 'package.json']],
    [['explain', '--provider', 'hitpay', '--try', 'NOT_SET', 'package.json']],
    [['explain', '--provider', 'hitpay', 'package.json']],
    [['listen']],
    [['listen', '--provider', 'hitpay', 'x']],
    [['listen', '--provider', 'hitpay', '--port', '70000']],
    [['listen', '--provider', 'dexchange', '--scheme', 'signature', '--port', '0']],
  ])('wrong usage is told on stderr, code 2: %j', async (argv) => {
    const { code, stdout, stderr } = await inProcess(argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^payproof: .+\nTry: payproof( \w+)? --help\n$/);
    expect(stderr).not.toMatch(/sample|signer/);
  });

  it('a secret that was passed by mistake is not repeated', async () => {
    for (const argv of [
      ['send', 'hitpay', '--to', 'http://x', '--secret=abc-canary'],
      ['send', 'abc-canary', '--to', 'http://x'],
      ['explain', '--provider', 'hitpay', '--try', 'abc-canary', 'x'],
      ['abc-canary'],
    ]) {
      const { code, stderr } = await inProcess(argv);
      expect(code).toBe(2);
      expect(stderr).not.toContain('abc-canary');
    }
  });

  it('a secret that is nowhere is told by the name of its variable', async () => {
    const { code, stderr } = await inProcess(['send', 'hitpay', '--to', 'http://x'], { env: {} });
    expect(code).toBe(2);
    expect(stderr).toContain('set the environment variable HITPAY_SALT');
  });

  it('a secret with white space is refused without showing it', async () => {
    const env = { HITPAY_SALT: ' canary ' };
    const { code, stderr } = await inProcess(['explain', '--provider', 'hitpay', 'package.json'], {
      env,
    });
    expect(code).toBe(2);
    expect(stderr).not.toContain('canary');
  });

  it('what is not foreseen is thrown', async () => {
    const stdout = {
      write() {
        throw new Error('disk full');
      },
    };
    const { main } = await import('../../src/cli/main.ts');
    await expect(main(['--help'], { stdout } as never)).rejects.toThrow('disk full');
  });
});

describe('what is shown', () => {
  it('printable: no control characters, no escapes, not too long', () => {
    expect(printable('a\u001b[31mb\u0007\r\nc\u202ed')).toBe('a [31mb c d');
    expect(printable('x'.repeat(300))).toBe(`${'x'.repeat(200)}...`);
  });

  it('wrapped: lines of the width, with what stands before', () => {
    expect(wrapped('aaa '.repeat(30).trim(), '  ', 42).split('\n')[0]).toHaveLength(41);
    expect(wrapped('', '- ')).toBe('- \n');
  });
});
