import type { Delivery } from '../core/delivery.ts';
import type { Evidence } from '../core/diagnosis/clues.ts';
import type { Provider } from '../core/provider.ts';
import type { NamedSecret } from '../core/secrets.ts';
import { dexchange } from '../providers/dexchange.ts';
import { hatexcard } from '../providers/hatexcard.ts';
import { hitpay } from '../providers/hitpay.ts';
import { isScheme, type Scheme } from '../testing/signer.ts';
import { ask, type Io, UsageError } from './terminal.ts';

/** The environment variables that hold secrets; the first that is set counts. */
const VARIABLES: Readonly<Record<Scheme, readonly [string, ...string[]]>> = {
  'hatexcard/timestamped': ['HATEXCARD_SECRET'],
  'hatexcard/body': ['HATEXCARD_SECRET'],
  'hitpay/form': ['HITPAY_SALT'],
  'hitpay/event': ['HITPAY_EVENT_SALT', 'HITPAY_SALT'],
  'dexchange/token': ['DEXCHANGE_CALLBACK_SECRET'],
  'dexchange/bearer': ['DEXCHANGE_BEARER_TOKEN'],
  'dexchange/signature': ['DEXCHANGE_SIGNATURE_SECRET'],
};
const SCHEMES = Object.keys(VARIABLES) as Scheme[];

/** What `--provider` and `--scheme` name. */
export interface Chosen {
  readonly provider: string;
  /** The first is the default. */
  readonly schemes: readonly Scheme[];
}

/**
 * @throws UsageError if there is no such provider or scheme
 */
export function choose(provider: string | undefined, scheme: string | undefined): Chosen {
  const names = [...new Set(SCHEMES.map((one) => one.split('/', 1)[0]))];
  if (provider === undefined || !names.includes(provider)) {
    throw new UsageError(`the provider must be one of ${names.join(', ')}`);
  }
  const known = SCHEMES.filter((one) => one.startsWith(`${provider}/`));
  if (scheme === undefined) return { provider, schemes: known };
  const full = `${provider}/${scheme}`;
  if (!isScheme(full)) {
    const short = known.map((one) => one.slice(provider.length + 1));
    throw new UsageError(`--scheme: ${provider} has ${short.join(', ')}`);
  }
  return { provider, schemes: [full] };
}

/** Known by the name of its variable. */
function fromEnvironment(scheme: Scheme, { env }: Io): NamedSecret | undefined {
  const id = VARIABLES[scheme].find((name) => env[name]);
  return id === undefined ? undefined : { id, value: env[id] as string };
}

/**
 * The secret of a scheme: from the environment, or asked for on a terminal.
 *
 * @param mayAsk false where stdin holds something else
 * @throws UsageError if there is none
 */
export async function secretOf(scheme: Scheme, io: Io, mayAsk = true): Promise<NamedSecret> {
  const found = fromEnvironment(scheme, io);
  if (found !== undefined) return found;
  const [name] = VARIABLES[scheme];
  if (mayAsk && io.stdin.isTTY === true) {
    const answer = await ask(io, `${name} (not shown): `);
    if (answer !== '') return { id: name, value: answer };
  }
  throw new UsageError(`the secret is missing: set the environment variable ${name}`);
}

/** Who judges, and what was assumed in choosing them. */
export interface Judges {
  readonly providers: Provider[];
  readonly notes: readonly string[];
}

/**
 * The judges of a provider's deliveries: one for each proof whose secret is there.
 *
 * @param header for DExchange's bearer or signature
 * @throws UsageError if no secret is there, or one cannot be right
 */
export async function judges(
  { provider, schemes }: Chosen,
  header: string | undefined,
  io: Io,
  mayAsk: boolean,
): Promise<Judges> {
  const known = schemes.filter((scheme) => fromEnvironment(scheme, io) !== undefined);
  const secrets = new Map<Scheme, NamedSecret>();
  for (const scheme of known.length > 0 ? known : schemes.slice(0, 1)) {
    secrets.set(scheme, await secretOf(scheme, io, mayAsk));
  }
  const notes: string[] = [];
  if (header === undefined && secrets.size > 1 && secrets.delete('dexchange/signature')) {
    notes.push('DEXCHANGE_SIGNATURE_SECRET is left out: name its header by --header.');
  }
  const of = (scheme: Scheme) => secrets.get(scheme);
  try {
    if (provider === 'hatexcard') {
      const secret = of('hatexcard/timestamped') ?? of('hatexcard/body');
      const names = schemes.map((one) => (one === 'hatexcard/body' ? 'body' : 'timestamped'));
      return { providers: [hatexcard({ secret, schemes: names })], notes };
    }
    if (provider === 'hitpay') {
      const [salt, eventSalt] = [of('hitpay/form'), of('hitpay/event')];
      const own = eventSalt?.id === salt?.id ? undefined : eventSalt;
      return { providers: [hitpay({ salt, eventSalt: own })], notes };
    }
    return { providers: dexchangeJudges(of, header), notes };
  } catch (error) {
    // A secret with white space and the like: the sentence names the option, not the secret.
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}

/**
 * One for each proof: each delivery is judged by the one whose proof it shows, and one that shows none
 * by the default, which tells what is missing.
 */
function dexchangeJudges(
  of: (scheme: Scheme) => NamedSecret | undefined,
  header: string | undefined,
): Provider[] {
  const [secret, token, key] = [
    of('dexchange/token'),
    of('dexchange/bearer'),
    of('dexchange/signature'),
  ];
  const list: Provider[] = [];
  if (key !== undefined) {
    if (header === undefined) {
      throw new UsageError('--header: name the header that carries the signature');
    }
    list.push(dexchange({ signature: { header, secret: key } }));
  }
  if (secret !== undefined) list.push(dexchange({ token: { secret } }));
  if (token !== undefined) {
    const own = key === undefined ? header : undefined;
    list.push(dexchange({ bearer: { token, header: own } }));
  }
  const first = list[key === undefined ? 0 : 1];
  return list.length === 1 || first === undefined ? list : [...list, lastResort(first, list)];
}

const NOTHING: Evidence = { clues: [], plain: [] };

/** Judges what none of the others recognises, if it can be its provider's at all. */
function lastResort(judge: Provider, others: readonly Provider[]): Provider {
  const isLeft = (delivery: Delivery) =>
    judge.contentTypes.includes(`${delivery.contentType}`) &&
    !others.some((one) => one.recognizes(delivery));
  return {
    ...judge,
    recognizes: isLeft,
    // Elsewhere it would tell a second time what the same judge tells among the others.
    evidence: (delivery, scene) =>
      (isLeft(delivery) ? judge.evidence?.(delivery, scene) : undefined) ?? NOTHING,
  };
}

/**
 * Every other secret that the environment holds, for the diagnosis: the other providers', and those
 * that `--try` names. They are known by their variable's name.
 *
 * @throws UsageError if a variable of `--try` is not set
 */
export function otherSecrets(tried: readonly string[], { env }: Io): NamedSecret[] {
  for (const name of tried) {
    if (!env[name]?.trim())
      throw new UsageError(`--try: the variable ${printableName(name)} is not set`);
  }
  const names = [...new Set([...tried, ...Object.values(VARIABLES).flat()])];
  return names
    .map((id) => ({ id, value: env[id]?.trim() ?? '' }))
    .filter(({ value }) => value !== '' && value !== 'undefined' && value !== 'null')
    .slice(0, 16);
}

/** Whoever passes the secret in place of its name must not see it in a message. */
function printableName(name: string): string {
  return /^[A-Z_][A-Z0-9_]{0,63}$/.test(name) ? name : '(not the name of a variable)';
}
