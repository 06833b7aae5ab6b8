/**
 * Services on this node (SPEC S): an owner acts while its deadline is ahead, and that is raised only by rights that are
 * all in order. Starting and stopping happen elsewhere; what this node does is told to the others in ordered messages.
 */
import {
  after,
  earlier,
  elapsed,
  type Instant,
  instant,
  millis,
  type NodeId,
  type ServiceName,
} from "../../protocol/units.ts"
import { foundActive, isOutranked, watchDualActive } from "./dual-active.ts"
import type { FoundService, NodeEvent } from "./events.ts"
import type { Message } from "./messages.ts"
import { isLeftAlone } from "./ordered.ts"
import { mandateOf } from "./placement.ts"
import { hasVoice, needsMandate, serviceUntil } from "./rights.ts"
import { order } from "./ring.ts"
import type { Activation, Assignment, NodeState, ServiceRecord } from "./state.ts"
import { log, report, type Turn, withEntry } from "./turn.ts"
import { beginAct, endAct, updateView } from "./view.ts"
import { isArmed } from "./watchdog.ts"

/** Share of a ring lease that a deadline must grow by before the lease file is written again. */
const leaseFileShare = 8
/** Told with `stopped` by a node that cannot start the service: its process that runs resources is away. */
const nobodyToStart = "nobody to start it"
/** The same: the service's proof is the gate, and this node has none. */
export const noGate = "no gate here"
/** The same: the service's proof is the watchdog, and this node's is not armed. */
export const noWatchdog = "watchdog not armed"
/** A failed stop is tried again. */
const stopRetry = millis(5000)

export function isUnable(reason: string): boolean {
  return reason === nobodyToStart || reason === noGate || reason === noWatchdog
}

/** Why this node cannot start the service; undefined: it can. */
function inability(node: NodeState, name: ServiceName): string | undefined {
  const service = node.config.services.find((each) => each.name === name)
  if (service?.proof.kind === "gate" && node.gate !== "ready") return noGate
  if (service?.proof.kind === "watchdog" && !isArmed(node)) return noWatchdog
  return node.control === "absent" ? nobodyToStart : undefined
}

function updateActivation(node: NodeState, service: ServiceName, change: Partial<Activation>): void {
  const activation = node.activations.get(service)
  if (activation !== undefined)
    node.activations = withEntry(node.activations, service, { ...activation, ...change })
}

/** The assignment of this node's present start, revoked or not. */
function mine(node: NodeState, record: ServiceRecord): Assignment | undefined {
  const { assignment } = record
  return assignment?.owner === node.self.id && assignment.incarnation === node.incarnation
    ? assignment
    : undefined
}

/** With the rights as they are now: deadlines rise, and what is assigned here starts (SPEC L1, S1). */
export function renewServices(turn: Turn): void {
  const { node, now } = turn
  if (!hasVoice(node, now)) return
  for (const record of node.ordered.services) {
    const assignment = mine(node, record)
    const ticketName = node.config.services.find((each) => each.name === record.service)?.ticket
    const ticket = ticketName === undefined ? undefined : node.tickets.get(ticketName)
    if (assignment === undefined || assignment.revoked || ticket === undefined) continue
    if (needsMandate(node, ticket.ticket) && mandateOf(assignment.epoch) !== ticket.epoch) continue
    const until = serviceUntil(node, ticket)
    if (until !== undefined && until > now) raise(turn, record.service, assignment.epoch, until)
  }
}

function raise(turn: Turn, service: ServiceName, epoch: string, until: Instant): void {
  const { node, now } = turn
  const activation = node.activations.get(service)
  const isLeft = isLeftAlone(node.ordered, service)
  if (activation?.epoch !== epoch || activation.stopWanted || activation.phase === "failed") return
  if (activation.deadline === undefined || until > activation.deadline)
    updateActivation(node, service, { deadline: until })
  const written = activation.written ?? instant(Number.NEGATIVE_INFINITY)
  if (until >= written + node.config.timings.lease / leaseFileShare) {
    updateActivation(node, service, { written: until })
    turn.effects.push({ kind: "write-lease", service, epoch, deadline: until })
  }
  if (
    activation.phase === "stopped" &&
    !activation.failed &&
    !isLeft &&
    inability(node, service) === undefined
  ) {
    begin(turn, service, "starting", "")
    const operation = node.activations.get(service)?.operation ?? 0
    turn.effects.push({ kind: "start-service", operation, service, epoch, deadline: until })
    log(turn, "info", "service-starting", { service, epoch, until: Math.round(until - now) })
  }
}

