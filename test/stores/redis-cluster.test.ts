import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, Redis } from 'ioredis';
import { createCluster } from 'redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DedupeStore } from '../../src/dedupe.ts';
import { redisStore } from '../../src/redis.ts';
import { storeContract } from '../../src/testing.ts';

const NODES = 3;
const SLOTS = 16_384;

const present = spawnSync('redis-server', ['--version']).status === 0;
if (!present) {
  const missing = 'payproof: no redis-server is installed here';
  if (process.env.PAYPROOF_REQUIRE_SERVICES === '1') throw new Error(missing);
  process.stderr.write(`${missing}: the tests on a Redis Cluster are SKIPPED\n`);
}

/** Redis moves a key's commands to the node that has its slot: a script must stay on one key. */
describe.skipIf(!present)('a Redis Cluster', () => {
  const folder = mkdtempSync(join(tmpdir(), 'payproof-cluster-'));
  const servers: ChildProcess[] = [];
  const nodes: Redis[] = [];
  const closing: (() => unknown)[] = [];
  const stores: Record<'ioredis' | 'node-redis', DedupeStore | null> = {
    ioredis: null,
    'node-redis': null,
  };

  beforeAll(async () => {
    const ports = await freePorts(NODES * 2);
    for (let n = 0; n < NODES; n++) {
      const settings = {
        port: ports[n],
        'cluster-port': ports[n + NODES],
        'cluster-enabled': 'yes',
        'cluster-config-file': `nodes-${n}.conf`,
        bind: '127.0.0.1',
        dir: folder,
        save: '',
      };
      const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
      servers.push(spawn('redis-server', flags, { stdio: 'ignore' }));
      nodes.push(new Redis(ports[n] as number, { retryStrategy: () => 50 }).on('error', () => {}));
    }
    for (const [n, node] of nodes.entries()) {
      const from = Math.ceil((SLOTS / NODES) * n);
      const to = Math.ceil((SLOTS / NODES) * (n + 1)) - 1;
      await node.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
      await node.call('CLUSTER', 'MEET', '127.0.0.1', `${ports[0]}`, `${ports[NODES]}`);
    }
    for (const node of nodes) {
      const whole = new RegExp(`cluster_state:ok[^]*cluster_known_nodes:${NODES}\\b`);
      while (!whole.test(String(await node.call('CLUSTER', 'INFO')))) await sleep(50);
    }
    const one = new Cluster([{ host: '127.0.0.1', port: ports[0] as number }]);
    const other = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${ports[0]}` }] });
    other.on('error', () => {});
    await other.connect();
    closing.push(
      () => one.disconnect(),
      () => other.destroy(),
    );
    stores.ioredis = redisStore({ sendCommand: (...args) => one.call(...args) });
    stores['node-redis'] = redisStore({
      sendCommand: (...args) => other.sendCommand(args[3], false, args),
    });
  }, 30_000);

  afterAll(async () => {
    for (const close of closing) close();
    for (const node of nodes) node.disconnect();
    for (const server of servers) {
      const exited = once(server, 'exit');
      server.kill();
      await exited;
    }
    rmSync(folder, { recursive: true });
  });

  describe.each(['ioredis', 'node-redis'] as const)('%s', (client) => {
    it('keeps the contract', async () => {
      const cases = storeContract(() => stores[client] as DedupeStore);
      await Promise.all(cases.map(({ run }) => run()));
    });
  });

  it('had a part of the events on each node', async () => {
    for (const node of nodes) expect(await node.dbsize()).toBeGreaterThan(0);
  });
});

async function freePorts(count: number): Promise<number[]> {
  const listeners = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = listeners.map((server) => (server.address() as AddressInfo).port);
  for (const server of listeners) {
    server.close();
    await once(server, 'close');
  }
  return ports;
}
