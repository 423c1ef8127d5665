import { createHash } from 'node:crypto';
import { decimal } from '../core/money.ts';
import { Verbatim, writeJson } from './json.ts';
import type { Scheme } from './signer.ts';

// What the providers send, in the shapes and the order of fields of their documentation and code.

/** What every sample can say. What is left out has a default; ids are new for every delivery. */
export interface AnySample {
  /** The merchant's own order reference. */
  reference?: string | undefined;
  /** In major units. A text is sent as it is spelt: `'1500.00'` and `1500` differ in the bytes. */
  amount?: string | number | undefined;
  /** The provider's id of the payment. Default: a new one for every delivery. */
  paymentId?: string | undefined;
  /**
   * Further fields as the provider names them, or others in place of the kit's; `undefined` leaves a
   * field out. (Hatexcard `timestamped`: fields of `data`.)
   */
  fields?: Readonly<Record<string, unknown>> | undefined;
}

/** A delivery of Hatexcard. */
export interface HatexcardSample extends AnySample {
  /** Default `payment.success`. */
  event?: 'payment.success' | 'payment.succeeded' | 'ping' | undefined;
  /** Default `HTG`. */
  currency?: string | undefined;
  /** The customer's name. */
  name?: string | undefined;
}

/** A form of HitPay. */
export type HitPayFormSample = AnySample & {
  /** Default `SGD`. */
  currency?: string | undefined;
} & (
    | {
        /** Default `payment_request`. */
        kind?: 'payment_request' | undefined;
        /** Default `completed`. */
        status?: 'completed' | 'failed' | 'pending' | 'canceled' | undefined;
        /** Default empty, as HitPay sends it where the buyer gave none. */
        phone?: string | undefined;
      }
    | {
        kind: 'recurring_billing';
        /** Default `succeeded`. */
        status?: 'succeeded' | 'failed' | undefined;
      }
  );

/** A JSON event of HitPay. */
export type HitPayEventSample = AnySample & {
  /** Default `SGD`. */
  currency?: string | undefined;
  name?: string | undefined;
  email?: string | undefined;
} & (
    | {
        /** Default `payment_request.completed`. */
        kind?:
          | 'payment_request.completed'
          | 'payment_request.failed'
          | 'recurring_billing.method_attached'
          | 'recurring_billing.method_detached'
          | 'recurring_billing.subscription_updated'
          | 'payout.created'
          | 'order.created'
          | 'order.updated'
          | 'invoice.created'
          | 'invoice.updated'
          | 'transfer.created'
          | undefined;
      }
    | {
        kind: 'charge.created' | 'charge.updated';
        /** Default `succeeded`; it stays so when the charge is refunded. */
        status?: 'succeeded' | 'failed' | 'pending' | 'canceled' | undefined;
        /** How much of the charge was refunded. Default 0. */
        refunded?: string | number | undefined;
      }
  );

/** A callback of DExchange. */
export interface DexchangeSample extends AnySample {
  /** Default `SUCCESS`. */
  status?:
    | 'PENDING'
    | 'PROCESSING'
    | 'SUCCESS'
    | 'COMPLETED'
    | 'FAILED'
    | 'CANCELLED'
    | 'EXPIRED'
    | undefined;
  /** `MID`: a payment link (the default). `TID`: a direct transaction. */
  transaction?: 'MID' | 'TID' | undefined;
  phone?: string | undefined;
}

/** The sample of each scheme. */
export interface SampleOf {
  'hatexcard/timestamped': HatexcardSample;
  'hatexcard/body': HatexcardSample;
  'hitpay/form': HitPayFormSample;
  'hitpay/event': HitPayEventSample;
  'dexchange/token': DexchangeSample;
  'dexchange/bearer': DexchangeSample;
  'dexchange/signature': DexchangeSample;
}

/** A sample of any scheme, as the writers read it. */
export interface LooseSample extends AnySample {
  kind?: string | undefined;
  event?: string | undefined;
  status?: string | undefined;
  currency?: string | undefined;
  name?: string | undefined;
  email?: string | undefined;
  phone?: string | undefined;
  refunded?: string | number | undefined;
  transaction?: string | undefined;
}

const COMMON = ['reference', 'amount', 'paymentId', 'fields'];
const HATEXCARD = [...COMMON, 'event', 'currency', 'name'];
const DEXCHANGE = [...COMMON, 'status', 'transaction', 'phone'];

/** The fields that a sample of each scheme has. */
export const SAMPLE_FIELDS: Readonly<Record<Scheme, readonly string[]>> = {
  'hatexcard/timestamped': HATEXCARD,
  'hatexcard/body': HATEXCARD,
  'hitpay/form': [...COMMON, 'kind', 'status', 'currency', 'phone'],
  'hitpay/event': [...COMMON, 'kind', 'status', 'currency', 'name', 'email', 'refunded'],
  'dexchange/token': DEXCHANGE,
  'dexchange/bearer': DEXCHANGE,
  'dexchange/signature': DEXCHANGE,
};

