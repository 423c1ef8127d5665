// @ts-check
// What the demo sends, and what must come of it. The signatures are made here from the providers'
// documentation with node:crypto alone, so the demo does not ask payproof whether payproof is right.
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { callbackUrl } from 'payproof';

/**
 * @typedef {'shop' | 'confirming shop' | 'bench'} Site
 *   The example server; the same with an API key; the demo's own server (see servers.mjs).
 * @typedef {{ status: number, code: string }} Refusal
 * @typedef {{ status: 200, outcome: string, type: string, reference: string, amount: string }} Acceptance
 * @typedef {{ status: 200, outcome: 'not run again' }} Redelivery answered without the handler
 * @typedef {Refusal | Acceptance | Redelivery} Outcome
 * @typedef {{ provider: string, scheme: string, sent: string, to: Site, path: string,
 *   headers: Record<string, string>, body: string, expected: Outcome }} Delivery
 */

const random = () => randomBytes(24).toString('hex');

/** Made anew for every run. */
export const secrets = {
  HATEXCARD_SECRET: `whsec_${random()}`,
  HITPAY_SALT: random(),
  HITPAY_EVENT_SALT: random(),
  DEXCHANGE_CALLBACK_SECRET: random(),
  DEXCHANGE_API_KEY: random(),
  bearer: random(),
  signature: random(),
};
const WRONG = random();

/** The prices in the books of all the demo's servers: the same as in the examples. */
export const prices = new Map([
  ['HT-1001', { amount: '1500.00', currency: 'HTG' }],
  ['HT-1002', { amount: '2750.50', currency: 'HTG' }],
  ['SG-2001', { amount: '599.00', currency: 'SGD' }],
  ['SG-2002', { amount: '29.90', currency: 'SGD' }],
  ['SG-2003', { amount: '48.00', currency: 'SGD' }],
  ['SN-3001', { amount: '5000', currency: 'XOF' }],
  ['SN-3002', { amount: '12500', currency: 'XOF' }],
]);

/** What the fake DExchange knows: the status and amount of each transaction. */
export const transactions = new Map([
  ['MID3001', { Status: 'SUCCESS', Amount: 5000 }],
  ['MID3002', { Status: 'PENDING', Amount: 12500 }],
]);

/** @param {string} key @param {string} text */
const hmac = (key, text) => createHmac('sha256', key).update(text).digest('hex');

const SUCCESS = 'payment.succeeded';
/** @type {(reference: string, amount: string, outcome?: string, type?: string) => Acceptance} */
const accepted = (reference, amount, outcome = 'paid', type = SUCCESS) => ({
  status: 200,
  outcome,
  type,
  reference,
  amount,
});
/** @type {(code: string, status?: number) => Refusal} */
const refused = (code, status = 403) => ({ status, code });

const JSON_TYPE = { 'content-type': 'application/json' };
const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' };

/** @returns {Delivery[]} */
export function deliveries() {
  return [
    ...hatexcardTimestamped(),
    ...hatexcardBody(),
    ...hitpayForm('form (request)', hitpayRequest, 'SG-2001', 'SGD 599.00'),
    ...hitpayForm('form (recurring)', hitpayBilling, 'SG-2002', 'SGD 29.90'),
    ...hitpayEvent(),
    ...dexchangeToken(),
    ...dexchangeConfirm(),
    ...dexchangeBearer(),
    ...dexchangeSignature(),
  ];
}

/**
 * Rows of one scheme: what they have in common, then each with its own. The first is genuine, and is
 * delivered a second time, as providers do when an answer was lost on its way.
 *
 * @param {Pick<Delivery, 'provider' | 'scheme' | 'to' | 'path'>} common
 * @param {(Pick<Delivery, 'sent' | 'headers' | 'body' | 'expected'> & Partial<Delivery>)[]} rows
 */
const scheme = (common, [genuine, ...rows]) =>
  [genuine, { ...genuine, ...REDELIVERED }, ...rows].map((row) => ({ ...common, ...row }));

/** @type {Pick<Delivery, 'sent' | 'expected'>} */
const REDELIVERED = {
  sent: 'the same once more: a redelivery',
  expected: { status: 200, outcome: 'not run again' },
};

// ---- Hatexcard -----------------------------------------------------------------------------------

