import type { Delivery } from '../core/delivery.ts';
import type { Suspicion } from '../core/diagnosis/causes.ts';
import type { Clue, Evidence, Scene, SignedText } from '../core/diagnosis/clues.ts';
import { percentDecoded } from '../core/diagnosis/secrets.ts';
import { bodyTexts, fieldsOf } from '../core/diagnosis/texts.ts';
import type { JsonObject } from '../core/json.ts';
import type { Keyring } from '../core/secrets.ts';

// DExchange's share of the diagnosis; the rules are in dexchange.ts.

/** DExchange's rules. */
interface Rules {
  readonly tokenParameter: string;
  readonly tokenLabel: string;
  readonly transactionId: RegExp;
  readonly isOrderId: (id: unknown) => id is string;
}

/** What the diagnosis must know of a configured proof. */
export interface ProofEvidence {
  /** The option of the secrets. */
  readonly option: string;
  readonly keys: Keyring;
  isThere(delivery: Delivery): boolean;
  /** The proof as the diagnosis looks at it, wherever it may stand. */
  clues(delivery: Delivery, scene: Scene): ClueOf[];
}

/** A clue as its proof makes it; the secrets are added. */
export type ClueOf = Omit<Clue, 'option' | 'keys' | 'spare'>;

/** Where DExchange's proofs stand, and what may have been shown in place of what should have been. */
export function dexchangeEvidence(
  rules: Rules,
  proofs: readonly ProofEvidence[],
  delivery: Delivery,
  scene: Scene,
): Evidence {
  const clues = proofs.flatMap((proof) =>
    proof.clues(delivery, scene).map((clue) => ({
      ...clue,
      option: proof.option,
      keys: proof.keys,
      spare: proofs.filter((one) => one !== proof),
    })),
  );
  return { clues, plain: [...plainFindings(rules, proofs, delivery, scene)] };
}

function* plainFindings(
  { tokenParameter, transactionId, isOrderId }: Rules,
  proofs: readonly ProofEvidence[],
  delivery: Delivery,
  { code, query }: Scene,
): Generator<Evidence['plain'][number]> {
  const { id, externalTransactionId: order } = fieldsOf(delivery.body);
  const absent = proofs.find((proof) => !proof.isThere(delivery));
  if (code === 'token_missing' && absent && order !== undefined) {
    const lost = absent.option === 'token.secret' && query === null;
    if (lost) yield { cause: 'query_missing', confidence: 'likely' };
    const evidence = [`The option is ${absent.option}.`];
    yield { cause: 'token_missing', evidence, confidence: 'likely' };
  }
  if (code === 'token_mismatch' && !isOrderId(order)) {
    yield { cause: 'order_id_missing', confidence: 'likely' };
  }
  if (code === 'token_mismatch' && delivery.query(tokenParameter).length > 1) {
    yield { cause: 'token_repeated', confidence: 'likely' };
  }
  if (code === 'confirmation_mismatch' && !transactionId.test(`${id}`)) {
    yield { cause: 'transaction_id', confidence: 'likely' };
  }
  if (code === 'field_ambiguous') {
    const evidence = ['A field is there in two spellings that disagree.'];
    yield { cause: 'field_ambiguous', evidence, confidence: 'likely' };
  }
}

/** The token of the URL, also where its name was damaged. */
export function tokenClues(rules: Rules, delivery: Delivery, { query, orders }: Scene): ClueOf[] {
  const clue = (proof: string | undefined, assumption: Suspicion | null): ClueOf => ({
    place: `the query parameter ${rules.tokenParameter}`,
    proof,
    kind: 'base64url',
    assumption,
    texts: () => tokenTexts(rules, fieldsOf(delivery.body), orders),
  });
  const tokens = delivery.query(rules.tokenParameter);
  if (tokens.length === 1) return [clue(tokens[0], null)];
  if (tokens.length > 1) {
    return tokens.slice(0, 4).map((token) => clue(token, { cause: 'token_repeated' }));
  }
  const whole = (query ?? []).map(([name, value]) => `${name}=${value}`).join('&');
  // `amp;payproof` from an HTML-escaped link, `?payproof` behind another question mark, and the like.
  const damaged = /payproof(?:=|%3d)([\w-]{16,64})/i.exec(whole)?.[1];
  const evidence = ['Its name was damaged.'];
  return damaged === undefined ? [] : [clue(damaged, { cause: 'token_damaged', evidence })];
}

/** The order of the body, the same order written otherwise, the merchant's other orders. */
function* tokenTexts(
  { tokenLabel, isOrderId }: Rules,
  fields: JsonObject,
  others: readonly string[],
): Generator<SignedText> {
  const text = (order: string, suspicion: Suspicion | null): SignedText => ({
    parts: [tokenLabel, order],
    suspicion,
  });
  const { externalTransactionId, id } = fields;
  const order =
    typeof externalTransactionId === 'number' ? `${externalTransactionId}` : externalTransactionId;
  if (isOrderId(externalTransactionId)) yield text(externalTransactionId, null);
  if (typeof order === 'string') {
    const spellings = [
      order,
      order.trim(),
      order.toLowerCase(),
      order.toUpperCase(),
      percentDecoded(order),
      percentDecoded(order.replaceAll('+', ' ')),
      encodeURIComponent(order.replace(/\p{Surrogate}/gu, '')),
      order.replace(/^0+/, ''),
      order.replace(/^#/, ''),
      `#${order}`,
      `${order} `,
      ` ${order}`,
      `${order}\n`,
    ];
    for (const one of new Set(spellings)) yield text(one, { cause: 'order_id_changed' });
  }
  const ofTransaction = ['It was made for the id of the transaction.'];
  if (isOrderId(id)) yield text(id, { cause: 'order_id_changed', evidence: ofTransaction });
  for (const one of others) yield text(one, { cause: 'token_other_order' });
}

/** The static token of a header. */
export function bearerClues(header: string, delivery: Delivery): ClueOf[] {
  const value = delivery.header(header);
  const isPlain = header !== 'authorization';
  const token = isPlain ? value : /^Bearer +(\S+)$/i.exec(value ?? '')?.[1];
  const evidence = ['The word Bearer is missing, or there is more than one token.'];
  return [
    {
      place: `the header ${header}`,
      proof: token ?? value,
      kind: 'bearer',
      assumption: isPlain || token !== undefined ? null : { cause: 'bearer_format', evidence },
      texts: () => [{ parts: [], suspicion: null }],
    },
  ];
}

/** The signature of a header. */
export function signatureClues(header: string, delivery: Delivery): ClueOf[] {
  return [
    {
      place: `the header ${header}`,
      proof: delivery.header(header),
      kind: 'hex',
      assumption: null,
      texts: () => bodyTexts(delivery.body),
    },
  ];
}
