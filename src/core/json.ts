import { WebhookError } from './errors.ts';
import { decimal } from './money.ts';
import { decodeUtf8 } from './utf8.ts';

/** A JSON object as parsed: every property is of unknown type. */
export type JsonObject = Record<string, unknown>;

/** A decoded JSON body. */
export interface JsonDocument {
  /** The object as `JSON.parse` gives it. */
  readonly value: JsonObject;
  /**
   * The same object, with null for every number that was not written as an exact decimal: one with an
   * exponent or more than 15 significant digits. Read money from here.
   */
  readonly exact: JsonObject;
}

/** Deeper than any provider's body by far. */
const MAX_DEPTH = 32;

/** A decoded body whose numbers were not looked at yet. */
export interface ParsedJson {
  readonly text: string;
  readonly value: JsonObject;
  /** How many objects and lists it has. */
  readonly nested: number;
}

/**
 * Decodes a body strictly: UTF-8 without faults, a JSON object at the top, at most 32 levels deep.
 * Call it only after the bytes were authenticated.
 *
 * @throws WebhookError `body_malformed`
 */
export function decodeJson(body: Uint8Array): JsonDocument {
  const parsed = parseJson(body);
  return { value: parsed.value, exact: exactIn(parsed, hasInexact) };
}

/**
 * The same without the look at the numbers, for those who read no money or only some: {@link exactIn}.
 *
 * @throws WebhookError `body_malformed`
 */
export function parseJson(body: Uint8Array): ParsedJson {
  const text = decodeUtf8(body);
  const value = objectIn(text);
  const nested = countNested(value);
  if (nested === Infinity) throw new WebhookError('body_malformed');
  return { text, value, nested };
}

/**
 * What {@link JsonDocument} calls `exact`; of numbers that are not searched for it says nothing.
 *
 * @param search for the numbers that are read
 */
export function exactIn({ text, value, nested }: ParsedJson, search: InexactSearch): JsonObject {
  const isDoubtful =
    text.length < nested * LONG_STRINGS ? search(text) : hasInexactBesideStrings(text);
  return isDoubtful ? withoutInexact(text) : value;
}

function objectIn(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // It has no value then. The parser's own message quotes the body, so it must not become the cause.
  }
  if (!isObject(value)) throw new WebhookError('body_malformed');
  return value;
}

/** Whether a value is a JSON object: neither null nor an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text that says something: not empty, not only white space; otherwise null. */
export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}

/** Whether a value is nested at most 32 levels deep, so that what recurses over it cannot run out of stack. */
export function withinDepth(value: JsonObject): boolean {
  return countNested(value) < Infinity;
}

/** How many objects and lists there are, itself included; infinitely many if they are nested too deep. */
function countNested(value: object, levels: number = MAX_DEPTH): number {
  if (levels === 0) return Infinity;
  let count = 1;
  // Every value of every body is looked at: no call for one that is nothing nested, no list of names.
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) {
      const one: unknown = value[at];
      if (typeof one === 'object' && one !== null) count += countNested(one, levels - 1);
    }
    return count;
  }
  for (const key in value) {
    const one = (value as JsonObject)[key];
    if (typeof one === 'object' && one !== null) count += countNested(one, levels - 1);
  }
  return count;
}

// Numbers with an exponent, or with more than 15 digits, after what can stand before a number. Each begins
// with what cannot be passed over but in steps of several characters, and looks back only when that is
// found: this reads every body, and as one pattern it takes half the time of two. (What has a sign is
// negative, and so is its value.)
const EXPONENT = '[:,[\\s\\d.-]\\d[eE][+\\-\\d](?<=[:,[\\s]-?\\d[\\d.]*[eE][+\\-\\d])';
const LONG_NUMBER = `${'[\\d.]'.repeat(16)}(?<=[:,[\\s]-?[\\d.]{16})`;
const INEXACT = new RegExp(`${EXPONENT}|${LONG_NUMBER}`);
/** Characters for each object and list from which on most of a text is long strings. */
const LONG_STRINGS = 1024;
/** Characters from which on several quick searches take less time than one pattern. */
const LONG = 2048;

/**
 * Finds most texts free of inexact numbers: where it gives false there are none. It may also hit inside a
 * string, which only costs the second parse.
 */
export type InexactSearch = (text: string) => boolean;

/** Any number. */
export const hasInexact: InexactSearch = (text) => INEXACT.test(text);

/** Any number, in a text of long strings: the search for the end of one is the engine's fastest. */
function hasInexactBesideStrings(text: string): boolean {
  let start = 0;
  for (let open = text.indexOf('"'); open >= 0; open = text.indexOf('"', start)) {
    if (INEXACT.test(text.slice(start, open))) return true;
    start = closingQuote(text, open) + 1;
  }
  return INEXACT.test(text.slice(start));
}

/** A letter, a digit or an underscore as an escape: a name that has one is not found as it is. */
const ESCAPED_NAME = /\\u00[3-7]/;
const INEXACT_VALUE = '[\\s:]*-?(?:[\\d.]{16}|[\\d.]+[eE])';
const AFTER_NAME = new RegExp(INEXACT_VALUE, 'y');

/**
 * Numbers whose names end like this, wherever they stand.
 *
 * @param name letters, digits and underscores
 */
export function inexactNamed(name: string): InexactSearch {
  const named = new RegExp(`${name}"${INEXACT_VALUE}|${ESCAPED_NAME.source}`);
  return (text) => named.test(text);
}

/**
 * The same for names in capitals. These are rare, and in a long text what begins with a rare character is
 * found several times faster by itself.
 */
export function inexactInCapitals(...names: readonly string[]): InexactSearch {
  const ends = names.map((name) => `${name}"`);
  const isFoundAtOnce = inexactNamed(`(?:${names.join('|')})`);
  return (text) =>
    text.length < LONG
      ? isFoundAtOnce(text)
      : (text.includes('\\u00') && ESCAPED_NAME.test(text)) ||
        ends.some((end) => hasInexactAfter(end, text));
}

function hasInexactAfter(end: string, text: string): boolean {
  for (let at = text.indexOf(end); at >= 0; at = text.indexOf(end, at + 1)) {
    AFTER_NAME.lastIndex = at + end.length;
    if (AFTER_NAME.test(text)) return true;
  }
  return false;
}

const NUMBER = /-?\d[\d.eE+-]*/g;

/** `text` is valid JSON here, so a token outside of strings that begins with a digit or a minus is a number. */
function withoutInexact(text: string): JsonObject {
  const exact = replaceOutsideStrings(text, NUMBER, (number) =>
    decimal(number.replace('-', '')) === null ? 'null' : number,
  );
  return JSON.parse(exact);
}

/**
 * Replaces what matches between the strings of a valid JSON text. By hand, since a pattern for strings
 * runs out of stack where one has millions of escapes.
 */
export function replaceOutsideStrings(
  json: string,
  pattern: RegExp,
  replace: (token: string) => string,
): string {
  let result = '';
  let start = 0;
  for (let open = json.indexOf('"'); open >= 0; open = json.indexOf('"', start)) {
    const end = closingQuote(json, open) + 1;
    result += json.slice(start, open).replace(pattern, replace) + json.slice(open, end);
    start = end;
  }
  return result + json.slice(start).replace(pattern, replace);
}

/** The first quote after an even number of backslashes. */
function closingQuote(json: string, open: number): number {
  let close = open;
  let backslashes: number;
  do {
    close = json.indexOf('"', close + 1);
    backslashes = 0;
    while (json[close - 1 - backslashes] === '\\') backslashes++;
  } while (backslashes % 2 === 1);
  return close;
}
