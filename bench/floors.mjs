// @ts-check
// The least that there is to do with a delivery: a MAC over the same bytes, one comparison, and the parse.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { hmacHex, SECRET } from './deliveries.mjs';

/** @typedef {import('./deliveries.mjs').Arrived & { signature: string }} Signed */

/** @param {import('./deliveries.mjs').Arrived} delivery @returns {Signed} */
export function withSignature(delivery) {
  return { ...delivery, signature: hmacHex(`${delivery.body}`) };
}

/** @param {string | Uint8Array} text @param {string} signature */
function authenticate(text, signature) {
  const mac = createHmac('sha256', SECRET).update(text).digest();
  if (!timingSafeEqual(mac, Buffer.from(signature, 'hex'))) throw new Error('not authentic');
}

/** @param {Signed} delivery */
export function floor({ body, signature }) {
  authenticate(body, signature);
  return JSON.parse(body.toString());
}

/** The same for HitPay's form: it must be parsed and sorted before there is a text to sign. @param {Signed} delivery */
export function formFloor({ body }) {
  const fields = new URLSearchParams(body.toString());
  const signature = fields.get('hmac') ?? '';
  fields.delete('hmac');
  fields.sort();
  let text = '';
  for (const [name, value] of fields) text += name + value;
  authenticate(text, signature);
  return fields;
}
