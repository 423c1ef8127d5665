import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instantOf } from '../../src/core/time.ts';

/** What `Date` says of it. */
function byDate(text: string): string | null {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

const read = (text: string) => instantOf(text)?.toISOString() ?? null;

describe('instantOf', () => {
  it.each([
    ['2026-11-29T22:41:12.023Z', '2026-11-29T22:41:12.023Z'],
    ['2026-11-30T00:00:00.000Z', '2026-11-30T00:00:00.000Z'],
    ['1969-12-31T23:59:59.999Z', '1969-12-31T23:59:59.999Z'],
    ['0000-01-01T00:00:00.000Z', '0000-01-01T00:00:00.000Z'],
    ['2026-11-29T24:00:00.000Z', '2026-11-30T00:00:00.000Z'],
    ['2026-11-29T22:41:12Z', '2026-11-29T22:41:12.000Z'],
    ['2026-11-29T22:41:12.0234Z', '2026-11-29T22:41:12.023Z'],
    ['2026-11-29T22:41:12+08:00', '2026-11-29T14:41:12.000Z'],
    ['2026-11-29T22:41:12.023+0', null],
    ['2026-11-29T25:41:12.023Z', null],
    ['2026-11-29T22:60:12.023Z', null],
    ['2026-11-29T22:41:60.023Z', null],
    ['2026-13-29T22:41:12.023Z', null],
    ['2026-11-00T22:41:12.023Z', null],
    ['202x-11-29T22:41:12.023Z', null],
    ['2026-11-29T2x:41:12.023Z', null],
    ['2026-11-29T22:4x:12.023Z', null],
    ['2026-11-29T22:41:x2.023Z', null],
    ['2026-11-29T22:41:12.02xZ', null],
    ['2026-11-29T22:41:12.0/3Z', null],
    ['', null],
    ['yesterday', null],
  ])('of %s is %s', (text, instant) => {
    expect(read(text)).toBe(instant);
    expect(byDate(text)).toBe(instant);
  });

  it('gives a Date of its own each time', () => {
    const text = '2026-11-29T22:41:12.023Z';
    instantOf(text)?.setTime(0);
    expect(read(text)).toBe(text);
  });

  it('reads every time as Date does, and keeps no day for another', () => {
    fc.assert(
      fc.property(fc.date({ noInvalidDate: true }), fc.date({ noInvalidDate: true }), (a, b) => {
        for (const date of [a, b, a]) expect(read(date.toISOString())).toBe(date.toISOString());
      }),
    );
  });

  it('reads what is nearly such a time as Date does', () => {
    const text = '2026-02-28T23:59:59.999Z';
    const signs = [...'0123456789TZ:.-+ /x', '\u0660', '\ud83d'];
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(24), fc.constantFrom(...signs)), { maxLength: 3 }),
        (changes) => {
          const changed = changes.reduce(
            (before, [at, sign]) => before.slice(0, at) + sign + before.slice(at + 1),
            text,
          );
          expect([changed, read(changed)]).toEqual([changed, byDate(changed)]);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
