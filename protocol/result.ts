/** The outcome of reading something that a peer, an operator or a disk handed us: bad input is a value, never thrown. */
export type Result<T, E> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "error"; readonly error: E }

export function ok<T>(value: T): Result<T, never> {
  return { kind: "ok", value }
}

export function err<E>(error: E): Result<never, E> {
  return { kind: "error", error }
}
