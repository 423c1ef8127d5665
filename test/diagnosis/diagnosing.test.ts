import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { diagnoser, type Remains } from '../../src/http/diagnosing.ts';
import { type Diagnosis, dexchange, hatexcard, hitpay, WebhookError } from '../../src/index.ts';
import { hatex, NOW } from './deliveries.ts';
import { BODY, OTHER } from './setups.ts';

// When a refusal is looked into, and how often; with the clock and the answer in the test's hand.

class Answer extends EventEmitter {
  writableFinished = false;
  closed = false;
}

let now = 0;
beforeEach(() => {
  now = 1_000;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function remains(changes: Partial<Remains> = {}, res = new Answer()): Remains {
  const { headers } = hatex(BODY, OTHER);
  const left = {
    req: { headers },
    res,
    request: {},
    url: '/webhook',
    providers: [hatexcard({ secret: 'the-secret-of-the-route' })],
    body: { candidates: [Buffer.from(BODY)], source: 'stream' },
    receivedAt: NOW,
    error: new WebhookError('signature_mismatch'),
  };
  return Object.assign(left, changes) as unknown as Remains;
}
const out = (finished = true) =>
  Object.assign(new Answer(), { writableFinished: finished, closed: !finished });
const turns = async () => {
  for (let n = 0; n < 3; n++) await new Promise(setImmediate);
};

describe('a diagnosis', () => {
  it.each(['finish', 'close'])('waits for the answer: %s', async (event) => {
    const res = new Answer();
    let found: Diagnosis | undefined;
    diagnoser()(remains({}, res), { maxTrials: 1 }).then((diagnosis) => {
      found = diagnosis;
    });
    await turns();
    expect(found).toBeUndefined();
    res.emit(event);
    await turns();
    expect(found?.cause).toBe('secret_unknown');
    expect(res.eventNames()).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('waits for a second at most', async () => {
    let found: Diagnosis | undefined;
    diagnoser()(remains(), { maxTrials: 1 }).then((diagnosis) => {
      found = diagnosis;
    });
    vi.advanceTimersByTime(999);
    await turns();
    expect(found).toBeUndefined();
    vi.advanceTimersByTime(1);
    await turns();
    expect(found).toBeDefined();
  });

  it.each([
    true,
    false,
  ])('does not wait for an answer that is out (finished: %s)', async (finished) => {
    const found = diagnoser()(remains({}, out(finished)), { maxTrials: 1 });
    await turns();
    expect((await found).cause).toBe('secret_unknown');
  });
});

describe('a flood', () => {
  const looked = ({ evidence }: Diagnosis) => evidence.includes('1 combinations were tried.');
  async function looks(diagnose: ReturnType<typeof diagnoser>, count: number, bytes = 10) {
    const body = { candidates: [Buffer.alloc(bytes, '{')], source: 'stream' } as const;
    const all = Array.from({ length: count }, () =>
      diagnose(remains({ body }, out()), { maxTrials: 1 }),
    );
    return (await Promise.all(all)).filter(looked).length;
  }

  it('is looked into fifty times, then five times a second, and never more than fifty at once', async () => {
    const diagnose = diagnoser();
    expect(await looks(diagnose, 200)).toBe(50);
    expect(await looks(diagnose, 1)).toBe(0);
    now += 2_000;
    expect(await looks(diagnose, 200)).toBe(10);
    now += 3_600_000;
    expect(await looks(diagnose, 200)).toBe(50);
  });

  it.each([
    ['signature_mismatch', ['not_examined']],
    ['timestamp_out_of_tolerance', ['not_examined']],
    ['token_mismatch', ['not_examined']],
    ['provider_unrecognized', ['not_examined']],
    ['signature_malformed', ['signature_encoding', 'not_examined']],
    ['content_type_unsupported', ['content_type', 'not_examined']],
    ['confirmation_mismatch', ['confirmation_mismatch', 'not_examined']],
    ['body_too_large', ['body_too_large', 'not_examined']],
  ] as const)('of what is not looked into only the code is told, and no secret is doubted: %s', async (code, causes) => {
    const diagnose = diagnoser();
    await looks(diagnose, 60);
    const error = new WebhookError(code);
    const dexchanges = dexchange({ token: { secret: 'the-secret-of-the-route' } });
    const providers = [dexchanges, hitpay({ salt: 'the-salt-of-the-route' })];
    const found = await diagnose(remains({ error, providers }, out()), {});
    expect([found.cause, ...found.others.map(({ cause }) => cause)]).toEqual(causes);
    const confidences = [found, ...found.others].map(({ confidence }) => confidence);
    expect(confidences).toEqual(causes.map((one) => (one === 'not_examined' ? 'guess' : 'likely')));
    expect(JSON.stringify(found)).not.toMatch(/copy|combinations/i);
  });

  it('has the allowance that is given', async () => {
    const diagnose = diagnoser({ burst: 80, perSecond: 20 });
    expect(await looks(diagnose, 200)).toBe(80);
    now += 2_000;
    expect(await looks(diagnose, 200)).toBe(40);
  });

  it.each([
    [{}, 49, 49],
    [{}, 50, 48],
    [{}, 2_500, 0],
    [{ maxTime: 2_000 }, 1_999, 49],
    [{ maxTime: 2_000 }, 4_000, 47],
  ])('counts what takes longer than it may: %j, %i ms', async (options, took, left) => {
    const diagnose = diagnoser();
    const evidence = () => {
      now += took;
      return { clues: [], plain: [] };
    };
    const slow = { ...hatexcard({ secret: 'the-secret-of-the-route' }), evidence };
    await diagnose(remains({ providers: [slow] }, out()), options);
    now -= took;
    expect(await looks(diagnose, 100)).toBe(left);
  });

  it('counts each 16 KB of a body, and looks at the largest when all is calm', async () => {
    expect(await looks(diagnoser(), 100, 16 * 1024)).toBe(50);
    expect(await looks(diagnoser(), 100, 32 * 1024)).toBe(25);
    expect(await looks(diagnoser(), 100, 51 * 16 * 1024)).toBe(1);
  });
});

describe('the parsers that are named', () => {
  const named = async (request: unknown, changes: Partial<Remains> = {}) => {
    const error = new WebhookError('body_consumed');
    const { evidence } = await diagnoser()(
      remains({ request, error, body: null, ...changes }, out()),
      {},
    );
    return evidence;
  };
  const layers = [
    ['jsonParser', 'express.json()'],
    ['urlencodedParser', 'express.urlencoded()'],
    ['textParser', 'express.text()'],
    ['rawParser', 'express.raw()'],
    ['bodyParser', 'bodyParser()'],
    ['koaBody', 'koaBody()'],
    ['multerMiddleware', 'multer'],
  ].map(([name, called]) => [{ name }, `${called} is mounted in the application.`] as const);
  const stack = [{ name: 'router' }, { name: 'constructor' }, ...layers.map(([layer]) => layer)];
  const all = layers.map(([, evidence]) => evidence);

  it.each([
    ['Express 4', { app: { _router: { stack } } }, all],
    ['Express 5', { app: { router: { stack } } }, all],
    ['Koa', { app: { middleware: stack } }, all],
    ['an application that shows nothing', { app: {} }, []],
    ['no application', {}, []],
  ])('%s', async (_, request, evidence) => {
    expect(await named(request)).toEqual(evidence);
  });

  it('are named in a flood, too', async () => {
    const diagnose = diagnoser({ burst: 1, perSecond: 0 });
    const error = new WebhookError('body_consumed');
    const request = { app: { middleware: [{ name: 'bodyParser' }] } };
    const again = () => diagnose(remains({ request, error, body: null }, out()), {});
    await again();
    expect(await again()).toMatchObject({
      cause: 'body_consumed',
      evidence: ['bodyParser() is mounted in the application.'],
      others: [{ cause: 'not_examined' }],
    });
  });

  it('are not blamed for another refusal', async () => {
    const error = new WebhookError('timestamp_out_of_tolerance');
    const body = { candidates: [Buffer.from(BODY)], source: 'reserialized' } as const;
    expect(await named({ app: { middleware: stack } }, { error, body })).toEqual([]);
  });
});
