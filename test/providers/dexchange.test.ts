import { createHmac } from 'node:crypto';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  callbackUrl,
  type DexchangeConfirmOptions,
  type DexchangeEvent,
  type DexchangeOptions,
  dexchange,
  type SecretInput,
  verify,
} from '../../src/index.ts';
import { code, codeOf, everythingShown, thrown } from '../core/code.ts';
import { withLines, withText } from '../long-body.ts';

const SECRET = 'token-secret-of-the-tests';
const API_KEY = 'api-key-of-the-tests';
const ORDER = 'ORDER-1';
const BODY = {
  id: 'TIDabc123',
  externalTransactionId: ORDER,
  transactionType: 'CASHOUT',
  AMOUNT: 5000,
  FEE: 50,
  PHONE_NUMBER: '771234567',
  STATUS: 'SUCCESS',
  COMPLETED_AT: '2026-11-21T08:00:00.000Z',
};

interface Sent {
  body?: unknown;
  url?: string | undefined;
  headers?: Record<string, string>;
  options?: DexchangeOptions;
  at?: Date;
}

const pathOf = (order: string, secret: string = SECRET) => {
  const { pathname, search } = new URL(callbackUrl('https://shop.example/hook', order, { secret }));
  return pathname + search;
};

function deliver({ body = BODY, headers = {}, options, at, ...sent }: Sent = {}): DexchangeEvent {
  const { url = pathOf(ORDER) } = sent;
  return verify(dexchange(options ?? { token: { secret: SECRET } }), {
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    url: 'url' in sent ? sent.url : url,
    receivedAt: at,
  });
}

describe('callbackUrl', () => {
  it('keeps the base and its query', () => {
    const url = new URL(callbackUrl('https://shop.example/hook?a=1#x', ORDER, { secret: SECRET }));
    expect(url.origin + url.pathname).toBe('https://shop.example/hook');
    expect(url.searchParams.get('a')).toBe('1');
    expect(url.searchParams.get('payproof')).toMatch(/^[\w-]{43}$/);
    expect(callbackUrl(url, ORDER, { secret: SECRET })).toBe(url.href);
  });

  it('is HMAC-SHA256 of a label and the order', () => {
    const mac = createHmac('sha256', SECRET)
      .update(`payproof/dexchange/callback-url/v1\n${ORDER}`)
      .digest('base64url');
    expect(callbackUrl('https://a.example', ORDER, { secret: SECRET })).toBe(
      `https://a.example/?payproof=${mac}`,
    );
  });

  it('is signed by the first of several secrets, and taken by all', () => {
    const secret = ['new', 'old'];
    const url = callbackUrl('https://a.example', ORDER, { secret });
    expect(url).toBe(callbackUrl('https://a.example', ORDER, { secret: 'new' }));
    const options = { token: { secret } };
    expect(deliver({ options, url: pathOf(ORDER, 'new') }).keyId).toBe('token.secret#1');
    expect(deliver({ options, url: pathOf(ORDER, 'old') }).keyId).toBe('token.secret#2');
  });

  it('is signed by a secret to the last instant of it', () => {
    vi.useFakeTimers({ now: 1_000 });
    const by = (secret: SecretInput) => callbackUrl('https://a.example', ORDER, { secret });
    const last = { id: 'last', value: 'last', notAfter: new Date(1_000) };
    expect(by([last, 'new'])).toBe(by('last'));
    vi.setSystemTime(1_001);
    expect(by([last, 'new'])).toBe(by('new'));
    vi.useRealTimers();
  });

  it('takes an order of 255 characters', () => {
    const order = 'x'.repeat(255);
    const body = { ...BODY, externalTransactionId: order };
    expect(deliver({ body, url: pathOf(order) }).reference).toBe(order);
  });

  it('is not signed by a secret that has ended, unless all have', () => {
    const old = { id: 'old', value: 'old', notAfter: new Date(0) };
    const by = (secret: SecretInput) => callbackUrl('https://a.example', ORDER, { secret });
    expect(by([old, 'new'])).toBe(by('new'));
    expect(by([old])).toBe(by('old'));
  });

  it('shows no secret', () => {
    expect(callbackUrl('https://a.example', ORDER, { secret: SECRET })).not.toContain(SECRET);
  });

  const WRONG: [shown: string, base: unknown, order: unknown, options: unknown][] = [
    ['no order', 'https://a.example', undefined, { secret: SECRET }],
    ['an empty order', 'https://a.example', '', { secret: SECRET }],
    ['a number', 'https://a.example', 5, { secret: SECRET }],
    ['256 characters', 'https://a.example', 'x'.repeat(256), { secret: SECRET }],
    ['half a character', 'https://a.example', 'x\ud83d', { secret: SECRET }],
    ['no base', undefined, ORDER, { secret: SECRET }],
    ['a relative base', '/hook', ORDER, { secret: SECRET }],
    ['a base without a scheme', 'localhost:3000/hook', ORDER, { secret: SECRET }],
    ['a base over which a token goes in clear', 'http://a.example', ORDER, { secret: SECRET }],
    ['a base that is no URL', 5, ORDER, { secret: SECRET }],
    ['no options', 'https://a.example', ORDER, undefined],
    ['no secret', 'https://a.example', ORDER, {}],
    ['an empty secret', 'https://a.example', ORDER, { secret: '' }],
    ['a misspelt option', 'https://a.example', ORDER, { secret: SECRET, key: 'x' }],
  ];
  it.each(WRONG)('throws a TypeError for %s', (_, base, order, options) => {
    expect(() =>
      callbackUrl(base as string, order as string, options as { secret: string }),
    ).toThrow(TypeError);
  });
});

