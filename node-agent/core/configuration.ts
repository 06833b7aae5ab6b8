/**
 * Live changes of the configuration (SPEC LC), as joint consensus on top of the ring:
 *
 *   1. A member orders the new configuration in pieces. Each member stores it at its receipt: it is prepared. From then on
 *      whatever view it is in speaks only if it does by the old AND the new configuration.
 *   2. It is delivered: every member has it on its disk. Where there is a witness the coordinator registers it there, and
 *      claims of older versions are refused from then on.
 *   3. The coordinator orders `activate`: the change is a fact. Each member stores that, leaves the ring and takes it up;
 *      whoever hears of it later does the same (`configuration-spread.ts`).
 *
 * A view that breaks on the way leaves prepared members; the next view that speaks has one of them in it, or the witness
 * refuses it, and goes on with 1. Source: joint consensus (Ongaro, Ousterhout, USENIX ATC 2014, section 6); the
 * witness's part is ours.
 */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { type ConfigChange, configChange } from "../../protocol/config-change.ts"
import { after, type Instant, millis, type NodeId, ringKey } from "../../protocol/units.ts"
import { siteLayout, type ViewStanding, viewStanding } from "../../protocol/votes.ts"
import { storeConfiguration, takeUp, timingsDiffer } from "./configuration-spread.ts"
import type { Joint, Prepared } from "./configuration-state.ts"
import type { CommandResult } from "./effects.ts"
import { votersAmong } from "./forgotten.ts"
import { type Message, type Piece, piecesOf, withPiece } from "./messages.ts"
import { type Report, ringVersion } from "./report.ts"
import { hasVoice } from "./rights.ts"
import { order } from "./ring.ts"
import { stricter } from "./standing.ts"
import type { NodeState, ServiceRecord, View } from "./state.ts"
import { log, report, type Turn } from "./turn.ts"
import { beginAct, updateView } from "./view.ts"

/** Of a document: its pieces fit one round of reports, and the post that registers it. */
const documentCharsMax = 16_000
/** An operator is not kept waiting longer: two rotations, two writes and a post are done by then. */
const patience = millis(15_000)

/** `quorumbeat config apply`: checked against what this node knows, then proposed to the ring. */
export function onConfigure(turn: Turn, request: number, document: string): void {
  const { node, now } = turn
  const read = document.length > documentCharsMax ? undefined : node.readConfiguration(document)
  if (read === undefined)
    return answer(
      turn,
      request,
      refused("unreadable", `no configuration, or more than ${documentCharsMax} characters of one`),
    )
  const busy = node.configuration.request !== undefined
  const refusal = busy ? refused("under-way", "another change is under way") : refusalOf(node, read, now)
  if (refusal !== undefined) return answer(turn, request, refusal)
  const { version, checksum } = read
  node.configuration = {
    ...node.configuration,
    request: { request, version, checksum, document, deadline: after(now, patience), ring: "" },
  }
  report(turn, "info", "configuration-proposed", `version ${version}`, checksum.slice(0, 8))
  askRing(turn)
}

/** Orders what an operator of this node waits for; again in a new view, if it was lost with the ring and may still be had. */
function askRing(turn: Turn): void {
  const { node, now } = turn
  const { request, prepared } = node.configuration
  const ring = node.ring === undefined ? "" : ringKey(node.ring.id)
  if (request === undefined || request.ring === ring || prepared !== undefined) return
  const next = node.readConfiguration(request.document)
  const refusal = next === undefined ? undefined : refusalOf(node, next, now)
  if (refusal !== undefined) {
    node.configuration = { ...node.configuration, request: undefined }
    return answer(turn, request.request, refusal)
  }
  node.configuration = { ...node.configuration, request: { ...request, ring } }
  for (const piece of piecesOf("configure", request.document)) order(turn, piece)
}

function refusalOf(node: NodeState, next: ClusterConfig, now: Instant): CommandResult | undefined {
  const { view, configuration, config } = node
  const change = configChange(config, next)
  if (change.refusals.length > 0) return refused("not-live", change.refusals.join("; "))
  if (change.site !== undefined && change.site !== node.self.site)
    return refused("other-site", `the votes of site ${change.site} change: apply it at one of its nodes`)
  if (configuration.prepared !== undefined || view?.joint !== undefined)
    return refused("under-way", "another change is under way")
  if (view === undefined || !hasVoice(node, now))
    return refused("no-quorum", "this node's view does not speak for its site")
  if (ringVersion(node) < 2)
    return refused("older-agents", "a member's agent does not know of live changes: finish the upgrade first")
  if (configuration.settledAt !== undefined && configuration.settledAt > now && timingsDiffer(config, next))
    return refused("settling", "the last change of timings is not settled yet: wait for the longest lease")
  if (stricter(view.standing, standingBy(next, node, view)).kind !== view.standing.kind)
    return refused(
      "no-quorum-after",
      "the members of this view would not speak for the site by the new configuration: start the others first",
    )
  return refusalOfRemoval(node, change, view)
}

