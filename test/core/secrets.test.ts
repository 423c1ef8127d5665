import { createHmac, createSecretKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hmacSha256 } from '../../src/core/hmac.ts';
import {
  accountOf,
  hexSignature,
  type Keyring,
  keyring,
  type SecretInput,
  signingKey,
  signingKeyOfText,
  tokenKey,
} from '../../src/core/secrets.ts';
import { code, everythingShown } from './code.ts';

const NOW = new Date('2026-11-21T00:00:00Z');
const hex = (secret: string | Buffer, text: string | Buffer) =>
  createHmac('sha256', secret).update(text).digest('hex');

/** The whole judgement: the grammar of a signature, then all secrets. */
function judge(keys: Keyring, signature: string | undefined, ...parts: (string | Uint8Array)[]) {
  return signingKey(keys, hexSignature(signature), NOW, ...parts);
}

describe('keyring', () => {
  it('takes a string, a list, and named secrets', () => {
    const ids = (input: SecretInput) => keyring('salt', input).map((key) => key.id);
    expect(ids('a')).toEqual(['salt#1']);
    expect(ids(['a', 'b'])).toEqual(['salt#1', 'salt#2']);
    expect(ids({ id: 'new', value: 'a' })).toEqual(['new']);
    expect(ids(['a', { id: 'old', value: 'b', notAfter: NOW }])).toEqual(['salt#1', 'old']);
  });

  it('keeps the secret as it is: inner space, prefix, UTF-8', () => {
    for (const secret of ['whsec_abc', 'two words', 'clé-é', '🔑', 'Undefined', 'null ish']) {
      expect(judge(keyring('secret', secret), hex(secret, 'x'), 'x')).toBe('secret#1');
    }
  });

  const MISSING: unknown[] = [undefined, null, 'undefined', 'null', [undefined], [null]];
  it.each(MISSING)('says that %j is missing', (input) => {
    expect(() => keyring('salt', input as SecretInput)).toThrow(
      new TypeError('salt: the secret is missing (is the environment variable set?)'),
    );
  });

  const BAD: [shown: string, input: unknown][] = [
    ['empty', ''],
    ['blank', '   '],
    ['a tab', '\t'],
    ['a no-break space', '\u00a0'],
    ['a byte order mark', '\ufeff'],
    ['a leading space', ' secret'],
    ['a trailing line break', 'secret\n'],
    ['a trailing CRLF', 'secret\r\n'],
    ['a NUL, which is the empty key', '\0'],
    ['a NUL at the end, which HMAC does not see', 'secret\0'],
    ['a NUL within', { id: 'a', value: 'sec\0ret' }],
    ['an empty list', []],
    ['a list with an empty one', ['a', '']],
    ['a list in a list', [['a']]],
    ['a number', 12345],
    ['true', true],
    ['bytes', Buffer.from('secret')],
    ['a function', () => 'secret'],
    ['no id', { value: 'secret' }],
    ['an empty id', { id: '', value: 'secret' }],
    ['an id that is no text', { id: 1, value: 'secret' }],
    ['no value', { id: 'a' }],
    ['an empty value', { id: 'a', value: '' }],
    ['a notAfter that is no date', { id: 'a', value: 'secret', notAfter: '2026-01-01' }],
    ['an invalid notAfter', { id: 'a', value: 'secret', notAfter: new Date('x') }],
    ['a null notAfter', { id: 'a', value: 'secret', notAfter: null }],
    ['a misspelt notAfter', { id: 'a', value: 'secret', notafter: new Date() }],
    ['another name for notAfter', ['b', { id: 'a', value: 'secret', expires: new Date() }]],
    [
      'an id twice',
      [
        { id: 'a', value: 'b' },
        { id: 'a', value: 'c' },
      ],
    ],
    ['an id that is that of an unnamed one', ['a', { id: 'salt#1', value: 'c' }]],
  ];
  it.each(BAD)('throws a TypeError that names the option for %s', (_, input) => {
    expect(() => keyring('salt', input as SecretInput)).toThrow(TypeError);
    expect(() => keyring('salt', input as SecretInput)).toThrow(/^salt: /);
  });

  it.each(['', '   ', '\t', '\u00a0'])('says that %j is empty', (input) => {
    expect(() => keyring('salt', input)).toThrow(new TypeError('salt: the secret is empty'));
  });

  it('does not repeat a bad secret in its message', () => {
    expect(() => keyring('salt', ' hunter2hunter2')).toThrow(/^(?!.*hunter2)/);
  });

  it('takes 16 secrets and no 17th', () => {
    const secrets = Array.from({ length: 16 }, (_, i) => `s${i}`);
    expect(keyring('salt', secrets)).toHaveLength(16);
    expect(() => keyring('salt', [...secrets, 'one'])).toThrow(
      new RangeError('salt: at most 16 secrets'),
    );
  });

  it('holds nothing that a token could be tried against', () => {
    const [key] = keyring('token', 'hunter2');
    const own = createHmac('sha256', 'hunter2').update('hunter2').digest();
    expect(Object.keys(key ?? {})).toEqual(['id', 'key', 'notAfter']);
    const shown = everythingShown(key);
    for (const encoding of ['hex', 'base64'] as const) {
      expect(shown).not.toContain(own.toString(encoding).slice(0, 20));
    }
    expect(shown).not.toContain([...own.subarray(0, 6)].join(', '));
  });

  it('shows no secret when printed', () => {
    const secret = 'a-very-visible-secret';
    const shown = everythingShown(keyring('salt', [secret, { id: 'b', value: `${secret}-2` }]));
    expect(shown).not.toContain(secret);
    expect(shown).not.toContain(Buffer.from(secret).toString('hex'));
    expect(shown).not.toContain(Buffer.from(secret).toString('base64').slice(0, 20));
  });
});

