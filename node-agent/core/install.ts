/**
 * Installing a view (SPEC R10, R11, L6, L7): at the delivery of the last report, the same point of the total order on
 * every member. All members compute the same state from the same reports; only durations are counted by each itself.
 */
import type { OrderedMessage } from "../../protocol/frame.ts"
import {
  after,
  epoch,
  type Instant,
  type Millis,
  millis,
  type NodeId,
  ringKey,
  stretched,
} from "../../protocol/units.ts"
import { majority, siteLayout, type VoteLayout } from "../../protocol/votes.ts"
import { reconcileActivations } from "./activations.ts"
import { reorderCommands } from "./commands.ts"
import { jointOf } from "./configuration.ts"
import { learnLongest } from "./configuration-spread.ts"
import type { Joint } from "./configuration-state.ts"
import { activationInstant, mergeDebts } from "./debts.ts"
import { abandonForgotten, mustAskWitness, votersAmong } from "./forgotten.ts"
import { beginLooks } from "./links.ts"
import { enterGather } from "./membership.ts"
import { parseMessage } from "./messages.ts"
import { applyOrdered, compareNumbers, sameView, withPhase } from "./ordered.ts"
import { adoptPin, adoptWait } from "./pin.ts"
import { afterUnpledge, mergeTickets, pledgeRecovered } from "./pledges.ts"
import { noteStanding } from "./proven.ts"
import { newestNumber, type Report, reportsOf } from "./report.ts"
import { siteStanding, stricter } from "./standing.ts"
import type { NodeState, OrderedState, ReportedPhase, Ring, View } from "./state.ts"
import { storeLearnt } from "./stored.ts"
import { log, report as reportEvent, type Turn } from "./turn.ts"

/** Does nothing while reports are missing. `seq` is the message whose delivery this is. */
export function installView(turn: Turn, seq: number): void {
  const { node, now } = turn
  const { ring } = node
  if (ring === undefined || !allHere(ring)) return
  const reports = reportsOf(node)
  if (reports === undefined) return enterGather(turn, "report-malformed", undefined)

  const before = node.view
  const others = [...reports].filter(([member]) => member !== node.self.id).map(([, each]) => each)
  node.debts = mergeDebts(
    node.debts,
    others.flatMap((each) => each.debts),
    now,
  )
  const activateAt = activationInstant(node.debts, ring.members, now)
  adoptPin(turn, others.find((each) => each.pin !== null)?.pin)
  for (const each of others) {
    adoptWait(turn, each)
    if (typeof each.mandateTtl === "number") learnLongest(turn, each.mandateTtl)
  }
  mergeTickets(turn, others, ring.leftAt)
  const joint = jointOf(node, reports)
  const forgetful = ring.members.filter((member) => reports.get(member)?.forgot === true)
  const voters = votersAmong(node, ring.members, joint, forgetful)
  const asksWitness = mustAskWitness(node, { members: ring.members, voters, joint }, reports)
  const configured = siteStanding(node, voters, joint)
  const standing = asksWitness ? stricter(configured, { kind: "needs-witness" }) : configured
  const entitled = standing.kind === "majority-alone"
  node.ordered = mergedState(turn, reports, ring, { seq, joint, entitled })
  node.view = {
    ...viewOf(node, ring, reports, activateAt, now),
    forgetful,
    voters,
    asksWitness,
    standing,
    entitled,
    joint,
  }
  abandonForgotten(turn, node.view)
  noteStanding(turn)
  storeLearnt(turn)
  node.left = undefined
  node.unaided = false
  node.ring = { ...ring, reports: new Map() }
  node.membership = { kind: "operational", since: now }
  beginLooks(node, now)
  if (node.view.standing.kind === "needs-witness") node.witness = { ...node.witness, urgent: true }
  log(turn, "info", "view-installed", {
    ring: ringKey(ring.id),
    members: ring.members.join(","),
    standing: node.view.standing.kind,
    coordinator: node.view.coordinator,
    active_in_ms: Math.round((activateAt - now) * 10) / 10,
    ...(voters.length < ring.members.length ? { voters: voters.join(",") } : {}),
  })
  tellChange(turn, before, node.view)
  reconcileActivations(turn)
  if (node.view.entitled) reorderCommands(turn)
}

