import type { HeadersLike } from '../delivery.ts';

// What deliveries of payment providers and the like are known by, also of those that payproof does
// not verify: enough to say whose delivery came to the wrong route.

const HEADERS: Readonly<Record<string, string>> = {
  'x-hatex-signature': 'Hatexcard',
  'x-hatex-timestamp': 'Hatexcard',
  'x-hatex-event': 'Hatexcard',
  'hitpay-signature': 'HitPay (event webhook)',
  'hitpay-event-type': 'HitPay (event webhook)',
  'hitpay-event-object': 'HitPay (event webhook)',
  'stripe-signature': 'Stripe',
  'paypal-transmission-sig': 'PayPal',
  'x-hub-signature': 'GitHub or Meta',
  'x-hub-signature-256': 'GitHub or Meta',
  'x-shopify-hmac-sha256': 'Shopify',
  'x-wc-webhook-signature': 'WooCommerce',
  'x-paystack-signature': 'Paystack',
  'verif-hash': 'Flutterwave',
  'x-razorpay-signature': 'Razorpay',
  'x-callback-token': 'Xendit',
  'x-square-hmacsha256-signature': 'Square',
  'paddle-signature': 'Paddle',
  'wave-signature': 'Wave',
  'x-cc-webhook-signature': 'Coinbase Commerce',
  'x-nowpayments-sig': 'NOWPayments',
  'webhook-signature': 'a sender of Standard Webhooks',
  'svix-signature': 'a sender of Standard Webhooks (Svix)',
  'x-twilio-signature': 'Twilio',
  'x-webhook-signature': 'DEXPAY or another provider',
};

/** Headers in which a signature may stand, which it is safe to name. */
const SIGNATURE_HEADERS: ReadonlySet<string> = new Set([
  ...Object.keys(HEADERS),
  'x-signature',
  'signature',
  'x-hmac-signature',
  'x-hmac-sha256',
  'x-hmac',
  'hmac',
  'x-hitpay-signature',
  'x-dexchange-signature',
  'x-hatexcard-signature',
  'x-signature-sha256',
  'x-payload-signature',
  'x-callback-signature',
  'x-api-signature',
  'hatex-signature',
  'authorization',
]);

/** More than any sender's; caps the work. */
const MAX_HEADERS = 200;

/** Headers as pairs, names in lower case. */
export function headerPairs(headers: HeadersLike): [name: string, value: string][] {
  const entries =
    typeof (headers as Headers).entries === 'function'
      ? [...(headers as Headers).entries()]
      : Object.entries(headers);
  return entries
    .slice(0, MAX_HEADERS)
    .map(([name, value]) => [name.toLowerCase(), `${value as string | undefined}`]);
}

/** Something by which a sender is known. */
export interface Mark {
  readonly who: string;
  readonly evidence: string;
  readonly confidence: 'likely' | 'guess';
}

/** Whose marks the headers bear. */
export function marksInHeaders(pairs: readonly (readonly [string, string])[]): Mark[] {
  return pairs.flatMap(([name]) => {
    const who = Object.hasOwn(HEADERS, name) ? HEADERS[name] : undefined;
    const evidence = `The header ${name} belongs to ${who}.`;
    return who === undefined ? [] : [{ who, evidence, confidence: 'likely' }];
  });
}

/** Whose the content type is, where the body was not read. */
export function marksInType(contentType: string | null): Mark[] {
  const evidence = 'The body is a form, as those of HitPay are for payment requests.';
  return contentType === 'application/x-www-form-urlencoded'
    ? [{ who: 'HitPay', evidence, confidence: 'guess' }]
    : [];
}

/** Fields by which a body is known; all of them must be there. */
const BODIES: readonly (readonly [who: string, ...fields: string[]])[] = [
  ['HitPay (form)', 'hmac', 'payment_id'],
  ['HitPay (form)', 'payment_id', 'payment_request_id', 'status'],
  ['DExchange', 'externalTransactionId'],
  ['Hatexcard', 'transaction_id', 'event', 'order_id'],
  ['Hatexcard', 'event', 'created', 'data'],
  ['HitPay (event webhook)', 'payment_request', 'refunded_amount'],
  ['HitPay (event webhook)', 'payments', 'reference_number'],
];

/** Enough of a body to know it by. */
const MAX_LOOKED_AT = 64 * 1024;

/** Whose the body looks like, by names that stand in it. */
export function marksInBody(body: Uint8Array): Mark[] {
  const text = Buffer.from(body).toString('latin1', 0, MAX_LOOKED_AT);
  const has = (name: string) =>
    text.includes(`"${name}"`) || text.startsWith(`${name}=`) || text.includes(`&${name}=`);
  return BODIES.filter(([, ...fields]) => fields.every(has)).map(([who, ...fields]) => {
    const evidence = `The body has ${fields.join(', ')}, as those of ${who} do.`;
    return { who, evidence, confidence: 'likely' };
  });
}

/** How a header can be called without repeating what a sender wrote. */
export function safeHeaderName(name: string): string {
  return SIGNATURE_HEADERS.has(name) ? `the header ${name}` : 'a header with another name';
}
