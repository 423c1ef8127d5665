import { createHash, createHmac } from 'node:crypto';
import { callbackUrl, type DiagnosisCause, dexchange, hatexcard, hitpay } from '../../src/index.ts';
import {
  EVENT_SALT,
  form,
  hatex,
  hex,
  hitpayEvent,
  hitpayForm,
  hitpayText,
  hmac,
  json,
  NOW,
  ORDER,
  PAYMENT,
  SALT,
  SECONDS,
  SECRET,
  type Sent,
  type Setup,
  TRANSACTION,
} from './deliveries.ts';

// Every set-up is broken in earnest: a proxy stands in between, a signer signs the wrong thing, a secret
// was copied badly. The diagnosis is only told what a real rejection knows.

export type Case = [name: string, cause: DiagnosisCause, setup: Partial<Setup>, sent: Sent];

export const OTHER = 'whsec_00112233445566778899aabbccddeeff0011223344556677';
const HEX_SALT = '4f1c9a7be02d6358c1a94e77d05b8f3ea6c2419d70b85ef3aa01b2c3d4e5f607';
export const BODY = JSON.stringify(PAYMENT);
const EVENT = {
  id: '9ef68f00-0000-4000-8000-000000000001',
  amount: 599,
  currency: 'SGD',
  status: 'completed',
  reference_number: 'ABC/123',
  payments: [{ id: '9ef68f00-0000-4000-8000-000000000002', status: 'succeeded' }],
};
const at = (text: string | Buffer, when: string | number = SECONDS) =>
  Buffer.concat([Buffer.from(`${when}.`), Buffer.from(text as string)]);
const signedBy = (signature: string, body = BODY): Sent =>
  json(body, { 'x-hatex-timestamp': `${SECONDS}`, 'x-hatex-signature': signature });
const right = hex(SECRET, at(BODY));
const without = (fields: Record<string, string>, ...names: string[]) =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));

const rewriting = (rewrite: (body: string) => string | Buffer): Partial<Setup> => ({
  proxy: (sent) => ({ ...sent, body: rewrite(Buffer.from(sent.body).toString()) }),
});
const header = (change: (headers: Record<string, string>) => void): Partial<Setup> => ({
  proxy: (sent) => {
    const headers = { ...(sent.headers as Record<string, string>) };
    change(headers);
    return { ...sent, headers };
  },
});

/** Set-ups of one kind. Each names the cause that must be found first. */
export interface Group {
  readonly name: string;
  readonly provider: Setup['provider'];
  readonly cases: readonly Case[];
}

/** What only a fitting signature or token can tell. */
export const PROVEN: ReadonlySet<DiagnosisCause> = new Set([
  'secret_expired',
  'secret_other_option',
  'secret_other_provider',
  'secret_other',
  'secret_whitespace',
  'secret_quoted',
  'secret_prefix',
  'secret_decoded',
  'secret_case',
  'secret_escaped',
  'secret_list',
  'secret_copied',
  'body_reserialized',
  'line_endings',
  'trailing_newline',
  'bom',
  'charset',
  'body_base64',
  'value_changed',
  'form_plus',
  'form_decoding',
  'hmac_left_in',
  'empty_fields_dropped',
  'field_missing',
  'field_not_signed',
  'values_without_keys',
  'keys_unsorted',
  'fields_separated',
  'query_mixed_in',
  'signature_elsewhere',
  'signature_truncated',
  'header_repeated',
  'timestamp_not_signed',
  'timestamp_changed',
  'timestamp_separator',
  'token_damaged',
  'token_repeated',
  'token_other_order',
  'order_id_changed',
  'bearer_format',
]);

