// @ts-check
// The judgement of every delivery, and the table that shows it.

/** @typedef {import('./deliveries.mjs').Delivery} Delivery */
/**
 * @typedef {Record<string, unknown>} Actual
 *   `status` of the answer, `leaked` if the answer names the code, and what the merchant's side told.
 */
/** @typedef {{ delivery: Delivery, actual: Actual }} Row */

/**
 * Whether what happened is what should have happened, in every respect that the delivery states.
 *
 * @param {Row} row
 */
export function isRight({ delivery: { expected }, actual }) {
  return (
    Object.entries(expected).every(([name, value]) => actual[name] === value) &&
    actual.leaked !== true &&
    // A refusal must not have reached the handler, and an acceptance must not have been refused.
    ('code' in expected ? actual.outcome === 'refused' : actual.code === undefined)
  );
}

/** @param {readonly Row[]} rows */
export function summary(rows) {
  const wrong = rows.filter((row) => !isRight(row)).length;
  const right = rows.length - wrong;
  return wrong === 0 && rows.length > 0
    ? `${rows.length} deliveries, ${right} as they should be`
    : `${rows.length} deliveries, ${right} as they should be, ${wrong} NOT`;
}

/** @typedef {(text: string) => string} Paint */

/** @param {boolean} colours */
export function painter(colours) {
  /** @type {(code: number) => Paint} */
  const paint = (code) => (text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
  return { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32), yellow: paint(33) };
}

const WIDTHS = { scheme: 17, sent: 41, status: 5, type: 18, reference: 8, amount: 11 };
/** @type {(widths: Record<string, number>, cells: Record<string, unknown>) => string} */
const cells = (widths, values) =>
  Object.entries(widths)
    .map(([name, width]) => String(values[name] ?? '-').padEnd(width))
    .join('');

/**
 * The rows of one provider on one framework.
 *
 * @param {string} title
 * @param {readonly Row[]} rows
 * @param {ReturnType<typeof painter>} paint
 */
export function table(title, rows, paint) {
  let scheme = '';
  const lines = rows.map((row) => {
    const { delivery, actual } = row;
    const name = delivery.scheme === scheme ? '' : delivery.scheme;
    scheme = delivery.scheme;
    const sent = name.padEnd(WIDTHS.scheme) + delivery.sent.padEnd(WIDTHS.sent);
    if (isRight(row)) return `${paint.green('✓')} ${sent}${told(actual, paint)}`;
    return [
      `${paint.red('✗')} ${sent}${told(actual, paint)}`,
      paint.red(`  should be ${JSON.stringify(delivery.expected)}`),
      paint.red(`        was ${JSON.stringify(actual)}`),
    ].join('\n');
  });
  const head = `  ${cells({ scheme: WIDTHS.scheme, sent: WIDTHS.sent, status: WIDTHS.status }, HEAD)}${HEAD.told}`;
  return [paint.bold(title), paint.dim(head), ...lines, ''].join('\n');
}

const HEAD = {
  scheme: 'scheme',
  sent: 'what was sent',
  status: 'HTTP',
  told: 'event, or why it was refused',
};

/** @type {(actual: Actual, paint: ReturnType<typeof painter>) => string} */
function told(actual, paint) {
  const { status, code, type, reference, amount, outcome } = actual;
  const answer = String(status).padEnd(WIDTHS.status);
  if (typeof code === 'string') return answer + paint.yellow(code);
  if (outcome === 'not run again')
    return answer + paint.dim('answered; the handler did not run again');
  if (outcome === undefined) return answer + paint.red('(the merchant was told nothing)');
  // Of `review: not the price` the first word; what was sent says the rest.
  const word = String(outcome).split(':', 1)[0] ?? '';
  const event = cells(
    { type: WIDTHS.type, reference: WIDTHS.reference, amount: WIDTHS.amount },
    { type, reference, amount },
  );
  return answer + event + (word === 'paid' ? paint.green(word) : paint.yellow(word));
}
