import { describe, expect, it } from 'vitest';
import { hatexcard } from '../../src/index.ts';
import { memoryStore } from '../../src/memory.ts';
import { FRAMEWORKS } from '../servers.ts';
import { hatex, isExpress, type Loose, post, SECRET, serve, tap } from './support.ts';

/** An error as HTTP clients throw it where a good answer could not be read. */
const ofClient = Object.assign(new SyntaxError('not JSON'), { status: 200, statusCode: 200 });

/** What Express would take for "go on", or Koa for nothing; and what would be answered as no failure. */
const NO_ERRORS: [shown: string, thrown: unknown][] = [
  ['undefined', undefined],
  ['null', null],
  ['0', 0],
  ['false', false],
  ['an empty text', ''],
  ['"route"', 'route'],
  ['"router"', 'router'],
  ['a function', () => {}],
  ["an HTTP client's error with status 200", ofClient],
  ['an error with a status as text', Object.assign(new Error('no'), { status: '204' })],
  [
    'what throws undefined when it is asked for its status',
    Object.defineProperty(new Error('no'), 'status', {
      get() {
        throw undefined;
      },
    }),
  ],
  ['an error with the first status there is', Object.assign(new Error('no'), { status: 100 })],
  ['an error that redirects', Object.assign(new Error('no'), { statusCode: 302 })],
];

describe.concurrent.each(FRAMEWORKS)('%s', (framework) => {
  describe.each(NO_ERRORS)('%s', (_, thrown) => {
    const fail = () => {
      throw thrown;
    };
    const broken = { ...hatexcard({ secret: SECRET }), authenticate: fail };

    it.each<[string, Parameters<typeof serve>[1]]>([
      ['the function that chooses the provider', { provider: fail }],
      ['the same, later', { provider: async () => fail() }],
      ['the clock', { options: { clock: fail } }],
      ["a provider of somebody else's", { provider: broken }],
      ['the scope', { options: { dedupe: { store: memoryStore(), scope: fail } } }],
    ])('thrown by %s is a 500, and no handler runs', async (_, setup) => {
      const app = await serve(framework, setup);
      expect((await post(app, hatex())).status).toBe(500);
      expect(app.events).toEqual([]);
      expect(app.errors).toEqual([expect.any(Error)]);
      const { message, cause } = app.errors[0] as Error;
      expect(message).toMatch(/^paymentWebhook: what .* threw is no error/);
      expect(cause).toBe(thrown);
    });
  });

  it.each([
    ['a 404', 404],
    ['a 503', 503],
    // Which is a number below all others, if it is made one.
    ['an error whose status is null', null],
  ])('%s of the function that chooses the provider is the answer', async (_, status) => {
    const own = Object.assign(new Error('unknown shop'), { status, expose: true });
    const provider = () => {
      throw own;
    };
    const app = await serve(framework, { provider });
    expect((await post(app, hatex())).status).toBe(status ?? 500);
    expect(app.errors).toEqual([own]);
  });

  it.each([
    ['undefined', undefined],
    ["an HTTP client's error with status 200", ofClient],
  ])('%s thrown by the handler does not make the event done', async (_, thrown) => {
    let runs = 0;
    const app = await serve(framework, {
      options: { dedupe: memoryStore() },
      handler: () => {
        runs++;
        // What a handler throws in Express is the merchant's to hand on.
        throw isExpress(framework) ? new Error('out of stock') : thrown;
      },
    });
    expect((await post(app, hatex())).status).toBe(500);
    expect((await post(app, hatex())).status).toBe(500);
    expect(runs).toBe(2);
  });
});

describe.each(FRAMEWORKS.filter((framework) => !isExpress(framework)))('%s', (framework) => {
  it('runs the handler again where middleware answered 200 for its failure', async () => {
    let runs = 0;
    const app = await serve(framework, {
      options: { dedupe: memoryStore() },
      handler: () => {
        if (runs++ === 0) throw new Error('out of stock');
      },
      onError: () => ({ status: 200, body: { code: 1 } }),
    });
    expect(await post(app, hatex())).toMatchObject({ status: 200, body: '{"code":1}' });
    expect((await post(app, hatex())).status).toBe(200);
    expect(runs).toBe(2);
    expect((await post(app, hatex())).status).toBe(200);
    expect(runs).toBe(2);
  });

  it("hands the handler's own error on as it is", async () => {
    const own = new RangeError('out of stock');
    const app = await serve(framework, {
      handler: () => {
        throw own;
      },
    });
    expect((await post(app, hatex())).status).toBe(500);
    expect(app.errors).toEqual([own]);
  });
});

describe.each(FRAMEWORKS)('%s', (framework) => {
  it('answers a redelivery where a patch of writeHead gives nothing back', async () => {
    const app = await serve(framework, {
      options: { dedupe: memoryStore() },
      before: [
        tap(framework, (_req, res: Loose) => {
          const { writeHead } = res;
          res.writeHead = (...args: unknown[]) => {
            writeHead.apply(res, args);
          };
        }),
      ],
    });
    expect((await post(app, hatex())).status).toBe(200);
    expect((await post(app, hatex())).status).toBe(200);
    expect(app.events).toHaveLength(1);
  });
});
