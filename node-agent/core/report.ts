/**
 * What a member brings into a new view (SPEC R10): ordered in Recovery, delivered to all members alike. Obligations
 * (debts, pledges, amnesia) count from receipt, rights (votes) from before the report, at the receiver's own leaving.
 */
import type { OrderedMessage } from "../../protocol/frame.ts"
import {
  type Epoch,
  elapsed,
  type Millis,
  millis,
  type NodeId,
  type RingId,
  type ServiceName,
  type SiteId,
  type Ticket,
} from "../../protocol/units.ts"
import { reportedPrepared } from "./configuration.ts"
import type { Joint } from "./configuration-state.ts"
import { type ReportedDebt, reportDebts } from "./debts.ts"
import { parseMessage, piecesOf } from "./messages.ts"
import { compareNumbers, noNumber } from "./ordered.ts"
import { bindingTtl } from "./pledges.ts"
import { decodeReport, encodeReport } from "./report-text.ts"
import { order } from "./ring.ts"
import { versionWith } from "./session.ts"
import type { NodeState, OrderedState, Phase, Ring, StateNumber } from "./state.ts"
import type { Turn } from "./turn.ts"

export interface Report {
  /** The view left, and the messages of it that are not known to be safe. */
  readonly left: { readonly ring: RingId; readonly messages: readonly OrderedMessage[] } | null
  /** The state, unless it is known to be a fresh one. */
  readonly ordered: OrderedState
  readonly debts: readonly ReportedDebt[]
  readonly tickets: readonly {
    readonly ticket: Ticket
    readonly knownEpoch: Epoch
    readonly heardEpoch: Epoch
    readonly pledgeNumber: number
    readonly releasedEpoch: Epoch
    readonly givenUp: Epoch
    readonly epoch: Epoch
    readonly pledge: {
      readonly site: SiteId
      readonly number: number
      readonly epoch: Epoch
      readonly remaining: Millis
    } | null
    readonly votes: readonly { readonly voter: string; readonly epoch: Epoch; readonly remaining: Millis }[]
  }[]
  readonly phases: readonly {
    readonly service: ServiceName
    readonly phase: Phase
    readonly epoch: string | null
    readonly reason: string
  }[]
  /** Activations whose right was live when this was written: nobody else can have acted. */
  readonly live: readonly { readonly service: ServiceName; readonly epoch: string }[]
  readonly amnesia: Millis
  /** It lost its record and has not learnt since what was done (SPEC V12). */
  readonly forgot?: boolean | null | undefined
  /** It waited for the witness in vain, with all nodes of its site (SPEC V12). */
  readonly unaided?: boolean | null | undefined
  readonly pin: string | null
  /** It lost the pin with its record and believes no witness before somebody tells it one. */
  readonly pinLost: boolean
  /** Nothing is claimed from the pinned object for so long (SPEC W6); older versions do not say. */
  readonly wait?: Millis | null | undefined
  /** The last ring known to hold the site's voice at the witness with this node in it; 0: none. */
  readonly voiceRing: number
  readonly uplink: "ok" | "failing" | "unknown"
  readonly departing: boolean
  /** Pledges of the site may have been given under this TTL, longer than the present one (SPEC LC5); older versions do not say. */
  readonly mandateTtl?: Millis | null | undefined
  /** A proposed configuration that it has stored (SPEC LC4); a report of version 1 does not say. */
  readonly prepared?: Omit<Joint, "holder"> | null | undefined
}

/**
 * Orders this node's report: the representative's at once, another's as soon as that one is here, for it tells only what
 * differs. False: it is not.
 */
export function orderReport(turn: Turn): boolean {
  const { ring, self } = turn.node
  if (ring === undefined) return false
  const isWhole = self.id === ring.id.representative || ringVersion(turn.node) < 2
  const like = isWhole ? undefined : representativesReport(ring)
  if (like === undefined && !isWhole) return false
  for (const piece of piecesOf("report", encodeReport(reportOf(turn), like))) order(turn, piece)
  return true
}

/** The lowest version among the members: what all of them must understand keeps to it (SPEC N3). */
export function ringVersion({ sessions, self, ring }: NodeState): number {
  const others = ring?.members.filter((member) => member !== self.id) ?? []
  return Math.min(sessions.versions.max, ...others.map((member) => versionWith(sessions, member) ?? 1))
}

