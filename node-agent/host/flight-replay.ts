/**
 * Replays a flight record: the core of this program is given the recorded state and events, and must ask for the
 * recorded effects. Cryptography is played back: opening gives what it gave then, sealing is compared in the clear.
 */

import { sealTagBytes } from "../../protocol/datagram.ts"
import { err, ok, type Result } from "../../protocol/result.ts"
import type { Cryptography, SealingKey } from "../core/cryptography.ts"
import type { NodeEffect } from "../core/effects.ts"
import { step } from "../core/node.ts"
import type { NodeState } from "../core/state.ts"
import { readDocument } from "./configuration-document.ts"
import type { FlightRecord, RecordSegment, RecordStep } from "./flight-record.ts"
import { keptHeaderBytes } from "./flight-recorder.ts"

/** The number of steps replayed, or the first difference. */
export function replay(record: FlightRecord): Result<number, string> {
  let steps = 0
  for (const segment of record.segments) {
    const difference = replaySegment(segment)
    if (difference !== undefined) return err(difference)
    steps += segment.steps.length
  }
  return ok(steps)
}

function replaySegment(segment: RecordSegment): string | undefined {
  const player = new Player()
  const state = segment.state()
  const accepted = state.sessions.keyRing.accepted
  const node: NodeState = {
    ...state,
    readConfiguration: (document) => readDocument(document)?.config,
    sessions: { ...state.sessions, cryptography: player.cryptography(accepted) },
  }
  for (const [index, recorded] of segment.steps.entries()) {
    player.load(recorded)
    const effects = step(node, recorded.event, recorded.at)
    const difference = differenceOf(recorded, effects, player.sealed)
    if (difference !== undefined) return `step ${index + 1} at ${recorded.at.toFixed(3)}: ${difference}`
  }
  return undefined
}

const key: SealingKey = { kind: "sealing-key" }

class Player {
  sealed: Uint8Array[] = []
  #opened: (Uint8Array | undefined)[] = []

  load(recorded: RecordStep): void {
    this.#opened = [...recorded.opened]
    this.sealed = []
  }

  cryptography(keyIds: readonly number[]): Cryptography {
    return {
      deriveKey: (keyId) => (keyIds.includes(keyId) ? key : undefined),
      open: () => this.#opened.shift(),
      seal: (_key, _nonce, _header, body) => {
        this.sealed.push(body)
        return new Uint8Array(body.length + sealTagBytes)
      },
    }
  }
}

function differenceOf(
  recorded: RecordStep,
  effects: readonly NodeEffect[],
  sealed: readonly Uint8Array[],
): string | undefined {
  const then = recorded.effects.map(comparable)
  const now = effects.map(comparable)
  const at = Math.max(then.length, now.length)
  for (let index = 0; index < at; index += 1) {
    if (then[index] !== now[index])
      return `after ${recorded.event.kind} it asked for ${then[index] ?? "nothing"}, now for ${now[index] ?? "nothing"}`
  }
  const frames = (bodies: readonly Uint8Array[]) =>
    bodies.map((body) => Buffer.from(body).toString("hex")).join(" ")
  return frames(recorded.sealed) === frames(sealed) ? undefined : "what it sends is not the same"
}

/** A datagram by its header and length: the rest is sealed. */
function comparable(effect: NodeEffect): string {
  if (effect.kind !== "send") return JSON.stringify(effect)
  const header = Buffer.from(effect.bytes.subarray(0, keptHeaderBytes)).toString("hex")
  return JSON.stringify({ ...effect, bytes: `${effect.bytes.length} ${header}` })
}
