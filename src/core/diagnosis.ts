import { type Delivery, type DeliveryInput, delivery } from './delivery.ts';
import {
  DIAGNOSIS_CAUSES,
  type DiagnosisCause,
  type Finding,
  finding,
  type Suspicion,
} from './diagnosis/causes.ts';
import type { Clue, Evidence, Scene } from './diagnosis/clues.ts';
import {
  headerPairs,
  type Mark,
  marksInBody,
  marksInHeaders,
  marksInType,
  safeHeaderName,
} from './diagnosis/marks.ts';
import { readingsOf } from './diagnosis/readings.ts';
import { Budget, type Fit, type ForeignKeys, search } from './diagnosis/trials.ts';
import { isWebhookError, type WebhookError, type WebhookErrorCode } from './errors.ts';
import { boundedNumber, knownOptions } from './options.ts';
import type { Provider } from './provider.ts';
import { keyring, type SecretInput } from './secrets.ts';
import { providerList, verify } from './verify.ts';

/** Why a delivery was refused: the likeliest finding, and the others, likeliest first. */
export interface Diagnosis extends Finding {
  readonly others: readonly Finding[];
}

/** What `diagnose` takes: the input of `verify`, or what is left of it. */
export interface DiagnosisInput extends Omit<DeliveryInput, 'body'> {
  /**
   * The raw bytes. If only a parsed body is left: the texts that it can have been, likeliest first.
   * Null if the body was not read.
   */
  body: Uint8Array | readonly Uint8Array[] | null;
}

/** Options of {@link diagnose}. */
export interface DiagnosisOptions {
  /** Further secrets to try: the sandbox's, the old one, another account's. At most 16. */
  otherSecrets?: SecretInput | undefined;
  /** Ids of the merchant's own orders, to recognise a token of another order. The first 1000 count. */
  orders?: Iterable<string> | undefined;
  /** How many MACs may be made. Default 1500. */
  maxTrials?: number | undefined;
  /** How long it may look, in milliseconds, from the first trial on. Default 12. */
  maxTime?: number | undefined;
  /** A clock in milliseconds, for `maxTime`. Default: `performance.now`. */
  clock?: (() => number) | undefined;
  /** The error with which the delivery was refused. Default: found by verifying it again. */
  error?: WebhookError | undefined;
}

const OPTIONS = ['otherSecrets', 'orders', 'maxTrials', 'maxTime', 'clock', 'error'];
const DEFAULT_TRIALS = 1500;
const DEFAULT_TIME = 12;
/**
 * Without `maxTime`, some trials are made on however busy a machine: so many, or as many as hash so
 * many bytes; making a MAC at all costs as much as hashing `TRIAL_BYTES`.
 */
const SURE_TRIALS = 1000;
const SURE_BYTES = 2 * 1024 * 1024;
const TRIAL_BYTES = 1024;
const MAX_ORDERS = 1000;
/** Misplaced signatures that are looked at. */
const MAX_MISPLACED = 4;

/**
 * Finds out why a delivery is refused, by bounded trials: which change of the secret, of the signed
 * text or of the signature's form makes it fit. Pure, and for the merchant's eyes only: never show
 * a diagnosis to the client. It holds no secret, no signature, and nothing that a sender wrote.
 *
 * @param provider as for `verify`
 * @throws TypeError | RangeError if an argument or option is wrong
 */
export function diagnose(
  provider: Provider | readonly Provider[],
  input: DiagnosisInput,
  options: DiagnosisOptions = {},
): Diagnosis {
  return investigate(providerList(provider), input, options, []);
}

/**
 * The same, for a route that may have no provider.
 *
 * @param parsers the body parsers that are mounted before, by names that are known
 */
