// One of the server processes of exactly-once.mjs.
import express from 'express';
import { hitpay } from 'payproof';
import { paymentWebhook } from 'payproof/express';
import { effectsIn } from './exactly-once-effects.mjs';

const { STORE, NAME, SALT } = process.env;
const { store, effect } = effectsIn(STORE, NAME);
const app = express();
app.set('env', 'test');
app.post(
  '/webhook',
  paymentWebhook(hitpay({ salt: SALT }), { dedupe: store }),
  async (req, res) => {
    await effect(req.paymentEvent.paymentId);
    res.sendStatus(200);
  },
);
const server = app.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
// A connection that the server closes at the instant in which the client uses it again looks like a crash.
server.keepAliveTimeout = 0;
process.once('disconnect', () => process.exit(0));
