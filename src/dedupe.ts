/** What a store keeps of an event, and for whom. */
export interface ClaimRequest {
  /** `event.id`: what must happen once. */
  readonly key: string;
  /** Who asks; unique per delivery. Only the owner can commit or release. */
  readonly owner: string;
  /** How long the claim holds without a commit, in milliseconds. */
  readonly lease: number;
  /** What every telling of this event must agree on: amount, currency, reference. */
  readonly fingerprint: string;
}

/** The answer to a claim. */
export type ClaimResult =
  /** The caller owns the event now and must commit or release it. */
  | { readonly status: 'claimed' }
  /** Another owner is at work; ask again after so many milliseconds. */
  | { readonly status: 'in_progress'; readonly retryAfter: number }
  /** It was committed before. */
  | { readonly status: 'done' }
  /** It is known with another fingerprint. */
  | { readonly status: 'conflict' };

/**
 * Where it is remembered which events were processed. Every verb is atomic; a verb that fails
 * rejects, and the delivery is then answered 503, so that the provider sends it again.
 */
export interface DedupeStore {
  /**
   * Claims an event, unless it is done, in other hands, or known with another fingerprint. A claim
   * by the owner that already holds it renews the lease. A claim whose lease ran out is free.
   */
  claim(request: ClaimRequest): Promise<ClaimResult>;
  /**
   * Marks an event as done for `ttl` milliseconds.
   *
   * @returns false if the caller no longer owns it
   */
  commit(key: string, owner: string, ttl: number): Promise<boolean>;
  /**
   * Gives a claim back, so that the next delivery runs.
   *
   * @returns false if the caller no longer owns it
   */
  release(key: string, owner: string): Promise<boolean>;
  /** Lets go of what the store holds open. */
  close?(): Promise<void>;
}
