import { createHmac } from 'node:crypto';

// Genuine bodies of HitPay's form, and re-cuts of them: other bodies whose signed text, and so whose
// signature, is the same. Everything is drawn from a seed, so that a failure can be repeated.

export type Field = readonly [name: string, value: string];

export const SALT = 'salt-of-the-tests';

export const REQUEST_NAMES = [
  'amount',
  'currency',
  'payment_id',
  'payment_request_id',
  'phone',
  'reference_number',
  'status',
];
export const BILLING_NAMES = [
  'amount',
  'currency',
  'payment_id',
  'recurring_billing_id',
  'reference',
  'status',
];
export const KNOWN_NAMES = [...new Set([...REQUEST_NAMES, ...BILLING_NAMES])].sort();

const STATUSES = [
  'completed',
  'succeeded',
  'succeeded_manually',
  'pending',
  'requires_payment_method',
  'requires_customer_action',
  'failed',
  'expired',
  'canceled',
  'void',
  'refunded',
  'partially_refunded',
  'inactive',
];

// ---- Chance --------------------------------------------------------------------------------------

/** A seeded source of chance (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  is(probability: number): boolean {
    return this.next() < probability;
  }

  of<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)] as T;
  }

  text(length: number, alphabet: string): string {
    let text = '';
    for (let i = 0; i < length; i++) text += this.of([...alphabet]);
    return text;
  }
}

// ---- The signed text -----------------------------------------------------------------------------

export function sorted(fields: readonly Field[]): Field[] {
  return [...fields].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** What HitPay signs: names and values, sorted by name, without separators. */
export function textOf(fields: readonly Field[]): string {
  return sorted(fields)
    .map(([name, value]) => name + value)
    .join('');
}

export function hmacOf(text: string): string {
  return createHmac('sha256', SALT).update(text).digest('hex');
}

