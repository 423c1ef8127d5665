import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { delivery } from '../../src/core/delivery.ts';
import type { Clue, Scene, SignedText } from '../../src/core/diagnosis/clues.ts';
import {
  callbackUrl,
  dexchange,
  hatexcard,
  hitpay,
  type Provider,
  type WebhookErrorCode,
} from '../../src/index.ts';
import { EVENT_SALT, NOW, SALT, SECONDS, SECRET } from './deliveries.ts';

// Which clues each provider sees in a delivery, and which texts it has tried for each, in their order:
// recorded beside this file, each text by its hash. What changes there was meant, or is a fault. That the
// texts are the right ones shows in `found.test.ts`.

interface Asked {
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  url?: string;
  code?: WebhookErrorCode;
  orders?: string[];
}

function recorded(provider: Provider, asked: Asked): string[] {
  const { headers = {}, body = '', url, code = 'signature_mismatch', orders = [] } = asked;
  const judged = delivery({ headers, body: Buffer.from(body as string), url, receivedAt: NOW });
  const start = url?.indexOf('?') ?? -1;
  const query = start < 0 ? null : [...new URLSearchParams(url?.slice(start + 1))];
  const scene: Scene = { code, query, orders };
  const { clues = [], plain = [] } = provider.evidence?.(judged, scene) ?? {};
  return [
    ...plain.map(({ confidence, ...one }) => `${confidence}: ${told(one)}`),
    ...clues.flatMap((clue) => [head(clue), ...texts(clue.texts()).map((line) => `  ${line}`)]),
  ];
}

const told = (suspicion: SignedText['suspicion']) =>
  suspicion === null ? 'right' : [suspicion.cause, ...(suspicion.evidence ?? [])].join(' | ');

function head({ option, keys, place, proof, kind, spare, assumption }: Clue): string {
  const others = spare.map((one) => `${one.option} (${one.keys.length})`);
  const seen = proof === undefined ? 'nothing' : `${proof.length} characters`;
  const secrets = `${option} (${keys.length}), spare: ${others.join(', ') || 'none'}`;
  return `${kind} in ${place}: ${seen}; ${secrets}; assumed: ${told(assumption)}`;
}

/** Texts with one explanation that follow each other are one line, with their number and a hash of them all. */
function texts(all: Iterable<SignedText>): string[] {
  const runs: { what: string; parts: string[] }[] = [];
  for (const { parts, suspicion, late } of all) {
    const what = told(suspicion) + (late ? ' (late)' : '');
    const bytes = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
    const run = runs.at(-1);
    if (run?.what === what) run.parts.push(bytes.toString('hex'));
    else runs.push({ what, parts: [bytes.toString('hex')] });
  }
  return runs.map(({ what, parts }) => {
    const hash = createHash('sha256').update(parts.join()).digest('hex').slice(0, 8);
    return `${what}: ${parts.length}, ${hash}`;
  });
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const JSON_TYPE = { 'content-type': 'application/json' };
const form = (fields: readonly (readonly [string, string])[]) =>
  new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])).toString();

const REQUEST = form([
  ['payment_id', 'P-1'],
  ['payment_request_id', 'R-2'],
  ['phone', '+65 (9123) 45-67.8/9'],
  ['amount', '1,599.50'],
  ['currency', 'SGD'],
  ['status', 'completed'],
  ['reference_number', 'Ordre n° 7+1 &amp; <b>'],
  ['hmac', 'a'.repeat(64)],
]);
const BILLING = form([
  ['hmac', 'a'.repeat(64)],
  ['status', 'succeeded'],
  ['recurring_billing_id', 'B-1'],
  ['payment_id', 'P-1'],
  ['amount', '12345678'],
  ['reference', ''],
  ['shop_note', 'A b'],
]);

