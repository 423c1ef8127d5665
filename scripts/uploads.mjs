// Endless uploads at once against a real server: how soon each attacker is answered and cut, how much
// memory the server needs meanwhile, and how long a good client waits. Needs the built package. All on
// this machine; attackers and the good client are processes of their own, and everything ends after
// 60 seconds at the latest.
//
//   node scripts/uploads.mjs [--framework express5|koa3]... [--uploads 1000] [--json]
import { fork } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const SECRET = 'whsec_not-a-real-secret';
const MEGABYTE = 1024 * 1024;
/** The middleware's own default. */
const LIMIT = 256 * 1024;
/** When an attacker gives up. */
const PATIENCE = 30_000;
/** What is promised: the script fails if it is not kept. */
const BOUNDS = { closed: 20_000, memory: (uploads) => 64 * MEGABYTE + 2 * uploads * LIMIT };

// ---- The server, and the measuring ---------------------------------------------------------------

async function main() {
  const { values } = parseArgs({
    options: {
      framework: { type: 'string', multiple: true, default: ['express5', 'koa3'] },
      uploads: { type: 'string', default: '1000' },
      json: { type: 'boolean', default: false },
    },
  });
  const uploads = Number(values.uploads);
  if (!(uploads >= 1 && uploads <= 5_000)) throw new RangeError('--uploads: 1 to 5000');
  setTimeout(() => {
    console.error('not done after a minute');
    process.exit(1);
  }, 60_000 * values.framework.length).unref();
  let failed = false;
  for (const framework of values.framework) {
    const result = await measure(framework, uploads);
    failed ||= !result.kept;
    if (values.json) console.log(JSON.stringify(result));
    else print(result);
  }
  process.exit(failed ? 1 : 0);
}

async function measure(framework, uploads) {
  let handled = 0;
  const server = createServer(await app(framework, () => handled++));
  server.maxConnections = uploads + 100;
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
  await once(server, 'listening');
  const { port } = server.address();
  const good = child('goodClient', port);
  const bad = child('attackers', port, uploads);
  try {
    await Promise.all([once(good, 'message'), once(bad, 'message')]);

    const alone = await during(good, sleep(2_000));
    globalThis.gc?.();
    const before = memory();
    const most = { rss: 0, used: 0 };
    const watching = setInterval(() => {
      const now = memory();
      most.rss = Math.max(most.rss, now.rss - before.rss);
      most.used = Math.max(most.used, now.used - before.used);
    }, 10);
    const attack = once(bad, 'message');
    bad.send('go');
    const meanwhile = await during(good, attack);
    clearInterval(watching);
    const [{ attackers }] = await attack;
    await sleep(500);
    const after = memory();
    const connections = await new Promise((resolve) => {
      server.getConnections((_, count) => resolve(count));
    });

    const answers = {};
    for (const { status } of attackers) answers[status] = (answers[status] ?? 0) + 1;
    const times = (name) => spread(attackers.map((one) => one[name]).filter((ms) => ms !== null));
    const [answered, closed] = [times('answered'), times('closed')];
    const open = attackers.filter((one) => one.closed === null).length;
    return {
      framework,
      uploads,
      answers,
      answered,
      closed,
      open,
      // Only the good client's connection may be left.
      connections,
      sentMost: Math.max(...attackers.map(({ sent }) => sent)),
      memory: { ...most, left: after.used - before.used },
      alone,
      meanwhile,
      handled,
      kept:
        open === 0 &&
        closed.max < BOUNDS.closed &&
        Object.keys(answers).every((status) => status === '413' || status === 'none') &&
        (answers['413'] ?? 0) >= uploads * 0.99 &&
        most.rss < BOUNDS.memory(uploads) &&
        meanwhile.count > 0 &&
        meanwhile.wrong === 0 &&
        connections <= 1,
    };
  } finally {
    good.kill();
    bad.kill();
    server.closeAllConnections();
    server.close();
  }
}

async function app(framework, handled) {
  const { hatexcard } = await import('../dist/index.js');
  const provider = hatexcard({ secret: SECRET });
  // Without a memory, since the good client sends one delivery again and again.
  const options = { dedupe: false };
  if (framework === 'koa3') {
    const [{ default: Koa }, { paymentWebhook }] = [
      await import('koa'),
      await import('../dist/koa.js'),
    ];
    const app = new Koa();
    app.silent = true;
    app.use(paymentWebhook(provider, options));
    app.use((ctx) => {
      handled();
      ctx.status = 204;
    });
    return app.callback();
  }
  if (framework !== 'express5') throw new RangeError('--framework: express5 or koa3');
  const [{ default: express }, { paymentWebhook }] = [
    await import('express'),
    await import('../dist/express.js'),
  ];
  const app = express();
  // Or each refusal would be printed.
  app.set('env', 'test');
  app.post('/', paymentWebhook(provider, options), (_req, res) => {
    handled();
    res.sendStatus(204);
  });
  return app;
}