function theSecretHatexcard(): Group {
  const configured = (secret: string): Partial<Setup> => ({ provider: hatexcard({ secret }) });
  const named = [
    { id: 'new', value: OTHER },
    { id: 'old', value: SECRET, notAfter: new Date(+NOW - 1000) },
  ];
  return {
    name: 'the secret (Hatexcard)',
    provider: hatexcard({ secret: SECRET }),
    cases: [
      [
        'the sandbox signs',
        'secret_other',
        { diagnosis: { otherSecrets: OTHER } },
        hatex(BODY, OTHER),
      ],
      [
        'the retired one signs',
        'secret_expired',
        { provider: hatexcard({ secret: named }) },
        hatex(),
      ],
      [
        'line break in the secret of the sender',
        'secret_whitespace',
        {},
        hatex(BODY, `${SECRET}\n`),
      ],
      ['CRLF in the secret of the sender', 'secret_whitespace', {}, hatex(BODY, `${SECRET}\r\n`)],
      ['a space inside, here', 'secret_whitespace', configured(SECRET.replace('9', '9 ')), hatex()],
      ['an invisible character, here', 'secret_whitespace', configured(`${SECRET}\u200b`), hatex()],
      ['quotes, here', 'secret_quoted', configured(`"${SECRET}"`), hatex()],
      ['single quotes at the sender', 'secret_quoted', {}, hatex(BODY, `'${SECRET}'`)],
      ['whsec_ missing here', 'secret_prefix', configured(SECRET.slice(6)), hatex()],
      ['whsec_ doubled here', 'secret_prefix', configured(`whsec_${SECRET}`), hatex()],
      ['whsec_ not used by the sender', 'secret_prefix', {}, hatex(BODY, SECRET.slice(6))],
      [
        'the line of the .env file',
        'secret_prefix',
        configured(`HATEX_SECRET="${SECRET}"`),
        hatex(),
      ],
      ['Bearer before it', 'secret_prefix', configured(`Bearer ${SECRET}`), hatex()],
      [
        'base64-decoded by the sender',
        'secret_decoded',
        {},
        hatex(BODY, Buffer.from(SECRET.slice(6), 'base64')),
      ],
      [
        'hex-decoded by the sender',
        'secret_decoded',
        {},
        hatex(BODY, Buffer.from(SECRET.slice(6), 'hex')),
      ],
      ['upper case here', 'secret_case', configured(SECRET.toUpperCase()), hatex(BODY, SECRET)],
      ['an escaped line break here', 'secret_escaped', configured(`${SECRET}\\n`), hatex()],
      ['two secrets in one text', 'secret_list', configured(`${OTHER},${SECRET}`), hatex()],
      ['one character short', 'secret_copied', configured(SECRET.slice(0, -1)), hatex()],
      ['a character too many', 'secret_copied', configured(`${SECRET}.`), hatex()],
      ['pasted twice', 'secret_copied', configured(SECRET + SECRET), hatex()],
      ['a wrong one', 'secret_unknown', {}, hatex(BODY, OTHER)],
    ],
  };
}

function theSecretHitPay(): Group {
  return {
    name: 'the secret (HitPay)',
    provider: hitpay({ salt: SALT, eventSalt: EVENT_SALT }),
    cases: [
      ['the salts are swapped', 'secret_other_option', {}, hitpayForm(ORDER, EVENT_SALT)],
      [
        'the API key in place of the salt',
        'secret_other',
        { diagnosis: { otherSecrets: { id: 'api-key', value: OTHER } } },
        hitpayForm(ORDER, OTHER),
      ],
      [
        'no salt of the endpoint',
        'event_salt_missing',
        { provider: hitpay({ salt: SALT }) },
        hitpayEvent(JSON.stringify(EVENT), EVENT_SALT),
      ],
      [
        'the secret of Hatexcard',
        'secret_other_provider',
        { provider: [hatexcard({ secret: SECRET }), hitpay({ salt: SALT })] },
        hitpayForm(ORDER, SECRET),
      ],
      [
        'hex-decoded on our side',
        'secret_decoded',
        { provider: hitpay({ salt: Buffer.from(HEX_SALT).toString('hex') }) },
        hitpayForm(ORDER, HEX_SALT),
      ],
      [
        'a form without a salt',
        'other_scheme',
        { provider: hitpay({ eventSalt: EVENT_SALT }) },
        hitpayForm(),
      ],
      [
        'both wrong: quotes, and fields unsorted',
        'secret_quoted',
        { provider: hitpay({ salt: `'${SALT}'` }) },
        hitpayForm(ORDER, SALT, Object.entries(ORDER).flat().join('')),
      ],
    ],
  };
}

