import { createHash, createHmac } from 'node:crypto';
import type { Suspicion } from './causes.ts';
import type { Clue, Part } from './clues.ts';

/** Makes what is compared with the proof that was sent. */
export type Algorithm = (secret: Uint8Array, parts: readonly Part[]) => Buffer;

/** One way to read the proof as it was sent. */
export interface Reading {
  readonly algorithm: Algorithm;
  /** Whether the proof is this one. Not in constant time: nobody outside sees how long it takes. */
  fits(mac: Buffer): boolean;
  /** Null: it is written as it should be. */
  readonly suspicion: Suspicion | null;
  /** Whether a fit proves that the sender has the secret. */
  readonly proves: boolean;
}

const hmac =
  (hash: string): Algorithm =>
  (secret, parts) => {
    const mac = createHmac(hash, secret);
    for (const part of parts) mac.update(part);
    return mac.digest();
  };
const joined = (parts: readonly Part[]): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)));
const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const HMAC_SHA256 = hmac('sha256');
/** A static token is its own proof. */
const ITSELF: Algorithm = (secret) => Buffer.from(secret);

/** Digest lengths in bytes that tell another hash. */
const OTHER_HASHES: readonly (readonly [bytes: number, name: string, algorithm: Algorithm])[] = [
  [16, 'HMAC-MD5', hmac('md5')],
  [20, 'HMAC-SHA1', hmac('sha1')],
  [28, 'HMAC-SHA224', hmac('sha224')],
  [48, 'HMAC-SHA384', hmac('sha384')],
  [64, 'HMAC-SHA512', hmac('sha512')],
];
/** Too few digits would fit by chance. */
const MIN_TRUNCATED = 16;
/** No proof that is longer is looked at. */
const MAX_PROOF = 1024;
const HEX = /^(?:[0-9a-f]{2})+$/i;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/** The ways to read the proof of a clue: as it should be, then as signers and proxies write it. */
export function readingsOf({ kind, proof, place }: Clue): Reading[] {
  if (proof === undefined || proof.length > MAX_PROOF) return [];
  if (kind === 'bearer') return bearerReadings(proof);
  return kind === 'hex' ? signatureReadings(proof, place) : tokenReadings(proof);
}

/** Other algorithms with a digest of the right length: tried with the right text only. */
export function oddReadings({ kind, proof = '' }: Clue): Reading[] {
  if (kind !== 'hex' || !/^[0-9a-f]{64}$/i.test(proof)) return [];
  const sent = Buffer.from(proof, 'hex');
  const odd = (name: string, algorithm: Algorithm, proves = true): Reading => ({
    algorithm,
    fits: (mac) => mac.subarray(0, 32).equals(sent),
    suspicion: { cause: 'hash_algorithm', evidence: [`The algorithm is ${name}.`] },
    proves,
  });
  return [
    odd('HMAC-SHA512, cut to 64 digits', hmac('sha512')),
    odd('HMAC-SHA384, cut to 64 digits', hmac('sha384')),
    odd('HMAC-SHA512/256', hmac('sha512-256')),
    odd('HMAC-SHA3-256', hmac('sha3-256')),
    odd('HMAC-SHA256 with key and text swapped', (secret, parts) =>
      createHmac('sha256', joined(parts)).update(secret).digest(),
    ),
    odd('SHA-256 of the secret and the text', (secret, parts) => sha256(secret, joined(parts))),
    odd('SHA-256 of the text and the secret', (secret, parts) => sha256(joined(parts), secret)),
    odd('HMAC-SHA256 of the SHA-256 of the text', (secret, parts) =>
      createHmac('sha256', secret)
        .update(sha256(joined(parts)).toString('hex'))
        .digest(),
    ),
    odd('SHA-256 without a secret', (_, parts) => sha256(joined(parts)), false),
  ];
}

function signatureReadings(proof: string, place: string): Reading[] {
  if (/^[0-9a-f]{64}$/i.test(proof)) return [bytesReading(Buffer.from(proof, 'hex'), null)];
  const readings: Reading[] = [];
  const pieces = proof.split(',', 4).map((piece) => piece.trim());
  const several: Suspicion = pieces.some((one) => one.includes('='))
    ? { cause: 'signature_encoding', evidence: [AROUND] }
    : { cause: 'header_repeated', evidence: [`There is more than one in ${place}.`] };
  for (const piece of pieces) readings.push(...pieceReadings(piece, several));
  return readings;
}

