import koaParser6 from '@koa/bodyparser';
import bodyParser1 from 'body-parser';
import express5 from 'express';
import express4 from 'express4';
import { koaBody } from 'koa-body';
import koaParser4 from 'koa-bodyparser';
import { describe, expect, it, vi } from 'vitest';
import { hitpay } from '../../src/index.ts';
import { FRAMEWORKS, type Framework, type Middleware } from '../servers.ts';
import { providerOf, receivedAtOf, urlOf, type Vector, vectors } from '../vectors.ts';
import {
  codes,
  expectRefused,
  hatex,
  hatexAt,
  hitpayForm,
  isExpress,
  type Loose,
  NOW,
  ORDER,
  PAYMENT,
  PUBLIC,
  post,
  SALT,
  serve,
  tap,
} from './support.ts';

/** What a parser leaves of JSON and of forms. */
type Leaves = 'bytes' | 'object' | 'nothing';
type Row = [name: string, before: Middleware[], json: Leaves, form: Leaves];

const read = async (req: AsyncIterable<Buffer>): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const one of req) chunks.push(one);
  return Buffer.concat(chunks);
};

function byHand(framework: Framework): Row[] {
  return [
    [
      'req.rawBody set by hand, as Firebase does',
      [
        tap(framework, async (req) => {
          req.rawBody = await read(req);
          req.body = {};
        }),
      ],
      'bytes',
      'bytes',
    ],
    [
      'a Uint8Array in req.rawBody',
      [
        tap(framework, async (req, _res, request) => {
          request.rawBody = new Uint8Array(await read(req));
        }),
      ],
      'bytes',
      'bytes',
    ],
    [
      'a text beside the object, as koa-body keeps it with includeUnparsed',
      [
        tap(framework, async (req, _res, request) => {
          const text = (await read(req)).toString();
          request.body = { [Symbol.for('unparsedBody')]: text };
        }),
      ],
      'bytes',
      'bytes',
    ],
    [
      'a text in req.body',
      [
        tap(framework, async (req, _res, request) => {
          request.body = (await read(req)).toString();
        }),
      ],
      'bytes',
      'bytes',
    ],
    [
      'a stream that was read by hand and nothing left',
      [
        tap(framework, async (req) => {
          await read(req);
        }),
      ],
      'nothing',
      'nothing',
    ],
    [
      'setEncoding on the stream',
      [tap(framework, (req) => void req.setEncoding('utf8'))],
      'nothing',
      'nothing',
    ],
  ];
}

function rows(framework: Framework): Row[] {
  if (!isExpress(framework)) {
    return [
      ['koa-bodyparser', [koaParser4()], 'bytes', 'bytes'],
      ['@koa/bodyparser', [koaParser6()], 'bytes', 'bytes'],
      ['koa-body', [koaBody()], 'object', 'object'],
      ['koa-body, includeUnparsed', [koaBody({ includeUnparsed: true })], 'bytes', 'bytes'],
      ['koa-body, urlencoded off', [koaBody({ urlencoded: false })], 'object', 'bytes'],
      ...byHand(framework),
    ];
  }
  const express = framework === 'express4' ? express4 : express5;
  const both = [express.json(), express.urlencoded({ extended: true })];
  const verify = (req: object, _res: unknown, bytes: Buffer) => {
    Object.assign(req, { rawBody: bytes });
  };
  return [
    ['express.json()', [express.json()], 'object', 'bytes'],
    ['express.json({ verify })', [express.json({ verify })], 'bytes', 'bytes'],
    [
      'express.urlencoded({ extended: true })',
      [express.urlencoded({ extended: true })],
      'bytes',
      'object',
    ],
    [
      'express.urlencoded({ extended: false })',
      [express.urlencoded({ extended: false })],
      'bytes',
      'object',
    ],
    ['express.json() and express.urlencoded()', both, 'object', 'object'],
    ["express.raw({ type: '*/*' })", [express.raw({ type: '*/*' })], 'bytes', 'bytes'],
    ["express.text({ type: '*/*' })", [express.text({ type: '*/*' })], 'bytes', 'bytes'],
    ['body-parser', [bodyParser1.json(), bodyParser1.urlencoded()], 'object', 'object'],
    ...byHand(framework),
  ];
}

const isForm = (vector: Vector) => !vector.headers['content-type']?.startsWith('application/json');

