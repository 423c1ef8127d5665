import type { Delivery } from '../core/delivery.ts';
import type { DiagnosisCause, Suspicion } from '../core/diagnosis/causes.ts';
import type { Clue, Evidence, Scene, SignedText } from '../core/diagnosis/clues.ts';
import { percentDecoded, unescapeHtml } from '../core/diagnosis/secrets.ts';
import { bodyTexts, fieldsOf } from '../core/diagnosis/texts.ts';
import type { Keyring } from '../core/secrets.ts';

// HitPay's share of the diagnosis; the rules are in hitpay.ts.

/** As a lenient reader has it: names can repeat. */
type Field = readonly [name: string, value: string];

/** HitPay's rules, and how the account is configured. */
interface Configured {
  readonly signatureHeader: string;
  readonly formType: string;
  readonly requestFields: readonly string[];
  readonly billingFields: readonly string[];
  readonly statuses: readonly string[];
  readonly formKeys: Keyring | undefined;
  readonly eventKeys: Keyring;
  readonly extraFields: readonly string[];
}

/** Where HitPay's signatures stand, and what may have been signed in place of what should have been. */
export function hitpayEvidence(
  configured: Configured,
  delivery: Delivery,
  { code, query }: Scene,
): Evidence {
  const { formKeys = [], eventKeys, signatureHeader } = configured;
  const ownEventKeys = eventKeys.filter((key) => !formKeys.includes(key));
  const header = delivery.header(signatureHeader);
  const isForm =
    delivery.contentType === configured.formType ||
    (delivery.contentType === null && header === undefined);
  const plain: Evidence['plain'][number][] = [];
  const converted = formOfJson(delivery.body);
  const text = converted ?? Buffer.from(delivery.body).toString();
  const sent = looseFields(text.replace(/^\ufeff/, '').trim(), formPart);
  const hmac = sent.find(([name]) => name === 'hmac')?.[1];
  const unlessForm: Suspicion | null = isForm
    ? null
    : { cause: 'content_type', evidence: ['The body is a form.'] };
  const form: Clue = {
    option: 'salt',
    keys: formKeys,
    place: 'the field hmac',
    proof: hmac,
    kind: 'hex',
    spare: [{ option: 'eventSalt', keys: ownEventKeys }],
    assumption: converted === null ? unlessForm : { cause: 'form_as_json' },
    texts: () => distinct(formTexts(text, query ?? [], configured)),
  };
  const event: Clue = {
    option: ownEventKeys.length > 0 ? 'eventSalt' : 'salt',
    keys: eventKeys,
    place: `the header ${signatureHeader}`,
    proof: header,
    kind: 'hex',
    spare: [],
    assumption: isForm ? { cause: 'content_type', evidence: ['The body is JSON.'] } : null,
    texts: () => bodyTexts(delivery.body),
  };
  if (converted !== null && header === undefined) {
    plain.push({ cause: 'form_as_json', confidence: 'likely' });
  }
  const isMismatch = code === 'signature_mismatch' || code === 'content_type_unsupported';
  if (isForm && formKeys.length === 0 && isMismatch) {
    const seen = ['The delivery is a form, which is signed with the salt of the API key.'];
    plain.push({ cause: 'other_scheme', evidence: seen, confidence: 'likely' });
  }
  if (!isForm && ownEventKeys.length === 0 && header !== undefined && isMismatch) {
    plain.push({ cause: 'event_salt_missing', confidence: 'likely' });
  }
  if (code === 'field_ambiguous') plain.push(ambiguity(sent, configured));
  if (!isForm && hmac === undefined) return { clues: [event], plain };
  return { clues: hmac === undefined ? [event, form] : [form, event], plain };
}

/** The form that became JSON on the way; null if the body is none. */
function formOfJson(body: Uint8Array): string | null {
  const fields = fieldsOf(body);
  if (typeof fields.hmac !== 'string') return null;
  const pairs = Object.entries(fields).map(([name, value]): [string, string] => [
    name,
    typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value),
  ]);
  return new URLSearchParams(pairs).toString();
}

