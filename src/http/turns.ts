/** How many may go in one turn of the event loop. An answer takes some tenths of a millisecond. */
export const PER_TURN = 8;

const waiting: (() => void)[] = [];

/** Lets work that came all at once be done a little at a time: whatever else is there comes in between. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) setImmediate(next);
  });
}

function next(): void {
  for (const resolve of waiting.splice(0, PER_TURN)) resolve();
  if (waiting.length > 0) setImmediate(next);
}
