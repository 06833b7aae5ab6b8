/**
 * Events of members reach the witness through the coordinator, which alone posts (SPEC LN10): one at a time, as ordered
 * messages that change nothing. An event leaves its origin when it is delivered; the witness takes each once.
 */
import { frameLimits } from "../../protocol/frame.ts"
import type { ReportedEvent } from "../../protocol/summaries.ts"
import { encodeMessage, type Message } from "./messages.ts"
import { ringVersion } from "./report.ts"
import { order } from "./ring.ts"
import { keepEvent, type Turn } from "./turn.ts"
import { beginAct, endAct } from "./view.ts"

const act = "event"

export function relayEvents(turn: Turn): void {
  const { node } = turn
  const { view, ring, config, membership } = node
  const [event] = node.witness.events
  if (event === undefined || config.witness === undefined || view === undefined || ring === undefined) return
  if (membership.kind !== "operational" || view.coordinator === node.self.id) return
  if (ringVersion(node) < 2) return
  if (beginAct(node, act)) order(turn, fittingMessage(event))
}

/** The detail is for people and may be cut; what it is about is bounded. */
function fittingMessage(event: ReportedEvent): Message {
  const whole: Message = { kind: "event", event }
  if (encodeMessage(whole).length <= frameLimits.payloadBytes) return whole
  return { kind: "event", event: { ...event, subject: event.subject.slice(0, 64), detail: "" } }
}

export function onEventDelivered(turn: Turn, origin: number, event: ReportedEvent): void {
  const { node } = turn
  if (origin === node.self.id) {
    endAct(node, act)
    const events = node.witness.events.filter((each) => each.id !== event.id)
    node.witness = { ...node.witness, events }
  }
  if (node.view?.coordinator === node.self.id) keepEvent(node, event)
}
