import { readFileSync } from 'node:fs';
import { callbackUrl, dexchange, hatexcard, hitpay, type Provider } from '../src/index.ts';

/** A case of `test/vectors`. */
export interface Vector {
  name: string;
  provider: 'hatexcard' | 'hitpay' | 'dexchange';
  secret?: string;
  eventSecret?: string;
  callbackFor?: string | null;
  receivedAt?: number;
  headers: Record<string, string>;
  body: string;
  expect: { accepted?: Record<string, unknown>; rejected?: true };
}

export const vectors: Vector[] = ['hatexcard', 'hitpay', 'dexchange'].flatMap((name) =>
  JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), 'utf8')),
);

export function providerOf({ provider, secret, eventSecret }: Vector): Provider {
  if (provider === 'hatexcard') return hatexcard({ secret });
  if (provider === 'hitpay') return hitpay({ salt: secret, eventSalt: eventSecret });
  return dexchange({ token: { secret } });
}

/** Path and query of the delivery. */
export function urlOf({ callbackFor, secret }: Vector): string {
  if (!callbackFor) return '/webhook';
  const { pathname, search } = new URL(
    callbackUrl('https://shop.example/webhook', callbackFor, { secret }),
  );
  return pathname + search;
}

export function receivedAtOf({ receivedAt }: Vector): Date {
  return receivedAt === undefined ? new Date() : new Date(receivedAt * 1000);
}
