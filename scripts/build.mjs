// Compiles src twice with plain tsc: ESM to dist, CommonJS to dist/cjs. The old dist stands until the
// new one is whole.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const fresh = `dist.${process.pid}`;
try {
  for (const [project, folder] of [
    ['tsconfig.build.json', fresh],
    ['tsconfig.cjs.json', `${fresh}/cjs`],
  ]) {
    execFileSync(process.execPath, [tsc, '-p', project, '--outDir', folder], { stdio: 'inherit' });
  }
  writeFileSync(`${fresh}/cjs/package.json`, '{ "type": "commonjs" }\n');
  const bin = `${fresh}/cli/payproof.js`;
  if (existsSync(bin)) chmodSync(bin, 0o755);
  rmSync('dist', { recursive: true, force: true });
  renameSync(fresh, 'dist');
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