/** From what was received, delivered or not; undefined: not complete yet. */
function representativesReport(ring: Ring): Report | undefined {
  const { representative } = ring.id
  const delivered = ring.reports.get(representative) ?? []
  const pieces = new Map([...delivered.entries()].filter(([, text]) => text !== undefined))
  let parts = delivered.length
  for (const { origin, payload } of ring.log) {
    if (origin !== representative) continue
    const parsed = parseMessage(payload)
    if (parsed.kind === "error" || parsed.value.kind !== "report") continue
    parts = parsed.value.parts
    pieces.set(parsed.value.part, parsed.value.text)
  }
  if (parts === 0 || pieces.size < parts) return undefined
  const text = Array.from({ length: parts }, (_, part) => pieces.get(part) ?? "").join("")
  return decodeReport(text, undefined)
}

function reportOf(turn: Turn): Report {
  const { node, now } = turn
  return {
    left: node.left === undefined ? null : { ring: node.left.id, messages: node.left.messages },
    ordered: node.ordered,
    debts: reportDebts(node.debts, now),
    tickets: [...node.tickets.values()].map((state) => ({
      ticket: state.ticket,
      knownEpoch: state.knownEpoch,
      heardEpoch: state.heardEpoch,
      pledgeNumber: state.pledgeNumber,
      releasedEpoch: state.releasedEpoch,
      givenUp: state.givenUp,
      epoch: state.epoch,
      pledge: livePledge(state.pledge, turn),
      votes: [...state.votes]
        .filter(([, vote]) => vote.until > now)
        .map(([voter, vote]) => ({ voter, epoch: vote.epoch, remaining: elapsed(now, vote.until) })),
    })),
    phases: [...node.activations.values()].map(({ service, phase, epoch, reason }) => {
      return { service, phase, epoch: epoch ?? null, reason: reason.slice(0, 80) }
    }),
    live: liveActivations(node, turn),
    amnesia:
      node.amnesiaUntil === undefined || node.amnesiaUntil <= now
        ? millis(0)
        : elapsed(now, node.amnesiaUntil),
    forgot: node.durable.state.forgot === true ? true : undefined,
    unaided: node.unaided ? true : undefined,
    pin: node.witness.pin ?? null,
    pinLost: node.pinLost,
    wait: waitLeft(turn),
    voiceRing: node.voiceRing,
    uplink: node.health.uplink,
    departing: node.leaving !== "no",
    mandateTtl: bindingTtl(node) > node.config.timings.mandateTtl ? bindingTtl(node) : undefined,
    prepared: reportedPrepared(node),
  }
}

function waitLeft({ node, now }: Turn): Millis | undefined {
  const { believeFrom } = node.witness
  return believeFrom === undefined || believeFrom <= now ? undefined : elapsed(now, believeFrom)
}

function livePledge(
  pledge: { site: SiteId; number: number; epoch: Epoch; until: number } | undefined,
  turn: Turn,
) {
  if (pledge === undefined) return null
  const { site, number, epoch, until } = pledge
  return { site, number, epoch, remaining: millis(Math.max(0, until - turn.now)) }
}

function liveActivations(node: NodeState, turn: Turn): Report["live"] {
  return [...node.activations.values()].flatMap(({ service, epoch, deadline }) =>
    epoch !== undefined && deadline !== undefined && deadline > turn.now ? [{ service, epoch }] : [],
  )
}

/** Reports of all members, complete; `undefined` while pieces are missing or if one does not parse. */
export function reportsOf(node: NodeState): ReadonlyMap<NodeId, Report> | undefined {
  const { ring } = node
  if (ring === undefined) return undefined
  const like = decodeReport(reportText(ring, ring.id.representative) ?? "", undefined)
  const reports = new Map<NodeId, Report>()
  for (const member of ring.members) {
    const text = reportText(ring, member)
    const report = text === undefined ? undefined : decodeReport(text, like)
    if (report === undefined) return undefined
    reports.set(member, report)
  }
  return reports
}

function reportText(ring: Ring, member: NodeId): string | undefined {
  const pieces = ring.reports.get(member)
  return pieces === undefined || pieces.includes(undefined) ? undefined : pieces.join("")
}

export function newestNumber(reports: Iterable<Report>): StateNumber {
  let newest = noNumber
  for (const { ordered } of reports) {
    if (compareNumbers(ordered.number, newest) > 0) newest = ordered.number
  }
  return newest
}
