import { createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { WebhookError } from './errors.ts';
import { hmacSha256, macOf, type Parts } from './hmac.ts';
import { knownOptions, validDate } from './options.ts';

/** A secret with a name of its own, so that the event can tell which one matched. */
export interface NamedSecret {
  /** Shown as `event.keyId`. Not secret itself. */
  id: string;
  /** The secret as the provider shows it, prefix included. */
  value: string;
  /** The last instant at which it is accepted. Default: no end. */
  notAfter?: Date | undefined;
}

/** One secret, or several while they are being rotated. All are tried. */
export type SecretInput = string | NamedSecret | readonly (string | NamedSecret)[];

interface Key {
  readonly id: string;
  readonly key: KeyObject;
  readonly notAfter: number;
}

/**
 * Secrets that were checked at construction. They are kept as `KeyObject`s, which neither
 * `util.inspect` nor `JSON.stringify` shows.
 */
export type Keyring = readonly Key[];

/** More than a rotation needs; caps the work that one delivery can cause. */
const MAX_SECRETS = 16;

/**
 * Checks secrets and prepares them for use.
 *
 * An empty key would authenticate whoever knows that it is empty, and a key with a line break from a
 * secrets file never matches: both are refused here, before the first delivery.
 *
 * @param option the option's name, for the message and for the ids of unnamed secrets
 * @throws TypeError if a secret is missing, empty, blank, wrapped in white space, the text
 *   `undefined` or `null`, has a NUL character, or is no string; if an id is empty or occurs twice
 * @throws RangeError if there are more than 16
 */
export function keyring(option: string, input: SecretInput | undefined): Keyring {
  const list: readonly unknown[] = Array.isArray(input) ? input : [input];
  if (list.length === 0) throw new TypeError(`${option}: the list of secrets is empty`);
  if (list.length > MAX_SECRETS) {
    throw new RangeError(`${option}: at most ${MAX_SECRETS} secrets`);
  }
  const keys = list.map((entry, index): Key => {
    if (typeof entry !== 'object' || entry === null) {
      return { id: `${option}#${index + 1}`, key: secretKey(option, entry), notAfter: Infinity };
    }
    knownOptions(option, entry, ['id', 'value', 'notAfter']);
    const { id, value, notAfter } = entry as Partial<NamedSecret>;
    if (typeof id !== 'string' || id === '') {
      throw new TypeError(`${option}: a named secret needs an id`);
    }
    if (notAfter !== undefined) validDate(`${option}: notAfter`, notAfter);
    return { id, key: secretKey(option, value), notAfter: notAfter?.getTime() ?? Infinity };
  });
  if (new Set(keys.map((key) => key.id)).size < keys.length) {
    throw new TypeError(`${option}: two secrets have the same id`);
  }
  return keys;
}

/**
 * Each secret's MAC under itself: what a token is compared with. Beside the keys, since whoever saw one
 * could try out short tokens against it.
 */
const OWN_MACS = new WeakMap<KeyObject, Uint8Array>();

function secretKey(option: string, value: unknown): KeyObject {
  if (value === undefined || value === null || value === 'undefined' || value === 'null') {
    throw new TypeError(`${option}: the secret is missing (is the environment variable set?)`);
  }
  if (typeof value !== 'string') throw new TypeError(`${option}: a secret must be a string`);
  if (value.trim() === '') throw new TypeError(`${option}: the secret is empty`);
  if (value.trim() !== value) {
    throw new TypeError(`${option}: the secret begins or ends with white space`);
  }
  // HMAC fills keys up with NUL: a key of nothing else is the empty one.
  if (value.includes('\0')) throw new TypeError(`${option}: the secret contains a NUL character`);
  const key = createSecretKey(value, 'utf8');
  OWN_MACS.set(key, Buffer.from(macOf(key, [value], 'binary'), 'binary'));
  return key;
}

/**
 * A name for the account that owns these secrets. It is made from the first one, so a new secret is
 * best added behind the old.
 */
export function accountOf([first]: Keyring): string {
  const mac = first === undefined ? undefined : hmacSha256(first.key, 'payproof/account/v1\n');
  return mac?.toString('base64url').slice(0, 16) ?? '';
}

/**
 * Reads a hex HMAC-SHA256. `Buffer.from(text, 'hex')` alone is no check: it stops at the first
 * character that is not hex and takes the low byte of wide ones.
 *
 * @throws WebhookError `signature_missing`, or `signature_malformed` if it is not exactly 64 hex
 *   digits; a header that occurs twice arrives joined by a comma and fails here
 */
export function hexSignature(text: string | undefined): Buffer {
  if (text === undefined) throw new WebhookError('signature_missing');
  // Of 64 bytes, which are digits only if none of them stopped the reading.
  if (Buffer.byteLength(text) === 64) {
    const bytes = Buffer.from(text, 'hex');
    if (bytes.length === 32) return bytes;
  }
  throw new WebhookError('signature_malformed');
}

/**
 * Finds the secret under which the parts have this signature. All secrets are tried, each compared
 * in constant time, so the time tells neither how much of a signature is right nor which key it is.
 *
 * @returns the id of the secret, or undefined if none fits
 */
export function signingKey(
  keys: Keyring,
  signature: Uint8Array,
  now: Date,
  ...parts: Parts
): string | undefined {
  return keyThat(keys, now, (key) => isMac(key, parts, signature));
}

/**
 * The same for a signature in base64url without padding. It is compared as a text: the same bytes have
 * further spellings, which `Buffer.from` would take, and only the one that encoders write is right.
 *
 * @returns the id of the secret, or undefined if none fits
 */
export function signingKeyOfText(
  keys: Keyring,
  signature: string,
  now: Date,
  ...parts: Parts
): string | undefined {
  // One that is not ASCII fills as many bytes with others.
  if (signature.length !== SENT_TEXT.length) return undefined;
  if (SENT_TEXT.write(signature) !== SENT_TEXT.length) return undefined;
  return keyThat(keys, now, (key) => isMacText(key, parts, SENT_TEXT));
}

/**
 * Finds the secret that is this token. Both sides are compared as digests, so neither the length nor the
 * place of a difference shows in the time.
 *
 * @returns the id of the secret, or undefined if none fits
 */
export function tokenKey(keys: Keyring, token: string, now: Date): string | undefined {
  return keyThat(keys, now, (key) => isToken(key, token));
}

/** All are looked at, whichever fits. */
function keyThat(keys: Keyring, now: Date, fits: (key: KeyObject) => boolean): string | undefined {
  let id: string | undefined;
  for (const key of keys) {
    if (fits(key.key) && isValid(key, now)) id ??= key.id;
  }
  return id;
}

function isToken(key: KeyObject, token: string): boolean {
  return isMac(key, [token], OWN_MACS.get(key) as Uint8Array);
}

function isMac(key: KeyObject, parts: Parts, expected: Uint8Array): boolean {
  // Through a text: a fresh buffer costs more than the hash of a small body.
  const written = COMPUTED.write(macOf(key, parts, 'binary'), 'binary');
  return timingSafeEqual(COMPUTED, expected) && written === COMPUTED.length;
}

function isMacText(key: KeyObject, parts: Parts, expected: Uint8Array): boolean {
  const written = COMPUTED_TEXT.write(macOf(key, parts, 'base64url'), 'latin1');
  return timingSafeEqual(COMPUTED_TEXT, expected) && written === COMPUTED_TEXT.length;
}

/**
 * Where MACs are put to be compared; nothing else reads them. Of what another's patch of `crypto` cut short the end of
 * an earlier one would stand there still.
 */
const COMPUTED = Buffer.alloc(32);
const COMPUTED_TEXT = Buffer.alloc(43);
const SENT_TEXT = Buffer.alloc(43);

function isValid({ notAfter }: Key, now: Date): boolean {
  return now.getTime() <= notAfter;
}
