/**
 * The memo (SPEC VL4 to VL6): what must not be forgotten between two views that share no member, kept by the witness in the
 * site's voice entry. A view that needs the witness has a changed memo written first, by compare-and-set, and only
 * then speaks, acts or acknowledges. A memo that this view did not write is told to all members and adopted by all.
 */
import { memoBytesMax } from "../../protocol/lease.ts"
import { epoch, millis, type NodeId, type ServiceName, type Ticket } from "../../protocol/units.ts"
import { reconcileActivations } from "./activations.ts"
import { learnLongest } from "./configuration-spread.ts"
import type { DurablePledge } from "./durable.ts"
import { type Message, type Piece, piecesOf, withPiece } from "./messages.ts"
import { compareNumbers } from "./ordered.ts"
import { adoptPledge, bindingTtl, pledgeDuration, updateTicket } from "./pledges.ts"
import { order } from "./ring.ts"
import { asciiJson, parseJson } from "./shaped.ts"
import { performAct } from "./spoken.ts"
import type { MemoAct, NodeState, OrderedState } from "./state.ts"
import { storeLearnt } from "./stored.ts"
import { log, type Turn } from "./turn.ts"
import { beginAct, endAct, updateView } from "./view.ts"

/** An assignment about to be ordered: in the memo before it is. */
export interface Plan {
  readonly service: ServiceName
  readonly node: NodeId
}

interface Memo {
  readonly state: Omit<OrderedState, "number">
  readonly pledges: readonly DurablePledge[]
  readonly tickets: readonly {
    readonly ticket: Ticket
    /** The highest that the site ever voted for. Not said by older versions. */
    readonly knownEpoch?: number
    readonly pledgeNumber: number
    readonly releasedEpoch: number
    /** The highest that the site gave up. Not said by older versions. */
    readonly givenUp?: number
  }[]
  readonly plans: readonly Plan[]
  /** The longest that the pledges may have been given under. Not said by older versions. */
  readonly mandateTtl?: number
}

/** What the memo has to say now. Equal texts mean equal knowledge. */
export function memoText(node: NodeState, plans: readonly Plan[]): string {
  const { number: _, ...state } = node.ordered
  const tickets = [...node.tickets.values()]
  const memo: Memo = {
    state,
    pledges: tickets.flatMap(({ ticket, pledge }) =>
      pledge === undefined ? [] : [{ ticket, site: pledge.site, number: pledge.number, epoch: pledge.epoch }],
    ),
    tickets: tickets.map(({ ticket, knownEpoch, pledgeNumber, releasedEpoch, givenUp }) => ({
      ticket,
      knownEpoch,
      pledgeNumber,
      releasedEpoch,
      givenUp,
    })),
    plans,
    mandateTtl: bindingTtl(node),
  }
  return asciiJson(memo)
}

export function memoNeeded(node: NodeState): boolean {
  return node.view?.standing.kind === "needs-witness"
}

/** May the view act on what it knows now? Otherwise a claim with the new memo is asked for. */
export function memoWritten(turn: Turn, plans: readonly Plan[]): boolean {
  const { node } = turn
  if (!memoNeeded(node)) return true
  const text = memoText(node, plans)
  if (node.view?.memo.stored?.text === text) return true
  if (text.length > memoBytesMax) log(turn, "error", "memo-too-large", { bytes: text.length })
  if (node.view?.memo.offered !== text) node.witness = { ...node.witness, urgent: true }
  return false
}

/** Performs the act as soon as the memo says what it rests on: at once where no memo is needed. */
export function afterMemo(turn: Turn, act: MemoAct): void {
  const { node } = turn
  if (!memoNeeded(node)) return performAct(turn, act)
  updateView(node, (view) => ({ memo: { ...view.memo, acts: [...view.memo.acts, act] } }))
}

/** Coordinator: the acts that waited, once all they rest on is written. */
export function performWaitingActs(turn: Turn, plans: readonly Plan[]): void {
  const { node } = turn
  const acts = node.view?.memo.acts ?? []
  if (acts.length === 0 || !memoWritten(turn, plans)) return
  updateView(node, (view) => ({ memo: { ...view.memo, acts: [] } }))
  for (const act of acts) performAct(turn, act)
}

/** A grant brought the memo as it stands. What this view did not write itself goes to all members first. */
export function noteStoredMemo(
  turn: Turn,
  memo: { readonly version: number; readonly text: string } | undefined,
): void {
  const { node } = turn
  const stored = memo ?? { version: 0, text: "" }
  const { offered, stored: before } = node.view?.memo ?? {}
  const ours = stored.text === "" || stored.text === offered || stored.text === before?.text
  updateView(node, (view) => ({ memo: { ...view.memo, stored, offered: undefined } }))
  if (ours) node.memoVersion = stored.version
  if (ours || !beginAct(node, "memo")) return
  for (const piece of piecesOf("memo", `${stored.version} ${stored.text}`)) order(turn, piece)
}

