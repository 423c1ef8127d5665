// @ts-check
// Signed deliveries of a given size. A JSON body is what the provider sends, with the lines of an order
// added (`items`: objects of texts and numbers, some 300 bytes each) and a text (`note`) up to the byte.
// A form has nowhere to put so much but its reference: there it is a text with spaces, signs and some
// UTF-8.
import { createHmac } from 'node:crypto';
import { signed } from '../dist/testing.js';

export const SECRET = 'whsec_9b1c7b0e5d6f4f0f8a7e3c2d1b0a9f8e';

/** @type {Record<string, any>} */
export const SIGNERS = {
  'hatexcard/timestamped': { provider: 'hatexcard', scheme: 'timestamped', secret: SECRET },
  'hatexcard/body': { provider: 'hatexcard', scheme: 'body', secret: SECRET },
  'hitpay/event': { provider: 'hitpay', scheme: 'event', secret: SECRET },
  'dexchange/signature': {
    provider: 'dexchange',
    scheme: 'signature',
    header: 'x-dexchange-signature',
    secret: SECRET,
  },
  'dexchange/token': { provider: 'dexchange', scheme: 'token', secret: SECRET },
  'dexchange/bearer': { provider: 'dexchange', scheme: 'bearer', secret: SECRET },
  'hitpay/form': { provider: 'hitpay', scheme: 'form', secret: SECRET },
};

/** @typedef {{ url: string, headers: Record<string, string>, body: Buffer }} Arrived */

/**
 * A delivery as it arrives: another payment at every call, with the headers that proxies add.
 *
 * @param {string} scheme
 * @param {number} bytes the length of the body
 * @param {{ amount?: number }} [sample]
 * @param {string} [filling] `lines`: lines of an order; `text`: one long text
 * @returns {Arrived}
 */
export function arrived(scheme, bytes, sample = {}, filling = 'lines') {
  const fill = scheme === 'hitpay/form' ? filledForm : filledJson;
  const { path: url, headers, body: text } = fill(SIGNERS[scheme], bytes, sample, filling);
  const body = Buffer.from(text);
  if (body.length !== bytes) throw new Error(`${scheme}: ${body.length} bytes, not ${bytes}`);
  return {
    url,
    headers: {
      host: 'shop.example.com',
      'user-agent': 'GuzzleHttp/7',
      accept: '*/*',
      'accept-encoding': 'gzip, deflate',
      'content-length': `${bytes}`,
      'x-forwarded-for': '203.0.113.7',
      'x-forwarded-proto': 'https',
      ...headers,
    },
    body,
  };
}

/** @param {string} text */
export function hmacHex(text) {
  return createHmac('sha256', SECRET).update(text).digest('hex');
}

/** A line of an order. @param {number} n */
function item(n) {
  return {
    sku: `HT-${100_000 + n}`,
    name: 'Kafe Rebo, 250 g',
    description: 'Whole beans from the hills of Thiotte, washed, medium roast, roasted to order.',
    image: `https://cdn.example.com/products/kafe-rebo-250/${100_000 + n}/large.jpg`,
    quantity: 1 + (n % 9),
    unit_price: 375.5,
    weight: { value: 250, unit: 'g' },
    discount: null,
  };
}

/** @param {any} signer @param {number} bytes @param {object} sample @param {string} filling */
function filledJson(signer, bytes, sample, filling) {
  const kind = signer.scheme === 'event' ? { kind: 'charge.created' } : {};
  const make = (/** @type {number} */ items, /** @type {number} */ note) => {
    const fields = {
      items: items > 0 ? Array.from({ length: items }, (_, n) => item(n)) : undefined,
      note: 'Mesi anpil! '.repeat(Math.ceil(note / 12)).slice(0, note),
    };
    return signed(signer, /** @type {any} */ ({ ...kind, ...sample, fields }));
  };
  const length = (/** @type {number} */ items) => Buffer.byteLength(make(items, 0).body);
  const most = Math.floor((bytes - length(0)) / (length(2) - length(1)));
  const items = filling === 'text' ? 0 : Math.max(0, most - 1);
  return make(items, bytes - length(items));
}

const SENTENCE = 'Order 20451: 2 × kopi-o, 1 kaya toast & eggs (table 7). ';

/** @param {any} signer @param {number} bytes @param {object} sample */
function filledForm(signer, bytes, sample) {
  const make = (/** @type {string} */ reference) =>
    signed(signer, /** @type {any} */ ({ ...sample, reference }));
  const room = bytes - make('').body.length;
  const each = make(SENTENCE).body.length - make('').body.length;
  return make(SENTENCE.repeat(Math.floor(room / each)) + 'x'.repeat(room % each));
}
