import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  dexchange,
  type HatexcardEvent,
  type HitPayEvent,
  hatexcard,
  hitpay,
  type Provider,
  verify,
} from '../../src/index.ts';
import { providerOf, receivedAtOf, urlOf, type Vector, vectors } from '../vectors.ts';
import { code, everythingShown, thrown } from './code.ts';

const accepted = vectors.filter((vector) => vector.expect.accepted);
const named = (list: readonly Vector[]) =>
  list.map((vector) => [`${vector.provider}: ${vector.name}`, vector] as const);
const inputOf = (vector: Vector) => ({
  headers: vector.headers,
  body: Buffer.from(vector.body),
  url: urlOf(vector),
  receivedAt: receivedAtOf(vector),
});
const secretOf = (vector: Vector) => vector.secret ?? vector.eventSecret;
const first = (provider: Vector['provider'], mark = '') =>
  accepted.find((one) => one.provider === provider && one.name.includes(mark)) as Vector;

describe('verify: the event', () => {
  it.each(named(accepted))('can be written as JSON: %s', (_, vector) => {
    const event = verify(providerOf(vector), inputOf(vector));
    expect(JSON.parse(JSON.stringify(event))).toMatchObject({ id: event.id, type: event.type });
  });

  it.each(named(accepted))('has the same id when it is delivered again: %s', (_, vector) => {
    const [one, two] = [0, 1].map(() => verify(providerOf(vector), inputOf(vector)).id);
    expect(one).toBe(two);
    expect(one).toMatch(new RegExp(`^${vector.provider}:`));
  });

  it('is typed by the providers that may judge', () => {
    const both = [hatexcard({ secret: 'a' }), hitpay({ salt: 'b' })];
    expectTypeOf(() =>
      verify(hatexcard({ secret: 'a' }), inputOf(first('hatexcard'))),
    ).returns.toEqualTypeOf<HatexcardEvent>();
    expectTypeOf(() => verify(both, inputOf(first('hatexcard')))).returns.toEqualTypeOf<
      HatexcardEvent | HitPayEvent
    >();
  });
});

describe('verify: the content type', () => {
  const types: [provider: Vector['provider'], type: string][] = [
    ['hatexcard', 'application/x-www-form-urlencoded'],
    ['hatexcard', 'text/plain'],
    ['hatexcard', ''],
    ['hatexcard', 'application/json, application/json'],
    ['hatexcard', 'application/jsonp'],
    ['dexchange', 'application/x-www-form-urlencoded'],
    ['hitpay', 'text/plain'],
    ['hitpay', 'multipart/form-data; boundary=x'],
  ];
  it.each(types)('of %s may not be %j', (provider, type) => {
    const vector = first(provider);
    const input = { ...inputOf(vector), headers: { ...vector.headers, 'content-type': type } };
    expect(code(() => verify(providerOf(vector), input))).toBe('content_type_unsupported');
  });

  it.each([
    'application/json;charset=utf-8',
    'APPLICATION/JSON',
    undefined,
  ])('may be %j', (type) => {
    const vector = first('hatexcard');
    const input = { ...inputOf(vector), headers: { ...vector.headers, 'content-type': type } };
    expect(verify(providerOf(vector), input).provider).toBe('hatexcard');
  });
});

describe('verify: the judge', () => {
  it.each(named(accepted))('is found in a list of all providers: %s', (_, vector) => {
    const secret = secretOf(vector);
    const list: Provider[] = [
      hatexcard({ secret }),
      hitpay({ salt: vector.secret, eventSalt: vector.eventSecret ?? secret }),
      dexchange({ token: { secret } }),
    ];
    expect(verify(list, inputOf(vector)).provider).toBe(vector.provider);
    expect(verify(list.reverse(), inputOf(vector)).provider).toBe(vector.provider);
  });

  it.each(named(accepted))('refuses what is meant for another provider: %s', (_, vector) => {
    const secret = secretOf(vector);
    const others: Provider[] = [
      hatexcard({ secret }),
      hatexcard({ secret, schemes: ['body'] }),
      hitpay({ salt: secret }),
      dexchange({ token: { secret } }),
      dexchange({ bearer: { token: secret } }),
      dexchange({ signature: { header: 'x-signature', secret } }),
    ].filter(({ name }) => name !== vector.provider);
    for (const other of others) {
      expect(code(() => verify(other, inputOf(vector)))).toMatch(
        /^(content_type_unsupported|(signature|token)_(missing|mismatch))$/,
      );
    }
  });

  it('is nobody where none of several recognises the delivery', () => {
    const list = [hatexcard({ secret: 'a' }), hitpay({ salt: 'b' })];
    expect(code(() => verify(list, { headers: {}, body: Buffer.from('{}') }))).toBe(
      'provider_unrecognized',
    );
  });

  it('is not one of whose proofs only some are there', () => {
    const vector = first('dexchange');
    const both = dexchange({ token: { secret: vector.secret }, bearer: { token: 'b' } });
    const list = [hatexcard({ secret: 'a' }), both];
    expect(code(() => verify(list, inputOf(vector)))).toBe('provider_unrecognized');
  });

  it('is the only one even where it does not recognise the delivery', () => {
    for (const one of [hatexcard({ secret: 'a' }), [hatexcard({ secret: 'a' })]]) {
      expect(code(() => verify(one, { headers: {}, body: Buffer.from('{}') }))).toBe(
        'signature_missing',
      );
    }
  });

  const provider = hatexcard({ secret: 'a' });
  it.each([
    ['nothing', undefined],
    ['null', null],
    ['an empty list', []],
    ['a name', 'hitpay'],
    ['a factory', hitpay],
    ['an empty object', {}],
    ['a list with a hole', [provider, undefined]],
    ['a list in a list', [[provider]]],
    ['a list with something else', [provider, {}]],
    ['no name', { ...provider, name: undefined }],
    ['no content types', { ...provider, contentTypes: 'application/json' }],
    ['no recognizes', { ...provider, recognizes: true }],
    ['no authenticate', { ...provider, authenticate: null }],
  ])('may not be %s', (_, judge) => {
    const input = { headers: {}, body: Buffer.from('') };
    expect(() => verify(judge as unknown as Provider, input)).toThrow(TypeError);
    expect(() => verify(judge as unknown as Provider, input)).toThrow(
      /^provider: must be a provider/,
    );
  });
});

