import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  callbackUrl,
  type Diagnosis,
  dexchange,
  diagnose,
  hatexcard,
  hitpay,
  isWebhookError,
  type Provider,
} from '../../src/index.ts';
import { providerOf, receivedAtOf, urlOf, vectors } from '../vectors.ts';
import {
  EVENT_SALT,
  hatex,
  hex,
  hitpayEvent,
  hitpayForm,
  hmac,
  json,
  NOW,
  ORDER,
  PAYMENT,
  pythonJson,
  refused,
  SALT,
  SECONDS,
  SECRET,
  type Sent,
  type Setup,
  TRANSACTION,
} from './support.ts';

const findingsOf = ({ others, ...first }: Diagnosis) => [first, ...others];

describe('what is genuine', () => {
  it.each(vectors.filter(({ expect }) => expect.accepted))('$provider: $name', (vector) => {
    const diagnosis = diagnose(providerOf(vector), {
      headers: vector.headers,
      body: Buffer.from(vector.body),
      url: urlOf(vector),
      receivedAt: receivedAtOf(vector),
    });
    expect(diagnosis).toMatchObject({ cause: 'none', confidence: 'likely', others: [] });
  });

  it('is also known by one of the texts that a parsed body can have been', () => {
    const { headers, body } = hatex(pythonJson(PAYMENT));
    const bodies = [Buffer.from(JSON.stringify(PAYMENT)), Buffer.from(body)];
    const found = diagnose(hatexcard({ secret: SECRET }), {
      headers,
      body: bodies,
      receivedAt: NOW,
    });
    expect(found.cause).toBe('none');
  });
});

describe('junk', () => {
  const url = new URL(callbackUrl('https://shop.example/webhook', 'ORDER-001', { secret: SECRET }));
  const providers: Provider[] = [
    hatexcard({ secret: SECRET }),
    hitpay({ salt: SALT, eventSalt: EVENT_SALT }),
    dexchange({ token: { secret: SECRET } }),
    dexchange({ bearer: { token: SECRET } }),
    dexchange({ signature: { header: 'x-signature', secret: SECRET } }),
  ];
  const digits = fc.stringMatching(/^[0-9a-f]{16,64}$/);
  const proof = fc.oneof(
    digits,
    fc.stringMatching(/^[0-9a-f]{64}$/),
    fc.string(),
    fc.base64String(),
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.constant(JSON.stringify(PAYMENT)),
    fc.constant(JSON.stringify(TRANSACTION)),
    fc.dictionary(fc.string(), fc.string()).map((one) => new URLSearchParams(one).toString()),
  );

  it.each(
    providers.map((provider, index) => ({ index, provider })),
  )('proves nothing ($index, $provider.name)', ({ provider }) => {
    fc.assert(
      fc.property(text, proof, fc.integer({ min: -400, max: 400 }), (body, sent, skew) => {
        const form = provider.name === 'hitpay' && body.includes('=');
        const found = diagnose(
          provider,
          {
            headers: {
              'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json',
              'x-hatex-signature': sent,
              'x-hatex-timestamp': `${SECONDS + skew}`,
              'hitpay-signature': sent,
              authorization: `Bearer ${sent}`,
              'x-signature': sent,
            },
            body: Buffer.from(form ? `${body}&hmac=${sent}` : body),
            url: `${url.pathname}?payproof=${encodeURIComponent(Buffer.from(sent).toString())}`,
            receivedAt: NOW,
          },
          { maxTrials: 200, maxTime: 60_000, orders: ['A', 'B'] },
        );
        for (const one of findingsOf(found)) expect(one.confidence).not.toBe('proven');
      }),
      { numRuns: 60 },
    );
  });

  it('is not proven by fewer than 16 digits, or by a digest of nothing secret', async () => {
    const right = hex(SECRET, `${SECONDS}.${JSON.stringify(PAYMENT)}`);
    for (const sent of ['', 'a', right.slice(0, 15), right.slice(0, 14), '0'.repeat(64)]) {
      const headers = { 'x-hatex-signature': sent, 'x-hatex-timestamp': `${SECONDS}` };
      const setup = { provider: hatexcard({ secret: SECRET }) };
      const { diagnosis } = await refused(setup, json(JSON.stringify(PAYMENT), headers));
      for (const one of findingsOf(diagnosis)) expect(one.confidence).not.toBe('proven');
    }
  });

  it('is not proven by an empty or short key that a changed secret would leave', () => {
    for (const secret of ['whsec_', '"a"', 'whsec_a', 'a,b,c,d,e']) {
      for (const key of ['', 'a', '\n']) {
        const body = JSON.stringify(PAYMENT);
        const found = diagnose(
          hatexcard({ secret }),
          { ...hatex(body, key), body: Buffer.from(body), receivedAt: NOW },
          { maxTime: 60_000 },
        );
        for (const one of findingsOf(found)) expect(one.confidence).not.toBe('proven');
      }
    }
  });
});