/** JSON that the parse loses something of, so that no text made of the object has its signature. */
const LOST = vectors.filter(
  ({ body, headers, provider }) =>
    headers['content-type']?.startsWith('application/json') &&
    provider !== 'dexchange' &&
    JSON.stringify(JSON.parse(body)) !== body,
);

describe.each(FRAMEWORKS)('%s', (framework) => {
  describe.each(rows(framework))('after %s', (_, before, json, form) => {
    const leaves = (vector: Vector) => (isForm(vector) ? form : json);

    it.each(
      vectors.map((vector) => [`${vector.provider}: ${vector.name}`, vector] as const),
    )('%s', async (_name, vector) => {
      const app = await serve(framework, {
        before,
        provider: providerOf(vector),
        options: { clock: () => receivedAtOf(vector) },
      });
      const { headers, body } = vector;
      const started = performance.now();
      const answer = await post(app, { path: urlOf(vector), headers, body });
      expect(performance.now() - started).toBeLessThan(1_000);
      expect(app.nexts).toBe(1);
      const left = leaves(vector);
      if (vector.expect.accepted && left !== 'nothing' && answer.status === 200) {
        expect(app.events[0]).toMatchObject(vector.expect.accepted);
        expect(app.errors).toEqual([]);
        return;
      }
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(app.events).toEqual([]);
      if (left === 'nothing') {
        expect([answer.status, codes(app)]).toEqual([500, ['body_consumed']]);
      } else if (vector.expect.accepted) {
        // Only a parsed object can lose what was signed.
        expect(left).toBe('object');
        expect(LOST).toContain(vector);
        expect([answer.status, codes(app)]).toEqual([500, ['body_consumed']]);
        expect((app.errors[0] as Error).message).toContain('move the line');
      } else if (answer.status === 500) {
        expect(left).toBe('object');
        expect(codes(app)).toEqual(['body_consumed']);
      } else {
        expect(answer.status).toBe(403);
        expect(answer.body).toContain(PUBLIC);
      }
    });

    const sent = hatex({ ...PAYMENT, note: 'é/😀/"\\' }).body as string;
    const ascii = sent.replace(
      /[\u0080-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    it.each([
      ['non-ASCII text', sent],
      ["PHP's escaped slashes", sent.replaceAll('/', '\\/')],
      ["PHP's escaped non-ASCII characters", ascii],
      ["PHP's default: both escaped", ascii.replaceAll('/', '\\/')],
    ])('verifies JSON with %s', async (_name, text) => {
      const app = await serve(framework, { before });
      const answer = await post(app, hatex(text));
      if (json === 'nothing') {
        return expectRefused(app, answer, 500, 'body_consumed');
      }
      expect(answer.status).toBe(200);
      expect(app.events[0]?.payload).toEqual(JSON.parse(text));
    });

    it.each([
      ['a number with a zero at its end', '{"event":"payment.success","amount":1.10}'],
      ['a number beyond binary precision', '{"event":"payment.success","amount":9007199254740993}'],
      ['white space', '{ "event": "payment.success" }'],
      ['a key that occurs twice', '{"event":"ping","event":"payment.success"}'],
      ['an integer for a key', '{"event":"payment.success","1":2}'],
    ])('JSON with %s: verified from bytes, else 500 at once', async (_name, text) => {
      const app = await serve(framework, { before });
      const answer = await post(app, hatex(text));
      if (json === 'bytes') {
        expect(answer.status).toBe(200);
        return;
      }
      expectRefused(app, answer, 500, 'body_consumed');
    });

    it('says which line to move where something was lost', async () => {
      const app = await serve(framework, { before });
      await post(app, hatex('{"event":"payment.success","amount":1.10}'));
      if (json === 'bytes') return expect(app.errors).toEqual([]);
      const { message } = app.errors[0] as Error;
      expect(message).toMatch(/paymentWebhook/);
      expect(message).toMatch(
        json === 'object' ? /move the line/ : /Mount paymentWebhook before every body parser|move/,
      );
      expect(message).not.toContain('1.1');
    });

    it('judges a form by its fields, each once and flat', async () => {
      const provider = hitpay({ salt: SALT });
      const app = await serve(framework, { before, provider });
      const genuine = hitpayForm({ ...ORDER, reference_number: 'A B+c&d=é 😀/' });
      const answer = await post(app, genuine);
      if (form === 'nothing') return expectRefused(app, answer, 500, 'body_consumed');
      expect(answer.status).toBe(200);
      expect(app.events[0]?.reference).toBe('A B+c&d=é 😀/');
      app.events.length = 0;
      const forged = [
        `${genuine.body}&status=failed`,
        `${genuine.body}&status=completed`,
        `${genuine.body}&x[y]=1`,
        `${genuine.body}&x[]=1`,
        `${genuine.body}&x=1`,
        `${genuine.body}&__proto__=1`,
        `${genuine.body}&constructor=1`,
      ];
      for (const body of forged) {
        const refused = await post(app, { ...genuine, body });
        // `qs` drops names that would reach the prototype: what is left then is the genuine form.
        if (refused.status === 200 && form === 'object' && /__proto__|constructor/.test(body)) {
          expect(app.events.pop()?.payload).toEqual({
            ...ORDER,
            reference_number: 'A B+c&d=é 😀/',
          });
          continue;
        }
        expect(refused.status, body).toBeGreaterThanOrEqual(400);
        expect(refused.status, body).toBeLessThan(500);
      }
      expect(app.events).toEqual([]);
    });
  });
});

describe.each(FRAMEWORKS)('%s: an empty rawBody', (framework) => {
  it('is the fault of who collects it and does not wait for the end', async () => {
    const collect = (req: Loose) => {
      req.rawBody = '';
      req.setEncoding('utf8');
      req.on('data', (text: string) => {
        req.rawBody += text;
      });
    };
    const middleware = isExpress(framework)
      ? (req: Loose, _res: Loose, next: Loose) => {
          collect(req);
          next();
        }
      : (ctx: Loose, next: Loose) => {
          collect(ctx.req);
          return next();
        };
    const app = await serve(framework, { before: [middleware] });
    expectRefused(app, await post(app, hatex()), 500, 'body_consumed');
  });

  it('gives way to what a parser left', async () => {
    const app = await serve(framework, {
      before: [
        tap(framework, async (req, _res, request) => {
          req.rawBody = Buffer.alloc(0);
          request.body = JSON.parse((await read(req)).toString());
        }),
      ],
    });
    expect((await post(app, hatex())).status).toBe(200);
  });

  it('is a body like any other where none was announced', async () => {
    const app = await serve(framework, {
      before: [
        tap(framework, async (req) => {
          req.rawBody = '';
          await read(req);
        }),
      ],
    });
    const { headers } = hatex();
    expectRefused(app, await post(app, { headers, body: '' }), 403, 'signature_mismatch');
  });
});

describe.each(FRAMEWORKS)('%s: a limit', (framework) => {
  it('413 for bytes that a parser left', async () => {
    const app = await serve(framework, {
      before: [
        tap(framework, async (req) => {
          req.rawBody = await read(req);
        }),
      ],
      options: { limit: 10 },
    });
    expectRefused(app, await post(app, hatex()), 413, 'body_too_large');
  });

  it('accepts bytes of exactly the limit that a parser left', async () => {
    const sent = hatex();
    const app = await serve(framework, {
      before: [
        tap(framework, async (req) => {
          req.rawBody = await read(req);
        }),
      ],
      options: { limit: sent.body.length },
    });
    expect((await post(app, sent)).status).toBe(200);
  });

  it.each([
    ['é/', 'and not how else the object could have been written'],
    ['x', 'to the byte'],
  ])('counts the text that was sent, of %s %s', async (letters) => {
    const sent = hatex({ event: 'payment.success', note: letters.repeat(50) });
    const app = await serve(framework, {
      before: [
        tap(framework, async (req, _res, request) => {
          request.body = JSON.parse((await read(req)).toString());
        }),
      ],
      options: { limit: Buffer.byteLength(sent.body as string) },
    });
    expect((await post(app, sent)).status).toBe(200);
  });

  it('413 for a large object, before any other way to write it is tried', async () => {
    const note = 'é/'.repeat(1_000);
    const app = await serve(framework, {
      before: [
        tap(framework, async (req, _res, request) => {
          await read(req);
          request.body = { note };
        }),
      ],
      options: { limit: note.length },
    });
    const replaceAll = vi.spyOn(String.prototype, 'replaceAll');
    const answer = await post(app, hatex({ note }));
    const tries = replaceAll.mock.contexts.filter((text) => `${text}`.includes('é/'));
    replaceAll.mockRestore();
    expect(tries).toEqual([]);
    expectRefused(app, answer, 413, 'body_too_large');
  });

  it('413 for an object that a parser left', async () => {
    const app = await serve(framework, {
      before: [
        tap(framework, async (req, _res, request) => {
          request.body = JSON.parse((await read(req)).toString());
        }),
      ],
      options: { limit: 10 },
    });
    expectRefused(app, await post(app, hatex()), 413, 'body_too_large');
  });

  it('400 for a form with a nested field, 500 for one with a value that is no text', async () => {
    for (const [value, status, code] of [
      [{ nested: '1' }, 400, 'body_malformed'],
      [[{ nested: '1' }], 400, 'body_malformed'],
      [null, 400, 'body_malformed'],
      [599, 500, 'body_consumed'],
      [true, 500, 'body_consumed'],
    ] as const) {
      const app = await serve(framework, {
        provider: hitpay({ salt: SALT }),
        before: [
          tap(framework, async (req, _res, request) => {
            await read(req);
            request.body = { ...ORDER, amount: value };
          }),
        ],
      });
      const answer = await post(app, hitpayForm());
      const { message } = app.errors[0] as Error;
      if (status === 500) expect(message).toMatch(/^The raw body is gone: .* move the line/);
      expectRefused(app, answer, status, code);
    }
  });
});

describe.each(FRAMEWORKS)('%s: what a parser left', (framework) => {
  const parsed = tap(framework, async (req, _res, request) => {
    request.body = JSON.parse((await read(req)).toString());
  });

  it('stays as it was', async () => {
    const seen: unknown[] = [];
    const app = await serve(framework, {
      before: [parsed],
      handler: (_event, { body, rawBody }) => seen.push(body, rawBody),
    });
    expect((await post(app, hatex())).status).toBe(200);
    expect(seen).toEqual([PAYMENT, undefined]);
  });

  it('is refused for its own fault, whatever text it had', async () => {
    const app = await serve(framework, { before: [parsed] });
    const late = hatexAt(Math.floor(+NOW / 1000) - 301, '{"note":"é/"}');
    expectRefused(app, await post(app, late), 403, 'timestamp_out_of_tolerance');
  });

  it('is told how to keep its bytes', async () => {
    const app = await serve(framework, { before: [parsed] });
    await post(app, hatex('{"amount":1.10}'));
    expect((app.errors[0] as Error).message).toMatch(
      isExpress(framework)
        ? /In Express, move the line app\.post\(.*\) above app\.use\(express\.json\(\)\) .* req\.rawBody = bytes; \} \}\)\.$/
        : /In Koa, move the line router\.post\(.*\) and its .* above app\.use\(bodyParser\(\)\) or app\.use\(koaBody\(\)\); with koa-body, \{ includeUnparsed: true \} keeps the text instead\.$/,
    );
  });
});

