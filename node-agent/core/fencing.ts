/**
 * Fence devices (SPEC S15): where a service is blocked for want of proof that a node stopped, and a device is configured that
 * turns this node off, the coordinator has it turned off. A confirmed `off` is ordered as a confirmation (SPEC S5), bound to
 * the view, the incarnation and the mandates as they were when it was asked for: what was true before the power went
 * is no more than that. Only a view that speaks, past its activateAt, ever asks; so two halves of a cluster never shoot at
 * each other.
 */
import { after, type Instant, millis, type NodeId, ringKey } from "../../protocol/units.ts"
import { vouchedNow } from "./commands.ts"
import type { Vouched } from "./events.ts"
import { order } from "./ring.ts"
import type { NodeState } from "./state.ts"
import { log, report, type Turn, withEntry, withoutEntry } from "./turn.ts"

export interface FenceAttempt {
  readonly node: NodeId
  readonly operation: number
  readonly outcome: "awaited" | "confirmed" | "failed"
  /** The view that asked. */
  readonly ring: string
  readonly vouched: Vouched
  readonly failures: number
  /** A failed one is tried again then. */
  readonly again: Instant
}

/** What starts together with this node may take as long to be heard (Pacemaker's `dc-deadtime`). */
export const startupGrace = millis(20_000)

/** On its way up a node says something several times in this time. */
const silentMax = millis(2_000)

/** Between two attempts on one node; doubles up to the last. */
const retryMin = 5_000
const retryMax = 60_000

/** Is there a device for it, which this node may use? A node does not turn itself off. */
function isFenceable(node: NodeState, target: NodeId): boolean {
  const devices = node.config.fences ?? []
  return (
    target !== node.self.id && devices.some((device) => device.nodes.some((each) => each.node === target))
  )
}

/** Called at each chance while services are blocked by these nodes. */
export function fenceNodes(turn: Turn, targets: readonly NodeId[]): void {
  for (const target of targets) {
    if (isFenceable(turn.node, target) && isDue(turn, target)) begin(turn, target)
  }
}

/** Has been tried and refused in this view, or cannot be tried: a person is needed. */
export function isPersonNeeded(node: NodeState, target: NodeId): boolean {
  const failures = attemptOf(node, target)?.failures ?? 0
  return !isFenceable(node, target) || failures > 0
}

export function onFenceConfirmed(turn: Turn, operation: number): void {
  const { node } = turn
  const attempt = node.fencing.find((each) => each.operation === operation)
  if (attempt === undefined) return
  replace(node, { ...attempt, outcome: "confirmed" })
  report(turn, "info", "fence-confirmed", nameOf(node, attempt.node), "its fence device turned it off")
  // Of another view: it is asked for again there, if it is still needed, and is quickly done.
  if (attempt.ring !== ringOf(node)) return
  const number = node.operator.nextNumber
  node.operator = { ...node.operator, nextNumber: number + 1 }
  const command = { kind: "fence-confirm", node: attempt.node, ...attempt.vouched } as const
  order(turn, { kind: "command", number, incarnation: node.incarnation, command })
}

export function onFenceFailed(turn: Turn, operation: number, reason: string): void {
  const { node, now } = turn
  const attempt = node.fencing.find((each) => each.operation === operation)
  if (attempt === undefined) return
  const wait = Math.min(retryMin * 2 ** attempt.failures, retryMax)
  replace(node, {
    ...attempt,
    outcome: "failed",
    failures: attempt.failures + 1,
    again: after(now, millis(wait)),
  })
  report(turn, "critical", "fence-failed", nameOf(node, attempt.node), reason)
}

/** Told to people when the first of this node's devices fails and when the last one answers again. */
export function onDeviceChecked(turn: Turn, device: string, problem: string | undefined): void {
  const { node } = turn
  const before = node.deadDevices.size
  node.deadDevices =
    problem === undefined
      ? withoutEntry(node.deadDevices, device)
      : withEntry(node.deadDevices, device, problem)
  if (problem !== undefined)
    report(turn, "warning", "fence-device-failed", node.self.name, `${device}: ${problem}`)
  else if (before > 0 && node.deadDevices.size === 0)
    report(turn, "info", "fence-device-ok", node.self.name, device)
}

/** When the next attempt is due, if a service is still blocked then. */
export function nextFencing(node: NodeState): readonly Instant[] {
  const ring = ringOf(node)
  const again = node.fencing
    .filter((attempt) => attempt.ring === ring && attempt.outcome === "failed")
    .map((attempt) => attempt.again)
  return [...again, node.strangersFencedFrom]
}

/** One at a time for each node. What was confirmed is asked for again only if it vouches for too little by now. */
function isDue({ node, now }: Turn, target: NodeId): boolean {
  const vouched = vouchedNow(node, target)
  if (vouched.incarnation === 0 && now < node.strangersFencedFrom) return false
  if (isComingUp(node, target, now)) return false
  const attempt = node.fencing.find((each) => each.node === target)
  if (attempt === undefined) return true
  if (attempt.outcome === "awaited") return false
  if (attempt.ring !== ringOf(node)) return true
  if (attempt.outcome === "failed") return attempt.again <= now
  return !isSame(attempt.vouched, vouched)
}

/**
 * It has started and is about to join the ring: what others formed without it a moment earlier is no reason to turn it off. It
 * is probed meanwhile, so there is a step soon after this has ended.
 */
function isComingUp(node: NodeState, target: NodeId, now: Instant): boolean {
  const { newSince, heard } = node.links.peers.get(target) ?? {}
  if (newSince === undefined || heard === undefined || node.peers.get(target)?.sameSite !== true) return false
  return now < after(newSince, startupGrace) && now < after(heard, silentMax)
}

function begin(turn: Turn, target: NodeId): void {
  const { node, now } = turn
  const operation = node.nextOperation
  node.nextOperation += 1
  const failures = attemptOf(node, target)?.failures ?? 0
  replace(node, {
    node: target,
    operation,
    outcome: "awaited",
    ring: ringOf(node),
    vouched: vouchedNow(node, target),
    failures,
    again: now,
  })
  if (failures === 0) report(turn, "critical", "fence-needed", nameOf(node, target), "asked its fence device")
  else log(turn, "info", "fence-again", { node: nameOf(node, target), failures })
  turn.effects.push({ kind: "fence-node", operation, node: target })
}

function isSame(a: Vouched, b: Vouched): boolean {
  return (
    a.incarnation === b.incarnation &&
    a.mandates.length === b.mandates.length &&
    a.mandates.every(({ ticket, epoch }) =>
      b.mandates.some((each) => each.ticket === ticket && each.epoch === epoch),
    )
  )
}

/** Of this view. */
function attemptOf(node: NodeState, target: NodeId): FenceAttempt | undefined {
  const ring = ringOf(node)
  return node.fencing.find((each) => each.node === target && each.ring === ring)
}

/** The newest attempt of each node is kept. */
function replace(node: NodeState, attempt: FenceAttempt): void {
  node.fencing = [...node.fencing.filter((each) => each.node !== attempt.node), attempt]
}

function ringOf(node: NodeState): string {
  return node.view === undefined ? "" : ringKey(node.view.ring)
}

function nameOf(node: NodeState, id: NodeId): string {
  return node.config.nodes.find((each) => each.id === id)?.name ?? String(id)
}
