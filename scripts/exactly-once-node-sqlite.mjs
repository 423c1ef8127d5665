// The contract of a store on node:sqlite, for a Node that has it (22.5): `npm run build`, then
//   npx -y -p node@24 -c 'node scripts/exactly-once-node-sqlite.mjs'
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { sqliteStore } from 'payproof/sqlite';
import { storeContract } from 'payproof/testing';

const store = sqliteStore({ database: new DatabaseSync(':memory:') });
for (const { name, run } of storeContract(() => store)) test(name, run);

test('commitIn falls with the transaction', async ({ assert }) => {
  const database = new DatabaseSync(':memory:');
  const own = sqliteStore({ database });
  const claim = { key: 'e', owner: 'o', lease: 60_000, fingerprint: '' };
  await own.claim(claim);
  for (const [end, status] of [
    ['ROLLBACK', 'in_progress'],
    ['COMMIT', 'done'],
  ]) {
    database.exec('BEGIN');
    assert.equal(await own.commitIn(database, 'e', 'o', 60_000), true);
    database.exec(end);
    assert.equal((await own.claim({ ...claim, owner: 'next' })).status, status);
  }
});
