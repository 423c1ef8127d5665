import { describe, expect, it } from 'vitest';
import { hitpay, type Provider, type ProviderEvent, verify } from '../../src/index.ts';
import {
  bodyOf,
  type Chance,
  type Field,
  type Genuine,
  genuine,
  hmacOf,
  KNOWN_NAMES,
  occurrences,
  recut,
  SALT,
} from '../hitpay-bodies.ts';
import { readForm } from './references.ts';
import { mac, NOW, type Parcel, SCHEMES, type Scheme, type Sent } from './schemes.ts';
import {
  chanceFor,
  DELIVERIES,
  fault,
  guard,
  Mutator,
  outcome,
  Tally,
  TIMEOUT,
} from './support.ts';

// Genuine deliveries, changed, through `verify`: what is accepted must be authentic by the tests' own
// judgement (`schemes.ts`), and must mean what the genuine delivery means.

guard();

function judge(provider: Provider | readonly Provider[], parcel: Parcel) {
  const { url, headers, body } = parcel;
  return outcome(() => verify(provider, { url, headers, body, receivedAt: NOW }));
}

/** Everything that the event says, to compare it. */
function meaning(event: ProviderEvent | undefined): string {
  return JSON.stringify(event);
}

function told(event: ProviderEvent | undefined) {
  const { type, reference, paymentId, amount } = event ?? {};
  return { type, reference, paymentId, amount };
}

const schemes = SCHEMES.map((scheme) => [scheme.name, scheme] as const);

// ---- Every one-bit change ------------------------------------------------------------------------

describe('every change of one bit', () => {
  const flipped = (bytes: Buffer, bit: number): Buffer => {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
    return changed;
  };

  /** Tries every bit of a part; gives how many changes were accepted. */
  function everyBit(
    scheme: Scheme,
    part: Buffer,
    put: (changed: Buffer) => Parcel,
    tally: Tally,
    original: ProviderEvent,
  ): number {
    let accepted = 0;
    for (let bit = 0; bit < part.length * 8; bit++) {
      const parcel = put(flipped(part, bit));
      tally.add('changes of one bit');
      if (!isRight(scheme, parcel, [original], bit)) continue;
      accepted++;
      tally.add('that mean the same');
    }
    return accepted;
  }

  it.each(schemes)(
    '%s: none of a body says something else',
    { timeout: TIMEOUT },
    (name, scheme) => {
      const tally = new Tally(`${name}, bits of bodies`);
      const chance = chanceFor(`bits ${name}`);
      for (let bodies = 0; bodies < 5; bodies++) {
        const sent = scheme.make(chance);
        const original = accepted(scheme, sent);
        const put = (body: Buffer) => ({ ...sent, body });
        const count = everyBit(scheme, sent.body, put, tally, original);
        // A MAC over the bytes leaves nothing to choose.
        if (scheme.signsBody && !['hitpay/form', 'hatexcard/body'].includes(name)) {
          expect(count).toBe(0);
        }
      }
      tally.tell();
    },
  );

  it.each(
    schemes.filter(([, { proof }]) => proof !== null),
  )('%s: none of a proof fits', (name, scheme) => {
    const tally = new Tally(`${name}, bits of proofs`);
    const chance = chanceFor(`proof ${name}`);
    for (let count = 0; count < 5; count++) {
      const sent = scheme.make(chance);
      const header = scheme.proof as string;
      const value = sent.headers[header] as string;
      const original = accepted(scheme, sent);
      const accepts = everyBit(
        scheme,
        Buffer.from(value, 'latin1'),
        (changed) => withHeader(sent, header, changed.toString('latin1')),
        tally,
        original,
      );
      // Only the case of a letter: of a hex digit, or of the word in front of a token.
      const letters = name === 'dexchange/bearer' ? 'Bearer' : value.replace(/[0-9]/g, '');
      expect(accepts).toBe(letters.length);
    }
    tally.tell();
  });

  it('hatexcard/timestamped: none of a timestamp fits', () => {
    const [, scheme] = schemes[0] as (typeof schemes)[number];
    const tally = new Tally('hatexcard/timestamped, bits of timestamps');
    const sent = scheme.make(chanceFor('timestamp'));
    const header = 'x-hatex-timestamp';
    const part = Buffer.from(sent.headers[header] as string);
    const put = (changed: Buffer) => withHeader(sent, header, changed.toString('latin1'));
    expect(everyBit(scheme, part, put, tally, accepted(scheme, sent))).toBe(0);
    tally.tell();
  });

  it('dexchange/token: none of a token fits', () => {
    const [, scheme] = schemes.find(([name]) => name === 'dexchange/token') as (typeof schemes)[0];
    const tally = new Tally('dexchange/token, bits of tokens');
    const sent = scheme.make(chanceFor('token'));
    const [path = '', value = ''] = sent.url.split('=');
    const put = (changed: Buffer) => ({ ...sent, url: `${path}=${changed.toString('latin1')}` });
    expect(everyBit(scheme, Buffer.from(value), put, tally, accepted(scheme, sent))).toBe(0);
    tally.tell();
  });
});

