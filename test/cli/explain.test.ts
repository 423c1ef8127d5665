import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readRequest } from '../../src/cli/request.ts';
import {
  expired,
  type Scheme,
  type SignedDelivery,
  type Signer,
  signed,
  tampered,
} from '../../src/testing.ts';
import { inProcess, run, SECRETS } from './support.ts';

const at = new Date('2026-11-02T10:00:00Z');
const S = SECRETS;
const SIGNERS: Record<Scheme, Signer> = {
  'hatexcard/timestamped': {
    provider: 'hatexcard',
    scheme: 'timestamped',
    secret: S.HATEXCARD_SECRET,
    at,
  },
  'hatexcard/body': { provider: 'hatexcard', scheme: 'body', secret: S.HATEXCARD_SECRET, at },
  'hitpay/form': { provider: 'hitpay', scheme: 'form', secret: S.HITPAY_SALT, at },
  'hitpay/event': { provider: 'hitpay', scheme: 'event', secret: S.HITPAY_EVENT_SALT, at },
  'dexchange/token': {
    provider: 'dexchange',
    scheme: 'token',
    secret: S.DEXCHANGE_CALLBACK_SECRET,
    at,
  },
  'dexchange/bearer': {
    provider: 'dexchange',
    scheme: 'bearer',
    secret: S.DEXCHANGE_BEARER_TOKEN,
    at,
  },
  'dexchange/signature': {
    provider: 'dexchange',
    scheme: 'signature',
    secret: S.DEXCHANGE_SIGNATURE_SECRET,
    header: 'x-sig',
    at,
  },
};
const SCHEMES = Object.keys(SIGNERS) as Scheme[];

