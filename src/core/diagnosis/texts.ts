import { decodeJson, isObject, type JsonObject, replaceOutsideStrings } from '../json.ts';
import type { DiagnosisCause, Suspicion } from './causes.ts';
import type { Part, SignedText } from './clues.ts';
import { unescapeHtml } from './secrets.ts';

/** Another body that may have been signed, and what that would mean. */
export interface AlteredBody {
  readonly content: string | Buffer;
  readonly suspicion: Suspicion;
}

/**
 * The texts of a scheme that signs the body: as it is, then altered.
 *
 * @param before what stands before the body in the signed text
 */
export function* bodyTexts(body: Uint8Array, ...before: readonly Part[]): Generator<SignedText> {
  yield { parts: [...before, body], suspicion: null };
  for (const { content, suspicion } of alteredBodies(body)) {
    yield { parts: [...before, content], suspicion };
  }
}

/** The fields of a JSON body, or none if it is no JSON object. */
export function fieldsOf(body: Uint8Array): JsonObject {
  const value = parsed(Buffer.from(body).toString());
  return isObject(value) ? value : {};
}

/** What bodies become between the signing and here, most likely first; none of them twice. */
export function* alteredBodies(body: Uint8Array): Generator<AlteredBody> {
  const raw = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const text = raw.toString();
  const seen = new Set<string | Buffer>([text]);
  for (const one of alterations(raw, text)) {
    if (seen.has(one.content)) continue;
    seen.add(one.content);
    yield one;
  }
}

function* alterations(raw: Buffer, text: string): Generator<AlteredBody> {
  yield altered('trailing_newline', 'It was removed.', `${text}\n`);
  yield altered('trailing_newline', 'It was removed.', `${text}\r\n`);
  yield altered('trailing_newline', 'It was added.', text.trimEnd());
  // Natively, and from the beginning: an expression for the end would cost the square of the spaces.
  yield altered('trailing_newline', 'It was added.', text.replace(/^[ \t\r\n]+/, '').trimEnd());
  yield altered('line_endings', 'CRLF became LF.', text.replace(/\r?\n/g, '\r\n'));
  yield altered('line_endings', 'LF became CRLF.', text.replaceAll('\r\n', '\n'));
  yield altered('line_endings', 'They were removed.', text.replace(/[\r\n]+/g, ''));
  const unmarked = text.replace(/^\ufeff/, '');
  yield altered('bom', 'It was added.', unmarked);
  yield altered('bom', 'It was removed.', `\ufeff${unmarked}`);
  yield* otherCharsets(raw, text);
  yield* otherJson(unmarked);
  if (/^[A-Za-z0-9+/_=\s-]{8,}$/.test(text)) {
    yield altered('body_base64', 'It is base64.', Buffer.from(text, 'base64'));
  }
  yield altered('value_changed', 'HTML escapes were added.', unescapeHtml(text));
}

function* otherCharsets(raw: Buffer, text: string): Generator<AlteredBody> {
  const evidence = 'Latin-1 and UTF-8 were confused.';
  yield altered('charset', evidence, raw.toString('latin1'));
  if (!/[\u0100-\uffff]/.test(text))
    yield altered('charset', evidence, Buffer.from(text, 'latin1'));
  yield altered('charset', 'UTF-16 was signed.', Buffer.from(text, 'utf16le'));
  if (!isNormalizable(text)) return;
  yield altered('charset', 'Accents were composed.', text.normalize('NFD'));
  yield altered('charset', 'Accents were decomposed.', text.normalize('NFC'));
}

/** Marks upon one letter are put in order by insertion, natively: many of them take the square of their number. */
function isNormalizable(text: string): boolean {
  return text.length <= MAX_NORMALIZED && !/\p{M}{31}/u.test(text);
}

