import { describe, expect, it } from 'vitest';
import type { Clue } from '../../src/core/diagnosis/clues.ts';
import { investigate } from '../../src/core/diagnosis.ts';
import {
  type Diagnosis,
  type DiagnosisInput,
  type DiagnosisOptions,
  dexchange,
  diagnose,
  hatexcard,
  hitpay,
  keyring,
  type Provider,
  WebhookError,
  type WebhookErrorCode,
} from '../../src/index.ts';
import {
  hatex,
  hex,
  hmac,
  NOW,
  PAYMENT,
  SALT,
  SECONDS,
  SECRET,
  TRANSACTION,
} from './deliveries.ts';
import { BODY, OTHER } from './setups.ts';

// What a diagnosis looks at, what it leaves alone, and in which order; without a server.

const provider = hatexcard({ secret: SECRET });
const causes = ({ cause, others }: Diagnosis) => [cause, ...others.map((one) => one.cause)];
const input = (sent: { headers?: object; body?: unknown }): DiagnosisInput => ({
  headers: sent.headers as Record<string, string>,
  body: Buffer.from((sent.body ?? '') as string),
  receivedAt: NOW,
});
const LONG = { maxTime: 60_000 };
const refusedFor = (code: WebhookErrorCode): DiagnosisOptions => ({
  ...LONG,
  error: new WebhookError(code),
});
const tried = ({ evidence, others }: Diagnosis) =>
  Number(
    /^(\d+) combinations/.exec([...evidence, ...others.flatMap((one) => one.evidence)].join())?.[1],
  );

describe('a refusal after authenticity', () => {
  it.each([
    'confirmation_mismatch',
    'confirmation_unavailable',
    'store_unavailable',
    'delivery_in_progress',
    'delivery_conflict',
    'payment_not_expected',
  ] as const)('%s has nothing to do with the secret', (code) => {
    const sent = input(hatex(BODY, OTHER));
    const found = diagnose(provider, sent, { ...refusedFor(code), otherSecrets: OTHER });
    expect(causes(found)).toEqual([code]);
  });
});

describe('a body that was not read', () => {
  it('is not taken for an empty one', () => {
    const { headers } = input(hatex('', OTHER));
    const options = { ...refusedFor('body_timeout'), otherSecrets: OTHER };
    expect(causes(diagnose(provider, { headers, body: null }, options))).toEqual(['body_timeout']);
  });

  it('was consumed by what is mounted', () => {
    const seen = ['koaBody() is mounted in the application.'];
    const { headers } = input(hatex());
    const found = investigate(
      [provider],
      { headers, body: null },
      refusedFor('body_consumed'),
      seen,
    );
    expect(found).toMatchObject({ cause: 'body_consumed', confidence: 'likely', evidence: seen });
    expect(
      diagnose(provider, { headers, body: null }, refusedFor('body_consumed')).evidence,
    ).toEqual([]);
  });
});

describe('a parsed body', () => {
  it('is likely to be the reason where no secret fits', () => {
    const { headers } = input(hatex(BODY, OTHER));
    const found = diagnose(provider, { headers, body: [Buffer.from(BODY)], receivedAt: NOW }, LONG);
    expect(causes(found)).toEqual(['body_consumed', 'secret_unknown']);
    expect(found).toMatchObject({ confidence: 'likely', evidence: [] });
  });

  it('is the reason where another text of it was signed', () => {
    const { headers } = input(hatex(JSON.stringify(PAYMENT, null, 2)));
    const found = diagnose(provider, { headers, body: [Buffer.from(BODY)], receivedAt: NOW }, LONG);
    expect(found).toMatchObject({
      cause: 'body_consumed',
      confidence: 'proven',
      evidence: ['It was signed as JSON indented by 2.'],
    });
  });
});

describe('a wrong secret', () => {
  it.each([
    'signature_malformed',
    'signature_mismatch',
    'timestamp_invalid',
    'timestamp_out_of_tolerance',
    'token_mismatch',
    'field_ambiguous',
    'body_malformed',
    'body_consumed',
  ] as const)('remains possible after %s', (code) => {
    expect(causes(diagnose(provider, input(hatex(BODY, OTHER)), refusedFor(code)))).toContain(
      'secret_unknown',
    );
  });

  it.each(['signature_missing', 'body_too_large'] as const)('is not guessed after %s', (code) => {
    const found = diagnose(provider, input(hatex(BODY, OTHER)), refusedFor(code));
    expect(causes(found)).not.toContain('secret_unknown');
  });

  it('is told beside a wrong content type', () => {
    const { headers, ...rest } = input(hatex(BODY, OTHER));
    const sent = { ...rest, headers: { ...(headers as object), 'content-type': 'text/plain' } };
    const found = diagnose(provider, sent, { ...LONG, otherSecrets: OTHER });
    expect(causes(found)).toEqual(['secret_other', 'content_type']);
    expect(found.others[0]?.confidence).toBe('proven');
  });

  it('is found together with another text', () => {
    const sent = input(hatex(`${BODY}\n`, OTHER));
    sent.body = Buffer.from(BODY);
    const found = diagnose(provider, sent, { ...LONG, otherSecrets: OTHER });
    expect(causes(found)).toEqual(['secret_other', 'trailing_newline']);
  });

  it('is tried once, however often it is configured', () => {
    const twice = hatexcard({
      secret: [
        { id: 'a', value: SECRET },
        { id: 'b', value: SECRET },
      ],
    });
    const sent = input(hatex('{}', OTHER));
    const options = { ...LONG, maxTrials: 1_000_000 };
    const once = tried(diagnose(provider, sent, options));
    expect(once).toBeGreaterThan(1_000);
    expect(tried(diagnose(twice, sent, options))).toBe(once);
    expect(tried(diagnose(provider, sent, { ...options, otherSecrets: SECRET }))).toBe(once);
  });
});

