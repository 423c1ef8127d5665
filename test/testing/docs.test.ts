import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../types/packed.ts';

// The blocks of docs/testing.md as a merchant pastes them, on the built package. That they compile
// is tested with the other documents.

const blocks = [
  ...readFileSync(join(ROOT, 'docs/testing.md'), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g),
].map(([, code]) => code as string);
const tests = blocks.filter((code) => code.includes("from 'node:test'"));

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'payproof-docs-'));
  mkdirSync(join(directory, 'node_modules/@koa'), { recursive: true });
  symlinkSync(ROOT, join(directory, 'node_modules/payproof'));
  for (const name of ['express', 'koa', '@koa/router', 'supertest', 'light-my-request']) {
    symlinkSync(join(ROOT, 'node_modules', name), join(directory, 'node_modules', name));
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

async function output(name: string, code: string, ...flags: string[]): Promise<string> {
  const file = join(directory, name);
  writeFileSync(file, code);
  const env = { PATH: process.env.PATH, HITPAY_SALT: 'a-salt' };
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, file], { env });
  return stdout;
}

describe('docs/testing.md', () => {
  it('has a test for Express and one for Koa, each in six lines', () => {
    expect(tests).toHaveLength(2);
    for (const code of tests) {
      const [, test = ''] = /\n(test\([\s\S]*\n\}\);)\n$/.exec(code) ?? [];
      expect(test.split('\n')).toHaveLength(6);
    }
    expect(tests[0]).toContain('payproof/express');
    expect(tests[1]).toContain('payproof/koa');
  });

  it.each(
    tests.map((code, index) => [index, code] as const),
  )('test %i: passes', async (index, code) => {
    const shown = await output(`${index}.test.mjs`, code, '--test', '--test-reporter=tap');
    expect(shown).toMatch(/# pass 1\n# fail 0/);
  });

  it.each(['fetch', 'inject'])('what stands there for %s: posts the delivery', async (name) => {
    const text = readFileSync(join(ROOT, 'docs/testing.md'), 'utf8');
    const [, call = ''] = new RegExp(`^- .*\`(${name}\\(.*\\))\``, 'm').exec(text) ?? [];
    const code = `
      import { createServer } from 'node:http';
      import { inject } from 'light-my-request';
      import { hitpay } from 'payproof';
      import express from 'express';
      import { paymentWebhook } from 'payproof/express';
      import { signed } from 'payproof/testing';
      const secret = 'a-salt';
      const app = express();
      app.post('/webhooks/hitpay', paymentWebhook(hitpay({ salt: secret })), (req, res) => {
        res.status(201).end();
      });
      const server = createServer(app).listen(0);
      const base = 'http://localhost:' + server.address().port;
      const delivery = signed({ provider: 'hitpay', scheme: 'form', secret });
      const answer = await ${call};
      console.log(answer.status ?? answer.statusCode);
      server.close();`;
    expect(await output(`${name}.mjs`, code)).toBe('201\n');
  });

  it('are the same in the README', () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    for (const code of tests) expect(readme).toContain(code);
  });

  it('fails where the handler does nothing', async () => {
    const broken = (tests[0] as string).replace('order.paid = true', 'order.paid = false');
    await expect(output('broken.test.mjs', broken, '--test')).rejects.toThrow();
  });

  it.each(
    blocks.filter((code) => !tests.includes(code)).map((code, index) => [index, code] as const),
  )('block %i: runs', async (index, code) => {
    await output(`block-${index}.mjs`, code);
  });
});
