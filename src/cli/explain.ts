import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { parseArgs } from 'node:util';
import { type Diagnosis, diagnose } from '../core/diagnosis.ts';
import { isWebhookError, WebhookError } from '../core/errors.ts';
import type { ProviderEvent } from '../core/event.ts';
import type { Provider } from '../core/provider.ts';
import { verify } from '../core/verify.ts';
import { refuseByHead, sentType, typesOf } from '../http/head.ts';
import { DEFAULT_LIMIT } from '../http/pipeline.ts';
import { diagnosisLines, eventLines } from './findings.ts';
import { wholeNumber } from './options.ts';
import { readRequest, type SavedRequest } from './request.ts';
import { choose, judges, otherSecrets } from './secrets.ts';
import { type Io, jsonText, painter, UsageError, wrapped } from './terminal.ts';

const HELP = `payproof explain --provider P FILE [options]

Verifies a saved request. If it is refused: says why, and what to do.

  FILE, --request FILE  a raw HTTP request, a HAR file or one of its entries, or a curl command;
                        - reads stdin
  --provider P          hatexcard, hitpay, dexchange
  --scheme S            only this scheme (default: every one whose secret is set)
  --entry N             which entry of a HAR file, from 1
  --at TIME             judge its age as of this time: ISO 8601, Unix seconds, or now.
                        Default: the time that the request itself tells (HAR, Date, x-hatex-timestamp)
  --limit BYTES         how large a body the route takes (default 262144)
  --header NAME         dexchange: the header of bearer or signature
  --try VARIABLE        try the secret in this environment variable too (the sandbox's, the old one);
                        may be repeated
  --json                the result as JSON
  --quiet               nothing but the exit code (0 verified, 1 refused)
`;

const OPTIONS = {
  provider: { type: 'string' },
  request: { type: 'string' },
  scheme: { type: 'string' },
  entry: { type: 'string' },
  at: { type: 'string' },
  limit: { type: 'string' },
  header: { type: 'string' },
  try: { type: 'string', multiple: true },
  json: { type: 'boolean' },
  quiet: { type: 'boolean', short: 'q' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Nobody waits for an answer here. */
const THOROUGH = { maxTrials: 200_000, maxTime: 2_000 };
const MAX_REQUEST = 64 * 1024 * 1024;

/** `payproof explain`. */
export async function explain(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
  });
  if (values.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const files = [...positionals, ...(values.request === undefined ? [] : [values.request])];
  const [file] = files;
  if (file === undefined || files.length > 1) {
    throw new UsageError('give one saved request: a file, or - for stdin');
  }
  const chosen = choose(values.provider, values.scheme);
  const entry = wholeNumber('entry', values.entry, 1, 1_000_000);
  const limit = wholeNumber('limit', values.limit, 1, MAX_REQUEST) ?? DEFAULT_LIMIT;
  const others = otherSecrets(values.try ?? [], io);
  const [time, source] = timeOf(values.at, readRequest(await bytesOf(file, io), entry));
  const { request } = source;
  const { providers, notes: more } = await judges(chosen, values.header, io, file !== '-');
  const notes = [...request.notes, ...more];
  const { event, error } = judge(providers, request, time, limit);
  const diagnosis = error
    ? diagnose(providers, inputOf(request, time), {
        ...THOROUGH,
        error,
        otherSecrets: others.length > 0 ? others : undefined,
      })
    : null;
  if (values.json) {
    const result = {
      verified: error === null,
      at: time,
      atSource: source.name,
      notes,
    };
    const verdict = event ? { event } : { code: error?.code, status: error?.status, diagnosis };
    io.stdout.write(`${jsonText({ ...result, ...verdict }, 2)}\n`);
  } else if (!values.quiet) {
    for (const note of [...notes, `Judged as of ${time.toISOString()}: ${source.sentence}`]) {
      io.stderr.write(wrapped(note, 'note: ', io.stderr.columns));
    }
    io.stdout.write(shown(event, error, diagnosis, io));
  }
  return error === null ? 0 : 1;
}

async function bytesOf(file: string, { stdin }: Io): Promise<Buffer> {
  if (file !== '-') {
    const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      throw new UsageError(`the file of the request cannot be read (${error.code})`);
    });
    if (bytes.length > MAX_REQUEST) throw new UsageError('the request is too large');
    return bytes;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    chunks.push(Buffer.from(chunk));
    size += chunk.length;
    if (size > MAX_REQUEST) throw new UsageError('the request is too large');
  }
  return Buffer.concat(chunks);
}

interface Source {
  readonly request: SavedRequest;
  readonly name: 'option' | 'har' | 'date' | 'timestamp' | 'clock';
  readonly sentence: string;
}

/**
 * When the request counts as received: a saved request is old, and must not fail by that alone.
 *
 * @throws UsageError if the option is no time
 */
function timeOf(option: string | undefined, request: SavedRequest): [Date, Source] {
  if (option === 'now') return [new Date(), { request, name: 'clock', sentence: 'now.' }];
  if (option !== undefined) {
    const time = new Date(/^\d{1,10}$/.test(option) ? Number(option) * 1000 : option);
    if (Number.isNaN(+time)) throw new UsageError('--at: must be ISO 8601, Unix seconds, or now');
    return [time, { request, name: 'option', sentence: 'the time of --at.' }];
  }
  const hint = 'Use --at now to judge its age.';
  if (request.at) {
    return [request.at, { request, name: 'har', sentence: `the time in the HAR file. ${hint}` }];
  }
  const date = new Date(request.headers.date?.[0] ?? Number.NaN);
  if (!Number.isNaN(+date)) {
    return [date, { request, name: 'date', sentence: `the request's own Date. ${hint}` }];
  }
  const stamp = request.headers['x-hatex-timestamp']?.[0] ?? '';
  if (/^[1-9]\d{9}$/.test(stamp)) {
    const sentence = `the request's own x-hatex-timestamp. ${hint}`;
    return [new Date(Number(stamp) * 1000), { request, name: 'timestamp', sentence }];
  }
  return [new Date(), { request, name: 'clock', sentence: 'now; the request tells no time.' }];
}

/** As Node has them: of these headers the first counts, of others all. */
const SINGLE: readonly string[] = ['authorization', 'content-type'];

function nodeHeaders(headers: SavedRequest['headers']): IncomingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([name, values]) => [
      name,
      SINGLE.includes(name) ? values[0] : values.join(', '),
    ]),
  );
}

function inputOf({ headers, body, url }: SavedRequest, receivedAt: Date) {
  return { headers: nodeHeaders(headers), body, url, receivedAt };
}

/** As a route does. */
function judge(
  providers: readonly Provider[],
  request: SavedRequest,
  time: Date,
  limit: number,
): { event: ProviderEvent | null; error: WebhookError | null } {
  const input = inputOf(request, time);
  try {
    refuseByHead(request.method, input.headers);
    sentType(input.headers, typesOf(providers));
    if (request.body.length > limit) throw new WebhookError('body_too_large');
    return { event: verify(providers, input), error: null };
  } catch (error) {
    if (isWebhookError(error)) return { event: null, error };
    throw error;
  }
}

function shown(
  event: ProviderEvent | null,
  error: WebhookError | null,
  diagnosis: Diagnosis | null,
  { stdout, env }: Io,
): string {
  const paint = painter(stdout, env);
  if (event) return `${paint('green', 'verified')}  ${event.scheme}\n${eventLines(event)}`;
  const head = `${paint('red', 'refused')}  ${error?.code} (${error?.status})\n`;
  return head + diagnosisLines(diagnosis as Diagnosis, paint, stdout.columns);
}