const FORMS: Record<string, (delivery: SignedDelivery) => string> = {
  'raw HTTP': ({ path, headers, body }) => {
    const all = { host: 'shop.example', ...headers, 'content-length': Buffer.byteLength(body) };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
  },
  'a HAR entry': (delivery) => JSON.stringify(har(delivery)),
  'a HAR file': (delivery) => JSON.stringify({ log: { version: '1.2', entries: [har(delivery)] } }),
  curl: ({ path, headers, body }) => {
    const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
    const lines = Object.entries(headers).map(
      ([name, value]) => `-H ${quoted(`${name}: ${value}`)}`,
    );
    return [
      `curl ${quoted(`https://shop.example${path}`)}`,
      '-X POST',
      ...lines,
      `--data-raw ${quoted(body)}`,
    ].join(' \\\n  ');
  },
  'curl with $': ({ path, headers, body }) => {
    const escaped = body.replace(/['\\\u0080-\uffff]/g, (c) =>
      c < '\u0080' ? `\\${c}` : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    const lines = Object.entries(headers).map(([name, value]) => `-H "${name}: ${value}"`);
    return `$ curl -sS ${lines.join(' ')} --data-binary $'${escaped}' "https://shop.example${path}" | jq .`;
  },
};

function har({ path, headers, body }: SignedDelivery) {
  return {
    startedDateTime: at.toISOString(),
    request: {
      method: 'POST',
      url: `https://shop.example${path}`,
      headers: [
        { name: ':method', value: 'POST' },
        ...Object.entries(headers).map(([name, value]) => ({ name, value })),
      ],
      postData: { mimeType: headers['content-type'], text: body },
    },
  };
}

const directory = mkdtempSync(join(tmpdir(), 'payproof-explain-'));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
function saved(text: string | Buffer): string {
  const path = join(directory, `${++files}`);
  writeFileSync(path, text);
  return path;
}

function silent({ stdout, stderr }: { stdout: string; stderr: string }): void {
  for (const secret of Object.values(SECRETS)) expect(stdout + stderr).not.toContain(secret);
}

const argvOf = (scheme: Scheme) => {
  const [provider = '', name = ''] = scheme.split('/');
  return [
    'explain',
    '--provider',
    provider,
    '--scheme',
    name,
    ...(name === 'signature' ? ['--header', 'X-Sig'] : []),
  ];
};

describe.each(SCHEMES)('payproof explain, %s', (scheme) => {
  it.each(Object.keys(FORMS))('%s: verified, refused, and by --json', async (form) => {
    const write = FORMS[form] as (delivery: SignedDelivery) => string;
    const delivery = signed(SIGNERS[scheme], { reference: 'ORDER-7' });
    const good = await inProcess([...argvOf(scheme), saved(write(delivery))]);
    silent(good);
    expect(good.code, good.stdout).toBe(0);
    expect(good.stdout).toMatch(new RegExp(`^verified {2}${scheme}\n`));
    expect(good.stdout).toContain('ORDER-7');

    const broken = await inProcess([...argvOf(scheme), '--json', saved(write(tampered(delivery)))]);
    silent(broken);
    const result = JSON.parse(broken.stdout);
    expect(broken.code).toBe(1);
    expect(result).toMatchObject({
      verified: false,
      status: 403,
      code: expect.stringMatching(/_mismatch$/),
    });
    expect(result.diagnosis).toMatchObject({
      cause: expect.any(String),
      confidence: expect.any(String),
    });
  });

  it('as a process of its own: a file, stdin, and a secret that is not right', async () => {
    const text = FORMS['raw HTTP']?.(signed(SIGNERS[scheme])) ?? '';
    const wrong = Object.fromEntries(Object.keys(S).map((name) => [name, 'not-the-secret']));
    const [file, stdin, refused] = await Promise.all([
      run([...argvOf(scheme), '--request', saved(text)]),
      run([...argvOf(scheme), '-', '--quiet'], SECRETS, text),
      run([...argvOf(scheme), '-'], wrong, text),
    ]);
    expect(file).toMatchObject({ code: 0, stdout: expect.stringMatching(/^verified/) });
    expect(file.stderr).toMatch(/^note: Judged as of /);
    expect(stdin).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(refused).toMatchObject({ code: 1, stdout: expect.stringMatching(/^refused/) });
    for (const one of [file, stdin, refused]) silent(one);
    expect(refused.stdout).not.toContain('not-the-secret');
  });
});

describe('payproof explain', () => {
  const form = () => signed(SIGNERS['hitpay/form'], { reference: 'A B', amount: '5.00' });
  const explain = (text: string | Buffer, ...more: string[]) =>
    inProcess(['explain', '--provider', 'hitpay', saved(text), ...more]);
  const raw = (delivery: SignedDelivery) => FORMS['raw HTTP']?.(delivery) ?? '';

  it('says what is wrong as a person reads it', async () => {
    const { stdout } = await inProcess(['explain', '--provider', 'hitpay', saved(raw(form()))], {
      env: { HITPAY_SALT: `${S.HITPAY_SALT}`.slice(0, -1) },
      isTTY: true,
    });
    expect(stdout).toContain('refused');
    expect(stdout).toContain('\u001b[');
    expect(stdout).toMatch(/What to do: /);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThan(110);
  });

  it.each([
    [
      'HITPAY_SALT',
      { HITPAY_SALT: 'wrong', HATEXCARD_SECRET: S.HITPAY_SALT },
      [],
      'HATEXCARD_SECRET',
    ],
    ['--try', { HITPAY_SALT: 'wrong', OLD_SALT: S.HITPAY_SALT }, ['--try', 'OLD_SALT'], 'OLD_SALT'],
  ])('finds a secret of another variable: %s', async (_, env, more, name) => {
    const result = await inProcess(
      ['explain', '--provider', 'hitpay', saved(raw(form())), '--json', ...more],
      { env },
    );
    const { diagnosis } = JSON.parse(result.stdout);
    expect(diagnosis).toMatchObject({ cause: 'secret_other', confidence: 'proven' });
    expect(JSON.stringify(diagnosis.evidence)).toContain(name);
    silent(result);
  });

  it('proves hmac left in, and a salt of the other option', async () => {
    const swapped = { HITPAY_SALT: S.HITPAY_EVENT_SALT, HITPAY_EVENT_SALT: S.HITPAY_SALT };
    const { stdout } = await inProcess(['explain', '--provider', 'hitpay', saved(raw(form()))], {
      env: swapped,
    });
    expect(stdout).toContain('secret_other_option (proven)');
  });

  it('does not take a request for expired because it was saved', async () => {
    const delivery = expired(
      signed(
        SIGNERS['hatexcard/timestamped'] as Signer & {
          provider: 'hatexcard';
          scheme: 'timestamped';
        },
      ),
    );
    const argv = ['explain', '--provider', 'hatexcard', saved(raw(delivery))];
    const own = await inProcess([...argv, '--json']);
    expect(own.code).toBe(0);
    expect(JSON.parse(own.stdout)).toMatchObject({ atSource: 'timestamp', verified: true });
    for (const [time, code] of [
      ['now', 1],
      ['2026-11-02T10:00:00Z', 1],
      ['2026-11-02T09:51:00Z', 0],
      [`${+at / 1000 - 600}`, 0],
    ] as const) {
      const judged = await inProcess([...argv, '--at', time]);
      expect(judged.code, time).toBe(code);
      if (code === 1) expect(judged.stdout).toContain('clock_skew (proven)');
    }
    expect(await inProcess([...argv, '--at', 'yesterday'])).toMatchObject({ code: 2 });
  });

  it('takes the time from the HAR, from Date, or from the clock', async () => {
    const source = async (text: string) =>
      JSON.parse((await explain(text, '--json')).stdout).atSource;
    expect(await source(FORMS['a HAR entry']?.(form()) ?? '')).toBe('har');
    expect(
      await source(raw({ ...form(), headers: { ...form().headers, date: at.toUTCString() } })),
    ).toBe('date');
    expect(await source(raw(form()))).toBe('clock');
    const { request } = har(form());
    expect(await source(JSON.stringify({ startedDateTime: 'x', request }))).toBe('clock');
    expect(await source(JSON.stringify(request))).toBe('clock');
  });

  it('GET, and a compressed body', async () => {
    const got = await explain('GET /webhooks/hitpay HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(got.stdout).toMatch(/method_not_allowed \(405\)[\s\S]*not_post/);
    const headers = { ...form().headers, 'content-encoding': 'gzip' };
    const zipped = await explain(raw({ ...form(), headers }));
    expect(zipped.stdout).toMatch(/content_encoding_unsupported \(415\)[\s\S]*content_encoding/);
  });

  it.each([
    ['a form without its content type', { 'content-type': undefined }, 'content_type (proven)'],
    ['another charset', { 'content-type': 'application/json; charset=iso-8859-1' }, 'content_type'],
    ['a type that nobody sends', { 'content-type': 'text/plain' }, 'content_type'],
  ])('refuses what a route refuses before it looks at the signature: %s', async (_, changed, cause) => {
    const delivery = changed['content-type']?.includes('json')
      ? signed(SIGNERS['hitpay/event'])
      : form();
    const headers = Object.entries({ ...delivery.headers, ...changed }).filter(
      ([, value]) => value,
    );
    const sent = { ...delivery, headers: Object.fromEntries(headers) as Record<string, string> };
    const got = await explain(raw(sent));
    expect(got).toMatchObject({ code: 1 });
    expect(got.stdout).toContain('content_type_unsupported (415)');
    expect(got.stdout).toContain(cause);
  });

  it('refuses a body above the limit of a route, which can be told', async () => {
    const large = signed(SIGNERS['hitpay/event'], { fields: { note: 'x'.repeat(300_000) } });
    const got = await explain(raw(large));
    expect(got).toMatchObject({ code: 1 });
    expect(got.stdout).toMatch(/body_too_large \(413\)[\s\S]*body_too_large \(likely\)/);
    expect(await explain(raw(large), '--limit', '400000')).toMatchObject({ code: 0 });
    const least = await explain(raw(form()), '--limit', '0');
    expect(least).toMatchObject({ code: 2, stderr: expect.stringContaining('--limit') });
  });

  it('a content type that was sent twice counts once, as for Node', async () => {
    const text = raw(form()).replace(
      '\r\n',
      '\r\ncontent-type: application/x-www-form-urlencoded\r\n',
    );
    expect(await explain(text)).toMatchObject({ code: 0 });
  });

  it('several proofs of DExchange: each delivery is judged by its own', async () => {
    const results = await Promise.all(
      (['token', 'bearer', 'signature'] as const).map((name) =>
        inProcess([
          'explain',
          '--provider',
          'dexchange',
          '--header',
          'x-sig',
          saved(raw(signed(SIGNERS[`dexchange/${name}`]))),
        ]),
      ),
    );
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
    const env = { DEXCHANGE_BEARER_TOKEN: S.DEXCHANGE_BEARER_TOKEN };
    const own = {
      provider: 'dexchange',
      scheme: 'bearer',
      secret: S.DEXCHANGE_BEARER_TOKEN,
      header: 'x-key',
    } as const;
    const argv = ['explain', '--provider', 'dexchange', saved(raw(signed(own)))];
    expect(await inProcess([...argv, '--header', 'x-key'], { env })).toMatchObject({ code: 0 });
  });

  it('a delivery of DExchange that lost its token is explained whatever other secrets are set', async () => {
    const { path, ...delivery } = signed(SIGNERS['dexchange/token']);
    const lost = saved(raw({ ...delivery, path: path.split('?', 1)[0] as string }));
    const { DEXCHANGE_CALLBACK_SECRET, DEXCHANGE_BEARER_TOKEN, DEXCHANGE_SIGNATURE_SECRET } = S;
    for (const more of [
      {},
      { DEXCHANGE_BEARER_TOKEN },
      { DEXCHANGE_SIGNATURE_SECRET },
      { DEXCHANGE_BEARER_TOKEN, DEXCHANGE_SIGNATURE_SECRET },
    ]) {
      for (const header of [[], ['--header', 'x-sig']]) {
        const env = { DEXCHANGE_CALLBACK_SECRET, ...more };
        const argv = ['explain', '--provider', 'dexchange', ...header, lost, '--json'];
        const result = await inProcess(argv, { env });
        expect(result.code).toBe(1);
        const { code, diagnosis } = JSON.parse(result.stdout);
        expect(code).toBe('token_missing');
        expect(diagnosis.cause).toBe('query_missing');
        expect(diagnosis.others[0]).toMatchObject({
          cause: 'token_missing',
          evidence: ['The option is token.secret.'],
        });
      }
    }
  });

  it('a delivery of another provider is told as such by each number of DExchange secrets', async () => {
    const stranger = saved(raw(form()));
    for (const env of [{ DEXCHANGE_CALLBACK_SECRET: S.DEXCHANGE_CALLBACK_SECRET }, SECRETS]) {
      const argv = ['explain', '--provider', 'dexchange', '--header', 'x-sig', stranger, '--json'];
      const { code, diagnosis } = JSON.parse((await inProcess(argv, { env })).stdout);
      expect(code).toBe('content_type_unsupported');
      expect(diagnosis).toMatchObject({ cause: 'other_provider' });
    }
  });

  it('without the name of its header the signature of DExchange is left out, with a note', async () => {
    const argv = [
      'explain',
      '--provider',
      'dexchange',
      saved(raw(signed(SIGNERS['dexchange/token']))),
    ];
    const { code, stdout, stderr } = await inProcess(argv);
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^verified {2}dexchange\/token/),
    });
    expect(stderr).toContain('note: DEXCHANGE_SIGNATURE_SECRET is left out');
    const json = await inProcess([...argv, '--json']);
    expect(JSON.parse(json.stdout).notes).toEqual([expect.stringContaining('--header')]);
    for (const [more, env] of [
      [['--scheme', 'signature'], SECRETS],
      [[], { DEXCHANGE_SIGNATURE_SECRET: S.DEXCHANGE_SIGNATURE_SECRET }],
    ] as const) {
      const asked = await inProcess([...argv, ...more], { env });
      expect(asked).toMatchObject({ code: 2, stderr: expect.stringContaining('--header: name') });
    }
  });

  it('asks for the secret on a terminal, but not where stdin is the request', async () => {
    const typed = `${S.HITPAY_SALT}\n`;
    const argv = ['explain', '--provider', 'hitpay', '--scheme', 'form'];
    const asked = await inProcess([...argv, saved(raw(form()))], { env: {}, typed });
    expect(asked).toMatchObject({ code: 0 });
    silent(asked);
    expect(await inProcess([...argv, '-'], { env: {}, typed: raw(form()) })).toMatchObject({
      code: 2,
    });
  });

  it('an entry of a HAR file with several', async () => {
    const text = JSON.stringify({ log: { entries: [har(tampered(form())), har(form())] } });
    expect(await explain(text, '--entry', '1')).toMatchObject({ code: 1 });
    expect(await explain(text, '--entry', '2')).toMatchObject({ code: 0 });
    for (const more of [[], ['--entry', '3']]) {
      const { code, stderr } = await explain(text, ...more);
      expect(code).toBe(2);
      expect(stderr).toContain('the HAR has 2 entries');
    }
  });
});

