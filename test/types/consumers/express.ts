// What compiles in an Express application.
import express, { type Request } from 'express';
import { dexchange, type HitPayEvent, hatexcard, hitpay, type PaymentEvent } from 'payproof';
import { type PaymentClaim, paymentWebhook } from 'payproof/express';
import { type Equal, is } from './equal.js';

const app = express();
const payments = hitpay({ salt: process.env.HITPAY_SALT });
const cards = hatexcard({ secret: process.env.HATEXCARD_SECRET });

// As in the README: no cast, no `!`.
app.post('/webhooks/hitpay', paymentWebhook(payments), async (req, res) => {
  const event = req.paymentEvent;
  is<Equal<typeof event, PaymentEvent>>();
  is<Equal<typeof req.paymentClaim, PaymentClaim>>();
  if (event.type === 'payment.succeeded') await markPaid(event.reference, event.amount?.value);
  if (event.provider === 'hitpay') is<Equal<typeof event, HitPayEvent>>();
  res.sendStatus(200);
});

async function markPaid(_reference: string | null, _amount: string | undefined): Promise<void> {}

// The route's own parameters keep their types behind it.
app.post('/shops/:shop', paymentWebhook(payments), (req, res) => {
  is<Equal<typeof req.params.shop, string>>();
  res.json(req.paymentEvent);
});

// A list.
const either = [payments, cards, dexchange({ token: { secret: process.env.SECRET } })] as const;
app.post('/any', paymentWebhook([...either]), (req) => void req.paymentEvent.payload);
app.post('/any', paymentWebhook(either, { limit: 1024, dedupe: false }));

// A function of the request: Express' own, which needs no annotation, and may have one.
app.post(
  '/shops/:shop',
  paymentWebhook((req) => (req.get('host') === 'shop.example' ? payments : null)),
  (req) => is<Equal<typeof req.params.shop, string>>(),
);
app.post(
  '/shops/:shop',
  paymentWebhook(async (req: Request<{ shop: string }>) => [payments, saltOf(req.params.shop)]),
  (req) => is<Equal<typeof req.paymentEvent, PaymentEvent>>(),
);
app.post(
  '/shops/:shop',
  paymentWebhook((req: Request) => (req.params.shop === 'a' ? payments : undefined)),
);

function saltOf(shop: string) {
  return hitpay({ salt: process.env[shop] });
}

// Everywhere that Express takes a middleware.
const router = express.Router();
router.use(paymentWebhook(payments));
router.use('/webhooks', paymentWebhook(cards), (req, _res, next) => {
  is<Equal<typeof req.paymentEvent, PaymentEvent>>();
  next();
});
router.route('/x').post(paymentWebhook(payments), (req) => void req.paymentEvent.id);

// The hooks know what they get.
paymentWebhook(payments, {
  onAccepted: (event) => is<Equal<typeof event.id, string>>(),
  onRejected: ({ error, provider, request }) => {
    is<Equal<typeof error.status, number>>();
    is<Equal<typeof provider, string | null>>();
    is<Equal<typeof request.path, string>>();
  },
});
