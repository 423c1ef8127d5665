import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { WebhookError } from './errors.ts';
import { knownOptions } from './options.ts';

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
 *   `undefined` or `null`, or no string; if an id is empty or occurs twice
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
    if (notAfter !== undefined && !(notAfter instanceof Date && !Number.isNaN(+notAfter))) {
      throw new TypeError(`${option}: notAfter must be a valid Date`);
    }
    return { id, key: secretKey(option, value), notAfter: notAfter ? +notAfter : Infinity };
  });
  if (new Set(keys.map((key) => key.id)).size < keys.length) {
    throw new TypeError(`${option}: two secrets have the same id`);
  }
  return keys;
}

function secretKey(option: string, value: unknown): KeyObject {
  if (value === undefined || value === null || value === 'undefined' || value === 'null') {
    throw new TypeError(`${option}: the secret is missing (is the environment variable set?)`);
  }
  if (typeof value !== 'string') throw new TypeError(`${option}: a secret must be a string`);
  if (value.trim() === '') throw new TypeError(`${option}: the secret is empty`);
  if (value.trim() !== value) {
    throw new TypeError(`${option}: the secret begins or ends with white space`);
  }
  return createSecretKey(value, 'utf8');
}

/** HMAC-SHA256 over the parts in order. Text is taken as UTF-8. */
export function hmacSha256(key: KeyObject, ...parts: readonly (string | Uint8Array)[]): Buffer {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
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
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new WebhookError('signature_malformed');
  return Buffer.from(text, 'hex');
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
  ...parts: readonly (string | Uint8Array)[]
): string | undefined {
  let id: string | undefined;
  for (const key of keys) {
    const fits = timingSafeEqual(hmacSha256(key.key, ...parts), signature);
    if (fits && +now <= key.notAfter) id ??= key.id;
  }
  return id;
}

/**
 * Finds the secret that is this token, or whose MAC over `label` is this token. Both sides are
 * compared as digests, so neither the length nor the place of a difference shows in the time.
 *
 * @param expected what the token must be under a key
 * @returns the id of the secret, or undefined if none fits
 */
export function tokenKey(
  keys: Keyring,
  token: string,
  now: Date,
  expected: (key: KeyObject) => string,
): string | undefined {
  let id: string | undefined;
  for (const key of keys) {
    const fits = timingSafeEqual(
      hmacSha256(key.key, token),
      hmacSha256(key.key, expected(key.key)),
    );
    if (fits && +now <= key.notAfter) id ??= key.id;
  }
  return id;
}