/** The body as sent; `encode` may be PHP's `urlencode`, which writes a space as `+`. */
export function bodyOf(
  fields: readonly Field[],
  hmac: string,
  encode: (text: string) => string = encodeURIComponent,
): Buffer {
  const pairs: Field[] = [...fields, ['hmac', hmac]];
  return Buffer.from(pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&'));
}

// ---- Genuine bodies ------------------------------------------------------------------------------

/** What a merchant declared, and what HitPay then sends. */
export const DECLARATIONS: readonly (readonly string[])[] = [
  [],
  [],
  [],
  ['zone'],
  ['payment_method', 'Type2'],
  // Between the reference and the status: these are required.
  ['remark'],
  // Overlaps itself.
  ['rere'],
  ['shop', 'region', 'zone', 'business_name'],
];

export interface Genuine {
  /** Sorted, without `hmac`. */
  readonly fields: readonly Field[];
  readonly text: string;
  readonly extraFields: readonly string[];
  /** Whether the body keeps what HitPay's bodies are assumed to keep, so that it must be accepted. */
  readonly clean: boolean;
}

/** Names of new plain fields for every gap between known ones. */
const NEW_NAMES = [
  'account',
  'alias',
  'bank',
  'channel',
  'customer_email',
  'description',
  'fee',
  'method',
  'payment_channel',
  'payment_intent',
  'payment_links',
  'payment_order',
  'paymenu',
  'payment_type',
  'payout',
  'person',
  'product',
  'quantity',
  'recurring_cycle',
  'redirect',
  'scope',
  'timestamp',
  'type',
  'user_agent',
  'zip',
];

const PLAIN_VALUES = [
  '',
  'gcash',
  'card',
  'paynow_online',
  '2026-11-21T08:00:00Z',
  '{"a":1}',
  'visa 4242',
  'a@b.example',
  '1',
  'é',
];
const STATUS_PARTS = ['sta', 'tus', 'tsa', 'stat', 'us', 's', 't', 'statu', 'tatus'];

function hostileText(chance: Chance, names: readonly string[]): string {
  let text = '';
  for (let parts = chance.int(0, 5); parts > 0; parts--) {
    const name = chance.of(names);
    text += chance.of([
      name,
      name.slice(0, chance.int(1, name.length)),
      name.slice(chance.int(0, name.length - 1)),
      chance.of(STATUSES),
      `status${chance.of(STATUSES)}`,
      `${name}${chance.of(['1', '', 'x', '0.01', 'SGD', 'ORDER-2'])}`,
      chance.of(STATUS_PARTS),
      chance.of([
        'order-sandbox',
        'iphone-status-case',
        '_number',
        'ecurring_billing_id',
        '_manually',
      ]),
      chance.of([
        'ORDER-1',
        '42',
        '#',
        ' ',
        '&',
        '=',
        '%',
        '+',
        'é',
        '💰',
        'zz',
        '_',
        '-',
        'a',
        'hmac',
      ]),
    ]);
  }
  return text;
}

function idOf(chance: Chance): string {
  const hex = (length: number) => chance.text(length, '0123456789abcdef');
  return chance.of([
    `${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}`,
    `${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}`,
    'p1',
    '1',
    chance.text(chance.int(1, 12), 'abcdefghijklmnopqrstuvwxyz0123456789'),
    `${chance.int(1, 999999)}`,
  ]);
}

function amountOf(chance: Chance): string {
  const cents = String(chance.int(0, 99)).padStart(2, '0');
  return chance.of([
    `${chance.int(0, 99_999)}.${cents}`,
    `${chance.int(1, 999)},${chance.text(3, '0123456789')}.${cents}`,
    '599.00',
    '0',
  ]);
}

/** The gaps where a new field may stand undeclared. */
function mayFollow(
  name: string,
  before: Field | undefined,
  extraFields: readonly string[],
): boolean {
  if (before === undefined) return true;
  if (before[0].startsWith('reference') || extraFields.includes(before[0])) return false;
  const afterId = KNOWN_NAMES.includes(before[0]) && before[0].endsWith('_id');
  return !afterId || before[1].length === 36 || name.startsWith('payment_');
}

/** A body such as HitPay sends, with any reference, and sometimes with fields that are new. */
export function genuine(chance: Chance): Genuine {
  const extraFields = chance.of(DECLARATIONS);
  const names = [...KNOWN_NAMES, ...extraFields, ...extraFields];
  const fields = new Map<string, string>();
  // Some bodies break the assumptions on purpose: no other reading of theirs may differ either.
  const clean = chance.is(0.85);
  const value = () => (clean ? chance.of(PLAIN_VALUES) : hostileText(chance, names));
  const billing = chance.is(0.25);

  fields.set('amount', amountOf(chance));
  fields.set('currency', chance.of(['SGD', 'MYR', 'php', 'Thb', 'sta', 'VND']));
  // An id that makes a declared name, alone or with the name after it, is refused.
  const id = (): string => {
    const one = idOf(chance);
    return extraFields.some((name) => `${one}re`.includes(name)) ? id() : one;
  };
  fields.set('payment_id', id());
  if (billing) {
    fields.set('recurring_billing_id', id());
    fields.set('reference', hostileText(chance, names));
  } else {
    fields.set('payment_request_id', id());
    fields.set('phone', clean ? chance.of(['', '', '+6591234567', '(65) 9123-4567']) : value());
    if (chance.is(0.8)) fields.set('reference_number', hostileText(chance, names));
  }
  // A status that holds a declared name is refused: its name would stand out of place.
  const statuses = STATUSES.filter((one) => !extraFields.some((name) => one.includes(name)));
  fields.set('status', chance.of(statuses));

  for (const name of extraFields) {
    const required = name > 'reference' && name < 'status';
    if (required || chance.is(0.7)) fields.set(name, value());
  }
  for (let count = chance.of([0, 0, 1, 1, 2, 3]); count > 0; count--) {
    const name = chance.of(NEW_NAMES);
    // A declared name may hold the new one, or the other way round.
    if (names.some((other) => other.includes(name) || name.includes(other))) continue;
    fields.set(name, value());
  }
  const settled: Field[] = [];
  for (const field of sorted([...fields])) {
    const isNew = !KNOWN_NAMES.includes(field[0]) && !extraFields.includes(field[0]);
    if (!isNew || mayFollow(field[0], settled.at(-1), extraFields)) settled.push(field);
  }
  return { fields: settled, text: textOf(settled), extraFields, clean };
}

// ---- Re-cuts -------------------------------------------------------------------------------------

/** Every place where each name occurs in a text. */
export function occurrences(text: string, names: readonly string[]): Map<string, number[]> {
  return new Map(
    names.map((name) => {
      const places: number[] = [];
      for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) places.push(at);
      return [name, places];
    }),
  );
}

