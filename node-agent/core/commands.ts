/**
 * Operator commands (SPEC O, I5): ordered like everything else, acknowledged once every member has them, and where the
 * view needs the witness once the memo has them too.
 */
import { after, earliest, type Instant, millis, type NodeId } from "../../protocol/units.ts"
import { onConfigure } from "./configuration.ts"
import type { CommandResult } from "./effects.ts"
import type { OperatorCommand, SettingCommand, Vouched } from "./events.ts"
import { afterMemo, memoNeeded } from "./memo.ts"
import type { Message } from "./messages.ts"
import { isLeftAlone } from "./ordered.ts"
import { acceptStranger } from "./pin.ts"
import { ringVersion } from "./report.ts"
import { voiceUntil } from "./rights.ts"
import { order } from "./ring.ts"
import type { NodeState } from "./state.ts"
import { report, type Turn } from "./turn.ts"

/** An operator is not kept waiting longer; the command may still take effect, and the answer says so. */
const patience = millis(10_000)
/** Commands waiting for delivery; more are refused. */
const requestsMax = 32

export function onOperatorCommand(turn: Turn, request: number, command: OperatorCommand): void {
  const { node, now } = turn
  if (command.kind === "witness-accept") return answer(turn, request, accepted(turn))
  if (command.kind === "configure") return onConfigure(turn, request, command.document)
  const concrete = inOwnTerms(node, command)
  const refusal = typeof concrete === "string" ? concrete : refusalOf(node, now, concrete)
  if (typeof concrete === "string" || refusal !== undefined) {
    return answer(turn, request, { kind: "refused", reason: reasonOf(refusal), message: textOf(refusal) })
  }
  const number = node.operator.nextNumber
  node.operator = {
    nextNumber: number + 1,
    requests: [
      ...node.operator.requests,
      { request, number, command: concrete, deadline: after(now, patience) },
    ],
  }
  orderCommand(turn, number, concrete)
}

function orderCommand(turn: Turn, number: number, command: OperatorCommand): void {
  const { incarnation } = turn.node
  if (isSetting(command)) order(turn, { kind: "setting", number, incarnation, command })
  else order(turn, { kind: "command", number, incarnation, command })
}

function isSetting(command: OperatorCommand): command is SettingCommand {
  switch (command.kind) {
    case "node-standby":
    case "node-online":
    case "maintenance-on":
    case "maintenance-off":
      return true
    default:
      return false
  }
}

/** What some member would not understand is not ordered (SPEC N6). */
function isUnderstood(node: NodeState, command: OperatorCommand): boolean {
  return !isSetting(command) || ringVersion(node) >= 2
}

function accepted(turn: Turn): CommandResult {
  if (!acceptStranger(turn))
    return { kind: "refused", reason: "nothing-to-accept", message: "no other witness object was seen" }
  return { kind: "done", message: "the witness object seen now is believed from here on" }
}

/** Moves to a node of another site become moves of the ticket; a confirmation names the incarnation known here. */
function inOwnTerms(node: NodeState, command: OperatorCommand): OperatorCommand | string {
  if (command.kind === "service-move") {
    const service = node.config.services.find((each) => each.name === command.service)
    const target = node.config.nodes.find((each) => each.id === command.to)
    if (service === undefined) return `unknown-service: there is no service ${command.service}`
    if (target === undefined || !service.nodes.includes(target.id))
      return `unable: that node does not run ${command.service}`
    if (target.site !== node.self.site)
      return { kind: "ticket-move", ticket: service.ticket, to: target.site }
  }
  if (command.kind === "fence-confirm") {
    return { ...command, ...vouchedNow(node, command.node) }
  }
  return command
}

/** What can be said of a node that does not act now: its starts known here, at the mandates this site has. */
export function vouchedNow(node: NodeState, target: NodeId): Vouched {
  // A start that was never heard here may be known from the state alone.
  const heard = node.links.peers.get(target)?.incarnation ?? 0
  const incarnation = Math.max(heard, assignedIncarnation(node, target)) as NodeState["incarnation"]
  const mandates = [...node.tickets.values()].map(({ ticket, epoch }) => ({ ticket, epoch }))
  return { incarnation, mandates }
}

function assignedIncarnation(node: NodeState, id: NodeId): NodeState["incarnation"] {
  const incarnations = node.ordered.services.map(({ assignment }) =>
    assignment?.owner === id ? assignment.incarnation : 0,
  )
  return Math.max(0, ...incarnations) as NodeState["incarnation"]
}