function ambiguity(sent: readonly Field[], configured: Configured) {
  const repeated = sent.filter(([name], index) => sent.findIndex(([one]) => one === name) < index);
  const strange = sent.filter(([name]) => name !== 'hmac' && !isKnown(name, configured)).length;
  return repeated.length > 0
    ? ({
        cause: 'field_repeated',
        evidence: repeated.map(([name]) => fieldEvidence(name, configured)),
        confidence: 'likely',
      } as const)
    : ({
        cause: 'field_ambiguous',
        evidence: [`${strange} fields are there that payproof does not know.`],
        confidence: 'likely',
      } as const);
}

function isKnown(name: string, { extraFields, ...rules }: Configured): boolean {
  return isHitPays(name, rules) || extraFields.includes(name);
}

function isHitPays(
  name: string,
  { requestFields, billingFields }: Pick<Configured, 'requestFields' | 'billingFields'>,
): boolean {
  return requestFields.includes(name) || billingFields.includes(name);
}

/** Only names that are known can be said. */
function fieldEvidence(name: string, configured: Configured): string {
  return isKnown(name, configured)
    ? `It is the field ${name}.`
    : 'It is a field that payproof does not know.';
}

/** The fields of a form as a lenient reader has them, repeated ones too. */
function looseFields(text: string, decode: (part: string) => string): Field[] {
  return text.split('&', 65).map((pair) => {
    const [name = '', ...value] = pair.split('=');
    return [decode(name), decode(value.join('='))];
  });
}

function formPart(part: string): string {
  return percentDecoded(part.replaceAll('+', ' '));
}

/** Percent escapes as Latin-1. */
function latin1Part(part: string): string {
  return part
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
}

const CURRENCIES = ['SGD', 'MYR', 'PHP', 'THB', 'VND', 'IDR', 'USD', 'EUR', 'HKD', 'AUD', 'JPY'];

/** What may have been signed in place of the fields, sorted by name, each name before its value. */
function* formTexts(
  body: string,
  query: readonly (readonly [string, string])[],
  configured: Configured,
): Generator<SignedText> {
  const { requestFields, billingFields, extraFields, statuses } = configured;
  const text = body.replace(/^\ufeff/, '').trim();
  const notHmac = ([name]: Field) => name !== 'hmac';
  const fields = looseFields(text, formPart).filter(notHmac);
  const sorted = byName(fields);
  const damage: DiagnosisCause = body.startsWith('\ufeff') ? 'bom' : 'trailing_newline';
  yield altered(sorted, text === body ? null : { cause: damage });

  const firsts = byName([...new Map(fields.toReversed())]);
  yield altered(firsts, because('field_repeated', 'The first of each was signed.'));
  yield altered(byName([...new Map(fields)]), because('field_repeated', 'The last was signed.'));

  const withHmac: Field[] = [...fields, ['hmac', '']];
  yield altered(byName(withHmac), { cause: 'hmac_left_in' });
  yield altered(withHmac, { cause: 'hmac_left_in' });

  yield altered(
    sorted.filter(([, value]) => value !== ''),
    because('empty_fields_dropped', 'They are not in the signed text.'),
  );
  const names = new Set(fields.map(([name]) => name));
  const shape = names.has('recurring_billing_id') ? billingFields : requestFields;
  const missing = [...shape, ...extraFields].filter((name) => !names.has(name));
  const dropped = missing.map((name): Field => [name, '']);
  for (const list of [...dropped.map((one) => [one]), dropped]) {
    const which = list.map(([name]) => name).join(', ');
    const suspicion = because('empty_fields_dropped', `They did not arrive: ${which}.`);
    yield altered(byName([...fields, ...list]), suspicion);
  }

  yield altered(
    sorted.map(([, value]) => ['', value]),
    { cause: 'values_without_keys' },
  );
  yield altered(
    fields.map(([, value]) => ['', value]),
    because('values_without_keys', 'They are in the order in which they were sent.'),
  );
  yield altered(
    fields.map(([, value]): Field => ['', value]).sort(([, a], [, b]) => (a < b ? -1 : 1)),
    because('values_without_keys', 'They are sorted themselves.'),
  );
  yield altered(fields, because('keys_unsorted', 'They are in the order in which they were sent.'));

  if (query.length > 0) {
    const all = [...new Map([...query, ...fields])];
    const suspicion = because('query_mixed_in', `The URL has ${query.length} parameters.`);
    yield altered(byName(all), suspicion);
    yield altered([...query, ...fields], suspicion);
    for (const one of query) yield altered(byName([one, ...fields]), suspicion);
  }

  for (const list of orders(fields, shape)) yield altered(list, { cause: 'keys_unsorted' });

  for (const [index, [name]] of sorted.entries()) {
    const suspicion = because('field_not_signed', fieldEvidence(name, configured));
    yield altered(sorted.toSpliced(index, 1), suspicion);
  }
  yield altered(
    sorted.filter(([name]) => isKnown(name, configured)),
    because('field_not_signed', 'They are fields that payproof does not know.'),
  );
  yield* decodedOtherwise(text, sorted);
  yield* joinedOtherwise(text, fields, sorted);
  for (const [name, value] of otherValues(sorted, configured)) {
    const list = sorted.map((one): Field => (one[0] === name ? [name, value] : one));
    yield altered(list, because('value_changed', fieldEvidence(name, configured)));
  }
  yield altered(
    sorted.map(([name, value]) => [name, unescapeHtml(value)]),
    because('value_changed', 'HTML escapes were added.'),
  );
  yield* someSpaces(sorted);
  for (const name of missing) {
    const values =
      name === 'status'
        ? statuses
        : name === 'currency'
          ? CURRENCIES.flatMap((one) => [one, one.toLowerCase()])
          : [];
    for (const value of values) {
      const suspicion = because('field_missing', fieldEvidence(name, configured));
      yield altered(byName([...fields, [name, value]]), suspicion);
    }
  }
}

