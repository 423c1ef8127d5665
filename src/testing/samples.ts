import type { PaymentEventType } from '../core/event.ts';
import type { SampleOf } from './bodies.ts';
import type { Scheme } from './signer.ts';

/** One kind of event that a provider sends. */
export interface NamedSample<S extends Scheme = Scheme> {
  /** What it is, for a test's name. */
  readonly name: string;
  /** The type of the event that payproof makes of it. */
  readonly type: PaymentEventType;
  /** For `signed`. */
  readonly sample: SampleOf[S];
}

type Rows<S extends Scheme> = readonly (readonly [
  name: string,
  type: PaymentEventType,
  sample: SampleOf[S],
])[];

const HATEXCARD: Rows<'hatexcard/body'> = [
  ['payment.success', 'payment.succeeded', {}],
  [
    'payment.success with fee and net amount',
    'payment.succeeded',
    { fields: { amount_received: 1440, api_fee: 60 } },
  ],
  ['payment.success without an order', 'payment.succeeded', { reference: 'N/A' }],
  ['payment.succeeded (older)', 'payment.succeeded', { event: 'payment.succeeded' }],
  ['ping', 'ping', { event: 'ping' }],
];

const DEXCHANGE: Rows<'dexchange/token'> = (['MID', 'TID'] as const).flatMap((transaction) =>
  (
    [
      ['PENDING', 'payment.pending'],
      ['PROCESSING', 'payment.pending'],
      ['SUCCESS', 'payment.succeeded'],
      ['COMPLETED', 'payment.succeeded'],
      ['FAILED', 'payment.failed'],
      ['CANCELLED', 'payment.canceled'],
      ['EXPIRED', 'payment.expired'],
    ] as const
  ).map(([status, type]) => [`${transaction} ${status}`, type, { transaction, status }] as const),
);

const SAMPLES: { readonly [S in Scheme]: Rows<S> } = {
  'hatexcard/timestamped': HATEXCARD,
  'hatexcard/body': HATEXCARD,
  'hitpay/form': [
    ['payment request completed', 'payment.succeeded', {}],
    ['payment request failed', 'payment.failed', { status: 'failed' }],
    ['payment request pending', 'payment.pending', { status: 'pending' }],
    ['payment request canceled', 'payment.canceled', { status: 'canceled' }],
    ['payment request with a phone', 'payment.succeeded', { phone: '+6591234567' }],
    [
      'payment request, older: without reference_number',
      'payment.succeeded',
      { fields: { reference_number: undefined } },
    ],
    ['recurring billing succeeded', 'payment.succeeded', { kind: 'recurring_billing' }],
    ['recurring billing failed', 'payment.failed', { kind: 'recurring_billing', status: 'failed' }],
  ],
  'hitpay/event': [
    ['payment_request.completed', 'payment.succeeded', { kind: 'payment_request.completed' }],
    ['payment_request.failed', 'payment.failed', { kind: 'payment_request.failed' }],
    ['charge.created', 'payment.succeeded', { kind: 'charge.created' }],
    ['charge.created, failed', 'payment.failed', { kind: 'charge.created', status: 'failed' }],
    [
      'charge.updated: refunded',
      'payment.refunded',
      { kind: 'charge.updated', amount: '599.00', refunded: '599.00' },
    ],
    [
      'charge.updated: partially refunded',
      'payment.partially_refunded',
      { kind: 'charge.updated', amount: '599.00', refunded: '100.50' },
    ],
    ...(
      [
        'recurring_billing.method_attached',
        'recurring_billing.method_detached',
        'recurring_billing.subscription_updated',
        'payout.created',
        'order.created',
        'order.updated',
        'invoice.created',
        'invoice.updated',
        'transfer.created',
      ] as const
    ).map((kind) => [kind, 'other', { kind }] as const),
  ],
  'dexchange/token': DEXCHANGE,
  'dexchange/bearer': DEXCHANGE,
  'dexchange/signature': DEXCHANGE,
};

/**
 * A sample of every kind of event of a scheme, to go through in a loop:
 *
 * ```ts
 * for (const { name, sample } of samples('hitpay/form')) {
 *   test(name, () => post(signed({ provider: 'hitpay', scheme: 'form', secret }, sample)));
 * }
 * ```
 *
 * @throws TypeError if there is no such scheme
 */
export function samples<S extends Scheme>(scheme: S): NamedSample<S>[] {
  if (!Object.hasOwn(SAMPLES, scheme)) throw new TypeError('scheme: no such scheme');
  return SAMPLES[scheme].map(([name, type, sample]) => ({ name, type, sample }));
}
