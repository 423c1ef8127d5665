// @ts-check
// An Express server that was there before, with express.json() for all its routes. payproof goes
// above that line: it needs the body's bytes as they came, and what a parser makes of them
// (1500.00 becomes 1500) can no longer be verified.
import { randomUUID } from 'node:crypto';
import express from 'express';
import { assertPaid, hatexcard, isWebhookError } from 'payproof';
import { paymentWebhook } from 'payproof/express';

const { NODE_ENV, HOST = '127.0.0.1', PORT = '3000' } = process.env;
const DEVELOPMENT_SECRET = 'development-only-HATEXCARD_SECRET'; // public: for this machine only
const { HATEXCARD_SECRET = DEVELOPMENT_SECRET } = process.env;
if (HATEXCARD_SECRET === DEVELOPMENT_SECRET) {
  if (NODE_ENV === 'production' || HOST !== '127.0.0.1') {
    throw new Error('HATEXCARD_SECRET is not set: not starting with a development secret');
  }
  console.warn(
    'HATEXCARD_SECRET is not set: using a development secret, with which anyone can forge',
  );
}

const PRICES = new Map([
  ['rice-25kg', '1500.00'],
  ['oil-5l', '950.00'],
]);
/** @type {Map<string | null, { amount: string, currency: string, paid: boolean, paidBy?: string }>} */
const orders = new Map();

const app = express();

// 1. payproof, before any parser.
app.post(
  '/webhooks/hatexcard',
  paymentWebhook(hatexcard({ secret: HATEXCARD_SECRET }), {
    onRejected: ({ error: { code }, provider }) =>
      console.log(JSON.stringify({ outcome: 'refused', provider, code })),
  }),
  (req, res) => {
    const { type, reference, paymentId } = req.paymentEvent;
    console.log(JSON.stringify({ outcome: settle(req.paymentEvent), type, reference, paymentId }));
    // Also for `review`: the money is the merchant's already, and sent again the payment would fit no
    // better. A person must look at it.
    res.sendStatus(200);
  },
);

// 2. What was there before, and all that comes later.
app.use(express.json());
// If that line cannot stand below (a framework or a plugin adds it), have it keep the bytes, and
// payproof takes them from there:
// app.use(express.json({ verify: (req, res, buf) => { req.rawBody = buf; } }));
// For HitPay's forms the same with express.urlencoded({ extended: false, verify }).

app.post('/orders', (req, res) => {
  const amount = PRICES.get(req.body?.item);
  if (amount === undefined) return void res.status(400).json({ error: 'no such item' });
  const reference = randomUUID();
  orders.set(reference, { amount, currency: 'HTG', paid: false });
  res.status(201).json({ reference, amount, currency: 'HTG' });
});
app.get('/orders/:reference', (req, res) => {
  const order = orders.get(req.params.reference);
  res.status(order ? 200 : 404).json(order ?? {}); // in a real shop: to the buyer only
});

/** @param {import('payproof').PaymentEvent} event */
function settle(event) {
  if (event.type !== 'payment.succeeded') return 'noted'; // a ping
  const order = orders.get(event.reference);
  if (order === undefined) return 'review: no such order';
  if (order.paid) return order.paidBy === event.id ? 'again' : 'review: paid twice';
  try {
    assertPaid(event, { reference: event.reference ?? '', ...order });
  } catch (error) {
    if (!isWebhookError(error)) throw error; // a mistake of ours: 500, and the provider tries again
    return 'review: not the price';
  }
  Object.assign(order, { paid: true, paidBy: event.id });
  return 'paid';
}

const server = app.listen(Number(PORT), HOST, (error) => {
  if (error) throw error;
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`listening on http://${HOST}:${port}`);
});
process.once('SIGTERM', () => server.close());
