#!/usr/bin/env node
import { main } from './main.ts';

const NOT_WRITTEN = 3;

process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  // A reader that has seen enough (`| head`) is no fault.
  if (code === 'EPIPE') process.exit();
  process.stderr.write(`payproof: the output cannot be written (${code})\n`, () => {
    process.exit(NOT_WRITTEN);
  });
});
// Whoever closed it wants no messages; the exit code tells the result.
process.stderr.on('error', () => {});

main(process.argv.slice(2), {
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  interrupted: (listener) => {
    process.once('SIGINT', listener);
    process.once('SIGTERM', listener);
  },
}).then((code) => {
  process.exitCode = code;
});
