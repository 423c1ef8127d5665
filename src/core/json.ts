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
   * exponent or more than 15 significant digits. It looks through the whole body.
   */
  readonly exact: JsonObject;
  /**
   * What stands under a name, as `exact` has it. Read money from here: in a long body it looks for this
   * number alone. (Of several numbers of one value and one name it may find another one, which is written
   * exactly.)
   *
   * @param within the name of the object that it is a field of. Default: the object at the top
   */
  exactAt(name: string, within?: string): unknown;
}

/** Deeper than any provider's body by far. */
const MAX_DEPTH = 32;

/**
 * Decodes a body strictly: UTF-8 without faults, a JSON object at the top, at most 32 levels deep.
 * Call it only after the bytes were authenticated.
 *
 * @throws WebhookError `body_malformed`
 */
export function decodeJson(body: Uint8Array): JsonDocument {
  return new DecodedJson(decodeUtf8(body));
}

class DecodedJson implements JsonDocument {
  readonly value: JsonObject;
  readonly #text: string;
  #exact: JsonObject | undefined;

  constructor(text: string) {
    this.value = parsed(text);
    this.#text = text;
  }

  get exact(): JsonObject {
    this.#exact ??= INEXACT.test(this.#text) ? withoutInexact(this.#text) : this.value;
    return this.#exact;
  }

  exactAt(name: string, within?: string): unknown {
    if (this.#text.length > LONG) {
      const found = fieldOf(this.value, name, within);
      if (typeof found !== 'number' || shows(this.#text, name, found)) return found;
    }
    return fieldOf(this.exact, name, within);
  }
}

/**
 * The object alone, for those who do not read money.
 *
 * @throws WebhookError `body_malformed`
 */
export function decodeObject(body: Uint8Array): JsonObject {
  return parsed(decodeUtf8(body));
}

function parsed(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the body, so it must not become the cause.
    throw new WebhookError('body_malformed');
  }
  if (!isObject(value) || !withinDepth(value)) throw new WebhookError('body_malformed');
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
export function withinDepth(value: unknown): boolean {
  return !isNested(value) || isWithin(value, MAX_DEPTH);
}

/** Every value of every body is looked at: no call for one that is nothing nested, no list of names. */
function isWithin(value: object, levels: number): boolean {
  if (levels === 0) return false;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) {
      const one: unknown = value[at];
      if (isNested(one) && !isWithin(one, levels - 1)) return false;
    }
    return true;
  }
  for (const key in value) {
    const one = (value as JsonObject)[key];
    if (isNested(one) && !isWithin(one, levels - 1)) return false;
  }
  return true;
}

function isNested(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function fieldOf(object: JsonObject, name: string, within?: string): unknown {
  const owner = within === undefined ? object : object[within];
  return isObject(owner) ? owner[name] : undefined;
}

/** Characters from which on it takes longer to look through a text than to look for a number in it. */
const LONG = 1024;

/** Whether the first number under a name is this one, written as an exact decimal. */
function shows(text: string, name: string, number: number): boolean {
  const member = `"${name}":`;
  const at = text.indexOf(member);
  if (at < 0) return false;
  NUMBER_HERE.lastIndex = at + member.length;
  const token = NUMBER_HERE.exec(text)?.[1];
  return token !== undefined && decimal(token) !== null && Number(token) === number;
}

const NUMBER_HERE = /\s*([\d.]+)(?=[\s,}])/y;

// Numbers with an exponent, or with more than 15 digits, after what can stand before a number. Each begins
// with what cannot be passed over but in steps of several characters, and looks back only when that is
// found: this reads every short body, and as one pattern it takes half the time of two. (What has a sign
// is negative, and so is its value.)
const EXPONENT = '[:,[\\s\\d.-]\\d[eE][+\\-\\d](?<=[:,[\\s]-?\\d[\\d.]*[eE][+\\-\\d])';
const LONG_NUMBER = `${'[\\d.]'.repeat(16)}(?<=[:,[\\s]-?[\\d.]{16})`;
/** It may also hit inside a string, which only costs the second parse. */
const INEXACT = new RegExp(`${EXPONENT}|${LONG_NUMBER}`);
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
