import { connect } from 'node:net';
import type { Chance } from '../hitpay-bodies.ts';
import { chunk, LAST_CHUNK } from '../http/support.ts';
import { type Parcel, SCHEMES, type Sent } from './schemes.ts';
import { Mutator } from './support.ts';

// HTTP requests as bytes, most of them malformed, and a client that sends them on a socket of its own.

// ---- The client ----------------------------------------------------------------------------------

/** What came back for one connection. */
export interface Reply {
  /** Of every answer, in order; interim ones (1xx) left out. */
  readonly statuses: readonly number[];
  readonly text: string;
  /** Whether the connection came to its end, or else everything asked for was answered. */
  readonly isOver: boolean;
}

/** How long a server may say nothing before the client ends its side, in milliseconds. */
const IDLE = 25;
/** By then a connection whose client has ended must be closed. */
const PATIENCE = 10_000;

/**
 * Sends bytes in pieces and collects the answers.
 *
 * @param expected so many answers end it; with fewer, the client ends its side after a while
 */
export function send(port: number, pieces: readonly Buffer[], expected = Infinity): Promise<Reply> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const patience = setTimeout(() => finish(false), PATIENCE);
    let text = '';
    let idle: NodeJS.Timeout | undefined;
    const finish = (isOver: boolean): void => {
      clearTimeout(patience);
      clearTimeout(idle);
      socket.resetAndDestroy();
      resolve({ statuses: statusesOf(text), text, isOver });
    };
    const wait = (): void => {
      clearTimeout(idle);
      // A server that is owed the rest of a request waits; with the end of it, it must not.
      if (expected === Infinity) idle = setTimeout(() => socket.end(), IDLE);
    };
    socket.on('connect', () => void writeAll(pieces, (piece) => socket.write(piece)).then(wait));
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (wholeAnswers(text) >= expected) return finish(true);
      if (idle) wait();
    });
    // A connection that the server cuts shows as `close` too.
    socket.on('error', () => {});
    socket.on('close', () => finish(true));
  });
}

/** Each piece in a turn of its own, so that the server sees them apart. */
async function writeAll(pieces: readonly Buffer[], write: (piece: Buffer) => void): Promise<void> {
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) await new Promise(setImmediate);
    write(piece);
  }
}

function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.[01] (\d{3})/g)]
    .map(([, status]) => Number(status))
    .filter((status) => status >= 200);
}