describe('readRequest', () => {
  const read = (text: string | Buffer, entry?: number) => readRequest(Buffer.from(text), entry);
  const bodyOf = (text: string) => read(text).body.toString();

  it('raw HTTP: headers in any case, more than once, the body byte for byte', () => {
    const head = 'POST /a?b=%20c HTTP/1.1\nX-A: 1\nx-a:  2 \n\n';
    const request = read(Buffer.concat([Buffer.from(head), Buffer.from([0, 255, 13, 10, 65])]));
    expect(request).toMatchObject({ method: 'POST', url: '/a?b=%20c', notes: [] });
    expect({ ...request.headers }).toEqual({ 'x-a': ['1', '2'] });
    expect([...request.body]).toEqual([0, 255, 13, 10, 65]);
  });

  it('raw HTTP: a URL in absolute form, without version, without body', () => {
    expect(read('\n\nPOST http://x/y#z').url).toBe('/y');
    expect(read('POST http://x?q').url).toBe('/?q');
    expect(read('POST /y\nA: b').body).toHaveLength(0);
  });

  it('raw HTTP: what an editor did to the end', () => {
    expect(read('POST / HTTP/1.1\n\nbody\n')).toMatchObject({
      notes: [expect.stringContaining('left out')],
    });
    expect(bodyOf('POST / HTTP/1.1\n\nbody\n')).toBe('body');
    expect(bodyOf('POST / HTTP/1.1\nContent-Length: 2\n\nbody')).toBe('bo');
    const short = read('POST / HTTP/1.1\nContent-Length: 9\n\nbody');
    expect(short.notes).toEqual(['Content-Length is 9, but the file holds 4 bytes of body.']);
  });

  it.each([
    '-5',
    '',
    '0x10',
    '1e1',
    '4.5',
    '+4',
    '4, 4',
    '9'.repeat(20),
  ])('raw HTTP: a Content-Length that is no number counts for nothing: %j', (length) => {
    const { body, notes } = read(`POST / HTTP/1.1\nContent-Length: ${length}\n\nbody`);
    expect(body.toString()).toBe('body');
    expect(notes).toEqual(['Content-Length is no number of bytes: it is ignored.']);
  });

  it.each([
    ['little-endian', (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['big-endian', (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le').swap16()],
  ])('a file in UTF-16, as of PowerShell: %s', (_, encoded) => {
    const http = read(encoded('POST /y HTTP/1.1\r\nA: b\r\nContent-Length: 3\r\n\r\né\n'));
    expect(http).toMatchObject({
      method: 'POST',
      notes: ['The file is UTF-16: its body is taken as UTF-8.'],
    });
    expect(http.body.toString()).toBe('é\n');
    expect(read(encoded('curl http://x/y -d é')).body.toString()).toBe('é');
    expect(read(encoded('{"request":{"method":"POST","url":"/y"}}')).url).toBe('/y');
    expect(() => read(encoded(''))).toThrow('is empty');
    expect(() => read(Buffer.concat([encoded('x'), Buffer.from('y')]))).toThrow('no request');
  });

  it.each([
    ['curl', '\n'],
    ['curl.exe', '\r\n'],
  ])('curl for cmd.exe, as Chrome copies it: %s', (name, end) => {
    const body = `{"a":"1 < 2 & 3 | 50% %PATH% $HOME \`x\` !","b":"c\\\\d\\n^ 'é'"}\n{}`;
    const argument = (text: string) =>
      `^"${text
        .replace(/\\/g, '\\\\')
        .replace(/"/g, '\\"')
        .replace(/[^a-zA-Z0-9\s_\-:=+~'/.',?;()*`]/g, '^$&')
        .replace(/%(?=[a-zA-Z0-9_])/g, '%^')
        .replace(/\r?\n/g, `^${end}${end}`)}^"`;
    const lines = [
      `${name} ${argument('https://shop.example/y?a=b&c=%20')}`,
      `-H ${argument('content-type: application/json')}`,
      `--data-raw ${argument(body)}`,
    ];
    const request = read(lines.join(` ^${end}  `));
    expect(request).toMatchObject({
      method: 'POST',
      url: '/y?a=b&c=%20',
      headers: { 'content-type': ['application/json'] },
    });
    expect(request.body.toString()).toBe(body.replaceAll('\n', end));
  });

  it('raw HTTP: chunks', () => {
    const head = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';
    expect(bodyOf(`${head}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n`)).toBe('abcde');
    for (const odd of ['abc', '3\r\nabcde', '3\r\nabc']) {
      expect(read(head + odd)).toMatchObject({ notes: [expect.stringContaining('no chunks')] });
      expect(bodyOf(head + odd)).toBe(odd);
    }
  });

  it('HAR: base64, parsed fields, no body, a header that only postData knows', () => {
    const request = (postData?: object) =>
      read(JSON.stringify({ request: { method: 'post', url: 'http://x/y', postData } }));
    expect(request({ text: 'YWJj', encoding: 'base64' }).body.toString()).toBe('abc');
    const form = request({ mimeType: 'a/b', params: [{ name: 'a', value: 'b c' }, { name: 'd' }] });
    expect(form.body.toString()).toBe('a=b+c&d=');
    expect(form).toMatchObject({
      method: 'POST',
      headers: { 'content-type': ['a/b'] },
      notes: [expect.any(String)],
    });
    expect(request().body).toHaveLength(0);
  });

  it('HAR: what is no header and no field is left out', () => {
    const request = { method: 'POST', url: '/y', headers: [null, 1, { name: 'A', value: 'b' }] };
    const postData = { params: [null, 'x', { name: 'a', value: 'b' }] };
    const { headers, body } = read(JSON.stringify({ request: { ...request, postData } }));
    expect({ ...headers }).toEqual({ a: ['b'] });
    expect(body.toString()).toBe('a=b');
  });

  it('HAR: names and values that are no texts', () => {
    const headers = [
      { name: { toString: 1 }, value: 'b' },
      { name: 'n', value: 5 },
    ];
    const postData = { params: [{ name: 'a', value: { toString: 1 } }] };
    const request = { method: 'POST', url: '/y', headers, postData };
    const saved = read(JSON.stringify({ request }));
    expect({ ...saved.headers }).toEqual({ '{"tostring":1}': ['b'], n: ['5'] });
    expect(saved.body.toString()).toBe('a=%7B%22toString%22%3A1%7D');
  });

  it('takes sixty thousand headers of one name', () => {
    const { headers } = read(`POST / HTTP/1.1\n${'a: b\n'.repeat(60_000)}\n`);
    expect(headers.a).toHaveLength(60_000);
  });

  it.each([
    ['double quotes', `"${'a'.repeat(12_000_000)}"`],
    ['ANSI quotes', `$'${'a'.repeat(12_000_000)}'`],
  ])('curl: a body of 12 MB in %s', (_, body) => {
    expect(read(`curl http://x/y -d ${body}`).body).toHaveLength(12_000_000);
  });

  it.each([
    [`curl x.example/y -d a=1 -d b=2`, 'POST', 'a=1&b=2', 'application/x-www-form-urlencoded'],
    [`curl --url=http://x/y --json '{"a":1}'`, 'POST', '{"a":1}', 'application/json'],
    [`curl -sSXPUT http://x/y -dz -HX-A:b`, 'PUT', 'z', 'application/x-www-form-urlencoded'],
    [
      `curl http://x/y --data-urlencode 'a=b c&' --data-urlencode '=d e' --data-urlencode 'f g'`,
      'POST',
      'a=b+c%26&d+e&f+g',
      'application/x-www-form-urlencoded',
    ],
    [
      `curl http://x/y -H 'Content-Type: text/x' --data "a\\"b\\$c\\\nd"`,
      'POST',
      'a"b$cd',
      'text/x',
    ],
    [
      `curl http://x/y --data-raw $'\\x41\\u00e9\\U0001F600\\n\\'\\q\\U99999999' `,
      'POST',
      "Aé😀\n'\\q\ufffd",
      'application/x-www-form-urlencoded',
    ],
    [
      `curl http://x/y --data-raw $'caf\\xc3\\xA9 caf\\303\\251 \\101\\\\x41\\0601\\e\\a'`,
      'POST',
      'café café A\\x4101\u001b\u0007',
      'application/x-www-form-urlencoded',
    ],
    [
      `curl http://x/y --data-raw @b -o out --compressed && echo done`,
      'POST',
      '@b',
      'application/x-www-form-urlencoded',
    ],
    [
      `> curl.exe -k http://x/y -da\\ b & other`,
      'POST',
      'a b',
      'application/x-www-form-urlencoded',
    ],
  ])('curl: %s', (text, method, body, type) => {
    const request = read(text);
    expect(request).toMatchObject({ method, url: '/y', headers: { 'content-type': [type] } });
    expect(request.body.toString()).toBe(body);
  });

  it('curl: options that are headers', () => {
    const { headers, method } = read(
      `curl http://x/ -A agent -b c=d -e ref -u me:pw -H 'Empty;' -H 'Gone:' -H nonsense -m 5 - http://z`,
    );
    expect(method).toBe('GET');
    expect({ ...headers }).toEqual({
      'user-agent': ['agent'],
      cookie: ['c=d'],
      referer: ['ref'],
      authorization: ['Basic bWU6cHc='],
      empty: [''],
    });
  });

  it.each([
    ['', 'is empty'],
    ['hello', 'this is no request'],
    ['POST / HTTP/1.1\nnonsense\n\n', 'no header'],
    ['{"a":', 'no JSON'],
    ['{"a":1}', 'no HAR entry'],
    ['{"log":{"entries":[]}}', '0 entries'],
    ['{"log":{"entries":[null]}}', 'no HAR entry'],
    ['{"log":{"entries":["x"]}}', 'no HAR entry'],
    ['{"request":{"method":"POST","url":"http://["}}', 'cannot be read'],
    ['curl', 'this is no request'],
    ['curl -d x', 'no URL'],
    ['curl http://x -d', 'has no value'],
    ['curl http://x -d @file', 'another file'],
    ['curl http://x -F a=b', 'makes no request'],
    ["curl http://x -d 'a", 'no partner'],
    [String.raw`curl http://x -d $'caf\xe9'`, 'not UTF-8'],
    ['curl "http://x" ^\n  -d "{""a"":1}"', 'cmd.exe'],
    ['curl "http://x" -d "a" ^\r\n -k', 'cmd.exe'],
    ['curl http://x -d "$body"', 'shell variables'],
    ['curl http://x -d $body', 'shell variables'],
    ['curl http://x -d "`date`"', 'shell variables'],
  ])('refuses %j', (text, message) => {
    expect(() => read(text)).toThrow(message);
  });
});
