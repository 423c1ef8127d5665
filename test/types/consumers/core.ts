// What compiles without any framework.
import {
  assertPaid,
  callbackUrl,
  type DexchangeEvent,
  dexchange,
  type HatexcardEvent,
  type HitPayEvent,
  hatexcard,
  hitpay,
  isWebhookError,
  type Money,
  type PaymentEvent,
  type PaymentEventType,
  type Provider,
  verify,
  WebhookError,
  type WebhookErrorCode,
} from 'payproof';
import { type Equal, is } from './equal.js';

const { HITPAY_SALT, HATEXCARD_SECRET, DEXCHANGE_SECRET } = process.env;

// An environment variable may be unset: that is told at construction, so the types let it pass.
const payments = hitpay({ salt: HITPAY_SALT });
const cards = hatexcard({ secret: HATEXCARD_SECRET, schemes: ['timestamped'], tolerance: 60 });
const transfers = dexchange({
  token: { secret: DEXCHANGE_SECRET },
  confirm: { apiKey: process.env.DEXCHANGE_KEY, transactionId: async (order) => `MID${order}` },
});
hitpay({ salt: ['new', { id: 'old', value: 'old', notAfter: new Date() }], eventSalt: undefined });

const body = new Uint8Array();
const hitpayEvent = verify(payments, { headers: {}, body });
is<Equal<typeof hitpayEvent, HitPayEvent>>();
const hatexcardEvent = verify(cards, { headers: new Headers(), body, receivedAt: new Date() });
is<Equal<typeof hatexcardEvent, HatexcardEvent>>();
const dexchangeEvent = verify(transfers, { headers: {}, body, url: '/webhook?payproof=x' });
is<Equal<typeof dexchangeEvent, DexchangeEvent>>();
const either = verify([payments, cards], { headers: {}, body: Buffer.from('') });
is<Equal<typeof either, HitPayEvent | HatexcardEvent>>();

// A provider of one's own choosing is a provider like any other.
export const chosen: Provider = Math.random() < 0.5 ? payments : transfers;
export const all: readonly Provider[] = [payments, cards, transfers];

// The scheme tells HitPay's form from its JSON.
if (hitpayEvent.scheme === 'hitpay/form') {
  is<Equal<typeof hitpayEvent.payload.payment_id, string>>();
} else {
  is<Equal<typeof hitpayEvent.payload.id, string | undefined>>();
}

export function describe(event: PaymentEvent): string {
  is<Equal<typeof event.type, PaymentEventType>>();
  is<Equal<typeof event.amount, Money | null>>();
  if (event.amount !== null) {
    is<Equal<typeof event.amount.value, string>>();
    is<Equal<typeof event.amount.minorUnits, number | null>>();
  }
  switch (event.provider) {
    case 'hitpay':
      is<Equal<typeof event, HitPayEvent>>();
      return event.scheme === 'hitpay/form' ? event.payload.payment_id : (event.payload.id ?? '');
    case 'hatexcard':
      is<Equal<typeof event, HatexcardEvent>>();
      return event.payload.data?.order_id ?? event.payload.order_id ?? '';
    case 'dexchange':
      is<Equal<typeof event, DexchangeEvent>>();
      return event.payload.externalTransactionId;
  }
}

assertPaid(hitpayEvent, { reference: 'ABC123', amount: '599.00', currency: 'SGD' });
assertPaid(either, { reference: 'ABC123', amount: 599, currency: 'SGD' });
export const url: string = callbackUrl('https://shop.example/webhook', '42', {
  secret: DEXCHANGE_SECRET,
});

try {
  throw new WebhookError('signature_mismatch');
} catch (error) {
  is<Equal<typeof error, unknown>>();
  if (isWebhookError(error)) {
    is<Equal<typeof error.code, WebhookErrorCode>>();
    is<Equal<typeof error.status, number>>();
  }
}
