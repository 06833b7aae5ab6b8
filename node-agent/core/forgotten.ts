/**
 * Nodes that lost their record (SPEC V12): such a node has no vote. Views that spoke may share that node alone with the present
 * one, and what they decided, under which numbers, it cannot say. It has learnt that when it is in a view that speaks without
 * its vote, or in one of the whole site, and then counts again; until then its record says so, restarts included.
 */
import type { NodeId } from "../../protocol/units.ts"
import type { Joint } from "./configuration-state.ts"
import { hasVoice } from "./rights.ts"
import type { NodeState } from "./state.ts"
import { log, persist, type Turn } from "./turn.ts"

/** The members whose votes count. */
export function votersAmong(
  { config, self }: NodeState,
  members: readonly NodeId[],
  joint: Joint | undefined,
  hasForgotten: (member: NodeId) => boolean,
): readonly NodeId[] {
  if (!members.some(hasForgotten)) return members
  const own = config.nodes.filter(({ site }) => site === self.site).map(({ id }) => id)
  const all = [...own, ...(joint?.layout.voters.map(({ node }) => node) ?? [])]
  return all.every((id) => members.includes(id)) ? members : members.filter((id) => !hasForgotten(id))
}

/** This node has learnt what it forgot: its view speaks, and all that it may have promised is over (SPEC M9). */
export function remember(turn: Turn): void {
  const { node, now } = turn
  if (node.durable.state.forgot !== true || node.amnesiaUntil !== undefined || !hasVoice(node, now)) return
  persist(turn, { forgot: false })
  log(turn, "info", "record-complete", { ring: node.view?.ring.sequence ?? 0 })
}
