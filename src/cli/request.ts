import { isUtf8 } from 'node:buffer';
import { isObject } from '../core/json.ts';
import { UsageError } from './terminal.ts';

/** A request that was saved. */
export interface SavedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly body: Buffer;
  /** When it was made, where the file says so. */
  readonly at: Date | null;
  /** What was assumed in reading it. */
  readonly notes: readonly string[];
}

type Header = readonly [name: string, value: string];

/**
 * Reads a saved request: raw HTTP, an entry of a HAR file (or a file with one), or a `curl` command.
 *
 * @param entry which entry of a HAR file, from 1
 * @throws UsageError if it is none of them
 */
export function readRequest(file: Buffer, entry: number | undefined): SavedRequest {
  const bytes = utf8Of(file);
  const request = readUtf8(bytes, entry);
  if (bytes === file) return request;
  const note = 'The file is UTF-16: its body is taken as UTF-8.';
  return { ...request, notes: [...request.notes, note] };
}

/** What PowerShell redirects into a file is UTF-16, with a byte order mark. */
function utf8Of(file: Buffer): Buffer {
  const pairs = file.subarray(0, file.length - (file.length % 2));
  if (file[0] === 0xff && file[1] === 0xfe) return Buffer.from(pairs.toString('utf16le'));
  if (file[0] !== 0xfe || file[1] !== 0xff) return file;
  return Buffer.from(Buffer.from(pairs).swap16().toString('utf16le'));
}

function readUtf8(bytes: Buffer, entry: number | undefined): SavedRequest {
  const text = bytes.toString().replace(/^\ufeff/, '');
  if (text.trim() === '') throw new UsageError('the request is empty');
  if (/^\s*\{/.test(text)) return readHar(text, entry);
  if (/^\s*(?:[$>] +)?curl(?:\.exe)?\s/.test(text)) return readCurl(text);
  return readHttp(bytes);
}

function collect(headers: readonly Header[]): Record<string, string[]> {
  // Without a prototype, so that a header of any name is one like the others.
  const all: Record<string, string[]> = Object.create(null);
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    all[key] ??= [];
    all[key].push(value);
  }
  return all;
}

