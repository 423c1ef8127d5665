// What a merchant's server does with payproof, from `verify` to the frameworks. Run by `esm.mjs` and
// `cjs.cjs`, which load payproof in the two module formats. Plain JavaScript for every Node version.
const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');

const SECRET = 'test-salt-not-a-real-secret';
const FORM =
  'payment_id=92965a2d-ece3-4ace-1245-494050c9a3c1&payment_request_id=92965a20-dae5-4d89-a452-5fdfa382dbe1' +
  '&reference_number=ABC123&phone=&amount=599.00&currency=SGD&status=completed' +
  '&hmac=cd69c27e4088cfa6e6f4563a9cc757df3fb8d5e9fb209a58bf3e34a48f6cd6ab';

module.exports = async function smoke({ payproof, expressWebhook, koaWebhook, express, Koa }) {
  const vectors = judgeVectors(payproof, process.argv[2]);

  const app = express();
  app.set('env', 'test');
  app.post('/webhook', expressWebhook(payproof.hitpay({ salt: SECRET })), (req, res) => {
    res.json(req.paymentEvent);
  });
  await deliver(app);

  const koa = new Koa();
  koa.silent = true;
  koa.use(koaWebhook(payproof.hitpay({ salt: SECRET })));
  koa.use((ctx) => {
    ctx.body = ctx.state.paymentEvent;
  });
  await deliver(koa.callback());

  console.log(JSON.stringify({ vectors, express: true, koa: true }));
};

/** Every recorded delivery gets the verdict that stands beside it. */
function judgeVectors({ verify, isWebhookError, callbackUrl, ...providers }, directory) {
  let count = 0;
  for (const name of ['hatexcard', 'hitpay', 'dexchange']) {
    for (const vector of JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8'))) {
      const { secret, eventSecret, callbackFor, receivedAt, headers, body, expect } = vector;
      const provider = {
        hatexcard: () => providers.hatexcard({ secret }),
        hitpay: () => providers.hitpay({ salt: secret, eventSalt: eventSecret }),
        dexchange: () => providers.dexchange({ token: { secret } }),
      }[name]();
      const delivery = { headers, body: Buffer.from(body) };
      if (callbackFor) delivery.url = callbackUrl('https://shop.example/', callbackFor, { secret });
      if (receivedAt) delivery.receivedAt = new Date(receivedAt * 1000);
      if (expect.accepted) {
        const event = JSON.parse(JSON.stringify(verify(provider, delivery)));
        for (const [field, value] of Object.entries(expect.accepted)) {
          assert.deepEqual(event[field], value, `${vector.name}: ${field}`);
        }
      } else {
        const refused = (error) => isWebhookError(error) && error.status === 403;
        assert.throws(() => verify(provider, delivery), refused, vector.name);
      }
      count += 1;
    }
  }
  return count;
}

/** A true delivery reaches the handler, an altered one does not. */
async function deliver(listener) {
  const server = createServer(listener);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${server.address().port}/webhook`;
  const post = (body) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
    });
  try {
    const accepted = await post(FORM);
    const event = await accepted.json();
    assert.equal(accepted.status, 200);
    assert.equal(event.type, 'payment.succeeded');
    assert.equal(event.reference, 'ABC123');
    assert.deepEqual(event.amount, { currency: 'SGD', value: '599.00', minorUnits: 59900 });
    const refused = await post(FORM.replace('599.00', '1.00'));
    assert.equal(refused.status, 403);
    assert.match(await refused.text(), /could not be authenticated/);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}
