import type { Delivery } from './delivery.ts';
import type { Evidence, Scene } from './diagnosis/clues.ts';
import type { ProviderEvent } from './event.ts';

/**
 * The contract by which a provider is written. `docs/adding-a-provider.md` shows a complete one.
 *
 * All options are checked in the factory that makes the provider; its methods only read. Secrets
 * stay in the factory's closure, so that nothing that prints a provider shows them.
 */
export interface Provider<Event extends ProviderEvent = ProviderEvent> {
  /** The name that its events bear. */
  readonly name: Event['provider'];
  /** The essences of the content types that it sends, in lower case. Others are answered 415. */
  readonly contentTypes: readonly string[];
  /**
   * Whether a delivery looks like one of this provider's, judged by the presence of its marks. Only
   * asked where a route has several providers; it decides who judges, never the judgement.
   */
  recognizes(delivery: Delivery): boolean;
  /**
   * Authenticates a delivery and only then interprets it. Pure: no network, no clock but
   * `delivery.receivedAt`.
   *
   * @throws WebhookError if it is not authentic
   */
  authenticate(delivery: Delivery): Event;
  /**
   * Asks the provider's API whether the event is true; where it is there, the pipeline calls it
   * after `authenticate`.
   *
   * @throws WebhookError `confirmation_mismatch` if the API says otherwise,
   *   `confirmation_unavailable` if it cannot be asked now
   */
  confirm?(event: Event): Promise<Event>;
  /**
   * Tells merchants' accounts apart without telling a secret ({@link accountOf}). Asked where a route
   * takes its provider from a function of the request, so that one merchant's events are never taken
   * for another's; a provider without it needs `dedupe: { scope }` there.
   */
  account?(): string;
  /**
   * Gives {@link diagnose} what it needs to find out why a delivery was refused: where the signature
   * stands, the secrets, the text that should have been signed, and the texts that may have been
   * signed in its place. Called after a refusal only. Nothing that a sender wrote may stand in a
   * sentence of evidence.
   */
  evidence?(delivery: Delivery, scene: Scene): Evidence;
}

/** The event type of a provider type. */
export type EventOf<P extends Provider> = P extends Provider<infer Event> ? Event : never;

/** Whether a value has the shape of a {@link Provider}. */
export function isProvider(value: unknown): value is Provider {
  const { name, contentTypes, recognizes, authenticate } = (value ?? {}) as Partial<Provider>;
  return (
    typeof name === 'string' &&
    Array.isArray(contentTypes) &&
    typeof recognizes === 'function' &&
    typeof authenticate === 'function'
  );
}
