/** Changes of the installed view by ordered messages: who coordinates, who is about to leave, who left. */
import type { Epoch, NodeId } from "../../protocol/units.ts"
import type { NodeState, View } from "./state.ts"
import { storeLearnt } from "./stored.ts"
import { log, type Turn } from "./turn.ts"

export function updateView(node: NodeState, change: (view: View) => Partial<View>): void {
  if (node.view !== undefined) node.view = { ...node.view, ...change(node.view) }
}

/** This node coordinates its view, and may decide now. */
export function isDriving({ view, self, membership, leaving }: NodeState): boolean {
  if (view?.coordinator !== self.id || membership.kind !== "operational" || leaving === "departed")
    return false
  return !isHeldUp(view)
}

/**
 * A memo that this view did not write is on its way to all members, or the word that it has the voice: nothing is decided before
 * they have both. Once the role was given away only what was ordered before may still come of it.
 */
export function isHeldUp({ underWay }: View): boolean {
  return underWay.has("memo") || underWay.has("voice") || underWay.has("coordinator")
}

/**
 * The witness granted this view its voice lease: what it orders from here on counts (SPEC R14). Acts that still wait for the memo rest
 * on a grant before: another view may have had the voice since (SPEC VL8).
 */
export function entitle(turn: Turn, at: Epoch): void {
  const { node } = turn
  updateView(node, ({ memo }) => ({ entitled: true, entitledAt: at, memo: { ...memo, acts: [] } }))
  node.voiceRing = node.view?.ring.sequence ?? node.voiceRing
  node.ordered = { ...node.ordered, voiceEpoch: at > node.ordered.voiceEpoch ? at : node.ordered.voiceEpoch }
  storeLearnt(turn)
}

/** The coordinator gives its role away: in the total order, so that there is one at a time. */
export function handOver(turn: Turn, from: NodeId, to: NodeId): void {
  const { node } = turn
  if (node.view?.coordinator !== from || !node.view.members.includes(to)) return
  updateView(node, (view) => ({
    voice: { ...view.voice, own: false },
    coordinator: to,
    underWay: new Set(),
    since: new Map(),
    assigning: new Map(),
    memo: { stored: undefined, offered: undefined, acts: [] },
  }))
  log(turn, "info", "coordinator", { node: to })
  if (to === node.self.id) node.witness = { ...node.witness, urgent: true }
}

export function noteDeparting(turn: Turn, member: NodeId): void {
  updateView(turn.node, (view) => ({ departing: [...view.departing, member] }))
}

/** From here on the member exercises nothing in this view: nothing is owed to it (SPEC L6). */
export function noteDeparted(turn: Turn, member: NodeId): void {
  updateView(turn.node, (view) => ({ departed: [...view.departed, member] }))
}

/** An ordered act is under way until it is delivered: it is not ordered twice. */
export function beginAct(node: NodeState, act: string): boolean {
  if (node.view === undefined || node.view.underWay.has(act)) return false
  updateView(node, (view) => ({ underWay: new Set(view.underWay).add(act) }))
  return true
}

export function endAct(node: NodeState, act: string): void {
  updateView(node, (view) => {
    const underWay = new Set(view.underWay)
    underWay.delete(act)
    return { underWay }
  })
}