function begin(turn: Turn, service: ServiceName, phase: "starting" | "stopping", reason: string): void {
  const { node } = turn
  const operation = node.nextOperation
  node.nextOperation += 1
  updateActivation(node, service, { phase, operation, reason, retryAt: undefined, lost: false })
}

export function afterAssignment(turn: Turn, message: Message & { readonly kind: "assign" }): void {
  const { node } = turn
  endAct(node, `assign:${message.service}`)
  updateView(node, ({ assigning }) => ({
    assigning: new Map([...assigning].filter(([service]) => service !== message.service)),
  }))
  // Blocked once more in this view it is told once more.
  endAct(node, `blocked:${message.service}`)
  const name = node.config.nodes.find((each) => each.id === message.node)?.name ?? String(message.node)
  if (node.view?.coordinator === node.self.id) report(turn, "info", "service-assigned", message.service, name)
  reconcileActivations(turn)
}

export function afterRevocation(turn: Turn, message: Message & { readonly kind: "revoke" }): void {
  endAct(turn.node, `revoke:${message.service}:${message.epoch}`)
  reconcileActivations(turn)
}

/** Brings this node's services in line with what is agreed: takes up a new assignment, gives up a lost one. */
export function reconcileActivations(turn: Turn): void {
  const { node } = turn
  for (const record of node.ordered.services) {
    const activation = node.activations.get(record.service)
    if (activation === undefined) continue
    if (activation.epoch !== undefined && isOutranked(node, record.service, activation.epoch)) {
      if (!activation.stopWanted) giveUp(turn, activation, "another runs it at a higher epoch")
      continue
    }
    const assignment = mine(node, record)
    const wanted = assignment === undefined || assignment.revoked ? undefined : assignment.epoch
    if (activation.epoch === wanted || (wanted !== undefined && wanted === activation.ended)) continue
    if (activation.epoch !== undefined) {
      // One that is being stopped already is not stopped again by every message: a stop that fails is tried again in time.
      if (activation.stopWanted !== true) giveUp(turn, activation, "revoked")
    } else if (wanted !== undefined && activation.phase === "stopped") {
      updateActivation(node, record.service, {
        epoch: wanted,
        deadline: undefined,
        written: undefined,
        failed: false,
        reason: "",
      })
    }
  }
  watchDualActive(turn)
}

/** A look found it running although it was not started here: it has no epoch, so whatever else runs is higher (SPEC S22). */
export function onServiceFound(turn: Turn, service: ServiceName): void {
  const { node } = turn
  const activation = node.activations.get(service)
  // In any other phase the look may have seen what is being started or stopped.
  if (activation?.phase !== "stopped") return
  if (isLeftAlone(node.ordered, service)) return leaveAlone(turn, service, foundActive)
  report(turn, "warning", "service-found-active", service, `on ${node.self.name}: ${foundActive}`)
  updateActivation(node, service, { phase: "unknown" })
  stop(turn, service, foundActive)
}

/** The right is over, or the service failed: the lease file says so at once, the service is stopped. */
export function giveUp(turn: Turn, activation: Activation, reason: string): void {
  const { node } = turn
  const { service, epoch, phase } = activation
  if (epoch !== undefined) turn.effects.push({ kind: "write-lease", service, epoch, deadline: undefined })
  updateActivation(node, service, {
    deadline: undefined,
    written: undefined,
    reason,
    ended: epoch ?? activation.ended,
  })
  if (phase === "stopped") {
    updateActivation(node, service, { epoch: undefined })
    return
  }
  // Not by anybody's order: what led to it is worth keeping.
  if (reason === "lapsed" || !hasVoice(node, turn.now))
    turn.effects.push({ kind: "keep-record", reason: "right-lost" })
  stop(turn, service, reason)
}

function stop(turn: Turn, service: ServiceName, reason: string): void {
  const { node } = turn
  const activation = node.activations.get(service)
  if (activation === undefined || activation.phase === "stopping" || node.control === "absent") {
    updateActivation(node, service, { reason, stopWanted: true })
    return
  }
  begin(turn, service, "stopping", reason)
  updateActivation(node, service, { stopWanted: true })
  const operation = node.activations.get(service)?.operation ?? 0
  turn.effects.push({ kind: "stop-service", operation, service, epoch: activation.epoch })
  log(turn, "info", "service-stopping", { service, epoch: activation.epoch, reason })
}