const REQUEST = ['completed', 'failed', 'pending', 'canceled'];
const CHARGE = ['succeeded', 'failed', 'pending', 'canceled'];
const STATUSES = [
  'PENDING',
  'PROCESSING',
  'SUCCESS',
  'COMPLETED',
  'FAILED',
  'CANCELLED',
  'EXPIRED',
];
const TRANSACTIONS = ['MID', 'TID'];
const HATEXCARD_EVENTS = ['payment.success', 'payment.succeeded', 'ping'];
const OTHER_KINDS = [
  'recurring_billing.method_attached',
  'recurring_billing.method_detached',
  'recurring_billing.subscription_updated',
  'payout.created',
  'order.created',
  'order.updated',
  'invoice.created',
  'invoice.updated',
  'transfer.created',
];

type Choices = Readonly<
  Partial<Record<'kind' | 'event' | 'status' | 'transaction', readonly string[]>>
>;

/** The values that a sample's fields can have; the first is the default. */
export function choicesOf(scheme: Scheme, kind: string | undefined): Choices {
  switch (scheme) {
    case 'hatexcard/timestamped':
    case 'hatexcard/body':
      return { event: HATEXCARD_EVENTS };
    case 'hitpay/form':
      return {
        kind: ['payment_request', 'recurring_billing'],
        status: kind === 'recurring_billing' ? ['succeeded', 'failed'] : REQUEST,
      };
    case 'hitpay/event':
      return {
        kind: [
          'payment_request.completed',
          'payment_request.failed',
          'charge.created',
          'charge.updated',
          ...OTHER_KINDS,
        ],
        // Elsewhere the kind says it.
        status: kind?.startsWith('charge.') ? CHARGE : [],
      };
    default:
      return { status: STATUSES, transaction: TRANSACTIONS };
  }
}

/** What a body is made of: the same facts give the same bytes. */
export interface Facts {
  readonly sample: LooseSample;
  /** When it happened. */
  readonly at: Date;
  /** From it come the ids that the sample leaves open. */
  readonly seed: string;
  /** Counts a provider's own attempts. */
  readonly attempt: number;
}

/** An id that looks random and is always the same for the same names. */
function idOf(seed: string, name: string): string {
  const hex = createHash('sha256').update(`${seed}/${name}`).digest('hex');
  const at = (from: number, to: number) => hex.slice(from, to);
  return `${at(0, 8)}-${at(8, 12)}-4${at(13, 16)}-a${at(17, 20)}-${at(20, 32)}`;
}

function shortId(seed: string, name: string): string {
  return idOf(seed, name).replaceAll('-', '').slice(0, 16).toUpperCase();
}

/** Unix seconds. */
export function seconds(at: Date): number {
  return Math.floor(+at / 1000);
}

/** The payment's id in the provider's form. */
export function paymentIdOf(scheme: Scheme, { sample, seed }: Facts): string {
  if (sample.paymentId !== undefined) return sample.paymentId;
  if (scheme.startsWith('hatexcard/')) return `HTX-${shortId(seed, 'payment')}`;
  if (scheme.startsWith('hitpay/')) return idOf(seed, 'payment');
  return `${sample.transaction ?? 'MID'}${shortId(seed, 'payment')}`;
}

/** The merchant's reference, also where the sample leaves it open. */
export function referenceOf({ sample }: Facts): string {
  return sample.reference ?? 'ORDER-1';
}

/** The body of a scheme that sends JSON. */
export function jsonBody(scheme: Scheme, facts: Facts): string {
  if (scheme === 'hitpay/event') return writeJson(hitpayEvent(facts), true);
  if (scheme === 'hatexcard/timestamped') return writeJson(hatexcardEnvelope(facts));
  if (scheme === 'hatexcard/body') return writeJson(hatexcardFlat(facts));
  return writeJson(dexchangeFields(scheme, facts));
}

function hatexcardData(facts: Facts) {
  const { sample } = facts;
  const amount = sample.amount ?? '1500.00';
  return {
    transaction_id: paymentIdOf('hatexcard/timestamped', facts),
    order_id: referenceOf(facts),
    amount: new Verbatim(amount),
    currency: sample.currency ?? 'HTG',
    customer_name: sample.name ?? 'Marie Noël',
  };
}

function hatexcardEnvelope(facts: Facts) {
  const { sample, seed, at, attempt } = facts;
  const event = sample.event ?? 'payment.success';
  return {
    // Differs between a delivery and its retries.
    id: `evt_${shortId(seed, `attempt ${attempt}`).toLowerCase()}`,
    event,
    created: seconds(at),
    data:
      event === 'ping'
        ? { message: 'ping', ...sample.fields }
        : { ...hatexcardData(facts), ...sample.fields },
  };
}

function hatexcardFlat(facts: Facts) {
  const { sample, at } = facts;
  const event = sample.event ?? 'payment.success';
  const data = event === 'ping' ? {} : hatexcardData(facts);
  return { event, ...data, timestamp: at.toISOString(), ...sample.fields };
}

