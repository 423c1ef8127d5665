import { describe, expect, it } from 'vitest';
import { type Diagnosis, diagnose, type Finding, type Provider } from '../../src/index.ts';
import { NOW, type Sent, type Setup } from './deliveries.ts';
import { type Case, GROUPS } from './setups.ts';

// What `diagnose` finds in each broken set-up, all of it: every sentence of evidence and every further
// finding, in their order. They are recorded beside this file; what changes there was meant, or is a fault.

/** Only a server can tell what these lack. */
const OF_THE_ROUTE = ['not_post', 'content_encoding', 'transaction_id'];

function isPure([, cause, { options, provider }]: Case): boolean {
  const asks = typeof provider === 'object' && 'confirm' in provider;
  return !options && typeof provider !== 'function' && !asks && !OF_THE_ROUTE.includes(cause);
}

function found(setup: Setup, sent: Sent): Diagnosis {
  const { method = 'POST', path = '/webhook', headers = {}, body = '' } = sent;
  const whole = { method, path, headers, body };
  const { path: url, headers: arrived = {}, body: bytes = '' } = setup.proxy?.(whole) ?? whole;
  return diagnose(
    setup.provider as Provider,
    { headers: arrived, body: Buffer.from(bytes as string), url, receivedAt: NOW },
    { maxTime: 60_000, ...setup.diagnosis },
  );
}

const line = ({ confidence, cause, evidence }: Finding) =>
  [`${confidence}: ${cause}`, ...evidence].join(' | ');

describe.each(GROUPS)('$name', ({ provider, cases }) => {
  it.each(cases.filter(isPure))('%s: %s', (_, cause, setup, sent) => {
    const diagnosis = found({ provider, ...setup }, sent);
    expect(diagnosis.cause).toBe(cause);
    expect([diagnosis, ...diagnosis.others].map(line)).toMatchSnapshot();
  });
});
