/**
 * The trace: each event with its effects as one line of JSON, and beside it what a checker needs to judge many nodes'
 * traces together: which machine this is (`start`), each right as it is written (`right`), the rights that the node
 * exercises when they change (`exercise`), and a digest of what the members agree on when that changes (`state`).
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { type Instant, instant, type NodeId, ringKey, type WallTime } from "../../protocol/units.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { NodeEvent } from "../core/events.ts"
import { mandateUntil, needsMandate, voiceUntil } from "../core/rights.ts"
import type { NodeState, OrderedState } from "../core/state.ts"
import { nanosecondsOf } from "./clock.ts"

/** The lines of one node since its start. */
export class Tracer {
  #exercised: string | undefined
  #ordered: OrderedState | undefined

  /** `{"t_ns","node","start":{"cluster","site","incarnation","boot_id","wall_ms"}}`; equal boot ids share one monotonic clock. */
  startLine({ config, self, incarnation }: NodeState, bootId: string, wall: WallTime, at: Instant): string {
    const start = { cluster: config.name, site: self.site, incarnation, boot_id: bootId, wall_ms: wall }
    return line(self.id, at, { start })
  }

  /** Of one step; `node` is the state after it. */
  stepLines(
    node: NodeState,
    event: NodeEvent,
    effects: readonly NodeEffect[],
    at: Instant,
  ): readonly string[] {
    const { id } = node.self
    const rights = effects.flatMap((effect) =>
      effect.kind === "write-lease" ? [rightLine(id, effect, at)] : [],
    )
    return [
      traceLine(id, event, effects, at),
      ...rights,
      ...this.#exerciseLines(node, at),
      ...this.#stateLines(node, at),
    ]
  }

  #exerciseLines(node: NodeState, at: Instant): readonly string[] {
    const exercise = exerciseOf(node)
    const text = JSON.stringify(exercise)
    if (text === this.#exercised) return []
    this.#exercised = text
    return [line(node.self.id, at, { exercise })]
  }

  #stateLines({ self, view, ordered }: NodeState, at: Instant): readonly string[] {
    if (view === undefined || ordered === this.#ordered) return []
    this.#ordered = ordered
    const { number } = ordered
    const digest = createHash("sha256").update(JSON.stringify(ordered)).digest("hex").slice(0, 16)
    const state = {
      ring: ringKey(view.ring),
      members: view.members,
      number: `${number.ring}.${number.seq}`,
      digest,
    }
    return [line(self.id, at, { state })]
  }
}

/** `{"t_ns","node","event","effects"}`; bytes appear as their number only. */
export function traceLine(
  node: NodeId,
  event: NodeEvent,
  effects: readonly NodeEffect[],
  at: Instant,
): string {
  return line(node, at, { event: shortened(event), effects: effects.map(shortened) })
}

/** `{"t_ns","node","right":{"service","epoch","deadline_ns"}}`; deadline "0": none. */
export function rightLine(
  node: NodeId,
  effect: Extract<NodeEffect, { kind: "write-lease" }>,
  at: Instant,
): string {
  const { service, epoch, deadline } = effect
  return line(node, at, { right: { service, epoch, deadline_ns: until(deadline) } })
}

/**
 * What the node exercises if nothing else happens (SPEC VL1): its view's voice from `from_ns` to `until_ns`, and with it the
 * mandates it holds. Nothing without voice.
 */
function exerciseOf(node: NodeState): object {
  const voice = voiceUntil(node)
  if (voice === undefined || node.view === undefined) return { ring: null }
  const mandates = [...node.tickets.values()].flatMap((state) => {
    const mandate = needsMandate(node, state.ticket) ? mandateUntil(node, state) : undefined
    return mandate === undefined ? [] : [{ ticket: state.ticket, until_ns: until(earlier(mandate, voice)) }]
  })
  return {
    ring: ringKey(node.view.ring),
    from_ns: until(node.view.activateAt),
    until_ns: until(voice),
    mandates,
  }
}

function earlier(a: Instant, b: Instant): Instant {
  return instant(Math.min(a, b))
}

function until(at: Instant | undefined): string {
  return at === undefined ? "0" : String(nanosecondsOf(at))
}

function line(node: NodeId, at: Instant, content: object): string {
  return JSON.stringify({ t_ns: String(nanosecondsOf(at)), node, ...content })
}

function shortened(each: NodeEvent | NodeEffect): object {
  return "bytes" in each ? { ...each, bytes: each.bytes.length } : each
}

/** Names one run of this machine's kernel, and so its monotonic clock. */
export function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
}
