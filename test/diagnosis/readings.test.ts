import { createHash, createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Clue } from '../../src/core/diagnosis/clues.ts';
import { oddReadings, type Reading, readingsOf } from '../../src/core/diagnosis/readings.ts';

const SECRET = Buffer.from('the-key-of-the-readings');
/** Such that its MAC has `+` and `/` in base64, and bytes at both ends that are hex digits of ASCII. */
const PARTS = ['1700000000.', Buffer.from('{"a":957487}')];
const TEXT = '1700000000.{"a":957487}';
const hash = (name: string) => createHmac(name, SECRET).update(TEXT).digest();
const mac = hash('sha256');
const hex = mac.toString('hex');
const base64 = mac.toString('base64');
const base64url = mac.toString('base64url');

const clue = (kind: Clue['kind'], proof: string): Clue => ({
  option: 'secret',
  keys: [],
  place: 'the header x-signature',
  kind,
  proof,
  texts: () => [],
  spare: [],
  assumption: null,
});

/** What must be assumed for the proof to fit: of the readings, the first that does. */
function first(readings: readonly Reading[], secret = SECRET): string {
  const one = readings.find(({ algorithm, fits }) => fits(algorithm(secret, PARTS)));
  if (one === undefined) return 'nothing fits';
  expect(one.proves).toBe(true);
  return one.suspicion === null
    ? 'as it should be'
    : [one.suspicion.cause, ...(one.suspicion.evidence ?? [])].join(': ');
}
const read = (kind: Clue['kind'], proof: string) => first(readingsOf(clue(kind, proof)));

const AROUND = 'signature_encoding: There is something before or around it.';
const IN_BASE64 = 'signature_encoding: It is in base64.';
const SEPARATED = 'signature_encoding: Its bytes are separated.';
const TWICE = 'header_repeated: There is more than one in the header x-signature.';
const long = (kind: string, length: number, full = 64) =>
  `${kind}: It has ${length} characters in place of ${full}.`;