describe('hexSignature', () => {
  const RIGHT = hex('secret', 'text');

  it('takes 64 hex digits in either case', () => {
    expect(hexSignature(RIGHT).toString('hex')).toBe(RIGHT);
    expect(hexSignature(RIGHT.toUpperCase()).toString('hex')).toBe(RIGHT);
  });

  it('says when there is none', () => {
    expect(code(() => hexSignature(undefined))).toBe('signature_missing');
  });

  const wide = (text: string) =>
    [...text].map((c) => String.fromCharCode(0x100 + c.charCodeAt(0))).join('');
  const MALFORMED = [
    '',
    'z',
    'zz',
    'a',
    ' ',
    RIGHT.slice(1),
    RIGHT.slice(0, 63),
    `${RIGHT}0`,
    `${RIGHT}00`,
    `${RIGHT}zz`,
    ` ${RIGHT}`,
    `${RIGHT} `,
    `${RIGHT}\n`,
    `\n${RIGHT}`,
    `sha256=${RIGHT}`,
    `v1=${RIGHT}`,
    `0x${RIGHT.slice(2)}`,
    `${RIGHT}, ${RIGHT}`,
    `${RIGHT},${RIGHT}`,
    `"${RIGHT}"`,
    `${RIGHT.slice(0, 62)}zz`,
    `${RIGHT.slice(0, 32)}g${RIGHT.slice(33)}`,
    wide(RIGHT),
    `${RIGHT.slice(0, 63)}${wide(RIGHT.slice(63))}`,
    Buffer.from(RIGHT, 'hex').toString('base64'),
    '０'.repeat(64),
    '0'.repeat(1_000_000),
  ];
  it.each(MALFORMED.map((text) => [text.slice(0, 80), text]))('refuses %j', (_, text) => {
    expect(code(() => hexSignature(text))).toBe('signature_malformed');
  });
});