function theBodyJSON(): Group {
  const pretty = JSON.stringify(PAYMENT, null, 2);
  const latin1 = Buffer.from(BODY, 'latin1');
  return {
    name: 'the body (JSON)',
    provider: hatexcard({ secret: SECRET }),
    cases: [
      [
        'a proxy compacts',
        'body_reserialized',
        rewriting((body) => JSON.stringify(JSON.parse(body))),
        hatex(JSON.stringify(PAYMENT, null, 4)),
      ],
      [
        'the signer sorts keys',
        'body_reserialized',
        {},
        hatex(
          BODY,
          SECRET,
          JSON.stringify({
            created: PAYMENT.created,
            data: {
              amount: 1500,
              currency: 'HTG',
              customer_name: 'Zoé Désir',
              order_id: 'CMD/1',
              transaction_id: 'HTX-1',
            },
            event: PAYMENT.event,
            id: 'evt_1',
          }),
        ),
      ],
      ['a text in a text', 'body_reserialized', rewriting((body) => JSON.stringify(body)), hatex()],
      [
        'CRLF became LF',
        'line_endings',
        rewriting((body) => body.replaceAll('\r\n', '\n')),
        hatex(pretty.replaceAll('\n', '\r\n')),
      ],
      [
        'LF became CRLF',
        'line_endings',
        rewriting((body) => body.replaceAll('\n', '\r\n')),
        hatex(pretty),
      ],
      [
        'the last line break was cut',
        'trailing_newline',
        rewriting((body) => body.trim()),
        hatex(`${pretty}\n`),
      ],
      ['a line break was added', 'trailing_newline', rewriting((body) => `${body}\n`), hatex()],
      ['a mark was added', 'bom', rewriting((body) => `\ufeff${body}`), hatex()],
      ['a mark was removed', 'bom', rewriting((body) => body.slice(1)), hatex(`\ufeff${BODY}`)],
      [
        'Latin-1 became UTF-8',
        'charset',
        {
          proxy: (sent) => ({
            ...sent,
            body: Buffer.from(Buffer.from(sent.body).toString('latin1')),
          }),
        },
        hatex(latin1),
      ],
      [
        'UTF-8 became Latin-1',
        'charset',
        {
          proxy: (sent) => ({
            ...sent,
            body: Buffer.from(Buffer.from(sent.body).toString(), 'latin1'),
          }),
        },
        hatex(),
      ],
      [
        'UTF-8 twice',
        'charset',
        { proxy: (sent) => ({ ...sent, body: Buffer.from(sent.body).toString('latin1') }) },
        hatex(),
      ],
      [
        'base64 from a gateway',
        'body_base64',
        { proxy: (sent) => ({ ...sent, body: Buffer.from(sent.body).toString('base64') }) },
        hatex(),
      ],
      [
        'a sanitizer escapes',
        'value_changed',
        rewriting((body) => body.replaceAll('/', '&#x2F;')),
        hatex(),
      ],
      ['nothing arrives', 'body_empty', rewriting(() => ''), hatex()],
    ],
  };
}