export function investigate(
  providers: readonly Provider[],
  input: DiagnosisInput,
  options: DiagnosisOptions,
  parsers: readonly string[],
): Diagnosis {
  const { error, orders, otherSecrets, caps } = readOptions(options);
  const { bodies, reserialized } = readBodies(input.body);
  const deliveries = bodies.map((body) => delivery({ ...input, body }));
  const judged = deliveries[0] as Delivery;
  const refusal = error ?? refusalOf(providers, input, bodies);
  if (refusal === null) return diagnosisOf([finding({ cause: 'none' }, 'likely')]);
  const { code } = refusal;
  // The one that judged it first: others' clues are second-best.
  const judges = providers.toSorted((a, b) => rank(a, judged) - rank(b, judged));
  const pairs = headerPairs(input.headers);
  const scene: Scene = { code, query: queryOf(input.url), orders };
  const evidence = judges.map((one) => one.evidence?.(judged, scene) ?? NO_EVIDENCE);
  const sure = caps.isTimed
    ? 0
    : Math.min(SURE_TRIALS, SURE_BYTES / (judged.body.length + TRIAL_BYTES));
  const budget = new Budget({ ...caps, sure });
  const findings: Finding[] = [];
  const fit =
    input.body === null || AFTER_AUTHENTICITY.has(code)
      ? null
      : firstFit(judges, evidence, scene, judged, pairs, otherSecrets, budget);
  const consumed: Suspicion = { cause: 'body_consumed', evidence: parsers };
  if (fit) {
    const proven = fit.suspicions.map((one) =>
      reserialized && one.cause === 'body_reserialized'
        ? { ...consumed, evidence: [...parsers, ...(one.evidence ?? [])] }
        : one,
    );
    findings.push(...proven.map((one) => finding(one, fit.proven ? 'proven' : 'likely')));
    // Right as it stands: then it was refused for what the code says.
    const refused = RIGHT_BUT_REFUSED[code];
    if (refused && (proven.length === 0 || BEFORE_AUTHENTICITY.has(code))) {
      findings.push(finding(withPlain(refused, evidence), 'proven'));
    }
  }
  if (reserialized || code === 'body_consumed') findings.push(finding(consumed, 'likely'));
  for (const { plain } of evidence) {
    findings.push(...plain.map((one) => finding(one, one.confidence)));
  }
  if (code === 'signature_malformed') findings.push(...howItIsWritten(evidence));
  findings.push(...whatShows(providers, scene, input, judged, evidence, pairs));
  if (findings.length === 0 || (!fit && input.body !== null && SIGNED.has(code))) {
    const tried = `${budget.spent} combinations were tried.`;
    findings.push(finding({ cause: 'secret_unknown', evidence: [tried] }, 'guess'));
  }
  return diagnosisOf(findings);
}

/**
 * What the code alone tells, where there are too many refusals to look into each.
 *
 * @param parsers as for `investigate`
 */
export function unexamined({ code }: WebhookError, parsers: readonly string[]): Diagnosis {
  const cause = causeOf(code);
  return diagnosisOf([
    ...(cause ? [finding({ cause, evidence: parsers }, 'likely')] : []),
    finding({ cause: 'not_examined' }, 'guess'),
  ]);
}

function rank(provider: Provider, judged: Delivery): number {
  return provider.recognizes(judged) ? 0 : 1;
}

const NO_EVIDENCE: Evidence = { clues: [], plain: [] };

function readOptions(options: DiagnosisOptions) {
  knownOptions('diagnose', options, OPTIONS);
  const { maxTrials = DEFAULT_TRIALS, maxTime } = options;
  const { error, orders = [], clock = () => performance.now() } = options;
  if (error !== undefined && !isWebhookError(error)) {
    throw new TypeError('error: must be a WebhookError');
  }
  if (typeof clock !== 'function') throw new TypeError('clock: must be a function');
  if (typeof orders === 'string' || typeof orders?.[Symbol.iterator] !== 'function') {
    throw new TypeError('orders: must be a list of order ids');
  }
  const ids: string[] = [];
  for (const id of orders) {
    if (typeof id !== 'string') throw new TypeError('orders: an order id is a text');
    if (ids.push(id) >= MAX_ORDERS) break;
  }
  return {
    error,
    orders: ids,
    otherSecrets:
      options.otherSecrets === undefined ? [] : keyring('otherSecrets', options.otherSecrets),
    caps: {
      trials: boundedNumber('maxTrials', maxTrials, 0, 1_000_000),
      time: boundedNumber('maxTime', maxTime ?? DEFAULT_TIME, 0, 60_000),
      isTimed: maxTime !== undefined,
      clock,
    },
  };
}