describe('verify: silence', () => {
  const MARK = 'Marie-Claire-Private';
  const SECRET = 'hunter2-hunter2-hunter2';
  const SIGNATURE = 'deadbeef'.repeat(8);
  const json = { 'content-type': 'application/json' };
  const providers: Provider[] = [
    hatexcard({ secret: SECRET }),
    hitpay({ salt: SECRET, eventSalt: `${SECRET}-2` }),
    dexchange({ token: { secret: SECRET } }),
    dexchange({ bearer: { token: SECRET } }),
    dexchange({
      signature: { header: 'x-signature', secret: SECRET },
      confirm: { apiKey: `${SECRET}-api` },
    }),
  ];
  const inputs = [`{"name":"${MARK}"}`, `{"name":"${MARK}`, `name=${MARK}`, `name=${MARK}&a=%zz`]
    .flatMap((body) => [
      { body, headers: { ...json } },
      { body, headers: { ...json, 'x-hatex-signature': SIGNATURE } },
      { body, headers: { ...json, 'hitpay-signature': SIGNATURE, 'x-signature': SIGNATURE } },
      { body, headers: { ...json, authorization: `Bearer ${SIGNATURE}` } },
      { body, headers: { 'content-type': MARK } },
      { body: `${body}&hmac=${SIGNATURE}`, headers: {} },
      { body: `${body}&hmac=${SIGNATURE}zz`, headers: {} },
    ])
    .map(({ body, headers }) => ({
      headers,
      body: Buffer.from(body),
      url: `/?payproof=${SIGNATURE}`,
    }));

  it('no error shows the body, a signature or a secret', () => {
    for (const provider of providers) {
      for (const input of inputs) {
        const shown = everythingShown(thrown(() => verify(provider, input)));
        for (const text of [MARK, SIGNATURE, SECRET]) expect(shown).not.toContain(text);
      }
    }
  });

  it.each(
    providers.map((provider) => [provider.name, provider] as const),
  )('a printed provider shows no secret: %s', (_, provider) => {
    expect(everythingShown(provider)).not.toContain('hunter2');
  });

  it('an account is named by the first secret, and does not show it', () => {
    const accounts = [...providers, hitpay({ eventSalt: SECRET })].map((one) => one.account?.());
    for (const account of accounts) expect(account).toMatch(/^[\w-]{16}$/);
    expect(accounts[0]).toBe(hatexcard({ secret: [SECRET, 'new'] }).account?.());
    expect(accounts[0]).not.toBe(hatexcard({ secret: 'new' }).account?.());
  });

  it('Object.prototype is as it was', () => {
    const before = JSON.stringify(Object.getOwnPropertyDescriptors(Object.prototype));
    const hostile =
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"a":[{"__proto__":2}]}';
    for (const provider of providers) {
      for (const input of inputs) code(() => verify(provider, input));
      for (const body of [hostile, '__proto__=1&constructor=2&hmac=3']) {
        const { contentTypes } = provider;
        for (const type of contentTypes) {
          const headers = { 'content-type': type, 'x-hatex-signature': SIGNATURE };
          code(() => verify(provider, { headers, body: Buffer.from(body), url: '/?payproof=x' }));
        }
      }
    }
    expect(JSON.stringify(Object.getOwnPropertyDescriptors(Object.prototype))).toBe(before);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});
