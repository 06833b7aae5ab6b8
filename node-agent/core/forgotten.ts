/**
 * Nodes that lost their record (SPEC V12): such a node has no vote, but in a view of its whole site. Views that spoke may share that
 * node alone with the present one, and what they decided, under which numbers, it cannot say. It counts again once it is in a view
 * that speaks after its amnesia (M9); until then its record says so, restarts included.
 */
import type { NodeId } from "../../protocol/units.ts"
import type { Joint } from "./configuration-state.ts"
import { enterGather } from "./membership.ts"
import { hasVoice } from "./rights.ts"
import type { NodeState } from "./state.ts"
import { storeLearnt } from "./stored.ts"
import { persist, type Turn } from "./turn.ts"

/** The members whose votes count. */
export function votersAmong(
  { config, self }: NodeState,
  members: readonly NodeId[],
  joint: Pick<Joint, "layout"> | undefined,
  forgetful: readonly NodeId[],
): readonly NodeId[] {
  if (forgetful.length === 0) return members
  const own = config.nodes.filter(({ site }) => site === self.site).map(({ id }) => id)
  const all = [...own, ...(joint?.layout.voters.map(({ node }) => node) ?? [])]
  return all.every((id) => members.includes(id)) ? members : members.filter((id) => !forgetful.includes(id))
}

/**
 * This node has learnt what it forgot: its view speaks, and all that it may have promised is over (SPEC M9). The members count
 * its vote in a view that is made anew for it.
 */
export function remember(turn: Turn): void {
  const { node, now } = turn
  if (node.durable.state.forgot !== true || node.amnesiaUntil !== undefined || !hasVoice(node, now)) return
  if (node.view?.joint !== undefined) return
  storeLearnt(turn)
  persist(turn, { forgot: false })
  enterGather(turn, "record-complete", undefined)
}