function theFormHitPay(): Group {
  const entries = Object.entries(ORDER);
  const plus = { ...ORDER, phone: '+65 9123 4567' };
  const values = (fields: Record<string, string>) =>
    Object.keys(fields)
      .sort()
      .map((name) => fields[name])
      .join('');
  const charset = hitpayForm();
  return {
    name: 'the form (HitPay)',
    provider: hitpay({ salt: SALT }),
    cases: [
      [
        'the signer leaves hmac in',
        'hmac_left_in',
        {},
        hitpayForm(ORDER, SALT, hitpayText({ ...ORDER, hmac: '' })),
      ],
      [
        'the signer drops empty fields',
        'empty_fields_dropped',
        {},
        hitpayForm(ORDER, SALT, hitpayText(without(ORDER, 'phone'))),
      ],
      [
        'a filter drops empty fields',
        'empty_fields_dropped',
        rewriting((body) => body.replace('phone=&', '')),
        hitpayForm(),
      ],
      [
        'the signer forgets a field',
        'field_not_signed',
        {},
        hitpayForm(ORDER, SALT, hitpayText(without(ORDER, 'reference_number'))),
      ],
      [
        'a proxy adds a field',
        'field_not_signed',
        rewriting((body) => `${body}&utm_source=mail`),
        hitpayForm(),
      ],
      [
        'a filter removes the status',
        'field_missing',
        rewriting((body) => body.replace('&status=completed', '')),
        hitpayForm(),
      ],
      ['only values', 'values_without_keys', {}, hitpayForm(ORDER, SALT, values(ORDER))],
      ['not sorted', 'keys_unsorted', {}, hitpayForm(ORDER, SALT, entries.flat().join(''))],
      [
        'sorted backwards',
        'keys_unsorted',
        {},
        hitpayForm(
          ORDER,
          SALT,
          entries
            .sort(([a], [b]) => (a < b ? 1 : -1))
            .flat()
            .join(''),
        ),
      ],
      [
        'joined as a query',
        'fields_separated',
        {},
        hitpayForm(
          ORDER,
          SALT,
          Object.keys(ORDER)
            .sort()
            .map((name) => `${name}=${ORDER[name]}`)
            .join('&'),
        ),
      ],
      [
        'the raw body was signed',
        'fields_separated',
        {},
        hitpayForm(ORDER, SALT, new URLSearchParams(ORDER).toString()),
      ],
      [
        'the query was signed too',
        'query_mixed_in',
        {},
        {
          path: '/webhook?shop=7',
          ...hitpayForm(ORDER, SALT, hitpayText({ ...ORDER, shop: '7' })),
        },
      ],
      [
        'decoded once by a proxy',
        'form_plus',
        rewriting((body) => body.replaceAll('%2B', '+')),
        hitpayForm(plus),
      ],
      [
        'encoded twice',
        'form_decoding',
        rewriting((body) => body.replaceAll('%', '%25')),
        hitpayForm(),
      ],
      [
        'signed before decoding',
        'form_decoding',
        {},
        hitpayForm(
          ORDER,
          SALT,
          Object.keys(ORDER)
            .sort()
            .map((name) => name + encodeURIComponent(ORDER[name] as string))
            .join(''),
        ),
      ],
      [
        'percent escapes as Latin-1',
        'charset',
        rewriting((body) => body.replace('%C2%B0', '%B0')),
        charset,
      ],
      [
        'amounts are rounded',
        'value_changed',
        rewriting((body) => body.replace('1599.00', '1599')),
        hitpayForm(),
      ],
      [
        'amounts are grouped',
        'value_changed',
        {},
        hitpayForm(ORDER, SALT, hitpayText({ ...ORDER, amount: '1,599.00' })),
      ],
      [
        'currency in lower case',
        'value_changed',
        rewriting((body) => body.replace('SGD', 'sgd')),
        hitpayForm(),
      ],
      [
        'a line break behind the form',
        'trailing_newline',
        rewriting((body) => `${body}\n`),
        hitpayForm(),
      ],
      ['a mark before the form', 'bom', rewriting((body) => `\ufeff${body}`), hitpayForm()],
      [
        'a field that needs to be declared',
        'field_ambiguous',
        {},
        hitpayForm({ ...ORDER, retry_status: 'x' }),
      ],
      ['a field twice', 'field_repeated', rewriting((body) => `${body}&amount=1.00`), hitpayForm()],
      [
        'JSON said, form sent',
        'content_type',
        header((headers) => {
          headers['content-type'] = 'application/json';
        }),
        hitpayForm(),
      ],
      [
        'form said, JSON sent',
        'content_type',
        header((headers) => {
          headers['content-type'] = 'application/x-www-form-urlencoded';
        }),
        hitpayEvent(JSON.stringify(EVENT), SALT),
      ],
      [
        'SHA-1',
        'hash_algorithm',
        {},
        form(
          `${new URLSearchParams(ORDER)}&hmac=${hmac(SALT, hitpayText(ORDER), 'sha1').toString('hex')}`,
        ),
      ],
      ['no hmac', 'no_signature', {}, form(`${new URLSearchParams(ORDER)}`)],
      ['a gateway made JSON of it', 'form_as_json', { proxy: asJson() }, hitpayForm()],
      [
        'a gateway made JSON with numbers of it',
        'form_as_json',
        { proxy: asJson((text) => text.replace('"1599.00"', '1599')) },
        hitpayForm(),
      ],
      [
        'a gateway made JSON with null for what is empty of it',
        'form_as_json',
        { proxy: asJson((text) => text.replace('"phone":""', '"phone":null')) },
        hitpayForm(),
      ],
      [
        'a gateway made JSON of it, and a wrong salt',
        'form_as_json',
        { proxy: asJson() },
        hitpayForm(ORDER, OTHER),
      ],
      [
        'a gateway made JSON of it, and left the content type',
        'form_as_json',
        { proxy: (sent) => ({ ...asJson()(sent), headers: sent.headers }) },
        hitpayForm(),
      ],
      [
        'JSON with an hmac and odd values',
        'form_as_json',
        {},
        json('{"hmac":"x","amount":null,"toString":1,"a":{"toString":1},"b":["x"]}'),
      ],
    ],
  };
}

