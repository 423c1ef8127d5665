import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** An answer, read as far as a person wants to see it. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** From the first byte sent to the last byte received, in milliseconds. */
  readonly time: number;
}

/** A request to make. */
export interface Sending {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** More of an answer is not kept. */
const MAX_ANSWER = 64 * 1024;

/**
 * Posts as the providers do: one connection a request, no redirect followed, the answer awaited for
 * so many milliseconds.
 *
 * @throws the error of the connection; an `Error` with code `ETIMEDOUT` if there is no answer in time,
 *   `EPROTO` if the connection was switched to another protocol, `ECONNRESET` if it ended without one
 */
export function post(
  url: URL,
  { method, headers, body }: Sending,
  timeout: number,
): Promise<Answer> {
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const length = { 'content-length': `${Buffer.byteLength(body)}` };
    const req = request(url, { method, headers: { ...headers, ...length }, agent: false });
    const timer = setTimeout(() => {
      req.destroy(failed('ETIMEDOUT', 'no answer in time'));
    }, timeout);
    const settle = (step: () => void): void => {
      clearTimeout(timer);
      step();
    };
    let isAnswered = false;
    req.on('error', (error) => settle(() => reject(error)));
    req.on('upgrade', (_, socket) => {
      settle(() => reject(failed('EPROTO', 'switched to another protocol')));
      socket.destroy();
    });
    req.on('close', () => {
      if (!isAnswered) settle(() => reject(failed('ECONNRESET', 'ended without an answer')));
    });
    req.on('response', (res) => {
      isAnswered = true;
      const chunks: Buffer[] = [];
      let size = 0;
      res.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= MAX_ANSWER) chunks.push(chunk);
      });
      res.on('error', (error) => settle(() => reject(error)));
      res.on('end', () =>
        settle(() =>
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers,
            body: Buffer.concat(chunks).toString(),
            time: performance.now() - start,
          }),
        ),
      );
    });
    req.end(body);
  });
}

function failed(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
