// Every cause that a diagnosis can name, with what it means and what to change. All sentences are
// constants, so nothing that a sender wrote can reach a log through them. `docs/troubleshooting.md`
// has a heading for each.

const CATALOGUE = {
  none: ['The delivery is authentic.', 'Nothing needs to be changed.'],
  not_examined: [
    'Not examined: too many deliveries are refused at this time.',
    'Change nothing because of this one. Look at a refusal from a calmer time, or save a delivery and run payproof explain.',
  ],

  // The request
  not_post: [
    'The request is not a POST; the providers deliver by POST only.',
    'Point only the provider at this URL; a browser, a monitor or a redirect makes GET requests.',
  ],
  content_type: [
    'The content type is not one that this provider sends.',
    'Let the content type pass through unchanged, and check which provider posts here.',
  ],
  content_encoding: [
    'The body is compressed; no provider compresses its deliveries.',
    'Turn off the compression of requests in the proxy in front of the server.',
  ],
  body_too_large: [
    'The body is larger than the limit of this route.',
    'If the sender is the provider, raise the option limit.',
  ],
  body_timeout: [
    'The body did not arrive in time.',
    'Check the proxy in front of the server; if its uploads are slow, raise bodyTimeout.',
  ],
  body_aborted: [
    'The sender closed the connection before the body was complete.',
    'Nothing, if it is rare; otherwise check the timeouts of the proxy in front of the server.',
  ],
  body_malformed: [
    'The body is damaged: not what its length, its encoding or its content type promises.',
    'Check what stands between the provider and this server and changes bodies.',
  ],
  body_empty: [
    'The body is empty.',
    'Check redirects and proxies in front of the server: they drop bodies.',
  ],
  body_consumed: [
    'A body parser read the body before payproof, and its result is not what was signed.',
    'Mount paymentWebhook before every body parser.',
  ],
  provider_unknown: [
    'The function that chooses the provider gave none for this request.',
    'Check the address that the provider was given, and the function of paymentWebhook.',
  ],
  no_signature: [
    'The request carries no signature at all: it is a probe, a test by hand, or an unsigned hook.',
    'Send a signed delivery from the provider; a request without a signature is always refused.',
  ],
  other_provider: [
    'The delivery bears the marks of another provider.',
    'Give each provider its own route, and check which URL each of them was given.',
  ],
  other_scheme: [
    'The delivery uses a scheme of this provider that this route does not accept.',
    'Add the option for this scheme, or change the webhook in the dashboard of the provider.',
  ],
  signature_elsewhere: [
    'The signature is there, but in another place than this provider puts it.',
    'Undo the rule that renames it, or name the right header in the options.',
  ],

  // The secret
  secret_unknown: [
    'No secret and no change that was tried explains the signature.',
    'Copy the secret again from the dashboard of the provider (live or sandbox, this very endpoint); if it is right, the request is forged or altered.',
  ],
  secret_expired: [
    'The signature fits a configured secret whose notAfter has passed.',
    'Make the provider sign with the new secret, or move notAfter.',
  ],
  secret_other_option: [
    'The signature fits the secret of another option of this provider.',
    'Swap the secrets: each option takes the secret that its name says.',
  ],
  secret_other_provider: [
    'The signature fits the secret of another provider of this route.',
    'Give each provider its own secret, and check that they were not swapped.',
  ],
  secret_other: [
    'The signature fits one of the other secrets that were given to the diagnosis.',
    'If it is an old or new live secret of this account, configure it here. Otherwise point the account that uses it at another URL. Never configure the secret of a sandbox: its payments cost nothing.',
  ],
  secret_whitespace: [
    'One side has a space, a line break or an invisible character in the secret.',
    'Copy the secret again, without anything before, behind or in it, on both sides.',
  ],
  secret_quoted: [
    'One side has quotation marks around the secret.',
    'Remove the quotation marks from the secret.',
  ],
  secret_prefix: [
    'The prefix of the secret is missing, doubled, or belongs to something else.',
    'Configure the secret exactly as the provider shows it, with its own prefix once.',
  ],
  secret_decoded: [
    'One side decodes the secret from hex or base64, the other takes it as text.',
    'Use the secret as text, exactly as the provider shows it.',
  ],
  secret_case: [
    'The secret was changed to upper or lower case.',
    'Copy the secret again and leave its case alone.',
  ],
  secret_escaped: [
    'The secret holds an escape sequence in place of the character itself.',
    'Write the secret without escapes; check how the environment file is read.',
  ],
  secret_list: [
    'Several secrets stand in one text; the signature fits one of them.',
    'Give a list of secrets instead of one text.',
  ],
  secret_copied: [
    'The secret was copied with a character too many or too few, or twice.',
    'Copy the whole secret again, once.',
  ],
  event_salt_missing: [
    "HitPay signs event webhooks with the registered endpoint's own salt; none is configured.",
    'Set the option eventSalt to the salt that HitPay shows for this endpoint.',
  ],

  // The body
  body_reserialized: [
    'The JSON was parsed and written anew between the signing and here.',
    'Pass the raw bytes on: set req.rawBody from the bytes, never from JSON.stringify; stop the proxy from rewriting.',
  ],
  line_endings: [
    'The line endings were changed between the signing and here.',
    'Pass the body on as bytes, not as text.',
  ],
  trailing_newline: [
    'White space at the end of the body was added or removed.',
    'Pass the body on as it is: no trim, no added line break.',
  ],
  bom: [
    'A byte order mark at the beginning of the body was added or removed.',
    'Pass the body on as bytes, not as text.',
  ],
  charset: [
    'The body was changed from one character encoding to another.',
    'Pass the body on as bytes; where it must be text, use UTF-8 on both sides.',
  ],
  body_base64: [
    'The body arrived as base64 text.',
    'Decode it before payproof: serverless gateways say so with isBase64Encoded.',
  ],
  value_changed: [
    'A value was rewritten after the signing: escaped, formatted, or its case changed.',
    'Keep sanitizers and converters away from the route of the webhook.',
  ],
  form_as_json: [
    'The form arrived as JSON: something on the way converted it.',
    'Pass the form on as bytes, with its content type: turn off the mapping of the gateway.',
  ],
  form_plus: [
    'Plus signs and spaces of the form were confused.',
    'Pass the form on as bytes; a plus sign stands for a space, %2B for a plus sign.',
  ],
  form_decoding: [
    'The values of the form were decoded once too often or once too little.',
    'Pass the form on as bytes, undecoded.',
  ],
  hmac_left_in: ['The field hmac was left in the signed text.', 'Sign every field except hmac.'],
  empty_fields_dropped: [
    'Empty fields were dropped; HitPay signs and sends them.',
    'Keep empty fields, on the way and in the signed text.',
  ],
  field_missing: [
    'A field that was signed did not arrive.',
    'Find what removes the field: a filter, a firewall or a parser in front of the route.',
  ],
  field_not_signed: [
    'The body has a field that is not in the signed text.',
    'Sign every field, or remove what adds fields on the way.',
  ],
  values_without_keys: [
    'Only the values were signed; HitPay signs each name followed by its value.',
    'Sign name and value of every field.',
  ],
  keys_unsorted: [
    'The fields were signed in another order than by name.',
    'Sort the fields by name (bytes, ascending) before signing.',
  ],
  fields_separated: [
    'The fields were joined otherwise; HitPay puts nothing between them.',
    'Join names and values without any separator.',
  ],
  query_mixed_in: [
    'Query parameters of the URL were signed together with the fields of the body.',
    'Sign the fields of the body only.',
  ],
  field_ambiguous: [
    'The signature or token is right, but the fields can be read in two ways, so none can be trusted.',
    'If the provider added a field, declare it in extraFields; otherwise treat it as an attack.',
  ],
  field_repeated: [
    'A field occurs more than once.',
    'Find what repeats it; the provider sends each field once.',
  ],

  // The signature
  hash_algorithm: [
    'The signature was made with another algorithm than HMAC-SHA256.',
    'Sign with HMAC-SHA256: the secret is the key, the body the message.',
  ],
  signature_encoding: [
    'The signature is written in another way than 64 hex digits.',
    'Write the signature as 64 hex digits, without prefix.',
  ],
  signature_truncated: ['The signature is cut off.', 'Send all 64 hex digits.'],
  header_repeated: [
    'The header of the signature occurs more than once.',
    'Find the proxy that adds it a second time.',
  ],

  // Hatexcard
  timestamp_not_signed: [
    'A timestamp was sent, but only the body was signed.',
    'Sign the timestamp, a full stop and the body.',
  ],
  timestamp_milliseconds: [
    'The timestamp is in milliseconds; it must be in whole seconds.',
    'Use Unix seconds in the header and in the signed text.',
  ],
  timestamp_format: [
    'The timestamp is not in Unix seconds.',
    'Send the timestamp as ten digits: Unix seconds.',
  ],
  timestamp_not_received: [
    'The timestamp was signed, but its header did not arrive.',
    'Let the header x-hatex-timestamp through every proxy.',
  ],
  timestamp_changed: [
    'The timestamp of the header is not the one that was signed.',
    'Find what rewrites x-hatex-timestamp; if nothing of yours does, somebody replays an old delivery.',
  ],
  timestamp_separator: [
    'Timestamp and body were joined otherwise than by a full stop.',
    'Sign the timestamp, a full stop and the body.',
  ],
  clock_skew: [
    'The timestamp is too far from the time of this server: a clock is wrong, or the delivery is old.',
    'Set the clock of this server by NTP; an old delivery that is sent again (a replay) is rightly refused.',
  ],

  // DExchange
  token_missing: [
    'The token did not arrive.',
    'Give DExchange the URL that callbackUrl makes, and let the header of the token through every proxy.',
  ],
  query_missing: [
    'The URL arrived without its query, which holds the token.',
    'Let the query through every proxy and rewrite rule.',
  ],
  token_damaged: [
    'The token of the URL was damaged on the way.',
    'Give DExchange the URL exactly as callbackUrl makes it: not HTML-escaped, not cut, case kept.',
  ],
  token_repeated: [
    'The URL holds more than one token.',
    'Give callbackUrl the plain URL of the route, once for each order.',
  ],
  token_other_order: [
    'The token belongs to another order of this shop.',
    'Make a URL for each order; if you do, somebody tries the URL of one order on another.',
  ],
  order_id_changed: [
    'The token was made for the same order id in another spelling.',
    'Give callbackUrl exactly the externalTransactionId that DExchange is given.',
  ],
  order_id_missing: [
    'The body names no order, so no token can fit.',
    'Check who posts: DExchange always sends externalTransactionId as text.',
  ],
  bearer_format: [
    'The token is right, but the header is not written as Bearer and the token.',
    'Send Authorization: Bearer, a space, and the token.',
  ],
  transaction_id: [
    'The id of the transaction is not one of DExchange.',
    'Check who posts: the ids of DExchange begin with MID or TID.',
  ],

  // After the signature
  confirmation_mismatch: [
    'The API of the provider does not confirm what the delivery says.',
    'Look the payment up in the dashboard; do not ship.',
  ],
  confirmation_unavailable: [
    'The API of the provider could not be asked.',
    'Check the API key and the network; the provider may deliver again.',
  ],
  store_unavailable: [
    'The store of processed events failed or gave no answer.',
    'Look at error.cause, which says why. Often migrate() or connect() of the store in the option dedupe was not called.',
  ],
  delivery_in_progress: [
    'The same event is being processed at this moment.',
    'Nothing: it will be delivered again. If it stays so, a handler does not answer.',
  ],
  delivery_conflict: [
    'The same event was told before with another amount, currency or reference.',
    'Look the payment up in the dashboard before shipping.',
  ],
  payment_not_expected: [
    'The delivery is authentic, but is not the payment of exactly this order.',
    'Compare its type, reference, amount and currency with the order; do not ship.',
  ],
} as const satisfies Record<string, readonly [summary: string, fix: string]>;

