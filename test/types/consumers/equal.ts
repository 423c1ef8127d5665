/** Whether two types are the same; tells `any` from everything else. */
export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only where the type argument is `true`. */
export function is<_ extends true>(): void {}
