import { describe, expect, it } from 'vitest';
import { accountOf, keyring } from '../../src/core/secrets.ts';
import { callbackUrl, dexchange, hatexcard, hitpay } from '../../src/index.ts';

// Whoever wires a shop reads these messages: each names the option and what it must be.

const token = { secret: 'a-secret' };
const confirm = (options: object) => () =>
  dexchange({ token, confirm: { apiKey: 'key', ...options } as never });
const make =
  (provider: (options: never) => unknown, options: unknown): (() => unknown) =>
  () =>
    provider(options as never);

const MESSAGES: [make: () => unknown, message: string][] = [
  [make(hatexcard, { secret: 'x', secrets: 'x' }), 'hatexcard: unknown option "secrets"'],
  [
    make(hatexcard, { secret: 'x', tolerance: -1 }),
    'tolerance: must be between 0 and 9007199254740991',
  ],
  [make(hatexcard, { secret: 'x', schemes: 'body' }), 'schemes: must be a list of schemes'],
  [make(hatexcard, { secret: 'x', schemes: [] }), 'schemes: must be a list of schemes'],
  [make(hatexcard, { secret: 'x', schemes: ['x'] }), 'schemes: must be "timestamped" or "body"'],
  [make(hitpay, { salt: 'x', Salt: 'x' }), 'hitpay: unknown option "Salt"'],
  [make(hitpay, { salt: 'x', extraFields: 'zone' }), 'extraFields: must be a list of field names'],
  [
    make(hitpay, { salt: 'x', extraFields: ['a b'] }),
    'extraFields: a name is a letter, then letters, digits and underscores',
  ],
  [
    make(hitpay, { salt: 'x', extraFields: [['zone']] }),
    'extraFields: a name is a letter, then letters, digits and underscores',
  ],
  [
    make(hitpay, { salt: 'x', extraFields: ['status'] }),
    'extraFields: no name may contain the name of another field',
  ],
  [make(dexchange, { token, secret: 'x' }), 'dexchange: unknown option "secret"'],
  [
    make(dexchange, {}),
    'dexchange: needs token, bearer or signature; without one anyone could post',
  ],
  [make(dexchange, { token: { ...token, key: 1 } }), 'token: unknown option "key"'],
  [make(dexchange, { bearer: { token: 'x', name: 1 } }), 'bearer: unknown option "name"'],
  [
    make(dexchange, { bearer: { token: 'x', header: '' } }),
    'bearer.header: must be the name of an HTTP header',
  ],
  [
    make(dexchange, { signature: { header: 'x', secret: 'x', algorithm: 'md5' } }),
    'signature: unknown option "algorithm"',
  ],
  [
    make(dexchange, { signature: { secret: 'x' } }),
    'signature.header: must be the name of an HTTP header',
  ],
  [confirm({ key: 1 }), 'confirm: unknown option "key"'],
  [confirm({ timeout: 0 }), 'confirm.timeout: must be between 1 and 60000'],
  [confirm({ fetch: 1 }), 'confirm.fetch: must be a function'],
  [confirm({ transactionId: 'TID1' }), 'confirm.transactionId: must be a function'],
  [confirm({ apiKey: 'a b' }), 'confirm.apiKey: must be printable ASCII without spaces'],
  [confirm({ baseUrl: 'api' }), 'confirm.baseUrl: must be a URL'],
  [
    confirm({ baseUrl: 'http://api.example' }),
    'confirm.baseUrl: must be https (http only on this machine)',
  ],
  [
    confirm({ baseUrl: 'https://api.example/?a=1' }),
    'confirm.baseUrl: must have no query and no fragment',
  ],
  [() => callbackUrl('shop.example/hook', 'x', token), 'base: must be a URL'],
  [
    () => callbackUrl('http://shop.example/hook', 'x', token),
    'base: must be https (http only on this machine)',
  ],
  [
    () => callbackUrl('https://a.example', '', token),
    'externalTransactionId: must be the text of an order id, at most 255 characters',
  ],
  [() => callbackUrl('https://a.example', 'x', { secret: '' }), 'secret: the secret is empty'],
  [
    () => callbackUrl('https://a.example', 'x', { ...token, salt: 1 } as never),
    'callbackUrl: unknown option "salt"',
  ],
];

describe('what is wrong with an option', () => {
  it.each(MESSAGES.map(([make, message]) => [message, make] as const))('%s', (message, make) => {
    expect(make).toThrow(message);
  });
});

describe('a provider', () => {
  const account = (secret: string) => accountOf(keyring('any', secret));

  it.each([
    ['hatexcard', hatexcard({ secret: ['one', 'two'] }), account('one')],
    ['hitpay', hitpay({ salt: 'one', eventSalt: 'two' }), account('one')],
    ['hitpay', hitpay({ eventSalt: 'two' }), account('two')],
    ['dexchange', dexchange({ token: { secret: 'one' } }), account('one')],
    [
      'dexchange',
      dexchange({ bearer: { token: 'two' }, signature: { header: 'x', secret: 'three' } }),
      account('three'),
    ],
  ])('%s has its name, and the account of its first secret', (name, provider, owner) => {
    expect(provider.name).toBe(name);
    expect(provider.account?.()).toBe(owner);
  });
});
