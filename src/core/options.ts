/** Refuses an option name that does not exist: a misspelt option must not silently become a default. */
export function knownOptions(where: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${where}: options must be an object`);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new TypeError(`${where}: unknown option "${name}"`);
  }
}

/** A number within bounds, or a `TypeError` / `RangeError` that names the option. */
export function boundedNumber(option: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw new TypeError(`${option}: must be a number`);
  // Written so that NaN fails it.
  if (!(value >= min && value <= max)) {
    throw new RangeError(`${option}: must be between ${min} and ${max}`);
  }
  return value;
}

/** A date that is one, or a `TypeError` that names the option. */
export function validDate(option: string, value: unknown): Date {
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) {
    throw new TypeError(`${option}: must be a valid Date`);
  }
  return value;
}

/** An HTTP header's name in lower case, or a `TypeError` that names the option. */
export function headerName(option: string, value: unknown): string {
  if (typeof value !== 'string' || !/^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(value)) {
    throw new TypeError(`${option}: must be the name of an HTTP header`);
  }
  return value.toLowerCase();
}
