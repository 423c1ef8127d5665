// @ts-check
// A shop with its orders in PostgreSQL. The order, the ledger and the mark that the event is done are
// one commit: whenever the process or the database dies, either all of them are there or none is, and
// the provider's next delivery does the rest. Copy it, put your own tables where `orders` and `ledger`
// are, set HITPAY_SALT and DATABASE_URL in the environment.
import express from 'express';
import { assertPaid, hitpay, isWebhookError } from 'payproof';
import { paymentWebhook } from 'payproof/express';
import { postgresStore } from 'payproof/postgres';
import pg from 'pg';

const { NODE_ENV, HOST = '127.0.0.1', PORT = '3000' } = process.env;

/**
 * @param {string} name of an environment variable
 * @param {string} development its default, which is public: for this machine only
 */
function setting(name, development) {
  const value = process.env[name] ?? development;
  if (value === development) {
    if (NODE_ENV === 'production' || HOST !== '127.0.0.1') {
      throw new Error(`${name} is not set: not starting with a development default`);
    }
    console.warn(`${name} is not set: using a development default, which everyone knows`);
  }
  return value;
}

const salt = setting('HITPAY_SALT', 'development-only-HITPAY_SALT');
const DEVELOPMENT_DATABASE = 'postgres://postgres@127.0.0.1:5432/test';
const connectionString = setting('DATABASE_URL', DEVELOPMENT_DATABASE);

const pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 5000 });
// When the database goes away, every connection emits an error, at rest or at work. Unheard, it would
// end the process; heard, the query at work rejects, the delivery is answered 5xx and comes again.
pool.on('error', ({ message }) => console.error(JSON.stringify({ outcome: 'database', message })));
pool.on('connect', (client) => client.on('error', () => {}));

// The store takes a connection of its own for each statement. Not one of a transaction of yours: a
// claim must be visible to the other processes at once.
const store = postgresStore({ query: (text, values) => pool.query(text, values) });

// In a real shop these run when you deploy (the store's is in `store.ddl`).
await store.migrate();
await pool.query(`
  CREATE TABLE IF NOT EXISTS orders (
    reference text PRIMARY KEY,
    amount numeric NOT NULL,
    currency text NOT NULL,
    paid_by text
  );
  CREATE TABLE IF NOT EXISTS ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    reference text,
    amount numeric,
    currency text,
    outcome text NOT NULL,
    booked_at timestamptz NOT NULL DEFAULT now()
  )`);
if (NODE_ENV !== 'production') {
  await pool.query(`INSERT INTO orders (reference, amount, currency)
    VALUES ('SG-2001', 599.00, 'SGD'), ('SG-2002', 29.90, 'SGD') ON CONFLICT DO NOTHING`);
}
// Forgets what need not be remembered any more.
setInterval(() => store.purge().catch(() => {}), 24 * 60 * 60 * 1000).unref();

/**
 * Books a payment. Where it fits no order, the money is the merchant's already, and sent again it
 * would fit no better: so `review` is booked and acknowledged, for a person to refund or deliver.
 *
 * @param {pg.PoolClient} client
 * @param {import('payproof').PaymentEvent} event
 */
async function book(client, event) {
  const { id, reference, amount } = event;
  // FOR UPDATE: two payments of one order wait for each other here.
  const found = await client.query('SELECT * FROM orders WHERE reference = $1 FOR UPDATE', [
    reference,
  ]);
  const outcome = judge(event, found.rows[0]);
  if (outcome === 'paid') {
    await client.query('UPDATE orders SET paid_by = $2 WHERE reference = $1', [reference, id]);
  }
  await client.query(
    'INSERT INTO ledger (event_id, reference, amount, currency, outcome) VALUES ($1, $2, $3, $4, $5)',
    [id, reference, amount?.value, amount?.currency, outcome],
  );
  return outcome;
}

/**
 * @param {import('payproof').PaymentEvent} event
 * @param {{ reference: string, amount: string, currency: string, paid_by: string | null } | undefined} order
 *   pg gives numeric as text, so the price stays exact
 */
function judge(event, order) {
  if (order === undefined) return 'review: no such order';
  if (order.paid_by !== null) return 'review: paid twice';
  try {
    assertPaid(event, order);
  } catch (error) {
    if (!isWebhookError(error)) throw error; // a mistake of ours: 500, and the provider tries again
    return 'review: not the price';
  }
  return 'paid';
}

/**
 * Runs `work` in one transaction; what it throws, or what COMMIT throws, undoes all of it.
 *
 * @template T
 * @param {(client: pg.PoolClient) => Promise<T>} work
 */
async function transaction(work) {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const result = await work(client);
    // PostgreSQL answers ROLLBACK, and no error, where a statement failed and nobody looked.
    const { command } = await client.query('COMMIT');
    if (command !== 'COMMIT') throw new Error('the transaction was rolled back');
    client.release();
    return result;
  } catch (error) {
    // A connection on which even ROLLBACK fails is closed, which rolls back as well.
    await client.query('ROLLBACK').then(
      () => client.release(),
      () => client.release(true),
    );
    throw error;
  }
}

const app = express();
app.post(
  '/webhooks/hitpay',
  paymentWebhook(hitpay({ salt }), {
    dedupe: store,
    onRejected: ({ error: { code }, provider }) =>
      console.log(JSON.stringify({ outcome: 'refused', provider, code })),
  }),
  async (req, res) => {
    const { paymentEvent: event, paymentClaim: claim } = req;
    if (event.type === 'payment.succeeded') {
      const outcome = await transaction(async (client) => {
        const booked = await book(client, event);
        // The mark, in the same transaction. It throws if another delivery took the event over.
        await claim.commitIn(client);
        return booked;
      });
      console.log(JSON.stringify({ outcome, reference: event.reference, event: event.id }));
    }
    res.sendStatus(200); // only now, when it is on disk
  },
);
app.get('/orders/:reference', async (req, res) => {
  const { rows } = await pool.query(
    'SELECT reference, amount, currency, paid_by IS NOT NULL AS paid FROM orders WHERE reference = $1',
    [req.params.reference],
  );
  res.status(rows.length === 0 ? 404 : 200).json(rows[0] ?? null); // in a real shop: to the buyer only
});

const server = app.listen(Number(PORT), HOST, (error) => {
  if (error) throw error;
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`listening on http://${HOST}:${port}`);
});
process.once('SIGTERM', () => server.close(() => pool.end()));
