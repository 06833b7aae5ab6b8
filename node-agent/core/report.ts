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
import { type ReportedDebt, reportDebts } from "./debts.ts"
import { piecesOf } from "./messages.ts"
import { compareNumbers, noNumber } from "./ordered.ts"
import { order } from "./ring.ts"
import { asciiJson, parseJson } from "./shaped.ts"
import type { NodeState, OrderedState, Phase, StateNumber } from "./state.ts"
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
  readonly pin: string | null
  /** It lost the pin with its record and believes no witness before somebody tells it one. */
  readonly pinLost: boolean
  /** The last ring known to hold the site's voice at the witness with this node in it; 0: none. */
  readonly voiceRing: number
  readonly uplink: "ok" | "failing" | "unknown"
  readonly departing: boolean
}

export function orderReport(turn: Turn): void {
  for (const piece of piecesOf("report", asciiJson(reportOf(turn)))) order(turn, piece)
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
    pin: node.witness.pin ?? null,
    pinLost: node.pinLost,
    voiceRing: node.voiceRing,
    uplink: node.health.uplink,
    departing: node.leaving !== "no",
  }
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
  const reports = new Map<NodeId, Report>()
  for (const member of ring.members) {
    const pieces = ring.reports.get(member)
    if (pieces === undefined || pieces.includes(undefined)) return undefined
    const value = parseJson(pieces.join(""))
    if (!isReport(value)) return undefined
    reports.set(member, value)
  }
  return reports
}

/** Members run one protocol version and are authenticated: the parts that arithmetic rests on are checked. */
function isReport(value: unknown): value is Report {
  if (typeof value !== "object" || value === null) return false
  const report = value as Partial<Record<keyof Report, unknown>>
  const lists = [report.debts, report.tickets, report.phases, report.live]
  return (
    lists.every(Array.isArray) && typeof report.ordered === "object" && typeof report.amnesia === "number"
  )
}

export function newestNumber(reports: Iterable<Report>): StateNumber {
  let newest = noNumber
  for (const { ordered } of reports) {
    if (compareNumbers(ordered.number, newest) > 0) newest = ordered.number
  }
  return newest
}
