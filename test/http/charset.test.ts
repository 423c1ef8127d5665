import koaParser6 from '@koa/bodyparser';
import express5 from 'express';
import express4 from 'express4';
import { koaBody } from 'koa-body';
import koaParser4 from 'koa-bodyparser';
import { describe, expect, it } from 'vitest';
import { hatexcard, hitpay, type Provider } from '../../src/index.ts';
import { FRAMEWORKS, type Framework, type Middleware } from '../servers.ts';
import {
  codes,
  expectRefused,
  hatex,
  hitpayForm,
  isExpress,
  post,
  SALT,
  SECRET,
  type Sent,
  serve,
  tap,
} from './support.ts';

/** A provider that tells whether it was asked anything about a delivery. */
function watched(inner: Provider) {
  const asked: string[] = [];
  const provider: Provider = {
    ...inner,
    recognizes: (delivery) => {
      asked.push('recognizes');
      return inner.recognizes(delivery);
    },
    authenticate: (delivery) => {
      asked.push('authenticate');
      return inner.authenticate(delivery);
    },
  };
  return { provider, asked };
}

const typed = (sent: Sent, type: string): Sent => ({
  ...sent,
  headers: { ...sent.headers, 'content-type': type },
});

const OTHER = [
  'application/json; charset=utf-7',
  'application/json; charset="utf-7"',
  'application/json; charset=UTF-7',
  'APPLICATION/JSON; CHARSET=UTF-7',
  'application/json;charset=utf-7',
  'application/json ; charset = utf-7',
  'application/json; charsetx=utf-8',
  'application/json; charset=iso-8859-1',
  'application/json; charset=xutf-8',
  'application/json; charset="ISO-8859-1"',
  'application/json; charset=utf-16',
  'application/json; charset=utf-16le',
  'application/json; charset=utf-32',
  'application/json; charset=utf-8-2',
  'application/json; charset=utf-7-imap',
  'application/json; charset=',
  'application/json; charset=""',
  'application/json; charset="utf-\\7"',
  // A parser takes the last of several, and reads what is quoted as a text.
  'application/json; charset=utf-8; charset=utf-7',
  'application/json; charset=utf-7; charset=utf-8',
  'application/json; boundary="; charset=utf-8"; charset=utf-7',
  'application/json; boundary=x; charset=utf-7',
];

const ONLY_UTF8 = [
  'application/json; charset=utf-8',
  'application/json; charset=UTF-8',
  'application/json; charset="utf-8"',
  'application/json; charset="UTF-8"',
  'application/json;charset=utf8',
  'application/json; Charset=UTF8; boundary=x',
  'application/json; charset=utf-8; charset="UTF-8"',
  'application/json; boundary=x',
];

describe.each(FRAMEWORKS)('%s: a charset', (framework) => {
  it.each(OTHER)('415 for %s, before any secret', async (type) => {
    const { provider, asked } = watched(hatexcard({ secret: SECRET }));
    const fixed = await serve(framework, { provider });
    const answer = await post(fixed, typed(hatex(), type));
    expectRefused(fixed, answer, 415, 'content_type_unsupported');
    let chosen = 0;
    const app = await serve(framework, {
      provider: () => {
        chosen++;
        return provider;
      },
    });
    expectRefused(app, await post(app, typed(hatex(), type)), 415, 'content_type_unsupported');
    expect([asked, chosen]).toEqual([[], 0]);
  });

  it.each(ONLY_UTF8)('accepts %s', async (type) => {
    const app = await serve(framework);
    expect((await post(app, typed(hatex(), type))).status).toBe(200);
  });

  it('of a form is judged alike', async () => {
    const form = 'application/x-www-form-urlencoded';
    for (const charset of ['iso-8859-1', 'utf-7', '"UTF-7"']) {
      const app = await serve(framework, { provider: hitpay({ salt: SALT }) });
      const answer = await post(app, typed(hitpayForm(), `${form}; charset=${charset}`));
      expectRefused(app, answer, 415, 'content_type_unsupported');
    }
    const app = await serve(framework, { provider: hitpay({ salt: SALT }) });
    const answer = await post(app, typed(hitpayForm(), `${form}; charset="UTF-8"`));
    expect(answer.status).toBe(200);
  });
});

/** Parsers that leave bytes which the signature fits, and beside them what they read. */
function parsers(framework: Framework): [name: string, parser: Middleware][] {
  if (!isExpress(framework)) {
    return [
      ['koa-bodyparser', koaParser4()],
      ['@koa/bodyparser', koaParser6()],
      ['koa-body', koaBody({ includeUnparsed: true })],
    ];
  }
  const express = framework === 'express4' ? express4 : express5;
  const verify = (req: object, _res: unknown, bytes: Buffer) => {
    Object.assign(req, { rawBody: bytes });
  };
  return [['express.json({ verify })', express.json({ verify })]];
}

describe.each(FRAMEWORKS)('%s: a genuine body that is another one in UTF-7', (framework) => {
  // A buyer chose the order's name; `+ACI-` is a quotation mark in UTF-7.
  const sent = hatex(
    '{"event":"payment.success","transaction_id":"HTX-1",' +
      '"order_id":"CMD-1+ACI-,+ACI-order_id+ACI-:+ACI-CMD-9","amount":1500,"currency":"HTG"}',
  );

  it.each(parsers(framework))('never reaches a handler behind %s', async (_, parser) => {
    for (const type of OTHER.filter((one) => /utf-7\b/i.test(one))) {
      const read: unknown[] = [];
      const look = tap(framework, (_req, _res, request) => read.push(request.body?.order_id));
      const { provider, asked } = watched(hatexcard({ secret: SECRET }));
      const app = await serve(framework, { before: [parser, look], provider });
      const answer = await post(app, typed(sent, type));
      // Some parsers refuse such a type themselves.
      expect([answer.status, app.events, asked], type).toEqual([415, [], []]);
      if (read.length > 0) expect(codes(app)).toEqual(['content_type_unsupported']);
      // Or the rest would prove nothing: this parser read what nobody signed.
      if (isExpress(framework) && type === OTHER[0]) expect(read).toEqual(['CMD-9']);
    }
  });

  it.each(parsers(framework))('is its own self in UTF-8 behind %s', async (_, parser) => {
    const app = await serve(framework, { before: [parser] });
    const answer = await post(app, typed(sent, 'application/json; charset="UTF-8"'));
    expect(answer.status).toBe(200);
    expect(app.events[0]?.reference).toBe('CMD-1+ACI-,+ACI-order_id+ACI-:+ACI-CMD-9');
  });
});
