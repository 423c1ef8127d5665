import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * What carries an answer: the HTTP/2 stream, or the connection. It tells of its end where the response does
 * not: one that waits behind another's (pipelining) is not told that the connection is gone, and one of
 * HTTP/2 was told before anybody listened. Undefined for the stand-in of a response that has neither.
 */
export function wireOf(res: ServerResponse): Duplex | undefined {
  const { stream } = res as ServerResponse & { stream?: Duplex };
  return stream ?? (res.req as Partial<IncomingMessage> | undefined)?.socket;
}

/** One listener for each connection, since any number of requests can wait on it. */
const waiting = new WeakMap<Duplex, Set<() => void>>();

/**
 * Calls back when the wire is gone.
 *
 * @returns ends that
 */
export function whenGone(wire: Duplex | undefined, listener: () => void): () => void {
  if (wire === undefined) return () => {};
  const known = waiting.get(wire);
  const listeners = known ?? new Set();
  if (known === undefined) {
    waiting.set(wire, listeners);
    wire.once('close', () => {
      for (const one of listeners) one();
    });
  }
  listeners.add(listener);
  return () => listeners.delete(listener);
}
