#!/usr/bin/env node
import { main } from './main.ts';

// A reader that has seen enough (`| head`) is no fault.
process.stdout.on('error', () => process.exit());

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