function pathOf(url: string): string {
  if (url.startsWith('/')) return url;
  const absolute = /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `http://${url}`;
  if (!URL.canParse(absolute)) throw new UsageError('the URL of the request cannot be read');
  // Not `pathname`, which writes some characters anew.
  return absolute
    .replace(/^[^/]*\/\/[^/?#]*/, '')
    .replace(/#.*/s, '')
    .replace(/^(?!\/)/, '/');
}

// ---- Raw HTTP ------------------------------------------------------------------------------------

function readHttp(bytes: Buffer): SavedRequest {
  // As bytes: the body may be anything.
  const raw = bytes
    .toString('latin1')
    .replace(/^\u00ef\u00bb\u00bf/, '')
    .replace(/^(?:\r?\n)+/, '');
  const end = /\r?\n\r?\n/.exec(raw);
  const head = (end === null ? raw : raw.slice(0, end.index)).split(/\r?\n/);
  const [, method = '', target = ''] =
    /^([A-Z]+) +(\S+)(?: +HTTP\/[\d.]+)? *$/.exec(head[0] ?? '') ?? [];
  if (method === '') {
    throw new UsageError(
      'this is no request: it must begin with a line such as POST /webhooks/hitpay HTTP/1.1, or be a HAR entry or a curl command',
    );
  }
  const lines = head.slice(1).filter((line) => line.trim() !== '');
  const headers = collect(
    lines.map((line): Header => {
      const [, name = '', value = ''] = /^([^\s:]+):(.*)$/.exec(line) ?? [];
      if (name === '') throw new UsageError('a line of the head is no header');
      return [name, value.trim()];
    }),
  );
  const rest = Buffer.from(end === null ? '' : raw.slice(end.index + end[0].length), 'latin1');
  const notes: string[] = [];
  const body = bodyOf(rest, headers, notes);
  return { method, url: pathOf(target), headers, body, at: null, notes };
}

function bodyOf(rest: Buffer, headers: Record<string, string[]>, notes: string[]): Buffer {
  if (headers['transfer-encoding']?.some((value) => /chunked/i.test(value))) {
    const whole = dechunked(rest);
    if (whole !== null) return whole;
    notes.push('Transfer-Encoding says chunked, but the body has no chunks: taken as it is.');
    return rest;
  }
  const [said] = headers['content-length'] ?? [];
  const length = said !== undefined && /^\d{1,15}$/.test(said) ? Number(said) : null;
  if (said !== undefined && length === null) {
    notes.push('Content-Length is no number of bytes: it is ignored.');
  }
  if (length === null) {
    const trimmed = rest.toString('latin1').replace(/\r?\n$/, '');
    if (trimmed.length === rest.length) return rest;
    notes.push('Without a Content-Length, a line break at the end of the file is left out.');
    return Buffer.from(trimmed, 'latin1');
  }
  if (rest.length > length) {
    notes.push(
      `Content-Length is ${length}: ${rest.length - length} bytes behind it are left out.`,
    );
    return rest.subarray(0, length);
  }
  if (rest.length < length) {
    notes.push(`Content-Length is ${length}, but the file holds ${rest.length} bytes of body.`);
  }
  return rest;
}

function dechunked(bytes: Buffer): Buffer | null {
  const raw = bytes.toString('latin1');
  const chunks: string[] = [];
  let at = 0;
  for (;;) {
    const [line = '', size = ''] =
      /^([0-9a-f]{1,8})(?:;[^\r\n]*)?\r?\n/i.exec(raw.slice(at, at + 200)) ?? [];
    if (line === '') return null;
    const length = Number.parseInt(size, 16);
    at += line.length;
    if (length === 0) return Buffer.from(chunks.join(''), 'latin1');
    chunks.push(raw.slice(at, at + length));
    const after = /^\r?\n/.exec(raw.slice(at + length, at + length + 2));
    if (after === null) return null;
    at += length + after[0].length;
  }
}

// ---- HAR -----------------------------------------------------------------------------------------

interface HarEntry {
  startedDateTime?: unknown;
  request?: {
    method?: unknown;
    url?: unknown;
    headers?: { name?: unknown; value?: unknown }[];
    postData?: {
      mimeType?: unknown;
      text?: unknown;
      encoding?: unknown;
      params?: { name?: unknown; value?: unknown }[];
    };
  };
}

function readHar(text: string, entry: number | undefined): SavedRequest {
  let value: { log?: { entries?: unknown } } & HarEntry;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError('the file begins like a HAR, but is no JSON');
  }
  const list: HarEntry[] = Array.isArray(value.log?.entries)
    ? value.log.entries
    : [value.request ? value : ({ request: value as HarEntry['request'] } as HarEntry)];
  const chosen = list.length === 1 && entry === undefined ? list[0] : list[(entry ?? 0) - 1];
  if (chosen === undefined) {
    throw new UsageError(`the HAR has ${list.length} entries: choose one by --entry N (from 1)`);
  }
  const { request, startedDateTime } = Object(chosen) as HarEntry;
  if (typeof request?.url !== 'string' || typeof request.method !== 'string') {
    throw new UsageError('this JSON is no HAR entry: it has no request with method and url');
  }
  const pairs = (Array.isArray(request.headers) ? request.headers : [])
    .filter(isObject)
    .map(({ name, value: one }): Header => [textOf(name), textOf(one)])
    // HTTP/2 writes method and path among the headers.
    .filter(([name]) => !name.startsWith(':'));
  const { postData } = request;
  const headers = collect(pairs);
  if (!headers['content-type'] && typeof postData?.mimeType === 'string') {
    headers['content-type'] = [postData.mimeType];
  }
  const notes: string[] = [];
  const started = new Date(typeof startedDateTime === 'string' ? startedDateTime : Number.NaN);
  return {
    method: request.method.toUpperCase(),
    url: pathOf(request.url),
    headers,
    body: harBody(postData, notes),
    at: Number.isNaN(+started) ? null : started,
    notes,
  };
}

/** A number as it is written. `String` would throw for an object whose `toString` is no function. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : `${JSON.stringify(value)}`;
}

function harBody(postData: NonNullable<HarEntry['request']>['postData'], notes: string[]): Buffer {
  if (typeof postData?.text === 'string') {
    return Buffer.from(postData.text, postData.encoding === 'base64' ? 'base64' : 'utf8');
  }
  if (!Array.isArray(postData?.params)) return Buffer.alloc(0);
  notes.push('The HAR holds only the parsed fields of the form: its body is written anew.');
  const pairs = postData.params
    .filter(isObject)
    .map(({ name, value }): Header => [textOf(name), textOf(value ?? '')]);
  return Buffer.from(new URLSearchParams(pairs as [string, string][]).toString());
}

// ---- curl ----------------------------------------------------------------------------------------

/** Options that take a value and change nothing here. */
const IGNORED = new Set(
  `-o --output -w --write-out -m --max-time --connect-timeout --retry --cacert -E --cert --key
   -x --proxy -c --cookie-jar --resolve --ciphers --interface --limit-rate`.split(/\s+/),
);
const METHOD = new Set(['-X', '--request']);
const HEADER = new Set(['-H', '--header']);
const DATA = new Set([
  '-d',
  '--data',
  '--data-ascii',
  '--data-raw',
  '--data-binary',
  '--data-urlencode',
  '--json',
]);
const AS_HEADER: Readonly<Record<string, string>> = {
  '-A': 'user-agent',
  '--user-agent': 'user-agent',
  '-e': 'referer',
  '--referer': 'referer',
  '-b': 'cookie',
  '--cookie': 'cookie',
};
const WITH_VALUE = /^-[XHdAebowmuExcFT]$/;

function readCurl(text: string): SavedRequest {
  const words = shellWords(forPosix(text.replace(/^\s*(?:[$>] +)?/, ''))).slice(1);
  const headers: Header[] = [];
  const data: string[] = [];
  let method: string | undefined;
  let url: string | undefined;
  let type = 'application/x-www-form-urlencoded';
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    const [option, attached] = splitOption(word);
    const value = (): string => {
      const one = attached ?? words[++at];
      if (one === undefined) throw new UsageError(`curl: ${option} has no value`);
      return one;
    };
    if (METHOD.has(option)) method = value();
    else if (HEADER.has(option)) headers.push(...headerOf(value()));
    else if (DATA.has(option)) {
      if (option === '--json') type = 'application/json';
      data.push(dataOf(option, value()));
    } else if (Object.hasOwn(AS_HEADER, option))
      headers.push([AS_HEADER[option] as string, value()]);
    else if (option === '-u' || option === '--user') {
      headers.push(['authorization', `Basic ${Buffer.from(value()).toString('base64')}`]);
    } else if (option === '--url') url = value();
    else if (IGNORED.has(option)) value();
    else if (option === '-F' || option === '--form' || option === '-T' || option === '-G') {
      throw new UsageError(`curl: ${option} makes no request that a provider sends`);
    } else if (!word.startsWith('-') || word === '-') url ??= word;
  }
  if (url === undefined) throw new UsageError('curl: the command has no URL');
  const all = collect(headers);
  if (data.length > 0 && !all['content-type']) all['content-type'] = [type];
  return {
    method: method ?? (data.length > 0 ? 'POST' : 'GET'),
    url: pathOf(url),
    headers: all,
    body: Buffer.from(data.join(type === 'application/json' ? '' : '&')),
    at: null,
    notes: [],
  };
}

/** `--header=x`, `-Hx` and `-sXPOST` as an option and its value. */
function splitOption(word: string): [option: string, attached: string | undefined] {
  const [, long, value] = /^(--[a-z-]+)=(.*)$/s.exec(word) ?? [];
  if (long !== undefined) return [long, value];
  if (!/^-[A-Za-z]./s.test(word)) return [word, undefined];
  for (let at = 1; at < word.length; at++) {
    const option = `-${word[at]}`;
    if (!WITH_VALUE.test(option)) continue;
    return [option, at + 1 < word.length ? word.slice(at + 1) : undefined];
  }
  return [word, undefined];
}

function headerOf(text: string): Header[] {
  const colon = text.indexOf(':');
  // `Name;` sends an empty header, `Name:` none.
  if (colon < 1) return text.endsWith(';') ? [[text.slice(0, -1).trim(), '']] : [];
  const value = text.slice(colon + 1).trim();
  return value === '' ? [] : [[text.slice(0, colon).trim(), value]];
}

function dataOf(option: string, text: string): string {
  if (option === '--data-urlencode') {
    const equals = text.indexOf('=');
    const encode = (one: string) => encodeURIComponent(one).replaceAll('%20', '+');
    return equals < 0
      ? encode(text)
      : text.slice(0, Math.max(equals + 1, 1)).replace(/^=/, '') + encode(text.slice(equals + 1));
  }
  if (option !== '--data-raw' && text.startsWith('@')) {
    throw new UsageError(
      'curl: the body is in another file (@...): put it into the command, or save the request as raw HTTP',
    );
  }
  return text;
}

const ANSI_C: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  e: '\u001b',
  E: '\u001b',
  f: '\f',
  v: '\v',
  n: '\n',
  r: '\r',
  t: '\t',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '?': '?',
};

