import { request } from 'node:http';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { recut, type SignedDelivery, signed, tampered } from '../../src/testing.ts';
import { inProcess, launch, SECRETS, type Terminal } from './support.ts';

const HATEXCARD = {
  provider: 'hatexcard',
  scheme: 'timestamped',
  secret: SECRETS.HATEXCARD_SECRET,
} as const;
const FORM = { provider: 'hitpay', scheme: 'form', secret: SECRETS.HITPAY_SALT } as const;

async function post(url: string, { path, ...rest }: SignedDelivery) {
  const answer = await fetch(url + path, rest);
  return { status: answer.status, text: await answer.text() };
}

/** Listens inside the test, delivers, and ends it once this text was printed. */
async function listening(
  argv: string[],
  work: (url: string) => Promise<unknown>,
  { until = /refused|verified/, ...terminal }: Terminal & { until?: RegExp } = {},
) {
  // Like a signal of the system, it is lost where nobody listens for it yet.
  const interruption = new AbortController();
  let opened: (url: string) => void = () => {};
  const url = new Promise<string>((resolve) => {
    opened = resolve;
  });
  let all = '';
  let isDone = false;
  const onOutput = (text: string) => {
    all += text;
    const [, found] = /listening on (\S+)/.exec(all) ?? [];
    if (found) opened(found);
    if (isDone && until.test(all)) interruption.abort();
  };
  const result = inProcess(['listen', '--port', '0', ...argv], {
    ...terminal,
    interrupted: (listener) => interruption.signal.addEventListener('abort', listener),
    onOutput,
  });
  await work(await url);
  isDone = true;
  onOutput('');
  return result;
}

