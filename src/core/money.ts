/** An amount of money, exact. */
export interface Money {
  /** ISO 4217 code in upper case. */
  currency: string;
  /** The amount in major units: the decimal text as sent, without grouping. */
  value: string;
  /** The amount in the currency's ISO 4217 minor unit, or null where the currency is not in ISO 4217. */
  minorUnits: number | null;
}

/**
 * Minor units of the active codes of ISO 4217 (list one), by number of decimals. `Intl` does not
 * serve here: its digits are those of display (CLDR), which differ for some currencies.
 */
const CODES: readonly [decimals: number, codes: string][] = [
  [0, 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'],
  [
    2,
    `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD
     CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL
     GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR
     LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD
     PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC
     SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR
     ZMW ZWG`,
  ],
  [3, 'BHD IQD JOD KWD LYD OMR TND'],
  [4, 'CLF UYW'],
];

/** A currency with one zero for each of its decimals. */
interface Currency {
  readonly code: string;
  readonly zeros: string;
}

/** By code, as providers write it: in capitals or in small letters. */
const CURRENCIES: ReadonlyMap<string, Currency> = new Map(
  CODES.flatMap(([decimals, codes]) =>
    codes.split(/\s+/).flatMap((code): [string, Currency][] => {
      const currency = { code, zeros: '0'.repeat(decimals) };
      return [
        [code, currency],
        [code.toLowerCase(), currency],
      ];
    }),
  ),
);

const PLAIN = /^(?:0|[1-9]\d*)(?:\.\d+)?$/;
const GROUPED = /^[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?$/;
/** A binary double carries any decimal of 15 significant digits unharmed, and not every one of 16. */
const MAX_SIGNIFICANT_DIGITS = 15;

/**
 * Reads an amount in major units. Works on decimal text only, never by floating point arithmetic.
 *
 * @param amount decimal text, grouped by commas or not, or a JSON number
 * @param currency an ISO 4217 code in either case
 * @returns null for what is no money: a sign, an exponent, more than 15 significant digits, more
 *   decimals than the currency has (unless they are zeros), anything that is not a decimal number
 */
export function money(amount: unknown, currency: unknown): Money | null {
  const value = decimal(amount);
  if (value === null || typeof currency !== 'string') return null;
  const known = CURRENCIES.get(currency);
  if (known !== undefined) {
    const minorUnits = Number(inMinorUnits(value, known.zeros));
    return Number.isSafeInteger(minorUnits) ? { currency: known.code, value, minorUnits } : null;
  }
  if (!/^[a-z]{3}$/i.test(currency)) return null;
  const code = currency.toUpperCase();
  return code === currency ? { currency, value, minorUnits: null } : money(amount, code);
}

/** The digits with the decimal point moved, or `NaN` if it would leave a part of a minor unit. */
function inMinorUnits(value: string, zeros: string): string {
  const point = value.indexOf('.');
  if (point < 0) return value + zeros;
  const fraction = value.slice(point + 1);
  if (/[1-9]/.test(fraction.slice(zeros.length))) return 'NaN';
  return value.slice(0, point) + (fraction + zeros).slice(0, zeros.length);
}

/**
 * The decimal text of an amount without grouping, or null if it is no amount.
 */
export function decimal(amount: unknown): string | null {
  if (typeof amount !== 'string' && typeof amount !== 'number') return null;
  // Most are whole numbers, of which there is no text to look at.
  if (Number.isSafeInteger(amount) && (amount as number) > 0 && (amount as number) < 1e15) {
    return String(amount);
  }
  const text = String(amount);
  if (text.length > 40) return null;
  const value = text.includes(',') && GROUPED.test(text) ? text.replaceAll(',', '') : text;
  if (!PLAIN.test(value) || Object.is(amount, -0)) return null;
  if (value.length <= MAX_SIGNIFICANT_DIGITS) return value;
  const significant = value.replace('.', '').replace(/^0+/, '');
  return significant.length <= MAX_SIGNIFICANT_DIGITS ? value : null;
}

/** Compares two decimal texts as numbers, exactly. */
export function compareDecimals(a: string, b: string): -1 | 0 | 1 {
  if (a === b) return 0;
  const places = Math.max(a.split('.')[1]?.length ?? 0, b.split('.')[1]?.length ?? 0);
  const scaled = (text: string): bigint => {
    const [whole = '', fraction = ''] = text.split('.');
    return BigInt(whole + fraction.padEnd(places, '0'));
  };
  const left = scaled(a);
  const right = scaled(b);
  return left < right ? -1 : left > right ? 1 : 0;
}
