// Compiled by types.test.ts: what must not compile stands under @ts-expect-error.
import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import express from 'express';
import Koa from 'koa';
import { inject } from 'light-my-request';
import {
  checkWiring,
  expired,
  outOfOrder,
  recut,
  type SignedDelivery,
  type Signer,
  samples,
  signed,
  tampered,
} from '../../src/testing.ts';

const secret = process.env.HITPAY_SALT;

export const form: SignedDelivery<'hitpay/form'> = signed(
  { provider: 'hitpay', scheme: 'form', secret },
  { reference: 'SG-2001', amount: '599.00', status: 'completed' },
);
recut(form);
outOfOrder(form);
tampered(form);
signed(
  { provider: 'hitpay', scheme: 'form', secret },
  { kind: 'recurring_billing', status: 'failed' },
);
signed({ provider: 'hitpay', scheme: 'event', secret }, { kind: 'charge.updated', refunded: 5 });
signed(
  { provider: 'dexchange', scheme: 'signature', secret, header: 'x-sig' },
  { status: 'FAILED' },
);
expired(signed({ provider: 'hatexcard', scheme: 'timestamped', secret }));
const anySigner = {} as Signer;
signed(anySigner);
for (const { sample } of samples('hitpay/event'))
  signed({ provider: 'hitpay', scheme: 'event', secret }, sample);
export const sent: Promise<Response> = fetch(`http://localhost${form.path}`, form);

const provider = { provider: 'hitpay', scheme: 'form', secret } as const;
checkWiring(express(), { path: '/x', provider });
checkWiring(new Koa(), { path: '/x', provider });
checkWiring(createServer(), { path: '/x', provider });
checkWiring(createSecureServer(), { path: '/x', provider });
checkWiring(createHttps(), {
  path: '/x',
  provider: [
    { provider: 'dexchange', scheme: 'token', secret },
    { provider: 'dexchange', scheme: 'bearer', secret },
  ],
});
inject((_req, res) => res.end(), form);

// @ts-expect-error no such scheme of this provider
signed({ provider: 'hitpay', scheme: 'token', secret });
// @ts-expect-error no such provider
signed({ provider: 'stripe', scheme: 'v1', secret });
// @ts-expect-error the scheme is missing
signed({ provider: 'hitpay', secret });
// @ts-expect-error the secret is missing
signed({ provider: 'hitpay', scheme: 'form' });
// @ts-expect-error the header is missing
signed({ provider: 'dexchange', scheme: 'signature', secret });
// @ts-expect-error no field of this scheme
signed({ provider: 'hitpay', scheme: 'form', secret }, { transaction: 'MID' });
// @ts-expect-error no status of this scheme
signed({ provider: 'hitpay', scheme: 'form', secret }, { status: 'SUCCESS' });
const billing = { provider: 'hitpay', scheme: 'form', secret } as const;
// @ts-expect-error no status of this kind
signed(billing, { kind: 'recurring_billing', status: 'pending' });
// @ts-expect-error no kind of this scheme
signed({ provider: 'hitpay', scheme: 'event', secret }, { kind: 'refund.created' });
// @ts-expect-error Hatexcard has no status
signed({ provider: 'hatexcard', scheme: 'body', secret }, { status: 'failed' });
// @ts-expect-error only timestamped signs the time
expired(signed({ provider: 'hatexcard', scheme: 'body', secret }));
// @ts-expect-error only the form can be cut otherwise
recut(signed({ provider: 'hitpay', scheme: 'event', secret }));
// @ts-expect-error Hatexcard tells of one state only
outOfOrder(signed({ provider: 'hatexcard', scheme: 'body', secret }));
// @ts-expect-error no app
checkWiring({}, { path: '/x', provider });
