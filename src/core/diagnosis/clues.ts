import type { WebhookErrorCode } from '../errors.ts';
import type { Keyring } from '../secrets.ts';
import type { Confidence, Suspicion } from './causes.ts';

/** A part of a signed text. Text is taken as UTF-8. */
export type Part = string | Uint8Array;

/** A text that may have been signed, and what that would mean; null: it is the right one. */
export interface SignedText {
  readonly parts: readonly Part[];
  readonly suspicion: Suspicion | null;
  /** One of many and unlikely: tried when all else failed, and never together with another change. */
  readonly late?: boolean;
}

/** Secrets under the name of their option. */
export interface NamedKeys {
  readonly option: string;
  readonly keys: Keyring;
}

/** One signature or token of a delivery, and what its provider knows about it. */
export interface Clue extends NamedKeys {
  /** Where it stands, such as `the header hitpay-signature`. A constant. */
  readonly place: string;
  /** As it was sent; undefined if it is not there. */
  readonly proof: string | undefined;
  /** How it is written: an HMAC-SHA256 in hex or base64url, or the secret itself after `Bearer`. */
  readonly kind: 'hex' | 'base64url' | 'bearer';
  /** The provider's secrets for other purposes. */
  readonly spare: readonly NamedKeys[];
  /** What must be assumed for this clue to be looked at; null: nothing, it stands as it should. */
  readonly assumption: Suspicion | null;
  /** The texts that may have been signed: the right one first, then others, most likely first. */
  texts(): Iterable<SignedText>;
}

/** What a provider tells the diagnosis of a refused delivery. */
export interface Evidence {
  readonly clues: readonly Clue[];
  /** What shows without any trial, most likely first. */
  readonly plain: readonly (Suspicion & { readonly confidence: Exclude<Confidence, 'proven'> })[];
}

/** What a provider is told beside the delivery. */
export interface Scene {
  /** With which code the delivery was refused. */
  readonly code: WebhookErrorCode;
  /** The parameters of the URL as sent, decoded once; null if the URL has no query. */
  readonly query: readonly (readonly [name: string, value: string])[] | null;
  /** Ids of the merchant's own orders. */
  readonly orders: readonly string[];
}
