import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { finished } from 'node:stream';
import { turn } from './turns.ts';

/** How long a client has to read the answer before its connection is cut, in milliseconds. */
const LINGER = 1_000;

/**
 * Prepares the refusal of a request whose body is still arriving: nothing more is read, and the
 * connection ends with the answer.
 *
 * Four things would otherwise go wrong, each with an endless upload:
 * - Express' final handler waits for the end of the request before it answers, and drains it;
 * - Node drains a request that nobody read once the answer is out;
 * - Node closes the socket at once after a last answer; with unread data in it the kernel then
 *   resets the connection, and the client may lose the answer;
 * - a client that goes on sending would hold the connection.
 *
 * @returns when it may be answered, so that a thousand refusals at once do not hold up all others; null if
 *   nothing is arriving
 */
export function stopUpload(req: IncomingMessage, res: ServerResponse): Promise<void> | null {
  if (req.complete || req.destroyed) return null;
  if (req.httpVersionMajor > 1) {
    // HTTP/2's flow control stops the sender of what nobody reads; only the stream must be closed. The response's
    // own `finish` would wait for that: it comes with the stream's end.
    const { stream } = req as IncomingMessage & { stream: ServerHttp2Stream };
    // Whoever read it has left; while it flows, the window would open again and again.
    if (req.readableFlowing) req.pause();
    finished(stream, { readable: false }, () => {
      stream.close();
      // Node keeps a closed stream while something stands unread in it, for as long as the connection lives.
      stream.removeAllListeners('data').resume();
    });
    return turn();
  }
  if (!hasBody(req)) return null;
  // Node's parser pushes what it reads: none of it is kept, and the first push stops it. A read would
  // start it again; this one only frees what is buffered.
  req.push = () => false;
  req._read = () => {};
  req.read();
  req.pause();
  // The public way to say that the message is at its end; the final handler (on-finished) asks it.
  req.complete = true;
  req.readable = false;
  // Node then writes `Connection: close` itself, also where Koa drops the headers that were set; but one that
  // says otherwise would stand.
  res.shouldKeepAlive = false;
  if (res.hasHeader('connection') && !res.headersSent) res.setHeader('Connection', 'close');
  const { socket } = req;
  ending.add(socket);
  // What Node calls after the last answer, if it takes this one for the last.
  socket.destroySoon = linger;
  if (res.writableFinished) linger();
  else res.once('finish', linger);
  return turn();

  /**
   * Half-closes, lets the client read, then cuts. Nothing that comes meanwhile is parsed: not more of the body,
   * not another request.
   */
  function linger(): void {
    if (socket.writableEnded) return;
    socket.removeAllListeners('data').once('data', () => socket.pause());
    socket.end();
    const timer = setTimeout(() => socket.destroy(), LINGER);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
  }
}

/** Connections that end with an answer which is under way. */
const ending = new WeakSet<Socket>();

/** Whether the request came on a connection that ends with the answer to an earlier one. */
export function isEnding({ socket }: IncomingMessage): boolean {
  return ending.has(socket);
}

/** Whether the request's headers announce a body (RFC 9112, section 6). */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0;
}
