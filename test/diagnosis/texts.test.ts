import { describe, expect, it } from 'vitest';
import { alteredBodies, bodyTexts } from '../../src/core/diagnosis/texts.ts';

describe('other bodies that may have been signed', () => {
  const how = (text: string) =>
    [...alteredBodies(Buffer.from(text))].flatMap(({ suspicion }) => suspicion.evidence ?? []);

  it('hold the keys sorted only where they were not', () => {
    expect(how('{"b":1,"a":2}').filter((one) => one.includes('keys sorted'))).not.toEqual([]);
    expect(how('{"a":1,"b":2}').filter((one) => one.includes('keys sorted'))).toEqual([]);
  });

  it.each([
    '{"b":1,"a":2}',
    '{"a":1}',
    '[1]',
    '"text"',
    'no JSON',
    '',
  ])('hold none twice, and not the body itself: %s', (text) => {
    const bodies = [...alteredBodies(Buffer.from(text))].map(({ content }) => content);
    const texts = bodies.filter((content) => typeof content === 'string');
    expect(new Set(texts).size).toBe(texts.length);
    expect(texts).not.toContain(text);
  });

  it('have accents composed or not, but not where marks are many', () => {
    const accents = (text: string) => how(text).filter((one) => one.startsWith('Accents'));
    expect(accents('é')).toEqual(['Accents were composed.']);
    expect(accents(`e\u0301${'\u0301'.repeat(29)}`)).toEqual(['Accents were decomposed.']);
    expect(accents(`e\u0301${'\u0301'.repeat(30)}`)).toEqual([]);
    expect(accents(`é${'x'.repeat(16_383)}`)).toEqual(['Accents were composed.']);
    expect(accents(`é${'x'.repeat(16_384)}`)).toEqual([]);
  });

  it('stand behind what the scheme puts before the body', () => {
    const body = Buffer.from('{"a":1}');
    const [first, second] = bodyTexts(body, '1700000000.');
    expect(first).toEqual({ parts: ['1700000000.', body], suspicion: null });
    expect(second?.parts[0]).toBe('1700000000.');
    expect(second?.suspicion).not.toBeNull();
  });
});
