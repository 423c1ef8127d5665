// Loads the entries named in the arguments and reports what that left behind.
const before = new Set(Reflect.ownKeys(globalThis));
const found = {};
for (const entry of process.argv.slice(2)) found[entry] = Object.keys(await import(entry));
const added = Reflect.ownKeys(globalThis).filter((key) => !before.has(key));
const active = process
  .getActiveResourcesInfo()
  .filter((name) => /Timeout|Immediate|TCP|UDP/.test(name));
process.stdout.write(JSON.stringify({ found, added: added.map(String), active }));
