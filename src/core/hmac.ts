import crypto, { createHmac, type KeyObject } from 'node:crypto';

// HMAC-SHA256. For each MAC `createHmac` sets up a context of OpenSSL, which takes longer than to hash a small
// body, and takes the key in anew. So the MAC of a short message is made as RFC 2104 (section 2) defines it, from
// two hashes: H(K xor opad, H(K xor ipad, message)), the two blocks of the key made once. A key is used so only
// after it has given the MAC that `createHmac` gives.

/** Bytes of a block of SHA-256. */
const BLOCK = 64;
/** Bytes of a message up to which a copy of it costs less than a context. */
const SHORT = 8192;
const [IPAD, OPAD] = [0x36, 0x5c];

/** The block that each of the two hashes begins with. */
interface Blocks {
  readonly inner: Uint8Array;
  readonly outer: Uint8Array;
}

/** Null for a key that needs `createHmac`. Beside the keys, since `util.inspect` would show them. */
const BLOCKS = new WeakMap<KeyObject, Blocks | null>();

/** What is hashed; nothing else reads them. */
const MESSAGE = Buffer.alloc(BLOCK + SHORT);
const OUTER = Buffer.alloc(BLOCK + 32);

/** Text is taken as UTF-8. */
export type Parts = readonly (string | Uint8Array)[];

/** HMAC-SHA256 over the parts in order, by the platform's own HMAC. */
export function hmacSha256(key: KeyObject, ...parts: Parts): Buffer {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** The same as a text, in less time. */
export function macOf(key: KeyObject, parts: Parts, encoding: 'binary' | 'base64url'): string {
  const blocks = blocksOf(key);
  if (blocks !== null) {
    const end = writeMessage(parts);
    if (end !== null) return macByBlocks(blocks, end, encoding);
  }
  return hmacSha256(key, ...parts).toString(encoding);
}

/** @param end of the message in `MESSAGE` */
function macByBlocks(blocks: Blocks, end: number, encoding: 'binary' | 'base64url'): string {
  MESSAGE.set(blocks.inner);
  OUTER.set(blocks.outer);
  OUTER.write(crypto.hash('sha256', MESSAGE.subarray(0, end), 'binary'), BLOCK, 'binary');
  return crypto.hash('sha256', OUTER, encoding);
}

/**
 * Puts the message behind the room for a block.
 *
 * @returns its end, or null if it is too long, or has something else than text and bytes, which `createHmac` refuses
 */
function writeMessage(parts: Parts): number | null {
  let end = BLOCK;
  for (const part of parts) {
    const isText = typeof part === 'string';
    if (!isText && !(part instanceof Uint8Array)) return null;
    // UTF-8 has at most three bytes for each code unit.
    if (end + part.length * (isText ? 3 : 1) > MESSAGE.length) return null;
    if (isText) {
      end += MESSAGE.write(part, end);
    } else {
      MESSAGE.set(part, end);
      end += part.length;
    }
  }
  return end;
}

function blocksOf(key: KeyObject): Blocks | null {
  const known = BLOCKS.get(key);
  if (known !== undefined) return known;
  const made = makeBlocks(key);
  BLOCKS.set(key, made);
  return made;
}

function makeBlocks(key: KeyObject): Blocks | null {
  try {
    return checkedBlocks(key);
  } catch {
    // Up to Node 20.11 there is no `crypto.hash`, and what other platforms have may not work.
    return null;
  }
}

function checkedBlocks(key: KeyObject): Blocks | null {
  let secret = key.export();
  if (secret.length > BLOCK) secret = Buffer.from(crypto.hash('sha256', secret), 'hex');
  const filledUp = Buffer.alloc(BLOCK);
  secret.copy(filledUp);
  const blocks = {
    inner: filledUp.map((byte) => byte ^ IPAD),
    outer: filledUp.map((byte) => byte ^ OPAD),
  };
  const sample = 'payproof';
  const mac = macByBlocks(blocks, writeMessage([sample]) as number, 'base64url');
  return mac === hmacSha256(key, sample).toString('base64url') ? blocks : null;
}
