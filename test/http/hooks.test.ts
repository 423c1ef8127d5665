import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Rejection } from '../../src/http/pipeline.ts';
import { dexchange, hatexcard, hitpay, type ProviderEvent } from '../../src/index.ts';
import { FRAMEWORKS } from '../servers.ts';
import {
  Client,
  codes,
  dex,
  hatex,
  head,
  isExpress,
  NOW,
  PAYMENT,
  PUBLIC,
  post,
  SALT,
  SECRET,
  serve,
  tap,
  unhandledDuring,
  until,
} from './support.ts';

describe.each(FRAMEWORKS)('%s: onRejected', (framework) => {
  const recording = (setup: Parameters<typeof serve>[1] = {}) => {
    const rejections: Rejection[] = [];
    const app = serve(framework, {
      ...setup,
      options: { ...setup.options, onRejected: (rejection) => rejections.push(rejection) },
    });
    return app.then((running) => ({ app: running, rejections }));
  };

  it('gets the error, the provider and the facts of the request', async () => {
    const { app, rejections } = await recording();
    const sent = hatex(PAYMENT, 'other');
    const headers = { ...sent.headers, 'content-type': 'Application/JSON; charset=utf-8' };
    await post(app, { ...sent, headers, path: '/webhook?token=private' });
    await until(() => rejections.length > 0);
    expect(rejections).toEqual([
      {
        error: app.errors[0],
        provider: 'hatexcard',
        request: {
          method: 'POST',
          path: '/webhook',
          contentType: 'application/json',
          bodyLength: sent.body.length,
        },
      },
    ]);
    expect(codes(app)).toEqual(['signature_mismatch']);
  });

  it('gets null for what is not known yet', async () => {
    const { app, rejections } = await recording();
    await post(app, { method: 'GET', path: '/webhook?a=b?c', headers: {}, body: '' });
    await until(() => rejections.length > 0);
    expect(rejections[0]).toMatchObject({
      error: { code: 'method_not_allowed' },
      provider: null,
      request: { method: 'GET', path: '/webhook', contentType: null, bodyLength: null },
    });
  });

  it.each([
    ['not_post', 'before a provider was chosen', () => hatexcard({ secret: SECRET }), 'PUT', ''],
    [
      'content_type',
      "with the route's own provider",
      hatexcard({ secret: SECRET }),
      'POST',
      'utf-7',
    ],
  ])('finds %s in what the head refuses %s', async (cause, _, provider, method, charset) => {
    const { app, rejections } = await recording({ provider });
    const sent = hatex();
    const headers = { ...sent.headers, 'content-type': `application/json; charset=${charset}` };
    await post(app, { ...sent, method, headers });
    await until(() => rejections.length > 0);
    expect(await rejections[0]?.diagnose()).toMatchObject({ cause, others: [] });
  });

  it('gets no content type that a sender made up', async () => {
    const { app, rejections } = await recording();
    for (const [type, shown] of [
      ['text/plain; charset=utf-8', 'text/plain'],
      ['multipart/form-data; boundary=x', 'multipart/form-data'],
      ['private/jane@shop.example', 'other'],
    ] as const) {
      await post(app, { ...hatex(), headers: { 'content-type': type } });
      await until(() => rejections.length > 0);
      expect(rejections.pop()).toMatchObject({ request: { contentType: shown } });
    }
  });

  it('gets no length of a body that was not read to its end', async () => {
    const { app, rejections } = await recording({ options: { limit: 10 } });
    await post(app, hatex());
    await until(() => rejections.length > 0);
    expect(rejections[0]).toMatchObject({
      error: { code: 'body_too_large' },
      provider: null,
      request: { bodyLength: null },
    });
  });

  it('gets the provider of a list that judged', async () => {
    const { app, rejections } = await recording({
      provider: [hitpay({ salt: SALT }), hatexcard({ secret: SECRET })],
    });
    await post(app, hatex(PAYMENT, 'other'));
    await post(app, { headers: { 'content-type': 'application/json' }, body: '{}' });
    await until(() => rejections.length > 1);
    expect(rejections.map(({ error, provider }) => [error.code, provider])).toEqual([
      ['signature_mismatch', 'hatexcard'],
      ['provider_unrecognized', null],
    ]);
  });

  it('gets the path as requested, before a router cut it', async () => {
    const { app, rejections } = await recording({
      before: [
        tap(framework, (req, _res, request) => {
          if (!isExpress(framework)) return;
          request.originalUrl = '/shops/1/webhook?token=private';
          req.url = '/webhook?token=private';
        }),
      ],
    });
    await post(app, { ...hatex(PAYMENT, 'other'), path: '/webhook?token=private' });
    await until(() => rejections.length > 0);
    expect(rejections[0]?.request.path).toBe(
      isExpress(framework) ? '/shops/1/webhook' : '/webhook',
    );
  });

  it('is called once for an aborted upload', async () => {
    const { app, rejections } = await recording();
    const client = await Client.open(app.port);
    client.send(head({ headers: { ...hatex().headers, 'content-length': '1000' } })).send('{');
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.socket.destroy();
    await until(() => rejections.length > 0);
    expect(rejections.map(({ error }) => error.code)).toEqual(['body_aborted']);
  });

  it('is not called for an accepted delivery, nor for an error that is not of payproof', async () => {
    const { app, rejections } = await recording({
      handler: () => {
        throw new Error('mine');
      },
    });
    expect((await post(app, hatex())).status).toBe(500);
    const thrower = await recording({
      provider: () => {
        throw new Error('mine');
      },
    });
    expect((await post(thrower.app, hatex())).status).toBe(500);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect([...rejections, ...thrower.rejections]).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('hook');
      },
    ],
    ['rejects', () => Promise.reject(new Error('hook'))],
    ['never ends', () => new Promise(() => {})],
    [
      'returns a thenable that throws',
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: a hostile thenable
        then() {
          throw new Error('hook');
        },
      }),
    ],
  ])('changes nothing if it %s', async (_, onRejected) => {
    const app = await serve(framework, { options: { onRejected } });
    const answer = await post(app, hatex(PAYMENT, 'other'));
    expect([answer.status, codes(app)]).toEqual([403, ['signature_mismatch']]);
    expect(answer.body).toContain(PUBLIC);
    expect((await post(app, hatex())).status).toBe(200);
  });
});