describe('what must never be said', () => {
  const PHONE = '+50937001122';
  const NAME = 'Marie-Ange Toussaint';
  const CARD = '4242424242424242';
  const MAIL = 'marie@example.ht';
  const FIELD = 'secret_field_name';
  const OTHER = 'whsec_the-other-secret-of-the-sandbox';
  const planted = {
    ...PAYMENT,
    customer_name: NAME,
    phone: PHONE,
    [FIELD]: CARD,
    data: { ...PAYMENT.data, customer_name: NAME, email: MAIL, order_id: PHONE, [MAIL]: CARD },
  };
  const fields = { ...ORDER, phone: PHONE, reference_number: NAME, [FIELD]: CARD, zz: MAIL };
  const body = JSON.stringify(planted);
  const spill = {
    'x-customer': NAME,
    'x-forwarded-for': PHONE,
    cookie: `card=${CARD}`,
    referer: `https://shop.example/?mail=${MAIL}`,
  };
  const noisy = (sent: Sent): Sent => ({
    path: `/webhook?name=${encodeURIComponent(NAME)}&phone=${encodeURIComponent(PHONE)}&${FIELD}=${CARD}`,
    ...sent,
    headers: { ...spill, ...sent.headers },
  });
  const hatexProvider = hatexcard({ secret: SECRET });
  const hitpayProvider = hitpay({ salt: SALT, eventSalt: EVENT_SALT });
  const token = dexchange({ token: { secret: SECRET } });
  const order = {
    ...TRANSACTION,
    externalTransactionId: NAME,
    PHONE_NUMBER: CARD,
    CUSTOM_DATA: MAIL,
  };
  const tokenPath = (secret: string, id = NAME) => {
    const url = new URL(callbackUrl(`https://shop.example/webhook?a=${MAIL}`, id, { secret }));
    return url.pathname + url.search;
  };
  const cases: [string, Setup, Sent][] = [
    ['a wrong secret', { provider: hatexProvider }, hatex(body, OTHER)],
    [
      'another secret',
      { provider: hatexProvider, diagnosis: { otherSecrets: OTHER } },
      hatex(body, OTHER),
    ],
    ['a quoted secret', { provider: hatexcard({ secret: `"${SECRET}"` }) }, hatex(body)],
    [
      'a rewritten body',
      { provider: hatexProvider },
      { ...hatex(body), body: pythonJson(planted) },
    ],
    ['no signature', { provider: hatexProvider }, json(body)],
    [
      'a signature elsewhere',
      { provider: hatexProvider },
      json(body, { [`x-${FIELD}`.replaceAll('_', '-')]: hex(SECRET, body) }),
    ],
    [
      'base64',
      { provider: hatexProvider },
      json(body, { 'x-hatex-signature': hmac(SECRET, body).toString('base64') }),
    ],
    ['a field not signed', { provider: hitpayProvider }, hitpayForm(fields, SALT, 'x')],
    [
      'a field ambiguous',
      { provider: hitpayProvider },
      hitpayForm({ ...fields, status_status: CARD }),
    ],
    [
      'a field not known, not signed',
      { provider: hitpayProvider },
      hitpayForm(
        fields,
        SALT,
        Object.keys(fields)
          .sort()
          .filter((name) => name !== FIELD)
          .map((name) => name + fields[name as keyof typeof fields])
          .join(''),
      ),
    ],
    ['salts swapped', { provider: hitpayProvider }, hitpayForm(fields, EVENT_SALT)],
    ['a wrong event salt', { provider: hitpayProvider }, hitpayEvent(body, OTHER)],
    [
      'a wrong token',
      { provider: token },
      { path: tokenPath(OTHER), ...json(JSON.stringify(order)) },
    ],
    [
      'a token of another order',
      { provider: token, diagnosis: { orders: [PHONE, CARD] } },
      { path: tokenPath(SECRET, PHONE), ...json(JSON.stringify(order)) },
    ],
    [
      'a damaged token',
      { provider: token },
      {
        path: tokenPath(SECRET).replace('payproof', 'amp;payproof'),
        ...json(JSON.stringify(order)),
      },
    ],
    [
      'a wrong bearer',
      { provider: dexchange({ bearer: { token: SECRET } }) },
      json(JSON.stringify(order), { authorization: `Basic ${OTHER}` }),
    ],
    [
      'another content type',
      { provider: hatexProvider },
      { headers: { 'content-type': `text/plain; name=${FIELD}` }, body },
    ],
    ['an odd method', { provider: hatexProvider }, { method: 'PUT', body }],
    [
      'junk',
      { provider: hatexProvider },
      json(`{${NAME}`, { 'x-hatex-signature': `${CARD}=${OTHER}` }),
    ],
  ];
  const secrets = [SECRET, SALT, EVENT_SALT, OTHER];
  const canaries = [
    ...secrets,
    ...secrets.map((one) => one.slice(6)),
    PHONE,
    PHONE.slice(1),
    NAME,
    CARD,
    MAIL,
    FIELD,
    'secret-field-name',
    'evt_1',
  ];

  it.each(cases)('is not said of %s', async (_, setup, sent) => {
    const all = noisy(sent);
    const { rejection, diagnosis, answer, error } = await refused(setup, all);
    const written = [diagnosis, rejection, error, answer].flatMap((one) => [
      JSON.stringify(one),
      inspect(one, { depth: 20, showHidden: true }),
      `${one}`,
      isWebhookError(one) ? `${one.stack}` : '',
    ]);
    const proofs = `${Object.values(sent.headers ?? {})} ${sent.path} ${sent.body}`;
    const signatures = (proofs.match(/[\w+/-]{32,}/g) ?? []).filter(
      (one) => !one.startsWith('application/'),
    );
    // A part of a signature is too much as well.
    const parts = signatures.flatMap((one) => [one.slice(0, 12), one.slice(-12)]);
    for (const text of written) {
      for (const canary of [...canaries, ...parts]) expect(text).not.toContain(canary);
    }
  });
});