describe('dexchange: options', () => {
  const WRONG: [shown: string, options: unknown, error: typeof TypeError | typeof RangeError][] = [
    ['none', undefined, TypeError],
    ['no proof', {}, TypeError],
    ['confirm alone', { confirm: { apiKey: API_KEY } }, TypeError],
    ['undefined proofs', { token: undefined, bearer: undefined }, TypeError],
    ['a misspelt option', { tokens: { secret: 'x' } }, TypeError],
    ['a token that is text', { token: 'x' }, TypeError],
    ['a token without a secret', { token: {} }, TypeError],
    ['an empty token secret', { token: { secret: '' } }, TypeError],
    ['a misspelt token option', { token: { secrets: 'x' } }, TypeError],
    ['a bearer without a token', { bearer: {} }, TypeError],
    ['an empty bearer token', { bearer: { token: ' ' } }, TypeError],
    ['a misspelt bearer option', { bearer: { token: 'x', name: 'y' } }, TypeError],
    ['a bad bearer header', { bearer: { token: 'x', header: 'a b' } }, TypeError],
    ['an empty bearer header', { bearer: { token: 'x', header: '' } }, TypeError],
    ['a signature without a header', { signature: { secret: 'x' } }, TypeError],
    ['a signature without a secret', { signature: { header: 'x' } }, TypeError],
    ['a misspelt signature option', { signature: { header: 'x', key: 'y' } }, TypeError],
    ['confirm without a key', { token: { secret: 'x' }, confirm: {} }, TypeError],
    ['confirm with an empty key', { token: { secret: 'x' }, confirm: { apiKey: '' } }, TypeError],
  ];
  it.each(WRONG)('throws for %s', (_, options, error) => {
    expect(() => dexchange(options as DexchangeOptions)).toThrow(error);
  });

  const CONFIRM: [shown: string, confirm: object, error: typeof TypeError | typeof RangeError][] = [
    ['a misspelt option', { apikey: 'x' }, TypeError],
    ['a URL that is none', { baseUrl: 'api' }, TypeError],
    ['a URL that is neither a text nor a URL', { baseUrl: 5 }, TypeError],
    ['http', { baseUrl: 'http://api.example' }, TypeError],
    ['http on a host that only looks local', { baseUrl: 'http://localhost.example' }, TypeError],
    ['ftp on this machine', { baseUrl: 'ftp://localhost' }, TypeError],
    ['a query', { baseUrl: 'https://api.example/?a=1' }, TypeError],
    ['a fragment', { baseUrl: 'https://api.example/#a' }, TypeError],
    ['a fetch that is none', { fetch: 'fetch' }, TypeError],
    ['a transactionId that is text', { transactionId: 'TID1' }, TypeError],
    ['a timeout of 0', { timeout: 0 }, RangeError],
    ['a timeout of NaN', { timeout: NaN }, RangeError],
    ['an infinite timeout', { timeout: Infinity }, RangeError],
    ['a timeout that is text', { timeout: '5' }, TypeError],
  ];
  it.each(CONFIRM)('throws for confirm with %s', (_, change, error) => {
    const confirm = { apiKey: API_KEY, ...change } as DexchangeConfirmOptions;
    expect(() => dexchange({ token: { secret: 'x' }, confirm })).toThrow(error);
  });

  it.each([
    ['a line break', 'key-one\nkey-two'],
    ['a carriage return', 'key-one\rkey-two'],
    ['a NUL', 'key-one\0key-two'],
    ['a space', 'key-one key-two'],
    ['a tab', 'key-one\tkey-two'],
    ['a letter beyond ASCII', 'key-one-clé'],
    ['an emoji', 'key-one-😀'],
    ['a trailing line break', 'key-one\n'],
  ])('throws for an apiKey with %s, and does not quote it', (_, apiKey) => {
    const error = thrown(() => dexchange({ token: { secret: 'x' }, confirm: { apiKey } }));
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain('confirm.apiKey');
    expect(everythingShown(error)).not.toContain('key-one');
  });

  it('has confirm only where it is configured', () => {
    expect('confirm' in dexchange({ token: { secret: 'x' } })).toBe(false);
    expect(dexchange({ token: { secret: 'x' }, confirm: { apiKey: API_KEY } }).confirm).toBeTypeOf(
      'function',
    );
  });
});

describe('dexchange: token', () => {
  it('gives the event', () => {
    expect(deliver()).toEqual({
      provider: 'dexchange',
      scheme: 'dexchange/token',
      trust: 'token',
      keyId: 'token.secret#1',
      id: 'dexchange:ORDER-1:TIDabc123:payment.succeeded',
      type: 'payment.succeeded',
      paymentId: 'TIDabc123',
      reference: ORDER,
      amount: { currency: 'XOF', value: '5000', minorUnits: 5000 },
      fee: { currency: 'XOF', value: '50', minorUnits: 50 },
      net: null,
      customer: { name: null, phone: '771234567', email: null },
      occurredAt: new Date('2026-11-21T08:00:00.000Z'),
      payload: BODY,
    });
  });

  const right = pathOf(ORDER);
  const token = right.slice(right.indexOf('=') + 1);
  it.each([
    ['no url', undefined, 'token_missing'],
    ['no query', '/hook', 'token_missing'],
    ['another parameter', '/hook?token=x', 'token_missing'],
    ['an empty token', '/hook?payproof=', 'token_mismatch'],
    ['a wrong token', `/hook?payproof=${'A'.repeat(43)}`, 'token_mismatch'],
    ['the token twice', `${right}&payproof=${token}`, 'token_mismatch'],
    ['the token beside another', `${right}&payproof=x`, 'token_mismatch'],
    ['a padded token', `${right}=`, 'token_mismatch'],
    ['a token with a tail', `${right}A`, 'token_mismatch'],
    ['the secret itself', `/hook?payproof=${SECRET}`, 'token_mismatch'],
    ['the token of another order', pathOf('ORDER-2'), 'token_mismatch'],
    ['the token of another secret', pathOf(ORDER, 'other'), 'token_mismatch'],
  ])('%s is refused', (_, url, outcome) => {
    expect(code(() => deliver({ url }))).toBe(outcome);
  });

  it('of which one character or the end differs is refused', () => {
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === 'A' ? 'B' : 'A';
      const wrong = token.slice(0, at) + other + token.slice(at + 1);
      for (const text of [wrong, token.slice(0, at)]) {
        expect(code(() => deliver({ url: `/hook?payproof=${text}` }))).toBe('token_mismatch');
      }
    }
  });

  it('opens no other order', () => {
    for (const externalTransactionId of ['ORDER-2', 'order-1', 'ORDER-1 ', '', null, 1, [ORDER]]) {
      const body = { ...BODY, externalTransactionId };
      expect(code(() => deliver({ body }))).toBe('token_mismatch');
    }
    const { externalTransactionId: _, ...rest } = BODY;
    expect(code(() => deliver({ body: rest }))).toBe('token_mismatch');
    expect(code(() => deliver({ body: `{"externalTransactionId":"x\\ud83d"}` }))).toBe(
      'token_mismatch',
    );
  });

  it('is judged by the order that the event then bears', () => {
    const twice = `{"externalTransactionId":"${ORDER}","externalTransactionId":"ORDER-2"}`;
    expect(code(() => deliver({ body: twice }))).toBe('token_mismatch');
    expect(deliver({ body: twice, url: pathOf('ORDER-2') }).reference).toBe('ORDER-2');
  });

  it.each(['', 'x', '[]', 'null', '['.repeat(10_240)])('a body of %.20j is malformed', (body) => {
    expect(code(() => deliver({ body }))).toBe('body_malformed');
  });

  it('says that it is missing before the body is parsed', () => {
    expect(code(() => deliver({ body: '[', url: '/hook' }))).toBe('token_missing');
  });

  it('ends with its secret', () => {
    const token = { secret: { id: 'old', value: SECRET, notAfter: new Date(1000) } };
    expect(deliver({ options: { token }, at: new Date(1000) }).keyId).toBe('old');
    expect(code(() => deliver({ options: { token }, at: new Date(1001) }))).toBe('token_mismatch');
  });
});