function withHeader(sent: Sent, name: string, value: string): Sent {
  return { ...sent, headers: { ...sent.headers, [name]: value } };
}

/** The event of a genuine delivery, which says what was sent. */
function accepted(scheme: Scheme, sent: Sent, at = 0): ProviderEvent {
  const { value, code } = judge(scheme.provider, sent);
  if (value === undefined) throw fault(`a genuine delivery was refused: ${code}`, at, sent);
  if (meaningOf(told(value)) !== meaningOf(sent.told)) {
    throw fault(`read as ${meaningOf(told(value))}`, at, sent);
  }
  return value;
}

function meaningOf(facts: object): string {
  return JSON.stringify(Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What an authentic delivery may be refused for all the same. */
const INTERPRETED = ['content_type_unsupported', 'field_ambiguous', 'body_malformed'];

/**
 * Whether a changed delivery was accepted, which it may only be if it is authentic and means the same
 * as one of those that it was made of.
 */
function isRight(
  scheme: Scheme,
  parcel: Parcel,
  originals: readonly (ProviderEvent | undefined)[],
  at: number,
): boolean {
  const isAuthentic = scheme.isAuthentic(parcel);
  const { value, code } = judge(scheme.provider, parcel);
  if (code !== undefined) {
    if (isAuthentic && !INTERPRETED.includes(code)) throw fault(`refused: ${code}`, at, parcel);
    return false;
  }
  if (!isAuthentic) throw fault('accepted without a proof', at, parcel);
  const isSame = originals.some((original) =>
    scheme.signsBody
      ? meaning(value) === meaning(original)
      : // The body is a claim; only the order is tied to a token.
        value.trust === 'token' &&
        (scheme.name !== 'dexchange/token' || value.reference === original?.reference),
  );
  if (!isSame) throw fault(`read as ${meaning(value)}`, at, parcel);
  return true;
}

// ---- Random changes ------------------------------------------------------------------------------

/** What means something to one of the readers. */
const WORDS = [
  ...'"\\{}[],:0 \t\r\n%+&=\x00\xff',
  ...['1e5', '%2', '%20', '%2b', '&status=completed', '&hmac=', 'hmac', '\\u0041'],
  ...['status', 'reference_number', 'completed', ', ', 'Bearer', 'sha256=', '"__proto__":1,'],
  ...['\xef\xbb\xbf'],
];
const HEADER_NAMES = [
  ...[
    'content-type',
    'x-hatex-signature',
    'x-hatex-timestamp',
    'hitpay-signature',
    'authorization',
  ],
  ...[
    'x-dexchange-signature',
    'X-Hatex-Signature',
    'Hitpay-Signature',
    'Content-Type',
    '__proto__',
  ],
];

/** What an unanchored pattern would take for the value itself. */
const WRAPPED: readonly ((value: string) => string)[] = [
  (value) => `x${value}`,
  (value) => `${value} x`,
  (value) => `x ${value}`,
  (value) => `${value}\n`,
  (value) => `${value}, ${value}`,
  (value) => `"${value}"`,
];

/** Changes one part of a delivery, now and then several. */
function changed(chance: Chance, mutator: Mutator, sent: Parcel, other: Parcel): Parcel {
  const draw = chance.next();
  if (draw < 0.55) return { ...sent, body: mutator.change(sent.body, chance.int(1, 3)) };
  if (draw < 0.6) return { ...sent, body: other.body };
  if (draw < 0.7) return { ...sent, url: changedUrl(chance, mutator, sent, other) };
  if (draw < 0.95) return { ...sent, headers: changedHeaders(chance, mutator, sent, other) };
  return changed(chance, mutator, changed(chance, mutator, sent, other), other);
}

function changedUrl(chance: Chance, mutator: Mutator, sent: Parcel, other: Parcel): string {
  const query = (url: string) => url.slice(url.indexOf('?') + 1);
  switch (chance.int(0, 3)) {
    case 0:
      return `${sent.url}&${query(chance.of([sent, other]).url)}`;
    case 1:
      return `${sent.url}?${query(other.url)}`;
    default:
      return mutator.change(Buffer.from(sent.url), chance.int(1, 2)).toString('latin1');
  }
}

function changedHeaders(
  chance: Chance,
  mutator: Mutator,
  sent: Parcel,
  other: Parcel,
): Record<string, string> {
  const headers = { ...sent.headers };
  const names = Object.keys(headers);
  if (names.length === 0) return { ...other.headers };
  const name = chance.of(names);
  const value = headers[name] as string;
  const others = Object.hasOwn(other.headers, name) ? (other.headers[name] as string) : '';
  switch (chance.int(0, 6)) {
    case 6:
      return { ...headers, [name]: chance.of(WRAPPED)(value) };
    case 0:
      delete headers[name];
      return headers;
    case 1:
      return { ...headers, [chance.of(HEADER_NAMES)]: chance.of([value, '', 'x']) };
    case 2:
      // The same name twice, in two spellings.
      return { ...headers, [name.toUpperCase()]: chance.of([value, others]) };
    case 3:
      return { ...headers, ...other.headers };
    default: {
      const bytes = mutator.change(Buffer.from(value, 'latin1'), chance.int(1, 2));
      return { ...headers, [name]: bytes.toString('latin1') };
    }
  }
}

/** How often one genuine delivery is changed. */
const CHANGES = 20;

describe('random changes', () => {
  it.each(schemes)(
    '%s: what is accepted is authentic and means the same',
    {
      timeout: TIMEOUT,
    },
    (name, scheme) => {
      const tally = new Tally(`${name}, changed`);
      const chance = chanceFor(`changed ${name}`);
      const others = SCHEMES.map((one) => one.make(chance));
      const seeds = others.map(({ body }) => body);
      const mutator = new Mutator(chance, seeds, WORDS);
      for (let at = 0; at < DELIVERIES; ) {
        const sent = scheme.make(chance);
        const original = accepted(scheme, sent, at);
        tally.add('genuine');
        for (let times = 0; times < CHANGES && at < DELIVERIES; times++, at++) {
          const other = chance.is(0.5) ? scheme.make(chance) : chance.of(others);
          const parcel = changed(chance, mutator, sent, other);
          tally.add('inputs');
          // Enough of another delivery may have been put together: then it is that one.
          const originals = [original, judge(scheme.provider, other).value];
          tally.add(isRight(scheme, parcel, originals, at) ? 'accepted' : 'refused');
        }
      }
      tally.tell();
      expect(tally.counts.inputs).toBe(DELIVERIES);
      expect(tally.counts.accepted).toBeGreaterThan(0);
      expect(tally.counts.refused).toBeGreaterThan(DELIVERIES / 3);
    },
  );
});

// ---- What one scheme has of its own ----------------------------------------------------------------

describe('hatexcard/timestamped', () => {
  const [, { provider, make }] = schemes[0] as (typeof schemes)[number];

  it('is accepted 300 seconds before and after, and not beyond', { timeout: TIMEOUT }, () => {
    const tally = new Tally('hatexcard/timestamped, ages');
    const chance = chanceFor('ages');
    for (let at = 0; at < DELIVERIES; at++) {
      const sent = make(chance);
      const age = chance.is(0.9) ? chance.int(-310, 310) : chance.int(-1e9, 1e9);
      const signedAt = Number(sent.headers['x-hatex-timestamp']);
      const receivedAt = new Date(signedAt * 1000 + age * 1000 + chance.int(0, 999));
      const { url, headers, body } = sent;
      const { code } = outcome(() => verify(provider, { url, headers, body, receivedAt }));
      const expected = Math.abs(age) <= 300 ? undefined : 'timestamp_out_of_tolerance';
      if (code !== expected) throw fault(`${code} at an age of ${age}`, at, sent);
      tally.add('inputs');
      tally.add(code === undefined ? 'accepted' : 'refused');
    }
    tally.tell();
    expect(tally.counts.refused).toBeGreaterThan(0);
  });
});

describe('hatexcard/body', () => {
  const [, { provider, make }] = schemes[1] as (typeof schemes)[number];

  /** Other texts whose parse and re-serialised text are the same. */
  function respelt(chance: Chance, compact: string): string {
    const spellings: ((text: string) => string)[] = [
      (text) => text.replace(/"amount":([\d.]+)(?=[,}])/, '"amount":$1e0'),
      (text) =>
        text.replace(/"amount":([\d.]+)(?=[,}])/, (_, one) => `"amount":${Number(one) * 10}e-1`),
      (text) => text.replace(/"amount":null/, '"amount":-0.0,"amount":null'),
      (text) => text.replace(/"amount":null/, '"amount":1e999'),
      (text) => text.replace('{', '{"event":"ping",'),
      (text) => text.replace('"currency"', '"\\u0063urrency"'),
      (text) => text.replace(',"amount"', ' ,\n\t"amount"'),
    ];
    let text = compact;
    for (let left = chance.int(1, 3); left > 0; left--) text = chance.of(spellings)(text);
    return text;
  }

  it('means what the re-serialised text says, however it is spelt', { timeout: TIMEOUT }, () => {
    const tally = new Tally('hatexcard/body, respelt');
    const chance = chanceFor('respelt');
    for (let at = 0; at < DELIVERIES; at++) {
      const sent = make(chance);
      const fields = JSON.parse(sent.body.toString());
      if (chance.is(0.3)) fields.amount = null;
      const compact = JSON.stringify(fields);
      const signature = mac(compact).toString('hex');
      const signed = withHeader(sent, 'x-hatex-signature', signature);
      const original = judge(provider, { ...signed, body: Buffer.from(compact) }).value;
      const body = Buffer.from(respelt(chance, compact));
      const { value, code } = judge(provider, { ...signed, body });
      // Some spellings are of another number: then the re-serialised text is another, too.
      const isSigned = JSON.stringify(JSON.parse(body.toString())) === compact;
      const isRight = isSigned ? meaning(value) === meaning(original) : code !== undefined;
      if (original === undefined || !isRight) throw fault(`read as ${meaning(value)}`, at, body);
      tally.add('inputs');
      tally.add(isSigned ? 'accepted' : 'refused');
    }
    tally.tell();
    expect(tally.counts.accepted).toBeGreaterThan(DELIVERIES / 2);
  });
});

