import { createHmac } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { afterAll, expect } from 'vitest';
import { callbackUrl, hatexcard, isWebhookError } from '../../src/index.ts';
import { type Framework, type Middleware, type Running, type Setup, start } from '../servers.ts';

export const SECRET = 'whsec_not-a-real-secret';
export const SALT = 'salt-not-a-real-secret';
export const NOW = new Date('2026-07-26T12:00:00Z');
export const PUBLIC = 'The delivery could not be authenticated.';

// ---- Servers -------------------------------------------------------------------------------------

const running: Running[] = [];
afterAll(() => Promise.all(running.map((app) => app.close())));

/**
 * Starts a server that is closed after the file; by default for Hatexcard, at the time `NOW`, and
 * without a memory, since most tests send one delivery several times.
 */
export async function serve(framework: Framework, setup: Partial<Setup> = {}): Promise<Running> {
  const app = await start(framework, {
    provider: hatexcard({ secret: SECRET }),
    ...setup,
    options: { clock: () => NOW, dedupe: false, ...setup.options },
  });
  running.push(app);
  return app;
}

export const isExpress = (framework: Framework): boolean => framework.startsWith('express');

// biome-ignore lint/suspicious/noExplicitAny: requests and responses as middleware changes them
export type Loose = any;

/** A middleware of the framework's own kind that looks at, or changes, the request. */
export function tap(
  framework: Framework,
  look: (req: Loose, res: Loose, request: Loose) => unknown,
): Middleware {
  return isExpress(framework)
    ? (req: Loose, res: Loose, next: Loose) =>
        Promise.resolve(look(req, res, req)).then(() => next(), next)
    : async (ctx: Loose, next: Loose) => {
        await look(ctx.req, ctx.res, ctx.request);
        return next();
      };
}

// ---- Deliveries ----------------------------------------------------------------------------------

export interface Sent {
  method?: string;
  path?: string;
  headers: Record<string, string>;
  body: string | Buffer;
}

export const hmac = (secret: string, ...parts: (string | Buffer)[]): string => {
  const mac = createHmac('sha256', secret);
  for (const part of parts) mac.update(part);
  return mac.digest('hex');
};

export const PAYMENT = {
  event: 'payment.success',
  transaction_id: 'HTX-1',
  order_id: 'CMD-1',
  amount: 1500,
  currency: 'HTG',
};

/** Hatexcard's scheme `body`, signed over whatever text is given. */
export function hatex(body: string | Buffer | object = PAYMENT, secret = SECRET): Sent {
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return {
    headers: { 'content-type': 'application/json', 'x-hatex-signature': hmac(secret, text) },
    body: text,
  };
}

/** Hatexcard's scheme `timestamped`. */
export function hatexAt(seconds: number | string, body = JSON.stringify(PAYMENT)): Sent {
  return {
    headers: {
      'content-type': 'application/json',
      'x-hatex-timestamp': `${seconds}`,
      'x-hatex-signature': hmac(SECRET, `${seconds}.`, body),
    },
    body,
  };
}

export const ORDER = {
  payment_id: '92965a2d-ece3-4ace-1245-494050c9a3c1',
  payment_request_id: '92965a20-dae5-4d89-a452-5fdfa382dbe1',
  phone: '',
  amount: '599.00',
  currency: 'SGD',
  status: 'completed',
  reference_number: 'ABC123',
};

/** HitPay's scheme `form`. */
export function hitpayForm(fields: Record<string, string> = ORDER, salt = SALT): Sent {
  const text = Object.keys(fields)
    .sort()
    .map((name) => name + fields[name])
    .join('');
  return {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ ...fields, hmac: hmac(salt, text) }).toString(),
  };
}

export const EVENT = {
  id: '9ef68f00-0000-4000-8000-000000000001',
  amount: 599,
  currency: 'SGD',
  status: 'completed',
  reference_number: 'ABC123',
  payments: [{ id: '9ef68f00-0000-4000-8000-000000000002', status: 'succeeded' }],
};

/** HitPay's scheme `event`. */
export function hitpayEvent(body: string | object = EVENT, salt = SALT): Sent {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    headers: { 'content-type': 'application/json', 'hitpay-signature': hmac(salt, text) },
    body: text,
  };
}

export const TRANSACTION = {
  id: 'MID123456789',
  externalTransactionId: 'ORDER-001',
  AMOUNT: 5000,
  STATUS: 'SUCCESS',
};

