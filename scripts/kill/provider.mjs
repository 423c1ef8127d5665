// @ts-check
// The provider of the kill test: it signs forms as HitPay does, with node:crypto alone, and sends each
// event again and again until it is answered 2xx, and then at least once more.
import { createHmac } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const LANES = 32;
/**
 * @typedef {object} Counts
 * @property {number} deliveries requests sent
 * @property {number} acknowledgements answers with 2xx
 * @property {number} unhandled of them, those that did not need the handler
 * @property {number} retries requests sent because the one before was not answered 2xx
 * @property {number} refusals of the retried, those that were answered
 * @property {number} broken of the retried, those whose connection failed
 * @property {number} inFlight requests without an answer now
 * @property {Set<string>} acknowledged ids of the events that were answered 2xx at least once
 * @property {number} lastNew when an event was acknowledged for the first time, in milliseconds
 * @property {string[]} unexpected answers that no merchant should give here
 */

/** @returns {Counts} */
export const noCounts = () => ({
  deliveries: 0,
  acknowledgements: 0,
  unhandled: 0,
  retries: 0,
  refusals: 0,
  broken: 0,
  inFlight: 0,
  acknowledged: new Set(),
  lastNew: Date.now(),
  unexpected: [],
});

/** @param {number} index @param {string} salt */
function payment(index, salt) {
  const paymentId = `${index.toString(16).padStart(8, '0')}-0000-4000-8000-${(index * 7919).toString(16).padStart(12, '0')}`;
  /** @type {Record<string, string>} */
  const fields = {
    payment_id: paymentId,
    payment_request_id: `f${paymentId.slice(1)}`,
    phone: '',
    amount: '599.00',
    currency: 'SGD',
    reference_number: `ORDER-${index}`,
    status: 'completed',
  };
  const names = Object.keys(fields).sort();
  const signed = names.map((name) => name + fields[name]).join('');
  const hmac = createHmac('sha256', salt).update(signed).digest('hex');
  const body = new URLSearchParams({ ...fields, hmac }).toString();
  return { id: `hitpay:${paymentId}:payment.succeeded`, body };
}

/**
 * Delivers `events` events, each at least twice, until all are answered 2xx or `signal` says stop.
 *
 * @param {{ events: number, salt: string, random: () => number, port: () => number,
 *   expected: readonly number[], counts: Counts, signal: AbortSignal }} options
 *   `expected`: what a merchant may answer while things die, beside 2xx
 */
export async function provide({ events, salt, random, port, expected, counts, signal }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 * LANES });
  /** @type {{ at: number, event: ReturnType<typeof payment> }[]} */
  const again = [];
  let next = 0;

  /** Until it is answered 2xx. @param {ReturnType<typeof payment>} event */
  async function tell({ id, body }) {
    for (let tries = 0; !signal.aborted; tries++) {
      counts.deliveries++;
      if (tries > 0) counts.retries++;
      counts.inFlight++;
      const { status, ran } = await post(agent, port(), body).finally(() => counts.inFlight--);
      if (status >= 200 && status < 300) {
        counts.acknowledgements++;
        if (!ran) counts.unhandled++;
        if (!counts.acknowledged.has(id)) counts.lastNew = Date.now();
        counts.acknowledged.add(id);
        return;
      }
      if (status === 0) counts.broken++;
      else counts.refusals++;
      if (status !== 0 && !expected.includes(status)) counts.unexpected.push(`${status} for ${id}`);
      await sleep(20 + random() * 180);
    }
  }

  async function lane() {
    while (!signal.aborted) {
      const due = again.findIndex(({ at }) => at <= Date.now());
      if (due >= 0) {
        for (const { event } of again.splice(due, 1)) await tell(event);
      } else if (next < events) {
        const event = payment(next++, salt);
        // Every fourth is told twice in the same moment.
        await Promise.all(random() < 0.25 ? [tell(event), tell(event)] : [tell(event)]);
        again.push({ at: Date.now() + random() * 1_000, event });
      } else if (again.length > 0) {
        await sleep(10);
      } else {
        return;
      }
    }
  }

  await Promise.all(Array.from({ length: LANES }, lane));
  agent.destroy();
}

/**
 * @param {Agent} agent
 * @param {number} port
 * @param {string} body
 * @returns {Promise<{ status: number, ran: boolean }>} status 0 if the connection failed
 */
function post(agent, port, body) {
  return new Promise((resolve) => {
    const failed = () => resolve({ status: 0, ran: false });
    const sent = request(
      {
        agent,
        host: '127.0.0.1',
        port,
        method: 'POST',
        path: '/webhook',
        timeout: 10_000,
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          'content-length': Buffer.byteLength(body),
        },
      },
      (answer) => {
        // The status line is the acknowledgement, even if the connection breaks after it.
        const { statusCode: status = 0, headers } = answer;
        resolve({ status, ran: headers['x-handler'] === 'ran' });
        answer.on('error', failed).resume();
      },
    );
    sent.on('error', failed).on('timeout', () => sent.destroy());
    sent.end(body);
  });
}
