import { describe, expect, it } from 'vitest';
import { isWebhookError, verify } from '../src/index.ts';
import { providerOf, receivedAtOf, urlOf, vectors } from './vectors.ts';

describe('vectors through verify', () => {
  it.each(
    vectors.map((vector) => [`${vector.provider}: ${vector.name}`, vector] as const),
  )('%s', (_, vector) => {
    const deliver = () =>
      verify(providerOf(vector), {
        headers: vector.headers,
        body: Buffer.from(vector.body),
        url: urlOf(vector),
        receivedAt: receivedAtOf(vector),
      });
    if (vector.expect.accepted) {
      expect(deliver()).toMatchObject(vector.expect.accepted);
    } else {
      expect(deliver).toThrow(
        expect.toSatisfy((error) => isWebhookError(error) && error.status === 403),
      );
    }
  });
});
