import type { Suspicion } from './causes.ts';

/** A secret in place of the configured one, and what that would mean. */
export interface SecretVariant {
  readonly bytes: Uint8Array;
  readonly suspicion: Required<Suspicion>;
}

/** Shorter keys could be found by trying: a signature under one proves nothing. */
const MIN_LENGTH = 8;
const PREFIX = 'whsec_';
const HEX = /^(?:[0-9a-f]{2})+$/i;
const BASE64 = /^[A-Za-z0-9+/_-]{11,}={0,2}$/;
const QUOTES = /^(["'`\u2018\u201c])(.*)["'`\u2019\u201d]$/s;
const INVISIBLE = /[\s\u00ad\u200b-\u200f\u2060\ufeff]/g;
const ALPHANUMERIC = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** What secrets become on the way from the provider's dashboard to the configuration, or back. */
export function* secretVariants(secret: Uint8Array): Generator<SecretVariant> {
  yield* proper(secret, variantsOf(Buffer.from(secret).toString()));
}

/** The secret with a first or last character that was not copied: many, so tried last. */
export function* lateVariants(secret: Uint8Array): Generator<SecretVariant> {
  const text = Buffer.from(secret).toString();
  for (const character of ALPHANUMERIC) {
    yield variant('secret_copied', 'The last character is missing here.', text + character);
    yield variant('secret_copied', 'The first character is missing here.', character + text);
  }
}

function* proper(secret: Uint8Array, variants: Iterable<SecretVariant>): Generator<SecretVariant> {
  const seen = new Set([Buffer.from(secret).toString('latin1')]);
  for (const one of variants) {
    const key = Buffer.from(one.bytes).toString('latin1');
    if (one.bytes.length < MIN_LENGTH || seen.has(key)) continue;
    seen.add(key);
    yield one;
  }
}

function* variantsOf(text: string): Generator<SecretVariant> {
  const THERE = 'It is on the side of the sender.';
  const HERE = 'It is in the secret that is configured here.';

  yield variant('secret_whitespace', HERE, text.replace(INVISIBLE, ''));
  for (const tail of ['\n', '\r\n', ' ', '\t', '\r']) {
    yield variant('secret_whitespace', THERE, text + tail);
  }
  for (const head of [' ', '\n', '\t']) yield variant('secret_whitespace', THERE, head + text);
  yield variant('secret_whitespace', THERE, ` ${text} `);

  const quoted = QUOTES.exec(text);
  if (quoted) yield variant('secret_quoted', HERE, (quoted[2] as string).trim());
  for (const quote of ['"', "'", '`']) {
    yield variant('secret_quoted', THERE, quote + text + quote);
  }

  const bare = text.replace(/^(?:whsec_)+/i, '');
  const prefix = bare === text ? 'is missing' : 'is doubled, or in capitals,';
  yield variant('secret_prefix', `The prefix whsec_ ${prefix} here.`, PREFIX + bare);
  yield variant('secret_prefix', 'The prefix whsec_ stands here and not at the sender.', bare);
  yield variant('secret_prefix', 'The prefix whsec_ is doubled at the sender.', PREFIX + text);
  const assigned = /^(?:export )?[A-Za-z][A-Za-z0-9_.-]{0,63}[=:] ?(.+)$/s.exec(text);
  if (assigned) {
    const value = assigned[1] as string;
    const inQuotes = QUOTES.exec(value)?.[2] ?? value;
    yield variant('secret_prefix', 'The name of the variable stands before it here.', inQuotes);
  }
  const scheme = /^(?:Bearer|Basic|Token|Secret|Key) +(.+)$/is.exec(text);
  if (scheme) yield variant('secret_prefix', 'A word stands before it here.', scheme[1] as string);

  for (const one of new Set([text, bare])) {
    if (HEX.test(one)) yield variant('secret_decoded', 'As hex.', Buffer.from(one, 'hex'));
    if (BASE64.test(one)) yield variant('secret_decoded', 'As base64.', Buffer.from(one, 'base64'));
    const bytes = Buffer.from(one);
    yield variant('secret_decoded', 'As hex.', bytes.toString('hex'));
    yield variant('secret_decoded', 'As hex.', bytes.toString('hex').toUpperCase());
    yield variant('secret_decoded', 'As base64.', bytes.toString('base64'));
    yield variant('secret_decoded', 'As base64.', bytes.toString('base64url'));
  }

  yield variant('secret_case', 'It is lower case at the sender.', text.toLowerCase());
  yield variant('secret_case', 'It is upper case at the sender.', text.toUpperCase());
  yield variant('secret_case', 'It is lower case behind the prefix.', PREFIX + bare.toLowerCase());

  yield variant('secret_escaped', HERE, text.replace(/(?:\\[rnt]){1,4}$/, ''));
  yield variant('secret_escaped', THERE, `${text}\\n`);
  yield variant('secret_escaped', HERE, text.replace(/\\(.)/gs, '$1'));
  yield variant('secret_escaped', HERE, text.replaceAll('$$', '$'));
  yield variant('secret_escaped', HERE, percentDecoded(text));
  yield variant('secret_escaped', THERE, encodeURIComponent(text));
  yield variant('secret_escaped', HERE, unescapeHtml(text));

  const list = text.split(/[,;|\s]+/, 16);
  if (list.length > 1) {
    for (const one of list) {
      yield variant('secret_list', HERE, one.replace(/^[["']{1,4}|["'\]]{1,4}$/g, ''));
    }
  }

  const half = text.slice(0, text.length / 2);
  if (half + half === text) yield variant('secret_copied', 'It is there twice here.', half);
  yield variant('secret_copied', 'It is there twice at the sender.', text + text);
  yield variant('secret_copied', 'One character too many at the end here.', text.slice(0, -1));
  yield variant('secret_copied', 'One character too many at the beginning here.', text.slice(1));
}

function variant(
  cause: Suspicion['cause'],
  evidence: string,
  bytes: string | Uint8Array,
): SecretVariant {
  return { bytes: Buffer.from(bytes as string), suspicion: { cause, evidence: [evidence] } };
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#34;': '"',
  '&#39;': "'",
  '&#x27;': "'",
  '&apos;': "'",
  '&#x2f;': '/',
  '&#96;': '`',
  '&#x5c;': '\\',
  '&amp;': '&',
};

/** Undoes what sanitizers and templates do to text. */
export function unescapeHtml(text: string): string {
  return text.replace(
    /&(?:lt|gt|quot|apos|amp|#34|#39|#96|#x27|#x2f|#x5c);/gi,
    (entity) => ENTITIES[entity.toLowerCase()] as string,
  );
}

/** Percent escapes decoded, or the text itself if they are invalid. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
