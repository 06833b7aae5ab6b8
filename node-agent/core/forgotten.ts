/**
 * Nodes that lost their record (SPEC V12): such a node has no vote, but in a view of its whole site. Views that spoke may share that
 * node alone with the present one, and what they decided, under which numbers, it cannot say. It counts again once it is in a view
 * that speaks after its amnesia (M9); until then its record says so, restarts included. A whole site in which too few remember asks
 * the witness, whose memo tells what the others did.
 */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { type LeaseHolder, voiceLease } from "../../protocol/lease.ts"
import {
  after,
  type Instant,
  instant,
  millis,
  type NodeId,
  type SiteId,
  sameRing,
  stretched,
} from "../../protocol/units.ts"
import { siteLayout, standingIn, type VoteLayout } from "../../protocol/votes.ts"
import type { Joint } from "./configuration-state.ts"
import { enterGather } from "./membership.ts"
import { longestLease } from "./pin.ts"
import { abandonMandates } from "./pledges.ts"
import type { Report } from "./report.ts"
import { hasVoice } from "./rights.ts"
import { noteSequence } from "./sequence.ts"
import type { NodeState, View } from "./state.ts"
import { storeLearnt } from "./stored.ts"
import { persist, type Turn, upcoming } from "./turn.ts"

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
 * Those of a whole site that remember are no majority alone: the others may have spoken without them, with the witness, whose memo
 * says what they did. So this view asks the witness too, unless all that was forgotten is over and it was asked in vain.
 */
export function mustAskWitness(
  { config, self }: NodeState,
  { members, voters, joint }: Pick<View, "members" | "voters" | "joint">,
  reports: ReadonlyMap<NodeId, Report>,
): boolean {
  const isForgetful = (member: NodeId) => reports.get(member)?.forgot === true
  const forgetful = members.filter(isForgetful).map((member) => reports.get(member))
  const remembering = members.filter((member) => !isForgetful(member))
  if (voters.length < members.length || forgetful.length === 0 || remembering.length === 0) return false
  if (forgetful.every((each) => each?.amnesia === 0) && isAskedInVain(reports)) return false
  return layoutsOf(config, self.site, joint).some(
    (layout) => layout.weight > 0 && standingIn(layout, remembering).kind !== "majority-alone",
  )
}

/** All members come from the very view that asked: nobody can have spoken since. */
function isAskedInVain(reports: ReadonlyMap<NodeId, Report>): boolean {
  const asked = [...reports.values()].find(({ unaided }) => unaided === true)?.left?.ring
  return (
    asked !== undefined &&
    [...reports.values()].every(({ left }) => left !== null && sameRing(left.ring, asked))
  )
}

/**
 * Those that forgot may have spoken alone, and no memo tells what they gave away: a whole site does not count on what it has of a
 * mandate from before.
 */
export function abandonForgotten(turn: Turn, view: View): void {
  const { node, now } = turn
  const mayHaveSpoken = layoutsOf(node.config, node.self.site, view.joint).some(
    (layout) => standingIn(layout, view.forgetful).kind === "majority-alone",
  )
  const isOver = view.forgetful.every((member) => (view.amnesia.get(member) ?? now) <= now)
  if (mayHaveSpoken && !isOver && view.voters.length === view.members.length) abandonMandates(turn)
}

/** Votes by the configuration in use and by a proposed one. */
function layoutsOf(
  config: ClusterConfig,
  site: SiteId,
  joint: Pick<Joint, "layout"> | undefined,
): readonly VoteLayout[] {
  return [siteLayout(config, site), ...(joint === undefined ? [] : [joint.layout])]
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

/**
 * The voice is held for a ring that this node was in before it lost its record, numbered as high as the present one or higher. It is
 * rebound for a later one only (SPEC W10).
 */
export function outnumberForgotten(turn: Turn, holder: LeaseHolder | undefined): void {
  const { view, self, membership } = turn.node
  if (
    view === undefined ||
    membership.kind !== "operational" ||
    holder?.kind !== "view" ||
    !holder.members.includes(self.id)
  )
    return
  if (sameRing(holder.ring, view.ring) || holder.ring.sequence < view.ring.sequence) return
  noteSequence(turn, holder.ring.sequence)
  enterGather(turn, "ring-forgotten", undefined)
}

/** The witness has not given this view the voice for as long as a memo's pledge may bind: it goes on as if there were none. */
export function goOnUnaided(turn: Turn): void {
  const { node, now } = turn
  const until = asksUntil(node)
  if (until === undefined || until > now || hasVoice(node, now)) return
  node.unaided = true
  enterGather(turn, "witness-asked-in-vain", undefined)
}

export function nextForgotten(node: NodeState): Instant | undefined {
  return upcoming(node, [asksUntil(node)])
}

/** When a node that forgot may go on without the witness: whoever it was told holds the voice is waited out (SPEC W11). */
function asksUntil(node: NodeState): Instant | undefined {
  const { view, durable, membership, config, amnesiaUntil = instant(0) } = node
  if (view?.asksWitness !== true || membership.kind !== "operational") return undefined
  if (durable.state.forgot !== true) return undefined
  const told = node.witness.watches.get(voiceLease(node.self.site))
  const { renewal, rho } = config.timings
  const longest = millis(Math.max(longestLease(node), stretched(told?.lease?.ttl ?? millis(0), rho)))
  const waitedOut = told === undefined ? 0 : after(told.since, millis(longest + renewal))
  return instant(Math.max(amnesiaUntil, after(view.installedAt, longest), waitedOut))
}