/** Everything that JSON can be written like. Only strings and numbers keep their content. */
function* otherJson(text: string): Generator<AlteredBody> {
  const value = parsed(text);
  if (typeof value === 'string') yield rewritten('as a JSON text in a JSON text', value);
  yield rewritten('as a JSON text in a JSON text', JSON.stringify(text));
  if (!isObject(value)) return;
  const compact = JSON.stringify(value);
  const spaces = spaced(compact);
  yield* escaped(COMPACT, compact, ESCAPES);
  yield* escaped(SPACED, spaces, ESCAPES);
  // Indented, a large and deep one would become many times as long.
  for (const [name, indent] of compact.length > MAX_INDENTED ? [] : INDENTS) {
    const indented = JSON.stringify(value, null, indent);
    yield* escaped(`JSON indented by ${name}`, indented, ESCAPES);
    yield* escaped(`JSON indented by ${name}, with CRLF`, indented.replaceAll('\n', '\r\n'), []);
  }
  for (const [name, render] of NUMBERS) {
    yield* escaped(COMPACT + name, render(compact), ESCAPES.slice(0, 1));
    yield* escaped(SPACED + name, render(spaces), ESCAPES.slice(0, 1));
  }
  const inOrder = JSON.stringify(sorted(value));
  if (inOrder !== compact) {
    yield* escaped(`${COMPACT}, keys sorted`, inOrder, ESCAPES);
    yield* escaped(`${SPACED}, keys sorted`, spaced(inOrder), ESCAPES);
  }
  const unescaped = JSON.stringify(value, (_, one) =>
    typeof one === 'string' ? unescapeHtml(one) : one,
  );
  yield altered('value_changed', 'HTML escapes were added.', unescaped);
}

type Rewriting = readonly [name: string, rewrite: (text: string) => string];

const COMPACT = 'compact JSON';
const SPACED = 'JSON with spaces after comma and colon (Python)';
const MAX_INDENTED = 32 * 1024;
const MAX_NORMALIZED = 16 * 1024;
const INDENTS = [
  ['2', 2],
  ['4', 4],
  ['tabs', '\t'],
] as const;
const NUMBERS: readonly Rewriting[] = [
  [', amounts with one decimal', (text) => decimals(text, '.0')],
  [', amounts with two decimals', (text) => decimals(text, '.00')],
  [', the amount with two decimals', (text) => decimals(text, '.00', /^"amount"/i)],
];
const slashes = (text: string): string => text.replaceAll('/', '\\/');
const ascii = (text: string): string => text.replace(/[\u007f-\uffff]/g, unicode);
const html = (text: string): string => text.replace(/[<>&\u2028\u2029]/g, unicode);
const ESCAPES: readonly Rewriting[] = [
  [', slashes and non-ASCII escaped (PHP)', (text) => slashes(ascii(text))],
  [', non-ASCII escaped', ascii],
  [', slashes escaped', slashes],
  [', HTML escaped (Go)', html],
  [', HTML and quotes escaped', (text) => html(text).replace(/[='+`]/g, unicode)],
];

/** The text as it is, then with each of the escapes that make a difference. */
function* escaped(
  name: string,
  text: string,
  escapes: readonly Rewriting[],
): Generator<AlteredBody> {
  yield rewritten(`as ${name}`, text);
  for (const [which, rewrite] of escapes) {
    const result = rewrite(text);
    if (result !== text) yield rewritten(`as ${name}${which}`, result);
  }
}

function unicode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Strings as they are; what stands between them gets its spaces. */
function spaced(text: string): string {
  return replaceOutsideStrings(text, /[,:]/g, (token) => `${token} `);
}

/** Amounts that a parser has shortened: `599.00` became `599`, `1.10` became `1.1`. */
function decimals(text: string, fraction: '.0' | '.00', which = /^/): string {
  return text.replace(
    /("(?:amount|amount_received|api_fee|refunded_amount|fee|fees|total|price|balance|previous_balance|current_balance)":\s*)(-?\d+)(\.\d)?(?=[,}\s])/gi,
    (all, name: string, whole: string, tenth: string | undefined) =>
      which.test(name) ? name + whole + (tenth ?? '.').padEnd(fraction.length, '0') : all,
  );
}

/** Bounded in depth, since `decodeJson` refused deeper ones. */
function sorted<T>(value: T): T {
  if (Array.isArray(value)) return value.map(sorted) as T;
  if (!isObject(value)) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, one]) => [name, sorted(one)])) as T;
}

function parsed(text: string): unknown {
  try {
    // A text in a text is no object, so `decodeJson` would refuse it.
    return text.startsWith('"') ? JSON.parse(text) : decodeJson(Buffer.from(text)).value;
  } catch {
    return undefined;
  }
}

function rewritten(how: string, text: string): AlteredBody {
  return altered('body_reserialized', `It was signed ${how}.`, text);
}

function altered(cause: DiagnosisCause, evidence: string, content: string | Buffer): AlteredBody {
  return { content, suspicion: { cause, evidence: [evidence] } };
}
