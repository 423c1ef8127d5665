import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
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

/**
 * The status as it was sent. `statusCode` can still be set afterwards, to no effect: where a handler that has answered
 * 500 goes on to `res.sendStatus(200)`, it says 200.
 */
export function sentStatus(res: ServerResponse, wire: Duplex | undefined): number {
  const { sentHeaders } = (wire ?? {}) as Partial<ServerHttp2Stream>;
  // Node's public face tells of headers that were sent, but not of the status.
  const { _header: head } = res as ServerResponse & { _header?: unknown };
  // First: the connection under HTTP/1 can itself be a stream of HTTP/2, a tunnel's.
  const sent = /^HTTP\/1\.\d (\d{3})/.exec(`${head}`)?.[1] ?? sentHeaders?.[':status'];
  return Number(sent ?? res.statusCode);
}

/** Whether a connection is one: hosts that give a request to the app by a call have stand-ins for it. */
export function isWire(wire: Duplex | undefined): wire is Duplex {
  return typeof wire?.once === 'function' && typeof wire.end === 'function';
}

/** One listener for each connection, since any number of requests can wait on it. */
const waiting = new WeakMap<Duplex, Set<() => void>>();

/**
 * Calls back when the wire is gone.
 *
 * @returns ends that
 */
export function whenGone(wire: Duplex | undefined, listener: () => void): () => void {
  if (!isWire(wire)) return () => {};
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
