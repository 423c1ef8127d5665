import { describe, expect, it } from 'vitest';
import {
  lateVariants,
  percentDecoded,
  secretVariants,
  unescapeHtml,
} from '../../src/core/diagnosis/secrets.ts';

const THERE = 'It is on the side of the sender.';
const HERE = 'It is in the secret that is configured here.';

/** What is tried of a secret, in its order. Bytes as Latin-1. */
function tried(text: string): [cause: string, how: string, variant: string][] {
  return [...secretVariants(Buffer.from(text))].map(({ bytes, suspicion }) => {
    expect(suspicion.evidence).toHaveLength(1);
    const [how = ''] = suspicion.evidence;
    return [suspicion.cause, how, Buffer.from(bytes).toString('latin1')];
  });
}

/** What is tried beside what is tried of every text. */
function special(text: string): string[][] {
  const always = new Set([
    ...['\n', '\r\n', ' ', '\t', '\r', '\\n'].map((tail) => text + tail),
    ...[' ', '\n', '\t'].map((head) => head + text),
    ` ${text} `,
    ...['"', "'", '`'].map((quote) => quote + text + quote),
    `whsec_${text}`,
    Buffer.from(text).toString('hex'),
    Buffer.from(text).toString('hex').toUpperCase(),
    Buffer.from(text).toString('base64'),
    Buffer.from(text).toString('base64url'),
    text.toLowerCase(),
    text.toUpperCase(),
    `whsec_${text.toLowerCase()}`,
    encodeURIComponent(text),
    text + text,
    text.slice(0, -1),
    text.slice(1),
  ]);
  return tried(text).filter(([, , variant]) => !always.has(variant));
}

describe('a secret is tried', () => {
  it('as it can have been copied, each way once', () => {
    expect(tried('abcdef/GH')).toEqual([
      ['secret_whitespace', THERE, 'abcdef/GH\n'],
      ['secret_whitespace', THERE, 'abcdef/GH\r\n'],
      ['secret_whitespace', THERE, 'abcdef/GH '],
      ['secret_whitespace', THERE, 'abcdef/GH\t'],
      ['secret_whitespace', THERE, 'abcdef/GH\r'],
      ['secret_whitespace', THERE, ' abcdef/GH'],
      ['secret_whitespace', THERE, '\nabcdef/GH'],
      ['secret_whitespace', THERE, '\tabcdef/GH'],
      ['secret_whitespace', THERE, ' abcdef/GH '],
      ['secret_quoted', THERE, '"abcdef/GH"'],
      ['secret_quoted', THERE, "'abcdef/GH'"],
      ['secret_quoted', THERE, '`abcdef/GH`'],
      ['secret_prefix', 'The prefix whsec_ is missing here.', 'whsec_abcdef/GH'],
      ['secret_decoded', 'As hex.', '6162636465662f4748'],
      ['secret_decoded', 'As hex.', '6162636465662F4748'],
      ['secret_decoded', 'As base64.', 'YWJjZGVmL0dI'],
      ['secret_case', 'It is lower case at the sender.', 'abcdef/gh'],
      ['secret_case', 'It is upper case at the sender.', 'ABCDEF/GH'],
      ['secret_case', 'It is lower case behind the prefix.', 'whsec_abcdef/gh'],
      ['secret_escaped', THERE, 'abcdef/GH\\n'],
      ['secret_escaped', THERE, 'abcdef%2FGH'],
      ['secret_copied', 'It is there twice at the sender.', 'abcdef/GHabcdef/GH'],
      ['secret_copied', 'One character too many at the end here.', 'abcdef/G'],
      ['secret_copied', 'One character too many at the beginning here.', 'bcdef/GH'],
    ]);
  });

  it('never as a key that is short enough to be found by trying', () => {
    expect(tried('abcdefgh').map(([, , variant]) => variant)).not.toContain('abcdefg');
    for (const [, , variant] of tried('abc')) expect(variant.length).toBeGreaterThanOrEqual(8);
  });
});

const PREFIX_ONLY_THERE = 'The prefix whsec_ stands here and not at the sender.';
const PREFIX_DOUBLED = 'The prefix whsec_ is doubled, or in capitals, here.';
const NAMED = 'The name of the variable stands before it here.';
const WORD = 'A word stands before it here.';