describe.each(FRAMEWORKS)('%s: onAccepted', (framework) => {
  it('gets the event before the handler', async () => {
    const order: unknown[] = [];
    const app = await serve(framework, {
      options: { onAccepted: (event) => order.push(['hook', event]) },
      handler: (event) => order.push(['handler', event]),
    });
    await post(app, hatex());
    expect(order).toEqual([
      ['hook', app.events[0]],
      ['handler', app.events[0]],
    ]);
  });

  it('is not called for a refused delivery', async () => {
    const events: ProviderEvent[] = [];
    const app = await serve(framework, { options: { onAccepted: (event) => events.push(event) } });
    expect((await post(app, hatex(PAYMENT, 'other'))).status).toBe(403);
    expect(codes(app)).toEqual(['signature_mismatch']);
    expect(events).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('hook');
      },
    ],
    ['rejects', () => Promise.reject(new Error('hook'))],
    ['never ends', () => new Promise(() => {})],
  ])('changes nothing if it %s', async (_, onAccepted) => {
    const app = await serve(framework, { options: { onAccepted } });
    expect((await post(app, hatex())).status).toBe(200);
    expect([app.events.length, app.errors]).toEqual([1, []]);
  });
});

describe.each(FRAMEWORKS)('%s: diagnostics_channel', (framework) => {
  const record = (name: string) => {
    const messages: unknown[] = [];
    const listen = (message: unknown) => messages.push(message);
    subscribe(name, listen);
    onTestFinished(() => void unsubscribe(name, listen));
    return messages;
  };

  it('publishes an accepted event on payproof:accepted', async () => {
    const accepted = record('payproof:accepted');
    const rejected = record('payproof:rejected');
    const app = await serve(framework);
    await post(app, hatex());
    expect(accepted).toEqual([{ event: app.events[0] }]);
    expect(rejected).toEqual([]);
  });

  it('publishes a rejection on payproof:rejected, with what onRejected gets', async () => {
    const accepted = record('payproof:accepted');
    const rejected = record('payproof:rejected');
    const rejections: Rejection[] = [];
    const app = await serve(framework, {
      provider: dexchange({ token: { secret: SECRET } }),
      options: { onRejected: (rejection) => rejections.push(rejection) },
    });
    await post(app, { ...dex(), path: '/webhook?payproof=private' });
    await until(() => rejections.length > 0);
    expect(rejected).toEqual(rejections);
    expect(rejected).toEqual([
      expect.objectContaining({
        error: expect.objectContaining({ code: 'token_mismatch' }),
        provider: 'dexchange',
        request: expect.objectContaining({ path: '/webhook' }),
      }),
    ]);
    expect(JSON.stringify(rejected)).not.toContain('private');
    expect(accepted).toEqual([]);
  });

  it('publishes a rejection where nobody else is told of it', async () => {
    const rejected = record('payproof:rejected');
    const app = await serve(framework);
    await post(app, hatex(PAYMENT, 'other'));
    expect(rejected).toEqual([
      expect.objectContaining({ error: expect.objectContaining({ code: 'signature_mismatch' }) }),
    ]);
  });
});

describe.each(FRAMEWORKS)('%s: clock', (framework) => {
  it('is asked once for each delivery, when its body is there', async () => {
    let asked = 0;
    const clock = () => {
      asked++;
      return NOW;
    };
    const app = await serve(framework, { options: { clock } });
    await post(app, hatex());
    await post(app, hatex(PAYMENT, 'other'));
    expect(asked).toBe(2);
  });

  it.each([
    new Date(Number.NaN),
    1_780_000_000_000,
    undefined,
  ])('accepts nothing at a time that is none: %s', async (time) => {
    const handler = vi.fn();
    const clock = () => time as unknown as Date;
    const app = await serve(framework, { options: { clock }, handler });
    expect((await post(app, hatex())).status).toBe(500);
    expect(handler).not.toHaveBeenCalled();
  });

  it('that fails asynchronously is told by its kind, and ends no process', async () => {
    const clock = async () => {
      throw new Error('no time');
    };
    const app = await serve(framework, { options: { clock: clock as never } });
    const unhandled = await unhandledDuring(async () => {
      expect((await post(app, hatex())).status).toBe(500);
    });
    expect([unhandled, app.errors]).toMatchObject([[], [{ name: 'TypeError' }]]);
  });

  it("is the system's by default", async () => {
    const app = await serve(framework, { options: { clock: undefined } });
    expect((await post(app, hatex())).status).toBe(200);
  });
});
