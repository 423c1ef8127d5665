import { createHmac, randomUUID } from 'node:crypto';
import { decimal } from '../core/money.ts';
import { knownOptions } from '../core/options.ts';
import {
  choicesOf,
  type Facts,
  hitpayForm,
  jsonBody,
  type LooseSample,
  referenceOf,
  SAMPLE_FIELDS,
  type SampleOf,
  seconds,
} from './bodies.ts';
import {
  type CheckedSigner,
  checkSigner,
  type Scheme,
  type SchemeOf,
  type Signer,
} from './signer.ts';

declare const SCHEME: unique symbol;

/** A request as the provider sends it, ready for supertest, `inject` or `fetch`. */
export interface SignedDelivery<S extends Scheme = Scheme> {
  readonly method: 'POST';
  /** Path and query; DExchange's token is in the query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Only for the type checker: not every variation fits every scheme. */
  readonly [SCHEME]?: S;
}

/** What a delivery was made of, so that variations can be made of it. */
export interface Origin {
  readonly signer: CheckedSigner;
  readonly facts: Facts;
  /** What was done to it after signing; the same is done to whatever is made of it. */
  readonly alterations: readonly Alteration[];
}

/** Changes a delivery without the secret. */
export type Alteration = (delivery: SignedDelivery) => SignedDelivery;

/** Beside the deliveries rather than in them: whoever prints one does not print its secret. */
const origins = new WeakMap<SignedDelivery, Origin>();

/**
 * A delivery as the provider would send it, signed with the secret that the route under test has.
 * Every call is another payment, unless the sample names a `paymentId`.
 *
 * ```ts
 * const { path, headers, body } = signed(
 *   { provider: 'hitpay', scheme: 'form', secret: salt, path: '/webhooks/hitpay' },
 *   { reference: 'SG-2001', amount: '599.00' },
 * );
 * await request(app).post(path).set(headers).send(body).expect(200);
 * ```
 *
 * It signs with `node:crypto` alone, not with the code that verifies.
 *
 * @param signer provider, scheme and secret
 * @param sample what it tells; everything has a default
 * @throws TypeError | RangeError if an argument is missing or wrong
 */
export function signed<const S extends Signer>(
  signer: S,
  sample: SampleOf[NoInfer<SchemeOf<S>>] = {},
): SignedDelivery<SchemeOf<S>> {
  const checked = checkSigner(signer);
  checkSample(checked.scheme, sample);
  const facts = { sample, at: checked.at, seed: randomUUID(), attempt: 1 };
  return deliveryOf(checked, facts) as SignedDelivery<SchemeOf<S>>;
}

/**
 * What a delivery was made of.
 *
 * @throws TypeError if it is not one of `signed` itself, such as a copy
 */
export function originOf(delivery: SignedDelivery): Origin {
  const origin = origins.get(delivery);
  if (origin === undefined) {
    throw new TypeError('delivery: must be the very object that signed() returned, not a copy');
  }
  return origin;
}

function checkSample(scheme: Scheme, sample: LooseSample): void {
  knownOptions('sample', sample, SAMPLE_FIELDS[scheme]);
  for (const name of ['amount', 'refunded'] as const) {
    if (sample[name] !== undefined && decimal(sample[name]) === null) {
      throw new TypeError(`sample.${name}: must be a decimal amount in major units`);
    }
  }
  for (const name of ['reference', 'paymentId', 'currency', 'name', 'email', 'phone'] as const) {
    if (sample[name] !== undefined && typeof sample[name] !== 'string') {
      throw new TypeError(`sample.${name}: must be a text`);
    }
  }
  for (const [name, known] of Object.entries(choicesOf(scheme, sample.kind))) {
    const value = sample[name as 'kind'];
    if (value === undefined || known.includes(value)) continue;
    throw new RangeError(
      known.length === 0
        ? `sample.${name}: this kind has none`
        : `sample.${name}: must be one of ${known.join(', ')}`,
    );
  }
}

// ---- Signing -------------------------------------------------------------------------------------

function hmac(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text).digest('hex');
}

/** Writes and signs a delivery; the same facts give the same bytes. */
export function deliveryOf(signer: CheckedSigner, facts: Facts): SignedDelivery {
  const { scheme } = signer;
  const { headers = {}, path = signer.path, body } = SCHEMES[scheme](signer, facts);
  const type = scheme === 'hitpay/form' ? 'application/x-www-form-urlencoded' : 'application/json';
  return remember(
    { method: 'POST', path, headers: { 'content-type': type, ...headers }, body },
    { signer, facts, alterations: [] },
  );
}

/** Makes a request one that variations can be made of. */
export function remember(delivery: SignedDelivery, origin: Origin): SignedDelivery {
  origins.set(delivery, origin);
  return delivery;
}

interface Written {
  headers?: Record<string, string>;
  path?: string;
  body: string;
}

const SCHEMES: Readonly<Record<Scheme, (signer: CheckedSigner, facts: Facts) => Written>> = {
  'hatexcard/timestamped': (signer, facts) => {
    const body = jsonBody('hatexcard/timestamped', facts);
    const timestamp = `${seconds(facts.at)}`;
    return {
      body,
      headers: {
        'x-hatex-signature': hmac(signer.secret, `${timestamp}.${body}`),
        'x-hatex-timestamp': timestamp,
        'x-hatex-event': facts.sample.event ?? 'payment.success',
      },
    };
  },
  'hatexcard/body': (signer, facts) => {
    const body = jsonBody('hatexcard/body', facts);
    return { body, headers: { 'x-hatex-signature': hmac(signer.secret, body) } };
  },
  'hitpay/form': (signer, facts) => {
    const fields = hitpayForm(facts);
    const sorted = [...fields].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const signature = hmac(signer.secret, sorted.flat().join(''));
    return { body: new URLSearchParams([...fields, ['hmac', signature]]).toString() };
  },
  'hitpay/event': (signer, facts) => {
    const body = jsonBody('hitpay/event', facts);
    const [object = '', type = ''] = (facts.sample.kind ?? 'payment_request.completed').split('.');
    return {
      body,
      headers: {
        'hitpay-signature': hmac(signer.secret, body),
        'hitpay-event-object': object,
        'hitpay-event-type': type,
      },
    };
  },
  'dexchange/token': (signer, facts) => ({
    body: jsonBody('dexchange/token', facts),
    path: withToken(signer, referenceOf(facts)),
  }),
  'dexchange/bearer': ({ header, secret }, facts) => ({
    body: jsonBody('dexchange/bearer', facts),
    headers: { [header]: header === 'authorization' ? `Bearer ${secret}` : secret },
  }),
  'dexchange/signature': (signer, facts) => {
    const body = jsonBody('dexchange/signature', facts);
    return { body, headers: { [signer.header]: hmac(signer.secret, body) } };
  },
};

/** The path that `callbackUrl` gives for the order. */
function withToken({ secret, path }: CheckedSigner, order: string): string {
  const token = createHmac('sha256', secret)
    .update(`payproof/dexchange/callback-url/v1\n${order}`)
    .digest('base64url');
  const url = new URL(`http://localhost${path}`);
  url.searchParams.set('payproof', token);
  return url.pathname + url.search;
}