function standingBy(config: ClusterConfig, node: NodeState, { members, forgetful }: View): ViewStanding {
  const { site } = node.self
  if (!config.nodes.some((each) => each.site === site)) return { kind: "minority" }
  return viewStanding(
    config,
    site,
    votersAmong(node, members, { layout: siteLayout(config, site) }, forgetful),
  )
}

/** What is removed is asked for no proof any more: so it must have been proved to run nothing (SPEC LC2, S2). */
function refusalOfRemoval(node: NodeState, { removed }: ConfigChange, view: View): CommandResult | undefined {
  if (removed === undefined) return undefined
  if (view.members.includes(removed.id))
    return refused("still-here", `${removed.name} is a member of this view: stop its agent first`)
  const open = notProved(node, removed.id, view)
  if (open === undefined) return undefined
  return refused("not-proved", `service ${open.service} is not proved to have stopped on ${removed.name}`)
}

/** A service that it may run, as far as this view knows. A member's own word counts, whatever others may have done. */
function notProved(node: NodeState, id: NodeId, view: View): ServiceRecord | undefined {
  const able = node.config.services.filter(({ nodes }) => nodes.includes(id))
  const isHere = view.members.includes(id)
  return node.ordered.services.find(
    ({ service, assignment, unstopped, doubt }) =>
      able.some(({ name }) => name === service) &&
      (assignment?.owner === id || unstopped.includes(id) || (doubt && !isHere)),
  )
}

/**
 * What is removed may have come back since it was proposed, and a view that did not know of the proposal may have let it run
 * something. From the registration on, without a witness from the activation on, nobody asks for its proof (SPEC LC2).
 */
export function isRemovalProved(node: NodeState, view: View, { config }: Prepared): boolean {
  const { removed } = configChange(node.config, config)
  return removed === undefined || notProved(node, removed.id, view) === undefined
}

function refused(reason: string, message: string): CommandResult {
  return { kind: "refused", reason, message }
}

function answer(turn: Turn, request: number, result: CommandResult): void {
  turn.effects.push({ kind: "answer-operator", request, result })
}

/** At receipt: one more piece. The write to wait for, if it completes a proposal to be prepared; undefined: none. */
export function storeProposal(turn: Turn, origin: NodeId, piece: Piece<"configure">): number | undefined {
  const { node } = turn
  const document = collected(node, origin, piece)
  if (document === undefined) return undefined
  const config = node.readConfiguration(document)
  const { prepared } = node.configuration
  const voice = node.ordered.voiceEpoch
  const ring = node.ring?.id.sequence ?? 0
  if (config === undefined || config.version <= node.config.version) return undefined
  // Of two in one ring the first counts: all members receive them in the same order.
  if (prepared !== undefined && prepared.voice === voice && prepared.ring === ring) return undefined
  node.configuration = { ...node.configuration, prepared: { config, document, voice, ring } }
  log(turn, "info", "configuration-prepared", {
    version: config.version,
    checksum: config.checksum.slice(0, 8),
  })
  return storeConfiguration(turn)
}

function collected(node: NodeState, origin: NodeId, piece: Piece<"configure">): string | undefined {
  const ring = node.ring === undefined ? "" : ringKey(node.ring.id)
  const { incoming } = node.configuration
  const known = incoming?.ring === ring && incoming.origin === origin ? incoming.pieces : []
  const { pieces, whole } = withPiece(piece.part > 0 ? known : [], piece)
  const isComplete = whole !== undefined
  node.configuration = { ...node.configuration, incoming: isComplete ? undefined : { ring, origin, pieces } }
  return whole
}

/** The last piece is safe: every member of this view has the proposal on its disk. */
export function afterProposal(turn: Turn, piece: Piece<"configure">): void {
  const { node } = turn
  const { prepared } = node.configuration
  const here = prepared !== undefined && prepared.ring === node.ring?.id.sequence
  if (!here || piece.part < piece.parts - 1 || node.view?.entitled !== true) return
  const { version, checksum } = prepared.config
  updateView(node, () => ({ proposed: { version, checksum } }))
}

