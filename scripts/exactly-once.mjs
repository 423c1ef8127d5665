// Many identical deliveries at once over several server processes that share a store: the effect of
// each payment happens once. Needs the built package, and Redis or PostgreSQL on this machine.
//
//   node scripts/exactly-once.mjs [--store redis|postgres]... [--payments 1000] [--deliveries 100]
//     [--servers 4] [--json]
import { fork } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { effectsIn } from './exactly-once-effects.mjs';

const { values } = parseArgs({
  options: {
    store: { type: 'string', multiple: true, default: ['redis', 'postgres'] },
    payments: { type: 'string', default: '1000' },
    deliveries: { type: 'string', default: '100' },
    servers: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
  },
});
const payments = Number(values.payments);
const deliveries = Number(values.deliveries);
const servers = Number(values.servers);
/** Payments whose deliveries are under way at the same time. */
const ABREAST = 2;
/** How often the delivery after the crowd is repeated while it is told 409. */
const RETRIES = 50;

const SALT = 'salt-not-a-real-secret';
const SERVER = fileURLToPath(new URL('exactly-once-server.mjs', import.meta.url));

let failed = false;
for (const store of values.store) {
  const result = await measure(store);
  failed ||= !result.exactlyOnce;
  if (values.json) console.log(JSON.stringify(result));
  else print(result);
}
process.exit(failed ? 1 : 0);

async function measure(store) {
  const name = `payproof_once_${randomBytes(6).toString('hex')}`;
  const effects = await effectsIn(store, name);
  await effects.prepare();
  const processes = [];
  const agent = new Agent({ keepAlive: true });
  try {
    const starting = Array.from({ length: servers }, () => {
      const child = fork(SERVER, { env: { ...process.env, STORE: store, NAME: name, SALT } });
      processes.push(child);
      child.once('exit', (code, signal) => {
        if (child.connected || code !== 0) console.error('a server ended', { code, signal });
      });
      return Promise.race([
        once(child, 'message'),
        once(child, 'exit').then(() => Promise.reject(new Error('a server did not start'))),
      ]);
    });
    const ports = (await Promise.all(starting)).map(([{ port }]) => port);
    const answers = {};
    const began = performance.now();
    let next = 0;
    const worker = async () => {
      while (next < payments) await crowd(next++, ports, answers, agent);
    };
    await Promise.all(Array.from({ length: ABREAST }, worker));
    const seconds = (performance.now() - began) / 1000;
    const counts = await effects.count();
    const tally = { none: payments - counts.length, once: 0, more: 0 };
    for (const count of counts) tally[count === 1 ? 'once' : 'more']++;
    const expected = ['200', '409'];
    return {
      store,
      servers,
      payments,
      deliveries: Object.values(answers).reduce((sum, count) => sum + count, 0),
      answers,
      effects: tally,
      seconds: Number(seconds.toFixed(1)),
      exactlyOnce:
        tally.once === payments && Object.keys(answers).every((one) => expected.includes(one)),
    };
  } finally {
    agent.destroy();
    await Promise.all(processes.map(stop));
    await effects.remove();
  }
}

/** All deliveries of a payment at once, and one more until it is told that the event is done. */
async function crowd(number, ports, answers, agent) {
  const body = delivery(number);
  const deliver = async (index) => {
    const status = await post(ports[index % ports.length], body, agent);
    answers[status] = (answers[status] ?? 0) + 1;
    return status;
  };
  await Promise.all(Array.from({ length: deliveries }, (_, index) => deliver(index)));
  for (let retry = 0; retry < RETRIES; retry++) {
    if ((await deliver(retry)) === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`payment ${number} was never done`);
}

/** HitPay's form of a completed payment. */
function delivery(number) {
  const fields = {
    amount: '599.00',
    currency: 'SGD',
    payment_id: `payment-${number}`,
    payment_request_id: `request-${number}`,
    phone: '',
    reference_number: `ORDER-${number}`,
    status: 'completed',
  };
  const text = Object.entries(fields)
    .map(([name, value]) => name + value)
    .join('');
  const hmac = createHmac('sha256', SALT).update(text).digest('hex');
  return new URLSearchParams({ ...fields, hmac }).toString();
}

function post(port, body, agent) {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': body.length,
    };
    const options = { host: '127.0.0.1', port, path: '/webhook', method: 'POST', headers, agent };
    request(options, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode));
    })
      .once('error', reject)
      .end(body);
  });
}

async function stop(child) {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.disconnect();
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await exited;
  clearTimeout(timer);
}

function print({ store, servers, payments, deliveries, answers, effects, seconds, exactlyOnce }) {
  console.log(`${store}: ${servers} server processes, ${payments} payments`);
  console.log(
    `  deliveries: ${deliveries} in ${seconds} s (${Math.round(deliveries / seconds)} a second)`,
  );
  for (const [status, count] of Object.entries(answers)) {
    console.log(`  answered ${status}: ${count}`);
  }
  console.log(
    `  payments with one effect: ${effects.once}, with none: ${effects.none}, with more: ${effects.more}`,
  );
  console.log(exactlyOnce ? '  exactly once' : '  NOT EXACTLY ONCE');
}
