import type { IncomingMessage, ServerResponse } from 'node:http';
import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

// Who touched a request, by the call stack at the moment of the touch. For the wiring check only.

/** Packages that only pass on what another one asked for. */
const CARRIERS = new Set([
  'payproof',
  'raw-body',
  'co-body',
  'inflation',
  'express',
  'router',
  'express4',
  'koa',
  'koa2',
  'koa-compose',
  'koa-router',
  '@koa/router',
  'finalhandler',
  'delegates',
  'ee-first',
  'http-errors',
  'send',
  'on-finished',
  'on-headers',
]);
const DEPTH = 50;

/** Watches who reads a request's body first. */
export function watchReader(req: IncomingMessage): () => string | null {
  let reader: string | null | undefined;
  const note = (): void => {
    reader ??= caller();
  };
  const readers = ['read', 'pipe', 'resume'] as const;
  const listeners = ['on', 'addListener', 'once'] as const;
  for (const name of [...readers, ...listeners]) {
    const original: (...args: never) => unknown = req[name];
    Object.assign(req, {
      [name](this: IncomingMessage, ...args: unknown[]) {
        const listens = listeners.some((one) => one === name);
        if (!listens || args[0] === 'data' || args[0] === 'readable') note();
        return Reflect.apply(original, this, args);
      },
    });
  }
  return () => reader ?? null;
}

/** Watches who decides on the status of an answer. */
export function watchAnswer(res: ServerResponse): () => string | null {
  let answerer: string | null = null;
  let status = res.statusCode;
  Object.defineProperty(res, 'statusCode', {
    configurable: true,
    enumerable: true,
    get: () => status,
    set(value: number) {
      status = value;
      answerer = caller() ?? answerer;
    },
  });
  const { writeHead } = res;
  Object.assign(res, {
    writeHead(this: ServerResponse, ...args: never[]) {
      answerer ??= caller();
      return (writeHead as (...all: never[]) => ServerResponse).apply(this, args);
    },
  });
  return () => answerer;
}

/** The package, or the file and line of the app, that is behind this call. */
function caller(): string | null {
  for (const { path, row } of callers()) {
    if (path === OWN || path.startsWith(OWN + sep)) continue;
    const parts = path.replaceAll('\\', '/').split('/node_modules/');
    const [scope = '', name = ''] = parts.at(-1)?.split('/') ?? [];
    if (parts.length === 1) return `${relative(process.cwd(), path)}:${row}`;
    const found = scope.startsWith('@') ? `${scope}/${name}` : scope;
    if (!CARRIERS.has(found)) return found;
  }
  return null;
}

/** The files and lines behind this call, this file's own first. */
function callers(): { path: string; row: string }[] {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = DEPTH;
  const { stack = '' } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return stack.split('\n').flatMap((line) => {
    const [, file = '', row = ''] =
      /^ *at (?:.*\()?(?:async )?([^()]+):(\d+):\d+\)?$/.exec(line) ?? [];
    if (file === '' || file.startsWith('node:')) return [];
    return [{ path: file.startsWith('file:') ? fileURLToPath(file) : file, row }];
  });
}

/**
 * Where payproof's own files are: `src` or `dist`, in which the CommonJS build is too; in a bundle, this file alone. By
 * the stack, since only it tells both ES modules and CommonJS.
 */
const OWN = callers()[0]?.path.replace(/(?:[\\/]cjs)?[\\/]testing[\\/]trace\.[jt]s$/, '');
