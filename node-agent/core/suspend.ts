/**
 * The machine was suspended (SPEC L11): CLOCK_MONOTONIC stood still while the world went on, so every deadline this node
 * holds as a right lies too late by the time slept, and what it waits for lies too late as well, which is harmless.
 * All rights are revoked, with everything from which an answer under way could still make one.
 */
import type { Millis } from "../../protocol/units.ts"
import { giveUp } from "./activations.ts"
import { enterGather } from "./membership.ts"
import { updateTicket } from "./pledges.ts"
import { report, type Turn } from "./turn.ts"
import { updateView } from "./view.ts"

export function onSuspended(turn: Turn, slept: Millis): void {
  const { node } = turn
  // First of all: lease files and gates say that nothing may act.
  for (const activation of node.activations.values()) {
    if (activation.epoch !== undefined) giveUp(turn, activation, "suspended")
  }
  updateView(node, (view) => ({
    voice: { ...view.voice, deadline: undefined },
    memo: { ...view.memo, offered: undefined },
  }))
  for (const ticket of node.tickets.keys()) {
    updateTicket(node, ticket, () => ({ votes: new Map(), requests: new Map() }))
  }
  // A grant counts from the sending of its claim, by a clock that stood still since.
  node.witness = { ...node.witness, sent: new Map(), outstanding: undefined }
  report(
    turn,
    "critical",
    "suspended",
    node.self.name,
    `the machine was suspended for ${Math.round(slept)} ms: all rights revoked`,
  )
  turn.effects.push({ kind: "keep-record", reason: "suspended" })
  // The ring lease ends with the ring, which others have left long ago if it took long.
  enterGather(turn, "suspended", undefined)
}