describe('dexchange: bearer', () => {
  const bearer = (authorization?: string, options: DexchangeOptions['bearer'] = { token: 'tok' }) =>
    deliver({ options: { bearer: options }, headers: authorization ? { authorization } : {} });

  it.each(['Bearer tok', 'bearer tok', 'BEARER   tok'])('takes %j', (value) => {
    expect(bearer(value)).toMatchObject({
      scheme: 'dexchange/bearer',
      trust: 'token',
      keyId: 'bearer.token#1',
    });
  });

  it.each([
    ['tok', 'token_mismatch'],
    ['Bearer', 'token_mismatch'],
    ['Bearer ', 'token_mismatch'],
    ['Bearer to', 'token_mismatch'],
    ['Bearer tok1', 'token_mismatch'],
    ['Bearer Tok', 'token_mismatch'],
    ['Bearer tok tok', 'token_mismatch'],
    ['Bearer tok, Bearer tok', 'token_mismatch'],
    ['Basic tok', 'token_mismatch'],
    ['Bearer\ttok', 'token_mismatch'],
    [undefined, 'token_missing'],
  ])('refuses %j', (value, outcome) => {
    expect(code(() => bearer(value))).toBe(outcome);
  });

  it('is the bare token in another header', () => {
    const options = { bearer: { token: 'two words', header: 'X-Token' } };
    const at = (value: string) => deliver({ options, headers: { 'x-token': value } });
    expect(at('two words').scheme).toBe('dexchange/bearer');
    expect(code(() => at('Bearer two words'))).toBe('token_mismatch');
    expect(code(() => at(''))).toBe('token_mismatch');
    expect(code(() => deliver({ options }))).toBe('token_missing');
  });

  it('tells which of several matched', () => {
    expect(bearer('Bearer b', { token: ['a', { id: 'second', value: 'b' }] }).keyId).toBe('second');
  });
});

describe('dexchange: signature', () => {
  const options = { signature: { header: 'X-Signature', secret: SECRET } };
  const text = JSON.stringify(BODY);
  const right = createHmac('sha256', SECRET).update(text).digest('hex');
  const signed = (signature?: string, body: string = text) =>
    deliver({
      options,
      body,
      headers: signature === undefined ? {} : { 'x-signature': signature },
    });

  it('gives a signed event', () => {
    expect(signed(right)).toMatchObject({
      scheme: 'dexchange/signature',
      trust: 'signed',
      keyId: 'signature.secret#1',
    });
  });

  it.each([
    [undefined, 'signature_missing'],
    ['', 'signature_malformed'],
    [`sha256=${right}`, 'signature_malformed'],
    [`${right}, ${right}`, 'signature_malformed'],
    ['0'.repeat(64), 'signature_mismatch'],
  ])('refuses %j', (signature, outcome) => {
    expect(code(() => signed(signature))).toBe(outcome);
  });

  it('of which one digit or the end differs is refused', () => {
    for (let at = 0; at < 64; at++) {
      const wrong = right.slice(0, at) + (right[at] === '0' ? '1' : '0') + right.slice(at + 1);
      expect(code(() => signed(wrong))).toBe('signature_mismatch');
      expect(code(() => signed(right.slice(0, at)))).toBe('signature_malformed');
    }
  });

  it('is judged before the body is parsed', () => {
    expect(code(() => signed(right, '['))).toBe('signature_mismatch');
  });
});