describe('payproof listen', () => {
  it('as a process of its own: prints, answers like payproof, and ends in peace on SIGINT', async () => {
    const { child, ended } = launch(['listen', '--provider', 'hitpay', '--port', '0']);
    const url = await new Promise<string>((resolve) => {
      let text = '';
      child.stderr?.on('data', (chunk) => {
        text += chunk;
        const [, found] = /listening on (\S+) for hitpay/.exec(text) ?? [];
        if (found) resolve(found);
      });
    });
    const delivery = signed(FORM, { reference: 'SG-2001' });
    expect(await post(url, delivery)).toEqual({ status: 200, text: 'OK' });
    expect(await post(url, delivery)).toMatchObject({ status: 200 });
    const refused = await post(url, recut(delivery));
    expect(refused).toEqual({ status: 403, text: 'The delivery could not be authenticated.' });
    await new Promise((resolve) => setTimeout(resolve, 300));
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(/2 verified, 1 refused\n$/);
    expect(stdout).toMatch(/verified {2}hitpay\/form {2}\/webhooks\/hitpay\n[\s\S]*SG-2001/);
    expect(stdout).toContain('verified again');
    expect(stdout).toMatch(/refused {2}field_ambiguous \(403\)[\s\S]*What to do: /);
    for (const secret of Object.values(SECRETS)) expect(stdout + stderr).not.toContain(secret);
    expect(stdout).not.toContain('\u001b');
  });

  it('ends in peace when it is interrupted as soon as it says where it listens', async () => {
    const interruption = new AbortController();
    const { code, stderr } = await inProcess(['listen', '--provider', 'hitpay', '--port', '0'], {
      interrupted: (listener) => interruption.signal.addEventListener('abort', listener),
      onOutput(text) {
        if (text.startsWith('listening on')) interruption.abort();
      },
    });
    expect(code).toBe(0);
    expect(stderr).toMatch(/0 verified, 0 refused\n$/);
  });

  it('--json: one object a line', async () => {
    const { code, stdout } = await listening(
      ['--provider', 'hatexcard', '--json'],
      async (url) => {
        await post(url, signed(HATEXCARD));
        await post(url, tampered(signed(HATEXCARD)));
      },
      { until: /"refused"/ },
    );
    expect(code).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      { verdict: 'verified', event: { scheme: 'hatexcard/timestamped' } },
      { verdict: 'refused', code: 'signature_mismatch', diagnosis: { cause: expect.any(String) } },
    ]);
  });

  it('colours on a terminal, and asks there for the secret', async () => {
    const { stdout, stderr } = await listening(
      ['--provider', 'hitpay', '--scheme', 'form', '--host', '::1'],
      (url) => post(url, signed(FORM)),
      { env: {}, isTTY: true, typed: `${SECRETS.HITPAY_SALT}\n` },
    );
    expect(stdout).toContain('\u001b[32mverified\u001b[39m');
    expect(stderr).toContain('HITPAY_SALT (not shown): ');
    expect(stderr).toContain('http://[::1]:');
    expect(stdout + stderr).not.toContain(SECRETS.HITPAY_SALT);
  });

  it('explains by the other secrets', async () => {
    const { stdout } = await listening(
      ['--provider', 'hitpay', '--try', 'OLD'],
      (url) => post(url, signed(FORM)),
      { env: { HITPAY_SALT: 'new', OLD: SECRETS.HITPAY_SALT }, until: /What to do/ },
    );
    expect(stdout).toMatch(/secret_other \(proven\)[\s\S]*OLD/);
  });

  it('explains each of two hundred refusals in a row', async () => {
    const { stdout } = await listening(
      ['--provider', 'hatexcard', '--json'],
      async (url) => {
        const forged = tampered(signed(HATEXCARD));
        for (let n = 0; n < 200; n++) await post(url, forged);
      },
      { until: /(?:.*"refused".*\n){200}/ },
    );
    expect(stdout.match(/"cause":"secret_unknown"/g)).toHaveLength(200);
  });

  it('a path that would steer the terminal, the token of a URL: not shown', async () => {
    const raw = (url: string) =>
      new Promise<void>((resolve) => {
        const { hostname, port } = new URL(url);
        const path = '/x%1b[31m?payproof=secret-token';
        const req = request({ hostname, port, path, method: 'GET' }, (res) => {
          res.resume();
          res.on('end', resolve);
        });
        req.end();
      });
    const { stdout } = await listening(['--provider', 'hitpay'], raw, { until: /not_post/ });
    expect(stdout).toContain('method_not_allowed (405)');
    expect(stdout).not.toContain('secret-token');
    expect(stdout).not.toContain('\u001b');
  });

  it('--json: control characters of a payload are escaped, and it stays JSON', async () => {
    const reference = 'a\u009b31mb\u007f\u0085c';
    const { stdout } = await listening(['--provider', 'hatexcard', '--json'], (url) =>
      post(url, signed(HATEXCARD, { reference })),
    );
    expect(stdout).toContain('a\\u009b31mb\\u007f\\u0085c');
    expect(stdout.trim()).not.toMatch(/\p{Cc}/u);
    expect(JSON.parse(stdout).event.reference).toBe(reference);
  });

  it('a sender that goes away does no harm', async () => {
    const { code } = await listening(
      ['--provider', 'hitpay'],
      async (url) => {
        await new Promise<void>((resolve) => {
          const headers = { 'content-length': 100, 'content-type': 'application/json' };
          const req = request(url, { method: 'POST', headers });
          req.on('error', () => resolve());
          req.write('x', () => setTimeout(() => req.destroy(new Error('gone')), 50));
        });
      },
      { until: /body_aborted/ },
    );
    expect(code).toBe(0);
  });

  it('--quiet: no messages', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    const interrupted = (listener: () => void) => void setImmediate(listener);
    const argv = ['listen', '--provider', 'hitpay', '--port', `${port}`, '--quiet'];
    expect(await inProcess(argv, { interrupted })).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('a port that is taken: code 1', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const result = await inProcess(['listen', '--provider', 'hitpay', '--port', `${port}`]);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('(EADDRINUSE)') });
    server.close();
  });
});
