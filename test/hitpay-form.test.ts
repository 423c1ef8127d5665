import { afterAll, describe, expect, it } from 'vitest';
import { type HitPayEvent, hitpay, isWebhookError, type Provider, verify } from '../src/index.ts';
import {
  BILLING_NAMES,
  bodyOf,
  Chance,
  everyCut,
  type Field,
  genuine,
  hmacOf,
  KNOWN_NAMES,
  occurrences,
  REQUEST_NAMES,
  recut,
  SALT,
  textOf,
} from './hitpay-bodies.ts';

// One text, one meaning: the signed text of HitPay's form has no separators, so one signature fits
// every body that cuts the same text differently. Of all of them, those that are accepted must mean
// the same. `docs/hitpay-form.md` has the proof; here it is tried.
//
// More of it: RECUTS=1000000 SEED=7 npx vitest run test/hitpay-form.test.ts

const RECUTS = Number(process.env.RECUTS ?? 20_000);
const SEED = Number(process.env.SEED ?? 1);
const RECUTS_OF_ONE_BODY = 40;

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

interface Judge {
  readonly provider: Provider<HitPayEvent>;
  readonly extraFields: readonly string[];
}

const judges = new Map<string, Judge>();
function judgeFor(extraFields: readonly string[]): Judge {
  const key = extraFields.join();
  const judge = judges.get(key) ?? { provider: hitpay({ salt: SALT, extraFields }), extraFields };
  judges.set(key, judge);
  return judge;
}

/** What a merchant acts on, or null if the body is refused. */
function meaning(
  { provider, extraFields }: Judge,
  fields: readonly Field[],
  hmac: string,
): string | null {
  try {
    const event = verify(provider, { headers: FORM, body: bodyOf(fields, hmac) });
    const { type, reference, amount, paymentId, id, customer } = event;
    const declared = extraFields.map((name) => new Map(Object.entries(event.payload)).get(name));
    return JSON.stringify({ type, reference, amount, paymentId, id, customer, declared });
  } catch (error) {
    // A signature that fails would mean that the body is no re-cut, and the test no test.
    if (isWebhookError(error) && error.code === 'field_ambiguous') return null;
    throw error;
  }
}