describe('what stands in the configuration', () => {
  const cases: [cause: string, how: string, text: string, variant: string][] = [
    ['secret_decoded', 'As base64.', 'abcdefGH', 'YWJjZGVmR0g'],
    ['secret_list', HERE, 'abc"defghij,klmnopqrst', 'abc"defghij'],
    ['secret_whitespace', HERE, 'abc\u200bdef GH\u00ad\ufeff', 'abcdefGH'],
    ['secret_quoted', HERE, '"abcdefGH"', 'abcdefGH'],
    ['secret_quoted', HERE, "'abcdefGH '", 'abcdefGH'],
    ['secret_quoted', HERE, '`abcdefGH`', 'abcdefGH'],
    ['secret_quoted', HERE, '\u201cabcdefGH\u201d', 'abcdefGH'],
    ['secret_quoted', HERE, '\u2018abcdefGH\u2019', 'abcdefGH'],
    ['secret_quoted', HERE, '"abcd\nefGH"', 'abcd\nefGH'],
    ['secret_prefix', PREFIX_ONLY_THERE, 'whsec_abcdefGH', 'abcdefGH'],
    ['secret_prefix', PREFIX_DOUBLED, 'whsec_whsec_abcdefGH', 'whsec_abcdefGH'],
    ['secret_prefix', PREFIX_DOUBLED, 'WHSEC_abcdefGH', 'whsec_abcdefGH'],
    [
      'secret_prefix',
      'The prefix whsec_ is doubled at the sender.',
      'whsec_abcdefGH',
      'whsec_whsec_abcdefGH',
    ],
    ['secret_prefix', NAMED, 'KEY=abcdefGH', 'abcdefGH'],
    ['secret_prefix', NAMED, 'KEY=abcd\nefGH', 'abcd\nefGH'],
    ['secret_prefix', NAMED, 'KEY="abcdefGH"', 'abcdefGH'],
    ['secret_prefix', NAMED, 'export SHOP_KEY.2-b= abcdefGH', 'abcdefGH'],
    ['secret_prefix', NAMED, 'key: abcdefGH', 'abcdefGH'],
    ['secret_prefix', WORD, 'Bearer abcdefGH', 'abcdefGH'],
    ['secret_prefix', WORD, 'Bearer abcd\nefGH', 'abcd\nefGH'],
    ['secret_prefix', WORD, 'basic  abcdefGH', 'abcdefGH'],
    ['secret_prefix', WORD, 'token abcdefGH', 'abcdefGH'],
    ['secret_prefix', WORD, 'Secret abcdefGH', 'abcdefGH'],
    ['secret_prefix', WORD, 'KEY abcdefGH', 'abcdefGH'],
    ['secret_decoded', 'As hex.', '4142434445464748', 'ABCDEFGH'],
    ['secret_decoded', 'As base64.', 'QUJDREVGR0g=', 'ABCDEFGH'],
    ['secret_decoded', 'As hex.', 'whsec_4142434445464748', 'ABCDEFGH'],
    ['secret_decoded', 'As base64.', 'whsec_QUJDREVGR0g', 'ABCDEFGH'],
    ['secret_decoded', 'As hex.', 'whsec_abcdefGH', '6162636465664748'],
    ['secret_decoded', 'As base64.', 'whsec_abcdefGHI', 'YWJjZGVmR0hJ'],
    [
      'secret_case',
      'It is lower case behind the prefix.',
      'whsec_whsec_ABCDEFGH',
      'whsec_abcdefgh',
    ],
    ['secret_escaped', HERE, 'abcdefGH\\n', 'abcdefGH'],
    ['secret_escaped', HERE, 'abcdefGH\\r\\n', 'abcdefGH'],
    ['secret_escaped', HERE, 'abcdefGH\\t', 'abcdefGH'],
    ['secret_escaped', HERE, 'abc\\"def\\/GH', 'abc"def/GH'],
    ['secret_escaped', HERE, 'abc\\\ndefGH', 'abc\ndefGH'],
    ['secret_escaped', HERE, 'abc$$def$$GH', 'abc$def$GH'],
    ['secret_escaped', HERE, 'abc%2Fdef%3DGH', 'abc/def=GH'],
    ['secret_escaped', HERE, 'abc&amp;def&lt;GH', 'abc&def<GH'],
    ['secret_escaped', THERE, 'abc/def GH', 'abc%2Fdef%20GH'],
    ['secret_list', HERE, 'abcdefghij,klmnopqrst', 'abcdefghij'],
    ['secret_list', HERE, 'abcdefghij;klmnopqrst', 'klmnopqrst'],
    ['secret_list', HERE, 'abcdefghij | klmnopqrst', 'klmnopqrst'],
    ['secret_list', HERE, '["abcdefghij","klmnopqrst"]', 'abcdefghij'],
    ['secret_list', HERE, "['abcdefghij', 'klmnopqrst']", 'klmnopqrst'],
    ['secret_copied', 'It is there twice here.', 'abcdefGHabcdefGH', 'abcdefGH'],
  ];
  it.each(cases)('%s: %s (%#)', (cause, how, text, variant) => {
    expect(tried(text)).toContainEqual([cause, how, variant]);
  });

  it('is not looked for where it is not', () => {
    expect(special('abcdef-GH.i')).toEqual([]);
    for (const text of ['a"bcdefGH"', '"abcdefGH', '"abcdefGH"i', 'ab"cdefGH']) {
      expect(special(text).map(([cause]) => cause)).not.toContain('secret_quoted');
    }
    for (const text of ['x-Bearer abcdefGH', 'Bearerx abcdefGH', '=abcdefGH', '1KEY=abcdefGH']) {
      expect(special(text).map(([, how]) => how)).not.toContain(WORD);
      expect(special(text).map(([, how]) => how)).not.toContain(NAMED);
    }
    for (const text of ['41424344454647481', '4142434445464748xy', 'x4142434445464748']) {
      expect(special(text).map(([, , one]) => one)).not.toContain('ABCDEFGH');
    }
    expect(special('abcwhsec_defGH').map(([, , one]) => one)).not.toContain('abcdefGH');
    expect(tried('["abcdef-GH"]').map(([cause]) => cause)).not.toContain('secret_list');
    expect(special('QUJDREVGR0g=!').map(([, how]) => how)).not.toContain('As base64.');
    expect(special('!QUJDREVGR0g=').map(([, how]) => how)).not.toContain('As base64.');
    expect(special('abcdefGHabcdefG').map(([cause]) => cause)).not.toContain('secret_copied');
    expect(special('abcd\\nefGH').map(([, , one]) => one)).toEqual(['abcdnefGH']);
    expect(special('abcdef%GH')).toEqual([]);
  });

  it('is split at sixteen secrets at most', () => {
    const many = Array.from({ length: 20 }, (_, at) => `secret-${10 + at}`);
    const found = tried(many.join(', ')).filter(([cause]) => cause === 'secret_list');
    expect(found.map(([, , one]) => one)).toEqual(many.slice(0, 16));
  });
});

