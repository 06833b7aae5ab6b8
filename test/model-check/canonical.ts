/**
 * One text for all states that go on alike: instants relative to the clock they are on, sealing left out (its counters
 * differ with every path and decide nothing about fresh frames), and what only people read.
 */
import { createHash } from "node:crypto"
import { headerBytes, sealTagBytes } from "../../protocol/datagram.ts"
import { decodeFrame } from "../../protocol/frames.ts"
import { margin } from "./clusters.ts"
import { clockStart, localTime, type Machine, type Model, type Packet } from "./model.ts"

export function keyOf(model: Model): string {
  return createHash("md5").update(textOf(model)).digest("base64")
}

export function textOf(model: Model): string {
  const machines = model.machines.map((machine) => machineText(machine, model))
  const queue = model.queue.map((packet) => packetText(packet, model))
  const witness = valueText({ ...model.arbiter, rules: undefined, lastDocuments: undefined }, 0)
  const activations = valueText(model.activations, 0)
  return [...machines, ...queue, witness, [...model.cuts].sort().join(), activations].join("\n")
}

function machineText(machine: Machine, { now }: Model): string {
  const { node, life, disk, standsUntil, running, leases } = machine
  const files = [...leases].flatMap(([service, { epoch, until }]) =>
    until > now - margin ? [[service, epoch, rounded(until - now)]] : [],
  )
  const around = { life, disk, stands: Math.max(0, standsUntil - now), running, files }
  return `${valueText(around, 0)}${valueText(node, localTime(machine, now))}`
}

function packetText(packet: Packet, { now, machines }: Model): string {
  const wait = Math.max(0, packet.due - now)
  if (packet.kind === "datagram") {
    const { from, to, bytes } = packet
    const isHello = bytes[3] === 1
    const frame = isHello ? undefined : decodeFrame(bytes.subarray(headerBytes, bytes.length - sealTagBytes))
    return `${wait} ${from}>${to} ${frame?.kind === "ok" ? valueText(frame.value, 0) : bytes.length}`
  }
  const of = packet.kind === "post" ? packet.from : packet.to
  const machine = machines.find(({ id }) => id === of)
  return `${wait}${valueText({ ...packet, due: 0 }, machine === undefined ? 0 : localTime(machine, now))}`
}

/** By their name: configuration, sealing, chance, and what is told to people. */
const ignored = new Set([
  ...["config", "self", "sessions", "random", "steppedAt"],
  ...["recent", "nextEvent", "dropped", "events", "wall", "health", "healthTold"],
])

function valueText(value: unknown, now: number): string {
  switch (typeof value) {
    case "number":
      // Nothing but instants comes near.
      return value > clockStart / 2 && value < clockStart * 2 ? `@${rounded(value - now)}` : `${value}`
    case "string":
      return JSON.stringify(value)
    case "object":
      return objectText(value, now)
    default:
      return String(value)
  }
}

function objectText(value: object | null, now: number): string {
  if (value === null) return "null"
  if (value instanceof Map) {
    let text = "{"
    for (const [key, each] of value) text += `${valueText(key, now)}:${valueText(each, now)},`
    return `${text}}`
  }
  let text = "["
  if (Array.isArray(value) || value instanceof Set || value instanceof Uint8Array) {
    for (const each of value) text += `${valueText(each, now)},`
    return `${text}]`
  }
  for (const [key, each] of Object.entries(value)) {
    if (ignored.has(key) || each === undefined || (key === "node" && typeof each === "object")) continue
    text += `${key}:${valueText(each, now)},`
  }
  return `${text}]`
}

/** Instants are multiples of the quantum times a rate, apart from what rounding does to them. */
function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
