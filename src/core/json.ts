import { WebhookError } from './errors.ts';
import { decimal } from './money.ts';
import { asBuffer, decodeUtf8 } from './utf8.ts';

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

/** Numbers that are read: members of these names at the top of a document. */
export interface NumbersRead {
  readonly names: readonly string[];
  /** The name of an object at the top in which they stand, if it is there. */
  readonly within?: string;
}

/**
 * Decodes a body strictly: UTF-8 without faults, a JSON object at the top, at most 32 levels deep.
 * Call it only after the bytes were authenticated.
 *
 * @throws WebhookError `body_malformed`
 */
export function decodeJson(body: Uint8Array): JsonDocument {
  const parsed = parseJson(body);
  return { value: parsed.value, exact: exactIn(parsed) };
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
 * What {@link JsonDocument} calls `exact`.
 *
 * @param read says that no other numbers are read: then it may say nothing of others
 */
export function exactIn({ text, value, nested }: ParsedJson, read?: NumbersRead): JsonObject {
  if (read && text.length >= LONG && beginsWithExact(text, value, read)) return value;
  const isDoubtful =
    text.length < nested * LONG_STRINGS ? INEXACT.test(text) : hasInexactBesideStrings(text);
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

/** A plain number or a word, up to the end of its member. */
const PLAIN_VALUE = /(?:\d{1,15}|\d{1,12}\.\d?[1-9]|true|false|null)(?=[,}])/y;
const NINE = '9'.charCodeAt(0);
/** More than any flat body has, and so few that a list is searched at once. */
const MOST_NAMES = 32;

/**
 * Finds most flat bodies that `JSON.stringify` wrote, in a fifth of the time that it takes to write them once more:
 * where it gives true, `JSON.stringify(JSON.parse(body))` is the body itself, if it is JSON.
 */
export function isAsStringified(body: Uint8Array): boolean {
  // Byte by byte, which is quickest: other characters than ASCII stand for themselves.
  const text = asBuffer(body).toString('latin1');
  if (text.includes('\\')) return false;
  const names: string[] = [];
  let at = 0;
  for (let before = '{'; text[at] === before; before = ',') at = afterPlainMember(text, at, names);
  return at > 0 && at === text.length - 1;
}

/**
 * The place after a member with no white space around its parts, and a value of a single spelling. There are no
 * escapes, so a string ends with the next quote.
 *
 * @param names of the members before it, to which its own is added
 * @returns 0 if it is none
 */
function afterPlainMember(text: string, at: number, names: string[]): number {
  const close = text.indexOf('"', at + 2);
  const name = text.slice(at + 2, close);
  // An index comes first in an object, and of two members with one name the last holds. Before a name, white space
  // puts itself or the quote in place of its first character.
  const mayDiffer = text.charCodeAt(at + 2) <= NINE || names.includes(name);
  if (mayDiffer || names.length === MOST_NAMES) return 0;
  names.push(name);
  // Behind a name, white space puts itself or the colon in place of the value's.
  if (text[close + 2] === '"') return text.indexOf('"', close + 3) + 1;
  PLAIN_VALUE.lastIndex = close + 2;
  return PLAIN_VALUE.test(text) ? PLAIN_VALUE.lastIndex : 0;
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

/** Any number, in a text of long strings: the search for the end of one is the engine's fastest. */
function hasInexactBesideStrings(text: string): boolean {
  let start = 0;
  for (let open = text.indexOf('"'); open >= 0; open = text.indexOf('"', start)) {
    if (INEXACT.test(text.slice(start, open))) return true;
    start = closingQuote(text, open) + 1;
  }
  return INEXACT.test(text.slice(start));
}

/** Characters from which on the search takes longer than a look at what stands at the beginning. */
const LONG = 8192;
/** Characters of that look. */
const BEGINNING = 1024;
const STRING = String.raw`"[^"\\]*(?:\\.[^"\\]*)*"`;
const FLAT_OBJECT = String.raw`\{[^"{}[\]]*(?:${STRING}[^"{}[\]]*)*\}`;
/** A member as compact JSON has it. Of a number only digits, and of an object that is not flat only the name. */
const MEMBER = new RegExp(
  String.raw`[{,]"([^"\\]*)":(?:(?:(\d[\d.]*)|true|false|null|${STRING}|${FLAT_OBJECT})(?=[,}])|(?=\{))`,
  'y',
);

/**
 * Whether the numbers that are read are found exact at the beginning of the text, where most senders have them.
 * (Of two members of one name, or two such objects, the last holds; where both have the same number, it is enough
 * that one is exact.)
 */
function beginsWithExact(text: string, value: JsonObject, { names, within }: NumbersRead): boolean {
  const beginning = text.slice(0, BEGINNING);
  const inner = within === undefined ? undefined : value[within];
  const fields = isObject(inner) ? inner : value;
  const missing = new Set(names.filter((name) => typeof fields[name] === 'number'));
  let isThere = fields === value;
  MEMBER.lastIndex = 0;
  while (missing.size > 0) {
    const member = MEMBER.exec(beginning);
    if (member === null) return false;
    const name = member[1] as string;
    const number = member[2];
    if (!isThere && name === within) {
      isThere = true;
      MEMBER.lastIndex = member.index + `,"${name}":`.length;
    } else if (beginning[MEMBER.lastIndex] === '{') {
      return false;
    } else if (isThere && number !== undefined && missing.has(name)) {
      if (decimal(number) === null || Number(number) !== fields[name]) return false;
      missing.delete(name);
    }
  }
  return true;
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