describe('a secret that has expired', () => {
  const value = SECRET;
  it('has expired after its last moment', () => {
    const until = (ms: number) =>
      hatexcard({ secret: { id: 'a', value, notAfter: new Date(+NOW + ms) } });
    const sent = input(hatex(`${BODY}\n`));
    sent.body = Buffer.from(BODY);
    expect(causes(diagnose(until(0), sent, LONG))).toEqual(['trailing_newline']);
    expect(causes(diagnose(until(-1), sent, LONG))).toEqual(['secret_expired', 'trailing_newline']);
  });

  it('is valid where it is also configured without an end', () => {
    const past = { id: 'old', value, notAfter: new Date(0) };
    const both = hatexcard({ secret: [past, { id: 'new', value }] });
    const sent = input(hatex(`${BODY}\n`));
    sent.body = Buffer.from(BODY);
    expect(causes(diagnose(both, sent, LONG))).toEqual(['trailing_newline']);
  });
});

describe('the budget', () => {
  const sent = input(hatex('x'.repeat(3072), OTHER));
  it('ends with the time, and with the trials', () => {
    let now = 0;
    const clock = () => now++;
    expect(tried(diagnose(provider, sent, { maxTime: 100, clock }))).toBe(99);
    expect(tried(diagnose(provider, sent, { maxTime: 0 }))).toBe(0);
  });

  it('makes the trials that are sure on a machine that stands still', () => {
    let now = 0;
    const clock = () => (now += 1_000);
    // Two megabytes, at 3072 bytes and 1024 for each.
    expect(tried(diagnose(provider, sent, { clock }))).toBe(512);
  });
});

describe('an event of HitPay with a field hmac', () => {
  it('is no form that became JSON, since it has its header', () => {
    const body = '{"id":"1","hmac":"x"}';
    const type = { 'content-type': 'application/json' };
    const found = (headers: object) =>
      causes(
        diagnose(hitpay({ salt: SALT }), input({ headers: { ...type, ...headers }, body }), LONG),
      );
    expect(found({ 'hitpay-signature': hex(OTHER, body) })).not.toContain('form_as_json');
    expect(found({})).toContain('form_as_json');
  });
});

describe('a misplaced signature', () => {
  const signature = { header: 'x-signature', secret: SECRET };
  const signed = dexchange({ signature });
  const mac = hmac(SECRET, BODY);
  const found = (headers: Record<string, string>, url?: string) =>
    diagnose(signed, { ...input({ headers, body: BODY }), url }, LONG);
  const json = { 'content-type': 'application/json' };

  it('is found in base64', () => {
    expect(causes(found({ ...json, 'x-hmac': mac.toString('base64') })).slice(0, 2)).toEqual([
      'signature_elsewhere',
      'signature_encoding',
    ]);
  });

  it.each([
    ['something before its base64', `v1,${mac.toString('base64')}`],
    ['something behind its base64', `${mac.toString('base64')},v1`],
    ['no signature', 'a='],
  ])('is not looked for in %s', (_, value) => {
    expect(found({ ...json, 'x-hmac': value }).cause).not.toBe('signature_elsewhere');
  });

  it('is found among other parameters, and in four places at most', () => {
    const right = hex(SECRET, BODY);
    const wrong = hex(OTHER, BODY);
    const query = (many: number, last: string, value = wrong) =>
      `/?${Array.from({ length: many }, (_, at) => `a${at}=${value}&`).join('')}z=${last}`;
    expect(found(json, query(3, right)).cause).toBe('signature_elsewhere');
    expect(found(json, query(4, right)).cause).not.toBe('signature_elsewhere');
    expect(found(json, query(63, right, '1')).cause).toBe('signature_elsewhere');
    expect(found(json, query(64, right, '1')).cause).not.toBe('signature_elsewhere');
    expect(found(json, `?z=${right}`).cause).toBe('signature_elsewhere');
  });

  it('is not a token of another kind', () => {
    const token = hex(SECRET, 'token');
    const bearer = dexchange({ bearer: { token } });
    const sent = input({
      headers: { ...json, 'x-token': token },
      body: JSON.stringify(TRANSACTION),
    });
    expect(causes(diagnose(bearer, sent, LONG))).not.toContain('signature_elsewhere');
  });
});