describe('HitPay', () => {
  const both = hitpay({ salt: SALT, eventSalt: EVENT_SALT });
  const one = hitpay({ salt: SALT });
  const declared = hitpay({ salt: SALT, extraFields: ['shop_note', 'loyalty'] });
  const cases: [name: string, provider: Provider, asked: Asked][] = [
    ['a form', both, { headers: FORM, body: REQUEST }],
    ['a form, and a query', one, { headers: FORM, body: REQUEST, url: '/?shop=7&amount=1' }],
    ['a form of recurring billing', one, { headers: FORM, body: BILLING }],
    ['a form with declared fields', declared, { headers: FORM, body: BILLING }],
    ['a form with a mark', one, { headers: FORM, body: `\ufeff${REQUEST}` }],
    ['a form with a line break', one, { headers: FORM, body: `${BILLING}\n` }],
    ['a form with a line break behind hmac', one, { headers: FORM, body: `${REQUEST}\n` }],
    ['a form with a mark before hmac', one, { headers: FORM, body: `\ufeff${BILLING}` }],
    ['a mark inside', one, { headers: FORM, body: 'a=1\ufeff2&hmac=1' }],
    ['a mark inside hmac', one, { headers: FORM, body: 'a=1&hmac=12\ufeff34' }],
    ['escaped spaces', one, { headers: FORM, body: 'a=1%202%203&hmac=1' }],
    ['equal values', one, { headers: FORM, body: 'b=1&a=1&c=0&d=1&hmac=1' }],
    ['capitals', one, { headers: FORM, body: 'Bb=1&a=2&Cc=3&a_b=4&aB=5&hmac=1' }],
    ['plus signs at the beginning', one, { headers: FORM, body: 'phone=+65+91+&hmac=1' }],
    ['plus signs, encoded twice', one, { headers: FORM, body: 'a=%2B%2525&hmac=1' }],
    ['an amount of 40 digits', one, { headers: FORM, body: `amount=${'1'.repeat(40)}&hmac=1` }],
    ['an amount with noughts inside', one, { headers: FORM, body: 'amount=1.050&hmac=1' }],
    [
      'JSON of another type without a signature',
      one,
      { headers: { 'content-type': 'text/plain' }, body: '{}', code: 'content_type_unsupported' },
    ],
    ['a form with Latin-1', one, { headers: FORM, body: 'a=%B0%2525&b=c=d&hmac=1' }],
    ['a form without amount', one, { headers: FORM, body: 'payment_id=1&hmac=2' }],
    ['amounts', one, { headers: FORM, body: 'amount=1.5&hmac=1' }],
    ['an amount in the billions', one, { headers: FORM, body: 'amount=1234567890.000&hmac=1' }],
    ['an amount that is too long', one, { headers: FORM, body: `amount=${'1'.repeat(41)}` }],
    ['empty values', one, { headers: FORM, body: 'phone=&amount=&x=&hmac=1' }],
    ['eight spaces', one, { headers: FORM, body: 'phone=1+2+3+4+5+6+7+8+9&hmac=1' }],
    ['nine spaces', one, { headers: FORM, body: 'phone=1+2+3+4+5+6+7+8+9+0&hmac=1' }],
    ['more than 64 fields', one, { headers: FORM, body: `${'a=1&'.repeat(70)}hmac=1` }],
    ['a form without hmac', both, { headers: FORM, body: 'status=completed' }],
    [
      'a form for an account that takes none',
      hitpay({ eventSalt: EVENT_SALT }),
      { headers: FORM, body: 'status=completed&hmac=1' },
    ],
    [
      'such a form, refused by its type',
      hitpay({ eventSalt: EVENT_SALT }),
      { headers: FORM, body: 'hmac=1', code: 'content_type_unsupported' },
    ],
    [
      'a field twice',
      one,
      { headers: FORM, body: 'a=1&amount=2&a=3&amount=4&amount=5&hmac=6', code: 'field_ambiguous' },
    ],
    [
      'fields that nobody knows',
      declared,
      { headers: FORM, body: 'a=1&loyalty=2&hmac=3&b=4', code: 'field_ambiguous' },
    ],
    ['an event', both, { headers: { ...JSON_TYPE, 'hitpay-signature': 'a' }, body: '{"b":1}' }],
    ['an event, one salt', one, { headers: { ...JSON_TYPE, 'hitpay-signature': 'a' }, body: '{}' }],
    [
      'an event, one salt, refused by its type',
      one,
      { headers: { 'hitpay-signature': 'a' }, body: '{}', code: 'content_type_unsupported' },
    ],
    [
      'an event, one salt, refused otherwise',
      one,
      { headers: { ...JSON_TYPE, 'hitpay-signature': 'a' }, body: '{}', code: 'body_malformed' },
    ],
    ['JSON without a signature', both, { headers: JSON_TYPE, body: '{}' }],
    ['no content type, no signature', both, { body: 'status=completed&hmac=1' }],
    ['a form that says that it is JSON', both, { headers: JSON_TYPE, body: 'status=1&hmac=1' }],
    [
      'JSON that says that it is a form',
      both,
      { headers: { ...FORM, 'hitpay-signature': 'a' }, body: '{}' },
    ],
  ];
  it.each(cases)('%s', (_, provider, asked) => {
    expect(recorded(provider, asked)).toMatchSnapshot();
  });
});

