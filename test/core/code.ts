import { inspect } from 'node:util';
import { isWebhookError, type WebhookErrorCode } from '../../src/index.ts';

/** The code of the WebhookError that a call throws. Any other error passes through. */
export function code(call: () => unknown): WebhookErrorCode | 'nothing was thrown' {
  try {
    call();
  } catch (error) {
    if (isWebhookError(error)) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}

/** The same of a promise. */
export async function codeOf(
  promise: Promise<unknown>,
): Promise<WebhookErrorCode | 'nothing was thrown'> {
  try {
    await promise;
  } catch (error) {
    return code(() => {
      throw error;
    });
  }
  return 'nothing was thrown';
}

/** What a call throws. */
export function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

/** Everything that a log could show of a value: an error with its causes, a provider, an event. */
export function everythingShown(value: unknown): string {
  let text = `${inspect(value, { depth: Infinity, showHidden: true, getters: true })}\n`;
  text += `${String(value)}\n${JSON.stringify(value)}\n`;
  for (let error = value; error instanceof Error; error = error.cause) {
    text += `${error.message}\n${error.stack}\n`;
  }
  return text;
}
