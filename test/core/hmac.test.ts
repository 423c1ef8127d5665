import crypto, { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { hmacSha256, macOf, type Parts } from '../../src/core/hmac.ts';
import { keyring, signingKey, signingKeyOfText } from '../../src/core/secrets.ts';

/** What a message may have for its MAC to be made from two hashes, in bytes. */
const SHORT = 8192;

afterEach(() => {
  vi.restoreAllMocks();
});

function keyOf(length: number): KeyObject {
  return createSecretKey(Buffer.from(Array.from({ length }, (_, at) => (at * 7 + length) % 256)));
}

function expected(key: KeyObject, parts: Parts, encoding: 'binary' | 'base64url'): string {
  const bytes = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  return createHmac('sha256', key.export()).update(bytes).digest(encoding);
}

/** The MAC, which must be the right one, and how many hashes it took. */
function hashesFor(key: KeyObject, ...parts: Parts): number {
  macOf(key, [''], 'binary');
  const hash = vi.spyOn(crypto, 'hash');
  const mac = macOf(key, parts, 'binary');
  const { length } = hash.mock.calls;
  hash.mockRestore();
  expect(mac).toBe(expected(key, parts, 'binary'));
  return length;
}

describe('macOf', () => {
  const key = keyOf(32);

  it('gives the MAC of createHmac for keys of every length', () => {
    for (let length = 1; length <= 200; length++) {
      expect(hashesFor(keyOf(length), 'a message')).toBe(2);
    }
  });

  it('gives the MAC of createHmac for messages of every length, the shorter after the longer', () => {
    const bytes = Buffer.from(Array.from({ length: 300 }, (_, at) => (at * 31) % 256));
    for (let length = 300; length >= 0; length--) {
      expect(hashesFor(key, bytes.subarray(0, length))).toBe(2);
    }
  });

  it('keeps keys apart', () => {
    const other = keyOf(33);
    for (let turn = 0; turn < 3; turn++) {
      expect(hashesFor(key, 'x')).toBe(2);
      expect(hashesFor(other, 'x')).toBe(2);
    }
  });

  const TEXTS = ['', 'text', 'clé', 'ÿ', 'kopi-o €', 'mèsi 🙏', '\ud800', 'a\udfffb', '\0', '%'];
  it.each(TEXTS)('takes text as UTF-8, by itself and between bytes (%#)', (text) => {
    expect(hashesFor(key, text)).toBe(2);
    expect(hashesFor(key, text, Buffer.from([0xff, 0, 0x80]), text)).toBe(2);
    expect(macOf(key, [text, text], 'base64url')).toBe(expected(key, [text, text], 'base64url'));
  });

  it('takes bytes that are no Buffer, and a part of some', () => {
    const bytes = Uint8Array.from({ length: 64 }, (_, at) => at);
    expect(hashesFor(key, bytes)).toBe(2);
    expect(hashesFor(key, bytes.subarray(10, 20), bytes.subarray(5))).toBe(2);
  });

  it('takes no part, and empty ones', () => {
    expect(hashesFor(key)).toBe(2);
    expect(hashesFor(key, '', new Uint8Array(), '')).toBe(2);
  });

  it('makes two hashes of a message that is short, and leaves a longer one to createHmac', () => {
    expect(hashesFor(key, Buffer.alloc(SHORT, 'a'))).toBe(2);
    expect(hashesFor(key, Buffer.alloc(SHORT + 1, 'a'))).toBe(0);
    expect(hashesFor(key, Buffer.alloc(1), Buffer.alloc(SHORT - 1, 'a'))).toBe(2);
    expect(hashesFor(key, Buffer.alloc(2), Buffer.alloc(SHORT - 1, 'a'))).toBe(0);
    expect(hashesFor(key, Buffer.alloc(1_000_000, 'a'))).toBe(0);
  });

  it('counts three bytes for each character of a text, so that none is cut off', () => {
    const most = Math.floor(SHORT / 3);
    for (const character of ['a', 'é', '€', '\ud800']) {
      expect(hashesFor(key, character.repeat(most))).toBe(2);
      expect(hashesFor(key, character.repeat(most + 1))).toBe(0);
      expect(hashesFor(key, character.repeat(SHORT + 65))).toBe(0);
    }
    // Two bytes remain, and then one too few.
    expect(hashesFor(key, '€'.repeat(most), Buffer.alloc(2))).toBe(2);
    expect(hashesFor(key, '€'.repeat(most), Buffer.alloc(3))).toBe(0);
    expect(hashesFor(key, Buffer.alloc(SHORT - 3), '€')).toBe(2);
    expect(hashesFor(key, Buffer.alloc(SHORT - 2), '€')).toBe(0);
  });

  it('gives the MAC of createHmac for parts by chance', () => {
    for (let turn = 0; turn < 300; turn++) {
      const some = keyOf(1 + crypto.randomInt(150));
      const parts = Array.from({ length: crypto.randomInt(4) }, () => {
        const bytes = crypto.randomBytes(crypto.randomInt(2 ** crypto.randomInt(1, 14)));
        return crypto.randomInt(2) === 0 ? bytes : bytes.toString('latin1');
      });
      hashesFor(some, ...parts);
    }
  });
});

it('a keyring has the blocks of its keys from the first: a signature takes two hashes', () => {
  const keys = keyring('secret', ['one', 'x'.repeat(65)]);
  const hash = vi.spyOn(crypto, 'hash');
  const hmac = createHmac('sha256', 'one').update('text').digest();
  expect(signingKey(keys, hmac, new Date(), 'text')).toBe('secret#1');
  expect(hash).toHaveBeenCalledTimes(4);
});

describe('where two hashes cannot be had', () => {
  it('uses createHmac without crypto.hash, as up to Node 20.11', () => {
    const key = keyOf(32);
    const { hash } = crypto;
    try {
      Object.assign(crypto, { hash: undefined });
      expect(macOf(key, ['x'], 'binary')).toBe(expected(key, ['x'], 'binary'));
    } finally {
      Object.assign(crypto, { hash });
    }
    expect(hashesFor(key, 'x')).toBe(0);
  });

  it.each([
    () => {
      throw new Error('not here');
    },
    () => Buffer.alloc(32),
    () => undefined,
  ])('uses createHmac where crypto.hash does not work (%#)', (hash) => {
    const key = keyOf(32);
    vi.spyOn(crypto, 'hash').mockImplementation(hash as never);
    expect(macOf(key, ['x'], 'binary')).toBe(expected(key, ['x'], 'binary'));
  });

  it.each([
    1, 65,
  ])('uses createHmac for a key of %i bytes whose two hashes give another MAC', (length) => {
    const key = keyOf(length);
    vi.spyOn(crypto, 'hash').mockReturnValue('00'.repeat(32));
    expect(macOf(key, ['x'], 'binary')).toBe(expected(key, ['x'], 'binary'));
    vi.restoreAllMocks();
    expect(hashesFor(key, 'x')).toBe(0);
    expect(hashesFor(keyOf(length), 'x')).toBe(2);
  });
});

describe('a MAC that another patch of crypto cut short', () => {
  const NOW = new Date();
  const keys = keyring('secret', 'whsec_of_a_merchant');
  const digestOf = (text: string) =>
    createHmac('sha256', 'whsec_of_a_merchant').update(text).digest();

  it.each([0, 16, 31])('matches no earlier one (%i bytes)', (length) => {
    const mac = digestOf('first');
    const text = mac.toString('base64url');
    expect(signingKey(keys, mac, NOW, 'first')).toBe('secret#1');
    vi.spyOn(crypto, 'hash').mockReturnValue(mac.toString('binary').slice(0, length) as never);
    expect(signingKey(keys, mac, NOW, 'second')).toBeUndefined();
    vi.restoreAllMocks();
    expect(signingKeyOfText(keys, text, NOW, 'first')).toBe('secret#1');
    vi.spyOn(crypto, 'hash').mockReturnValue(text.slice(0, length) as never);
    expect(signingKeyOfText(keys, text, NOW, 'second')).toBeUndefined();
  });
});

describe('a part that is neither text nor bytes', () => {
  const key = keyOf(32);
  // As an attacker's JSON could give them to a provider of somebody else's.
  const PARTS: unknown[] = [
    [112, 97, 121],
    JSON.parse('{"length":-13}'),
    { length: 3, 0: 112, 1: 97, 2: 121 },
    7,
    true,
    null,
    undefined,
    new ArrayBuffer(3),
  ];
  it.each(PARTS)('is a TypeError (%#)', (part) => {
    expect(() => macOf(key, ['pay', part as string], 'binary')).toThrow(TypeError);
    expect(() => macOf(key, [part as string, 'pay'], 'binary')).toThrow(TypeError);
  });

  it('is taken as createHmac takes it, where it holds bytes', () => {
    const words = new Uint16Array([0x6170, 0x2179]);
    const mac = createHmac('sha256', key).update('pay!').digest('binary');
    expect(macOf(key, [words as unknown as string], 'binary')).toBe(mac);
    const view = new DataView(words.buffer) as unknown as string;
    expect(macOf(key, [view], 'binary')).toBe(mac);
  });
});

describe('hmacSha256', () => {
  it('is the same MAC as bytes, by the platform', () => {
    const key = keyOf(20);
    const hash = vi.spyOn(crypto, 'hash');
    expect(hmacSha256(key, 'é', Buffer.from('x')).toString('base64url')).toBe(
      expected(key, ['é', 'x'], 'base64url'),
    );
    expect(hash).not.toHaveBeenCalled();
  });
});
