/**
 * What follows from parts of a node's state is worked out again only when one of them was replaced, or when an instant is
 * reached that it depends on: parts are replaced whole, so the same part says the same. Most steps of a quiet ring replace
 * nothing that a coordinator decides by.
 *
 * Kept beside the state and not in it: a copy, or a state that was read back, begins without and comes to the same.
 */
import { type Instant, instant } from "../../protocol/units.ts"
import type { NodeState } from "./state.ts"

export interface Derived<T> {
  readonly value: T
  /** It may be another from then on, though no part was replaced; undefined: never. */
  readonly until: Instant | undefined
}

/** `parts` names all of the state that `derive` reads; a test holds it to that. */
export interface Derivation<T> {
  readonly parts: readonly (keyof NodeState)[]
  readonly derive: (node: NodeState, now: Instant) => Derived<T>
}

interface Known<T> {
  readonly parts: readonly unknown[]
  readonly from: Instant
  readonly until: Instant
  readonly value: T
}

const forever = instant(Number.POSITIVE_INFINITY)

/** `derive`, of which each node's latest outcome is kept. */
export function keeping<T>({ parts, derive }: Derivation<T>): (node: NodeState, now: Instant) => T {
  const latest = new WeakMap<NodeState, Known<T>>()
  return (node, now) => {
    const known = latest.get(node)
    if (known !== undefined && now >= known.from && now < known.until && isSame(node, parts, known.parts))
      return known.value
    const { value, until = forever } = derive(node, now)
    latest.set(node, { parts: parts.map((part) => node[part]), from: now, until, value })
    return value
  }
}

function isSame(node: NodeState, parts: readonly (keyof NodeState)[], known: readonly unknown[]): boolean {
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]
    if (part === undefined || node[part] !== known[index]) return false
  }
  return true
}