function child(name, port, uploads = 0) {
  const env = { ...process.env, PAYPROOF_ROLE: name, PORT: port, UPLOADS: uploads };
  const started = fork(fileURLToPath(import.meta.url), { env });
  started.once('exit', (code) => {
    if (code) throw new Error(`${name} ended with ${code}`);
  });
  return started;
}

/** The good client's waits while something lasts. */
async function during(good, what) {
  good.send('begin');
  await what;
  const told = once(good, 'message');
  good.send('end');
  const [{ waits, wrong }] = await told;
  return { count: waits.length, wrong, ...spread(waits) };
}

function memory() {
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, used: heapUsed + external };
}

function spread(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function print(result) {
  const ms = (one) =>
    `${one.p50.toFixed(1)} ms (p50), ${one.p99.toFixed(1)} ms (p99), ${one.max.toFixed(1)} ms (most)`;
  const mb = (bytes) => `${(bytes / MEGABYTE).toFixed(1)} MB`;
  const { framework, uploads, answers, answered, closed, open, alone, meanwhile } = result;
  const told = Object.entries(answers).map(([status, count]) => `${status}: ${count}`);
  console.log(`${framework}: ${uploads} endless uploads at once`);
  console.log(`  answers      ${told.join(', ')}`);
  console.log(`  answered     ${ms(answered)} after the first byte`);
  console.log(`  closed       ${ms(closed)}; still open ${open}`);
  console.log(
    `  sent         at most ${mb(result.sentMost)} by one, the kernel's buffers included`,
  );
  console.log(
    `  memory       +${mb(result.memory.rss)} resident, +${mb(result.memory.used)} in use at most; ` +
      `change afterwards ${mb(result.memory.left)}`,
  );
  console.log(`  good client  ${ms(meanwhile)} of ${meanwhile.count}, wrong ${meanwhile.wrong}`);
  console.log(`    before     ${ms(alone)} of ${alone.count}, wrong ${alone.wrong}`);
  console.log(result.kept ? '  kept' : '  NOT KEPT');
}

// ---- The attackers -------------------------------------------------------------------------------

async function attackers() {
  const { PORT: port, UPLOADS: uploads } = process.env;
  process.send('ready');
  await once(process, 'message');
  const all = await Promise.all(Array.from({ length: Number(uploads) }, () => attack(port)));
  process.send({ attackers: all });
}

const HEAD =
  'POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\n' +
  `X-Hatex-Signature: ${'0'.repeat(64)}\r\nTransfer-Encoding: chunked\r\n\r\n`;
const BLOCK = Buffer.from(`4000\r\n${' '.repeat(0x4000)}\r\n`);

/** One upload without an end, that goes on when it was answered. */
function attack(port) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const seen = { status: 'none', answered: null, closed: null, sent: 0 };
    let began = performance.now();
    const end = () => {
      clearTimeout(patience);
      seen.sent = socket.bytesWritten;
      resolve(seen);
    };
    const patience = setTimeout(() => {
      end();
      socket.destroy();
    }, PATIENCE);
    const pump = () => {
      while (!socket.destroyed && socket.writable && socket.write(BLOCK));
    };
    socket.once('connect', () => {
      began = performance.now();
      socket.write(HEAD);
      pump();
    });
    socket.on('drain', pump);
    // A connection that was cut shows as `close` too.
    socket.on('error', () => {});
    socket.on('data', (data) => {
      if (seen.answered !== null) return;
      seen.answered = performance.now() - began;
      seen.status = data.toString('latin1').split(' ', 2)[1];
    });
    socket.once('close', () => {
      seen.closed = performance.now() - began;
      end();
    });
  });
}

// ---- The good client -----------------------------------------------------------------------------

/** One delivery after the other, over one connection. */
async function goodClient() {
  const { PORT: port } = process.env;
  const body = JSON.stringify({ event: 'payment.success', transaction_id: 'HTX-1', amount: 1500 });
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-hatex-signature': createHmac('sha256', SECRET).update(body).digest('hex'),
  };
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = () =>
    new Promise((resolve) => {
      const asked = request({ port, host: '127.0.0.1', method: 'POST', path: '/', headers, agent });
      asked.once('error', () => resolve(0));
      asked.once('response', (answer) =>
        answer.resume().once('end', () => resolve(answer.statusCode)),
      );
      asked.end(body);
    });
  let sending = false;
  let waits = [];
  let wrong = 0;
  let last = Promise.resolve();
  const loop = async () => {
    while (sending) {
      const began = performance.now();
      if ((await send()) !== 204) wrong++;
      waits.push(performance.now() - began);
      await sleep(5);
    }
  };
  process.on('message', async (what) => {
    if (what === 'begin') {
      [waits, wrong, sending] = [[], 0, true];
      last = loop();
      return;
    }
    sending = false;
    await last;
    process.send({ waits, wrong });
  });
  process.send('ready');
}

// ---- Which of them this process is ---------------------------------------------------------------

const { PAYPROOF_ROLE: role } = process.env;
await (role === 'attackers' ? attackers() : role === 'goodClient' ? goodClient() : main());
