import { execFileSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { paymentWebhook } from '../../src/express.ts';
import { dexchange, hatexcard, hitpay } from '../../src/index.ts';
import { BIN, example, inProcess, ROOT, run, SECRETS } from './support.ts';

const NAMED_ENTITIES: Readonly<Record<string, string>> = {
  '"': '&quot;',
  '&': '&amp;',
  "'": '&apos;',
  '+': '&plus;',
  '<': '&lt;',
  '>': '&gt;',
};

/** Whatever a run gave, no secret and no token is in it. */
function silent({ stdout, stderr }: { stdout: string; stderr: string }): void {
  for (const secret of Object.values(SECRETS)) expect(stdout + stderr).not.toContain(secret);
  expect(stdout + stderr).not.toContain('payproof=');
}

describe.each(['express', 'koa'])('payproof send to examples/%s', (name) => {
  let shop: Awaited<ReturnType<typeof example>>;
  beforeAll(async () => {
    shop = await example(name);
  }, 20_000);
  afterAll(() => shop.stop());

  it.each([
    ['hatexcard', 'timestamped'],
    ['hatexcard', 'body'],
    ['hitpay', 'form'],
    ['hitpay', 'event'],
    ['dexchange', 'token'],
  ])('%s %s: is answered 200, and 403 when tampered', async (provider, scheme) => {
    const argv = ['send', provider, '--scheme', scheme, '--to', `${shop.url}/webhooks/${provider}`];
    const [sent, forged] = await Promise.all([run(argv), run([...argv, '--tamper', '--json'])]);
    silent(sent);
    expect(sent.code, sent.stderr).toBe(0);
    expect(sent.stdout).toMatch(/^200 OK in \d+ ms\n/);
    expect(sent.stdout).toContain(`${provider}/${scheme}`);
    silent(forged);
    expect(forged.code).toBe(1);
    const report = JSON.parse(forged.stdout);
    expect(report).toMatchObject({
      ok: false,
      statuses: { 403: 1 },
      scheme: `${provider}/${scheme}`,
    });
  });

  it('pays the order that the options name', async () => {
    const to = `${shop.url}/webhooks/hitpay`;
    const { code } = await run(
      `send hitpay --to ${to} --reference SG-2001 --amount 599.00 --currency SGD`.split(' '),
    );
    expect(code).toBe(0);
    expect(await (await fetch(`${shop.url}/orders/SG-2001`)).json()).toMatchObject({ paid: true });
  });

  it('--times --parallel --json: counts every answer', async () => {
    const to = `${shop.url}/webhooks/hatexcard`;
    const result = await run(`send hatexcard --to ${to} --times 60 --parallel 8 --json`.split(' '));
    expect(result.code, result.stderr).toBe(0);
    silent(result);
    const report = JSON.parse(result.stdout);
    expect(report).toMatchObject({ ok: true, deliveries: 60, statuses: { 200: 60 } });
    expect(report.milliseconds.median).toBeLessThanOrEqual(report.milliseconds.max);
  });
});

describe('payproof send', () => {
  let server: Server;
  let url: string;
  const events: unknown[] = [];
  let answers: number[] = [];
  const bodies: string[] = [];
  /** Called with each timestamp that came to /flaky. */
  let stamped = (_timestamp: number): void => {};

  beforeAll(async () => {
    const judges = {
      '/hatexcard': paymentWebhook(hatexcard({ secret: SECRETS.HATEXCARD_SECRET })),
      '/hitpay': paymentWebhook(
        hitpay({ salt: SECRETS.HITPAY_SALT, eventSalt: SECRETS.HITPAY_EVENT_SALT }),
      ),
      '/bearer': paymentWebhook(dexchange({ bearer: { token: SECRETS.DEXCHANGE_BEARER_TOKEN } })),
      '/signature': paymentWebhook(
        dexchange({ signature: { header: 'x-sig', secret: SECRETS.DEXCHANGE_SIGNATURE_SECRET } }),
      ),
    };
    server = createServer((req, res) => {
      const path = (req.url ?? '').split('?', 1)[0] as keyof typeof judges | '/flaky';
      if (path === '/flaky') {
        let body = '';
        req.on('data', (chunk) => {
          body += chunk;
        });
        req.on('end', () => {
          bodies.push(body);
          stamped(Number(req.headers['x-hatex-timestamp']));
          res.writeHead(answers.shift() ?? 200);
          res.end('\u001b[31mred\u001b[0m <b>bold</b> <style>p{}</style>');
        });
        return;
      }
      if (path === ('/moved' as string)) return void res.writeHead(307, { location: '/x' }).end();
      if (path === ('/mute' as string)) return;
      if (path === ('/switch' as string)) {
        const head =
          'HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n';
        return void req.socket.write(head);
      }
      if (path.startsWith('//')) return void res.end(`at ${path}`);
      if (path === ('/echo' as string)) {
        res.writeHead(307, { location: `https://shop.example${req.url}` });
        const { authorization = '', ...headers } = req.headers;
        const said = [
          authorization,
          encodeURIComponent(authorization),
          headers['x-hatex-signature'],
        ];
        return void res.end(`<pre>${said.join(' ')}</pre>`);
      }
      if (path === ('/page' as string)) {
        const { authorization = '' } = req.headers;
        const ways = [
          (text: string) => text.replace(/["&'+<>]/g, (c) => NAMED_ENTITIES[c] ?? c),
          (text: string) => text.replace(/\W/g, (c) => `&#${c.charCodeAt(0)};`),
          (text: string) => text.replace(/\W/g, (c) => `&#x${c.charCodeAt(0).toString(16)};`),
          (text: string) => text.replace(/\W/g, (c) => `&#0${c.charCodeAt(0)};`),
          (text: string) => text.replace(/\W/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`),
          (text: string) => text.toUpperCase(),
          (text: string) => encodeURIComponent(text).toLowerCase(),
        ];
        return void res.end(ways.map((way) => way(authorization)).join('\n'));
      }
      if (path === ('/cut' as string)) {
        res.writeHead(200, { 'content-length': '100' });
        res.write('x', () => res.destroy());
        return;
      }
      if (path === ('/long' as string)) return void res.end('y'.repeat(200_000));
      judges[path as '/hitpay'](req, res, (error) => {
        if (!error) events.push((req as unknown as { paymentEvent: unknown }).paymentEvent);
        res.writeHead((error as { status?: number })?.status ?? 200).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  const send = (line: string, terminal = {}) =>
    inProcess(['send', ...line.replaceAll('URL', url).split(' ')], terminal);

  it.each([
    'hatexcard --to URL/hatexcard',
    'hatexcard --to URL/hatexcard --scheme body --kind ping',
    'hitpay --to URL/hitpay --kind recurring_billing --status succeeded',
    'hitpay --to URL/hitpay --phone +6591234567 --status pending',
    'hitpay --to URL/hitpay --scheme event --kind charge.updated --amount 10 --refunded 5',
    'dexchange --to URL/bearer --scheme bearer --transaction TID --status EXPIRED',
    'dexchange --to URL/signature --scheme signature --header X-Sig',
  ])('%s: is verified', async (line) => {
    const before = events.length;
    const result = await send(line);
    silent(result);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(events).toHaveLength(before + 1);
  });

  it.each([
    ['hatexcard --to URL/hatexcard --expire', { 403: 1 }, 0],
    ['hitpay --to URL/hitpay --recut', { 403: 1 }, 0],
    ['hatexcard --to URL/hatexcard --replay', { 200: 2 }, 1],
    ['hatexcard --to URL/hatexcard --duplicate', { 200: 2 }, 1],
    ['hitpay --to URL/hitpay --out-of-order', { 200: 2 }, 2],
  ])('%s: is answered %j, handled %i times', async (line, statuses, handled) => {
    const before = events.length;
    const result = await send(`${line} --json`);
    expect(JSON.parse(result.stdout)).toMatchObject({ statuses });
    expect(result.code).toBe(403 in statuses ? 1 : 0);
    expect(events).toHaveLength(before + handled);
  });

  it('--payment-id with --times: is one payment', async () => {
    const before = events.length;
    await send('hitpay --to URL/hitpay --payment-id p-1 --times 3');
    expect(events).toHaveLength(before + 1);
  });

  it('keeps the query of the route', async () => {
    expect(await send('hitpay --to URL/hitpay?shop=7')).toMatchObject({ code: 0 });
  });

  it('--retry: delivers again, signed anew, until it is answered 2xx', async () => {
    answers = [500, 503];
    bodies.length = 0;
    const result = await send('hatexcard --to URL/flaky --retry --retry-wait 0');
    expect(result.code).toBe(0);
    expect(result.stdout).toContain('attempts  3');
    expect(result.stderr).toContain('attempt 1 of 6: 500; again in 0 s');
    expect(new Set(bodies).size).toBe(3);
  });

  it.each([
    ['', 0],
    [' --expire', 600],
    [' --duplicate', 0],
  ])('--retry%s: each is signed with the time of its attempt, less %i s', async (more, age) => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => {
      vi.useRealTimers();
      stamped = () => {};
    });
    const ages: number[] = [];
    stamped = (timestamp) => {
      ages.push(Math.round(Date.now() / 1000 - timestamp));
      vi.advanceTimersByTime(224_000);
    };
    answers = [200, 500, 500, 500, 500];
    if (more !== ' --duplicate') answers.shift();
    await send(`hatexcard --to URL/flaky --retry --retry-wait 0${more}`);
    expect(ages.length).toBeGreaterThan(4);
    // The redelivery is made, though not sent, together with the first.
    if (more === ' --duplicate') ages.splice(1, 1);
    for (const one of ages) expect(Math.abs(one - age)).toBeLessThanOrEqual(1);
  });

  it.each([
    'hatexcard --tamper',
    'hitpay --tamper',
    'hitpay --recut',
    'dexchange --tamper',
  ])('--retry: is refused with what is altered on the way: %s', async (line) => {
    bodies.length = 0;
    const { code, stderr } = await send(`${line} --retry --to URL/flaky`);
    expect(code).toBe(2);
    expect(stderr).toContain('the provider would deliver the genuine one again');
    expect(bodies).toEqual([]);
  });

  it.each([
    ['dexchange --scheme signature --to URL/flaky --header', 'bad header', '--header'],
    ['dexchange --scheme bearer --to URL/flaky --header', 'bad\nheader', '--header'],
    ['dexchange --scheme bearer --to URL/flaky --header', '', '--header'],
  ])('what cannot stand in a header is told before anything is sent: %s %j', async (line, name, told) => {
    bodies.length = 0;
    const argv = [...line.replace('URL', url).split(' '), name];
    const { code, stderr } = await inProcess(['send', ...argv]);
    expect(code).toBe(2);
    expect(stderr).toContain(told);
    expect(bodies).toEqual([]);
  });

  it.each([
    'canary\ntoken',
    'canary-\u20ac',
    'canary\u0000',
  ])('a token that cannot stand in a header is told, not shown: %j', async (token) => {
    bodies.length = 0;
    const env = { DEXCHANGE_BEARER_TOKEN: token };
    const line = 'dexchange --scheme bearer --to URL/flaky --times 3 --parallel 3';
    const { code, stdout, stderr } = await send(line, { env });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('cannot stand in a header');
    expect(stderr).not.toContain('canary');
    expect(bodies).toEqual([]);
  });

  it('--retry: ends after the provider’s number', async () => {
    for (const [provider, attempts] of [
      ['hatexcard', 6],
      ['hitpay', 3],
    ]) {
      answers = Array(10).fill(500);
      const line = `${provider} --to URL/flaky --retry --retry-wait 0 --json --quiet`;
      const { code, stdout, stderr } = await send(line);
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
      expect(JSON.parse(stdout).answers[0].attempts).toBe(attempts);
    }
  });

  it('tells the provider’s rule where it was refused', async () => {
    answers = [500];
    const { code, stderr } = await send('hatexcard --to URL/flaky');
    expect(code).toBe(1);
    expect(stderr).toContain('would deliver this up to 6 times (--retry does)');
  });

  it('shows an answer without its markup and escapes', async () => {
    answers = [200];
    const { stdout } = await send('hitpay --to URL/flaky');
    expect(stdout).toContain('red [0m bold');
    expect(stdout).not.toContain('\u001b');
    expect(stdout).not.toContain('<b>');
  });

  it('follows no redirect', async () => {
    const { code, stdout } = await send('hitpay --to URL/moved');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^307 Temporary Redirect.*location +\/x/s);
  });

  it('stays with the host of --to where the path begins with two slashes', async () => {
    const { code, stdout } = await send('hatexcard --to URL//other.example/webhooks');
    expect(code).toBe(0);
    expect(stdout).toContain('at //other.example/webhooks');
  });

  it.each([
    'dexchange --scheme bearer --to URL/echo',
    'dexchange --to URL/echo?a=1',
    'hatexcard --to URL/echo',
  ])('shows *** where the answer repeats what proves a delivery: %s', async (line) => {
    for (const more of ['', ' --json']) {
      const result = await send(line + more);
      for (const secret of Object.values(SECRETS)) expect(result.stdout).not.toContain(secret);
      expect(result.stdout).not.toMatch(/[0-9a-f]{64}|[\w-]{43}/);
      if (!more) expect(result.stdout).toContain('***');
    }
  });

  it('shows *** where a page escapes what it repeats, or changes its case', async () => {
    const token = `canary&"quoted"'<t>+x/y=z`;
    for (const more of ['', ' --json']) {
      const env = { DEXCHANGE_BEARER_TOKEN: token };
      const { stdout } = await send(`dexchange --scheme bearer --to URL/page${more}`, { env });
      expect(stdout).toContain('***');
      expect(stdout).not.toMatch(/canary|quoted/i);
    }
  });

  it('an answer that breaks off, never comes, is endless, or has no server', async () => {
    expect(await send('hitpay --to URL/cut')).toMatchObject({ code: 1 });
    expect((await send('hitpay --to URL/long --json')).stdout).toContain('yyy...');
    const closed = await send('hitpay --to http://127.0.0.1:9/ --json');
    expect(JSON.parse(closed.stdout).answers[0]).toMatchObject({
      status: null,
      error: 'ECONNREFUSED',
    });
    const mute = await send('hitpay --to URL/mute --timeout 1');
    expect(mute.code).toBe(1);
    expect(mute.stdout).toContain('not answered: ETIMEDOUT');
    const switched = await send('hitpay --to URL/switch --timeout 1');
    expect(switched.code).toBe(1);
    expect(switched.stdout).toContain('not answered: EPROTO');
  });

  it('https: speaks TLS', async () => {
    const { code, stdout } = await send(`hitpay --to ${url.replace('http', 'https')}/ --json`);
    expect(code).toBe(1);
    expect(JSON.parse(stdout).answers[0].error).toMatch(/EPROTO|SSL|ECONNRESET/);
  });

  it('--quiet: says nothing, the code tells', async () => {
    expect(await send('hitpay --to URL/hitpay --quiet')).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
    expect(await send('hitpay --to URL/hitpay --tamper -q')).toEqual({
      code: 1,
      stdout: '',
      stderr: '',
    });
  });

  it('on a terminal: colours, and a bar for --times; elsewhere neither', async () => {
    const shown = await send('hitpay --to URL/hitpay --times 20 --parallel 4', { isTTY: true });
    expect(shown.stderr).toContain('[########################################] 20/20 100 %');
    expect(shown.stderr.endsWith('\r\u001b[K')).toBe(true);
    expect(shown.stdout).toContain('\u001b[32m200\u001b[39m');
    expect(shown.stdout).toMatch(/20 deliveries in [\d.]+ s \(\d+ a second\), 4 at once/);
    const plain = await send('hitpay --to URL/hitpay --times 20 --parallel 4');
    expect(plain.stderr).toBe('');
    expect(plain.stdout).not.toContain('\u001b');
  });

  it('NO_COLOR and a dumb terminal: no colours', async () => {
    for (const more of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      const { stdout } = await send('hitpay --to URL/hitpay', {
        isTTY: true,
        env: { ...SECRETS, ...more },
      });
      expect(stdout).not.toContain('\u001b');
    }
  });

  it('asks for the secret on a terminal, and does not show it', async () => {
    const typed = `${SECRETS.HITPAY_SALT}\n`;
    const result = await send('hitpay --to URL/hitpay', { env: {}, typed });
    silent(result);
    expect(result).toMatchObject({ code: 0, stderr: 'HITPAY_SALT (not shown): \n' });
    for (const nothing of ['', '\n', '\u0003']) {
      expect(await send('hitpay --to URL/hitpay', { env: {}, typed: nothing })).toMatchObject({
        code: 2,
      });
    }
  });

  it('asks so in a real terminal too', () => {
    const script = `
import os, pty, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvpe(sys.argv[1], sys.argv[1:], {'PATH': os.environ['PATH'], 'TERM': 'xterm'})
seen = b''
sent = False
while True:
    try: chunk = os.read(fd, 4096)
    except OSError: break
    if not chunk: break
    seen += chunk
    if b'not shown' in seen and not sent:
        sent = True
        time.sleep(0.3)
        os.write(fd, ${JSON.stringify(SECRETS.HITPAY_SALT)}.encode() + b'\\r')
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
    const argv = [process.execPath, BIN, 'send', 'hitpay', '--to', 'http://127.0.0.1:9/'];
    let output = '';
    try {
      output = execFileSync('python3', ['-c', script, ...argv], { cwd: ROOT, encoding: 'utf8' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return; // no Python here
      output = String((error as { stdout?: unknown }).stdout);
    }
    expect(output).toContain('HITPAY_SALT (not shown): ');
    expect(output).toContain('not answered: ECONNREFUSED');
    expect(output).not.toContain(SECRETS.HITPAY_SALT);
  });
});
