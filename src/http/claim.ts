import { channel } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { isWebhookError, WebhookError } from '../core/errors.ts';
import { eventId, type PaymentEventType, type ProviderEvent } from '../core/event.ts';
import type { ClaimRequest, ClaimResult, DedupeStore, PaymentClaim } from '../dedupe.ts';
import { sentStatus, whenGone } from './wire.ts';

/** How long after its failure a commit is tried again the first time, in milliseconds. */
const FIRST_RETRY = 100;
/** Parts of a lease after which it is renewed. */
const RENEWALS = 3;

/**
 * The order of a payment's states. An event is stale where a state of a higher rank is known.
 */
const RANKS: Readonly<Partial<Record<PaymentEventType, number>>> = {
  'payment.pending': 1,
  'payment.failed': 2,
  'payment.expired': 2,
  'payment.canceled': 2,
  'payment.succeeded': 3,
  'payment.partially_refunded': 4,
  'payment.refunded': 5,
};

/** Published with `{ error, key }` where a claim could not be settled after its answer. */
const unsettled = channel('payproof:unsettled');

/** The terms on which a middleware claims events. Times are in milliseconds. */
export interface Terms {
  readonly store: DedupeStore;
  readonly lease: number;
  readonly remember: number;
  readonly timeout: number;
  /** Whether the order of states is kept. */
  readonly isRanked: boolean;
}

/** One delivery's claim on its event, from the first question to the store to the last word. */
export class Claim {
  readonly #terms: Terms;
  readonly #request: ClaimRequest;
  /** What the order of states is kept by; null if the event has no place in one. */
  readonly #payment: string | null;
  readonly #rank: number;
  #isCommitted = false;
  #isReleased = false;
  #hasFailed = false;
  /** Until when nobody else can have the event. */
  #until = 0;
  #renewal: NodeJS.Timeout | undefined;
  #renewed: Promise<unknown> = Promise.resolve();

  /**
   * @param prefix what every key of the merchant begins with
   * @param owner the name of this claim among all
   */
  constructor(terms: Terms, event: ProviderEvent, prefix: string, owner: string) {
    const { lease, isRanked } = terms;
    this.#terms = terms;
    this.#request = { key: prefix + event.id, owner, lease, fingerprint: fingerprint(event) };
    this.#rank = isRanked ? (RANKS[event.type] ?? 0) : 0;
    const isKept = event.paymentId !== null && this.#rank > 0;
    this.#payment = isKept ? prefix + paymentOf(event, event.paymentId as string) : null;
  }

