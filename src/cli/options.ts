import { UsageError } from './terminal.ts';

/**
 * A whole number of an option.
 *
 * @throws UsageError if it is none, or out of bounds
 */
export function wholeNumber(option: string, text: string | undefined, min: number, max: number) {
  if (text === undefined) return undefined;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`--${option}: must be a whole number from ${min} to ${max}`);
  }
  return value;
}
