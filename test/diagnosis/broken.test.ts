import koaBodyparser from '@koa/bodyparser';
import bodyParser from 'body-parser';
import express from 'express';
import { koaBody } from 'koa-body';
import { describe, expect, it } from 'vitest';
import { hatexcard, hitpay } from '../../src/index.ts';
import { BODY, type Case, GROUPS, type Group, OTHER, PROVEN } from './setups.ts';
import {
  hatex,
  hitpayForm,
  ORDER,
  PAYMENT,
  phpJson,
  phpPretty,
  pythonJson,
  refused,
  SALT,
  SECRET,
  type Setup,
} from './support.ts';

// Each broken set-up as a real server meets it; here also those that have a parser before payproof.

describe.each([...GROUPS, jsonBehindAParser(), formBehindAParser()])('$name', ({
  provider,
  cases,
}) => {
  it.each([...cases])('%s: %s', async (_, cause, setup, sent) => {
    const { diagnosis, status } = await refused({ provider, ...setup }, sent);
    expect(diagnosis.cause, JSON.stringify(diagnosis, null, 1)).toBe(cause);
    expect(diagnosis.fix).toContain(`docs/troubleshooting.md#${cause}`);
    expect(status).toBeGreaterThanOrEqual(400);
    if (PROVEN.has(cause)) expect(diagnosis.confidence).toBe('proven');
    for (const one of diagnosis.others) expect(one.cause).not.toBe(cause);
  });
});

function jsonBehindAParser(): Group {
  const raw = (write: (value: unknown) => string): Partial<Setup> => ({
    before: [
      express.json(),
      (req: express.Request & { rawBody?: unknown }, _: unknown, next: () => void) => {
        req.rawBody = write(req.body);
        next();
      },
    ],
  });
  const pretty = JSON.stringify(PAYMENT, null, 2);
  const cases: Case[] = [
    [
      'rawBody made by JSON.stringify of what Python wrote',
      'body_reserialized',
      raw(JSON.stringify),
      hatex(pythonJson(PAYMENT)),
    ],
    [
      'rawBody made by JSON.stringify of what PHP wrote',
      'body_reserialized',
      raw(JSON.stringify),
      hatex(phpPretty(PAYMENT)),
    ],
    [
      'rawBody pretty-printed',
      'body_reserialized',
      raw((value) => JSON.stringify(value, null, 2)),
      hatex(),
    ],
    ['rawBody as Python has it', 'body_reserialized', raw(pythonJson), hatex()],
    ['rawBody as PHP has it', 'body_reserialized', raw(phpJson), hatex()],
    [
      'express.json() before, Python before it',
      'body_consumed',
      { before: [express.json()] },
      hatex(pythonJson(PAYMENT)),
    ],
    [
      'express.json() before, amounts with decimals',
      'body_consumed',
      { before: [express.json()] },
      hatex(BODY.replace('1500', '1500.00')),
    ],
    [
      'express.json() before, Express 4',
      'body_consumed',
      { framework: 'express4', before: [bodyParser.json()] },
      hatex(pretty),
    ],
    [
      '@koa/bodyparser without rawBody',
      'body_consumed',
      {
        framework: 'koa3',
        before: [
          koaBodyparser(),
          async (ctx: { request: { rawBody?: string } }, next: () => unknown) => {
            delete ctx.request.rawBody;
            await next();
          },
        ],
      },
      hatex(pretty),
    ],
    ['koa-body', 'body_consumed', { framework: 'koa2', before: [koaBody()] }, hatex(pretty)],
    [
      'a stream that was read and thrown away',
      'body_consumed',
      {
        before: [
          (req: express.Request, _: unknown, next: () => void) => {
            req.resume().on('end', next);
          },
        ],
      },
      hatex(),
    ],
    [
      'a parser before, and a wrong secret',
      'secret_other',
      { before: [express.json()], diagnosis: { otherSecrets: OTHER } },
      hatex(BODY, OTHER),
    ],
  ];
  return {
    name: 'the body (JSON) behind a parser',
    provider: hatexcard({ secret: SECRET }),
    cases,
  };
}

function formBehindAParser(): Group {
  const cases: Case[] = [
    [
      'urlencoded() before, wrong order',
      'keys_unsorted',
      { framework: 'express4', before: [express.urlencoded({ extended: true })] },
      hitpayForm(ORDER, SALT, Object.entries(ORDER).flat().join('')),
    ],
  ];
  return { name: 'the form (HitPay) behind a parser', provider: hitpay({ salt: SALT }), cases };
}
