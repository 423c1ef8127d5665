import { describe, expect, it } from 'vitest';
import { decodeUtf8 } from '../../src/core/utf8.ts';
import { code } from './code.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

describe('decodeUtf8', () => {
  const CHARACTERS = ['e', 'é', 'ệ', '💰', '\ufeff', '\u0800', '\u{10ffff}', '\u0080'];

  it.each(CHARACTERS)('reads a long text with %j at any place of its blocks', (character) => {
    for (const near of [2_048, 4_096, 8_192]) {
      for (let before = near - 5; before <= near + 5; before++) {
        const text = `${'a'.repeat(before)}${character}${'b'.repeat(5_000)}`;
        expect(decodeUtf8(Buffer.from(text)) === text).toBe(true);
        const end = `${'a'.repeat(before)}${character}`;
        expect(decodeUtf8(Buffer.from(end)) === end).toBe(true);
      }
    }
  });

  it.each(CHARACTERS)('reads a long text of nothing but %j', (character) => {
    const text = character.repeat(20_000);
    expect(decodeUtf8(Buffer.from(text)) === text).toBe(true);
  });

  it('refuses a fault at any place of the blocks of a long text', () => {
    const faults = [[0xc3], [0x80], [0xe1, 0xbb], [0xf0, 0x9f, 0x92], [0xed, 0xa0, 0x80], [0xff]];
    for (const fault of faults) {
      for (let before = 4_090; before <= 4_100; before++) {
        for (const after of ['', 'b', 'é'.repeat(3_000)]) {
          const bytes = Buffer.concat([
            Buffer.from('é'.repeat(before / 2)),
            Buffer.from('a'.repeat(before % 2)),
            Buffer.from(fault),
            Buffer.from(after),
          ]);
          expect(() => decoder.decode(bytes)).toThrow();
          expect(code(() => decodeUtf8(bytes))).toBe('body_malformed');
        }
      }
    }
  });

  it('reads any kind of bytes, from their own part of the memory', () => {
    const memory = new Uint8Array(10_000).fill(0xff);
    memory.set(Buffer.from('é'.repeat(3_000)), 1_000);
    expect(decodeUtf8(memory.subarray(1_000, 7_000))).toBe('é'.repeat(3_000));
    expect(decodeUtf8(memory.subarray(1_000, 1_002))).toBe('é');
  });
});