function hatexcardTimestamped() {
  const now = Math.floor(Date.now() / 1000);
  /** Written by hand, as a gateway may: its `1500.00` does not outlive a parser. */
  const text = (order = 'HT-1001', amount = '1500.00') =>
    `{"id":"evt_${random()}","event":"payment.success","created":${now},"data":{"transaction_id":"HTX-${order}",` +
    `"order_id":"${order}","amount":${amount},"currency":"HTG","customer_name":"Marie Noël"}}`;
  /** @param {string} body */
  const signed = (body, secret = secrets.HATEXCARD_SECRET, timestamp = now) => ({
    headers: {
      ...JSON_TYPE,
      'x-hatex-timestamp': `${timestamp}`,
      'x-hatex-signature': hmac(secret, `${timestamp}.${body}`),
    },
    body,
  });
  const genuine = signed(text());
  return scheme(
    { provider: 'Hatexcard', scheme: 'timestamped', to: 'shop', path: '/webhooks/hatexcard' },
    [
      { sent: 'genuine', ...genuine, expected: accepted('HT-1001', 'HTG 1500') },
      {
        sent: 'tampered: the amount',
        ...genuine,
        body: genuine.body.replace('1500.00', '9500.00'),
        expected: refused('signature_mismatch'),
      },
      {
        sent: 'forged: another secret',
        ...signed(text(), WRONG),
        expected: refused('signature_mismatch'),
      },
      {
        sent: 'captured, sent again after ten minutes',
        ...signed(text(), undefined, now - 600),
        expected: refused('timestamp_out_of_tolerance'),
      },
      {
        sent: 'genuine, after a body parser',
        ...signed(text('HT-1001', '1500')),
        to: 'bench',
        path: '/parsed/hatexcard',
        expected: accepted('HT-1001', 'HTG 1500'),
      },
      {
        sent: 'genuine, but the parser lost its bytes',
        ...signed(text('HT-1002', '2750.50')),
        to: 'bench',
        path: '/parsed/hatexcard',
        expected: refused('body_consumed', 500),
      },
    ],
  );
}

function hatexcardBody() {
  const text = (order = 'HT-1002', amount = 2750.5) =>
    JSON.stringify({
      event: 'payment.success',
      transaction_id: `HTX-B${order}-${amount}`,
      order_id: order,
      amount,
      currency: 'HTG',
      customer_name: 'Jean-Baptiste',
      timestamp: new Date().toISOString(),
    });
  /** @param {string} body */
  const signed = (body, secret = secrets.HATEXCARD_SECRET) => ({
    headers: { ...JSON_TYPE, 'x-hatex-signature': hmac(secret, body) },
    body,
  });
  const genuine = signed(text());
  return scheme(
    { provider: 'Hatexcard', scheme: 'body', to: 'shop', path: '/webhooks/hatexcard' },
    [
      { sent: 'genuine', ...genuine, expected: accepted('HT-1002', 'HTG 2750.5') },
      {
        sent: 'tampered: the order',
        ...genuine,
        body: genuine.body.replaceAll('HT-1002', 'HT-1001'),
        expected: refused('signature_mismatch'),
      },
      {
        sent: 'forged: another secret',
        ...signed(text(), WRONG),
        expected: refused('signature_mismatch'),
      },
      {
        sent: 'genuine, for an order of another shop',
        ...signed(text('XX-9999')),
        expected: accepted('XX-9999', 'HTG 2750.5', 'review: no such order'),
      },
      {
        sent: 'genuine, after a body parser',
        ...genuine,
        to: 'bench',
        path: '/parsed/hatexcard',
        expected: accepted('HT-1002', 'HTG 2750.5'),
      },
    ],
  );
}

// ---- HitPay --------------------------------------------------------------------------------------

/** @typedef {Record<string, string>} Fields */

/** @type {(reference: string, amount: string) => Fields} */
const hitpayRequest = (reference, amount) => ({
  payment_id: '92965a2d-ccc7-4d35-8c1e-7e6f1a5d3b01',
  payment_request_id: '92965a20-dae5-4d89-a452-5fdfa382dbe1',
  phone: '',
  amount,
  currency: 'SGD',
  status: 'completed',
  reference_number: reference,
});
/** @type {(reference: string, amount: string) => Fields} */
const hitpayBilling = (reference, amount) => ({
  payment_id: '9c1f3a2e-7be0-4a06-9b1c-0a5de2f4c802',
  recurring_billing_id: '9c1f3a00-11aa-4f6f-8d4f-2b7f0c9e1d33',
  amount,
  currency: 'SGD',
  reference,
  status: 'succeeded',
});

