import vendia from '@vendia/serverless-express';
import express5 from 'express';
import express4 from 'express4';
import Koa3 from 'koa';
import Koa2 from 'koa2';
import inject from 'light-my-request';
import serverless from 'serverless-http';
import { describe, expect, it } from 'vitest';
import { paymentWebhook as expressWebhook } from '../../src/express.ts';
import { hatexcard } from '../../src/index.ts';
import { paymentWebhook as koaWebhook } from '../../src/koa.ts';
import { FRAMEWORKS, type Framework } from '../servers.ts';
import { hatex, isExpress, type Loose, NOW, PAYMENT, SECRET, type Sent } from './support.ts';

// Hosts that call the app with stand-ins for a request, a response and their connection.

type Host = (app: Loose) => (sent: Sent) => Promise<number>;

const asEvent1 = ({ headers, body }: Sent) => ({
  httpMethod: 'POST',
  path: '/webhook',
  headers,
  multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([k, v]) => [k, [v]])),
  queryStringParameters: null,
  body,
  isBase64Encoded: false,
  requestContext: { identity: { sourceIp: '203.0.113.7' }, stage: 'prod' },
});

const asEvent2 = ({ headers, body }: Sent) => ({
  version: '2.0',
  rawPath: '/webhook',
  rawQueryString: '',
  headers,
  body: Buffer.from(body as string).toString('base64'),
  isBase64Encoded: true,
  requestContext: { http: { method: 'POST', path: '/webhook', sourceIp: '203.0.113.7' } },
});

const HOSTS: [shown: string, host: Host][] = [
  [
    'serverless-http, API Gateway 1.0',
    (app) => {
      const handle: Loose = serverless(app);
      return async (sent) => (await handle(asEvent1(sent), {})).statusCode;
    },
  ],
  [
    'serverless-http, API Gateway 2.0',
    (app) => {
      const handle: Loose = serverless(app);
      return async (sent) => (await handle(asEvent2(sent), {})).statusCode;
    },
  ],
  [
    '@vendia/serverless-express, API Gateway 1.0',
    (app) => {
      const handle = (vendia as Loose)({ app: app.callback?.() ?? app });
      return async (sent) => (await handle(asEvent1(sent), {})).statusCode;
    },
  ],
  [
    '@vendia/serverless-express, API Gateway 2.0',
    (app) => {
      const handle = (vendia as Loose)({ app: app.callback?.() ?? app });
      return async (sent) => (await handle(asEvent2(sent), {})).statusCode;
    },
  ],
  [
    'light-my-request',
    (app) => async (sent) => {
      const listener = app.callback?.() ?? app;
      const request = { method: 'POST', url: '/webhook', ...sent } as const;
      return (await inject(listener, request)).statusCode;
    },
  ],
];

/** An app whose handler answers with this status. */
function appWith(framework: Framework, status: () => number) {
  const options = { clock: () => NOW };
  const provider = hatexcard({ secret: SECRET });
  if (isExpress(framework)) {
    const app: Loose = framework === 'express4' ? express4() : express5();
    app.set('env', 'test');
    return app.post('/webhook', expressWebhook(provider, options), (_req: Loose, res: Loose) =>
      res.sendStatus(status()),
    );
  }
  const app: Loose = framework === 'koa2' ? new Koa2() : new Koa3();
  app.silent = true;
  app.use(koaWebhook(provider, options));
  return app.use((ctx: Loose) => {
    ctx.status = status();
    ctx.body = 'done';
  });
}

describe.each(HOSTS)('%s', (_, host) => {
  it.each(
    FRAMEWORKS,
  )('%s: an event is done with its 2xx, and a forgery is refused', async (framework) => {
    let runs = 0;
    const send = host(
      appWith(framework, () => {
        runs++;
        return 200;
      }),
    );
    expect(await send(hatex(PAYMENT, 'not-the-secret'))).toBe(403);
    expect(await send(hatex())).toBe(200);
    expect(await send(hatex())).toBe(200);
    expect(runs).toBe(1);
  });

  it.each(FRAMEWORKS)('%s: an event whose handler fails runs again', async (framework) => {
    let runs = 0;
    const send = host(appWith(framework, () => (runs++ === 0 ? 500 : 200)));
    expect(await send(hatex())).toBe(500);
    expect(await send(hatex())).toBe(200);
    expect(await send(hatex())).toBe(200);
    expect(runs).toBe(2);
  });
});