function allHere(ring: Ring): boolean {
  return ring.members.every(
    (member) => ring.reports.get(member)?.every((piece) => piece !== undefined) ?? false,
  )
}

/**
 * The newest state among the members', with what its view had ordered and not all of its members had delivered: those
 * that move together deliver the same set (SPEC R11).
 */
function mergedState(
  turn: Turn,
  reports: ReadonlyMap<NodeId, Report>,
  ring: Ring,
  {
    seq,
    joint,
    entitled,
  }: { readonly seq: number; readonly joint: Joint | undefined; readonly entitled: boolean },
): OrderedState {
  const newest = newestNumber(reports.values())
  // Members that left unentitled views may differ from others of the same number: the lowest id's word counts for all.
  const carrier = [...reports.values()].find(({ ordered }) => compareNumbers(ordered.number, newest) === 0)
  let state = carrier?.ordered ?? turn.node.ordered
  const from = [...reports.values()].filter(
    ({ left }) =>
      left !== null &&
      left.ring.sequence === newest.ring &&
      left.ring.representative === newest.representative,
  )
  for (const message of unsafeMessages(from, newest.seq)) {
    const parsed = parseMessage(message.payload)
    if (parsed.kind === "error") continue
    const at = { ...newest, seq: message.seq, origin: message.origin, site: turn.node.self.site }
    state = applyOrdered(state, parsed.value, at)
    if (parsed.value.kind === "pledge") pledgeRecovered(turn, parsed.value)
    if (parsed.value.kind === "unpledge") afterUnpledge(turn, parsed.value)
  }
  const layout = siteLayout(turn.node.config, turn.node.self.site)
  const layouts = joint === undefined ? [layout] : [layout, joint.layout]
  const broken = !layouts.every((each) => isUnbroken(each, reports))
  const continued = state.services.map((record) => {
    const told = withPhases(continuedOrRevoked(record, ring, reports), reports)
    return broken ? { ...told, doubt: true } : told
  })
  // Kept by each node across restarts: every view that speaks has a member that acted under the highest one, or heard of it and stored it (SPEC S8).
  const told = [...reports.values()].map(({ ordered }) => ordered.voiceEpoch)
  const voiceEpoch = epoch(Math.max(state.voiceEpoch, ...told))
  const { sequence, representative } = ring.id
  const number = entitled ? { voice: voiceEpoch, ring: sequence, representative, seq } : state.number
  return { ...state, voiceEpoch, services: continued, confirmations: [], number }
}

/** The union of what former members hold of their view beyond `delivered`, as far as it is without gap. */
function unsafeMessages(reports: readonly Report[], delivered: number): readonly OrderedMessage[] {
  const bySeq = new Map<number, OrderedMessage>()
  for (const each of reports) for (const message of each.left?.messages ?? []) bySeq.set(message.seq, message)
  const messages: OrderedMessage[] = []
  for (let seq = delivered + 1; ; seq++) {
    const message = bySeq.get(seq)
    if (message === undefined) return messages
    messages.push(message)
  }
}

/**
 * An owner in the new view goes on if its right was live when it reported: while it is, nobody else can have acted
 * (SPEC S7). Otherwise the activation is over, and the next one has a higher epoch.
 */
function continuedOrRevoked(
  record: OrderedState["services"][number],
  ring: Ring,
  reports: ReadonlyMap<NodeId, Report>,
): OrderedState["services"][number] {
  const { assignment } = record
  if (assignment === undefined || assignment.revoked) return record
  if (ring.incarnations.get(assignment.owner) !== assignment.incarnation) return record
  const live = reports
    .get(assignment.owner)
    ?.live.some((each) => each.service === record.service && each.epoch === assignment.epoch)
  return live === true ? record : { ...record, assignment: { ...assignment, revoked: true } }
}

/** What the members say of themselves; of who is away the last word stands. */
function withPhases(
  record: OrderedState["services"][number],
  reports: ReadonlyMap<NodeId, Report>,
): OrderedState["services"][number] {
  let told = record
  for (const [member, { phases }] of reports) {
    const phase = phases.find((each) => each.service === record.service)?.phase
    if (phase !== undefined) told = withPhase(told, member, phase)
  }
  return told
}