/**
 * Another way to cut the body's signed text, as an attacker would choose it; or null if the attempt
 * gave none. The fields are sorted and have distinct names, so their signed text is the same.
 */
export function recut(
  chance: Chance,
  body: Genuine,
  places: ReadonlyMap<string, readonly number[]>,
): Field[] | null {
  const cut = chance.is(0.6) ? cutAtNames(chance, body, places) : moveCuts(chance, body, places);
  if (cut === null || cut.length > 63) return null;
  for (const [index, [name, value]] of cut.entries()) {
    // What no body can carry: an empty name, a bracket in a name, half a character.
    if (name === '' || /[[\]]/.test(name) || name === 'hmac') return null;
    if (/\p{Surrogate}/u.test(name) || /\p{Surrogate}/u.test(value)) return null;
    const before = cut[index - 1]?.[0];
    if (before !== undefined && Buffer.compare(Buffer.from(before), Buffer.from(name)) >= 0) {
      return null;
    }
  }
  const same =
    cut.length === body.fields.length &&
    cut.every(([name, value], i) => name === body.fields[i]?.[0] && value === body.fields[i]?.[1]);
  return same ? null : cut;
}

/** Chooses, for every name of a shape, one of its occurrences, and cuts what is between. */
function cutAtNames(
  chance: Chance,
  { fields, text, extraFields }: Genuine,
  places: ReadonlyMap<string, readonly number[]>,
): Field[] | null {
  const billing = fields.some(([name]) => name === 'recurring_billing_id') !== chance.is(0.1);
  const names = [
    ...(billing ? BILLING_NAMES : REQUEST_NAMES),
    ...extraFields.filter((name) => fields.some((one) => one[0] === name) !== chance.is(0.1)),
  ].sort();
  const cut: Field[] = [];
  let name = '';
  let start = 0;
  const close = (end: number): void => {
    const segment = text.slice(start, end);
    if (name === '') {
      cut.push(...unknown(chance, segment, '', 2));
      return;
    }
    const length = valueEnd(chance, name, segment, text, start, fields);
    cut.push([name, segment.slice(0, length)]);
    cut.push(...unknown(chance, segment.slice(length), name, 2));
  };
  for (const next of names) {
    const optional = next === 'reference_number' || extraFields.includes(next);
    const later = places.get(next)?.filter((at) => at >= start) ?? [];
    if (later.length === 0) {
      if (optional) continue;
      return null;
    }
    if (next === 'reference_number' && chance.is(0.15)) continue;
    const at = chance.is(0.6) ? (later[0] as number) : chance.of(later);
    close(at);
    name = next;
    start = at + next.length;
  }
  close(text.length);
  return cut;
}

/** Where the value of a known field may end, in a segment that reaches to the next known name. */
function valueEnd(
  chance: Chance,
  name: string,
  segment: string,
  text: string,
  start: number,
  fields: readonly Field[],
): number {
  if (chance.is(0.45)) return segment.length;
  const ends: number[] = [0, segment.length];
  if (name === 'currency') ends.push(3, 3, 3);
  if (name === 'status') {
    for (const status of STATUSES) if (segment.startsWith(status)) ends.push(status.length);
  }
  const other = /^[^A-Za-z]*/.exec(segment)?.[0].length ?? 0;
  ends.push(other, other);
  const id = /^[0-9A-Za-z-]*/.exec(segment)?.[0].length ?? 0;
  ends.push(id, Math.min(id, 36), chance.int(0, id));
  // Where the genuine body cuts.
  let at = 0;
  for (const [one, value] of fields) {
    for (const place of [at, at + one.length, at + one.length + value.length]) {
      if (place >= start && place <= start + segment.length) ends.push(place - start);
    }
    at += one.length + value.length;
  }
  ends.push(chance.int(0, segment.length));
  return Math.min(chance.of(ends), Math.min(segment.length, text.length - start));
}

