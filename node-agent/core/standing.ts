/** May a view speak for its site: by the configuration, and by a proposal that a member of it has stored (SPEC LC4). */
import type { NodeId } from "../../protocol/units.ts"
import { standingIn, type ViewStanding, viewStanding } from "../../protocol/votes.ts"
import type { Joint } from "./configuration-state.ts"
import type { NodeState } from "./state.ts"

export function siteStanding(
  node: NodeState,
  members: readonly NodeId[],
  joint: Joint | undefined,
): ViewStanding {
  const standing = viewStanding(node.config, node.self.site, members)
  return joint === undefined ? standing : stricter(standing, standingIn(joint.layout, members))
}

const ranks = ["majority-alone", "needs-witness", "minority"] as const

export function stricter(a: ViewStanding, b: ViewStanding): ViewStanding {
  return ranks.indexOf(a.kind) >= ranks.indexOf(b.kind) ? a : b
}
