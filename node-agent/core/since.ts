/**
 * What has been so for a while: failures that age, a better node that is able again (SPEC S10, S19). Ordered state knows no
 * time: the coordinator counts from when it first saw it in its view, so a new view or coordinator begins anew: late, never early.
 */
import { after, type Instant, type Millis } from "../../protocol/units.ts"
import type { NodeState } from "./state.ts"
import { updateView } from "./view.ts"

/** Something that takes effect once it has been so for `wait`. */
export interface Lasting {
  readonly what: string
  readonly wait: Millis
}

/** The coordinator, at each chance: all that is so now. */
export function noteSince(node: NodeState, all: readonly Lasting[], now: Instant): void {
  const known = node.view?.since ?? new Map<string, Instant>()
  if (all.length === known.size && all.every(({ what }) => known.has(what))) return
  updateView(node, () => ({ since: new Map(all.map(({ what }) => [what, known.get(what) ?? now])) }))
}

/** When it takes effect, if it stays so; undefined: it was not seen yet. */
export function lastedAt(node: NodeState, { what, wait }: Lasting): Instant | undefined {
  const since = node.view?.since.get(what)
  return since === undefined ? undefined : after(since, wait)
}

export function hasLasted(node: NodeState, lasting: Lasting, now: Instant): boolean {
  const at = lastedAt(node, lasting)
  return at !== undefined && at <= now
}
