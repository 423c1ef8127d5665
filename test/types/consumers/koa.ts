// What compiles in a Koa application.
import Router from '@koa/router';
import Koa, { type Context, type ParameterizedContext } from 'koa';
import { type HitPayEvent, hatexcard, hitpay, type PaymentEvent } from 'payproof';
import { type PaymentClaim, paymentWebhook } from 'payproof/koa';
import { type Equal, is } from './equal.js';

const payments = hitpay({ salt: process.env.HITPAY_SALT });
const cards = hatexcard({ secret: process.env.HATEXCARD_SECRET });

// As in the README: no cast, no `!`.
const router = new Router();
router.post('/webhooks/hitpay', paymentWebhook(payments), async (ctx) => {
  const event = ctx.state.paymentEvent;
  is<Equal<typeof event, PaymentEvent>>();
  is<Equal<typeof ctx.state.paymentClaim, PaymentClaim>>();
  if (event.provider === 'hitpay') {
    is<Equal<typeof event, HitPayEvent>>();
    if (event.scheme === 'hitpay/form') is<Equal<typeof event.payload.payment_id, string>>();
  }
  ctx.status = 200;
});

// Without a router.
const app = new Koa();
app.use(paymentWebhook(payments));
app.use(async (ctx) => {
  is<Equal<typeof ctx.state.paymentEvent, PaymentEvent>>();
  ctx.body = 'ok';
});
app.use(paymentWebhook(payments)).use((ctx) => {
  is<Equal<typeof ctx.state.paymentEvent, PaymentEvent>>();
});
app.use((ctx, next) => (ctx.path === '/webhook' ? paymentWebhook(payments)(ctx, next) : next()));
app.use(router.routes());

// A list.
router.post('/any', paymentWebhook([payments, cards], { limit: 1024 }), (ctx) => {
  is<Equal<typeof ctx.state.paymentEvent, PaymentEvent>>();
});

// A function of the context: Koa's own, which needs no annotation, and may have one.
router.post(
  '/shops/:shop',
  paymentWebhook((ctx) => (ctx.get('host') === 'shop.example' ? payments : null)),
  (ctx) => {
    is<Equal<typeof ctx.state.paymentEvent, PaymentEvent>>();
    is<Equal<typeof ctx.params, Record<string, string>>>();
  },
);
router.post(
  '/shops/:shop',
  paymentWebhook(async (ctx: Context) => (ctx.params.shop === 'a' ? [payments, cards] : null)),
  (ctx) => is<Equal<typeof ctx.state.paymentEvent, PaymentEvent>>(),
);
app.use(paymentWebhook((ctx) => (ctx.get('host') === 'shop.example' ? payments : undefined)));
app.use(paymentWebhook((ctx: ParameterizedContext) => (ctx.ip === '::1' ? payments : cards)));

// Applications and routers with a state and context of their own.
interface State {
  user: string;
}
const typed = new Koa<State, { db: number }>();
typed.use(paymentWebhook(payments)).use((ctx) => {
  is<Equal<typeof ctx.state.paymentEvent, PaymentEvent>>();
  is<Equal<typeof ctx.state.user, string>>();
  is<Equal<typeof ctx.db, number>>();
});
const typedRouter = new Router<State>();
typedRouter.post('/webhook', paymentWebhook(payments), (ctx) => {
  is<Equal<typeof ctx.state.paymentEvent, PaymentEvent>>();
  is<Equal<typeof ctx.state.user, string>>();
});