describe('a character that was not copied', () => {
  it('is tried at either end, letters and digits', () => {
    const late = [...lateVariants(Buffer.from('abc'))];
    expect(late).toHaveLength(2 * 62);
    const variants = late.map(({ bytes, suspicion }) => [
      suspicion.cause,
      suspicion.evidence[0],
      `${Buffer.from(bytes)}`,
    ]);
    for (const one of '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ') {
      const last = ['secret_copied', 'The last character is missing here.', `abc${one}`];
      const first = ['secret_copied', 'The first character is missing here.', `${one}abc`];
      expect(variants).toContainEqual(last);
      expect(variants).toContainEqual(first);
    }
  });
});

describe('escapes', () => {
  it.each([
    ['&lt;&gt;&quot;&apos;&amp;', '<>"\'&'],
    ['&#34;&#39;&#96;&#x27;&#x2F;&#x5C;', "\"'`'/\\"],
    ['&LT;&AMP;lt;', '<&lt;'],
    ['&nbsp; & &lt', '&nbsp; & &lt'],
  ])('of HTML are undone once: %s', (text, plain) => {
    expect(unescapeHtml(text)).toBe(plain);
  });

  it('of URLs are undone, or the text is left as it is', () => {
    expect(percentDecoded('a%2Fb%C3%A9')).toBe('a/bé');
    expect(percentDecoded('100%')).toBe('100%');
  });
});
