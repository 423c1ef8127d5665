import { WebhookError } from './errors.ts';
import { decimal } from './money.ts';

/** A JSON object as parsed: every property is of unknown type. */
export type JsonObject = Record<string, unknown>;

/** A decoded JSON body. */
export interface JsonDocument {
  /** The object as `JSON.parse` gives it. */
  readonly value: JsonObject;
  /**
   * The same object, with null for every number that is no exact amount as written: one with a sign,
   * an exponent or more than 15 significant digits. Read money from here.
   */
  readonly exact: JsonObject;
}

/** Deeper than any provider's body by far. */
const MAX_DEPTH = 32;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes a body strictly: UTF-8 without faults, a JSON object at the top, at most 32 levels deep.
 * Call it only after the bytes were authenticated.
 *
 * @throws WebhookError `body_malformed`
 */
export function decodeJson(body: Uint8Array): JsonDocument {
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(body);
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the body, so it must not become the cause.
    throw new WebhookError('body_malformed');
  }
  if (!isObject(value) || !withinDepth(value)) throw new WebhookError('body_malformed');
  return { value, exact: INEXACT.test(text) ? withoutInexact(text) : value };
}

/** Whether a value is a JSON object: neither null nor an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text that says something: not empty, not only white space; otherwise null. */
export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}

/** Whether a value is nested at most so deeply, so that what recurses over it cannot run out of stack. */
export function withinDepth(value: unknown, depth: number = MAX_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0) return false;
  // JSON gives arrays and objects one property per element, so one loop serves both.
  for (const key in value) {
    if (!withinDepth((value as JsonObject)[key], depth - 1)) return false;
  }
  return true;
}

/**
 * Finds most bodies free of such numbers at the cost of one pass. It may also hit inside a string,
 * which only costs the second parse.
 */
const INEXACT = /[:[,\s](?:-\d|\d[\d.]*[eE]|\d[\d.]{15})/;
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

/** `text` is valid JSON here, so a token that begins with a digit or a minus is a number. */
function withoutInexact(text: string): JsonObject {
  return JSON.parse(
    text.replace(STRING_OR_NUMBER, (token) =>
      !token.startsWith('"') && decimal(token) === null ? 'null' : token,
    ),
  );
}
