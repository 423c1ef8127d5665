import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Runs a module's text in a process of its own, against the built package (`npm run build`). */
export function child(
  text: string,
  env: Record<string, string> = {},
): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, ['--input-type=module', '-e', text], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    timeout: 20_000,
  });
}
