/**
 * Broken invariants. `assert` throws when *we* are wrong; bad input and a failing world are values
 * (`result.ts`), never exceptions. Assertions stay on in production: a stopped node is safe.
 */

/** Thrown by `assert` and `never`. Nothing catches it: the process ends and the leases do their work. */
export class BrokenInvariant extends Error {
  override readonly name = "BrokenInvariant"
}

/** Throws `BrokenInvariant` unless `condition` holds. `truth` states what should have been true. */
export function assert(condition: boolean, truth: string): asserts condition {
  if (!condition) throw new BrokenInvariant(truth)
}

/** Closes a `switch` over a union: a new case fails to compile wherever it is missed. */
export function never(value: never): never {
  throw new BrokenInvariant(`unexpected case: ${JSON.stringify(value)}`)
}
