/** What happened in a world, a line a step, the same to the byte for the same seed. */
import type { NodeEffect } from "../core/effects.ts"
import type { NodeEvent } from "../core/events.ts"

export function traceLine(
  now: number,
  node: number,
  event: NodeEvent | { readonly kind: "started" },
  effects: readonly NodeEffect[],
): string {
  const told = effects.map((effect) => `\n             ${textOf(effect)}`)
  return `${now.toFixed(3).padStart(12)} n${node} ${textOf(event)}${told.join("")}`
}

/** The kind, then the fields as JSON; bytes as their number and a checksum. */
function textOf(record: NodeEffect | NodeEvent | { readonly kind: "started" }): string {
  const { kind, ...fields } = record
  return `${kind} ${JSON.stringify(fields, (_, value: unknown) => (value instanceof Uint8Array ? bytesText(value) : value))}`
}

function bytesText(bytes: Uint8Array): string {
  let sum = 0x811c9dc5
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193)
  return `${bytes.length} bytes ${(sum >>> 0).toString(16).padStart(8, "0")}`
}