describe('form: every re-cut of short texts', () => {
  const request = (reference: string | null, status = 'void', phone = ''): Field[] => [
    ['amount', '1'],
    ['currency', 'sgd'],
    ['payment_id', 'a'],
    ['payment_request_id', 'b'],
    ['phone', phone],
    ...(reference === null ? [] : ([['reference_number', reference]] as const)),
    ['status', status],
  ];
  const billing = (reference: string, status = 'void'): Field[] => [
    ['amount', '1'],
    ['currency', 'sgd'],
    ['payment_id', 'a'],
    ['recurring_billing_id', 'b'],
    ['reference', reference],
    ['status', status],
  ];
  type Body = [fields: Field[], extraFields?: string[]];
  const BODIES: Body[] = [
    [request('')],
    [request(null)],
    [request('1')],
    [request('s')],
    [request('er')],
    [request('_number')],
    [request('amount2')],
    [request('x', 'failed')],
    [request(null, 'failed', 'statusvoid')],
    [request(null, 'failed', 'reference_numberx')],
    [request('x', 'failed', 'phone')],
    [billing('')],
    [billing('status')],
    [billing('statusvoid')],
    [billing('_number')],
    [billing('_numberstatus')],
    [billing('reference')],
    [billing('sta')],
    [billing('x', 'succeeded_manually')],
    [[...billing('sta'), ['tsa', 'tus']]],
    [[...request('x'), ['aa', '']]],
    [[...request('x'), ['payment_z', 'z']]],
    [[...request('zone')], ['zone']],
    [[...request(null), ['rere', '1']], ['rere']],
    [[...billing('rere'), ['rere', '1']], ['rere']],
    [[...billing('shop'), ['shop', '']], ['shop']],
  ];
  /** Hundreds of thousands of re-cuts: a minute in all. */
  const LONG_BODIES: Body[] = [
    [request('', 'succeeded_manually')],
    [request('sta')],
    [request('tus')],
    [request('statu')],
    [request('status')],
    [request('statusvoid')],
    [request('statusfailed')],
    [request('statustatus')],
    [request('zstatusz')],
    [request('phone')],
    [request('reference_number')],
    [request('ecurring_billing_id')],
    [request('status', 'failed', 'status')],
    [request('', 'failed', 'reference_numberx')],
    [[...request('sta'), ['tsa', 'tus']]],
    [[...request('x'), ['zip', 'void']]],
    [[...request('x'), ['zone', 'z']], ['zone']],
    [[...request('zone'), ['zone', 'z']], ['zone']],
    [[...request('x'), ['shop', 's']], ['shop']],
    [[...request('shop'), ['shop', '']], ['shop']],
    [[...request('statusvoidshop'), ['shop', '']], ['shop']],
    [[...request('re'), ['rere', '1']], ['rere']],
  ];
  const LONG = RECUTS >= 1_000_000;

  let counted = 0;
  afterAll(() => console.log(`hitpay form: ${counted} re-cuts of short texts, all there are`));

  it.each(
    [...BODIES, ...(LONG ? LONG_BODIES : [])].map(
      ([fields, extraFields = []]) => [textOf(fields), fields, extraFields] as const,
    ),
  )('%s', { timeout: 5 * 60_000 }, (text, fields, extraFields) => {
    const judge = judgeFor(extraFields);
    const hmac = hmacOf(text);
    const meanings = new Set<string>();
    let count = 0;
    // A body without all of a shape's names is refused (see the test below), so these are all.
    for (const names of [REQUEST_NAMES, BILLING_NAMES]) {
      const required = names.filter((name) => name !== 'reference_number');
      for (const cut of everyCut(text, required)) {
        count++;
        const read = meaning(judge, cut, hmac);
        if (read !== null) meanings.add(read);
      }
    }
    counted += count;
    expect(count).toBeGreaterThan(0);
    expect([...meanings].length).toBeLessThan(2);
    const genuineMeaning = meaning(judge, fields, hmac);
    if (genuineMeaning !== null) expect([...meanings]).toEqual([genuineMeaning]);
  });

  it.each([
    ['payment request', request('x'), 'reference_number'],
    ['recurring billing', billing('x'), ''],
  ] as const)('a %s without one of its names is refused', (_, fields, optional) => {
    for (const [name] of fields) {
      const rest = fields.filter((field) => field[0] !== name);
      const read = meaning(judgeFor([]), rest, hmacOf(textOf(rest)));
      expect([name, read === null]).toEqual([name, name !== optional]);
    }
  });
});

describe('form: random re-cuts of genuine bodies', () => {
  it(`none of ${RECUTS} has another meaning, and no genuine body is refused`, {
    timeout: 30 * 60_000,
  }, () => {
    const chance = new Chance(SEED);
    let bodies = 0;
    let count = 0;
    let accepted = 0;
    while (count < RECUTS) {
      const body = genuine(chance);
      const judge = judgeFor(body.extraFields);
      const hmac = hmacOf(body.text);
      const places = occurrences(body.text, [...KNOWN_NAMES, ...body.extraFields]);
      bodies++;
      let only = meaning(judge, body.fields, hmac);
      if (body.clean && only === null) throw found('refused', body.fields, body.fields);
      for (let attempt = 0; attempt < RECUTS_OF_ONE_BODY * 3; attempt++) {
        const cut = recut(chance, body, places);
        if (cut === null) continue;
        count++;
        const read = meaning(judge, cut, hmac);
        if (read === null) continue;
        accepted++;
        // Where the genuine body is refused, the first that is accepted sets the meaning.
        only ??= read;
        if (read !== only) throw found(`read as ${read} and as ${only}`, body.fields, cut);
      }
    }
    console.log(
      `hitpay form: ${count} re-cuts of ${bodies} bodies, ${accepted} accepted with the same ` +
        `meaning, 0 with another; seed ${SEED}`,
    );
    expect(accepted).toBeGreaterThan(0);
  });

  function found(what: string, fields: readonly Field[], cut: readonly Field[]): Error {
    return new Error(`${what}\n${JSON.stringify(fields)}\n${JSON.stringify(cut)}\nseed ${SEED}`);
  }
});
