/** A faulty version of payproof. */
export interface Wrong {
  /** What the faulty version does. */
  readonly name: string;
  /** `find` stands in the file exactly once. */
  readonly edits: readonly (readonly [file: string, find: string, replace: string])[];
  /** The file whose tests must fail. */
  readonly tests: string;
}

export const WRONG: readonly Wrong[];