/** A gateway that reads a form and passes on what it read. */
function asJson(change = (text: string) => text): NonNullable<Setup['proxy']> {
  return ({ body, headers, ...sent }) => {
    const fields = Object.fromEntries(new URLSearchParams(Buffer.from(body as string).toString()));
    const type = { 'content-type': 'application/json' };
    return { ...sent, headers: { ...headers, ...type }, body: change(JSON.stringify(fields)) };
  };
}

function theSignature(): Group {
  const bytes = hmac(SECRET, at(BODY));
  const dex = dexchange({ signature: { header: 'x-signature', secret: SECRET } });
  return {
    name: 'the signature',
    provider: hatexcard({ secret: SECRET }),
    cases: [
      ['SHA-512', 'hash_algorithm', {}, signedBy(hmac(SECRET, at(BODY), 'sha512').toString('hex'))],
      ['SHA-1', 'hash_algorithm', {}, signedBy(hmac(SECRET, at(BODY), 'sha1').toString('hex'))],
      [
        'SHA-256 of secret and text',
        'hash_algorithm',
        {},
        signedBy(createHash('sha256').update(SECRET).update(at(BODY)).digest('hex')),
      ],
      [
        'key and text swapped',
        'hash_algorithm',
        {},
        signedBy(createHmac('sha256', at(BODY)).update(SECRET).digest('hex')),
      ],
      [
        'SHA-256 without a secret',
        'hash_algorithm',
        {},
        signedBy(createHash('sha256').update(at(BODY)).digest('hex')),
      ],
      ['base64', 'signature_encoding', {}, signedBy(bytes.toString('base64'))],
      ['base64url', 'signature_encoding', {}, signedBy(bytes.toString('base64url'))],
      ['base64 of hex', 'signature_encoding', {}, signedBy(Buffer.from(right).toString('base64'))],
      ['prefix', 'signature_encoding', {}, signedBy(`sha256=${right}`)],
      ['a prefix as Stripe has it', 'signature_encoding', {}, signedBy(`t=${SECONDS},v1=${right}`)],
      ['quotes', 'signature_encoding', {}, signedBy(`"${right}"`)],
      ['separated bytes', 'signature_encoding', {}, signedBy(right.replace(/..(?!$)/g, '$&:'))],
      ['something behind', 'signature_encoding', {}, signedBy(`${right}00`)],
      ['not hex at all', 'signature_encoding', {}, signedBy('zz')],
      ['32 digits', 'signature_truncated', {}, signedBy(right.slice(0, 32))],
      ['63 digits', 'signature_truncated', {}, signedBy(right.slice(0, 63))],
      [
        'a short base64',
        'signature_truncated',
        {},
        signedBy(bytes.toString('base64').slice(0, 30)),
      ],
      [
        'twice',
        'header_repeated',
        header((headers) => {
          headers['x-hatex-signature'] += `, ${right}`;
        }),
        hatex(),
      ],
      [
        'renamed',
        'signature_elsewhere',
        header((headers) => {
          headers['x-signature'] = headers['x-hatex-signature'] as string;
          delete headers['x-hatex-signature'];
        }),
        hatex(),
      ],
      [
        'in a header that nobody knows',
        'signature_elsewhere',
        { provider: dex },
        json(BODY, { 'x-shop-proof': hex(SECRET, BODY) }),
      ],
      [
        'in the query',
        'signature_elsewhere',
        { provider: dex },
        { path: `/webhook?sign=${hex(SECRET, BODY)}`, ...json(BODY) },
      ],
      [
        'wrong secret of a named header',
        'secret_quoted',
        { provider: dex },
        json(BODY, { 'x-signature': hex(`"${SECRET}"`, BODY) }),
      ],
    ],
  };
}

