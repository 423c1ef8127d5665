import express from 'express';
import { assertPaid } from 'payproof';
import { paymentWebhook } from 'payproof/express';
import { tapay } from './tapay.ts';

/** An Express app with TaPay's webhook; `orders` stands for your database. */
export function shop(
  secret: string | undefined,
  orders: Map<string, { amount: string; currency: string; paidBy?: string | undefined }>,
): express.Express {
  const app = express();
  app.post('/webhooks/tapay', paymentWebhook(tapay({ secret })), (req, res) => {
    const event = req.paymentEvent;
    if (event.type === 'payment.succeeded') {
      const reference = event.reference ?? '';
      const order = orders.get(reference);
      if (!order) {
        res.sendStatus(404);
        return;
      }
      assertPaid(event, { reference, amount: order.amount, currency: order.currency });
      // The name gives the payload TaPay's own type.
      if (event.provider === 'tapay') order.paidBy = event.payload.phone;
    }
    res.sendStatus(200);
  });
  return app;
}
