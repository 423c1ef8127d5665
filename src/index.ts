import type { ProviderEvent } from './core/event.ts';
import type { DexchangeEvent } from './providers/dexchange.ts';
import type { HatexcardEvent } from './providers/hatexcard.ts';
import type { HitPayEvent } from './providers/hitpay.ts';

/**
 * The events of the providers that the type system knows. A third party adds its own by
 * `declare module 'payproof' { interface PaymentEvents { mypay: MyPayEvent } }`.
 */
export interface PaymentEvents {
  hatexcard: HatexcardEvent;
  hitpay: HitPayEvent;
  dexchange: DexchangeEvent;
}

/** An event of any known provider; narrowing on `provider` gives `payload` its type. */
export type PaymentEvent = Extract<PaymentEvents[keyof PaymentEvents], ProviderEvent>;

export type { Delivery, DeliveryInput, HeadersLike } from './core/delivery.ts';
export type { Confidence, DiagnosisCause, Finding, Suspicion } from './core/diagnosis/causes.ts';
export { DIAGNOSIS_CAUSES } from './core/diagnosis/causes.ts';
export type { Clue, Evidence, Scene, SignedText } from './core/diagnosis/clues.ts';
export { bodyTexts } from './core/diagnosis/texts.ts';
export type { Diagnosis, DiagnosisInput, DiagnosisOptions } from './core/diagnosis.ts';
export { diagnose } from './core/diagnosis.ts';
export type { WebhookErrorCode, WebhookErrorOptions } from './core/errors.ts';
export { isWebhookError, WebhookError } from './core/errors.ts';
export type {
  Customer,
  ExpectedPayment,
  PaymentEventType,
  ProviderEvent,
  Trust,
} from './core/event.ts';
export { assertPaid, eventId } from './core/event.ts';
export { decodeForm } from './core/form.ts';
export type { JsonDocument, JsonObject } from './core/json.ts';
export { decodeJson } from './core/json.ts';
export type { Money } from './core/money.ts';
export { money } from './core/money.ts';
export type { EventOf, Provider } from './core/provider.ts';
export type { Keyring, NamedSecret, SecretInput } from './core/secrets.ts';
export { accountOf, hexSignature, keyring, signingKey } from './core/secrets.ts';
export { verify } from './core/verify.ts';
export type {
  DexchangeConfirmOptions,
  DexchangeEvent,
  DexchangeOptions,
  DexchangePayload,
} from './providers/dexchange.ts';
export { callbackUrl, dexchange } from './providers/dexchange.ts';
export type {
  HatexcardEvent,
  HatexcardOptions,
  HatexcardPayload,
  HatexcardPayment,
} from './providers/hatexcard.ts';
export { hatexcard } from './providers/hatexcard.ts';
export type {
  HitPayEvent,
  HitPayEventPayload,
  HitPayFormPayload,
  HitPayOptions,
} from './providers/hitpay.ts';
export { hitpay } from './providers/hitpay.ts';
