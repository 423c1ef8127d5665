import type { Delivery } from '../core/delivery.ts';
import type { Clue, Evidence, Scene, SignedText } from '../core/diagnosis/clues.ts';
import { alteredBodies, bodyTexts, fieldsOf } from '../core/diagnosis/texts.ts';
import { isObject } from '../core/json.ts';
import type { Keyring } from '../core/secrets.ts';

// Hatexcard's share of the diagnosis; the rules are in hatexcard.ts.

/** Hatexcard's rules, and how the account is configured. */
interface Configured {
  readonly signatureHeader: string;
  readonly timestampHeader: string;
  readonly defaultTolerance: number;
  /** @throws WebhookError if the body is no JSON */
  readonly restringified: (body: Uint8Array) => string | null;
  readonly keys: Keyring;
  readonly tolerance: number;
  readonly schemes: readonly string[];
}

const SECONDS = /^[1-9]\d{9}$/;
const MILLISECONDS = /^[1-9]\d{12}$/;
/** Seconds around a time that are tried early. */
const NEAR = 5;
const SEPARATORS = ['', ':', '|', ',', '\n', '_', '-', ' ', ';', '..'];

/** Where Hatexcard's signature stands, and what may have been signed in place of what should have been. */
export function hatexcardEvidence(
  configured: Configured,
  delivery: Delivery,
  { code }: Scene,
): Evidence {
  const { keys, schemes, signatureHeader, timestampHeader } = configured;
  const timestamp = delivery.header(timestampHeader);
  const scheme = timestamp === undefined ? 'body' : 'timestamped';
  const clue: Clue = {
    option: 'secret',
    keys,
    place: `the header ${signatureHeader}`,
    proof: delivery.header(signatureHeader),
    kind: 'hex',
    spare: [],
    assumption: null,
    texts: () =>
      timestamp === undefined
        ? textsWithout(delivery, configured)
        : textsWith(delivery, timestamp, configured),
  };
  const plain =
    clue.proof === undefined || !/^(?:signature|timestamp)_/.test(code)
      ? []
      : [...plainFindings(delivery, timestamp, configured)];
  if (clue.proof !== undefined && !schemes.includes(scheme)) {
    plain.push({ ...otherScheme(scheme), confidence: 'likely' });
  }
  return { clues: [clue], plain };
}

function* plainFindings(
  delivery: Delivery,
  timestamp: string | undefined,
  { tolerance, timestampHeader }: Configured,
): Generator<Evidence['plain'][number]> {
  if (timestamp === undefined) {
    const { created, data } = fieldsOf(delivery.body);
    if (typeof created === 'number' && isObject(data)) {
      const seen = [`The body is of the timestamped scheme, and ${timestampHeader} is not there.`];
      yield { cause: 'timestamp_not_received', evidence: seen, confidence: 'likely' };
    }
  } else if (SECONDS.test(timestamp)) {
    const age = Math.floor(+delivery.receivedAt / 1000) - Number(timestamp);
    if (Math.abs(age) > tolerance) {
      const side = age > 0 ? 'older than the time of this server' : 'ahead of this server';
      const seen = [`The timestamp is ${Math.abs(age)} seconds ${side}; ${tolerance} are allowed.`];
      yield { cause: 'clock_skew', evidence: seen, confidence: 'likely' };
    }
  } else {
    yield { ...wrongTimestamp(timestamp), confidence: 'likely' };
  }
}

function otherScheme(scheme: string) {
  const seen = [`The delivery is of the scheme ${scheme}, which the option schemes leaves out.`];
  return { cause: 'other_scheme', evidence: seen } as const;
}

function wrongTimestamp(timestamp: string) {
  if (MILLISECONDS.test(timestamp)) return { cause: 'timestamp_milliseconds' } as const;
  return { cause: timestamp.includes(',') ? 'header_repeated' : 'timestamp_format' } as const;
}