// ---- Junk ----------------------------------------------------------------------------------------

describe('junk', () => {
  it('no provider takes it', { timeout: TIMEOUT }, () => {
    const tally = new Tally('junk');
    const chance = chanceFor('junk');
    const bodies = SCHEMES.map((scheme) => scheme.make(chance).body);
    const mutator = new Mutator(chance, bodies, WORDS);
    const value = () =>
      chance.of([
        () => chance.text(64, '0123456789abcdef'),
        () => mutator.noise(chance.int(0, 70)).toString('latin1'),
        () => `${Math.floor(NOW.getTime() / 1000) + chance.int(-400, 400)}`,
        () => chance.of(['application/json', 'application/x-www-form-urlencoded', '', 'Bearer ']),
      ])();
    const providers = SCHEMES.map(({ provider }) => provider);
    const form = SCHEMES.find(({ name }) => name === 'hitpay/form') as Scheme;
    for (let at = 0; at < DELIVERIES; at++) {
      const headers: Record<string, string> = {};
      if (chance.is(0.7)) headers['content-type'] = chance.of(['application/json', value()]);
      for (let left = chance.int(0, 4); left > 0; left--)
        headers[chance.of(HEADER_NAMES)] = value();
      const token = chance.is(0.3) ? `?payproof=${chance.text(43, 'abcABC012-_')}` : '';
      const body = chance.is(0.8) ? mutator.bytes() : mutator.noise(chance.int(0, 200));
      const parcel = { url: `/webhook${token}`, headers, body };
      const judges = chance.is(0.2) ? providers : chance.of(providers);
      tally.add('inputs');
      const event = judge(judges, parcel).value;
      tally.add(event === undefined ? 'refused' : 'accepted');
      // A form carries its proof in the body: one that was hardly changed still has it.
      if (event && !(event.scheme === 'hitpay/form' && form.isAuthentic(parcel))) {
        throw fault('accepted', at, parcel);
      }
    }
    tally.tell();
    expect(tally.counts.inputs).toBe(DELIVERIES);
  });
});

