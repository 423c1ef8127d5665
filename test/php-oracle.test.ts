import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { hitpay, verify } from '../src/index.ts';
import { bodyOf, Chance, type Field, genuine, hmacOf, SALT } from './hitpay-bodies.ts';

// PHP's parse_str, ksort and hash_hmac, which HitPay's own samples use, against our reading of a
// form. More of it: PHP_BODIES=100000 npx vitest run test/php-oracle.test.ts

const BODIES = Number(process.env.PHP_BODIES ?? 2_000);
const SEED = Number(process.env.SEED ?? 1);
const BATCH = 5_000;
const SCRIPT = fileURLToPath(new URL('../scripts/php-oracle.php', import.meta.url));
const OPTIONS = ['-d', 'arg_separator.input=&', '-d', 'max_input_vars=1000'];

const hasPhp = spawnSync('php', ['--version']).status === 0;
if (!hasPhp) console.log('php-oracle: skipped, php is not installed');

interface Judgement {
  hmac: string;
  sent: string;
  fields: Record<string, string>;
}

function askPhp(bodies: readonly Buffer[]): Judgement[] {
  const { status, stdout, stderr } = spawnSync('php', [...OPTIONS, SCRIPT, SALT], {
    input: bodies.map((body) => `${body}\n`).join(''),
    maxBuffer: 256 * 1024 * 1024,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`php failed: ${stderr}`);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** The ways in which senders escape a form. */
const ENCODERS: readonly ((text: string) => string)[] = [
  encodeURIComponent,
  // PHP's http_build_query, and browsers.
  (text) => new URLSearchParams([['', text]]).toString().slice(1),
  // Everything, in lower case.
  (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
];

function shuffled(chance: Chance, fields: readonly Field[]): Field[] {
  return fields
    .map((field) => [chance.next(), field] as const)
    .sort(([a], [b]) => a - b)
    .map(([, field]) => field);
}

describe.skipIf(!hasPhp)('php as the oracle of the form', () => {
  it(`agrees on the hmac and the fields of ${BODIES} genuine bodies`, {
    timeout: 30 * 60_000,
  }, () => {
    const chance = new Chance(SEED);
    let checked = 0;
    while (checked < BODIES) {
      const batch = [];
      while (batch.length < Math.min(BATCH, BODIES - checked)) {
        const one = genuine(chance);
        if (!one.clean) continue;
        const hmac = hmacOf(one.text);
        const body = bodyOf(shuffled(chance, one.fields), hmac, chance.of(ENCODERS));
        batch.push({ ...one, hmac, body });
      }
      const judgements = askPhp(batch.map(({ body }) => body));
      expect(judgements).toHaveLength(batch.length);
      for (const [index, { body, hmac, fields, extraFields }] of batch.entries()) {
        const php = judgements[index] as Judgement;
        expect(php.sent).toBe(hmac);
        expect(php.hmac).toBe(hmac);
        expect(Object.entries(php.fields)).toEqual(fields);
        const event = verify(hitpay({ salt: SALT, extraFields }), {
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body,
        });
        expect(event.payload).toEqual(php.fields);
      }
      checked += batch.length;
    }
    console.log(`php-oracle: ${checked} bodies, all agree; seed ${SEED}`);
  });
});