/** DExchange with the token of its order. */
export function dex(body: object = TRANSACTION, order = 'ORDER-001', secret = SECRET): Sent {
  const url = new URL(callbackUrl('https://shop.example/webhook', order, { secret }));
  return {
    path: url.pathname + url.search,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}

// ---- A client on a bare socket -------------------------------------------------------------------

/** An answer as it stood on the wire. */
export interface Answer {
  status: number;
  /** The first line. */
  line: string;
  /** Without `Date`; a header that occurs twice joined by a comma. */
  headers: Record<string, string>;
  body: string;
  /** Everything but `Date`, byte for byte. */
  raw: string;
}

/** Headers and their end; `Connection: close` unless it is given. */
export function head(
  { method = 'POST', path = '/webhook', headers }: Pick<Sent, 'method' | 'path' | 'headers'>,
  connection: 'close' | 'keep-alive' = 'close',
): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nHost: shop.example\r\nConnection: ${connection}\r\n${lines.join('')}\r\n`;
}

export class Client {
  readonly #chunks: Buffer[] = [];
  readonly #waiting = new Set<() => void>();
  readonly socket: Socket;
  readonly closed: Promise<void>;
  isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    // A connection that the server cuts shows as `close` too.
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      for (const wake of this.#waiting) wake();
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.isClosed = true;
        for (const wake of this.#waiting) wake();
        resolve();
      });
    });
  }

  /** @param stubborn goes on sending when the server has closed its side */
  static open(port: number, stubborn = false): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: stubborn });
      const client = new Client(socket);
      socket.once('connect', () => resolve(client));
      socket.once('error', reject);
    });
  }

  get received(): string {
    return Buffer.concat(this.#chunks).toString('latin1');
  }

  send(data: string | Buffer): this {
    this.socket.write(data);
    return this;
  }

  /**
   * Sends without end until the connection is gone.
   *
   * @param pause milliseconds between two blocks; without it, as fast as the server takes them
   */
  flood(block: Buffer, pause?: number): this {
    const open = (): boolean => !this.isClosed && this.socket.writable;
    if (pause !== undefined) {
      const timer = setInterval(() => open() && this.socket.write(block), pause);
      this.socket.once('close', () => clearInterval(timer));
      return this;
    }
    const pump = (): void => {
      while (open() && this.socket.write(block));
    };
    this.socket.on('drain', pump);
    pump();
    return this;
  }

  /** The n-th whole answer; an empty one with status 0 if the connection closed without it. */
  async answer(index = 0): Promise<Answer> {
    for (;;) {
      const answers = parseAnswers(this.received, this.isClosed);
      const found = answers[index];
      if (found) return found;
      if (this.isClosed) return { status: 0, line: '', headers: {}, body: '', raw: '' };
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }
}

function parseAnswers(text: string, ended: boolean): Answer[] {
  const answers: Answer[] = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) break;
    const [line = '', ...lines] = rest.slice(0, end).split('\r\n');
    const status = Number(line.split(' ')[1]);
    rest = rest.slice(end + 4);
    if (status === 100) continue;
    const kept = lines.filter((one) => !/^date:/i.test(one));
    const headers: Record<string, string> = {};
    for (const one of kept) {
      const name = one.slice(0, one.indexOf(':')).toLowerCase();
      const value = one.slice(one.indexOf(':') + 1).trim();
      headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
    }
    let body = '';
    const length = headers['content-length'];
    if (length !== undefined) {
      if (rest.length < Number(length)) break;
      body = rest.slice(0, Number(length));
      rest = rest.slice(Number(length));
    } else if (headers['transfer-encoding'] === 'chunked') {
      const last = rest.indexOf('0\r\n\r\n');
      if (last < 0) break;
      body = rest.slice(0, last);
      rest = rest.slice(last + 5);
    } else if (!ended) {
      break;
    }
    body = Buffer.from(body, 'latin1').toString();
    answers.push({ status, line, headers, body, raw: [line, ...kept, '', body].join('\r\n') });
  }
  return answers;
}

/** The delivery as one would send it: `Content-Length`, one write, one answer. */
export async function post(app: Running, sent: Sent): Promise<Answer> {
  const body = Buffer.from(sent.body as string);
  const client = await Client.open(app.port);
  const headers = { ...sent.headers, 'content-length': `${body.length}` };
  client.send(Buffer.concat([Buffer.from(head({ ...sent, headers })), body]));
  const answer = await client.answer();
  client.socket.destroy();
  return answer;
}

/** One chunk of a chunked body. */
export const chunk = (data: string | Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(`${Buffer.byteLength(data).toString(16)}\r\n`),
    Buffer.from(data as string),
    Buffer.from('\r\n'),
  ]);

export const LAST_CHUNK = '0\r\n\r\n';

// ---- What is expected ----------------------------------------------------------------------------

/**
 * The codes that the framework's error handling saw, and other errors as text. Koa reports a torn connection once more by
 * itself, with Node's own error.
 */
export const codes = (app: Running): unknown[] =>
  app.errors
    .filter((error) => !/^(HPE_|ECONN|EPIPE)/.test(String((error as { code?: unknown }).code)))
    .map((error) => (isWebhookError(error) ? error.code : String(error)));

const SENTENCES: Readonly<Record<number, string>> = {
  400: '',
  403: PUBLIC,
  405: 'A delivery is a POST request.',
  408: 'The body did not arrive in time.',
  409: 'The same event is being processed.',
  413: 'The body is larger than the limit.',
  415: '',
};

/** Refused once: the code for the log, the public answer for the client, nothing for the handler. */
export function expectRefused(app: Running, answer: Answer, status: number, code: string): void {
  expect({ status: answer.status, codes: codes(app), events: app.events }).toEqual({
    status,
    codes: [code],
    events: [],
  });
  expect(app.nexts).toBe(1);
  expect(answer.body).toContain(SENTENCES[status] ?? '');
  if (status < 500) expect(answer.body).not.toContain('node:');
  app.errors.length = 0;
}

export async function until(condition: () => boolean, ms = 2_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error('the condition did not come true in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** What nobody handled, which would end a merchant's process, while something runs and shortly after. */
export async function unhandledDuring(run: () => Promise<unknown>): Promise<unknown[]> {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  try {
    await run();
    await new Promise((resolve) => setTimeout(resolve, 10));
  } finally {
    process.off('unhandledRejection', note);
  }
  return unhandled;
}
