import { createHmac } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { PaymentWebhookOptions } from '../../src/http/pipeline.ts';
import type { DiagnosisOptions, Provider } from '../../src/index.ts';
import type { Framework, Middleware } from '../servers.ts';

// Deliveries, right and wrong, and how a route can be broken; without any server.

/** As long as the providers' own. */
export const SECRET = 'whsec_4f1c9a7be02d6358c1a94e77d05b8f3ea6c2419d70b85ef3';
export const SALT = '2nM5DLenDt1cBkWvgF7rTqYhXzJp0oSaKiUe8ElC9mRwQbHdPyGxV6uN3fZsA4j';
export const EVENT_SALT = 'kQ7wZr2LxVb9NcYd4HfTg6PjMs8DuXe1RaKo3WyBi5EnUvCtGqJhFpSzAl0mO';
export const NOW = new Date('2026-07-26T12:00:00Z');
export const SECONDS = +NOW / 1000;

type Bytes = string | Uint8Array;

/** A signer as senders write it. */
export function hmac(secret: Bytes, text: Bytes, hash = 'sha256'): Buffer {
  return createHmac(hash, secret).update(text).digest();
}
export const hex = (secret: Bytes, text: Bytes): string => hmac(secret, text).toString('hex');

export interface Sent {
  method?: string;
  path?: string;
  headers?: Record<string, string | string[]>;
  body?: Bytes;
}

export interface Setup {
  framework?: Framework;
  // biome-ignore lint/suspicious/noExplicitAny: a provider, a list, or a function of the headers
  provider: Provider | readonly Provider[] | ((headers: IncomingHttpHeaders) => any);
  before?: Middleware[];
  options?: PaymentWebhookOptions;
  /** What stands before the server: changes the request on its way. */
  proxy?: (sent: Required<Sent>) => Sent;
  diagnosis?: DiagnosisOptions;
}

// ---- Deliveries ----------------------------------------------------------------------------------

export const PAYMENT = {
  id: 'evt_1',
  event: 'payment.success',
  created: SECONDS - 2,
  data: {
    transaction_id: 'HTX-1',
    order_id: 'CMD/1',
    amount: 1500,
    currency: 'HTG',
    customer_name: 'Zoé Désir',
  },
};

const JSON_TYPE = { 'content-type': 'application/json' };

/** Hatexcard's timestamped scheme; `text` is what is signed. */
export function hatex(
  body: Bytes = JSON.stringify(PAYMENT),
  secret: Bytes = SECRET,
  text: Bytes = body,
  at: number | string = SECONDS,
): Required<Pick<Sent, 'headers' | 'body'>> {
  const signed = Buffer.concat([Buffer.from(`${at}.`), Buffer.from(text as string)]);
  return {
    headers: {
      ...JSON_TYPE,
      'x-hatex-timestamp': `${at}`,
      'x-hatex-signature': hex(secret, signed),
    },
    body,
  };
}

/** HitPay's event scheme. */
export function hitpayEvent(body: Bytes, secret: Bytes, text: Bytes = body) {
  return { headers: { ...JSON_TYPE, 'hitpay-signature': hex(secret, text) }, body };
}

export const ORDER: Record<string, string> = {
  payment_id: '92965a2d-ece3-4ace-1245-494050c9a3c1',
  payment_request_id: '92965a20-dae5-4d89-a452-5fdfa382dbe1',
  phone: '',
  amount: '1599.00',
  currency: 'SGD',
  status: 'completed',
  reference_number: 'Ordre n° 7+1',
};

export const hitpayText = (fields: Record<string, string>): string =>
  Object.keys(fields)
    .sort()
    .map((name) => name + fields[name])
    .join('');

const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' };

/** HitPay's form scheme; `text` is what is signed. */
export function hitpayForm(
  fields: Record<string, string> = ORDER,
  secret: Bytes = SALT,
  text: Bytes = hitpayText(fields),
): Required<Pick<Sent, 'headers' | 'body'>> {
  const body = new URLSearchParams({ ...fields, hmac: hex(secret, text) }).toString();
  return { headers: FORM_TYPE, body };
}

export const form = (body: string): Sent => ({ headers: FORM_TYPE, body });
export const json = (body: Bytes, headers: Record<string, string> = {}): Sent => ({
  headers: { ...JSON_TYPE, ...headers },
  body,
});

export const TRANSACTION = {
  id: 'MID123456789',
  externalTransactionId: 'ORDER-001',
  AMOUNT: 5000,
  STATUS: 'SUCCESS',
};

// ---- Serializers of other languages --------------------------------------------------------------

const unicode = (text: string): string =>
  text.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** PHP's `json_encode`. */
export const phpJson = (value: unknown): string =>
  unicode(JSON.stringify(value)).replaceAll('/', '\\/');

/** PHP's `json_encode($value, JSON_PRETTY_PRINT)`. */
export const phpPretty = (value: unknown): string =>
  unicode(JSON.stringify(value, null, 4)).replaceAll('/', '\\/');

/** Python's `json.dumps`. */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    return `{${entries.map(([name, one]) => `${pythonJson(name)}: ${pythonJson(one)}`).join(', ')}}`;
  }
  return unicode(JSON.stringify(value));
}