function theTimestampHatexcard(): Group {
  const iso = NOW.toISOString();
  const withAt = (when: string, text: string | Buffer) =>
    json(BODY, { 'x-hatex-timestamp': when, 'x-hatex-signature': hex(SECRET, text) });
  const strip = header((headers) => {
    delete headers['x-hatex-timestamp'];
  });
  const stampedOnly = hatexcard({ secret: SECRET, schemes: ['timestamped'] });
  return {
    name: 'the timestamp (Hatexcard)',
    provider: hatexcard({ secret: SECRET }),
    cases: [
      ['not signed', 'timestamp_not_signed', {}, withAt(`${SECONDS}`, BODY)],
      ['in milliseconds', 'timestamp_milliseconds', {}, hatex(BODY, SECRET, BODY, +NOW)],
      [
        'signed in milliseconds, sent in seconds',
        'timestamp_milliseconds',
        {},
        withAt(`${SECONDS}`, at(BODY, +NOW)),
      ],
      [
        'signed at some millisecond',
        'timestamp_milliseconds',
        { diagnosis: { maxTrials: 5000 } },
        withAt(`${SECONDS}`, at(BODY, +NOW + 123)),
      ],
      [
        'signed in seconds, sent in milliseconds',
        'timestamp_milliseconds',
        {},
        withAt(`${+NOW}`, at(BODY)),
      ],
      ['ISO', 'timestamp_format', {}, hatex(BODY, SECRET, BODY, iso)],
      ['ISO sent, seconds signed', 'timestamp_format', {}, withAt(iso, at(BODY))],
      ['ISO sent, milliseconds signed', 'timestamp_milliseconds', {}, withAt(iso, at(BODY, +NOW))],
      [
        'twice',
        'header_repeated',
        header((headers) => {
          headers['x-hatex-timestamp'] += `, ${SECONDS}`;
        }),
        hatex(),
      ],
      [
        'not received',
        'timestamp_not_received',
        strip,
        hatex(JSON.stringify({ ...PAYMENT, created: SECONDS })),
      ],
      [
        'not received, created long before',
        'timestamp_not_received',
        { ...strip, diagnosis: { maxTrials: 5000 } },
        hatex(BODY, SECRET, BODY, SECONDS - 200),
      ],
      ['not received, and a wrong secret', 'timestamp_not_received', strip, hatex(BODY, OTHER)],
      ['another separator', 'timestamp_separator', {}, withAt(`${SECONDS}`, `${SECONDS}:${BODY}`)],
      ['behind the body', 'timestamp_separator', {}, withAt(`${SECONDS}`, `${BODY}.${SECONDS}`)],
      [
        'an old one made new',
        'timestamp_changed',
        header((headers) => {
          headers['x-hatex-timestamp'] = `${SECONDS}`;
        }),
        hatex(BODY, SECRET, BODY, PAYMENT.created),
      ],
      ['the clock is an hour behind', 'clock_skew', {}, hatex(BODY, SECRET, BODY, SECONDS + 3600)],
      ['delivered ten minutes late', 'clock_skew', {}, hatex(BODY, SECRET, BODY, SECONDS - 600)],
      [
        'late, and signed by the sandbox',
        'secret_other',
        { diagnosis: { otherSecrets: OTHER } },
        hatex(BODY, OTHER, BODY, SECONDS - 600),
      ],
      ['late, and a wrong secret', 'clock_skew', {}, hatex(BODY, OTHER, BODY, SECONDS - 600)],
      [
        'the scheme of the guide, not accepted',
        'other_scheme',
        { provider: stampedOnly },
        json(BODY, { 'x-hatex-signature': hex(SECRET, BODY) }),
      ],
      [
        'the scheme of today, not accepted',
        'other_scheme',
        { provider: hatexcard({ secret: SECRET, schemes: ['body'] }) },
        hatex(),
      ],
      [
        'a probe where only timestamps count',
        'no_signature',
        { provider: stampedOnly },
        json('{}'),
      ],
    ],
  };
}

