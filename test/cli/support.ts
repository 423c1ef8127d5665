import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { main } from '../../src/cli/main.ts';
import type { Io } from '../../src/cli/terminal.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BIN = `${ROOT}/dist/cli/payproof.js`;

/** Secrets that must never be seen anywhere. */
export const SECRETS = {
  HATEXCARD_SECRET: 'whsec_canary-hatexcard-1c9f',
  HITPAY_SALT: 'canary-hitpay-salt-77aa',
  HITPAY_EVENT_SALT: 'canary-hitpay-event-salt-31bd',
  DEXCHANGE_CALLBACK_SECRET: 'canary-dexchange-callback-08fe',
  DEXCHANGE_BEARER_TOKEN: 'canary-dexchange-bearer-5d21',
  DEXCHANGE_SIGNATURE_SECRET: 'canary-dexchange-signature-e6b0',
} as const;

export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Terminal {
  env?: Record<string, string>;
  stdin?: string | Buffer;
  /** What is typed where stdin is a terminal. */
  typed?: string;
  /** stdout and stderr are terminals. */
  isTTY?: boolean;
  interrupted?: Io['interrupted'];
  onOutput?: (text: string) => void;
}

/** Runs the program inside the test, so that its coverage counts. */
export async function inProcess(argv: readonly string[], terminal: Terminal = {}): Promise<Result> {
  const { env = SECRETS, stdin, typed, isTTY = false, interrupted = () => {}, onOutput } = terminal;
  const input = new PassThrough();
  if (typed !== undefined) Object.assign(input, { isTTY: true });
  input.end(typed ?? stdin ?? '');
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({
    isTTY,
    columns: 80,
    write(text: string) {
      written[name] += text;
      onOutput?.(text);
    },
  });
  const code = await main(argv, {
    env,
    stdin: input,
    stdout: output('stdout'),
    stderr: output('stderr'),
    interrupted,
  });
  return { code, ...written };
}

export interface Running {
  child: ChildProcess;
  ended: Promise<Result>;
}

/** Starts the built program as a process of its own. */
export function launch(
  argv: readonly string[],
  env: Record<string, string> = SECRETS,
  stdin: string | Buffer = '',
): Running {
  const child = spawn(process.execPath, [BIN, ...argv], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  const ended = once(child, 'close').then(([code]) => ({ code, stdout, stderr }));
  return { child, ended };
}

export const run = (...args: Parameters<typeof launch>): Promise<Result> => launch(...args).ended;

/** One of the examples, with the secrets above. */
export async function example(name: string): Promise<{ url: string; stop(): Promise<unknown> }> {
  const child = spawn(process.execPath, [`examples/${name}/server.mjs`], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, PORT: '0', ...SECRETS },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const gone = once(child, 'close');
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`${name} did not start`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('listening on ')) resolve(line.slice('listening on '.length));
    });
  });
  return {
    url,
    stop() {
      child.kill('SIGTERM');
      return gone;
    },
  };
}