function readBodies(body: DiagnosisInput['body']): { bodies: Uint8Array[]; reserialized: boolean } {
  if (body === null) return { bodies: [new Uint8Array()], reserialized: false };
  if (body instanceof Uint8Array) return { bodies: [body], reserialized: false };
  if (!Array.isArray(body) || body.length === 0) {
    throw new TypeError('body: must be the raw bytes, a list of texts it can have been, or null');
  }
  return { bodies: [...body], reserialized: true };
}

/** The error with which `verify` refuses, or null if it does not. */
function refusalOf(
  providers: readonly Provider[],
  input: DiagnosisInput,
  bodies: readonly Uint8Array[],
): WebhookError | null {
  if (input.body === null) {
    throw new TypeError('error: needed where the body was not read');
  }
  let refusal: WebhookError | null = null;
  for (const body of bodies) {
    try {
      verify(providers, { ...input, body });
      return null;
    } catch (error) {
      if (!isWebhookError(error)) throw error;
      refusal ??= error;
    }
  }
  return refusal;
}

function queryOf(url: string | undefined): Scene['query'] {
  const start = url?.indexOf('?') ?? -1;
  return start < 0 ? null : [...new URLSearchParams(url?.slice(start + 1))].slice(0, 64);
}

// ---- Trials --------------------------------------------------------------------------------------

function firstFit(
  providers: readonly Provider[],
  evidence: readonly Evidence[],
  scene: Scene,
  judged: Delivery,
  pairs: readonly (readonly [string, string])[],
  otherSecrets: ReturnType<typeof keyring>,
  budget: Budget,
): Fit | null {
  const others: ForeignKeys = {
    keys: otherSecrets,
    suspicion: (id) => ({ cause: 'secret_other', evidence: [`It is ${id}.`] }),
  };
  const clues = evidence.flatMap((one, index) => {
    const foreign = evidence.flatMap((other, at) =>
      at === index ? [] : secretsOf(providers[at] as Provider, other),
    );
    const places = one.clues.flatMap((clue) => placesOf(clue, scene, pairs));
    return places.map((clue) => [clue, [...foreign, others]] as const);
  });
  return search(clues, judged.receivedAt, budget);
}

function secretsOf({ name }: Provider, { clues }: Evidence): ForeignKeys[] {
  return clues.flatMap((clue) =>
    [clue, ...clue.spare].map(({ option, keys }) => ({
      keys,
      suspicion: (id: string): Suspicion => ({
        cause: 'secret_other_provider',
        evidence: [`The secret of ${name}, option ${option}, fits: ${id}.`],
      }),
    })),
  );
}

/** The clue where it should be or, if nothing is there, wherever something looks like it. */
function placesOf(
  clue: Clue,
  { query }: Scene,
  headers: readonly (readonly [string, string])[],
): Clue[] {
  if (clue.proof !== undefined || clue.kind !== 'hex') return [clue];
  const looks = ([, value]: readonly [string, string]) =>
    /[0-9a-f]{64}|^[\w+/-]{43}=$/i.test(value);
  const inHeaders = headers.filter(looks).map(([name, value]) => ({
    proof: value,
    evidence: [`It is in ${safeHeaderName(name)}, not in ${clue.place}.`],
  }));
  const inQuery = (query ?? []).filter(looks).map(([, value]) => ({
    proof: value,
    evidence: [`It is in the query of the URL, not in ${clue.place}.`],
  }));
  return [...inHeaders, ...inQuery].slice(0, MAX_MISPLACED).map(({ proof, evidence }) => ({
    ...clue,
    proof,
    assumption: { cause: 'signature_elsewhere', evidence },
  }));
}

// ---- What shows without a trial ------------------------------------------------------------------

/** Refusals that have nothing to do with the signature. */
const AFTER_AUTHENTICITY: ReadonlySet<WebhookErrorCode> = new Set([
  'confirmation_mismatch',
  'confirmation_unavailable',
  'store_unavailable',
  'delivery_in_progress',
  'delivery_conflict',
  'payment_not_expected',
]);

/** Refusals after which a wrong secret remains possible. */
const SIGNED: ReadonlySet<WebhookErrorCode> = new Set([
  'signature_malformed',
  'signature_mismatch',
  'timestamp_invalid',
  'timestamp_out_of_tolerance',
  'token_mismatch',
  'field_ambiguous',
  'body_malformed',
  'body_consumed',
]);