/** One more piece of a memo told by the coordinator; the whole text once it is complete. */
export function collectMemo(turn: Turn, origin: NodeId, piece: Piece<"memo"> & Message): string | undefined {
  const { node } = turn
  if (node.view === undefined || node.view.coordinator !== origin) return undefined
  const { pieces, whole } = withPiece(node.view.memoPieces, piece)
  updateView(node, () => ({ memoPieces: whole === undefined ? pieces : [] }))
  return whole
}

/**
 * Takes over what the memo knows. Its pledges count as renewed now, those with known numbers too; its state counts if it
 * is newer than ours, plans as assignments that may have been acted upon.
 */
export function adoptMemo(turn: Turn, told: string): void {
  const { node } = turn
  endAct(node, "memo")
  const [, version, text] = /^(\d+) (.*)$/.exec(told) ?? []
  const memo = text === undefined ? undefined : parseMemo(text)
  if (memo === undefined) {
    log(turn, "error", "memo-malformed", { bytes: told.length })
    return
  }
  // Only now its content is known: a claim may overwrite this version.
  node.memoVersion = Number(version)
  for (const { ticket, knownEpoch = 0, pledgeNumber, releasedEpoch, givenUp = 0 } of memo.tickets) {
    updateTicket(node, ticket, (state) => ({
      knownEpoch: epoch(Math.max(state.knownEpoch, knownEpoch)),
      heardEpoch: epoch(Math.max(state.heardEpoch, knownEpoch, givenUp)),
      pledgeNumber: Math.max(state.pledgeNumber, pledgeNumber),
      releasedEpoch: epoch(Math.max(state.releasedEpoch, releasedEpoch)),
      givenUp: epoch(Math.max(state.givenUp, givenUp)),
    }))
  }
  if (typeof memo.mandateTtl === "number") learnLongest(turn, millis(memo.mandateTtl))
  for (const pledge of memo.pledges) adoptPledge(turn, pledge.ticket, pledge, pledgeDuration(node))
  const order = compareNumbers(memo.state.changed, node.ordered.changed)
  const newer = order > 0
  // A plan that our own later state tells the outcome of; one that was made under a later voice is none of ours.
  const isPast = order < 0 && memo.state.voiceEpoch <= node.ordered.changed.voice
  const voiceEpoch = epoch(Math.max(memo.state.voiceEpoch, node.ordered.voiceEpoch))
  if (newer) {
    node.ordered = { ...doubtedAsBefore(memo.state, node.ordered), voiceEpoch, number: node.ordered.number }
    forgetRecords(node)
  }
  node.ordered = {
    ...node.ordered,
    services: node.ordered.services.map((record) => (isPast ? record : withPlan(record, memo.plans))),
  }
  storeLearnt(turn)
  // Others spoke since, or may have acted on a plan: what was vouched for before says nothing of what they started.
  if (order > 0 || memo.plans.length > 0) forgetConfirmations(node)
  reconcileActivations(turn)
}

/**
 * Views that spoke alone wrote no memo, and who was in them may have been restarted since: what this view doubted before it knew the
 * memo, it doubts still (SPEC S2).
 */
function doubtedAsBefore(told: Memo["state"], before: OrderedState): Memo["state"] {
  const isDoubted = (service: ServiceName): boolean =>
    before.services.some((record) => record.service === service && record.doubt)
  return {
    ...told,
    services: told.services.map((record) =>
      isDoubted(record.service) ? { ...record, doubt: true } : record,
    ),
  }
}

/** Commands that were ordered before: they are not in this state, and are ordered again once the view has the voice. */
function forgetRecords(node: NodeState): void {
  updateView(node, ({ memo }) => ({
    memo: { ...memo, acts: memo.acts.filter(({ kind }) => kind !== "recorded") },
  }))
}

/** Outcomes of fence devices that were asked before are confirmations, too: they belong to no view any more. */
function forgetConfirmations(node: NodeState): void {
  node.ordered = { ...node.ordered, confirmations: [] }
  node.fencing = node.fencing.map((attempt) => ({ ...attempt, ring: "" }))
}

/** A plan that was written may have become an assignment that nobody here heard of. */
function withPlan(
  record: OrderedState["services"][number],
  plans: readonly Plan[],
): OrderedState["services"][number] {
  const plan = plans.find((each) => each.service === record.service)
  if (plan === undefined) return record
  const unknown = { owner: plan.node, incarnation: unknownIncarnation, epoch: "0.0.0.0", revoked: true }
  return { ...record, assignment: unknown }
}

/** No start of any node: a plan does not say which. */
const unknownIncarnation = 0 as NodeState["incarnation"]

function parseMemo(text: string): Memo | undefined {
  const value = parseJson(text)
  if (typeof value !== "object" || value === null) return undefined
  const memo = value as Partial<Memo>
  const whole = [memo.pledges, memo.tickets, memo.plans, memo.state?.services].every(Array.isArray)
  return whole ? (value as Memo) : undefined
}
