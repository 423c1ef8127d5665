import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { turn } from './turns.ts';
import { isWire } from './wire.ts';

/** How long a client has to read the answer before its connection is cut, in milliseconds. */
const LINGER = 1_000;
/** HTTP/2's code for a stream that is not needed any more (RFC 9113, section 7). */
const CANCEL = 8;
/** How often it is looked whether an answer on HTTP/2 is out, in milliseconds. */
const LOOK = 50;
/** HTTP/2's window unless a client says otherwise (RFC 9113, section 6.9.2), in bytes. */
const WINDOW = 65_535;

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
  if (req.httpVersionMajor > 1) {
    const { stream } = req as IncomingMessage & { stream: ServerHttp2Stream };
    // One that was reset counts as complete, though what it brought may stand unread.
    return req.readableEnded ? null : stopStream(req, stream);
  }
  // Express' final handler would wait for the end of what other middleware, which listens to `readable`, leaves there.
  if (req.listenerCount('readable') > 0) req.readable = false;
  if (req.complete || req.destroyed || !hasBody(req) || !isWire(req.socket)) return null;
  // Node's parser pushes what it reads: none of it is kept, and the first push stops it. What is buffered flows off
  // to nobody, chunk by chunk: a read of a paused stream would copy all of it into one.
  req.push = () => false;
  req._read = () => {};
  req.resume();
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

/**
 * The same on HTTP/2, whose flow control stops the sender of what nobody reads: only the stream must be closed, and
 * what stands unread in it thrown away, or Node keeps both for as long as the connection lives. Not before the frame
 * that ends the answer is out, for it would be dropped; only the stream's state tells of that.
 */
function stopStream(req: IncomingMessage, stream: ServerHttp2Stream): Promise<void> {
  // Whoever read it has left; while it flows, the window would open again and again.
  if (req.readableFlowing) req.pause();
  let waited = 0;
  const look = (): void => {
    if (stream.closed) {
      stream.destroy();
      return;
    }
    if (stream.state.localClose === 1) {
      stream.close();
      stream.removeAllListeners('data').resume();
      return;
    }
    // A client can hold the answer back, by a window of zero. It has as long as one of HTTP/1, and longer for a long one.
    if (stream.headersSent && stream.writableEnded) waited += LOOK;
    if (waited > LINGER * (1 + stream.writableLength / WINDOW)) stream.close(CANCEL);
    setTimeout(look, LOOK).unref();
  };
  setImmediate(look);
  return turn();
}

/** Connections that end with an answer which is under way. */
const ending = new WeakSet<Socket>();

/** Whether the request came on a connection that ends with the answer to an earlier one. */
export function isEnding({ socket }: IncomingMessage): boolean {
  return ending.has(socket);
}

/** Whether the request's headers announce a body (RFC 9112, section 6). */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0;
}