function theTokenDExchange(): Group {
  const provider = dexchange({ token: { secret: SECRET } });
  const path = (order: string, secret = SECRET) => {
    const url = new URL(callbackUrl('https://shop.example/webhook', order, { secret }));
    return url.pathname + url.search;
  };
  const order = path('ORDER-001');
  const claim = (value: object = TRANSACTION) => json(JSON.stringify(value));
  const bearer = dexchange({ bearer: { token: SECRET } });
  const custom = dexchange({ bearer: { token: SECRET, header: 'x-token' } });
  const authorized = (authorization: string) =>
    json(JSON.stringify(TRANSACTION), { authorization });
  const url = (change: (path: string) => string): Partial<Setup> => ({
    proxy: (sent) => ({ ...sent, path: change(sent.path) }),
  });
  const confirm = (id: string, status = 200) =>
    dexchange({
      token: { secret: SECRET },
      confirm: {
        apiKey: SECRET,
        fetch: async () =>
          new Response(JSON.stringify({ transaction: { Status: id } }), { status }),
      },
    });
  return {
    name: 'the token (DExchange)',
    provider: provider,
    cases: [
      [
        'the sandbox made it',
        'secret_other',
        { diagnosis: { otherSecrets: [OTHER] } },
        { path: path('ORDER-001', OTHER), ...claim() },
      ],
      [
        'for another order of the shop',
        'token_other_order',
        { diagnosis: { orders: ['ORDER-000', 'ORDER-002'] } },
        { path: path('ORDER-002'), ...claim() },
      ],
      [
        'for an order that nobody knows',
        'secret_unknown',
        { diagnosis: { orders: ['ORDER-000'] } },
        { path: path('ORDER-666'), ...claim() },
      ],
      [
        'for the same order in lower case',
        'order_id_changed',
        {},
        { path: path('order-001'), ...claim() },
      ],
      [
        'for the same order with a space',
        'order_id_changed',
        {},
        {
          path: path('ORDER-001'),
          ...claim({ ...TRANSACTION, externalTransactionId: ' ORDER-001' }),
        },
      ],
      [
        'for an order whose id is a number',
        'order_id_changed',
        {},
        { path: path('1001'), ...claim({ ...TRANSACTION, externalTransactionId: 1001 }) },
      ],
      [
        'for the id of the transaction',
        'order_id_changed',
        {},
        { path: path('MID123456789'), ...claim() },
      ],
      ['no order in the body', 'order_id_missing', {}, { path: order, ...claim({ id: 'MID1' }) }],
      [
        'a proxy strips the query',
        'query_missing',
        url((one) => one.split('?')[0] as string),
        { path: order, ...claim() },
      ],
      ['a query without it', 'token_missing', {}, { path: '/webhook?a=1', ...claim() }],
      [
        'escaped as HTML',
        'token_damaged',
        {},
        { path: order.replace('?', '?a=1&amp;'), ...claim() },
      ],
      [
        'behind a second question mark',
        'token_damaged',
        {},
        { path: order.replace('?', '?a=1?'), ...claim() },
      ],
      ['lower case', 'token_damaged', url((one) => one.toLowerCase()), { path: order, ...claim() }],
      ['cut', 'token_damaged', {}, { path: order.slice(0, -6), ...claim() }],
      ['with something behind', 'token_damaged', {}, { path: `${order}.`, ...claim() }],
      [
        'percent-encoded twice',
        'token_damaged',
        {},
        {
          path: order.replace(/=(.)/, (_, c: string) => `=%25${c.charCodeAt(0).toString(16)}`),
          ...claim(),
        },
      ],
      ['twice', 'token_repeated', {}, { path: `${order}&${order.split('?')[1]}`, ...claim() }],
      ['Bearer missing', 'bearer_format', { provider: bearer }, authorized(SECRET)],
      ['another word', 'bearer_format', { provider: bearer }, authorized(`Token ${SECRET}`)],
      [
        'Basic',
        'bearer_format',
        { provider: bearer },
        authorized(`Basic ${Buffer.from(`${SECRET}:`).toString('base64')}`),
      ],
      [
        'Bearer where it should not be',
        'bearer_format',
        { provider: custom },
        json('{"externalTransactionId":"A"}', { 'x-token': `Bearer ${SECRET}` }),
      ],
      [
        'Bearer without the prefix of the secret',
        'secret_prefix',
        { provider: bearer },
        authorized(`Bearer ${SECRET.slice(6)}`),
      ],
      ['no Authorization', 'token_missing', { provider: bearer }, claim()],
      [
        'a proof of two is missing',
        'token_missing',
        { provider: dexchange({ token: { secret: SECRET }, bearer: { token: OTHER } }) },
        { path: order, ...claim() },
      ],
      [
        'status in two spellings',
        'field_ambiguous',
        {},
        { path: order, ...claim({ ...TRANSACTION, Status: 'FAILED' }) },
      ],
      [
        'an id that is none',
        'transaction_id',
        { provider: confirm('SUCCESS') },
        { path: order, ...claim({ ...TRANSACTION, id: '../x' }) },
      ],
      [
        'the API denies',
        'confirmation_mismatch',
        { provider: confirm('FAILED') },
        { path: order, ...claim() },
      ],
      [
        'the API is down',
        'confirmation_unavailable',
        { provider: confirm('SUCCESS', 500) },
        { path: order, ...claim() },
      ],
      [
        'the store is down',
        'store_unavailable',
        {
          options: {
            dedupe: {
              claim: async () => {
                throw new Error('down');
              },
              commit: async () => true,
              release: async () => {},
            } as never,
          },
        },
        { path: order, ...claim() },
      ],
    ],
  };
}