// ---- Other providers -----------------------------------------------------------------------------

describe('another provider', () => {
  it('refuses what is genuine elsewhere, under the same secret', { timeout: TIMEOUT }, () => {
    const tally = new Tally('deliveries of other providers');
    const chance = chanceFor('others');
    for (let at = 0; at < Math.ceil(DELIVERIES / SCHEMES.length); at++) {
      const scheme = chance.of(SCHEMES);
      const sent = scheme.make(chance);
      accepted(scheme, sent, at);
      for (const other of SCHEMES) {
        tally.add('inputs');
        const { stranger, name, provider } = other;
        if (judge(stranger, sent).value) throw fault(`another secret, ${name}`, at, sent);
        if (name === scheme.name || isSameAccount(scheme, other)) continue;
        if (judge(provider, sent).value) throw fault(`accepted as ${name}`, at, sent);
        tally.add('refused by others');
      }
    }
    tally.tell();
    expect(tally.counts.inputs).toBeGreaterThanOrEqual(DELIVERIES);
  });

  /** A salt signs both of HitPay's schemes. */
  function isSameAccount(one: Scheme, other: Scheme): boolean {
    return one.provider.name === 'hitpay' && other.provider.name === 'hitpay';
  }
});

// ---- HitPay's form, cut otherwise ------------------------------------------------------------------

