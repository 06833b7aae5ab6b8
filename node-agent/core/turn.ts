/** One step in progress: the node, the instant, and the effects so far, in order. */
import type { Frame } from "../../protocol/frame.ts"
import { encodeFrame } from "../../protocol/frames.ts"
import type { ReportedEvent, Severity } from "../../protocol/summaries.ts"
import { earlier, type Instant, type NodeId } from "../../protocol/units.ts"
import type { DurableState } from "./durable.ts"
import type { LogFields, LogLevel, NodeEffect } from "./effects.ts"
import { sealBody, sealTo, versionWith } from "./session.ts"
import type { NodeState } from "./state.ts"

export interface Turn {
  readonly node: NodeState
  readonly now: Instant
  readonly effects: NodeEffect[]
}

export function log(turn: Turn, level: LogLevel, event: string, fields: LogFields = {}): void {
  turn.effects.push({ kind: "log", level, event, fields })
}

/** Seals a frame and sends it on every link the two nodes share. Without a session it is dropped: a hello is on its way. */
export function send(turn: Turn, to: NodeId, frame: Frame): void {
  const { node } = turn
  const peer = node.peers.get(to)
  if (peer === undefined) return
  const understood = frame.kind === "join" ? forVersion(frame, versionWith(node.sessions, to)) : frame
  sendSealed(turn, to, sealTo(node.sessions, to, understood))
}

/** The same frame to several peers: sealed for each, encoded once for all of one version. */
export function sendToAll(turn: Turn, peers: readonly NodeId[], frame: Frame): void {
  const { node } = turn
  const bodies = new Map<number, Uint8Array>()
  for (const to of peers) {
    const version = versionWith(node.sessions, to)
    if (version === undefined) continue
    const body = bodies.get(version) ?? encodeFrame(forVersion(frame, version))
    bodies.set(version, body)
    sendSealed(turn, to, sealBody(node.sessions, to, body))
  }
}

function sendSealed(turn: Turn, to: NodeId, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) return
  for (const link of turn.node.links.peers.get(to)?.links ?? []) link.sent += 1
  sendBytes(turn, to, bytes)
}

/** A node of version 1 reads no join that names the configuration. */
function forVersion(frame: Frame, version: number | undefined): Frame {
  return frame.kind === "join" && version === 1 ? { ...frame, configuration: undefined } : frame
}

/** Over one ring link alone: what measures it. */
export function sendOver(turn: Turn, to: NodeId, link: number, frame: Frame): void {
  const { node } = turn
  const found = node.links.peers.get(to)?.links[link]
  const bytes = found === undefined ? undefined : sealTo(node.sessions, to, frame)
  if (found === undefined || bytes === undefined) return
  found.sent += 1
  turn.effects.push({ kind: "send", to, link, bytes })
}

/**
 * The same bytes on every shared link: the first copy wins by the replay window. Links that are down are no exception:
 * what goes over them finds out that they are back.
 */
export function sendBytes(turn: Turn, to: NodeId, bytes: Uint8Array): void {
  const peer = turn.node.peers.get(to)
  if (peer === undefined) return
  if (!peer.sameSite) {
    turn.effects.push({ kind: "send", to, link: "wan", bytes })
    return
  }
  const links = Math.min(peer.node.links.length, turn.node.self.links.length)
  for (let link = 0; link < links; link++) turn.effects.push({ kind: "send", to, link, bytes })
}

/** Orders a durable write; returns its number, to wait for in `persisted`. */
export function persist(turn: Turn, change: Partial<DurableState>): number {
  const { node } = turn
  const write = node.durable.ordered + 1
  const state = { ...node.durable.state, ...change }
  node.durable = { ...node.durable, state, ordered: write }
  turn.effects.push({ kind: "persist", write, state })
  return write
}

const recentEventsMax = 50
/** Events wait for the witness; beyond this many the oldest are dropped: the log has them. */
const unsentEventsMax = 100

/**
 * Something operators should know: logged, kept for status, sent to the witness with the next summary. `cause` makes one
 * incident of what this node and the witness both notice; what nobody else notices has none.
 */
export function report(
  turn: Turn,
  severity: Severity,
  kind: string,
  subject: string,
  detail: string,
  cause?: string,
): void {
  const { node } = turn
  const event: ReportedEvent = {
    id: `${node.self.id}-${node.incarnation}-${node.nextEvent}`,
    kind,
    subject,
    severity,
    at: node.wall,
    detail,
    ...(cause === undefined ? {} : { cause }),
  }
  node.nextEvent += 1
  node.recent = [...node.recent, event].slice(-recentEventsMax)
  keepEvent(node, event)
  log(turn, severity === "info" ? "info" : "warn", kind, { subject, detail })
}

/** Kept until the witness has it. */
export function keepEvent(node: NodeState, event: ReportedEvent): void {
  const others = node.witness.events.filter((each) => each.id !== event.id)
  node.witness = { ...node.witness, events: inOrder(others, event).slice(-unsentEventsMax) }
}

/**
 * After those of its own origin and before later ones of others: who was coordinator before relays what it could not post, and a
 * node that came up then is not up again after it went down.
 */
function inOrder(events: readonly ReportedEvent[], event: ReportedEvent): readonly ReportedEvent[] {
  const last = events.findLastIndex((each) => originOf(each) === originOf(event))
  const at = events.findIndex((each, index) => index > last && each.at > event.at)
  return at < 0 ? [...events, event] : events.toSpliced(at, 0, event)
}

function originOf({ id }: ReportedEvent): string {
  return id.slice(0, id.indexOf("-"))
}

/** `map` with `key` set to `value`; the original is unchanged. */
export function withEntry<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  return new Map(map).set(key, value)
}

export function withoutEntry<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  const copy = new Map(map)
  copy.delete(key)
  return copy
}

/** The earliest of the instants that no step has reached yet: what was due before has been looked at. */
export function upcoming(node: NodeState, instants: readonly (Instant | undefined)[]): Instant | undefined {
  let next: Instant | undefined
  for (const each of instants) if (each !== undefined && each > node.steppedAt) next = earlier(next, each)
  return next
}