/** @type {(name: string, fieldsOf: (reference: string, amount: string) => Fields, order: string, amount: string) => Delivery[]} */
function hitpayForm(name, fieldsOf, order, amount) {
  const price = amount.slice(4);
  /** @param {Fields} fields */
  const signed = (fields, salt = secrets.HITPAY_SALT) => {
    const names = Object.keys(fields).sort();
    const signature = hmac(salt, names.map((field) => field + fields[field]).join(''));
    return {
      headers: FORM_TYPE,
      body: new URLSearchParams({ ...fields, hmac: signature }).toString(),
    };
  };
  const genuine = signed(fieldsOf(order, price));
  return scheme({ provider: 'HitPay', scheme: name, to: 'shop', path: '/webhooks/hitpay' }, [
    { sent: 'genuine', ...genuine, expected: accepted(order, amount) },
    {
      sent: 'tampered: the amount',
      ...genuine,
      body: genuine.body.replace(price, `9${price}`),
      expected: refused('signature_mismatch'),
    },
    {
      sent: 'forged: another salt',
      ...signed(fieldsOf(order, price), WRONG),
      expected: refused('signature_mismatch'),
    },
    {
      sent: 'genuine, one dollar for the same shop',
      ...signed({ ...fieldsOf('SG-2003', '1.00'), payment_id: randomUUID() }),
      expected: accepted('SG-2003', 'SGD 1.00', 'review: not the price'),
    },
    {
      sent: 'genuine, after a body parser',
      ...genuine,
      to: 'bench',
      path: '/parsed/hitpay',
      expected: accepted(order, amount),
    },
  ]);
}

function hitpayEvent() {
  const text = (
    reference = 'SG-2003',
    amount = '48.00',
    id = '9d0f6b57-2a1c-4b8e-9a55-61c0f2a7be04',
  ) =>
    JSON.stringify({
      id: '9d0f6b50-08c4-4d6c-bb6f-5f6a0d8f7e11',
      name: 'Nguyễn Văn An',
      email: 'an@example.com',
      amount,
      currency: 'SGD',
      status: 'completed',
      reference_number: reference,
      payments: [{ id, amount, currency: 'SGD', status: 'succeeded' }],
    });
  /** @param {string} body */
  const signed = (body, salt = secrets.HITPAY_EVENT_SALT) => ({
    headers: {
      ...JSON_TYPE,
      'hitpay-event-object': 'payment_request',
      'hitpay-event-type': 'completed',
      'hitpay-signature': hmac(salt, body),
    },
    body,
  });
  const genuine = signed(text());
  return scheme({ provider: 'HitPay', scheme: 'event', to: 'shop', path: '/webhooks/hitpay' }, [
    { sent: 'genuine', ...genuine, expected: accepted('SG-2003', 'SGD 48.00') },
    {
      sent: 'tampered: the order',
      ...genuine,
      body: genuine.body.replace('SG-2003', 'SG-2001'),
      expected: refused('signature_mismatch'),
    },
    {
      sent: 'forged: another salt',
      ...signed(text(), WRONG),
      expected: refused('signature_mismatch'),
    },
    {
      sent: 'genuine, for an order that is paid',
      ...signed(text('SG-2001', '599.00', '9d0f6b99-aaaa-4b8e-9a55-61c0f2a7be05')),
      expected: accepted('SG-2001', 'SGD 599.00', 'review: paid twice'),
    },
    {
      sent: 'genuine, after a body parser',
      ...genuine,
      to: 'bench',
      path: '/parsed/hitpay',
      expected: accepted('SG-2003', 'SGD 48.00'),
    },
  ]);
}

// ---- DExchange -----------------------------------------------------------------------------------

const dexchangeText = (order = 'SN-3001', id = 'MID3001', amount = 5000, status = 'SUCCESS') =>
  JSON.stringify({
    id,
    externalTransactionId: order,
    transactionType: 'CASHIN',
    AMOUNT: amount,
    FEE: 75,
    PHONE_NUMBER: '770000000',
    STATUS: status,
    COMPLETED_AT: new Date().toISOString(),
  });

/** Path and query of the URL that DExchange was given for an order. */
function callbackPath(
  path = '/webhooks/dexchange',
  order = 'SN-3001',
  secret = secrets.DEXCHANGE_CALLBACK_SECRET,
) {
  const { pathname, search } = new URL(
    callbackUrl(`https://shop.example${path}`, order, { secret }),
  );
  return pathname + search;
}

function dexchangeToken() {
  const plain = { headers: JSON_TYPE, body: dexchangeText() };
  return scheme({ provider: 'DExchange', scheme: 'token', to: 'shop', path: callbackPath() }, [
    { sent: 'genuine', ...plain, expected: accepted('SN-3001', 'XOF 5000') },
    {
      sent: 'tampered: the order',
      ...plain,
      body: dexchangeText('SN-3002', 'MID3002', 12500),
      expected: refused('token_mismatch'),
    },
    {
      sent: 'tampered: amount (a claim: use confirm)',
      ...plain,
      path: callbackPath(undefined, 'SN-3002'),
      body: dexchangeText('SN-3002', 'MID3002', 100),
      expected: accepted('SN-3002', 'XOF 100', 'review: not the price'),
    },
    {
      sent: 'forged: a URL made with another secret',
      ...plain,
      path: callbackPath(undefined, undefined, WRONG),
      expected: refused('token_mismatch'),
    },
    {
      sent: 'the URL of another order',
      ...plain,
      path: callbackPath(undefined, 'SN-3002'),
      expected: refused('token_mismatch'),
    },
    {
      sent: 'genuine, after a body parser',
      ...plain,
      to: 'bench',
      path: callbackPath('/parsed/token'),
      expected: accepted('SN-3001', 'XOF 5000'),
    },
  ]);
}

