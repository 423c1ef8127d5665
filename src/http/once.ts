import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { WebhookError } from '../core/errors.ts';
import type { ProviderEvent } from '../core/event.ts';
import type { ClaimResult, DedupeStore } from '../dedupe.ts';

/** How long a claim holds without a commit, in milliseconds. */
const LEASE = 60_000;
/** How long a committed event is remembered, in milliseconds: longer than any provider retries. */
const REMEMBERED = 30 * 24 * 60 * 60 * 1_000;
/** How long a store may take to answer, in milliseconds. */
const STORE_TIMEOUT = 5_000;

/**
 * Claims an event and ties the claim to the answer: committed when the answer ends with 2xx, given
 * back when it ends otherwise or never.
 *
 * @returns false if the event was processed before
 * @throws WebhookError `delivery_in_progress`, `delivery_conflict`, `store_unavailable`
 */
export async function claimOnce(
  store: DedupeStore,
  event: ProviderEvent,
  res: ServerResponse,
): Promise<boolean> {
  const key = event.id;
  const owner = randomUUID();
  const result = await claim(store, key, owner, fingerprint(event));
  switch (result.status) {
    case 'done':
      return false;
    case 'conflict':
      throw new WebhookError('delivery_conflict');
    case 'in_progress': {
      const seconds = Math.max(1, Math.ceil(result.retryAfter / 1000));
      throw new WebhookError('delivery_in_progress', { headers: { 'Retry-After': `${seconds}` } });
    }
    default:
      settleWithAnswer(res, (succeeded) =>
        succeeded ? store.commit(key, owner, REMEMBERED) : store.release(key, owner),
      );
      return true;
  }
}

/** A store that fails, answers nonsense or stays silent is unavailable: nothing is acknowledged. */
async function claim(
  store: DedupeStore,
  key: string,
  owner: string,
  print: string,
): Promise<ClaimResult> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the store did not answer in time')), STORE_TIMEOUT);
  });
  try {
    const asked = store.claim({ key, owner, lease: LEASE, fingerprint: print });
    const result = await Promise.race([asked, late]);
    if (!['claimed', 'done', 'conflict', 'in_progress'].includes(result.status)) {
      throw new TypeError('the store answered with an unknown status');
    }
    return result;
  } catch (cause) {
    throw new WebhookError('store_unavailable', { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** By value, not by spelling: a form tells `599.00` where another webhook tells `599`. */
function fingerprint({ amount, reference }: ProviderEvent): string {
  return JSON.stringify([
    amount?.currency ?? null,
    amount?.minorUnits ?? amount?.value ?? null,
    reference,
  ]);
}

function settleWithAnswer(
  res: ServerResponse,
  settle: (succeeded: boolean) => Promise<unknown>,
): void {
  const onEnd = (): void => {
    res.off('finish', onEnd);
    res.off('close', onEnd);
    const succeeded = res.writableFinished && res.statusCode >= 200 && res.statusCode < 300;
    // The answer is out. What fails now leaves the lease to run out, and the next delivery to run.
    new Promise((resolve) => resolve(settle(succeeded))).catch(() => {});
  };
  res.once('finish', onEnd);
  res.once('close', onEnd);
}
