import { STATUS_CODES, validateHeaderValue } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { headerName } from '../core/options.ts';
import { type Answer, post } from '../testing/post.ts';
import { deliveryOf, originOf, type SignedDelivery, signed } from '../testing/signed.ts';
import type { Scheme, Signer } from '../testing/signer.ts';
import {
  duplicate,
  expired,
  outOfOrder,
  recut,
  replayed,
  tampered,
} from '../testing/variations.ts';
import { wholeNumber } from './options.ts';
import { choose, secretOf } from './secrets.ts';
import {
  type Io,
  jsonText,
  type Paint,
  painter,
  printable,
  table,
  UsageError,
} from './terminal.ts';

const HELP = `payproof send <provider> --to URL [options]

Signs a delivery and posts it like the provider does: its headers, its content type, its timeout.

  --to URL              the route, http or https (DExchange's token is added to it)
  --scheme S            hatexcard: timestamped (default), body; hitpay: form (default), event;
                        dexchange: token (default), bearer, signature
  --kind K              hatexcard: payment.success (default), payment.succeeded, ping
                        hitpay form: payment_request (default), recurring_billing
                        hitpay event: payment_request.completed (default), payment_request.failed,
                        charge.created, charge.updated, recurring_billing.method_attached,
                        payout.created, order.created, invoice.created, ...
  --status S            hitpay form: completed, failed, pending, canceled, succeeded;
                        dexchange: SUCCESS, COMPLETED, PENDING, PROCESSING, FAILED, CANCELLED, EXPIRED
  --reference R         your order reference
  --amount A            in major units, sent as it is spelt
  --currency C
  --refunded A          hitpay event, charge.updated: how much was refunded
  --payment-id ID       default: a new one for each delivery
  --transaction T       dexchange: MID (default), TID
  --name, --phone, --email
  --header NAME         dexchange: the header of bearer or signature

  --times N             so many deliveries, each another payment unless --payment-id is given
  --parallel N          so many at once (default 1)
  --retry               deliver again until the answer is 2xx, as the provider does: Hatexcard at most
                        6 times, each signed anew; the others' number is unpublished, here 3;
                        not with --tamper and --recut
  --retry-wait S        seconds before the first repetition, then doubled (default 1)
  --timeout S           seconds (default: the provider's: hatexcard 5, hitpay 30; dexchange 30)

  --tamper              altered after signing: must be refused (403)
  --expire              hatexcard timestamped, signed ten minutes ago: must be refused (403)
  --recut               hitpay form, cut into other fields: must be refused (403)
  --replay              then the very same bytes again: 200, and your handler must not run again
  --duplicate           then the provider's redelivery: 200, and your handler must not run again
  --out-of-order        then an earlier state of the same payment (see option stale)

  --json                the result as JSON
  --quiet               no messages, and no result but --json and the exit code
`;

const OPTIONS = {
  to: { type: 'string' },
  scheme: { type: 'string' },
  kind: { type: 'string' },
  status: { type: 'string' },
  reference: { type: 'string' },
  amount: { type: 'string' },
  currency: { type: 'string' },
  refunded: { type: 'string' },
  'payment-id': { type: 'string' },
  transaction: { type: 'string' },
  name: { type: 'string' },
  phone: { type: 'string' },
  email: { type: 'string' },
  header: { type: 'string' },
  times: { type: 'string' },
  parallel: { type: 'string' },
  retry: { type: 'boolean' },
  'retry-wait': { type: 'string' },
  timeout: { type: 'string' },
  tamper: { type: 'boolean' },
  expire: { type: 'boolean' },
  recut: { type: 'boolean' },
  replay: { type: 'boolean' },
  duplicate: { type: 'boolean' },
  'out-of-order': { type: 'boolean' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean', short: 'q' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Values = ReturnType<typeof parse>['values'];
const parse = (args: readonly string[]) =>
  parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });

/** How the provider delivers. */
interface Manner {
  /** Seconds. */
  readonly timeout: number;
  /** Attempts in all. */
  readonly attempts: number;
  readonly rule: string;
}

const MANNERS: Readonly<Record<string, Manner>> = {
  hatexcard: { timeout: 5, attempts: 6, rule: 'Hatexcard would deliver this up to 6 times' },
  hitpay: { timeout: 30, attempts: 3, rule: 'HitPay would deliver this again' },
  dexchange: {
    timeout: 30,
    attempts: 3,
    rule: 'whether DExchange delivers again is not documented',
  },
};