describe.each(FRAMEWORKS)('%s: a parser behind payproof', (framework) => {
  const parsers: [string, Middleware[]][] = isExpress(framework)
    ? [
        ['express.json()', [(framework === 'express4' ? express4 : express5).json()]],
        [
          'express.urlencoded()',
          [(framework === 'express4' ? express4 : express5).urlencoded({ extended: true })],
        ],
        ['express.raw()', [(framework === 'express4' ? express4 : express5).raw({ type: '*/*' })]],
        ['body-parser', [bodyParser1.json(), bodyParser1.urlencoded()]],
      ]
    : [
        ['koa-bodyparser', [koaParser4()]],
        ['@koa/bodyparser', [koaParser6()]],
      ];

  it.each(parsers)('%s finds the body read and passes on', async (_, after) => {
    const seen: unknown[] = [];
    const app = await serve(framework, {
      after,
      handler: (_event, { body, rawBody }) => seen.push(body, rawBody),
    });
    const sent = hatex();
    expect((await post(app, sent)).status).toBe(200);
    expect(seen).toEqual([PAYMENT, Buffer.from(sent.body as string)]);
  });

  it.each(parsers)('%s passes on a form too', async (_, after) => {
    const app = await serve(framework, { after, provider: hitpay({ salt: SALT }) });
    expect((await post(app, hitpayForm())).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });
});