/** The ways in which senders escape a form; a mixture too. */
function encoder(chance: Chance): (text: string) => string {
  const encoders: ((text: string) => string)[] = [
    encodeURIComponent,
    (text) => encodeURIComponent(text).replaceAll('%20', '+'),
    (text) =>
      [...text]
        .map((one) => (/[a-z0-9_]/i.test(one) && chance.is(0.9) ? one : escaped(one)))
        .join(''),
  ];
  return chance.of(encoders);
}

function escaped(text: string): string {
  return [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

/** `npm run test:recuts` has a million more. */
const RECUTS = Math.ceil(DELIVERIES / 2);

describe('re-cuts of the form of HitPay', () => {
  const judges = new Map<string, Provider>();
  const judgeFor = ({ extraFields }: Genuine): Provider => {
    const key = extraFields.join();
    const one = judges.get(key) ?? hitpay({ salt: SALT, extraFields });
    judges.set(key, one);
    return one;
  };

  function read(provider: Provider, fields: readonly Field[], encode: (text: string) => string) {
    const sorted = [...fields].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const body = bodyOf(fields, hmacOf(sorted.flat().join('')), encode);
    // The escapes must not change what is sent.
    const sent = readForm(body);
    if (!(sent instanceof Map) || sent.size !== fields.length + 1) return null;
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const { value, code } = judge(provider, { url: '/', headers, body });
    if (code !== undefined && code !== 'field_ambiguous') throw fault(code, 0, body);
    if (value === undefined) return null;
    const { type, reference, paymentId, amount, customer, id } = value;
    return JSON.stringify({ type, reference, paymentId, amount, customer, id });
  }

  it('mean the same or are refused', { timeout: TIMEOUT }, () => {
    const tally = new Tally('hitpay/form, re-cuts');
    const chance = chanceFor('recuts');
    for (let at = 0; at < RECUTS; ) {
      const body = genuine(chance);
      const provider = judgeFor(body);
      const places = occurrences(body.text, [...KNOWN_NAMES, ...body.extraFields]);
      let only = read(provider, body.fields, encoder(chance));
      if (body.clean && only === null) throw fault('a genuine body was refused', at, body);
      for (let attempt = 0; attempt < 100 && at < RECUTS; attempt++) {
        const cut = recut(chance, body, places);
        if (cut === null) continue;
        at++;
        tally.add('inputs');
        const found = read(provider, shuffled(chance, cut), encoder(chance));
        tally.add(found === null ? 'refused' : 'accepted');
        only ??= found;
        if (found !== null && found !== only) throw fault(`read as ${found}`, at, [body, cut]);
      }
    }
    tally.tell();
    expect(tally.counts.inputs).toBe(RECUTS);
    expect(tally.counts.accepted).toBeGreaterThan(0);
  });

  function shuffled(chance: Chance, fields: readonly Field[]): Field[] {
    return fields
      .map((field) => [chance.next(), field] as const)
      .sort(([a], [b]) => a - b)
      .map(([, field]) => field);
  }
});