type Delivery = SignedDelivery;
const VARIATIONS: Readonly<Record<string, (delivery: Delivery) => readonly Delivery[]>> = {
  tamper: (delivery) => [tampered(delivery)],
  expire: (delivery) => [expired(delivery as SignedDelivery<'hatexcard/timestamped'>)],
  recut: (delivery) => [recut(delivery as SignedDelivery<'hitpay/form'>)],
  replay: (delivery) => [delivery, replayed(delivery)],
  duplicate: (delivery) => [delivery, duplicate(delivery)],
  'out-of-order': (delivery) => [
    delivery,
    outOfOrder(delivery as SignedDelivery<'hitpay/form'>) as Delivery,
  ],
};

/** What came of one delivery. */
interface Outcome {
  /** Null if it was not answered. */
  readonly status: number | null;
  /** The code of the connection's error. */
  readonly error: string | null;
  readonly time: number;
  readonly attempts: number;
  readonly answer: Answer | null;
}

/** `payproof send`. */
export async function send(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const { provider, schemes } = choose(positionals[0], values.scheme);
  if (positionals.length > 1) throw new UsageError('send takes one provider');
  const [scheme] = schemes as [Scheme];
  const manner = MANNERS[provider] as Manner;
  const to = target(values.to);
  const times = wholeNumber('times', values.times, 1, 1_000_000) ?? 1;
  const parallel = wholeNumber('parallel', values.parallel, 1, 256) ?? 1;
  const timeout = (wholeNumber('timeout', values.timeout, 1, 600) ?? manner.timeout) * 1000;
  const wait = (wholeNumber('retry-wait', values['retry-wait'], 0, 600) ?? 1) * 1000;
  const variation = variationOf(values);
  if (values.retry && (variation === 'tamper' || variation === 'recut')) {
    throw new UsageError(
      `--retry: not with --${variation}; the provider would deliver the genuine one again`,
    );
  }
  const check = { provider, scheme, values, to };
  // Before the secret is asked for: whatever is wrong in the options shows first.
  make(check, 'x', variation);
  const { value: secret } = await secretOf(scheme, io);

  const isQuiet = values.quiet === true;
  const bar = progressBar(io, times, isQuiet || times === 1);
  const outcomes: Outcome[] = [];
  const start = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next++ < times) {
      for (const delivery of make(check, secret, variation)) {
        const way = { to, timeout, wait, retry: values.retry, manner, io, isQuiet, secret };
        const outcome = await deliver(delivery, way);
        // Of many, only the numbers are shown.
        outcomes.push(times === 1 ? outcome : { ...outcome, answer: null });
      }
      bar.step();
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, times) }, worker));
  bar.end();
  const seconds = (performance.now() - start) / 1000;
  const isFine = outcomes.every(({ status }) => isSuccess(status));
  const where = to.origin + to.pathname;
  if (values.json) {
    io.stdout.write(`${jsonText(report(scheme, where, outcomes, seconds, times === 1), 2)}\n`);
  } else if (!isQuiet) {
    const paint = painter(io.stdout, io.env);
    io.stdout.write(
      times === 1
        ? outcomes.map((one) => shown(one, scheme, where, paint)).join('')
        : summary(outcomes, seconds, Math.min(parallel, times), paint),
    );
  }
  if (!isFine && !isQuiet && !values.retry && variation === undefined) {
    io.stderr.write(`payproof: not answered 2xx; ${manner.rule} (--retry does)\n`);
  }
  return isFine ? 0 : 1;
}

function isSuccess(status: number | null): boolean {
  return status !== null && status >= 200 && status < 300;
}

/**
 * @throws UsageError if it is no URL of a route
 */
function target(text: string | undefined): URL {
  if (text === undefined) throw new UsageError('--to: the URL of the route is missing');
  if (!URL.canParse(text))
    throw new UsageError('--to: must be a URL such as http://localhost:3000/webhooks/hitpay');
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new UsageError('--to: must begin with http:// or https://');
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('--to: must hold no user name and password');
  }
  return url;
}

function variationOf(values: Values): string | undefined {
  const chosen = Object.keys(VARIATIONS).filter((name) => values[name as 'tamper'] === true);
  if (chosen.length > 1)
    throw new UsageError(`choose one of ${chosen.map((one) => `--${one}`).join(', ')}`);
  return chosen[0];
}

interface Making {
  readonly provider: string;
  readonly scheme: Scheme;
  readonly values: Values;
  readonly to: URL;
}

/**
 * @throws UsageError if the options do not fit the scheme
 */
