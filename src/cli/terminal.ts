import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/** A stream that may be a terminal. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** What a command may touch of its process, so that tests can stand in for it. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined };
  /** Results. */
  readonly stdout: Output;
  /** Messages. */
  readonly stderr: Output;
  /** Calls the listener when the user wants the program to end. */
  interrupted(listener: () => void): void;
}

/** A mistake of the user: exit code 2. */
export class UsageError extends Error {}

/** The command could not do its work for another reason: exit code 1. */
export class Failure extends Error {}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
export type Paint = (style: Style, text: string) => string;

const STYLES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** Colours where a terminal is, unless NO_COLOR is set (no-color.org) or the terminal is dumb. */
export function painter(output: Output, env: Io['env']): Paint {
  const isColoured = output.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
  return (style, text) => {
    const [on, off] = STYLES[style];
    return isColoured ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  };
}

/** A text that a stranger wrote, without what could steer the terminal, and not too long. */
export function printable(text: string, most = 200): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return plain.length <= most ? plain : `${plain.slice(0, most)}...`;
}

/** JSON without any control character: JSON itself escapes only the first 32, and terminals obey more. */
export function jsonText(value: unknown, space?: number): string {
  const escaped = (c: string) => `\\u00${c.charCodeAt(0).toString(16)}`;
  return JSON.stringify(value, null, space).replace(/[\u007f-\u009f]/g, escaped);
}

/** Asks for a secret without showing it. The question goes to stderr. */
export function ask(io: Io, question: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  io.stderr.write(question);
  const lines = createInterface({ input: io.stdin, output: silent, terminal: true });
  return new Promise((resolve, reject) => {
    let answer: string | undefined;
    lines.once('line', (line) => {
      answer = line;
      lines.close();
    });
    lines.once('SIGINT', () => lines.close());
    lines.once('close', () => {
      io.stderr.write('\n');
      if (answer === undefined) reject(new UsageError('no secret was given'));
      else resolve(answer.trim());
    });
  });
}

/** Lines of a name and a value, the values under each other. */
export function table(rows: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...rows.map(([name]) => lengthOf(name)));
  const space = (name: string) => ' '.repeat(width - lengthOf(name));
  return rows.map(([name, value]) => `  ${name}${space(name)}  ${value}\n`).join('');
}

/** Without the colours. */
function lengthOf(text: string): number {
  return text.split('\u001b').reduce((sum, part, index) => {
    return sum + (index === 0 ? part : part.replace(/^\[\d+m/, '')).length;
  }, 0);
}

/** A text in lines of the terminal's width, each with this before it. */
export function wrapped(text: string, before: string, columns?: number): string {
  // A terminal that does not know its width says 0.
  const width = Math.max(40, Math.min(columns || 80, 100)) - before.length;
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string;
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map((line) => `${before}${line}\n`).join('');
}
