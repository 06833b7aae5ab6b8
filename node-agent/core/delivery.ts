/**
 * Delivery (SPEC R12, I4): ordered messages reach the layers above once every member has received, and where needed
 * stored, them. All members deliver the same ones in the same order; in Recovery only reports are delivered.
 */
import type { OrderedMessage } from "../../protocol/frame.ts"
import type { NodeId } from "../../protocol/units.ts"
import { afterAssignment, afterRevocation, notePhase } from "./activations.ts"
import { acknowledge, afterCommandDelivered, reorderCommands } from "./commands.ts"
import { afterActivation, afterProposal, storeProposal } from "./configuration.ts"
import { onEventDelivered } from "./event-relay.ts"
import { forgetting } from "./failures.ts"
import { installView } from "./install.ts"
import { enterGather } from "./membership.ts"
import { adoptMemo, afterMemo, collectMemo } from "./memo.ts"
import { type Message, parseMessage } from "./messages.ts"
import { applyOrdered, type Ordering } from "./ordered.ts"
import { adoptPin, adoptStranger } from "./pin.ts"
import { afterPledge, afterUnpledge, storePledge, storeUnpledge } from "./pledges.ts"
import { noteAssigned } from "./proven.ts"
import type { NodeState } from "./state.ts"
import { storeVoiceEpoch } from "./stored.ts"
import { log, type Turn, withEntry } from "./turn.ts"
import { endAct, entitle, handOver, noteDeparted, noteDeparting } from "./view.ts"

export function deliverSafe(turn: Turn, safe: number): void {
  const { node } = turn
  for (;;) {
    const { ring } = node
    const next = ring?.log[0]
    if (ring === undefined || next === undefined || next.seq > safe) return
    node.ring = { ...ring, log: ring.log.slice(1), delivered: next.seq }
    deliver(turn, next)
  }
}

function deliver(turn: Turn, message: OrderedMessage): void {
  const { node } = turn
  const parsed = parseMessage(message.payload)
  if (parsed.kind === "error") {
    log(turn, "error", "message-malformed", { origin: message.origin, detail: parsed.error.detail })
    return
  }
  if (node.membership.kind === "recovery") {
    if (parsed.value.kind === "report") collectReport(turn, message, parsed.value)
    return
  }
  if (parsed.value.kind === "voice") {
    // Of one that has given the role away nobody takes the memo any more, without which the word must not count (SPEC VL6).
    if (message.origin !== node.view?.coordinator) return
    entitle(turn, parsed.value.epoch)
  }
  if (node.view?.entitled) node.ordered = applyOrdered(node.ordered, parsed.value, orderingOf(node, message))
  react(turn, message, parsed.value)
}

function orderingOf(node: NodeState, message: OrderedMessage): Ordering {
  const voice = node.ordered.voiceEpoch
  const { sequence: ring, representative } = node.ring?.id ?? { sequence: 0, representative: 0 }
  return { voice, ring, representative, seq: message.seq, origin: message.origin, site: node.self.site }
}

function react(turn: Turn, message: OrderedMessage, value: Message): void {
  switch (value.kind) {
    case "report":
      return
    case "memo": {
      const text = collectMemo(turn, message.origin, value)
      if (text !== undefined) adoptMemo(turn, text)
      return
    }
    case "configure":
      return afterProposal(turn, value)
    case "activate":
      return afterActivation(turn, value)
    case "pledge":
      return afterPledge(turn, message.origin, value)
    case "unpledge":
      afterUnpledge(turn, value)
      if (value.site === turn.node.self.site && message.origin === turn.node.self.id) {
        const { ticket, epoch, stopped, next } = value
        afterMemo(turn, { kind: "release", ticket, epoch, stopped, next })
      }
      return
    case "assign":
      noteAssigned(turn, value)
      return afterAssignment(turn, value)
    case "forget":
      return endAct(turn.node, forgetting(value))
    case "revoke":
      return afterRevocation(turn, value)
    case "phase":
      return notePhase(turn, message.origin, value)
    case "command":
    case "setting":
      return afterCommandDelivered(turn, message.origin, value)
    case "voice":
      endAct(turn.node, "voice")
      return reorderCommands(turn)
    case "recorded":
      return value.node === turn.node.self.id ? acknowledge(turn, value.number) : undefined
    case "pin":
      return adoptPin(turn, value.witness)
    case "accept":
      return adoptStranger(turn, value.witness, value.wait)
    case "event":
      return onEventDelivered(turn, message.origin, value.event)
    case "departing":
      return noteDeparting(turn, message.origin)
    case "departed":
      noteDeparted(turn, message.origin)
      // Nothing is owed to a member that exercises nothing any more: the others go on without it at once.
      if (message.origin !== turn.node.self.id) enterGather(turn, "member-departed", message.origin)
      return
    case "coordinator":
      return handOver(turn, message.origin, value.node)
  }
}

function collectReport(
  turn: Turn,
  message: OrderedMessage,
  value: Message & { readonly kind: "report" },
): void {
  const { node } = turn
  const { ring } = node
  if (ring === undefined) return
  const pieces = [
    ...(ring.reports.get(message.origin) ?? Array.from({ length: value.parts }, () => undefined)),
  ]
  if (pieces.length !== value.parts) return enterGather(turn, "report-malformed", message.origin)
  pieces[value.part] = value.text
  node.ring = { ...ring, reports: withEntry(ring.reports, message.origin, pieces) }
  installView(turn, message.seq)
}

const kindsReceived = ['"pledge"', '"assign"', '"unpledge"'] as const

/**
 * What a message does at its receipt, before it is delivered. Durable before spoken: the write that it needs; undefined: none. And
 * what is given up is not counted from then on.
 */
export function receiveOrdered(turn: Turn, payload: string, origin: NodeId): number | undefined {
  if (payload.startsWith("configure ")) {
    const piece = parseMessage(payload)
    return piece.kind === "ok" && piece.value.kind === "configure"
      ? storeProposal(turn, origin, piece.value)
      : undefined
  }
  if (!kindsReceived.some((kind) => payload.includes(kind))) return undefined
  const parsed = parseMessage(payload)
  if (parsed.kind === "error") return undefined
  switch (parsed.value.kind) {
    case "pledge":
      return storePledge(turn, parsed.value)
    case "assign":
      return storeVoiceEpoch(turn, parsed.value.voice)
    case "unpledge":
      return storeUnpledge(turn, parsed.value)
    default:
      return undefined
  }
}