function dexchangeConfirm() {
  const plain = { headers: JSON_TYPE, body: dexchangeText() };
  return scheme(
    {
      provider: 'DExchange',
      scheme: 'token + confirm',
      to: 'confirming shop',
      path: callbackPath(),
    },
    [
      { sent: 'genuine', ...plain, expected: accepted('SN-3001', 'XOF 5000') },
      {
        sent: 'tampered: the amount; the API knows it',
        ...plain,
        body: dexchangeText(undefined, undefined, 100),
        to: 'bench',
        path: callbackPath('/confirm'),
        expected: accepted('SN-3001', 'XOF 5000'),
      },
      {
        sent: 'tampered: SUCCESS; the API says PENDING',
        ...plain,
        path: callbackPath(undefined, 'SN-3002'),
        body: dexchangeText('SN-3002', 'MID3002', 12500),
        expected: refused('confirmation_mismatch'),
      },
      {
        sent: 'forged: a URL made with another secret',
        ...plain,
        path: callbackPath(undefined, undefined, WRONG),
        expected: refused('token_mismatch'),
      },
      {
        sent: 'the transaction of another order',
        ...plain,
        path: callbackPath(undefined, 'SN-3002'),
        body: dexchangeText('SN-3002', 'MID3001', 12500),
        expected: refused('confirmation_mismatch'),
      },
      {
        sent: 'genuine, after a body parser',
        ...plain,
        to: 'bench',
        path: callbackPath('/parsed/confirm'),
        expected: accepted('SN-3001', 'XOF 5000'),
      },
    ],
  );
}

function dexchangeBearer() {
  const sentWith = (token = secrets.bearer, body = dexchangeText()) => ({
    headers: { ...JSON_TYPE, authorization: `Bearer ${token}` },
    body,
  });
  return scheme({ provider: 'DExchange', scheme: 'bearer', to: 'bench', path: '/bearer' }, [
    { sent: 'genuine', ...sentWith(), expected: accepted('SN-3001', 'XOF 5000') },
    {
      sent: 'tampered: amount (a claim: use confirm)',
      ...sentWith(undefined, dexchangeText('SN-3002', 'MID3002', 100)),
      expected: accepted('SN-3002', 'XOF 100', 'review: not the price'),
    },
    { sent: 'forged: another token', ...sentWith(WRONG), expected: refused('token_mismatch') },
    {
      sent: 'genuine, for an order of another shop',
      ...sentWith(undefined, dexchangeText('XX-9999', 'MID9999')),
      expected: accepted('XX-9999', 'XOF 5000', 'review: no such order'),
    },
    {
      sent: 'genuine, after a body parser',
      ...sentWith(),
      path: '/parsed/bearer',
      expected: accepted('SN-3001', 'XOF 5000'),
    },
  ]);
}

function dexchangeSignature() {
  const signed = (body = dexchangeText(), secret = secrets.signature) => ({
    headers: { ...JSON_TYPE, 'x-webhook-signature': hmac(secret, body) },
    body,
  });
  const genuine = signed();
  return scheme({ provider: 'DExchange', scheme: 'signature', to: 'bench', path: '/signature' }, [
    { sent: 'genuine', ...genuine, expected: accepted('SN-3001', 'XOF 5000') },
    {
      sent: 'tampered: FAILED made SUCCESS',
      ...signed(dexchangeText('SN-3002', 'MID3002', 12500, 'FAILED')),
      body: dexchangeText('SN-3002', 'MID3002', 12500),
      expected: refused('signature_mismatch'),
    },
    {
      sent: 'forged: another secret',
      ...signed(undefined, WRONG),
      expected: refused('signature_mismatch'),
    },
    {
      sent: 'genuine, of a payment that failed',
      ...signed(dexchangeText('SN-3002', 'MID3002', 12500, 'FAILED')),
      expected: accepted('SN-3002', 'XOF 12500', 'noted', 'payment.failed'),
    },
    {
      sent: 'genuine, after a body parser',
      ...genuine,
      path: '/parsed/signature',
      expected: accepted('SN-3001', 'XOF 5000'),
    },
  ]);
}
