// @ts-check
// A shop on Express. Copy it, put your database where `orders` is, set the secrets in the environment.
import express from 'express';
import { assertPaid, dexchange, hatexcard, hitpay, isWebhookError } from 'payproof';
import { paymentWebhook } from 'payproof/express';

const { NODE_ENV, HOST = '127.0.0.1', PORT = '3000' } = process.env;
const { HITPAY_EVENT_SALT, DEXCHANGE_API_KEY, DEXCHANGE_API_URL } = process.env;

const isDevelopment = NODE_ENV !== 'production' && HOST === '127.0.0.1';
/** @param {string} name of an environment variable. Its default is public: for this machine only. */
function secret(name) {
  const value = process.env[name] ?? `development-only-${name}`;
  if (value.startsWith('development-only-')) {
    if (!isDevelopment) {
      throw new Error(`${name} is not set: not starting with a development secret`);
    }
    console.warn(`${name} is not set: using a development secret, with which anyone can forge`);
  }
  return value;
}

// The shop's own books: they say what an order costs. An order is written down before the provider is
// asked for its payment. (For DExchange: with the id of the transaction that it answers.)
/**
 * @typedef {{ amount: string, currency: string, paid: boolean, paidBy?: string, transactionId?: string }} Order
 * @type {Map<string | null, Order>}
 */
const orders = new Map([
  ['HT-1001', { amount: '1500.00', currency: 'HTG', paid: false }],
  ['HT-1002', { amount: '2750.50', currency: 'HTG', paid: false }],
  ['SG-2001', { amount: '599.00', currency: 'SGD', paid: false }],
  ['SG-2002', { amount: '29.90', currency: 'SGD', paid: false }],
  ['SG-2003', { amount: '48.00', currency: 'SGD', paid: false }],
  ['SN-3001', { amount: '5000', currency: 'XOF', paid: false, transactionId: 'MID3001' }],
  ['SN-3002', { amount: '12500', currency: 'XOF', paid: false, transactionId: 'MID3002' }],
]);

/**
 * What an authentic event means to the shop; each is answered with 200. Where a payment fits no
 * order, the money is the merchant's already, and sent again it would fit no better: a person must
 * look at it and refund it or deliver. So `review` is written down (best in a table) and acknowledged.
 *
 * @param {import('payproof').PaymentEvent} event
 */
function settle(event) {
  if (event.type !== 'payment.succeeded') return log('noted', event); // failed, refunded, a ping
  const order = orders.get(event.reference);
  if (order === undefined) return log('review: no such order', event);
  if (order.paid) return log(order.paidBy === event.id ? 'again' : 'review: paid twice', event);
  try {
    assertPaid(event, { reference: event.reference ?? '', ...order });
  } catch (error) {
    if (!isWebhookError(error)) throw error; // a mistake of ours: 500, and the provider tries again
    return log('review: not the price', event);
  }
  Object.assign(order, { paid: true, paidBy: event.id });
  log('paid', event);
}

/** @type {(outcome: string, event: import('payproof').PaymentEvent) => void} */
function log(outcome, { provider, type, reference, amount, paymentId }) {
  const price = amount && `${amount.currency} ${amount.value}`;
  console.log(JSON.stringify({ outcome, provider, type, reference, amount: price, paymentId }));
}

/** @type {import('payproof/express').PaymentWebhookOptions} */
const options = {
  onRejected: ({ error: { code }, provider }) =>
    console.log(JSON.stringify({ outcome: 'refused', provider, code })),
};
// To DExchange give callbackUrl('https://shop.example/webhooks/dexchange', reference, { secret }) as
// callBackURL, and show it to nobody else. Without the API's word whoever has it could say "paid".
/** @type {import('payproof').DexchangeConfirmOptions} */
const confirm = {
  apiKey: DEXCHANGE_API_KEY,
  baseUrl: DEXCHANGE_API_URL,
  transactionId: (reference) => orders.get(reference)?.transactionId ?? null,
};
const viaDexchange = dexchange({
  token: { secret: secret('DEXCHANGE_CALLBACK_SECRET') },
  confirm: isDevelopment && DEXCHANGE_API_KEY === undefined ? undefined : confirm,
});
const viaHatexcard = hatexcard({ secret: secret('HATEXCARD_SECRET') });
const viaHitpay = hitpay({ salt: secret('HITPAY_SALT'), eventSalt: HITPAY_EVENT_SALT });

/** @type {(req: express.Request, res: express.Response) => void} */
const acknowledge = (req, res) => {
  settle(req.paymentEvent);
  res.sendStatus(200);
};

const app = express();
app.post('/webhooks/hatexcard', paymentWebhook(viaHatexcard, options), acknowledge);
app.post('/webhooks/hitpay', paymentWebhook(viaHitpay, options), acknowledge);
app.post('/webhooks/dexchange', paymentWebhook(viaDexchange, options), acknowledge);
app.get('/orders/:reference', (req, res) => {
  const order = orders.get(req.params.reference);
  res.status(order ? 200 : 404).json(order ?? {}); // in a real shop: to the buyer only
});

const server = app.listen(Number(PORT), HOST, (error) => {
  if (error) throw error;
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`listening on http://${HOST}:${port}`);
});
process.once('SIGTERM', () => server.close());