  /** What the handler gets. */
  handle(): PaymentClaim {
    return { key: this.#request.key, commitIn: (tx) => this.#commitIn(tx) };
  }

  /** @throws WebhookError `store_unavailable` */
  async take(): Promise<ClaimResult> {
    const { store, timeout, lease } = this.#terms;
    this.#until = performance.now() + lease;
    let claiming: Promise<ClaimResult> | undefined;
    try {
      return await answered(timeout, () => {
        claiming = store.claim(this.#request);
        return claiming;
      });
    } catch (error) {
      // A claim that is taken too late is nobody's: the sender was told to come again.
      claiming?.then(
        (late) => late?.status === 'claimed' && this.release(),
        // Perhaps it was taken, and only the answer was lost. If the store is down, its lease ends it.
        () => answered(timeout, () => this.#release()).catch(() => {}),
      );
      throw error;
    }
  }

  /**
   * Whether a later state of the payment is known.
   *
   * @throws WebhookError `store_unavailable`
   */
  async isStale(): Promise<boolean> {
    if (this.#payment === null) return false;
    return (await answered(this.#terms.timeout, () => this.#raise(0))) > this.#rank;
  }

  /**
   * Tells the order of states where the event stands.
   *
   * @throws WebhookError `store_unavailable`
   */
  async rank(): Promise<void> {
    if (this.#payment === null) return;
    await answered(this.#terms.timeout, () => this.#raise(this.#rank));
  }

  /**
   * Marks the event as done before any handler ran.
   *
   * @throws WebhookError `store_unavailable`
   */
  async skip(): Promise<void> {
    await answered(this.#terms.timeout, () => this.#commit());
  }

  /** False as soon as the lease may have run out, and another delivery may have the event. */
  get isHeld(): boolean {
    return performance.now() < this.#until;
  }

  /** The handler has failed: whatever is answered, the event is not done. */
  fail(): void {
    this.#hasFailed = true;
  }

  /** Gives the event to the next delivery. Never fails: what does is published. */
  release(): Promise<boolean> {
    return this.#settle(() => this.#release());
  }

  /**
   * Renews the claim until the answer has ended or its wire is gone, and then settles it.
   *
   * @param onEnd called first then
   */
  follow(res: ServerResponse, wire: Duplex | undefined, onEnd: () => void): void {
    this.#renewal = setInterval(() => {
      this.#renewed = Promise.all([this.#renewed, this.#settle(() => this.#renew())]);
    }, this.#terms.lease / RENEWALS);
    this.#renewal.unref();
    const end = (isFinished: boolean): void => {
      onEnd();
      clearInterval(this.#renewal);
      res.off('finish', onFinish);
      res.off('close', onClose);
      forget();
      // Of HTTP/2 an answer counts as finished, too, where the stream was lost before it was given.
      const isLost = (wire as { aborted?: boolean } | undefined)?.aborted === true;
      const status = sentStatus(res, wire);
      const isDone = isFinished && !isLost && !this.#hasFailed && status >= 200 && status < 300;
      if (isDone) this.#finish();
      else this.#abandon();
    };
    const onFinish = (): void => end(true);
    const onClose = (): void => end(res.writableFinished);
    const forget = whenGone(wire, onClose);
    res.on('finish', onFinish);
    res.on('close', onClose);
  }

  async #abandon(): Promise<void> {
    // A renewal that is still under way would take the claim again after its release.
    await this.#renewed;
    this.#isReleased = true;
    await this.#settle(() => this.#giveBack());
  }

  async #renew(): Promise<void> {
    const asked = performance.now();
    const result = await this.#terms.store.claim(this.#request);
    if (result?.status === 'claimed') this.#until = asked + this.#terms.lease;
    // The store took so long that the event was given back meanwhile: nobody would work on it.
    if (this.#isReleased && result?.status === 'claimed') await this.release();
  }

  /** Not async: with a store that answers at once it throws in place, inside the transaction. */
  #commitIn(tx: unknown): Promise<void> {
    const { store, remember } = this.#terms;
    const { key, owner } = this.#request;
    if (store.commitIn === undefined) {
      const message =
        'commitIn: this store has no transactions; use payproof/postgres or payproof/sqlite';
      return Promise.reject(new TypeError(message));
    }
    const done = store.commitIn(tx, key, owner, remember);
    const took = (done: boolean): void => {
      if (!done) throw new WebhookError('delivery_in_progress');
      this.#isCommitted = true;
    };
    return typeof done === 'boolean' ? Promise.resolve(took(done)) : done.then(took);
  }

  /** Where `commitIn` was called, only the store knows whether the transaction stands. */
  async #giveBack(): Promise<void> {
    // It waits for the end of the transaction.
    if ((await this.#release()) || !this.#isCommitted || this.#payment === null) return;
    const { status } = await this.#terms.store.claim(this.#request);
    if (status === 'done') await this.#raise(this.#rank);
    else if (status === 'claimed') await this.#release();
  }

  /** Again and again while the lease holds: the answer is out, and the event must not run again. */
  async #finish(): Promise<void> {
    let waited = 0;
    for (let wait = FIRST_RETRY; ; wait *= 2) {
      const isSettled = await this.#settle(() => this.#mark(waited > 0));
      waited += wait;
      if (isSettled || waited > this.#terms.lease) return;
      await sleep(wait, undefined, { ref: false });
    }
  }

  /** @throws WebhookError `delivery_in_progress` if the lease ran out and the next delivery has, or had, the event */
  async #mark(isRetry: boolean): Promise<void> {
    // Before the commit: what dies between the two makes the next delivery raise it again.
    if (this.#payment !== null) await this.#raise(this.#rank);
    if ((await this.#commit()) || this.#isCommitted) return;
    // A store that lost its memory meanwhile has nobody else's claim either.
    const { status } = await this.#terms.store.claim(this.#request);
    if (status === 'claimed' && (await this.#commit())) return;
    // By the try before, of which only the answer was lost.
    if (status === 'done' && isRetry && this.isHeld) return;
    throw new WebhookError('delivery_in_progress');
  }

  #commit(): Promise<boolean> {
    const { key, owner } = this.#request;
    return this.#terms.store.commit(key, owner, this.#terms.remember);
  }

  #release(): Promise<boolean> {
    const { key, owner } = this.#request;
    return this.#terms.store.release(key, owner);
  }

  async #raise(to: number): Promise<number> {
    const { store, remember } = this.#terms;
    return (await store.advance?.(this.#payment as string, to, remember)) ?? 0;
  }

  /**
   * Works on the claim after its answer. What fails is published.
   *
   * @returns false if the store failed, and another try may do
   */
  async #settle(verb: () => Promise<unknown>): Promise<boolean> {
    try {
      await answered(this.#terms.timeout, verb);
      return true;
    } catch (error) {
      if (unsettled.hasSubscribers) unsettled.publish({ error, key: this.#request.key });
      const { cause } = error as WebhookError;
      return isWebhookError(cause);
    }
  }
}

/** Where only a token for one order was shown, the payment's id is that order's claim. */
function paymentOf({ provider, trust, reference }: ProviderEvent, paymentId: string): string {
  return eventId(provider, trust === 'token' ? (reference ?? '') : '', paymentId);
}

/** By value, not by spelling: a form tells `599.00` where another webhook tells `599`. */
function fingerprint({ amount, reference }: ProviderEvent): string {
  // A provider of somebody else's may leave out what it does not know.
  const price = amount
    ? `"${amount.currency}",${amount.minorUnits ?? `"${amount.value}"`}`
    : 'null,null';
  return `[${price},${JSON.stringify(reference ?? null)}]`;
}

const SOON = Promise.resolve();

/**
 * A store's answer, if it comes in time.
 *
 * @throws WebhookError `store_unavailable`
 */
function answered<T>(timeout: number, verb: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let isSettled = false;
    const fail = (cause: unknown): void => {
      isSettled = true;
      clearTimeout(timer);
      reject(new WebhookError('store_unavailable', { cause }));
    };
    const succeed = (answer: T): void => {
      isSettled = true;
      clearTimeout(timer);
      resolve(answer);
    };
    try {
      Promise.resolve(verb()).then(succeed, fail);
    } catch (error) {
      // A store that throws in place has failed like any other.
      fail(error);
    }
    // A store in this process has answered by then, and needs no timer.
    SOON.then(() => {
      if (isSettled) return;
      timer = setTimeout(() => fail(new RangeError('no answer in time')), timeout);
    });
  });
}
