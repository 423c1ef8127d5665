// Makes the transcripts of docs/cli.md by running the commands against examples/express.
//   node scripts/cli-transcripts.mjs           writes them
//   node scripts/cli-transcripts.mjs --check   compares their stable parts, and writes nothing
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { signed } from 'payproof/testing';

const root = fileURLToPath(new URL('..', import.meta.url));
const document = join(root, 'docs/cli.md');
const env = {
  PATH: process.env.PATH,
  HATEXCARD_SECRET: 'whsec_5f2d8c1a9b3e4f60718293a4b5c6d7e8f9a0b1c2d3e4f506',
  HITPAY_SALT: 'JwKx7pVqT2rNb9sLdYf4hGm6cZ3aQe8u',
  HITPAY_EVENT_SALT: 'u8Qe3aZc6mGh4fYdLs9bNr2TqVp7xKwJ',
  DEXCHANGE_CALLBACK_SECRET: 'b3f0c9d27a514e8896fbd1c2e3a4f506',
};
const at = new Date('2026-11-02T10:00:00Z');

/** @typedef {{ code: number | null, stdout: string, stderr: string, both: string }} Output */

/** @type {(argv: string[], more?: Record<string, string>) => { child: import('node:child_process').ChildProcess, ended: Promise<Output> }} */
function start(argv, more = {}) {
  const child = spawn(process.execPath, [join(root, 'dist/cli/payproof.js'), ...argv], {
    cwd: directory,
    env: { ...env, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '', both: '' };
  for (const name of /** @type {const} */ (['stdout', 'stderr'])) {
    child[name].on('data', (chunk) => {
      output[name] += chunk;
      output.both += chunk;
    });
  }
  return { child, ended: once(child, 'close').then(([code]) => ({ code, ...output })) };
}

const directory = mkdtempSync(join(tmpdir(), 'payproof-transcripts-'));
const shop = spawn(process.execPath, ['examples/express/server.mjs'], {
  cwd: root,
  env: { ...env, PORT: '0' },
  stdio: ['ignore', 'pipe', 'ignore'],
});
/** @type {string} */
const url = await new Promise((resolve) => {
  createInterface({ input: shop.stdout }).on('line', (line) => {
    if (line.startsWith('listening on ')) resolve(line.slice('listening on '.length));
  });
});
const SHOWN = 'http://localhost:3000';

/** @type {(command: string, more?: Record<string, string>) => Promise<string>} */
async function transcript(command, more) {
  const argv = command.split(/ (?:\\\n +)?/).map((word) => word.replace(SHOWN, url));
  const { code, stdout, stderr } = await start(argv, more).ended;
  const set = Object.keys(more ?? {}).map((name) => `${name}='...' `);
  const text = `$ ${set.join('')}npx payproof ${command}\n${stderr}${stdout.replaceAll(url, SHOWN)}`;
  return `${text.trimEnd()}\n$ echo $?\n${code}\n`;
}

/** Requests as a merchant has saved them. */
function save() {
  const paymentId = 'HTX-8FA3C2';
  const hatexcard = signed(
    { provider: 'hatexcard', scheme: 'timestamped', secret: env.HATEXCARD_SECRET, at },
    { reference: 'HT-1001', amount: '1500.00', paymentId },
  );
  const headers = Object.entries(hatexcard.headers).map(([name, value]) => `${name}: ${value}\n`);
  const head = `POST ${hatexcard.path} HTTP/1.1\nhost: shop.example\n${headers.join('')}`;
  const bytes = Buffer.byteLength(hatexcard.body);
  writeFileSync(
    join(directory, 'request.http'),
    `${head}content-length: ${bytes}\n\n${hatexcard.body}`,
  );
  const form = signed(
    { provider: 'hitpay', scheme: 'form', secret: env.HITPAY_SALT, at },
    { reference: 'SG-2001', paymentId: '92965a2d-ece3-4ace-8245-494050c9a3c1' },
  );
  // Somebody's proxy dropped the field that was empty.
  const body = form.body.replace('phone=&', '');
  writeFileSync(
    join(directory, 'request.sh'),
    `curl 'https://shop.example${form.path}' \\\n  -H 'content-type: ${form.headers['content-type']}' \\\n  --data-raw '${body}'\n`,
  );
  const event = signed(
    { provider: 'hitpay', scheme: 'event', secret: env.HITPAY_EVENT_SALT, at },
    {
      kind: 'charge.created',
      reference: 'SG-2003',
      paymentId: '9d0f6b57-2a1c-4b8e-9a55-61c0f2a7be04',
    },
  );
  const request = {
    method: 'POST',
    url: `https://shop.example${event.path}`,
    headers: Object.entries(event.headers).map(([name, value]) => ({ name, value })),
    postData: { mimeType: 'application/json', text: JSON.stringify(JSON.parse(event.body)) },
  };
  const entries = [{ startedDateTime: at.toISOString(), request }];
  writeFileSync(join(directory, 'request.har'), JSON.stringify({ log: { entries } }));
}

async function listening() {
  const { child, ended } = start(['listen', '--provider', 'hitpay', '--port', '0']);
  /** @type {string} */
  const there = await new Promise((resolve) => {
    child.stderr?.on('data', (chunk) => {
      const [, found] = /listening on (\S+)/.exec(String(chunk)) ?? [];
      if (found) resolve(found);
    });
  });
  const to = `${there}/webhooks/hitpay`;
  const id = '92965a2d-ece3-4ace-8245-494050c9a3c1';
  const good = ['send', 'hitpay', '--to', to, '--reference', 'SG-2001', '--payment-id', id];
  await start(good).ended;
  await start(good, { HITPAY_SALT: `"${env.HITPAY_SALT}"` }).ended;
  await new Promise((resolve) => setTimeout(resolve, 500));
  child.kill('SIGINT');
  const { both, code } = await ended;
  const text = both.replaceAll(there, SHOWN);
  return `$ npx payproof listen --provider hitpay\n${text}$ echo $?\n${code}\n`;
}

/** @type {Record<string, () => Promise<string>>} */
const TRANSCRIPTS = {
  help: () => transcript('--help'),
  send: () =>
    transcript(
      `send hatexcard --to ${SHOWN}/webhooks/hatexcard \\\n    --reference HT-1001 --amount 1500.00`,
    ),
  'send-event': () =>
    transcript(
      `send hitpay --scheme event --kind charge.updated --refunded 599.00 \\\n    --to ${SHOWN}/webhooks/hitpay`,
    ),
  'send-dexchange': () =>
    transcript(
      `send dexchange --to ${SHOWN}/webhooks/dexchange \\\n    --reference SN-3001 --amount 5000 --status SUCCESS`,
    ),
  'send-tamper': () => transcript(`send hitpay --to ${SHOWN}/webhooks/hitpay --tamper`),
  'send-duplicate': () => transcript(`send hatexcard --to ${SHOWN}/webhooks/hatexcard --duplicate`),
  'send-times': () =>
    transcript(`send hitpay --to ${SHOWN}/webhooks/hitpay --times 200 --parallel 8`),
  'send-json': () => transcript(`send hitpay --to ${SHOWN}/webhooks/hitpay --json`),
  'explain-good': () => transcript('explain --provider hatexcard request.http'),
  'explain-secret': () =>
    transcript('explain --provider hatexcard request.http', {
      HATEXCARD_SECRET: env.HATEXCARD_SECRET.slice('whsec_'.length),
    }),
  'explain-curl': () => transcript('explain --provider hitpay request.sh'),
  'explain-har': () => transcript('explain --provider hitpay request.har --json'),
  listen: listening,
};

/** What differs from run to run, made alike. */
function stable(/** @type {string} */ text) {
  return text
    .replace(/\d+(\.\d+)? ms/g, '# ms')
    .replace(/in [\d.]+ s \(\d+ a second\)/g, 'in # s (# a second)')
    .replace(/\d\d:\d\d:\d\d/g, '#')
    .replace(/"(seconds|median|p95|max|milliseconds)": [\d.]+/g, '"$1": #')
    .replace(/as of \S+Z: now/g, 'as of #: now')
    .replace(/"at": "[^"]*"/g, '"at": #')
    .replace(/\d+ combinations/g, '# combinations');
}

const isCheck = process.argv.includes('--check');
let text = readFileSync(document, 'utf8');
const differing = [];
try {
  save();
  for (const [name, make] of Object.entries(TRANSCRIPTS)) {
    const block = new RegExp(
      `(<!-- transcript: ${name} -->\n\`\`\`console\n)([\\s\\S]*?)(\`\`\`\n)`,
    );
    const [, , old] = block.exec(text) ?? [];
    if (old === undefined) throw new Error(`docs/cli.md has no place for ${name}`);
    const made = await make();
    if (stable(old) !== stable(made)) differing.push(name);
    text = text.replace(block, (_, before, __, after) => before + made + after);
  }
} finally {
  shop.kill('SIGTERM');
  rmSync(directory, { recursive: true });
}
if (!isCheck) writeFileSync(document, text);
console.log(differing.length === 0 ? 'all current' : `differing: ${differing.join(', ')}`);
process.exitCode = isCheck && differing.length > 0 ? 1 : 0;