describe('a signature in hex', () => {
  it.each([
    ['lower case', hex, 'as it should be'],
    ['upper case', hex.toUpperCase(), 'as it should be'],
    ['0x before it', `0x${hex}`, AROUND],
    ['a name and =', `sha256=${hex}`, AROUND],
    ['a name and a colon', `SHA-256: ${hex}`, AROUND],
    ['a name and a space', `HMAC_SHA256 ${hex.toUpperCase()}`, AROUND],
    ['two names', `t=1,v1=${hex}`, AROUND],
    ['one name and a second piece', `t=1,${hex}`, AROUND],
    ['a name that is too long for one', `${'x'.repeat(21)}=${hex}`, 'nothing fits'],
    ['double quotes', `"${hex}"`, AROUND],
    ['single quotes', `'${hex}'`, AROUND],
    ['angle brackets', `<${hex}>`, AROUND],
    ['a line break inside', `${hex.slice(0, 9)}\n${hex.slice(9)}`, AROUND],
    ['colons', hex.replace(/..(?!$)/g, '$&:'), SEPARATED],
    ['dashes and capitals', hex.toUpperCase().replace(/..(?!$)/g, '$&-'), SEPARATED],
    ['spaces between bytes', hex.replace(/..(?!$)/g, '$& '), SEPARATED],
    ['separated bytes behind a name', `v1=${hex.replace(/..(?!$)/g, '$&:')}`, 'nothing fits'],
    ['separated bytes and more', `${hex.replace(/..(?!$)/g, '$&:')};00`, 'nothing fits'],
    [
      'separated bytes, cut',
      hex
        .toUpperCase()
        .slice(0, 40)
        .replace(/..(?!$)/g, '$&:'),
      long('signature_truncated', 40),
    ],
    ['twice', `${hex}, ${hex}`, TWICE],
    ['behind another', `${'0'.repeat(64)},${hex}`, TWICE],
    ['behind four others', `${'0, '.repeat(4)}${hex}`, 'nothing fits'],
    ['base64', base64, IN_BASE64],
    ['base64 without padding', base64.replace('=', ''), IN_BASE64],
    ['base64url', base64url, IN_BASE64],
    ['base64, percent-encoded', encodeURIComponent(base64), IN_BASE64],
    ['base64, percent-encoded twice', base64.replace(/=$/, '%253D'), IN_BASE64],
    ['base64 with a name', `v1 ${base64}`, IN_BASE64],
    ['base64 of hex', Buffer.from(hex.toUpperCase()).toString('base64'), IN_BASE64],
    [
      'base64 of 40 digits',
      Buffer.from(hex.toUpperCase().slice(0, 40)).toString('base64'),
      long('signature_truncated', 40),
    ],
    [
      'base64 of 32 digits',
      Buffer.from(hex.slice(0, 32)).toString('base64'),
      long('signature_truncated', 32),
    ],
    ['base64 of 20 digits', Buffer.from(hex.slice(0, 20)).toString('base64'), 'nothing fits'],
    ['base64 of 33 digits', Buffer.from(hex.slice(0, 33)).toString('base64'), 'nothing fits'],
    ['base64 behind a mark', `!${base64}`, 'nothing fits'],
    ['base64 before a mark', `${base64}!`, 'nothing fits'],
    ['base64, cut and padded', `${base64.slice(0, 22)}==`, long('signature_truncated', 22, 43)],
    ['16 digits', hex.slice(0, 16), long('signature_truncated', 16)],
    ['15 digits', hex.slice(0, 15), 'nothing fits'],
    ['its end', hex.slice(30), long('signature_truncated', 34)],
    ['its middle', hex.slice(10, 50), 'nothing fits'],
    ['something behind it', `${hex}0a`, long('signature_encoding', 66)],
    ['something before it', `0a${hex}`, long('signature_encoding', 66)],
    ['something on both sides', `0a${hex}0a`, 'nothing fits'],
    ['the beginning of base64', base64.slice(0, 20), long('signature_truncated', 20, 43)],
    ['15 characters of base64', base64.slice(0, 15), 'nothing fits'],
    ['the end of base64', base64.slice(4), long('signature_truncated', 39, 43)],
    ['base64 with something behind', `${base64url}xyzw`, long('signature_encoding', 47, 43)],
    ['MD5', hash('md5').toString('hex'), 'hash_algorithm: The algorithm is HMAC-MD5.'],
    ['SHA-1', hash('sha1').toString('hex'), 'hash_algorithm: The algorithm is HMAC-SHA1.'],
    ['SHA-224', hash('sha224').toString('hex'), 'hash_algorithm: The algorithm is HMAC-SHA224.'],
    ['SHA-384', hash('sha384').toString('hex'), 'hash_algorithm: The algorithm is HMAC-SHA384.'],
    ['SHA-512', hash('sha512').toString('base64'), 'hash_algorithm: The algorithm is HMAC-SHA512.'],
    ['another one', hex.replace(/./g, '0'), 'nothing fits'],
    ['punctuation', '!!', 'nothing fits'],
    ['nothing', '', 'nothing fits'],
  ])('%s', (_, proof, how) => {
    expect(read('hex', proof)).toBe(how);
  });

  it('is not looked at if it is longer than 1024 characters', () => {
    expect(readingsOf(clue('hex', '0'.repeat(1024)))).not.toEqual([]);
    expect(readingsOf(clue('hex', '0'.repeat(1025)))).toEqual([]);
    expect(readingsOf({ ...clue('hex', ''), proof: undefined })).toEqual([]);
  });
});

describe('a signature of the right length, of another algorithm', () => {
  const sha256 = (...parts: (string | Buffer)[]) => {
    const one = createHash('sha256');
    for (const part of parts) one.update(part);
    return one.digest('hex');
  };
  const odd = (name: string) => `hash_algorithm: The algorithm is ${name}.`;
  it.each([
    ['HMAC-SHA512, cut to 64 digits', hash('sha512').toString('hex').slice(0, 64)],
    ['HMAC-SHA384, cut to 64 digits', hash('sha384').toString('hex').slice(0, 64)],
    ['HMAC-SHA512/256', hash('sha512-256').toString('hex')],
    ['HMAC-SHA3-256', hash('sha3-256').toString('hex').toUpperCase()],
    [
      'HMAC-SHA256 with key and text swapped',
      createHmac('sha256', TEXT).update(SECRET).digest('hex'),
    ],
    ['SHA-256 of the secret and the text', sha256(SECRET, TEXT)],
    ['SHA-256 of the text and the secret', sha256(TEXT, SECRET)],
    [
      'HMAC-SHA256 of the SHA-256 of the text',
      createHmac('sha256', SECRET).update(sha256(TEXT)).digest('hex'),
    ],
  ])('is known: %s', (name, proof) => {
    expect(first(oddReadings(clue('hex', proof)))).toBe(odd(name));
  });

  it('proves nothing where no secret is in it', () => {
    const readings = oddReadings(clue('hex', sha256(TEXT)));
    const fitting = readings.filter(({ algorithm, fits }) => fits(algorithm(SECRET, PARTS)));
    expect(fitting).toMatchObject([{ proves: false, suspicion: { cause: 'hash_algorithm' } }]);
    expect(fitting[0]?.suspicion?.evidence).toEqual(['The algorithm is SHA-256 without a secret.']);
  });

  it('is looked for in 64 hex digits only', () => {
    for (const proof of [hex.slice(2), `${hex}00`, `g${hex.slice(1)}`, base64]) {
      expect(oddReadings(clue('hex', proof))).toEqual([]);
    }
    expect(oddReadings(clue('base64url', hex))).toEqual([]);
    expect(oddReadings({ ...clue('hex', ''), proof: undefined })).toEqual([]);
  });
});

