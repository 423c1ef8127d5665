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
 * @throws the error of the connection; an `Error` with code `ETIMEDOUT` if there is no answer in time
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
      req.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }));
    }, timeout);
    const settle = (step: () => void): void => {
      clearTimeout(timer);
      step();
    };
    req.on('error', (error) => settle(() => reject(error)));
    req.on('response', (res) => {
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
