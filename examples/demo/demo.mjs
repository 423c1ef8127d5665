// @ts-check
// `npm run demo`: genuine and false payment callbacks for all providers and schemes, over HTTP, to the
// example servers. Exits with 1 if any of them has not the outcome that it should have.
import { run } from './run.mjs';

// The example servers end with this process, however it ends (see servers.mjs).
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
process.stdout.on('error', () => process.exit(1)); // the reader left: `npm run demo | head`
setTimeout(() => {
  console.error('the demo took too long');
  process.exit(1);
}, 14_000).unref();

const colours = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
process.exitCode = (await run({ colours })) ? 0 : 1;
