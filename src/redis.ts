import { createHash } from 'node:crypto';
import { knownOptions } from './core/options.ts';
import type { ClaimRequest, ClaimResult, DedupeStore } from './dedupe.ts';

/**
 * Sends one command: `(...args) => client.sendCommand(args)` with node-redis,
 * `(command, ...args) => client.call(command, ...args)` with ioredis.
 */
export type RedisSendCommand = (command: string, ...args: string[]) => Promise<unknown>;

/** Options of {@link redisStore}. */
export interface RedisStoreOptions {
  /** Sends one command to Redis. */
  sendCommand: RedisSendCommand;
  /** What every key begins with. Default `payproof:`. */
  prefix?: string | undefined;
}

// Each verb is one script on one key, so that Redis runs it as a whole and a cluster knows where.
// A claim is a hash: owner ('' where the event is done), print (the fingerprint), until (the end of
// the lease, by Redis' clock). The key outlives its lease, so that a late owner can still commit
// where nobody took over.

const NOW = `local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
`;

const CLAIM = script(`${NOW}
local c = redis.call('HMGET', KEYS[1], 'owner', 'print', 'until')
local left = c[3] and tonumber(c[3]) - now or 0
if c[1] and (c[1] == '' or left > 0) then
  if c[2] ~= ARGV[2] then return {'conflict', 0} end
  if c[1] == '' then return {'done', 0} end
  if c[1] ~= ARGV[1] then return {'in_progress', left} end
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'print', ARGV[2], 'until', now + ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[3] + 86400000)
return {'claimed', 0}`);

const COMMIT = script(`
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'owner', '')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`);

const RELEASE = script(`
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`);

const ADVANCE = script(`
local rank = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1]))
if rank == tonumber(ARGV[1]) and rank > 0 then
  redis.call('SET', KEYS[1], rank, 'PX', ARGV[2])
end
return rank`);

interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/**
 * A store in Redis (or Valkey) 6 or later, for any number of processes. What it promises when Redis
 * dies depends on Redis' own persistence: see `docs/exactly-once.md`.
 *
 * @throws TypeError if an option is missing or wrong
 */
export function redisStore(
  options: RedisStoreOptions,
): DedupeStore & Required<Pick<DedupeStore, 'advance'>> {
  knownOptions('redisStore', options, ['sendCommand', 'prefix']);
  const { sendCommand, prefix = 'payproof:' } = options;
  if (typeof sendCommand !== 'function') throw new TypeError('sendCommand: must be a function');
  if (typeof prefix !== 'string') throw new TypeError('prefix: must be a string');

  /** By its digest; with its text where Redis does not know it yet, or not any more. */
  async function run(
    { text, sha }: Script,
    key: string,
    ...args: (string | number)[]
  ): Promise<unknown> {
    const rest = ['1', prefix + key, ...args.map(String)];
    try {
      return await sendCommand('EVALSHA', sha, ...rest);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return sendCommand('EVAL', text, ...rest);
    }
  }

  return {
    async claim({ key, owner, lease, fingerprint }: ClaimRequest): Promise<ClaimResult> {
      const answer = await run(CLAIM, key, owner, fingerprint, Math.ceil(lease));
      const [status, retryAfter] = answer as [ClaimResult['status'], number];
      return status === 'in_progress' ? { status, retryAfter: Number(retryAfter) } : { status };
    },
    async commit(key, owner, ttl) {
      return Number(await run(COMMIT, key, owner, Math.ceil(ttl))) === 1;
    },
    async release(key, owner) {
      return Number(await run(RELEASE, key, owner)) === 1;
    },
    async advance(payment, rank, ttl) {
      return Number(await run(ADVANCE, `payment ${payment}`, rank, Math.ceil(ttl)));
    },
  };
}