export function afterActivation(turn: Turn, { version, checksum }: Message & { kind: "activate" }): void {
  const { prepared } = turn.node.configuration
  if (prepared?.config.version === version && prepared.config.checksum === checksum)
    takeUp(turn, prepared.config, prepared.document)
}

/** The proposal that a new view has to reckon with: the latest that its members bring; undefined: none. */
export function jointOf(node: NodeState, reports: ReadonlyMap<NodeId, Report>): Joint | undefined {
  let joint: Joint | undefined
  for (const [member, { prepared }] of [...reports].sort(([a], [b]) => a - b)) {
    if (prepared === null || prepared === undefined || prepared.version <= node.config.version) continue
    const later = joint === undefined ? 1 : prepared.voice - joint.voice || prepared.ring - joint.ring
    if (later > 0) joint = { ...prepared, holder: member }
  }
  return joint
}

export function reportedPrepared(node: NodeState): Report["prepared"] {
  const { prepared } = node.configuration
  if (prepared === undefined) return undefined
  const { config, voice, ring } = prepared
  const { version, checksum } = config
  // The site of a node that is removed may have none left.
  const here = config.nodes.some(({ site }) => site === node.self.site)
  const layout = here ? siteLayout(config, node.self.site) : { voters: [], weight: 0, majority: 1 }
  return { version, checksum, voice, ring, layout }
}

/** At every step: what is stored is taken up, what a view left unfinished is proposed again, what is safe is activated. */
export function driveConfiguration(turn: Turn): void {
  const { node, now } = turn
  const { request } = node.configuration
  if (request !== undefined && (request.deadline <= now || request.version <= node.config.version))
    finish(turn)
  const { view } = node
  if (view === undefined || node.membership.kind !== "operational" || !hasVoice(node, now)) return
  askRing(turn)
  proposeAgain(turn, view)
  activate(turn, view)
}

function finish(turn: Turn): void {
  const { node } = turn
  const { request } = node.configuration
  if (request === undefined) return
  node.configuration = { ...node.configuration, request: undefined }
  const { version, checksum } = node.config
  if (version === request.version && checksum === request.checksum)
    return answer(turn, request.request, {
      kind: "done",
      message: `configuration version ${version} is active`,
    })
  const other = version >= request.version
  const message = other ? "another change came first" : "not active in time; it may still take effect"
  answer(turn, request.request, refused(other ? "superseded" : "timeout", message))
}

function proposeAgain(turn: Turn, view: View): void {
  const { node } = turn
  const { prepared } = node.configuration
  if (view.joint?.holder !== node.self.id || prepared === undefined || view.proposed !== undefined) return
  if (!beginAct(node, "propose")) return
  for (const piece of piecesOf("configure", prepared.document)) order(turn, piece)
}

function activate(turn: Turn, view: View): void {
  const { node } = turn
  const { prepared } = node.configuration
  if (view.coordinator !== node.self.id || view.proposed === undefined || prepared === undefined) return
  if (!isRegistered(node, prepared)) {
    // Every summary asks for it until it is; the first one goes at once.
    if (beginAct(node, "register")) node.witness = { ...node.witness, urgent: true }
    return
  }
  if (node.config.witness === undefined && !isRemovalProved(node, view, prepared)) return
  const { version, checksum } = prepared.config
  if (beginAct(node, "activate")) order(turn, { kind: "activate", version, checksum })
}

/** Without a witness there is nobody to tell. */
export function isRegistered(node: NodeState, { config }: Prepared): boolean {
  const { registered } = node.configuration
  if (node.config.witness === undefined) return true
  return registered?.version === config.version && registered.checksum === config.checksum
}

/** The version that this node's view claims by: the proposal's as soon as all members have it (SPEC LC4). */
export function claimedConfiguration(node: NodeState): {
  readonly version: number
  readonly checksum: string
  readonly active?: number
} {
  const { version, checksum } = node.config
  const proposal = node.view?.proposed ?? node.view?.joint
  if (proposal === undefined) return { version, checksum }
  return { version: proposal.version, checksum: proposal.checksum, active: version }
}

export function nextConfigurationWork(node: NodeState): Instant | undefined {
  return node.configuration.request?.deadline
}