function viewOf(
  node: NodeState,
  ring: Ring,
  reports: ReadonlyMap<NodeId, Report>,
  activateAt: Instant,
  now: Instant,
): Omit<View, "forgetful" | "voters" | "asksWitness" | "standing" | "entitled" | "joint"> {
  return {
    ring: ring.id,
    members: ring.members,
    incarnations: ring.incarnations,
    installedAt: now,
    activateAt,
    coordinator: coordinatorOf(ring, reports),
    proposed: undefined,
    voice: { deadline: undefined, own: false, epoch: epoch(0), grantedAt: undefined, waitedOut: true },
    phases: new Map([...reports].map(([member, each]) => [member, phasesOf(each)])),
    amnesia: new Map(
      [...reports].map(([member, each]) => [member, after(now, amnesiaOf(node, each, reports))]),
    ),
    departing: [...reports].filter(([, each]) => each.departing).map(([member]) => member),
    departed: [],
    underWay: new Set(),
    since: new Map(),
    assigning: new Map(),
    lookAgain: undefined,
    memo: { stored: undefined, offered: undefined, acts: [] },
    memoPieces: [],
  }
}

/** What it forgot it may have promised under a longer TTL than it knew when it told (SPEC LC5, M9). */
function amnesiaOf(
  { config: { timings } }: NodeState,
  { amnesia, mandateTtl, forgot }: Report,
  reports: ReadonlyMap<NodeId, Report>,
): Millis {
  const ttlOf = (told: Millis | null | undefined) => Math.max(told ?? 0, timings.mandateTtl)
  const longest = Math.max(...[...reports.values()].map((each) => ttlOf(each.mandateTtl)))
  const more = forgot === true ? longest - ttlOf(mandateTtl) : 0
  return stretched(millis(amnesia + more), timings.rho)
}

function phasesOf(report: Report): ReadonlyMap<Report["phases"][number]["service"], ReportedPhase> {
  return new Map(
    report.phases.map(({ service, phase, epoch: at, reason }) => [
      service,
      { phase, epoch: at ?? undefined, reason },
    ]),
  )
}

/**
 * Who drives the view: a member of the ring that last held the witness's voice lease (only such a one can have it
 * rebound or released); then who can believe the witness, is not known to have lost it, does not depart; then the lowest id.
 */
function coordinatorOf(ring: Ring, reports: ReadonlyMap<NodeId, Report>): NodeId {
  const rank = (member: NodeId): readonly number[] => {
    const each = reports.get(member)
    return [
      -(each?.voiceRing ?? 0),
      each?.pinLost === true ? 1 : 0,
      each?.uplink === "failing" ? 1 : 0,
      each?.departing === true ? 1 : 0,
      member,
    ]
  }
  const [first = ring.id.representative] = [...ring.members].sort((a, b) => compareLists(rank(a), rank(b)))
  return first
}

function compareLists(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** No view without one of those who carry the newest state can have had voice since: the rest has too few votes. */
function isUnbroken(layout: VoteLayout, reports: ReadonlyMap<NodeId, Report>): boolean {
  const newest = newestNumber(reports.values())
  const carriers = [...reports]
    .filter(([, each]) => sameView(each.ordered.number, newest))
    .map(([member]) => member)
  const all = layout.voters.reduce((sum, voter) => sum + voter.votes, 0)
  const carried = layout.voters.filter(({ node }) => carriers.includes(node))
  const rest = all - carried.reduce((sum, voter) => sum + voter.votes, 0)
  return newest.ring > 0 && rest + layout.weight < majority(all + layout.weight)
}

function tellChange(turn: Turn, before: View | undefined, view: View): void {
  if (view.coordinator !== turn.node.self.id) return
  const name = (id: NodeId) => turn.node.config.nodes.find((each) => each.id === id)?.name ?? String(id)
  for (const lost of before?.members ?? []) {
    if (view.members.includes(lost)) continue
    const incarnation = before?.incarnations.get(lost)
    const cause = incarnation === undefined ? undefined : `i${incarnation}`
    reportEvent(turn, "warning", "node-down", name(lost), "left the ring", cause)
  }
  for (const joined of view.members) {
    if (!(before?.members.includes(joined) ?? false))
      reportEvent(turn, "info", "node-up", name(joined), "joined the ring")
  }
}