/** Refusals that are pronounced before the signature is looked at: both can be wrong. */
const BEFORE_AUTHENTICITY: ReadonlySet<WebhookErrorCode> = new Set([
  'timestamp_out_of_tolerance',
  'content_type_unsupported',
]);

/** What a code means where the signature is right. */
const RIGHT_BUT_REFUSED: Readonly<Partial<Record<WebhookErrorCode, DiagnosisCause>>> = {
  timestamp_out_of_tolerance: 'clock_skew',
  field_ambiguous: 'field_ambiguous',
  body_malformed: 'body_malformed',
  content_type_unsupported: 'content_type',
};

/** The cause with what the providers saw of it. */
function withPlain(cause: DiagnosisCause, evidence: readonly Evidence[]): Suspicion {
  return evidence.flatMap(({ plain }) => plain).find((one) => one.cause === cause) ?? { cause };
}

/** What a code means by itself, where it has no finding of the same name. */
const CODES: Readonly<Partial<Record<WebhookErrorCode, DiagnosisCause>>> = {
  method_not_allowed: 'not_post',
  content_type_unsupported: 'content_type',
  content_encoding_unsupported: 'content_encoding',
  signature_malformed: 'signature_encoding',
};

function causeOf(code: WebhookErrorCode): DiagnosisCause | undefined {
  return CODES[code] ?? DIAGNOSIS_CAUSES.find((one) => one === code);
}

const UNSIGNED: ReadonlySet<WebhookErrorCode> = new Set([
  'signature_missing',
  'token_missing',
  'provider_unrecognized',
]);

function whatShows(
  providers: readonly Provider[],
  { code }: Scene,
  input: DiagnosisInput,
  judged: Delivery,
  evidence: readonly Evidence[],
  headers: readonly (readonly [string, string])[],
): Finding[] {
  if (code === 'provider_unrecognized' && providers.length === 0) {
    return [finding({ cause: 'provider_unknown' }, 'likely')];
  }
  const cause = causeOf(code);
  const shown = cause ? [finding({ cause }, 'likely')] : [];
  const isEmpty = input.body !== null && judged.body.length === 0;
  const empty = isEmpty ? [finding({ cause: 'body_empty' }, 'likely')] : [];
  const hasProof = evidence.some(({ clues }) => clues.some(({ proof }) => proof !== undefined));
  const strangers = othersMarks(providers, judged, headers, input.body !== null);
  if (UNSIGNED.has(code) || (code === 'timestamp_invalid' && !hasProof)) {
    return [...strangers, finding({ cause: 'no_signature' }, 'likely'), ...shown, ...empty];
  }
  if (code === 'content_type_unsupported' && !providers.some((one) => one.recognizes(judged))) {
    return [...strangers, ...shown];
  }
  return [...empty, ...shown];
}

/** Marks of providers that this route does not have. */
function othersMarks(
  providers: readonly Provider[],
  judged: Delivery,
  headers: readonly (readonly [string, string])[],
  hasBody: boolean,
): Finding[] {
  const marks = [
    ...marksInHeaders(headers),
    ...(hasBody ? marksInBody(judged.body) : marksInType(judged.contentType)),
  ];
  const isOwn = ({ who }: Mark) =>
    providers.some(({ name }) => who.toLowerCase().startsWith(name.toLowerCase()));
  const strange = marks.filter((one) => !isOwn(one));
  return strange.map(({ evidence, confidence }) =>
    finding({ cause: 'other_provider', evidence: [evidence] }, confidence),
  );
}

/** What a signature that has not its form looks like. */
function howItIsWritten(evidence: readonly Evidence[]): Finding[] {
  return evidence
    .flatMap(({ clues }) => clues)
    .filter(({ proof }) => proof !== undefined)
    .flatMap((clue) => readingsOf(clue))
    .flatMap(({ suspicion }) => (suspicion ? [finding(suspicion, 'likely')] : []));
}

/** Each cause once, as it was found first. */
function diagnosisOf(findings: readonly Finding[]): Diagnosis {
  const byCause = new Map<DiagnosisCause, Finding>();
  for (const one of findings) if (!byCause.has(one.cause)) byCause.set(one.cause, one);
  const [first, ...others] = byCause.values();
  return { ...(first as Finding), others };
}
