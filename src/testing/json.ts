/** A number that is written as it is spelt: `1500.00` stays `1500.00`. */
export class Verbatim {
  readonly text: string;

  constructor(amount: string | number) {
    this.text = String(amount);
  }
}

/**
 * Writes JSON as the senders do: compact; with `php` as `json_encode` does, slashes and non-ASCII
 * characters escaped.
 */
export function writeJson(value: unknown, php = false): string {
  if (value instanceof Verbatim) return value.text;
  if (Array.isArray(value)) return `[${value.map((one) => writeJson(one, php)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .map(([name, one]) => `${writeJson(name, php)}:${writeJson(one, php)}`);
    return `{${members.join(',')}}`;
  }
  const text = JSON.stringify(value);
  return php && typeof value === 'string' ? phpEscapes(text) : text;
}

function phpEscapes(text: string): string {
  return text
    .replaceAll('/', '\\/')
    .replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