describe('Hatexcard', () => {
  const any = hatexcard({ secret: SECRET });
  const headers = (timestamp?: string) => ({
    ...JSON_TYPE,
    'x-hatex-signature': 'a'.repeat(64),
    ...(timestamp !== undefined && { 'x-hatex-timestamp': timestamp }),
  });
  const at = `${SECONDS}`;
  const BODY = `{"event" : "payment.success", "created":${SECONDS - 7}, "data":{"amount":1500.00}}`;
  const cases: [name: string, asked: Asked, provider?: Provider][] = [
    ['with a timestamp', { headers: headers(at), body: BODY }],
    [
      'with a timestamp that is not accepted',
      { headers: headers(at), body: BODY },
      hatexcard({ secret: SECRET, schemes: ['body'] }),
    ],
    ['with milliseconds', { headers: headers(`${at}123`), body: BODY, code: 'timestamp_invalid' }],
    ['with a date', { headers: headers(NOW.toISOString()), body: BODY, code: 'timestamp_invalid' }],
    [
      'with a timestamp twice',
      { headers: headers(`${at}, ${at}, 1, 2, 3`), body: BODY, code: 'timestamp_invalid' },
    ],
    ['with 14 digits', { headers: headers(`9${at}000`), body: '{', code: 'timestamp_invalid' }],
    [
      'with 13 digits and more',
      { headers: headers(`${at}000x`), body: '{', code: 'timestamp_invalid' },
    ],
    ['with nonsense', { headers: headers('01700000000'), body: '{', code: 'timestamp_invalid' }],
    [
      'with digits behind',
      { headers: headers('17000000001'), body: '{', code: 'timestamp_invalid' },
    ],
    [
      '300 seconds ago',
      { headers: headers(`${SECONDS - 300}`), body: '{}', code: 'timestamp_out_of_tolerance' },
    ],
    [
      '301 seconds ago',
      { headers: headers(`${SECONDS - 301}`), body: '{}', code: 'timestamp_out_of_tolerance' },
    ],
    [
      '301 seconds ahead',
      { headers: headers(`${SECONDS + 301}`), body: '{}', code: 'timestamp_out_of_tolerance' },
    ],
    [
      '61 seconds ahead, 60 allowed',
      { headers: headers(`${SECONDS + 61}`), body: '{}', code: 'timestamp_out_of_tolerance' },
      hatexcard({ secret: SECRET, tolerance: 60 }),
    ],
    [
      '301 seconds ago, refused otherwise',
      { headers: headers(`${SECONDS - 301}`), body: '{}', code: 'body_malformed' },
    ],
    ['without a timestamp', { headers: headers(), body: BODY }],
    [
      'without a timestamp, an older body',
      { headers: headers(), body: '{"event":"ping","created":1.5}' },
    ],
    [
      'without a timestamp, created as text',
      { headers: headers(), body: '{"created":"1","data":{}}' },
    ],
    ['without a timestamp, no JSON', { headers: headers(), body: 'x' }],
    [
      'without a timestamp, not accepted',
      { headers: headers(), body: BODY, code: 'timestamp_invalid' },
      hatexcard({ secret: SECRET, schemes: ['timestamped'] }),
    ],
    ['without a signature', { headers: JSON_TYPE, body: BODY, code: 'signature_missing' }],
    [
      'without a signature, not accepted',
      { headers: JSON_TYPE, body: '{}' },
      hatexcard({ secret: SECRET, schemes: ['timestamped'] }),
    ],
  ];
  it.each(cases)('%s', (_, asked, provider = any) => {
    expect(recorded(provider, asked)).toMatchSnapshot();
  });
});