describe('dexchange: several proofs', () => {
  const options: DexchangeOptions = {
    token: { secret: SECRET },
    bearer: { token: 'tok' },
    signature: { header: 'x-signature', secret: SECRET },
  };
  const headers = {
    authorization: 'Bearer tok',
    'x-signature': createHmac('sha256', SECRET).update(JSON.stringify(BODY)).digest('hex'),
  };

  it('must all hold, and the strongest names the scheme', () => {
    expect(deliver({ options, headers })).toMatchObject({
      scheme: 'dexchange/signature',
      trust: 'signed',
      keyId: 'signature.secret#1',
    });
    const two = { token: { secret: SECRET }, bearer: { token: 'tok' } };
    expect(deliver({ options: two, headers }).scheme).toBe('dexchange/token');
  });

  it.each([
    ['the token', { url: '/hook' }, 'token_missing'],
    ['the bearer', { headers: { ...headers, authorization: 'Bearer x' } }, 'token_mismatch'],
    ['the signature', { headers: { authorization: 'Bearer tok' } }, 'signature_missing'],
  ])('none may fail: %s', (_, change, outcome) => {
    expect(code(() => deliver({ options, headers, ...change }))).toBe(outcome);
  });

  it('are what a list of providers is chosen by', () => {
    const list = [
      dexchange({ signature: { header: 'x-signature', secret: SECRET } }),
      dexchange({ bearer: { token: 'tok' } }),
      dexchange({ token: { secret: SECRET } }),
    ];
    const body = Buffer.from(JSON.stringify(BODY));
    const scheme = (input: { headers: Record<string, string>; url?: string }) =>
      verify(list, { body, ...input }).scheme;
    expect(scheme({ headers })).toBe('dexchange/signature');
    expect(scheme({ headers: { authorization: 'Bearer tok' } })).toBe('dexchange/bearer');
    expect(scheme({ headers: {}, url: pathOf(ORDER) })).toBe('dexchange/token');
    expect(code(() => scheme({ headers: {} }))).toBe('provider_unrecognized');
  });
});

describe('dexchange: the event', () => {
  it('takes fields of its own, in spellings that disagree', () => {
    const body = { ...BODY, custom: 1, CUSTOM: 2, Custom: 3, tag: 'a', TAG: 'b' };
    expect(deliver({ body })).toMatchObject({ type: 'payment.succeeded', payload: body });
  });

  it.each([
    ['PENDING', 'payment.pending'],
    ['PROCESSING', 'payment.pending'],
    ['SUCCESS', 'payment.succeeded'],
    ['COMPLETED', 'payment.succeeded'],
    ['success', 'payment.succeeded'],
    ['FAILED', 'payment.failed'],
    ['CANCELLED', 'payment.canceled'],
    ['EXPIRED', 'payment.expired'],
    ['REVERSED', 'other'],
    ['toString', 'other'],
    ['', 'other'],
    [null, 'other'],
    [['SUCCESS'], 'other'],
    [undefined, 'other'],
  ])('STATUS %j is %s', (STATUS, type) => {
    expect(deliver({ body: { ...BODY, STATUS } }).type).toBe(type);
  });

  it('reads every spelling, and refuses two that disagree', () => {
    const { STATUS: _, AMOUNT: __, ...rest } = BODY;
    for (const name of ['STATUS', 'Status', 'status', 'sTaTuS']) {
      expect(deliver({ body: { ...rest, [name]: 'FAILED' } }).type).toBe('payment.failed');
    }
    expect(deliver({ body: { ...rest, Amount: 7 } }).amount?.value).toBe('7');
    expect(deliver({ body: { ...rest, STATUS: 'FAILED', status: 'FAILED' } }).type).toBe(
      'payment.failed',
    );
    for (const twice of [
      { STATUS: 'FAILED', status: 'SUCCESS' },
      { AMOUNT: 1, Amount: 2 },
      { FEE: 1, fee: '1' },
      { PHONE_NUMBER: '1', phone_number: '2' },
    ]) {
      expect(code(() => deliver({ body: { ...rest, ...twice } }))).toBe('field_ambiguous');
    }
  });

  it.each([
    ['5000', '5000'],
    ['"5000"', '5000'],
    ['5000.00', '5000'],
    ['50.5', null],
    ['-5', null],
    ['5e3', null],
    ['1e400', null],
    ['9007199254740993', null],
    ['null', null],
    ['{"toString":1,"valueOf":1}', null],
  ])('%s as AMOUNT or FEE, in any spelling, is %j', (json, value) => {
    const { AMOUNT: _, FEE: __, ...rest } = BODY;
    const read = (name: string, written: (text: string) => string) =>
      deliver({
        body: written(JSON.stringify({ ...rest, [name]: 'HERE' }).replace('"HERE"', json)),
      });
    for (const written of [String, withLines]) {
      for (const name of ['AMOUNT', 'Amount', 'amount', 'aMoUnT']) {
        expect(read(name, written).amount?.value ?? null).toBe(value);
      }
      for (const name of ['FEE', 'Fee', 'fee']) {
        expect(read(name, written).fee?.value ?? null).toBe(value);
      }
    }
  });

  it('takes an exact number and another in two spellings of what is no amount', () => {
    const body = JSON.stringify(BODY).replace('{', '{"PHONE_NUMBER":1e3,"phone_number":1000,');
    const { PHONE_NUMBER: _, ...rest } = BODY;
    const alone = JSON.stringify(rest).replace('{', '{"PHONE_NUMBER":1e3,"phone_number":1000,');
    expect(code(() => deliver({ body }))).toBe('field_ambiguous');
    expect(deliver({ body: alone }).type).toBe('payment.succeeded');
  });

  it('takes no field from what other code put into every object', () => {
    const { STATUS: _, ...rest } = BODY;
    Object.defineProperty(Object.prototype, 'status', {
      value: 'SUCCESS',
      writable: true,
      enumerable: true,
      configurable: true,
    });
    try {
      expect(deliver({ body: rest }).type).toBe('other');
    } finally {
      Reflect.deleteProperty(Object.prototype, 'status');
    }
  });

  it('refuses two spellings of which one is no exact number', () => {
    const { AMOUNT: _, ...rest } = BODY;
    for (const twice of ['"AMOUNT":5000,"amount":5e3', '"AMOUNT":5e3,"amount":5000']) {
      const body = JSON.stringify(rest).replace('{', `{${twice},`);
      expect(code(() => deliver({ body }))).toBe('field_ambiguous');
      expect(code(() => deliver({ body: withLines(body) }))).toBe('field_ambiguous');
    }
  });

  it.each([
    [undefined],
    [null],
    [''],
    ['soon'],
    [{ toString: 1, valueOf: 1 }],
    [[1]],
    [1e300],
  ])('COMPLETED_AT %j is no time', (COMPLETED_AT) => {
    expect(deliver({ body: { ...BODY, COMPLETED_AT } }).occurredAt).toBeNull();
  });

  it.each(['AMOUNT', 'FEE'])('%s that is not exact is none, however long the body is', (name) => {
    for (const number of ['1e3', '75.0000000000000001']) {
      const body = JSON.stringify({ ...BODY, [name]: 'HERE' }).replace('"HERE"', number);
      for (const text of [body, withLines(body), withText(body)]) {
        const { amount, fee } = deliver({ body: text });
        expect([amount, fee].map((one) => one === null)).toEqual([
          name === 'AMOUNT',
          name === 'FEE',
        ]);
      }
    }
  });

  it('has one id for one fact, over spellings and proofs', () => {
    const { id } = deliver();
    expect(deliver({ body: { ...BODY, STATUS: 'COMPLETED', more: 1 } }).id).toBe(id);
    const headers = { authorization: 'Bearer tok' };
    expect(deliver({ options: { bearer: { token: 'tok' } }, headers }).id).toBe(id);
  });

  it('has another id for another fact', () => {
    const changes = [
      {},
      { id: 'TIDother' },
      { STATUS: 'FAILED' },
      { STATUS: 'PENDING' },
      { STATUS: 'REVERSED' },
      { STATUS: 'HELD' },
      { id: '' },
      { id: '', STATUS: 'FAILED' },
    ];
    const ids = changes.map((change) => deliver({ body: { ...BODY, ...change } }).id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('that names neither an order nor a transaction is identified by its content', () => {
    const bare = (change: object = {}) =>
      deliver({
        body: { STATUS: 'SUCCESS', AMOUNT: 5000, ...change },
        options: { bearer: { token: 'tok' } },
        headers: { authorization: 'Bearer tok' },
      }).id;
    expect(bare()).toMatch(/^dexchange:[\w-]{43}::payment\.succeeded$/);
    expect(bare()).toBe(bare());
    expect(bare({ AMOUNT: 5001 })).not.toBe(bare());
    expect(bare({ id: 'TIDabc123' })).toBe('dexchange:TIDabc123:TIDabc123:payment.succeeded');
  });

  it('of a link is identified by the order where it has no id of its own', () => {
    const { id: _, ...rest } = BODY;
    expect(deliver({ body: rest })).toMatchObject({
      paymentId: null,
      id: 'dexchange:ORDER-1::payment.succeeded',
    });
  });

  it('pollutes nothing', () => {
    const body = `{"externalTransactionId":"${ORDER}","__proto__":{"STATUS":"SUCCESS"}}`;
    expect(deliver({ body }).type).toBe('other');
    expect(({} as { STATUS?: unknown }).STATUS).toBeUndefined();
  });
});

// ---- Confirmation --------------------------------------------------------------------------------

type Fetch = typeof globalThis.fetch;

/** Verifies a delivery and has it confirmed. */
async function confirmed(
  confirm: Partial<DexchangeConfirmOptions>,
  change: object = {},
): Promise<DexchangeEvent> {
  const provider = dexchange({
    token: { secret: SECRET },
    confirm: { apiKey: API_KEY, ...confirm },
  });
  const event = verify(provider, {
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ ...BODY, ...change })),
    url: pathOf(ORDER),
  });
  if (provider.confirm === undefined) throw new Error('no confirm');
  return provider.confirm(event);
}