/** Rights that lapsed stop the service, unless they come back within one more lease (SPEC S6). */
export function watchActivations(turn: Turn): void {
  const { node, now } = turn
  for (const activation of node.activations.values()) {
    const { phase, deadline, service, retryAt, lost } = activation
    if (lost && phase === "running" && !isLeftAlone(node.ordered, service)) {
      onServiceFailed(turn, service, "found not running in maintenance")
    } else if (retryAt !== undefined && retryAt <= now) {
      updateActivation(node, service, { retryAt: undefined, phase: "unknown" })
      stop(turn, service, activation.reason)
    } else if (
      deadline !== undefined &&
      (phase === "running" || phase === "starting") &&
      lapsedAt(node, deadline) <= now
    ) {
      report(turn, "critical", "service-lapsed", service, "its rights ended and did not come back")
      giveUp(turn, activation, "lapsed")
    }
  }
}

function lapsedAt(node: NodeState, deadline: Instant): Instant {
  return after(deadline, node.config.timings.lease)
}

export function nextActivationWork(node: NodeState): Instant | undefined {
  let next: Instant | undefined
  for (const { phase, deadline, retryAt } of node.activations.values()) {
    const watched = phase === "running" || phase === "starting"
    next = earlier(next, retryAt)
    if (watched && deadline !== undefined) next = earlier(next, lapsedAt(node, deadline))
  }
  return next
}

export function onServiceStarted(turn: Turn, service: ServiceName, operation: number): void {
  const { node, now } = turn
  const activation = node.activations.get(service)
  if (activation?.operation !== operation || activation.phase !== "starting") return
  updateActivation(node, service, { phase: "running", operation: undefined })
  const left = activation.deadline === undefined ? undefined : Math.round(elapsed(now, activation.deadline))
  log(turn, "info", "service-running", { service, epoch: activation.epoch, right_ms: left })
}

export function onServiceStopped(turn: Turn, service: ServiceName, operation: number): void {
  const { node } = turn
  const activation = node.activations.get(service)
  if (activation?.operation !== operation || activation.phase !== "stopping") return
  const { epoch, deadline } = activation
  // Found stopped by a new control process: what its predecessor was starting must not come up under this right.
  if (epoch !== undefined && deadline !== undefined)
    turn.effects.push({ kind: "write-lease", service, epoch, deadline: undefined })
  updateActivation(node, service, {
    phase: "stopped",
    operation: undefined,
    epoch: undefined,
    deadline: undefined,
    written: undefined,
    stopWanted: false,
    ended: epoch ?? activation.ended,
  })
  log(turn, "info", "service-stopped", { service, epoch })
  reconcileActivations(turn)
}

/** By a monitor. In maintenance nobody acts on it; the monitor says it again as long as it is so (SPEC S17). */
export function onServiceDied(turn: Turn, died: NodeEvent & { readonly kind: "service-died" }): void {
  const { service, reason, resource } = died
  if (isLeftAlone(turn.node.ordered, service)) leaveAlone(turn, service, reason)
  else onServiceFailed(turn, service, reason, resource)
}

function leaveAlone(turn: Turn, service: ServiceName, reason: string): void {
  if (turn.node.activations.get(service)?.reason === reason) return
  updateActivation(turn.node, service, { reason })
  log(turn, "warn", "service-left-alone", { service, reason })
}

/** A start that failed or a service that died is stopped, to be sure, and told as failed. */
export function onServiceFailed(turn: Turn, service: ServiceName, reason: string, resource?: string): void {
  const { node } = turn
  const activation = node.activations.get(service)
  if (activation === undefined || (activation.phase !== "starting" && activation.phase !== "running")) return
  report(turn, "critical", "service-failed", service, reason)
  updateActivation(node, service, { failed: true, failedResource: resource })
  giveUp(turn, { ...activation, failed: true }, reason)
}