/** The header is there. */
function* textsWith(
  { body, receivedAt }: Delivery,
  timestamp: string,
  { schemes, restringified }: Configured,
): Generator<SignedText> {
  const isProper = SECONDS.test(timestamp);
  const accepted = schemes.includes('timestamped') ? null : otherScheme('timestamped');
  yield {
    parts: [`${timestamp}.`, body],
    suspicion: isProper ? accepted : wrongTimestamp(timestamp),
  };
  for (const text of bodyForms(body, restringified)) {
    yield { parts: [text], suspicion: { cause: 'timestamp_not_signed' } };
  }
  const signedAt = (time: string | number, suspicion: SignedText['suspicion']): SignedText => ({
    parts: [`${time}.`, body],
    suspicion,
  });
  const milliseconds = { cause: 'timestamp_milliseconds' } as const;
  if (isProper) yield signedAt(`${timestamp}000`, milliseconds);
  if (MILLISECONDS.test(timestamp)) yield signedAt(timestamp.slice(0, 10), milliseconds);
  if (!isProper) {
    for (const one of new Set(timestamp.split(',', 4))) {
      yield signedAt(one.trim(), wrongTimestamp(timestamp));
    }
    const time = Date.parse(timestamp);
    yield signedAt(Math.floor(time / 1000), { cause: 'timestamp_format' });
    yield signedAt(time, milliseconds);
  }
  for (const { content, suspicion } of alteredBodies(body)) {
    yield { parts: [`${timestamp}.`, content], suspicion };
  }
  for (const separator of SEPARATORS) {
    const joined = { cause: 'timestamp_separator' } as const;
    yield { parts: [timestamp + separator, body], suspicion: joined };
    yield { parts: [body, separator + timestamp], suspicion: joined };
  }
  yield { parts: [body, `.${timestamp}`], suspicion: { cause: 'timestamp_separator' } };
  for (const time of times(body, receivedAt, NEAR)) {
    yield signedAt(time, { cause: 'timestamp_changed' });
  }
  for (let after = 1; isProper && after < 1000; after++) {
    yield { ...signedAt(timestamp + `${after}`.padStart(3, '0'), milliseconds), late: true };
  }
}

/** The header is not there: the body was signed, or what the header said was lost. */
function* textsWithout(
  { body, receivedAt }: Delivery,
  { schemes, defaultTolerance, restringified }: Configured,
): Generator<SignedText> {
  const accepted = schemes.includes('body') ? null : otherScheme('body');
  for (const text of bodyForms(body, restringified)) yield { parts: [text], suspicion: accepted };
  const lost = { cause: 'timestamp_not_received' } as const;
  for (const time of times(body, receivedAt, NEAR)) {
    yield { parts: [`${time}.`, body], suspicion: lost };
  }
  for (const { parts, suspicion } of bodyTexts(body)) if (suspicion) yield { parts, suspicion };
  for (const time of times(body, receivedAt, defaultTolerance)) {
    yield { parts: [`${time}.`, body], suspicion: lost, late: true };
  }
}

/** The body, and the body as the guide's receiver hashes it. */
function* bodyForms(
  body: Uint8Array,
  restringified: Configured['restringified'],
): Generator<string | Uint8Array> {
  yield body;
  try {
    const text = restringified(body);
    if (text !== null) yield text;
  } catch {
    // It is no JSON, so this form of it does not exist.
  }
}

/** Seconds at which the delivery may have been signed, the likely ones first. */
function* times(body: Uint8Array, receivedAt: Date, reach: number): Generator<number> {
  const { created } = fieldsOf(body);
  const now = Math.floor(+receivedAt / 1000);
  const around = Number.isSafeInteger(created) ? [created as number, now] : [now];
  for (let distance = 0; distance <= reach; distance++) {
    for (const time of around) {
      yield time - distance;
      if (distance > 0) yield time + distance;
    }
  }
}