/**
 * A command for cmd.exe, as browsers copy it, as one for a POSIX shell. They put a caret before each
 * quotation mark, so cmd.exe sees none, and each caret stands for what follows it.
 */
function forPosix(command: string): string {
  if (/^curl(?:\.exe)?\s+\^"/.test(command)) {
    return command
      .replace(/\^(?:\r?\n)?(\r?\n|[\s\S])/g, (_, one: string) => one)
      .replace(/[$`]/g, (one) => `\\${one}`);
  }
  if (command.split(/\r?\n/, 1)[0]?.endsWith(' ^')) {
    throw new UsageError(
      'curl: the command is for cmd.exe; copy it for bash, or save the request as raw HTTP',
    );
  }
  return command;
}

/** The words of a command as a POSIX shell (and `$'...'`) reads them; nothing is expanded. */
function shellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let at = 0;
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    const [found = null] = pattern.exec(text) ?? [];
    if (found !== null) at += found.length;
    return found;
  };
  while (at < text.length) {
    const quoted = take(/'[^']*'/y);
    if (quoted !== null) {
      word = (word ?? '') + quoted.slice(1, -1);
      continue;
    }
    const ansi = take(/\$'[^'\\]*(?:\\[\s\S][^'\\]*)*'/y);
    if (ansi !== null) {
      word = (word ?? '') + unescapeAnsi(ansi.slice(2, -1));
      continue;
    }
    const double = take(/"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y);
    if (double !== null) {
      refuseExpansion(double);
      word =
        (word ?? '') +
        double
          .slice(1, -1)
          .replace(/\\(\r?\n|[\\"$`])/g, (_, c: string) => (/\n/.test(c) ? '' : c));
      continue;
    }
    if (take(/\\\r?\n/y) !== null) continue;
    if (take(/\s+/y) !== null) {
      if (word !== null) words.push(word);
      word = null;
      continue;
    }
    // The command ends here: a pipe, a redirection, the next one.
    if (take(/[|;<>]|&(?=&|\s|$)/y) !== null) break;
    const plain = take(/\\[\s\S]|[^\s'"\\|;<>]/y);
    if (plain === null) throw new UsageError('curl: a quotation mark has no partner');
    refuseExpansion(plain === '$' ? text.slice(at - 1, at + 1) : '');
    word = (word ?? '') + plain.replace(/^\\/, '');
  }
  if (word !== null) words.push(word);
  return words;
}

