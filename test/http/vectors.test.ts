import { describe, expect, it } from 'vitest';
import { FRAMEWORKS } from '../servers.ts';
import { providerOf, receivedAtOf, urlOf, vectors } from '../vectors.ts';
import { codes, PUBLIC, post, serve } from './support.ts';

describe.each(FRAMEWORKS)('%s: vectors', (framework) => {
  it.each(
    vectors.map((vector) => [`${vector.provider}: ${vector.name}`, vector] as const),
  )('%s', async (_, vector) => {
    const app = await serve(framework, {
      provider: providerOf(vector),
      options: { clock: () => receivedAtOf(vector) },
    });
    const { headers, body } = vector;
    const answer = await post(app, { path: urlOf(vector), headers, body });
    if (vector.expect.accepted) {
      expect(answer.status).toBe(200);
      expect(app.events).toEqual([expect.objectContaining({ provider: vector.provider })]);
      expect(app.events[0]).toMatchObject(vector.expect.accepted);
      expect(JSON.parse(answer.body)).toMatchObject(vector.expect.accepted);
      expect(app.errors).toEqual([]);
    } else {
      expect(answer.status).toBe(403);
      expect(answer.body).toContain(PUBLIC);
      expect(app.events).toEqual([]);
      expect(codes(app)).toEqual([
        expect.stringMatching(/^(signature|timestamp|token)_|^field_ambiguous$/),
      ]);
    }
    expect(app.nexts).toBe(1);
  });
});
