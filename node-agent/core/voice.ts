/**
 * The voice lease at the witness (SPEC VL): what a view that needs the witness claims, and what a view that needs it no
 * longer gives back.
 */
import { type LeaseClaim, voiceLease } from "../../protocol/lease.ts"
import { ringKey, sameRing } from "../../protocol/units.ts"
import { votesOf } from "../../protocol/votes.ts"
import { memoText, type Plan } from "./memo.ts"
import { hasVoice } from "./rights.ts"
import type { NodeState, View } from "./state.ts"
import { log, type Turn } from "./turn.ts"
import { waitedOut } from "./watch.ts"

/** Claims or renews the site's voice for the present view; undefined: this view needs none. */
export function voiceClaim(turn: Turn, view: View, plans: readonly Plan[]): LeaseClaim | undefined {
  const { node, now } = turn
  if (view.standing.kind !== "needs-witness") return undefined
  const name = voiceLease(node.self.site)
  const seen = node.witness.watches.get(name)
  const text = memoText(node, plans)
  const base = view.memo.stored?.version ?? node.memoVersion
  return {
    kind: "voice",
    name,
    ring: view.ring,
    members: view.members,
    votes: votesOf(node.config, node.self.site, view.members),
    ownsService: [...node.activations.values()].some((activation) => activation.phase === "running"),
    ttl: node.config.timings.voiceTtl,
    seen: seen === undefined ? undefined : { epoch: seen.epoch, seq: seen.seq },
    waited: waitedOut(node, name, now),
    memo: view.memo.stored?.text === text ? undefined : { base, text },
  }
}

/**
 * A view that speaks alone releases what an earlier one with a common member still holds, so that the next claim is
 * granted at once (SPEC VL7).
 */
export function voiceRelease(node: NodeState, view: View, turn: Turn): LeaseClaim | undefined {
  if (view.standing.kind !== "majority-alone" || !hasVoice(node, turn.now)) return undefined
  const name = voiceLease(node.self.site)
  const watch = node.witness.watches.get(name)
  const holder = watch?.lease?.holder
  if (watch === undefined || holder?.kind !== "view" || sameRing(holder.ring, view.ring)) return undefined
  if (!holder.members.includes(node.self.id) || view.ring.sequence <= holder.ring.sequence) return undefined
  log(turn, "debug", "voice-release", { held_by: ringKey(holder.ring) })
  const by = { kind: "view", ring: view.ring, members: view.members, majorityAlone: true } as const
  return { kind: "release", name, epoch: watch.epoch, by, stopped: false }
}
