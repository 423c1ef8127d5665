// The two builds in one process: `instanceof` fails across them, `isWebhookError` must not.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import * as esm from 'payproof';

const cjs = createRequire(import.meta.url)('payproof');
assert.notEqual(esm.WebhookError, cjs.WebhookError);

for (const [own, other] of [
  [esm, cjs],
  [cjs, esm],
]) {
  assert.throws(
    () => own.verify(own.hitpay({ salt: 'a' }), { headers: {}, body: Buffer.from('a=1') }),
    (error) =>
      error instanceof own.WebhookError &&
      !(error instanceof other.WebhookError) &&
      other.isWebhookError(error) &&
      error.code === 'signature_missing',
  );
  assert.equal(other.isWebhookError(new TypeError()), false);
}

// A provider of one build serves the other: Express in CommonJS, the provider in ESM.
assert.throws(
  () => cjs.verify(esm.hitpay({ salt: 'a' }), { headers: {}, body: Buffer.from('a=1') }),
  (error) => cjs.isWebhookError(error),
);
