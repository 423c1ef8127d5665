import type { Finding } from '../core/diagnosis/causes.ts';
import type { Diagnosis } from '../core/diagnosis.ts';
import type { ProviderEvent } from '../core/event.ts';
import { type Paint, printable, table, wrapped } from './terminal.ts';

/** An authenticated event in a few lines. */
export function eventLines(event: ProviderEvent): string {
  const { amount, reference, paymentId, occurredAt, keyId, trust, id } = event;
  const rows: [string, string | null][] = [
    ['type', event.type],
    ['reference', reference],
    ['amount', amount && `${amount.currency} ${amount.value}`],
    ['payment', paymentId],
    ['occurred', occurredAt?.toISOString() ?? null],
    ['trust', `${trust}, by ${keyId}`],
    ['id', id],
  ];
  return table(rows.flatMap(([name, value]) => (value === null ? [] : [[name, printable(value)]])));
}

/** A diagnosis as a person wants to read it: what, how sure, what was seen, what to do. */
export function diagnosisLines(diagnosis: Diagnosis, paint: Paint, columns?: number): string {
  const { others, ...first } = diagnosis;
  const rest = others.filter(({ cause }) => cause !== 'secret_unknown');
  return [
    findingLines(first, paint, columns),
    ...(rest.length === 0 ? [] : [`\n  ${paint('dim', 'also possible')}\n`]),
    ...rest.map((one) => findingLines(one, paint, columns)),
  ].join('');
}

function findingLines(
  { cause, confidence, summary, evidence, fix }: Finding,
  paint: Paint,
  columns: number | undefined,
): string {
  const sure = confidence === 'proven' ? 'green' : 'yellow';
  return [
    `\n  ${paint('bold', cause)} (${paint(sure, confidence)})\n`,
    wrapped(summary, '  ', columns),
    ...evidence.map((one) => wrapped(one, '    ', columns)),
    wrapped(`What to do: ${fix}`, '  ', columns),
  ].join('');
}