const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
const answer = (change: object = {}) => ({
  message: 'ok',
  transaction: { ServiceName: 'Wave', Amount: 4900, Number: '77', Status: 'SUCCESS', ...change },
});
const fake = (respond: () => Response | Promise<Response>) => vi.fn<Fetch>(async () => respond());

describe('dexchange: confirm, by an injected fetch', () => {
  it('asks for a TID at its path, with the key and without redirects', async () => {
    const fetch = fake(() => json(answer()));
    await confirmed({ fetch });
    expect(fetch).toHaveBeenCalledTimes(1);
    const [url, init] = fetch.mock.calls[0] as Parameters<Fetch>;
    expect(url).toBe('https://api-m.dexchange.sn/api/v1/transaction/TIDabc123');
    expect(init).toMatchObject({
      redirect: 'error',
      headers: { authorization: `Bearer ${API_KEY}`, accept: 'application/json' },
    });
    expect(init?.signal).toBeInstanceOf(AbortSignal);
    expect(init?.method ?? 'GET').toBe('GET');
  });

  it.each([
    ['https://api.example', 'https://api.example/api/v1'],
    ['https://api.example/', 'https://api.example/api/v1'],
    ['https://api.example/api/v1', 'https://api.example/api/v1'],
    ['https://api.example/api/v1/', 'https://api.example/api/v1'],
    ['https://api.example/proxy', 'https://api.example/proxy/api/v1'],
    ['http://localhost:5', 'http://localhost:5/api/v1'],
    ['https://proxy.example/dexchange/api/v1', 'https://proxy.example/dexchange/api/v1'],
    ['https://proxy.example/api/v1/dexchange', 'https://proxy.example/api/v1/dexchange/api/v1'],
    ['http://[::1]:5', 'http://[::1]:5/api/v1'],
  ])('asks %s for a MID at the path of links', async (baseUrl, start) => {
    const fetch = fake(() => json(answer()));
    await confirmed({ fetch, baseUrl }, { id: 'MIDabc' });
    expect(fetch.mock.calls[0]?.[0]).toBe(`${start}/transaction/merchant/MIDabc`);
  });

  it.each([
    ['under transaction', answer()],
    ['flat', answer().transaction],
    [
      'of a link',
      { message: 'ok', transaction: { Merchant: 'x', Amount: 4900, Status: 'SUCCESS' } },
    ],
    ['in other casing', { transaction: { AMOUNT: 4900, status: 'success' } }],
    ['an amount as text', { transaction: { amount: '4900', STATUS: 'COMPLETED' } }],
  ])('takes status and amount from an answer %s', async (_, body) => {
    expect(await confirmed({ fetch: fake(() => json(body)) })).toMatchObject({
      provider: 'dexchange',
      scheme: 'dexchange/token',
      trust: 'confirmed',
      id: 'dexchange:transaction:TIDABC123:payment.succeeded',
      type: 'payment.succeeded',
      reference: ORDER,
      amount: { currency: 'XOF', value: '4900', minorUnits: 4900 },
    });
  });

  it.each([
    'PENDING',
    'PROCESSING',
    'FAILED',
    'CANCELLED',
    'EXPIRED',
    'REVERSED',
    'toString',
  ])('refuses a claimed success where the answer is %s', async (Status) => {
    const fetch = fake(() => json(answer({ Status })));
    expect(await codeOf(confirmed({ fetch }))).toBe('confirmation_mismatch');
  });

  it.each([
    ['PENDING', 'SUCCESS', 'payment.succeeded'],
    ['FAILED', 'SUCCESS', 'payment.succeeded'],
    ['PENDING', 'FAILED', 'payment.failed'],
    ['FAILED', 'PENDING', 'payment.pending'],
    ['REVERSED', 'HELD', 'other'],
  ])('a claimed %s becomes %s as the answer says', async (STATUS, Status, type) => {
    const fetch = fake(() => json(answer({ Status })));
    const event = await confirmed({ fetch }, { STATUS });
    expect(event).toMatchObject({ type, trust: 'confirmed' });
    expect(event.id).toBe(`dexchange:transaction:TIDABC123:${type === 'other' ? Status : type}`);
  });

  it.each([
    [undefined],
    [null],
    ['x'],
    [-4900],
    [4900.5],
  ])('has no amount where the answer has %j, whatever was claimed', async (Amount) => {
    const fetch = fake(() => json(answer({ Amount })));
    expect((await confirmed({ fetch })).amount).toBeNull();
  });

  it.each([
    { status: 'success', message: 'No transaction found', transaction: null },
    { status: 'success', transaction: [{ Status: 'FAILED', Amount: 5000 }] },
    { status: 'success', data: { Status: 'FAILED', Amount: 5000 } },
    { success: false, status: 'completed', message: ['still pending'] },
  ])('does not take the status of an envelope for that of the payment: %j', async (body) => {
    expect(await codeOf(confirmed({ fetch: fake(() => json(body)) }))).toBe(
      'confirmation_unavailable',
    );
  });

  it.each([
    ['PENDING', 'payment.pending'],
    ['REVERSED', 'other'],
  ])('takes %s from a flat answer without an amount', async (Status, type) => {
    const fetch = fake(() => json({ Status }));
    expect(await confirmed({ fetch }, { STATUS: 'PENDING' })).toMatchObject({ type, amount: null });
    expect(await codeOf(confirmed({ fetch }))).toBe('confirmation_mismatch');
  });

  it('refuses an answer of two spellings that disagree', async () => {
    const fetch = fake(() => json(answer({ status: 'FAILED' })));
    expect(await codeOf(confirmed({ fetch }))).toBe('field_ambiguous');
  });

  it.each([
    ['404', () => json({ message: ['not found'], success: false }, 404), 'confirmation_mismatch'],
    ['201', () => json(answer(), 201), 'confirmation_unavailable'],
    ['204', () => new Response(null, { status: 204 }), 'confirmation_unavailable'],
    ['400', () => json({}, 400), 'confirmation_unavailable'],
    ['401', () => json({}, 401), 'confirmation_unavailable'],
    ['403', () => json({}, 403), 'confirmation_unavailable'],
    ['429', () => json({}, 429), 'confirmation_unavailable'],
    ['500', () => json(answer(), 500), 'confirmation_unavailable'],
    ['503', () => json({}, 503), 'confirmation_unavailable'],
    ['no body', () => new Response(null), 'confirmation_unavailable'],
    ['no JSON', () => new Response('<html>'), 'confirmation_unavailable'],
    ['an array', () => json([answer()]), 'confirmation_unavailable'],
    ['no status', () => json({ transaction: {} }), 'confirmation_unavailable'],
    ['a status that is no text', () => json(answer({ Status: 5 })), 'confirmation_unavailable'],
    [
      'a transaction that is no object',
      () => json({ transaction: 'x' }),
      'confirmation_unavailable',
    ],
  ] as const)('an answer of %s', async (_, respond, outcome) => {
    expect(await codeOf(confirmed({ fetch: fake(respond) }))).toBe(outcome);
  });

  it.each([
    ['throws', () => Promise.reject(new TypeError('fetch failed'))],
    ['throws no error', () => Promise.reject(undefined)],
    ['gives nothing', () => Promise.resolve(undefined as unknown as Response)],
  ])('a fetch that %s', async (_, respond) => {
    const confirm = { fetch: vi.fn<Fetch>(respond) };
    expect(await codeOf(confirmed(confirm))).toBe('confirmation_unavailable');
  });

  it('the cause says something where nothing was thrown', async () => {
    const fetch = vi.fn<Fetch>(() => Promise.reject(undefined));
    await expect(confirmed({ fetch })).rejects.toMatchObject({ cause: { message: 'no answer' } });
  });

  it.each([
    ['DExchange answered with status 500', fake(() => json({}, 500))],
    ['answer too large', fake(() => new Response('x'.repeat(65_537)))],
    ['no answer in time', vi.fn<Fetch>(() => new Promise(() => undefined))],
    ['fetch failed', vi.fn<Fetch>(() => Promise.reject(new TypeError('fetch failed')))],
  ])('the cause says: %s', async (message, fetch) => {
    const failure = confirmed({ fetch, timeout: 30 });
    await expect(failure).rejects.toMatchObject({ cause: { message } });
  });

  it.each([
    [{ code: 'ECONNREFUSED' }, 'ECONNREFUSED'],
    [
      { cause: { code: 'HPE_INVALID_CHUNK_SIZE', data: 'Number: 770001234' } },
      'HPE_INVALID_CHUNK_SIZE',
    ],
    [{ cause: null }, null],
  ])('the cause has a code, and nothing of an answer: %#', async (more, code) => {
    const failed = Object.assign(new TypeError('terminated'), more);
    const failure = await confirmed({ fetch: vi.fn<Fetch>(() => Promise.reject(failed)) }).catch(
      (error) => error,
    );
    expect(failure.cause).toMatchObject({ message: 'terminated' });
    if (code === null) expect(failure.cause).not.toHaveProperty('code');
    else expect(failure.cause.code).toBe(code);
    expect(everythingShown(failure)).not.toContain('770001234');
  });

  it('leaves no timer behind', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await confirmed({ fetch: fake(() => json(answer())) });
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('a fetch that throws at once', async () => {
    const fetch: Fetch = () => {
      throw new TypeError('x');
    };
    expect(await codeOf(confirmed({ fetch }))).toBe('confirmation_unavailable');
  });

  it('a fetch that ignores its signal', async () => {
    const fetch = vi.fn<Fetch>(() => new Promise(() => undefined));
    const start = performance.now();
    expect(await codeOf(confirmed({ fetch, timeout: 30 }))).toBe('confirmation_unavailable');
    expect(performance.now() - start).toBeLessThan(2_000);
    expect(fetch.mock.calls[0]?.[1]?.signal?.aborted).toBe(true);
  });

  it('an answer whose body never ends, by a fetch that ignores its signal', async () => {
    const fetch = fake(
      () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) })),
    );
    expect(await codeOf(confirmed({ fetch, timeout: 30 }))).toBe('confirmation_unavailable');
  });

  it.each([
    ['65,536 bytes', 65_536, 'nothing was thrown'],
    ['65,537 bytes', 65_537, 'confirmation_unavailable'],
  ])('an answer of %s', async (_, size, outcome) => {
    const text = JSON.stringify(answer()).padEnd(size, ' ');
    expect(await codeOf(confirmed({ fetch: fake(() => new Response(text)) }))).toBe(outcome);
  });

  it('stops reading at the cap', async () => {
    let sent = 0;
    const cancel = vi.fn();
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      sent += 1024;
      controller.enqueue(new Uint8Array(1024));
    };
    const fetch = fake(() => new Response(new ReadableStream({ pull, cancel })));
    expect(await codeOf(confirmed({ fetch }))).toBe('confirmation_unavailable');
    expect(sent).toBeLessThan(70 * 1024);
    expect(cancel).toHaveBeenCalledTimes(1);
  });

  it.each([
    'TID',
    'MID',
    'tidabc',
    'XIDabc',
    'TIDabc/../x',
    'TIDabc%2F..',
    'TID../../admin',
    'TIDabc?x=1',
    'TIDabc#x',
    'TIDabc\n',
    ' TIDabc',
    'TIDé',
    'TIDa_b',
    `TID${'a'.repeat(65)}`,
    '',
    'https://evil.example/TIDabc',
  ])('does not ask for the id %j', async (id) => {
    const fetch = fake(() => json(answer()));
    expect(await codeOf(confirmed({ fetch }, { id }))).toBe('confirmation_mismatch');
    expect(fetch).not.toHaveBeenCalled();
  });

  it('asks for an id of 64 characters', async () => {
    const id = `TID${'aZ09'.repeat(16)}`;
    expect((await confirmed({ fetch: fake(() => json(answer())) }, { id })).paymentId).toBe(id);
  });

  it('does not ask where there is no id', async () => {
    const fetch = fake(() => json(answer()));
    expect(await codeOf(confirmed({ fetch }, { id: undefined }))).toBe('confirmation_mismatch');
    expect(fetch).not.toHaveBeenCalled();
  });

  it('uses the global fetch by default', async () => {
    vi.stubGlobal(
      'fetch',
      fake(() => json(answer())),
    );
    try {
      expect((await confirmed({})).trust).toBe('confirmed');
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe('dexchange: confirm, transactionId', () => {
  type Stored = NonNullable<DexchangeConfirmOptions['transactionId']>;
  const STORED: [shown: string, transactionId: Stored, outcome: string][] = [
    ['the same', () => 'TIDabc123', 'nothing was thrown'],
    ['the same, later', async () => 'TIDabc123', 'nothing was thrown'],
    ['another', () => 'TIDother', 'confirmation_mismatch'],
    ['in another case', () => 'TIDABC123', 'confirmation_mismatch'],
    ['unknown', () => null, 'confirmation_mismatch'],
    ['undefined', () => undefined as unknown as null, 'confirmation_mismatch'],
    [
      'not to be had',
      () => {
        throw new Error('database down');
      },
      'confirmation_unavailable',
    ],
    ['rejected', () => Promise.reject(new Error('database down')), 'confirmation_unavailable'],
  ];
  it.each(STORED)('that is %s', async (_, transactionId, outcome) => {
    const fetch = fake(() => json(answer()));
    expect(await codeOf(confirmed({ fetch, transactionId }))).toBe(outcome);
    expect(fetch).toHaveBeenCalledTimes(outcome === 'nothing was thrown' ? 1 : 0);
  });

  it('that never comes counts against the timeout', async () => {
    const fetch = fake(() => json(answer()));
    const started = performance.now();
    const confirm = { fetch, timeout: 30, transactionId: () => new Promise<never>(() => {}) };
    expect(await codeOf(confirmed(confirm))).toBe('confirmation_unavailable');
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(fetch).not.toHaveBeenCalled();
  });

  it('is asked by the order', async () => {
    const transactionId = vi.fn(() => 'TIDabc123');
    await confirmed({ fetch: fake(() => json(answer())), transactionId });
    expect(transactionId.mock.calls).toEqual([[ORDER]]);
  });

  it('is a mismatch where the event has no order', async () => {
    const transactionId = vi.fn(() => 'TIDabc123');
    const provider = dexchange({
      bearer: { token: 'tok' },
      confirm: { apiKey: API_KEY, transactionId, fetch: fake(() => json(answer())) },
    });
    const event = verify(provider, {
      headers: { authorization: 'Bearer tok' },
      body: Buffer.from('{"id":"TIDabc123","STATUS":"SUCCESS"}'),
    });
    expect(await codeOf(Promise.resolve(provider.confirm?.(event)))).toBe('confirmation_mismatch');
    expect(transactionId).not.toHaveBeenCalled();
  });
});

describe('dexchange: confirm, against a server', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it.each([
    ['TIDabc123', '/api/v1/transaction/TIDabc123', answer()],
    ['MIDabc123', '/api/v1/transaction/merchant/MIDabc123', answer()],
    ['TIDabc123', '/api/v1/transaction/TIDabc123', answer().transaction],
  ])('asks for %s at %s', async (id, path, body) => {
    const asked: unknown[] = [];
    const baseUrl = await serve((req, res) => {
      asked.push([req.method, req.url, req.headers.authorization]);
      res.setHeader('content-type', 'application/json').end(JSON.stringify(body));
    });
    expect(await confirmed({ baseUrl }, { id })).toMatchObject({
      trust: 'confirmed',
      amount: { value: '4900' },
    });
    expect(asked).toEqual([['GET', path, `Bearer ${API_KEY}`]]);
  });

  it.each([301, 302, 307, 308])('follows no %i', async (status) => {
    const asked: unknown[] = [];
    const baseUrl = await serve((req, res) => {
      asked.push(req.url);
      if (req.url?.startsWith('/elsewhere')) res.end(JSON.stringify(answer()));
      else res.writeHead(status, { location: '/elsewhere' }).end(JSON.stringify(answer()));
    });
    expect(await codeOf(confirmed({ baseUrl }))).toBe('confirmation_unavailable');
    expect(asked).toEqual(['/api/v1/transaction/TIDabc123']);
  });

  it.each([
    [404, 'confirmation_mismatch'],
    [401, 'confirmation_unavailable'],
    [429, 'confirmation_unavailable'],
    [500, 'confirmation_unavailable'],
  ])('status %i is %s', async (status, outcome) => {
    const baseUrl = await serve((_, res) => res.writeHead(status).end(JSON.stringify(answer())));
    expect(await codeOf(confirmed({ baseUrl }))).toBe(outcome);
  });

  it('gives up an endless answer at the cap, and closes the connection', async () => {
    let closed = () => {};
    const end = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const baseUrl = await serve((_, res) => {
      res.on('close', closed);
      const write = () => {
        while (!res.destroyed && res.write(Buffer.alloc(16_384, ' ')));
      };
      res.on('drain', write);
      write();
    });
    expect(await codeOf(confirmed({ baseUrl }))).toBe('confirmation_unavailable');
    await end;
  });

  it.each([
    ['no answer', () => {}],
    ['headers and no body', (res: { flushHeaders(): void }) => res.flushHeaders()],
    ['half a body', (res: { write(text: string): unknown }) => res.write('{"transaction":')],
  ])('a stall (%s) ends after the timeout', async (_, stall) => {
    const baseUrl = await serve((_, res) => {
      stall(res);
    });
    const start = performance.now();
    expect(await codeOf(confirmed({ baseUrl, timeout: 60 }))).toBe('confirmation_unavailable');
    expect(performance.now() - start).toBeLessThan(3_000);
  });

  it('a connection that is cut, and a port that is closed', async () => {
    const baseUrl = await serve((req) => req.socket.destroy());
    expect(await codeOf(confirmed({ baseUrl }))).toBe('confirmation_unavailable');
    const gone = await serve(() => {});
    servers.at(-1)?.close();
    expect(await codeOf(confirmed({ baseUrl: gone, timeout: 500 }))).toBe(
      'confirmation_unavailable',
    );
  });

  it('no error shows the key, nor the answer', async () => {
    const secretAnswer = JSON.stringify(answer({ Status: 'PENDING', Number: 'private-number' }));
    const outcomes: ((res: ServerResponse) => void)[] = [
      (res) => void res.end(secretAnswer),
      (res) => void res.writeHead(500).end(secretAnswer),
      (res) => void res.end(`${secretAnswer}x`),
      (res) => void res.writeHead(302, { location: '/' }).end(secretAnswer),
      (res) => void res.destroy(),
      () => {},
    ];
    for (const respond of outcomes) {
      const baseUrl = await serve((_, res) => respond(res));
      const error = await confirmed({ baseUrl, timeout: 100 }).catch((one: unknown) => one);
      expect(error).toBeInstanceOf(Error);
      const shown = everythingShown(error);
      expect(shown).not.toContain(API_KEY);
      expect(shown).not.toContain('private-number');
    }
  });
});

describe('dexchange: silence', () => {
  it('no error shows the body, a token or a secret', () => {
    const body = { ...BODY, CUSTOM_DATA: 'private-data' };
    const headers = { authorization: 'Bearer wrong-token', 'x-signature': 'ab'.repeat(32) };
    for (const options of [
      { token: { secret: SECRET } },
      { bearer: { token: SECRET } },
      { signature: { header: 'x-signature', secret: SECRET } },
    ]) {
      const sent = { body, headers, options, url: '/hook?payproof=wrong-token' };
      const shown = everythingShown(thrown(() => deliver(sent)));
      for (const text of ['private-data', 'wrong-token', 'abab', SECRET]) {
        expect(shown).not.toContain(text);
      }
    }
  });

  it('a provider shows no secret', () => {
    const shown = everythingShown(
      dexchange({
        token: { secret: SECRET },
        bearer: { token: `${SECRET}-2` },
        signature: { header: 'x', secret: `${SECRET}-3` },
        confirm: { apiKey: API_KEY },
      }),
    );
    expect(shown).not.toContain(SECRET);
    expect(shown).not.toContain(API_KEY);
  });
});
