import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Rejection } from '../../src/http/pipeline.ts';
import type { Diagnosis } from '../../src/index.ts';
import { start } from '../servers.ts';
import { NOW, type Sent, type Setup } from './deliveries.ts';

export * from './deliveries.ts';

export interface Refused {
  status: number;
  answer: string;
  rejection: Rejection;
  diagnosis: Diagnosis;
  error: unknown;
}

/** Delivers to a real server, and gives what its `onRejected` found out. */
export async function refused(setup: Setup, sent: Sent): Promise<Refused> {
  const { framework = 'express5', proxy } = setup;
  let settle: (found: [Rejection, Diagnosis]) => void;
  let fail: (error: unknown) => void;
  const found = new Promise<[Rejection, Diagnosis]>((resolve, reject) => {
    settle = resolve;
    fail = reject;
  });
  const app = await start(framework, {
    provider: setup.provider,
    ...(setup.before && { before: setup.before }),
    options: {
      clock: () => NOW,
      dedupe: false,
      ...setup.options,
      onRejected: (rejection) =>
        // `maxTime` far away, so that a slow machine finds the same.
        rejection
          .diagnose({ maxTime: 60_000, ...setup.diagnosis })
          .then((diagnosis) => settle([rejection, diagnosis]), fail),
    },
  });
  onTestFinished(() => app.close());
  const port = proxy ? await proxied(app.port, proxy) : app.port;
  const { status, body } = await post(port, sent);
  if (status < 400) throw new Error(`the delivery was accepted: ${status}`);
  const [rejection, diagnosis] = await found;
  return { status, answer: body, rejection, diagnosis, error: app.errors[0] };
}

export function post(port: number, sent: Sent): Promise<{ status: number; body: string }> {
  const { method = 'POST', path = '/webhook', headers = {}, body = '' } = sent;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        port,
        host: '127.0.0.1',
        method,
        path,
        headers: { ...headers, 'content-length': Buffer.byteLength(body) },
        agent: false,
      },
      (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk) => chunks.push(chunk));
        res.on('end', () =>
          resolve({ status: res.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** A small HTTP proxy that changes what passes. */
async function proxied(port: number, change: NonNullable<Setup['proxy']>): Promise<number> {
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk);
    const { host: _, connection: __, 'content-length': ___, ...headers } = req.headers;
    const changed = change({
      method: req.method ?? '',
      path: req.url ?? '',
      headers: headers as Record<string, string>,
      body: Buffer.concat(chunks),
    });
    const answer = await post(port, changed);
    res.writeHead(answer.status).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    // Connections that are kept alive would keep the process.
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}