function refuseExpansion(text: string): void {
  if (/(?:^|[^\\])(?:\$[\w{(]|`)/.test(text)) {
    throw new UsageError(
      'curl: the command has shell variables; save it with their values in place',
    );
  }
}

function unescapeAnsi(text: string): string {
  return text.replace(
    /((?:\\x[0-9a-fA-F]{1,2}|\\[0-7]{1,3})+)|\\(?:u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([\s\S]))/g,
    (_, bytes?: string, u?: string, long?: string, c?: string) => {
      if (bytes !== undefined) return ofBytes(bytes);
      const hex = u ?? long;
      if (hex === undefined) return ANSI_C[c ?? ''] ?? `\\${c}`;
      const code = Number.parseInt(hex, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
    },
  );
}

/** `\xc3\251`: bytes in hex and in octal, of which several make a character. */
function ofBytes(escapes: string): string {
  const numbers = escapes
    .slice(1)
    .split('\\')
    .map((one) =>
      one.startsWith('x') ? Number.parseInt(one.slice(1), 16) : Number.parseInt(one, 8),
    );
  const bytes = Buffer.from(numbers);
  if (isUtf8(bytes)) return bytes.toString();
  throw new UsageError('curl: bytes that are not UTF-8; save the request as raw HTTP');
}
