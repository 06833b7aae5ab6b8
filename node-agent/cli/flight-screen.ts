/** The text of `quorumbeat blackbox show`: one line for what happened, one for each thing that was asked for. */
import { decodeFrame } from "../../protocol/frames.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { NodeEvent } from "../core/events.ts"
import type { NodeState } from "../core/state.ts"
import type { FlightRecord, RecordStep } from "../host/flight-record.ts"

/** Offset of the sender and of the receiver in a datagram's clear header. */
const senderOffset = 12
const wordsMax = 160

export function flightLines(record: FlightRecord): readonly string[] {
  const { cluster, node, reason, wall, monotonic } = record.heading
  const steps = record.segments.reduce((sum, each) => sum + each.steps.length, 0)
  const state = record.segments[0]?.state()
  const names = state === undefined ? new Map() : namesOf(state)
  return [
    `${cluster}  node ${node}, kept ${new Date(wall).toISOString()} (${reason}), ${steps} steps`,
    "times in milliseconds before it was kept",
    "",
    ...record.segments.flatMap((segment) =>
      segment.steps.flatMap((step) => stepLines(step, step.at - monotonic, names)),
    ),
  ]
}

function namesOf(state: NodeState): ReadonlyMap<number, string> {
  return new Map(state.config.nodes.map(({ id, name }) => [id, name]))
}

function stepLines(step: RecordStep, at: number, names: ReadonlyMap<number, string>): readonly string[] {
  const sealed = [...step.sealed]
  const time = at.toFixed(3).padStart(12)
  return [
    `${time}  ${eventWords(step, names)}`,
    ...step.effects.map((effect) => `${" ".repeat(12)}    ${effectWords(effect, sealed, names)}`),
  ]
}

function eventWords({ event, opened }: RecordStep, names: ReadonlyMap<number, string>): string {
  if (event.kind !== "datagram-received") return words(event)
  const from = nameAt(event.bytes, senderOffset, names)
  const body = opened.findLast((each) => each !== undefined)
  return `<- ${from} on ${event.link}: ${body === undefined ? "dropped" : frameWords(body)}`
}

/** The same bytes on every link were sealed once. */
function effectWords(effect: NodeEffect, sealed: Uint8Array[], names: ReadonlyMap<number, string>): string {
  if (effect.kind !== "send") return words(effect)
  const to = names.get(effect.to) ?? String(effect.to)
  if (effect.link !== 0 && effect.link !== "wan") return `-> ${to} on ${effect.link}: the same`
  const body = sealed.shift()
  return `-> ${to} on ${effect.link}: ${body === undefined ? "sealed before" : frameWords(body)}`
}

function nameAt(bytes: Uint8Array, offset: number, names: ReadonlyMap<number, string>): string {
  const id = (bytes[offset] ?? 0) * 256 + (bytes[offset + 1] ?? 0)
  return names.get(id) ?? String(id)
}

function frameWords(body: Uint8Array): string {
  const frame = decodeFrame(body)
  return frame.kind === "ok" ? words(frame.value) : "hello"
}

/** `kind key=value ...`; lists by their length. */
function words(value: NodeEvent | NodeEffect | { readonly kind: string }): string {
  const { kind, ...rest } = value
  const text = Object.entries(rest)
    .map(([key, each]) => `${key}=${short(each)}`)
    .join(" ")
  return `${kind} ${text}`.trimEnd().slice(0, wordsMax)
}

function short(value: unknown): string {
  if (Array.isArray(value))
    return value.every((each) => typeof each !== "object") ? value.join(",") : `[${value.length}]`
  return typeof value === "object" ? JSON.stringify(value) : String(value)
}