/** The fields of HitPay's form in the order in which it sends them, without `hmac`. */
export function hitpayForm(facts: Facts): Map<string, string> {
  const { sample, seed } = facts;
  const amount = twoDecimals(sample.amount ?? '599.00');
  const currency = sample.currency ?? 'SGD';
  const payment_id = paymentIdOf('hitpay/form', facts);
  const fields: Record<string, unknown> =
    sample.kind === 'recurring_billing'
      ? {
          payment_id,
          recurring_billing_id: idOf(seed, 'recurring billing'),
          amount,
          currency,
          status: sample.status ?? 'succeeded',
          reference: referenceOf(facts),
        }
      : {
          payment_id,
          payment_request_id: idOf(seed, 'payment request'),
          phone: sample.phone ?? '',
          amount,
          currency,
          status: sample.status ?? 'completed',
          reference_number: referenceOf(facts),
        };
  const all = Object.entries({ ...fields, ...sample.fields });
  return new Map(
    all.filter(([, value]) => value !== undefined).map(([name, value]) => [name, String(value)]),
  );
}

/** A text as it is spelt; a number with the two decimals that HitPay writes. */
function twoDecimals(amount: string | number): string {
  if (typeof amount === 'string') return amount;
  const [whole = '', fraction = ''] = String(decimal(amount)).split('.');
  return `${whole}.${fraction.padEnd(2, '0')}`;
}

function hitpayEvent(facts: Facts): Record<string, unknown> {
  const { sample, seed, at } = facts;
  const kind = sample.kind ?? 'payment_request.completed';
  const [object] = kind.split('.');
  const currency = sample.currency ?? 'SGD';
  const amount = sample.amount ?? '599.00';
  const time = at.toISOString().slice(0, 19);
  const name = sample.name ?? 'Nguyễn Văn An';
  const email = sample.email ?? 'an@example.com';
  const request = idOf(seed, 'payment request');
  const written = { created_at: time, updated_at: time };
  const further = sample.fields;
  switch (object) {
    case 'payment_request': {
      const paid = kind === 'payment_request.completed';
      const payment = {
        id: paymentIdOf('hitpay/event', facts),
        quantity: 1,
        status: paid ? 'succeeded' : 'failed',
        currency,
        amount: twoDecimals(amount),
        payment_type: 'paynow_online',
        ...written,
      };
      return {
        id: request,
        name,
        email,
        phone: null,
        amount: twoDecimals(amount),
        currency,
        status: paid ? 'completed' : 'failed',
        purpose: null,
        reference_number: referenceOf(facts),
        payment_methods: ['paynow_online', 'card'],
        url: `https://securecheckout.hit-pay.com/payment-request/@shop/${request}/checkout`,
        ...written,
        payments: [payment],
        ...further,
      };
    }
    case 'charge':
      return {
        id: paymentIdOf('hitpay/event', facts),
        channel: 'api_integrations',
        customer: { name, email, phone_number: null },
        status: sample.status ?? 'succeeded',
        currency: currency.toLowerCase(),
        amount: new Verbatim(amount),
        refunded_amount: new Verbatim(sample.refunded ?? 0),
        payment_provider: { code: 'stripe_sg', charge: { method: 'card' } },
        payment_request: { id: request, status: 'completed', reference_number: referenceOf(facts) },
        ...written,
        ...further,
      };
    case 'recurring_billing':
      return {
        event: kind,
        affected_method_id: idOf(seed, 'method'),
        recurring_billing: {
          id: idOf(seed, 'recurring billing'),
          reference: referenceOf(facts),
          name,
          email,
          amount: twoDecimals(amount),
          currency,
          status: kind.endsWith('detached') ? 'canceled' : 'active',
        },
        ...further,
      };
    default:
      return {
        id: idOf(seed, String(object)),
        status: kind.endsWith('.created') ? 'pending' : 'paid',
        reference: referenceOf(facts),
        amount: twoDecimals(amount),
        currency,
        ...written,
        ...further,
      };
  }
}

function dexchangeFields(scheme: Scheme, facts: Facts): Record<string, unknown> {
  const { sample, at } = facts;
  const { status = 'SUCCESS' } = sample;
  return {
    id: paymentIdOf(scheme, facts),
    externalTransactionId: referenceOf(facts),
    transactionType: 'CASHIN',
    AMOUNT: new Verbatim(sample.amount ?? 5000),
    FEE: 75,
    PHONE_NUMBER: sample.phone ?? '770000000',
    STATUS: status,
    CUSTOM_DATA: '{}',
    COMPLETED_AT: at.toISOString(),
    BALANCE: 100000,
    PREVIOUS_BALANCE: 95075,
    CURRENT_BALANCE: 100000,
    ...(status === 'FAILED' ? { ERROR_CODE: 'INSUFFICIENT_FUNDS' } : {}),
    ...sample.fields,
  };
}