describe('signingKey', () => {
  const secret = 'whsec_test';
  const keys = keyring('secret', secret);
  const right = hex(secret, 'the text');

  it('tells which secret fits', () => {
    const three = keyring('secret', ['one', { id: 'two', value: '2' }, 'three']);
    expect(judge(three, hex('one', 'x'), 'x')).toBe('secret#1');
    expect(judge(three, hex('2', 'x'), 'x')).toBe('two');
    expect(judge(three, hex('three', 'x'), 'x')).toBe('secret#3');
    expect(judge(three, hex('four', 'x'), 'x')).toBeUndefined();
  });

  it('names the first of two equal secrets', () => {
    const twice = keyring('secret', [
      { id: 'a', value: 's' },
      { id: 'b', value: 's' },
    ]);
    expect(judge(twice, hex('s', 'x'), 'x')).toBe('a');
  });

  it('takes text and bytes in parts', () => {
    expect(judge(keys, right, 'the ', Buffer.from('text'))).toBe('secret#1');
    expect(judge(keys, right, 'the text')).toBe('secret#1');
  });

  it('refuses every change of one digit of the right signature', () => {
    for (let at = 0; at < 64; at++) {
      for (const digit of '0123456789abcdef') {
        if (digit === right[at]) continue;
        const wrong = right.slice(0, at) + digit + right.slice(at + 1);
        expect(judge(keys, wrong, 'the text')).toBeUndefined();
      }
    }
  });

  it('refuses every prefix and every suffix of the right signature', () => {
    for (let length = 0; length < 64; length++) {
      expect(code(() => judge(keys, right.slice(0, length), 'the text'))).toBe(
        'signature_malformed',
      );
      const padded = right.slice(0, length).padEnd(64, '0');
      if (padded !== right) expect(judge(keys, padded, 'the text')).toBeUndefined();
      expect(code(() => judge(keys, right.slice(64 - length), 'the text'))).toBe(
        'signature_malformed',
      );
    }
  });

  it('refuses the right signature of every other text', () => {
    for (const text of ['', 'the tex', 'the text ', 'The text', 'the text\n', '\ufeffthe text']) {
      expect(judge(keys, right, text)).toBeUndefined();
    }
  });

  it('accepts a secret up to notAfter and not a millisecond longer', () => {
    const old = keyring('secret', { id: 'old', value: 's', notAfter: NOW });
    const at = (ms: number) =>
      signingKey(old, hexSignature(hex('s', 'x')), new Date(+NOW + ms), 'x');
    expect(at(-1)).toBe('old');
    expect(at(0)).toBe('old');
    expect(at(1)).toBeUndefined();
  });

  it('passes by an expired secret to an equal one that is in force', () => {
    const both = keyring('secret', [
      { id: 'old', value: 's', notAfter: new Date(0) },
      { id: 'new', value: 's' },
    ]);
    expect(judge(both, hex('s', 'x'), 'x')).toBe('new');
  });
});

describe('RFC 4231', () => {
  const repeat = (byte: number, times: number) => Buffer.alloc(times, byte);
  const count = Buffer.from(Array.from({ length: 25 }, (_, i) => i + 1));
  const CASES: [name: string, key: Buffer, data: Buffer | string, mac: string][] = [
    [
      'case 1',
      repeat(0x0b, 20),
      'Hi There',
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    ],
    [
      'case 2',
      Buffer.from('Jefe'),
      'what do ya want for nothing?',
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    ],
    [
      'case 3',
      repeat(0xaa, 20),
      repeat(0xdd, 50),
      '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
    ],
    [
      'case 4',
      count,
      repeat(0xcd, 50),
      '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
    ],
    [
      'case 6',
      repeat(0xaa, 131),
      'Test Using Larger Than Block-Size Key - Hash Key First',
      '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
    ],
    [
      'case 7',
      repeat(0xaa, 131),
      'This is a test using a larger than block-size key and a larger than block-size data. ' +
        'The key needs to be hashed before being used by the HMAC algorithm.',
      '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
    ],
  ];
  const only = (key: Buffer): Keyring => [
    { id: 'rfc', key: createSecretKey(key), notAfter: Infinity },
  ];

  it.each(CASES)('%s', (_, key, data, mac) => {
    expect(hmacSha256(createSecretKey(key), data).toString('hex')).toBe(mac);
    expect(judge(only(key), mac, data)).toBe('rfc');
  });

  it('case 5, the tag truncated to 128 bits, is refused', () => {
    const tag = 'a3b6167473100ee06e0c796c2955552b';
    const key = repeat(0x0c, 20);
    expect(hmacSha256(createSecretKey(key), 'Test With Truncation').toString('hex')).toMatch(tag);
    expect(code(() => judge(only(key), tag, 'Test With Truncation'))).toBe('signature_malformed');
    const padded = tag.padEnd(64, '0');
    expect(judge(only(key), padded, 'Test With Truncation')).toBeUndefined();
  });
});

