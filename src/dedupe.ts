/** What a store keeps of an event, and for whom. */
export interface ClaimRequest {
  /** What must happen once: `event.id`, with the scope before it if there is one. */
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
 * Where it is remembered which events were processed. Every verb is atomic. A verb that cannot do
 * its work rejects; the delivery is then answered 503, so that the provider sends it again.
 *
 * `docs/exactly-once.md` is the guide to writing one, and `storeContract` of `payproof/testing` the
 * proof of it.
 */
export interface DedupeStore {
  /**
   * Claims an event, unless it is done, in other hands, or known with another fingerprint. A claim
   * by the owner that already holds it renews the lease. A claim whose lease ran out is free.
   */
  claim(request: ClaimRequest): Promise<ClaimResult>;
  /**
   * Marks an event as done and remembers it for `ttl` milliseconds.
   *
   * @returns false if the caller does not own it (any more)
   */
  commit(key: string, owner: string, ttl: number): Promise<boolean>;
  /**
   * Gives a claim back, so that the next delivery runs.
   *
   * @returns false if the caller does not own it (any more)
   */
  release(key: string, owner: string): Promise<boolean>;
  /**
   * Raises the rank of a payment's state, never lowers it, and remembers it for `ttl` milliseconds.
   * Needed for the option `stale` only.
   *
   * @returns the highest rank so far, this one included; 0 if there is none
   */
  advance?(payment: string, rank: number, ttl: number): Promise<number>;
  /**
   * `commit` inside the merchant's own transaction; stores on SQL databases have it.
   *
   * @param tx the client or transaction of the merchant, of the kind that the store documents
   * @returns false if the caller does not own it (any more); not as a promise where the database
   *   itself answers at once, so that a synchronous transaction can still be rolled back
   */
  commitIn?(tx: unknown, key: string, owner: string, ttl: number): boolean | Promise<boolean>;
  /** Lets go of what the store itself holds open. */
  close?(): Promise<void>;
}

/** `options.dedupe` where more than the store is to be said. */
export interface DedupeOptions {
  /** Where it is remembered. */
  store: DedupeStore;
  /**
   * How long a claim holds when its process dies, in milliseconds. Default 60000. A handler that
   * takes longer keeps its claim: the lease is renewed while the connection is open.
   */
  lease?: number | undefined;
  /** How long a processed event is remembered, in milliseconds. Default 30 days. */
  remember?: number | undefined;
  /** How long the store may take to answer, in milliseconds; then 503. Default 5000. */
  timeout?: number | undefined;
  /**
   * What happens to an event that a later state of its payment has overtaken, such as a
   * `payment.failed` after `payment.succeeded`: `mark` sets `event.stale`, `skip` answers 200 without
   * the handler. Default: nothing is kept or looked up.
   */
  stale?: 'mark' | 'skip' | undefined;
  /**
   * Whose events these are, where merchants who do not trust each other share a store: a name, or a
   * function of the framework's request. Without it one merchant could sign another's payment id with
   * a secret of their own, and the other's event would pass for a redelivery. Default: none, or the
   * provider's `account()` where the provider comes from a function of the request.
   */
  scope?: string | ((request: never) => string) | undefined;
}

/** The handler's hold on its event: `req.paymentClaim`, `ctx.state.paymentClaim`. */
export interface PaymentClaim {
  /** What the store knows the event by: its `id`, with the scope before it if there is one. */
  readonly key: string;
  /**
   * Marks the event as done inside the merchant's own transaction, so that its effect and the mark
   * stand or fall together. With SQLite it throws in place, so that it also serves in a synchronous
   * transaction.
   *
   * @param tx what the store documents: the client of the transaction (PostgreSQL), the database (SQLite)
   * @throws WebhookError `delivery_in_progress` if the claim was lost to another delivery: roll back
   * @throws TypeError if the store has no transactions
   */
  commitIn(tx: unknown): Promise<void>;
}