/** Many changes make no difference to a form. */
function* distinct(texts: Iterable<SignedText>): Generator<SignedText> {
  const seen = new Set<unknown>();
  for (const one of texts) {
    const [text] = one.parts;
    if (!seen.has(text)) yield one;
    seen.add(text);
  }
}

function signedText(fields: readonly Field[]): string {
  return fields.flat().join('');
}

function altered(fields: readonly Field[], suspicion: Suspicion | null): SignedText {
  return { parts: [signedText(fields)], suspicion };
}

function because(cause: DiagnosisCause, evidence: string): Suspicion {
  return { cause, evidence: [evidence] };
}

/** By the bytes of the names, as HitPay does. */
function byName(fields: readonly Field[]): Field[] {
  return fields.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Orders in which signers put the fields. */
function orders(fields: readonly Field[], shape: readonly string[]): Field[][] {
  const place = ([name]: Field) => shape.indexOf(name);
  return [
    byName(fields).reverse(),
    fields.toReversed(),
    // Of long names the beginnings: what a locale does with many marks upon one letter takes its time.
    fields.toSorted(([a], [b]) => a.slice(0, 64).localeCompare(b.slice(0, 64))),
    DOCUMENTED.flatMap((name) => fields.filter((one) => one[0] === name)),
    fields.toSorted((a, b) => place(a) - place(b)),
    fields.toSorted(([, a], [, b]) => (a < b ? -1 : 1)),
    fields.toSorted(([a], [b]) => a.length - b.length),
  ];
}

/** The order in which HitPay's documentation lists them. */
const DOCUMENTED = [
  'payment_id',
  'payment_request_id',
  'recurring_billing_id',
  'phone',
  'amount',
  'currency',
  'status',
  'reference_number',
  'reference',
];

function* decodedOtherwise(text: string, sorted: readonly Field[]): Generator<SignedText> {
  const read = (decode: (part: string) => string) =>
    byName(looseFields(text, decode).filter(([name]) => name !== 'hmac'));
  const values = (change: (value: string) => string) =>
    sorted.map(([name, value]): Field => [name, change(value)]);
  yield altered(read(percentDecoded), because('form_plus', 'Plus signs were signed as such.'));
  yield altered(
    values((value) => value.replaceAll(' ', '+')),
    because('form_plus', 'Plus signs became spaces.'),
  );
  yield altered(
    values((value) => value.replace(/^ /, '+')),
    because('form_plus', 'Plus signs became spaces.'),
  );
  yield altered(
    values((value) => value.replaceAll('+', ' ')),
    because('form_plus', 'Spaces became plus signs.'),
  );
  yield altered(
    read((part) => formPart(formPart(part))),
    because('form_decoding', 'They were encoded twice.'),
  );
  yield altered(
    read((part) => percentDecoded(formPart(part))),
    because('form_decoding', 'They were encoded twice.'),
  );
  const undecoded = because('form_decoding', 'They were signed before they were decoded.');
  yield altered(
    read((part) => part),
    undecoded,
  );
  yield altered(values(encodeURIComponent), undecoded);
  yield altered(
    values((value) => encodeURIComponent(value).replaceAll('%20', '+')),
    undecoded,
  );
  const confused = because('charset', 'Latin-1 and UTF-8 were confused.');
  const latin1 = read(latin1Part);
  yield altered(latin1, confused);
  yield { parts: [Buffer.from(signedText(latin1), 'latin1')], suspicion: confused };
  yield { parts: [Buffer.from(signedText(sorted), 'latin1')], suspicion: confused };
}

/** Spaces so many as can be tried in every combination. */
const MAX_SPACES = 8;

/** Each combination of spaces that were plus signs. */
function* someSpaces(sorted: readonly Field[]): Generator<SignedText> {
  const pieces = signedText(sorted).split(' ');
  if (pieces.length > MAX_SPACES + 1) return;
  for (let which = 1; which < 2 ** (pieces.length - 1); which++) {
    const text = pieces.reduce(
      (all, piece, at) => all + (which & (1 << (at - 1)) ? '+' : ' ') + piece,
    );
    const suspicion = because('form_plus', 'Some plus signs became spaces.');
    yield { parts: [text], suspicion, late: true };
  }
}

function* joinedOtherwise(
  text: string,
  fields: readonly Field[],
  sorted: readonly Field[],
): Generator<SignedText> {
  const joined = (text: string, how: string): SignedText => ({
    parts: [text],
    suspicion: because('fields_separated', how),
  });
  for (const list of [sorted, fields]) {
    for (const [equals, and] of SEPARATORS) {
      const result = list.map(([name, value]) => name + equals + value).join(and);
      yield joined(result, 'There is something between names and values.');
    }
    const form = new URLSearchParams(
      list.map(([name, value]): [string, string] => [name, value]),
    ).toString();
    yield joined(form, 'They are a form.');
    yield joined(form.replaceAll('+', '%20'), 'They are a form.');
    for (const separator of ['|', ',', ':', ';', '&', '.', ' ', '\n', '-']) {
      const result = list.map(([, value]) => value).join(separator);
      yield joined(result, 'Only values, with something between them.');
    }
    yield joined(JSON.stringify(Object.fromEntries(list)), 'They are JSON.');
  }
  yield joined(text, 'It is the whole body.');
  const rest = text.split('&').filter((pair) => !pair.startsWith('hmac='));
  yield joined(rest.join('&'), 'It is the body without hmac.');
}

const SEPARATORS = [
  ['=', '&'],
  ['=', ''],
  ['', '&'],
  [':', ''],
  [':', ','],
  ['=', ','],
  ['=', '|'],
  ['=', ';'],
  ['=', '\n'],
  ['', '|'],
  [' ', ' '],
] as const;

/** What converters make of the known values. */
function* otherValues(sorted: readonly Field[], configured: Configured): Generator<Field> {
  for (const [name, value] of sorted) {
    if (!isHitPays(name, configured)) continue;
    yield [name, value.toLowerCase()];
    yield [name, value.toUpperCase()];
    yield [name, `${value} `];
    yield [name, ` ${value}`];
    if (name === 'amount') yield* amounts(value).map((one): Field => [name, one]);
    if (name === 'phone') {
      yield [name, `+${value.trim()}`];
      yield [name, value.replace(/[^0-9]/g, '')];
      yield [name, value.replace(/[ ()./-]/g, '')];
    }
    if (value === '') for (const empty of ['null', 'undefined', 'None', '0']) yield [name, empty];
  }
}

function amounts(value: string): string[] {
  if (value.length > 40) return [];
  const [whole = '', fraction = ''] = value.replaceAll(',', '').split('.');
  const grouped = whole.replace(/\B(?=(?:\d{3}){1,5}$)/g, ',');
  return [whole, grouped].flatMap((one) => [
    one,
    `${one}.${fraction}`,
    `${one}.${fraction.padEnd(2, '0')}`,
    `${one}.${fraction.padEnd(1, '0')}`,
    `${one}.${fraction.replace(/0{1,9}$/, '')}`,
    `${one}${fraction.padEnd(2, '0')}`,
  ]);
}