/** How many answers are there to their last byte. */
function wholeAnswers(text: string): number {
  let count = 0;
  for (let at = 0; ; ) {
    const end = text.indexOf('\r\n\r\n', at);
    if (end < 0) return count;
    const head = text.slice(at, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? '0';
    at = end + 4 + Number(length);
    if (at > text.length) return count;
    if (!/^HTTP\/1\.1 1\d\d/.test(head)) count++;
  }
}

/** The body of the first answer. */
export function bodyOf(text: string): string {
  return Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1').toString();
}

// ---- Requests ------------------------------------------------------------------------------------

/** The head's lines after the first, `Connection` left to HTTP/1.1's default. */
function lines(headers: Readonly<Record<string, string>>): string[] {
  return [
    'Host: shop.example',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
}

/** A request put together from its parts, none of which is checked. */
function request(first: string, head: readonly string[], body: Uint8Array, end = '\r\n'): Buffer {
  return Buffer.concat([Buffer.from([first, ...head, '', ''].join(end), 'latin1'), body]);
}

const firstLine = ({ url }: Parcel): string => `POST ${url} HTTP/1.1`;
const lengthOf = ({ body }: Parcel): string => `Content-Length: ${body.length}`;

/** As a client sends it. */
export function plain(sent: Parcel): Buffer {
  return request(firstLine(sent), [...lines(sent.headers), lengthOf(sent)], sent.body);
}

/** With the body in chunks of these sizes, the last one of what is left. */
export function chunked(sent: Parcel, sizes: readonly number[]): Buffer {
  const head = [...lines(sent.headers), 'Transfer-Encoding: chunked'];
  return request(firstLine(sent), head, chunks(sent.body, sizes));
}

function chunks(body: Buffer, sizes: readonly number[]): Buffer {
  const parts = cutAt(body, sizes).filter((part) => part.length > 0);
  return Buffer.concat([...parts.map(chunk), Buffer.from(LAST_CHUNK)]);
}

export function cutAt(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    parts.push(bytes.subarray(at, at + size));
    at += size;
  }
  return [...parts, bytes.subarray(at)];
}

// ---- What is wrong with them ---------------------------------------------------------------------

export interface Attempt {
  readonly kind: string;
  readonly bytes: Buffer;
  /** False where nothing in it may reach a handler, whatever is read of it. */
  readonly mayPass: boolean;
  /** How many answers there must be, where that is certain. */
  readonly answers?: number;
}

type Broken = (chance: Chance, sent: Sent, mutator: Mutator) => Buffer;

const FIRST_LINES: readonly ((url: string) => string)[] = [
  (url) => `POST ${url} HTTP/9.9`,
  (url) => `POST ${url} HTTP/1.1 x`,
  (url) => `POST ${url} http/1.1`,
  (url) => `POST ${url} ICAP/1.0`,
  (url) => `post ${url} HTTP/1.1`,
  (url) => `P OST ${url} HTTP/1.1`,
  (url) => `POST  HTTP/1.1${url}`,
  (url) => `POST\t${url}\tHTTP/1.1`,
  (url) => `POST ${url}\u0000 HTTP/1.1`,
  (url) => `POST ${url} \u00e9 HTTP/1.1`,
  (url) => ` POST ${url} HTTP/1.1`,
  (url) => `${url} POST HTTP/1.1`,
  () => 'POST /elsewhere HTTP/1.1',
  () => 'POST /webhook/../x%2e HTTP/1.1',
  () => `POST /${'a'.repeat(20_000)} HTTP/1.1`,
  () => 'POST * HTTP/1.1',
  () => 'POST shop.example:443 HTTP/1.1',
  () => 'PRI * HTTP/2.0',
];
const METHODS = [
  ...['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE', 'CONNECT', 'PROPFIND', 'QUERY'],
  ...['BREW', 'POSTT', 'POS', 'P\u00d6ST', '', '*', 'M-SEARCH', 'PURGE', 'SOURCE'],
];
const CHARSETS = [
  ...['utf-16', 'utf-7', 'latin1', 'iso-8859-1', 'utf-8; charset=utf-16', 'utf-16le', '"', "''"],
  ...['utf-32', 'cp1252', 'ibm037', 'x', 'utf-8x', 'us-ascii'],
];
const TYPES = [
  ...['text/plain', 'application/jsonp', 'application/json, text/plain', 'multipart/form-data', ''],
  ...['application/xml', 'application', '/', '\u00e9', 'text/html; application/json'],
];
const ENCODINGS = ['gzip', 'deflate', 'br', 'zstd', 'compress', 'identity, gzip', 'x', ','];
const LENGTHS = [
  ...['-1', '+5', '0x10', '5,5', '1e2', '', ' ', '1 2', '99999999999999999999', '1.0', 'NaN', '٣'],
  ...['\u0000', '18446744073709551616', '-0', 'five'],
];
const CODINGS = [
  ...[
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding: gzip',
  ],
  ...[
    'Transfer-Encoding : chunked',
    'Transfer-Encoding: chunked, gzip',
    'Transfer-Encoding:\u000bchunked',
  ],
  ...[
    'Transfer-Encoding: "chunked"',
    'Transfer-Encoding: chunked\u0000',
    'Transfer-Encoding: identity',
  ],
  ...[
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'Transfer-Encoding: chunked;q=1',
  ],
];
const HEADER_LINES = [
  ...[
    'no colon at all',
    ': no name',
    'a b: c',
    'a\u0000: b',
    'a: b\u0000c',
    'a: \u0001',
    '\u00e9: a',
  ],
  ...['a\t: b', 'a: b\rc', '(: )', 'a: b\n\u0000', 'a : b', '"a": b', 'a,b: c', '@: a'],
];
const CHUNK_SIZES = [
  ...['g', '-1', '0x5', '', ' ', 'ffffffffffffffffff', '5 5', '1\u0000', '+1', '１', '00000000g'],
  ...['fffffffffffffff', '5;\u0000', '1.0', 'deadbeefdeadbeef0'],
];

/** Each of these makes something that must be refused of a genuine delivery. */
const BROKEN: Readonly<Record<string, Broken>> = {
  'request line': (chance, sent) =>
    request(chance.of(FIRST_LINES)(sent.url), [...lines(sent.headers), lengthOf(sent)], sent.body),
  method: (chance, sent) =>
    request(
      `${chance.of(METHODS)} ${sent.url} HTTP/1.1`,
      [...lines(sent.headers), lengthOf(sent)],
      sent.body,
    ),
  'content length': (chance, sent) =>
    request(
      firstLine(sent),
      [...lines(sent.headers), `Content-Length: ${chance.of(LENGTHS)}`],
      sent.body,
    ),
  'two lengths': (chance, sent) => {
    const other = `Content-Length: ${sent.body.length + chance.of([-1, 1, 7, 100])}`;
    const both = chance.is(0.5) ? [lengthOf(sent), other] : [other, lengthOf(sent)];
    return request(firstLine(sent), [...lines(sent.headers), ...both], sent.body);
  },
  'too long a length': (chance, sent) => {
    const length = sent.body.length + chance.of([1, 2, 10, 1_000, 300_000, 2 ** 40]);
    const head = [...lines(sent.headers), `Content-Length: ${length}`];
    return request(firstLine(sent), head, sent.body);
  },
  'truncated body': (chance, sent) => {
    const whole = chance.is(0.5) ? plain(sent) : chunked(sent, [10, 20]);
    return whole.subarray(0, whole.length - chance.int(1, sent.body.length));
  },
  'length and coding': (chance, sent) => {
    const both = [lengthOf(sent), 'Transfer-Encoding: chunked'];
    const head = [...lines(sent.headers), ...(chance.is(0.5) ? both : both.reverse())];
    return request(firstLine(sent), head, chance.is(0.5) ? sent.body : chunks(sent.body, [9]));
  },
  'transfer coding': (chance, sent) => {
    const head = [...lines(sent.headers), chance.of(CODINGS)];
    return request(firstLine(sent), head, chance.is(0.5) ? sent.body : chunks(sent.body, [9]));
  },
  'chunk size': (chance, sent) => {
    const head = [...lines(sent.headers), 'Transfer-Encoding: chunked'];
    const size = `${chance.of(CHUNK_SIZES)}\r\n`;
    const good = chance.is(0.5) ? chunk(sent.body.subarray(0, 5)) : Buffer.alloc(0);
    const rest = Buffer.concat([
      good,
      Buffer.from(size),
      sent.body,
      Buffer.from(`\r\n${LAST_CHUNK}`),
    ]);
    return request(firstLine(sent), head, rest);
  },
  'chunk ends': (chance, sent) => {
    const head = [...lines(sent.headers), 'Transfer-Encoding: chunked'];
    const size = sent.body.length.toString(16);
    const body = sent.body.toString('latin1');
    const text = chance.of([
      `${size}\r\n${body}${LAST_CHUNK}`,
      `${size}\r\n${body}x\r\n${LAST_CHUNK}`,
      `${size}${body}\r\n${LAST_CHUNK}`,
      `${size};${'x'.repeat(20_000)}\r\n${body}\r\n${LAST_CHUNK}`,
      `${size}\r\n${body}\r\n`,
      `${size}\r\n${body}\r\n0`,
    ]);
    return request(firstLine(sent), head, Buffer.from(text, 'latin1'));
  },
  'header line': (chance, sent) => {
    const head = [...lines(sent.headers), lengthOf(sent)];
    head.splice(chance.int(0, head.length), 0, chance.of(HEADER_LINES));
    return request(firstLine(sent), head, sent.body);
  },
  'folded header': (chance, sent) => {
    const head = [...lines(sent.headers), lengthOf(sent)];
    const at = chance.int(0, head.length - 1);
    head[at] = (head[at] as string).replace(/: /, chance.of([':\r\n ', ': x\r\n\t', ':\n ']));
    return request(firstLine(sent), head, sent.body);
  },
  'line ends': (chance, sent) => {
    const head = [...lines(sent.headers), lengthOf(sent)];
    return request(
      firstLine(sent),
      head,
      sent.body,
      chance.of(['\r', '\n\r', '\u0085', '\u2028', ' ']),
    );
  },
  'too many headers': (chance, sent) => {
    const many = Array.from({ length: chance.int(4_000, 6_000) }, () => 'a: b');
    return request(firstLine(sent), [...many, ...lines(sent.headers), lengthOf(sent)], sent.body);
  },
  // Of `authorization` Node keeps the first, so that one is not here.
  'repeated proof': (chance, sent) => {
    const [name, value] = Object.entries(sent.headers).find(([one]) => PROOF.test(one)) as [
      string,
      string,
    ];
    const other = chance.of([value, '0'.repeat(64), '', 'x', value.toUpperCase()]);
    const head = [...lines(sent.headers), lengthOf(sent)];
    head.splice(chance.int(0, head.length), 0, `${name}: ${other}`);
    return request(firstLine(sent), head, sent.body);
  },
  charset: (chance, sent) => {
    const type = `${sent.headers['content-type']?.split(';')[0]}; charset=${chance.of(CHARSETS)}`;
    return plain({ ...sent, headers: { ...sent.headers, 'content-type': type } });
  },
  'content type': (chance, sent) =>
    plain({ ...sent, headers: { ...sent.headers, 'content-type': chance.of(TYPES) } }),
  'content encoding': (chance, sent) =>
    plain({ ...sent, headers: { ...sent.headers, 'content-encoding': chance.of(ENCODINGS) } }),
  expectation: (chance, sent) =>
    plain({ ...sent, headers: { ...sent.headers, expect: chance.of(['200-ok', 'x', '100']) } }),
  'altered body': (chance, sent) => {
    const body = Buffer.from(sent.body);
    const at = chance.int(0, body.length - 1);
    body[at] = (body[at] as number) ^ 0x15;
    return plain({ ...sent, body });
  },
  'junk body': (chance, sent, mutator) =>
    plain({ ...sent, body: mutator.noise(chance.int(0, 300)) }),
  noise: (chance, _, mutator) => mutator.noise(chance.int(1, 400)),
  'another protocol': (chance) =>
    Buffer.from(
      chance.of([
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00',
        '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
        'SSH-2.0-OpenSSH_9.6\r\n',
        '*1\r\n$4\r\nPING\r\n',
        'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
        'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n',
        'EHLO x\r\n',
      ]),
      'latin1',
    ),
};
const KINDS = Object.keys(BROKEN);
const PROOF = /signature|timestamp/;
/** Whole requests, each of which has its answer. */
const WHOLE = new Set([
  ...['charset', 'content type', 'content encoding', 'expectation', 'altered body', 'junk body'],
  'repeated proof',
]);

/** Rarely, since each costs as much as hundreds of the others. */
const OVERSIZED = 0.0005;

const WIRE_WORDS = [
  ...[
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    ':',
    ' ',
    '\t',
    '\x00',
    'HTTP/1.1',
    'POST',
    'GET',
    '0\r\n\r\n',
  ],
  ...[
    'Transfer-Encoding: chunked\r\n',
    'Content-Length: 5\r\n',
    'Expect: 100-continue\r\n',
    '\r\n ',
  ],
  ...['Connection: close\r\n', 'Connection: upgrade\r\nUpgrade: websocket\r\n', '%', '?', '\xff'],
];

/** Makes malformed requests of a pool of genuine deliveries. */
export class Attempts {
  readonly #chance: Chance;
  readonly #pool: readonly Sent[];
  readonly #mutator: Mutator;

  constructor(chance: Chance, pool: readonly Sent[]) {
    this.#chance = chance;
    this.#pool = pool;
    this.#mutator = new Mutator(chance, pool.map(plain), WIRE_WORDS);
  }

  next(): Attempt {
    const chance = this.#chance;
    const draw = chance.next();
    if (draw < OVERSIZED) return this.#oversized();
    if (draw < 0.2) return this.#mutated();
    if (draw < 0.3) return this.#pipelined();
    if (draw < 0.33) return this.#harmless();
    return this.#broken();
  }

  genuine(): Sent {
    return this.#chance.of(this.#pool);
  }

  #broken(): Attempt {
    const kind = this.#chance.of(KINDS);
    // What leaves the body out of the proof would pass with an altered one.
    const signed = (): Sent => this.#chance.of(this.#pool.filter(isSigned));
    const proved = (): Sent => this.#chance.of(this.#pool.filter(hasProof));
    const sent =
      kind === 'repeated proof' ? proved() : kind.endsWith('body') ? signed() : this.genuine();
    const bytes = (BROKEN[kind] as Broken)(this.#chance, sent, this.#mutator);
    return { kind, bytes, mayPass: false, ...(WHOLE.has(kind) ? { answers: 1 } : {}) };
  }

  #oversized(): Attempt {
    const { url, headers } = this.genuine();
    const body = Buffer.alloc(300_000, 'a');
    return {
      kind: 'oversized body',
      bytes: plain({ url, headers, body }),
      mayPass: false,
      answers: 1,
    };
  }

  /** Somewhere a few bytes are changed, which may as well do no harm. */
  #mutated(): Attempt {
    const from = this.#chance.is(0.3) ? chunked(this.genuine(), [7, 30]) : plain(this.genuine());
    const bytes = this.#mutator.change(from, this.#chance.int(1, 4));
    return { kind: 'changed bytes', bytes, mayPass: true };
  }

  /** Several requests in one write; behind a broken one there may be a genuine one. */
  #pipelined(): Attempt {
    const parts: Attempt[] = [];
    for (let left = this.#chance.int(2, 4); left > 0; left--) {
      const isGenuine = this.#chance.is(0.4);
      const bytes = isGenuine ? plain(this.genuine()) : Buffer.alloc(0);
      parts.push(isGenuine ? { kind: '', bytes, mayPass: true } : this.#broken());
    }
    return {
      kind: 'pipelined',
      bytes: Buffer.concat(parts.map(({ bytes }) => bytes)),
      mayPass: parts.some(({ mayPass }) => mayPass),
    };
  }

  /** Odd, but nothing that changes what is said: Node reads a request without a version, too. */
  #harmless(): Attempt {
    const sent = this.genuine();
    const extra = this.#chance.of([
      {},
      { expect: '100-continue' },
      { connection: 'upgrade', upgrade: 'websocket' },
      { 'x-long': 'a'.repeat(10_000) },
      Object.fromEntries(Array.from({ length: 1_500 }, (_, index) => [`a${index}`, ''])),
      { 'content-encoding': 'identity' },
      { 'x-bytes': '\u00ff\u0080' },
    ]);
    const head = [...lines({ ...sent.headers, ...extra }), lengthOf(sent)];
    const first = Object.keys(extra).length === 0 ? `POST ${sent.url}` : firstLine(sent);
    return { kind: 'odd', bytes: request(first, head, sent.body), mayPass: true, answers: 1 };
  }
}

const signedBodies = new Set(SCHEMES.filter(({ signsBody }) => signsBody).map(({ name }) => name));

function hasProof({ headers }: Sent): boolean {
  return Object.keys(headers).some((name) => PROOF.test(name));
}

function isSigned({ scheme }: Sent): boolean {
  return signedBodies.has(scheme);
}
