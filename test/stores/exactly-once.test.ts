import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { services } from './services.ts';

// The full run, with 1,000 payments, is `npm run test:once`.
const PAYMENTS = 30;
const DELIVERIES = 100;
const SCRIPT = fileURLToPath(new URL('../../scripts/exactly-once.mjs', import.meta.url));

describe.each(['redis', 'postgres'] as const)('four processes that share %s', (store) => {
  it.skipIf(services[store] === null)(
    'give each payment one effect, with a hundred identical deliveries at once',
    { timeout: 60_000 },
    async () => {
      const args = [SCRIPT, '--json', '--store', store, '--payments', `${PAYMENTS}`];
      const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 50_000 });
      const result = JSON.parse(stdout);
      expect(result).toMatchObject({
        servers: 4,
        effects: { none: 0, once: PAYMENTS, more: 0 },
        exactlyOnce: true,
      });
      expect(result.deliveries).toBeGreaterThan(PAYMENTS * DELIVERIES);
      expect(Object.keys(result.answers).sort()).toEqual(['200', '409']);
    },
  );
});