/** What can be wrong with a delivery. Each has its heading in `docs/troubleshooting.md`. */
export type DiagnosisCause = keyof typeof CATALOGUE;

/**
 * How sure a finding is. `proven`: a signature or token fits exactly if this (and what else is
 * proven beside it) is assumed. `likely`: it shows plainly, but no signature proves it. `guess`: what
 * remains.
 */
export type Confidence = 'proven' | 'likely' | 'guess';

/** One explanation of a refusal. Holds no secret, no signature and nobody's data. */
export interface Finding {
  readonly cause: DiagnosisCause;
  /** What it means, in one sentence. */
  readonly summary: string;
  /** What was seen: constant sentences with key ids, names of known fields and headers, numbers. */
  readonly evidence: readonly string[];
  /** What to change, with the place in `docs/troubleshooting.md` that says more. */
  readonly fix: string;
  readonly confidence: Confidence;
}

/** A cause that is to be tried or named, with what was seen of it. */
export interface Suspicion {
  readonly cause: DiagnosisCause;
  /** Sentences without anything that a sender wrote. */
  readonly evidence?: readonly string[];
}

/** All causes, in the order of the documentation. */
export const DIAGNOSIS_CAUSES = Object.keys(CATALOGUE) as readonly DiagnosisCause[];

/** Makes a finding of a suspicion. */
export function finding({ cause, evidence = [] }: Suspicion, confidence: Confidence): Finding {
  const [summary, fix] = CATALOGUE[cause];
  return {
    cause,
    summary,
    evidence,
    fix: `${fix} See docs/troubleshooting.md#${cause}`,
    confidence,
  };
}