describe('DExchange', () => {
  const token = dexchange({ token: { secret: SECRET } });
  const bearer = dexchange({ bearer: { token: SECRET } });
  const custom = dexchange({ bearer: { token: SECRET, header: 'x-token' } });
  const all = dexchange({
    token: { secret: SECRET },
    bearer: { token: EVENT_SALT },
    signature: { header: 'x-signature', secret: SALT },
  });
  const { search } = new URL(callbackUrl('https://shop.example/', 'A', { secret: SECRET }));
  const body = (order?: unknown, id?: unknown) =>
    JSON.stringify({ externalTransactionId: order, id });
  const url = `/${search}`;
  const cases: [name: string, provider: Provider, asked: Asked][] = [
    ['a token', token, { url, body: body('ORDER-1', 'MID1') }],
    ['an order that can be written otherwise', token, { url, body: body('00#a+B%41 é') }],
    ['an order behind a mark', token, { url, body: body('#7 ') }],
    ['an order as a number', token, { url, body: body(1001) }],
    ['an order with half a character', token, { url, body: body('a\ud800b') }],
    ['other orders', token, { url, body: body('A'), orders: ['B', 'C'] }],
    ['no order', token, { url, body: body(), code: 'token_mismatch' }],
    [
      'an order that is too long',
      token,
      { url, body: body('a'.repeat(256)), code: 'token_mismatch' },
    ],
    [
      'two tokens',
      token,
      { url: `${url}&${search.slice(1)}`, body: body('A'), code: 'token_mismatch' },
    ],
    ['six tokens', token, { url: `/?${'payproof=1&'.repeat(6)}`, body: body('A') }],
    ['no token', token, { url: '/?a=1', body: body('A'), code: 'token_missing' }],
    ['no query', token, { url: '/', body: body('A'), code: 'token_missing' }],
    ['no query, and no order', token, { url: '/', body: '{}', code: 'token_missing' }],
    ['a token behind amp;', token, { url: `/?a=1&amp;${search.slice(1)}`, body: body('A') }],
    ['a token behind %3D', token, { url: `/?x=payproof%253D${'a'.repeat(70)}`, body: body('A') }],
    ['15 characters of a token', token, { url: `/?PAYPROOF=${'a'.repeat(15)}`, body: body('A') }],
    [
      'a part of a token, and more',
      token,
      { url: `/?xpayproof=${'a'.repeat(20)}&b=1`, body: body('A') },
    ],
    ['a word before Bearer', bearer, { headers: { authorization: 'x Bearer y' }, body: body('A') }],
    ['two spaces', bearer, { headers: { authorization: 'Bearer  x' }, body: body('A') }],
    ['a bearer token', bearer, { headers: { authorization: 'Bearer x' }, body: body('A') }],
    ['two words', bearer, { headers: { authorization: 'Bearer x y' }, body: body('A') }],
    ['no word', bearer, { headers: { authorization: 'x' }, body: body('A') }],
    ['no bearer token', bearer, { body: body('A'), url: '/', code: 'token_missing' }],
    ['a token in a header', custom, { headers: { 'x-token': 'Bearer x' }, body: body('A') }],
    [
      'all proofs',
      all,
      { url, headers: { authorization: 'Bearer x', 'x-signature': 'y' }, body: body('A') },
    ],
    [
      'all proofs but one',
      all,
      { url, headers: { authorization: 'Bearer x' }, body: body('A'), code: 'token_missing' },
    ],
    ['an id that is none', token, { url, body: body('A', 'XID1'), code: 'confirmation_mismatch' }],
    ['an id that is one', token, { url, body: body('A', 'TID1'), code: 'confirmation_mismatch' }],
    ['two spellings', token, { url, body: body('A'), code: 'field_ambiguous' }],
  ];
  it.each(cases)('%s', (_, provider, asked) => {
    expect(
      recorded(provider, { ...asked, headers: { ...JSON_TYPE, ...asked.headers } }),
    ).toMatchSnapshot();
  });
});
