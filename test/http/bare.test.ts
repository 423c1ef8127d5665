import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { paymentWebhook as expressWebhook } from '../../src/express.ts';
import { hatexcard, isWebhookError } from '../../src/index.ts';
import { hatex, PAYMENT, SECRET } from './support.ts';

const provider = hatexcard({ secret: SECRET });

describe('the Express middleware on a bare node:http server', () => {
  it('serves and refuses, with the path of req.url for the log', async () => {
    const paths: string[] = [];
    const middleware = expressWebhook(provider, {
      dedupe: false,
      onRejected: ({ request }) => paths.push(request.path),
    });
    const server = createServer((req, res) => {
      middleware(req, res, (error) => {
        res.statusCode = isWebhookError(error) ? error.status : 200;
        res.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/bare?private`;
    const send = async ({ headers, body }: ReturnType<typeof hatex>) =>
      (await fetch(url, { method: 'POST', headers, body: String(body) })).status;
    expect(await send(hatex())).toBe(200);
    expect(await send(hatex(PAYMENT, 'other'))).toBe(403);
    await new Promise(setImmediate);
    expect(paths).toEqual(['/bare']);
  });
});

describe('the Express middleware where it cannot hand over', () => {
  /** Serves with a fault, and tells what `next` was called with. */
  async function serveWith(fault: (req: IncomingMessage, res: ServerResponse) => void) {
    const nexts: unknown[] = [];
    const middleware = expressWebhook(provider);
    const server = createServer((req, res) => {
      const { writeHead } = res;
      fault(req, res);
      middleware(req, res, (error) => {
        nexts.push(error);
        res.writeHead = writeHead;
        res.writeHead(error === undefined ? 200 : 500).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const { headers, body } = hatex();
    const post = async () =>
      (await fetch(url, { method: 'POST', headers, body: String(body) })).status;
    return { nexts, post };
  }

  it('calls next once, with the error, for a request whose properties cannot be set', async () => {
    const { nexts, post } = await serveWith((req) => {
      Object.defineProperty(req, 'rawBody', { get: () => undefined });
    });
    expect(await post()).toBe(500);
    expect(nexts).toEqual([expect.any(TypeError)]);
  });

  it('calls next once, with the error, where the answer to a redelivery fails', async () => {
    let isPatched = false;
    const { nexts, post } = await serveWith((_, res) => {
      if (!isPatched) return;
      res.writeHead = () => {
        throw new RangeError('another middleware has patched the response');
      };
    });
    expect(await post()).toBe(200);
    isPatched = true;
    expect(await post()).toBe(500);
    expect(nexts).toEqual([undefined, expect.any(RangeError)]);
  });
});
