/**
 * The trace: each event with its effects as one line of JSON, and each right as it is written. A checker of many
 * nodes' traces on one machine (one CLOCK_MONOTONIC) reads exclusivity from the `right` lines alone.
 */
import type { Instant, NodeId } from "../../protocol/units.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { NodeEvent } from "../core/events.ts"
import { nanosecondsOf } from "./clock.ts"

/** `{"t_ns","node","event","effects"}`; bytes appear as their number only. */
export function traceLine(
  node: NodeId,
  event: NodeEvent,
  effects: readonly NodeEffect[],
  at: Instant,
): string {
  const short = { event: shortened(event), effects: effects.map(shortened) }
  return JSON.stringify({ t_ns: String(nanosecondsOf(at)), node, ...short })
}

/** `{"t_ns","node","right":{"service","epoch","deadline_ns"}}`; deadline "0": none. */
export function rightLine(
  node: NodeId,
  effect: Extract<NodeEffect, { kind: "write-lease" }>,
  at: Instant,
): string {
  const deadline = effect.deadline === undefined ? "0" : String(nanosecondsOf(effect.deadline))
  const right = { service: effect.service, epoch: effect.epoch, deadline_ns: deadline }
  return JSON.stringify({ t_ns: String(nanosecondsOf(at)), node, right })
}

function shortened(each: NodeEvent | NodeEffect): object {
  return "bytes" in each ? { ...each, bytes: each.bytes.length } : each
}
