import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import type { Diagnosis } from '../core/diagnosis.ts';
import { isWebhookError, type WebhookError } from '../core/errors.ts';
import type { ProviderEvent } from '../core/event.ts';
import { diagnoser } from '../http/diagnosing.ts';
import { pipeline, type Rejection } from '../http/pipeline.ts';
import { diagnosisLines, eventLines } from './findings.ts';
import { wholeNumber } from './options.ts';
import { choose, judges, otherSecrets } from './secrets.ts';
import { Failure, type Io, jsonText, painter, printable, UsageError, wrapped } from './terminal.ts';

const HELP = `payproof listen --provider P [options]

Receives deliveries on every path, verifies them, and prints each with its explanation. It answers as
payproof does. Point a tunnel at it, and the provider's sandbox at the tunnel. Ctrl-C ends it.

  --provider P          hatexcard, hitpay, dexchange
  --scheme S            only this scheme (default: every one whose secret is set)
  --port N              default 3000; 0 takes a free one
  --host H              default 127.0.0.1
  --header NAME         dexchange: the header of bearer or signature
  --try VARIABLE        try the secret in this environment variable too, to explain a refusal;
                        may be repeated
  --json                one JSON object a line for each delivery
  --quiet               no messages; the deliveries only
`;

const OPTIONS = {
  provider: { type: 'string' },
  scheme: { type: 'string' },
  port: { type: 'string' },
  host: { type: 'string' },
  header: { type: 'string' },
  try: { type: 'string', multiple: true },
  json: { type: 'boolean' },
  quiet: { type: 'boolean', short: 'q' },
  help: { type: 'boolean', short: 'h' },
} as const;

const ADVICE = 'The raw body is gone.';
/** More than on a server: this is the merchant's own terminal, and explaining is all that it is for. */
const ALLOWANCE = { burst: 2_000, perSecond: 50 };

/** `payproof listen`. */
export async function listen(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
  });
  if (values.help) {
    io.stdout.write(HELP);
    return 0;
  }
  if (positionals.length > 0) throw new UsageError('listen takes options only');
  const { host = '127.0.0.1' } = values;
  const port = wholeNumber('port', values.port, 0, 65_535) ?? 3000;
  const chosen = choose(values.provider, values.scheme);
  const others = otherSecrets(values.try ?? [], io);
  const { providers, notes } = await judges(chosen, values.header, io, true);
  const counts = { verified: 0, refused: 0 };
  const print = printer(io, values.json === true);
  const diagnoses = new Set<Promise<unknown>>();
  const explained = async (rejection: Rejection): Promise<void> => {
    const { error } = rejection;
    const otherSecretsOption = others.length > 0 ? { otherSecrets: others } : {};
    const diagnosis = await rejection.diagnose(otherSecretsOption);
    print({ path: rejection.request.path, verdict: 'refused', error, diagnosis });
  };
  const receive = pipeline<IncomingMessage>(
    providers,
    {
      onRejected(rejection) {
        const work = explained(rejection).finally(() => diagnoses.delete(work));
        diagnoses.add(work);
      },
    },
    ADVICE,
    diagnoser(ALLOWANCE),
  );

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = req.url as string;
    try {
      const { event, run } = await receive({
        req,
        res,
        request: req,
        rawBody: undefined,
        body: undefined,
        url,
      });
      counts.verified++;
      const path = url.split('?', 1)[0] as string;
      print({ path, verdict: run ? 'verified' : 'verified again', event });
      res.writeHead(200, { 'content-type': 'text/plain' }).end('OK');
    } catch (error) {
      counts.refused++;
      const status = isWebhookError(error) ? error.status : 500;
      const message =
        isWebhookError(error) && error.expose ? error.message : 'Internal Server Error';
      if (!res.headersSent) res.writeHead(status, { 'content-type': 'text/plain' });
      res.end(message);
    }
  }

  const server = createServer((req, res) => void answer(req, res));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new Failure(`cannot listen on port ${port} (${error.code})`));
    });
    server.listen(port, host, resolve);
  });
  const { port: open } = server.address() as AddressInfo;
  // Before it says that it listens: whoever reads that may end it at once.
  const interrupted = new Promise<void>((resolve) => io.interrupted(resolve));
  const say = (text: string) => values.quiet || io.stderr.write(text);
  for (const note of notes) say(wrapped(note, 'note: ', io.stderr.columns));
  say(
    `listening on http://${host.includes(':') ? `[${host}]` : host}:${open} for ${chosen.provider}; Ctrl-C ends it\n`,
  );
  await interrupted;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
  await Promise.allSettled(diagnoses);
  say(`${counts.verified} verified, ${counts.refused} refused\n`);
  return 0;
}

/** One delivery, judged. */
interface Line {
  readonly path: string;
  readonly verdict: 'verified' | 'verified again' | 'refused';
  readonly event?: ProviderEvent;
  readonly error?: WebhookError;
  readonly diagnosis?: Diagnosis;
}

function printer({ stdout, env }: Io, isJson: boolean): (line: Line) => void {
  const paint = painter(stdout, env);
  return ({ path, verdict, event, error, diagnosis }) => {
    const time = new Date().toISOString();
    if (isJson) {
      const { code, status } = error ?? {};
      stdout.write(`${jsonText({ time, path, verdict, event, code, status, diagnosis })}\n`);
      return;
    }
    const what = event ? event.scheme : `${error?.code} (${error?.status})`;
    const colour = event ? 'green' : 'red';
    const head = `${paint('dim', time.slice(11, 19))}  ${paint(colour, verdict)}  ${what}  ${printable(path)}\n`;
    const more = event ? eventLines(event) : '';
    const why = diagnosis ? diagnosisLines(diagnosis, paint, stdout.columns) : '';
    stdout.write(`${head}${more}${why}\n`);
  };
}