describe('the route', () => {
  const text = { ...hatex().headers, 'content-type': 'text/plain', 'stripe-signature': 'x' };
  const strange = input({ headers: text, body: BODY });
  const both = [provider, hitpay({ salt: SALT })];

  it('without a provider knows no merchant, or says what the code says', () => {
    const unknown = investigate([], input(hatex()), refusedFor('provider_unrecognized'), []);
    expect(unknown).toMatchObject({ cause: 'provider_unknown', confidence: 'likely', others: [] });
    const get = investigate([], { headers: {}, body: null }, refusedFor('method_not_allowed'), []);
    expect(causes(get)).toEqual(['not_post']);
  });

  it('names no other provider where one of its own recognises the delivery', () => {
    expect(causes(diagnose(both, strange, LONG))).toEqual(['content_type']);
    const { 'x-hatex-signature': _, ...unsigned } = text as Record<string, string>;
    const found = diagnose(both, input({ headers: unsigned, body: BODY }), LONG);
    expect(causes(found)).toContain('other_provider');
  });

  it('names no provider of its own', () => {
    const body = 'payment_id=1&hmac=2&x=3';
    const headers = { 'content-type': 'application/json' };
    const found = diagnose(both, input({ headers, body }), refusedFor('provider_unrecognized'));
    expect(causes(found)).toEqual(['no_signature']);
  });

  it('does not miss a signature that one of its providers has', () => {
    const sent = input(hatex(BODY, SECRET, BODY, 'x'));
    const found = diagnose([provider, dexchange({ token: { secret: SECRET } })], sent, LONG);
    expect(causes(found)).not.toContain('no_signature');
  });

  it("knows DExchange's URL without its query, where there is no URL at all", () => {
    const headers = { 'content-type': 'application/json' };
    const sent = input({ headers, body: JSON.stringify(TRANSACTION) });
    expect(diagnose(dexchange({ token: { secret: SECRET } }), sent).cause).toBe('query_missing');
  });
});

describe('what a provider says itself', () => {
  const clue: Clue = {
    option: 'secret',
    keys: keyring('secret', SECRET),
    place: 'the header x-third',
    kind: 'hex',
    proof: hex(SECRET, BODY),
    spare: [],
    assumption: null,
    texts: () => [{ parts: [BODY], suspicion: null }],
  };
  const third = (changes: Partial<Provider>): Provider => ({
    name: 'third',
    contentTypes: ['application/json'],
    recognizes: () => false,
    authenticate: () => {
      throw new WebhookError('body_malformed');
    },
    ...changes,
  });
  const sent = input({ headers: { 'stripe-signature': 'x' }, body: BODY });

  it('is told of the cause that it is about', () => {
    const evidence = ['It is 7 hours old.'];
    const plain = [
      { cause: 'bom', confidence: 'guess' },
      { cause: 'clock_skew', evidence, confidence: 'likely' },
    ] as const;
    const one = third({ evidence: () => ({ clues: [clue], plain }) });
    const found = diagnose(one, sent, refusedFor('timestamp_out_of_tolerance'));
    expect(found).toMatchObject({ cause: 'clock_skew', confidence: 'proven', evidence });
    expect(causes(found)).toEqual(['clock_skew', 'bom']);
  });

  it('counts as a proof where one of several is there', () => {
    const clues = [{ ...clue, proof: undefined, texts: () => [] }, clue];
    const one = third({ evidence: () => ({ clues, plain: [] }) });
    expect(causes(diagnose(one, sent, refusedFor('timestamp_invalid')))).not.toContain(
      'no_signature',
    );
  });

  it("is asked of no other provider's marks where its content type was right", () => {
    expect(causes(diagnose(third({}), sent, LONG))).toEqual(['body_malformed', 'secret_unknown']);
  });
});

describe('arguments', () => {
  const sent = input(hatex(BODY, OTHER));
  it.each([
    [{ trials: 1 }, /^diagnose: .*trials/],
    [{ clock: 1 }, /^clock: must/],
    [{ orders: null }, /^orders: must/],
    [{ orders: 'A' }, /^orders: must/],
  ])('are checked (%#)', (options, message) => {
    expect(() => diagnose(provider, sent, options as never)).toThrow(message);
  });

  it('name the kinds of body', () => {
    for (const body of [{}, [], 'x']) {
      expect(() => diagnose(provider, { ...sent, body } as never)).toThrow(
        /^body: must be the raw bytes/,
      );
    }
  });

  it('may give the moment of the delivery', () => {
    const { headers } = hatex(BODY, SECRET, BODY, SECONDS - 600);
    expect(diagnose(provider, input({ headers, body: BODY }), LONG).cause).toBe('clock_skew');
  });
});
