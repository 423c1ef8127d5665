const DAY = /^\d{4}-\d\d-\d\d$/;

/** The day that was read last, and its first instant: what comes in one hour tells of one day or two. */
let lastDay = '';
let midnight = Number.NaN;

/**
 * The instant that a text names, or null if it names none. ISO 8601 in UTC as JavaScript writes it
 * (`2026-11-29T22:41:12.023Z`) is read here, since `Date` takes twice as long; it reads all else.
 */
export function instantOf(text: string): Date | null {
  const usual = readIso(text);
  const time = Number.isNaN(usual) ? Date.parse(text) : usual;
  return Number.isNaN(time) ? null : new Date(time);
}

/** NaN for what is written in another way, or is no time of a day. */
function readIso(text: string): number {
  const isIso =
    text.length === 24 &&
    text[10] === 'T' &&
    text[13] === ':' &&
    text[16] === ':' &&
    text[19] === '.' &&
    text[23] === 'Z';
  if (!isIso) return Number.NaN;
  const hours = digits(text, 11, 13);
  const minutes = digits(text, 14, 16);
  const seconds = digits(text, 17, 19);
  // 24:00 is a time as well: it is left to `Date`.
  if (!(hours < 24 && minutes < 60 && seconds < 60)) return Number.NaN;
  const time = ((hours * 60 + minutes) * 60 + seconds) * 1000 + digits(text, 20, 23);
  return midnightOf(text.slice(0, 10)) + time;
}

function midnightOf(day: string): number {
  if (day !== lastDay) {
    midnight = DAY.test(day) ? Date.parse(`${day}T00:00:00.000Z`) : Number.NaN;
    lastDay = day;
  }
  return midnight;
}

/** NaN if there is anything else. */
function digits(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}