describe('a token of a URL', () => {
  const AGAIN = 'token_damaged: It was encoded another time.';
  const CASE = 'token_damaged: Its case was changed.';
  const length = (n: number) => `token_damaged: It has ${n} characters in place of 43.`;
  it.each([
    ['as it was made', base64url, 'as it should be'],
    ['in base64', base64, AGAIN],
    ['in base64, with spaces for +', base64.replaceAll('+', ' '), AGAIN],
    ['percent-encoded', encodeURIComponent(base64), AGAIN],
    ['padded twice', `${base64url}==`, AGAIN],
    ['with a padding inside', `${base64url.slice(0, 9)}=${base64url.slice(9)}`, 'nothing fits'],
    ['in quotes', `"${base64url}"`, AGAIN],
    ['in angle brackets, with spaces', ` <${base64url}> `, AGAIN],
    ['lower case', base64url.toLowerCase(), CASE],
    ['upper case', base64url.toUpperCase(), CASE],
    ['cut', base64url.slice(0, 16), length(16)],
    ['cut too far', base64url.slice(0, 15), 'nothing fits'],
    ['with something behind', `${base64url}.`, length(44)],
    ['another', base64url.slice(1), 'nothing fits'],
  ])('%s', (_, proof, how) => {
    expect(read('base64url', proof)).toBe(how);
  });
});

describe('a bearer token', () => {
  const token = SECRET.toString();
  const REPEATED =
    'bearer_format: The word Bearer stands there more than once, or where it should not.';
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  it.each([
    ['alone', token, 'as it should be'],
    ['Bearer twice', `Bearer Bearer ${token}`, REPEATED],
    ['Bearer and a space behind', `Bearer ${token} `, REPEATED],
    ['Bearer behind something', `x Bearer ${token}`, 'nothing fits'],
    ['a quote inside', `${token.slice(0, 9)}"${token.slice(9)}`, 'nothing fits'],
    ['Basic behind something', `x ${basic(token)}`, 'nothing fits'],
    ['Basic before something', `${basic(token)} x`, 'nothing fits'],
    [
      'Basic and two spaces',
      basic(token).replace(' ', '  '),
      'bearer_format: It is sent as Basic.',
    ],
    [
      'twice, with two spaces',
      `x, Bearer  ${token}`,
      'bearer_format: The header occurs more than once.',
    ],
    ['Bearer and a colon', `bearer: ${token}`, REPEATED],
    ['Bearer and =', `BEARER=${token}`, REPEATED],
    ['double quotes', `Bearer "${token}"`, 'bearer_format: There is something around the token.'],
    ['single quotes', `''${token}''`, 'bearer_format: There is something around the token.'],
    ['angle brackets', `<${token}>`, 'bearer_format: There is something around the token.'],
    ['another word', `Token ${token}`, 'bearer_format: Another word stands before it.'],
    ['another word and =', `api-key= ${token}`, 'bearer_format: Another word stands before it.'],
    [
      'percent-encoded',
      token.replaceAll('-', '%2D'),
      'bearer_format: The token is percent-encoded.',
    ],
    ['Basic', basic(token), 'bearer_format: It is sent as Basic.'],
    ['Basic as the user', basic(`${token}:`), 'bearer_format: It is sent as Basic.'],
    ['Basic as the password', basic(`user:${token}`), 'bearer_format: It is sent as Basic.'],
    ['twice', `Bearer x, Bearer ${token}`, 'bearer_format: The header occurs more than once.'],
    ['behind four', `a,b,c,d,${token}`, 'nothing fits'],
    ['another', 'Bearer x', 'nothing fits'],
  ])('%s', (_, proof, how) => {
    expect(read('bearer', proof)).toBe(how);
  });

  it('is not put together from pieces', () => {
    const digits = Buffer.from('12345678');
    for (const proof of ['1234ab=5678', '1234Bearer 5678']) {
      expect(first(readingsOf(clue('bearer', proof)), digits)).toBe('nothing fits');
    }
  });
});