/** Not confirmed stopped: nothing is started anywhere on its word; tried again. */
export function onStopFailed(turn: Turn, service: ServiceName, operation: number, reason: string): void {
  const { node, now } = turn
  const activation = node.activations.get(service)
  if (activation?.operation !== operation) return
  report(turn, "critical", "service-stop-failed", service, reason)
  updateActivation(node, service, {
    phase: "failed",
    operation: undefined,
    reason: activation.reason === foundActive ? foundActive : reason,
    retryAt: after(now, stopRetry),
  })
}

/** The process that runs resources is (again) there: what it found decides what was lost on the way. */
export function onControlConnected(turn: Turn, found: readonly FoundService[]): void {
  const { node } = turn
  node.control = "present"
  for (const each of found) {
    const activation = node.activations.get(each.service)
    if (activation === undefined) continue
    const held = activation.epoch !== undefined && activation.stopWanted !== true
    const ours = held && each.epoch === activation.epoch
    const isLeft = held && activation.phase === "running" && isLeftAlone(node.ordered, each.service)
    if (each.state === "running" && ours) {
      updateActivation(node, each.service, { phase: "running", operation: undefined })
    } else if (isLeft && (each.state !== "running" || each.epoch === undefined)) {
      updateActivation(node, each.service, { lost: true })
      leaveAlone(turn, each.service, each.reason ?? `found ${each.state}`)
    } else if (each.state === "stopped" && activation.phase === "running") {
      onServiceFailed(turn, each.service, "found not running")
    } else if (each.state === "stopped") {
      updateActivation(node, each.service, { phase: "stopping", operation: 0 })
      onServiceStopped(turn, each.service, 0)
    } else {
      updateActivation(node, each.service, { phase: "unknown" })
      const unknown = each.state === "running" && each.epoch === undefined ? foundActive : undefined
      stop(turn, each.service, each.reason ?? unknown ?? "found running without a right")
    }
  }
  reconcileActivations(turn)
}

/** What only the gate would prove to be over must not go on without it. */
export function onGateChanged(turn: Turn, missing: string | undefined): void {
  const { node } = turn
  const was = node.gate
  node.gate = missing === undefined ? "ready" : "missing"
  if (node.gate === was) return
  report(
    turn,
    missing === undefined ? "info" : "critical",
    missing === undefined ? "gate-restored" : "gate-missing",
    node.self.name,
    missing ?? "",
  )
  if (missing === undefined) return
  for (const { name, proof } of node.config.services)
    if (proof.kind === "gate") onServiceFailed(turn, name, `gate lost: ${missing}`)
}

/** Tells the members what changed here; a stop with its epoch is the proof `released`. */
export function tellPhases(turn: Turn): void {
  const { node } = turn
  if (node.membership.kind !== "operational" || node.view === undefined) return
  const told = node.view.phases.get(node.self.id)
  for (const record of node.ordered.services) {
    const activation = node.activations.get(record.service)
    if (activation === undefined) continue
    const { phase, failed, reason, service } = activation
    const assignment = mine(node, record)
    const over =
      node.view.entitled && phase === "stopped" && assignment !== undefined && activation.epoch === undefined
    // What is assigned and has not begun is told without its epoch: with it, a stop is the proof that it is over.
    const begun = phase === "stopped" ? undefined : activation.epoch
    const epoch = over ? assignment.epoch : begun
    const known = told?.get(service)
    const unable = phase === "stopped" ? inability(node, service) : undefined
    const why = unable ?? reason.slice(0, 80)
    const changed = unable !== (isUnable(known?.reason ?? "") ? known?.reason : undefined)
    if (known?.phase === phase && known.epoch === epoch && !over && !changed) continue
    if (!beginAct(node, `phase:${service}:${phase}:${epoch ?? ""}`)) continue
    const resource = failed ? activation.failedResource : undefined
    order(turn, { kind: "phase", service, phase, epoch, failed, reason: why, resource })
  }
}

export function notePhase(turn: Turn, origin: NodeId, message: Message & { readonly kind: "phase" }): void {
  const { node } = turn
  const { service, phase, epoch, reason } = message
  if (origin === node.self.id) endAct(node, `phase:${service}:${phase}:${epoch ?? ""}`)
  updateView(node, (view) => ({
    phases: withEntry(
      view.phases,
      origin,
      withEntry(view.phases.get(origin) ?? new Map(), service, { phase, epoch, reason }),
    ),
  }))
  if (origin === node.self.id && phase === "stopped" && message.failed)
    updateActivation(node, service, { failed: false })
  reconcileActivations(turn)
}
