// A provider that someone else wrote, known to the type system like payproof's own.
import express from 'express';
import {
  type Delivery,
  decodeJson,
  eventId,
  hexSignature,
  type JsonObject,
  keyring,
  money,
  type PaymentEvent,
  type Provider,
  type ProviderEvent,
  type SecretInput,
  signingKey,
  verify,
  WebhookError,
} from 'payproof';
import { paymentWebhook } from 'payproof/express';
import { type Equal, is } from './equal.js';

export interface MyPayPayload {
  reference: string;
}

export type MyPayEvent = ProviderEvent<'mypay', MyPayPayload>;

declare module 'payproof' {
  interface PaymentEvents {
    mypay: MyPayEvent;
  }
}

export function mypay(options: { secret: SecretInput | undefined }): Provider<MyPayEvent> {
  const keys = keyring('secret', options.secret);
  return {
    name: 'mypay',
    contentTypes: ['application/json'],
    recognizes: (delivery) => delivery.header('x-mypay') !== undefined,
    authenticate(delivery: Delivery): MyPayEvent {
      const signature = hexSignature(delivery.header('x-mypay'));
      const keyId = signingKey(keys, signature, delivery.receivedAt, delivery.body);
      if (keyId === undefined) throw new WebhookError('signature_mismatch');
      const { value, exact } = decodeJson(delivery.body);
      const fields: JsonObject = value;
      return {
        provider: 'mypay',
        scheme: 'mypay/hmac',
        trust: 'signed',
        keyId,
        id: eventId('mypay', String(fields.id)),
        type: 'payment.succeeded',
        paymentId: String(fields.id),
        reference: null,
        amount: money(exact.amount, 'SGD'),
        fee: null,
        net: null,
        customer: { name: null, phone: null, email: null },
        occurredAt: null,
        payload: { reference: String(fields.reference) },
      };
    },
    confirm: async (event) => ({ ...event, trust: 'confirmed' }),
  };
}

const event = verify(mypay({ secret: 'x' }), { headers: {}, body: new Uint8Array() });
is<Equal<typeof event, MyPayEvent>>();

express().post('/webhook', paymentWebhook(mypay({ secret: process.env.MYPAY })), (req) => {
  is<Equal<typeof req.paymentEvent, PaymentEvent>>();
  if (req.paymentEvent.provider === 'mypay') {
    is<Equal<typeof req.paymentEvent.payload, MyPayPayload>>();
  }
});