function theRoute(): Group {
  const hatexcardOnly = hatexcard({ secret: SECRET });
  const event = hitpayEvent(JSON.stringify(EVENT), SALT);
  return {
    name: 'the route',
    provider: hatexcardOnly,
    cases: [
      ['HitPay at the route of Hatexcard', 'other_provider', {}, event],
      ['a form of HitPay at the route of Hatexcard', 'other_provider', {}, hitpayForm()],
      [
        'DExchange at the route of Hatexcard',
        'other_provider',
        {},
        json(JSON.stringify(TRANSACTION)),
      ],
      ['Stripe', 'other_provider', {}, json('{"id":"evt_1"}', { 'stripe-signature': 't=1,v1=00' })],
      [
        'Hatexcard at the route of HitPay',
        'other_provider',
        { provider: hitpay({ salt: SALT }) },
        hatex(),
      ],
      [
        'Hatexcard at the route of DExchange',
        'other_provider',
        { provider: dexchange({ token: { secret: SECRET } }) },
        hatex(),
      ],
      [
        'none of two',
        'other_provider',
        { provider: [hatexcardOnly, dexchange({ token: { secret: SECRET } })] },
        event,
      ],
      [
        'the older hook that signs nothing',
        'no_signature',
        {},
        json('{"event":"payment.success","transaction_id":"HTX-1","order_id":"7"}'),
      ],
      ['a probe', 'no_signature', {}, json('{}')],
      [
        'a probe with no mark of two',
        'no_signature',
        { provider: [hatexcardOnly, dexchange({ token: { secret: SECRET } })] },
        json('{}'),
      ],
      [
        'the signature stripped by a proxy',
        'no_signature',
        header((headers) => {
          delete headers['x-hatex-signature'];
        }),
        hatex(),
      ],
      ['an unknown merchant', 'provider_unknown', { provider: () => null }, hatex()],
      ['a browser', 'not_post', {}, { method: 'GET' }],
      [
        'text',
        'content_type',
        header((headers) => {
          headers['content-type'] = 'text/plain';
        }),
        hatex(),
      ],
      [
        'compressed',
        'content_encoding',
        header((headers) => {
          headers['content-encoding'] = 'gzip';
        }),
        hatex(),
      ],
      ['too large', 'body_too_large', { options: { limit: 10 } }, hatex()],
      ['right, but no JSON', 'body_malformed', {}, hatex('{')],
      [
        'a secret of mine, at Koa',
        'secret_quoted',
        { framework: 'koa2' },
        hatex(BODY, `"${SECRET}"`),
      ],
    ],
  };
}

export const GROUPS: readonly Group[] = [
  theSecretHatexcard(),
  theSecretHitPay(),
  theBodyJSON(),
  theFormHitPay(),
  theSignature(),
  theTimestampHatexcard(),
  theTokenDExchange(),
  theRoute(),
];
