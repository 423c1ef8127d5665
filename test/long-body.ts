/** The same JSON object with the lines of an order before its own fields: long, without long strings. */
export function withLines(json: string, lines = 100): string {
  const line = '{"name":"Kafe Rebo","list":[1,{}]},';
  return json.replace('{', `{"lines":[${line.repeat(lines)}{}],`);
}

/** The same with a long text behind its own fields: so long that only its beginning is looked at. */
export function withText(json: string): string {
  return json.replace(/\}\s*$/, `,"long":"${'x'.repeat(9_000)}"}`);
}