function refusalOf(node: NodeState, now: Instant, command: OperatorCommand): string | undefined {
  const service = "service" in command ? command.service : undefined
  if (service !== undefined && !node.config.services.some((each) => each.name === service)) {
    return `unknown-service: there is no service ${service}`
  }
  if (command.kind === "fence-confirm") {
    if (!node.config.nodes.some((each) => each.id === command.node))
      return `unknown-node: there is no node ${command.node}`
    if (node.view?.members.includes(command.node) ?? false)
      return "still-here: that node is a member of this view"
  }
  if (command.kind === "node-standby" || command.kind === "node-online") {
    const target = node.config.nodes.find((each) => each.id === command.node)
    if (target === undefined) return `unknown-node: there is no node ${command.node}`
    if (target.site !== node.self.site)
      return `not-here: ${target.name} is of site ${target.site}; ask an agent of that site`
  }
  if (command.kind === "ticket-move") {
    const ticket = node.config.tickets.find((each) => each.name === command.ticket)
    if (ticket === undefined || !ticket.sites.includes(command.to))
      return "unknown-site: that site may not hold the ticket"
    if (node.tickets.get(command.ticket)?.gainedAt === undefined)
      return "not-here: this site does not hold the mandate; ask the one that does"
    const maintained = node.config.services.find(
      ({ name, ticket: of }) => of === command.ticket && isLeftAlone(node.ordered, name),
    )
    if (maintained !== undefined)
      return `in-maintenance: ${maintained.name} is in maintenance: it is not moved`
  }
  if (node.operator.requests.length >= requestsMax) return "busy: too many commands are waiting"
  const until = voiceUntil(node)
  if (until === undefined || until <= now) return "no-quorum: this node's view does not speak for its site"
  if (!isUnderstood(node, command))
    return "version: not every agent of this site knows it; upgrade them first"
  return undefined
}

function reasonOf(refusal: string | undefined): string {
  return refusal?.split(":")[0] ?? "refused"
}

function textOf(refusal: string | undefined): string {
  return refusal?.slice(refusal.indexOf(":") + 1).trim() ?? ""
}

function answer(turn: Turn, request: number, result: CommandResult): void {
  turn.effects.push({ kind: "answer-operator", request, result })
}

export function afterCommandDelivered(
  turn: Turn,
  origin: NodeId,
  message: Message & { readonly kind: "command" | "setting" },
): void {
  const { node } = turn
  // Not applied, so not acknowledged: its origin orders it again once the view is entitled.
  if (node.view?.entitled !== true) return
  report(turn, "info", "operator-command", message.command.kind, JSON.stringify(message.command))
  if (!memoNeeded(node)) {
    if (origin === node.self.id) acknowledge(turn, message.number)
  } else if (node.view?.coordinator === node.self.id) {
    afterMemo(turn, { kind: "recorded", node: origin, number: message.number })
  }
}

/** Delivered and, where needed, recorded: it is not lost by any fault that leaves a quorum. */
export function acknowledge(turn: Turn, number: number): void {
  const { node } = turn
  const command = node.operator.requests.find((each) => each.number === number)?.command
  if (command === undefined) return
  const isLater = !isSetting(command) && "service" in command && isLeftAlone(node.ordered, command.service)
  const when = isLater ? "; it takes effect when maintenance is over" : ""
  settle(turn, number, { kind: "done", message: `${command.kind} is ordered${when}` })
}

function settle(turn: Turn, number: number, result: CommandResult): void {
  const { node } = turn
  const waiting = node.operator.requests.find((each) => each.number === number)
  if (waiting === undefined) return
  node.operator = { ...node.operator, requests: node.operator.requests.filter((each) => each !== waiting) }
  answer(turn, waiting.request, result)
}

/** In a new view, once it is entitled: what the old one had ordered is acknowledged, the rest is ordered again. */
export function reorderCommands(turn: Turn): void {
  const { node } = turn
  const mine = node.ordered.commands.find(
    (entry) => entry.node === node.self.id && entry.incarnation === node.incarnation,
  )
  for (const { number, command } of node.operator.requests) {
    if (!isUnderstood(node, command)) refuse(turn, number)
    else if (mine !== undefined && mine.number >= number && !memoNeeded(node)) acknowledge(turn, number)
    else orderCommand(turn, number, command)
  }
}

/** A member that does not know the setting may be the one whose state the next view goes on with. */
function refuse(turn: Turn, number: number): void {
  settle(turn, number, {
    kind: "refused",
    reason: "version",
    message: "an agent that does not know it joined; it may still take effect",
  })
}

export function tickCommands(turn: Turn): void {
  const { node, now } = turn
  const message = "not confirmed in time; it may still take effect"
  for (const { deadline, number } of node.operator.requests)
    if (deadline <= now) settle(turn, number, { kind: "refused", reason: "timeout", message })
}

export function nextCommandWork(node: NodeState): Instant | undefined {
  return earliest(...node.operator.requests.map((each) => each.deadline))
}