function make(making: Making, secret: string, variation: string | undefined): readonly Delivery[] {
  const { provider, scheme, values, to } = making;
  const { kind, status, reference, amount, currency, refunded, transaction, name, phone, email } =
    values;
  const kindName = provider === 'hatexcard' ? 'event' : 'kind';
  const sample = given({
    [kindName]: kind,
    status,
    reference,
    amount,
    currency,
    refunded,
    transaction,
    name,
    phone,
    email,
    paymentId: values['payment-id'],
  });
  const short = scheme.slice(provider.length + 1);
  const path = to.pathname + to.search;
  const signer = { ...given({ header: values.header }), provider, scheme: short, secret, path };
  const vary = VARIATIONS[variation ?? ''] ?? ((one: Delivery) => [one]);
  try {
    const delivery: Delivery = signed(signer as Signer, sample);
    if (values.header !== undefined) headerName('header', values.header);
    for (const [name, value] of Object.entries(delivery.headers)) validateHeaderValue(name, value);
    return vary(delivery);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(
      code === 'ERR_INVALID_CHAR'
        ? 'the secret has a character that cannot stand in a header'
        : inWords(message),
    );
  }
}

function given(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** A sentence about the sample, for one who wrote options. */
function inWords(message: string): string {
  return message
    .replace(/^sample: unknown option "paymentId"/, '--payment-id: not for this scheme')
    .replace(/^sample: unknown option "event"/, '--kind: not for this scheme')
    .replace(/^sample: unknown option "(\w+)"/, '--$1: not for this scheme')
    .replace(/^sample\.event/, '--kind')
    .replace(/^sample\.(\w+)/, '--$1')
    .replace(/^(expired|recut|outOfOrder): /, '')
    .replace(/^header:/, '--header:');
}

// ---- Delivering ----------------------------------------------------------------------------------

interface Way {
  readonly to: URL;
  readonly timeout: number;
  readonly wait: number;
  readonly retry: boolean | undefined;
  readonly manner: Manner;
  readonly io: Io;
  readonly isQuiet: boolean;
  readonly secret: string;
}

async function deliver(first: Delivery, way: Way): Promise<Outcome> {
  const { retry, manner, io, isQuiet } = way;
  let delivery = first;
  let { wait } = way;
  for (let attempts = 1; ; attempts++) {
    const outcome = await attempt(delivery, attempts, way);
    if (isSuccess(outcome.status) || !retry || attempts === manner.attempts) return outcome;
    if (!isQuiet) {
      const said = outcome.status ?? outcome.error;
      io.stderr.write(
        `attempt ${attempts} of ${manner.attempts}: ${said}; again in ${wait / 1000} s\n`,
      );
    }
    await sleep(wait);
    wait *= 2;
    delivery = redelivery(delivery, first);
  }
}

/** As the provider delivers it again: signed now or, if the first was older when it was made, as old. */
function redelivery(last: Delivery, first: Delivery): Delivery {
  const again = duplicate(last);
  const { signer, facts } = originOf(again);
  if (signer.scheme !== 'hatexcard/timestamped') return again;
  const at = new Date(Date.now() + +originOf(first).facts.at - +signer.at);
  return deliveryOf(signer, { ...facts, at });
}

async function attempt(
  delivery: Delivery,
  attempts: number,
  { to, timeout, secret }: Way,
): Promise<Outcome> {
  const start = performance.now();
  try {
    // Not resolved: a path that begins with two slashes would name another host.
    const sent = await post(new URL(to.origin + delivery.path), delivery, timeout);
    const answer = veiled(sent, [secret, ...proofsOf(delivery)]);
    return { status: answer.status, error: null, time: answer.time, attempts, answer };
  } catch (error) {
    const { code = 'ERROR' } = error as { code?: string };
    return { status: null, error: code, time: performance.now() - start, attempts, answer: null };
  }
}

/** What looks like a signature or a token, wherever it stands. */
function proofsOf({ path, headers, body }: Delivery): readonly string[] {
  const all = [path, ...Object.values(headers), body].join('\n');
  return all.match(/(?<![\w-])(?:[0-9a-f]{64}|[\w-]{43})(?![\w-])/gi) ?? [];
}

/** A route may repeat what it was sent, on an error page or in a redirect. */
function veiled(answer: Answer, hidden: readonly string[]): Answer {
  const patterns = hidden.map(spellings);
  const veil = (text: string): string =>
    patterns.reduce((rest, one) => rest.replace(one, '***'), text);
  const { location } = answer.headers;
  const headers = {
    ...answer.headers,
    ...(location === undefined ? {} : { location: veil(location) }),
  };
  return { ...answer, headers, body: veil(answer.body) };
}

/** A text in each way in which a page, a URL or JSON may spell it, in upper or lower case. */
function spellings(text: string): RegExp {
  const parts = Array.from(text, (c) => {
    if (/\w/.test(c)) return c;
    const bytes = Array.from(Buffer.from(c), (one) => `%${one.toString(16).padStart(2, '0')}`);
    const ways = [c, `\\${c}`, JSON.stringify(c).slice(1, -1), bytes.join('')];
    const literal = ways.map((one) => one.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    const escapes = `&#?\\w{1,31};|(?:\\\\u[0-9a-f]{4}){${c.length}}`;
    return `(?:${escapes}|${literal.join('|')})`;
  });
  return new RegExp(parts.join(''), 'gi');
}

// ---- What is shown -------------------------------------------------------------------------------

const ms = (time: number): number => Math.round(time * 10) / 10;

function quantile(sorted: readonly number[], part: number): number {
  return ms(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] as number);
}

function counts(outcomes: readonly Outcome[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const { status, error } of outcomes) {
    const name = String(status ?? error);
    all[name] = (all[name] ?? 0) + 1;
  }
  return all;
}

function times(outcomes: readonly Outcome[]) {
  const sorted = outcomes.map(({ time }) => time).sort((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    p95: quantile(sorted, 0.95),
    max: ms(sorted.at(-1) as number),
  };
}

function report(
  scheme: Scheme,
  to: string,
  outcomes: readonly Outcome[],
  seconds: number,
  isSingle: boolean,
) {
  return {
    scheme,
    to,
    ok: outcomes.every(({ status }) => isSuccess(status)),
    deliveries: outcomes.length,
    seconds: Math.round(seconds * 1000) / 1000,
    statuses: counts(outcomes),
    milliseconds: times(outcomes),
    ...(isSingle
      ? {
          answers: outcomes.map(({ status, error, attempts, time, answer }) => ({
            status,
            error,
            attempts,
            milliseconds: ms(time),
            body: answer === null ? null : printable(answer.body, 2000),
          })),
        }
      : {}),
  };
}

function shown(
  { status, error, time, attempts, answer }: Outcome,
  scheme: Scheme,
  where: string,
  paint: Paint,
): string {
  const line =
    status === null
      ? paint('red', `not answered: ${error}`)
      : `${paint(isSuccess(status) ? 'green' : 'red', `${status} ${STATUS_CODES[status] ?? ''}`)} in ${Math.round(time)} ms`;
  const location = answer?.headers.location;
  const text = answer === null ? '' : printable(withoutTags(answer.body));
  return `${line}\n${table([
    ['sent', scheme],
    ['to', printable(where)],
    ...(attempts > 1 ? [['attempts', `${attempts}`] as const] : []),
    ...(text === '' ? [] : [['answer', text] as const]),
    ...(location ? [['location', printable(location)] as const] : []),
  ])}`;
}

function summary(
  outcomes: readonly Outcome[],
  seconds: number,
  parallel: number,
  paint: Paint,
): string {
  const { median, p95, max } = times(outcomes);
  const rate = Math.round(outcomes.length / seconds);
  const rows = Object.entries(counts(outcomes)).map(
    ([name, count]) => [paint(/^2/.test(name) ? 'green' : 'red', name), `${count}`] as const,
  );
  return (
    `${outcomes.length} deliveries in ${seconds.toFixed(2)} s (${rate} a second), ${parallel} at once\n` +
    table([...rows, ['time', `median ${median} ms, 95 % within ${p95} ms, longest ${max} ms`]])
  );
}

/** The words of an error page. */
function withoutTags(body: string): string {
  return body
    .replace(/<(style|script)\b[^<]{0,5000}<\/\1>/gi, ' ')
    .replace(/<[a-z!/][^<>]{0,500}>/gi, ' ')
    .replace(/\s+/g, ' ');
}

/** On stderr, and only where that is a terminal. */
function progressBar({ stderr }: Io, total: number, isHidden: boolean) {
  if (isHidden || stderr.isTTY !== true) return { step() {}, end() {} };
  const width = Math.max(10, Math.min(40, (stderr.columns ?? 80) - 30));
  let done = 0;
  let drawn = -1;
  return {
    step(): void {
      done++;
      const filled = Math.floor((done / total) * width);
      const percent = Math.floor((done / total) * 100);
      if (percent === drawn) return;
      drawn = percent;
      const bar = '#'.repeat(filled).padEnd(width, '.');
      stderr.write(`\r[${bar}] ${done}/${total} ${percent} %`);
    },
    end(): void {
      stderr.write('\r\u001b[K');
    },
  };
}