const AROUND = 'There is something before or around it.';
/** What can stand before the digits or around them. */
const WRAPPING = /^(?:[A-Za-z0-9_-]{1,20}[=: ]\s*|0x)|["'<>\s]+/gi;

/** @param several what it means if the piece is right as it stands: it is one of several */
function pieceReadings(piece: string, several: Suspicion): Reading[] {
  const isSeparated = /^[0-9a-f]{2}(?:[: -][0-9a-f]{2})+$/i.test(piece);
  const bare = isSeparated ? piece : piece.replace(WRAPPING, '');
  const encoded = (how: string): Suspicion => ({ cause: 'signature_encoding', evidence: [how] });
  const wrapped = bare === piece ? several : encoded(AROUND);
  if (isSeparated) {
    return hexReadings(
      piece.replace(/[: -]/g, '').toLowerCase(),
      encoded('Its bytes are separated.'),
    );
  }
  if (/^[0-9a-f]+$/i.test(bare)) return hexReadings(bare.toLowerCase(), wrapped);
  const text = decodeProof(bare);
  if (!BASE64.test(text)) return [];
  const standard = text.replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Buffer.from(standard, 'base64');
  const ofHex = bytes.toString('latin1');
  const suspicion = encoded('It is in base64.');
  return HEX.test(ofHex) && bytes.length >= 32
    ? hexReadings(ofHex.toLowerCase(), suspicion)
    : [...macReadings(bytes, suspicion), ...cut(standard.replace(/={1,2}$/, ''), 'base64')];
}

function hexReadings(digits: string, suspicion: Suspicion | null): Reading[] {
  return [...macReadings(Buffer.from(digits, 'hex'), suspicion), ...cut(digits, 'hex')];
}

function macReadings(bytes: Buffer, suspicion: Suspicion | null): Reading[] {
  if (bytes.length === 32) return [bytesReading(bytes, suspicion)];
  const other = OTHER_HASHES.find(([length]) => length === bytes.length);
  if (other === undefined) return [];
  const [, name, algorithm] = other;
  const evidence = [`The algorithm is ${name}.`];
  return [bytesReading(bytes, { cause: 'hash_algorithm', evidence }, algorithm)];
}

/** The beginning of the right signature, its end, or the right one with something behind it. */
function cut(text: string, encoding: 'hex' | 'base64'): Reading[] {
  const full = encoding === 'hex' ? 64 : 43;
  if (text.length < MIN_TRUNCATED || text.length === full) return [];
  const longer = text.length > full;
  const evidence = [`It has ${text.length} characters in place of ${full}.`];
  return [
    {
      algorithm: HMAC_SHA256,
      fits: (mac) => {
        const right = mac.toString(encoding).replace(/=$/, '');
        return longer
          ? text.startsWith(right) || text.endsWith(right)
          : right.startsWith(text) || right.endsWith(text);
      },
      suspicion: { cause: longer ? 'signature_encoding' : 'signature_truncated', evidence },
      proves: true,
    },
  ];
}

function bytesReading(
  bytes: Buffer,
  suspicion: Suspicion | null,
  algorithm: Algorithm = HMAC_SHA256,
): Reading {
  return { algorithm, fits: (mac) => mac.equals(bytes), suspicion, proves: true };
}

/** A token of a URL: percent escapes twice, a space for `+`, padding. */
function decodeProof(text: string): string {
  return text
    .replace(/%(?:25)*([0-9a-f]{2})/gi, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    )
    .trim()
    .replaceAll(' ', '+');
}

/** 43 characters: a few less prove as much as 16 hex digits do. */
const MIN_TOKEN = 16;

function tokenReadings(proof: string): Reading[] {
  const damaged = (how: string): Suspicion => ({ cause: 'token_damaged', evidence: [how] });
  const reading = (fits: (token: string) => boolean, suspicion: Suspicion | null): Reading => ({
    algorithm: HMAC_SHA256,
    fits: (mac) => fits(mac.toString('base64url')),
    suspicion,
    proves: true,
  });
  const readings = [reading((token) => token === proof, null)];
  const text = decodeProof(proof).replace(/["'<>\s]/g, '');
  const url = text
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/={1,2}$/, '');
  readings.push(reading((token) => token === url, damaged('It was encoded another time.')));
  const folded = url.toLowerCase();
  readings.push(
    reading((token) => token.toLowerCase() === folded, damaged('Its case was changed.')),
  );
  if (url.length >= MIN_TOKEN) {
    const evidence = `It has ${url.length} characters in place of 43.`;
    readings.push(
      reading((token) => token.startsWith(url) || url.startsWith(token), damaged(evidence)),
    );
  }
  return readings;
}

/** What is there in place of `Bearer <token>`. */
function bearerReadings(proof: string): Reading[] {
  const forms: (readonly [text: string, how: string | null])[] = [[proof, null]];
  const bare = proof.replace(/^(?:Bearer\b[:=]?\s*)+/i, '').trim();
  forms.push([bare, 'The word Bearer stands there more than once, or where it should not.']);
  forms.push([
    bare.replace(/^["'<]{1,4}|["'>]{1,4}$/g, ''),
    'There is something around the token.',
  ]);
  forms.push([bare.replace(/^[A-Za-z-]{1,20}[=: ]\s*/, ''), 'Another word stands before it.']);
  forms.push([decodeProof(bare), 'The token is percent-encoded.']);
  const basic = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(proof);
  if (basic) {
    const pair = Buffer.from(basic[1] as string, 'base64').toString();
    for (const part of [pair, ...pair.split(':', 2)]) forms.push([part, 'It is sent as Basic.']);
  }
  for (const part of proof.split(',', 4)) {
    forms.push([part.trim().replace(/^Bearer +/i, ''), 'The header occurs more than once.']);
  }
  return forms.map(([text, how]) => ({
    algorithm: ITSELF,
    fits: (secret) => secret.toString() === text,
    suspicion: how === null ? null : { cause: 'bearer_format', evidence: [how] },
    proves: true,
  }));
}