describe('tokenKey', () => {
  const keys = keyring('token', [{ id: 'old', value: 'one', notAfter: NOW }, 'two']);
  const find = (token: string, now = NOW) => tokenKey(keys, token, now);

  it('tells which secret is the token', () => {
    expect(find('one')).toBe('old');
    expect(find('two')).toBe('token#2');
  });

  it.each([
    '',
    'o',
    'on',
    'ones',
    'One',
    'two ',
    'one,two',
    'three',
  ])('finds none for %j', (text) => {
    expect(find(text)).toBeUndefined();
  });

  it('finds no expired one', () => {
    expect(find('one', new Date(+NOW + 1))).toBeUndefined();
  });
});

describe('signingKeyOfText', () => {
  const keys = keyring('token', [{ id: 'old', value: 'one', notAfter: NOW }, 'two']);
  const find = (text: string, now = NOW, ...parts: string[]) =>
    signingKeyOfText(keys, text, now, ...(parts.length > 0 ? parts : ['label']));
  const macUnder = (key: string, text = 'label') =>
    createHmac('sha256', key).update(text).digest('base64url');
  const text = macUnder('two');

  it('tells which secret signed, whatever the digits are', () => {
    expect(find(macUnder('one'))).toBe('old');
    for (let at = 0; at < 256; at++) {
      expect(find(macUnder('two', `label${at}`), NOW, 'label', `${at}`)).toBe('token#2');
    }
  });

  it('finds no expired one', () => {
    expect(find(macUnder('one'), new Date(+NOW + 1))).toBeUndefined();
  });

  it('takes one spelling only', () => {
    const mac = Buffer.from(text, 'base64url');
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const spellings = [...alphabet].map((last) => text.slice(0, -1) + last);
    expect(
      spellings.filter((one) => Buffer.from(one, 'base64url').equals(mac)).length,
    ).toBeGreaterThan(1);
    expect(spellings.filter((one) => find(one))).toEqual([text]);
  });

  it.each([
    '',
    text.slice(1),
    `${text}A`,
    `${text}=`,
    ` ${text.slice(1)}`,
    `${text}\n`,
    text.slice(0, 42),
    macUnder('two', 'another'),
    macUnder('three'),
    createHmac('sha256', 'two').update('label').digest('hex'),
    // Wide characters of which the low bytes are the right ones.
    String.fromCharCode(...[...text].map((digit) => digit.charCodeAt(0) + 0x100)),
    String.fromCharCode(text.charCodeAt(0) + 0x100) + text.slice(1),
  ])('finds none for another text (%#)', (other) => {
    expect(find(other)).toBeUndefined();
  });
});

describe('accountOf', () => {
  it('is the same for the same first secret, whatever its id and what follows', () => {
    const account = accountOf(keyring('salt', 'one'));
    expect(account).toMatch(/^[\w-]{16}$/);
    // Stores keep it in their keys: it may not change from one version to the next.
    const mac = createHmac('sha256', 'one').update('payproof/account/v1\n').digest('base64url');
    expect(account).toBe(mac.slice(0, 16));
    expect(accountOf(keyring('secret', [{ id: 'a', value: 'one' }, 'two']))).toBe(account);
    expect(accountOf(keyring('salt', ['two', 'one']))).not.toBe(account);
  });

  it('does not show the secret', () => {
    expect(accountOf(keyring('salt', 'one'))).not.toContain('one');
  });

  it('is empty without a secret', () => {
    expect(accountOf([])).toBe('');
  });
});