/** Cuts a text into fields of no known name that sort after `before`. */
function unknown(chance: Chance, text: string, before: string, most: number): Field[] {
  if (text === '') return [];
  const lengths: number[] = [];
  for (let length = 1; length <= text.length; length++) {
    if (text.slice(0, length) > before) lengths.push(length);
  }
  if (lengths.length === 0) return [[text, '']];
  const word = /^[a-z]+(?:_[a-z]+)*/.exec(text)?.[0].length ?? 0;
  const plain = lengths.filter((length) => length <= word);
  const length = chance.of(plain.length > 0 && chance.is(0.8) ? plain : lengths);
  const name = text.slice(0, length);
  const rest = text.slice(length);
  if (most === 1 || rest === '' || chance.is(0.6)) return [[name, rest]];
  const end = chance.int(0, rest.length);
  return [[name, rest.slice(0, end)], ...unknown(chance, rest.slice(end), name, most - 1)];
}

/** Moves, adds and drops cuts of the genuine body, mostly at and around places of known names. */
function moveCuts(
  chance: Chance,
  { fields, text }: Genuine,
  places: ReadonlyMap<string, readonly number[]>,
): Field[] | null {
  // A body as places: where each name begins, and where it ends.
  let cuts: [begin: number, end: number][] = [];
  let at = 0;
  for (const [name, value] of fields) {
    cuts.push([at, at + name.length]);
    at += name.length + value.length;
  }
  const place = (): number => {
    if (chance.is(0.2)) return chance.int(0, text.length);
    const name = chance.of([...places.keys()]);
    const known = places.get(name) ?? [];
    if (known.length === 0) return chance.int(0, text.length);
    const from = chance.of(known);
    return chance.of([
      from,
      from + name.length,
      from + chance.int(1, name.length),
      from + chance.int(-3, 3),
      from + name.length + chance.int(-3, 3),
    ]);
  };
  for (let moves = chance.of([1, 1, 1, 2, 2, 3, 4]); moves > 0; moves--) {
    const index = chance.int(0, cuts.length - 1);
    const [begin, end] = cuts[index] as [number, number];
    switch (chance.int(0, 5)) {
      case 0:
        cuts[index] = [begin, chance.is(0.5) ? end + chance.int(-3, 3) : place()];
        break;
      case 1:
        cuts[index] = [chance.is(0.5) ? begin + chance.int(-3, 3) : place(), end];
        break;
      case 2:
        cuts.splice(index, 1);
        break;
      case 3: {
        const from = place();
        cuts.push([from, chance.is(0.5) ? from + chance.int(1, 8) : place()]);
        break;
      }
      case 4: {
        // A known name at one of its other places.
        const name = chance.of([...places.keys()]);
        const known = places.get(name) ?? [];
        if (known.length === 0) break;
        const from = chance.of(known);
        cuts = cuts.filter(([a, b]) => text.slice(a, b) !== name);
        cuts.push([from, from + name.length]);
        break;
      }
      default:
        cuts[index] = [begin + chance.int(-2, 2), end + chance.int(-2, 2)];
    }
    if (cuts.length === 0) return null;
  }
  cuts.sort(([a], [b]) => a - b);
  if (cuts[0]?.[0] !== 0) {
    if (chance.is(0.5)) cuts[0] = [0, cuts[0]?.[1] as number];
    else cuts.unshift([0, chance.int(1, Math.max(1, cuts[0]?.[0] as number))]);
  }
  const cut: Field[] = [];
  for (const [index, [begin, end]] of cuts.entries()) {
    const next = cuts[index + 1]?.[0] ?? text.length;
    if (end <= begin || end > next) return null;
    cut.push([text.slice(begin, end), text.slice(end, next)]);
  }
  return cut;
}

/**
 * Every way to cut a text into fields with sorted, distinct names among which are all of `required`.
 * For ASCII texts.
 */
export function* everyCut(text: string, required: readonly string[]): Generator<Field[]> {
  const cut: Field[] = [];
  function* from(begin: number, before: string, missing: number): Generator<Field[]> {
    if (begin === text.length) {
      if (missing === required.length) yield [...cut];
      return;
    }
    const next = required[missing];
    if (next !== undefined && text.indexOf(next, begin) < 0) return;
    for (let end = begin + 1; end <= text.length; end++) {
      const name = text.slice(begin, end);
      if (name <= before) continue;
      // Sorted after a required name that is not there: so is every longer one.
      if (next !== undefined && name > next) break;
      for (let stop = end; stop <= text.length; stop++) {
        cut.push([name, text.slice(end, stop)]);
        yield* from(stop, name, name === next ? missing + 1 : missing);
        cut.pop();
      }
    }
  }
  yield* from(0, '', 0);
}
