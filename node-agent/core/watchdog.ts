/**
 * When the machine's watchdog is armed, fed and stopped (SPEC WD). It is armed once nothing that it would have to end can
 * be running any more from before, fed while no service whose proof it is runs without its rights, and stopped only
 * when the node leaves with everything stopped. What is not fed is reset: that is the proof.
 */
import { after, type Instant, type Millis, millis, type ServiceName } from "../../protocol/units.ts"
import { serviceUntil } from "./rights.ts"
import type { NodeState } from "./state.ts"
import { log, report, type Turn } from "./turn.ts"

export type WatchdogState =
  /** The configuration declares none, or the node has left and it was stopped. */
  | { readonly kind: "none" }
  /** To be armed from then on, when all services are confirmed stopped. */
  | { readonly kind: "waiting"; readonly from: Instant }
  | { readonly kind: "arming" }
  | {
      readonly kind: "armed"
      readonly timeout: Millis
      readonly nextFeed: Instant
      readonly hungry: boolean
      readonly software: boolean
    }

/** Feeds a timeout: several may be late or lost. */
const feedsPerTimeout = 8
/** A device that could not be armed is tried again. */
const armRetry = millis(10_000)
export function initialWatchdog(declared: unknown, now: Instant): WatchdogState {
  return declared === undefined ? { kind: "none" } : { kind: "waiting", from: now }
}

export function isArmed(node: NodeState): boolean {
  return node.watchdog.kind === "armed"
}

/** At the end of each step: what it does comes last. */
export function tendWatchdog(turn: Turn): void {
  const { node, now } = turn
  const { watchdog } = node
  if (watchdog.kind === "waiting" && watchdog.from <= now && node.leaving === "no" && allStopped(node)) {
    node.watchdog = { kind: "arming" }
    turn.effects.push({ kind: "arm-watchdog" })
  }
  if (watchdog.kind === "armed" && watchdog.nextFeed <= now) feedIfAllowed(turn, watchdog)
}

function feedIfAllowed(turn: Turn, watchdog: WatchdogState & { readonly kind: "armed" }): void {
  const { node, now } = turn
  const lawless = serviceWithoutRights(node, now)
  const hungry = lawless !== undefined
  const nextFeed = after(now, millis(watchdog.timeout / feedsPerTimeout))
  node.watchdog = { ...watchdog, nextFeed, hungry }
  if (!hungry) turn.effects.push({ kind: "feed-watchdog" })
  else if (!watchdog.hungry) {
    report(turn, "critical", "watchdog-hungry", lawless, "not stopped, and no right to run it")
    turn.effects.push({ kind: "keep-record", reason: "watchdog-hungry" })
  }
}

/** A service that the watchdog is to end, is not known to be stopped, and has no right to run. */
function serviceWithoutRights(node: NodeState, now: Instant): ServiceName | undefined {
  return node.config.services.find(({ name, ticket, proof }) => {
    const activation = node.activations.get(name)
    if (proof.kind !== "watchdog" || activation === undefined || activation.phase === "stopped") return false
    const own = activation.deadline !== undefined && activation.deadline > now
    // One that is being stopped has no deadline of its own any more: others count on what its rights were.
    const state = node.tickets.get(ticket)
    const general = state === undefined ? undefined : serviceUntil(node, state)
    return !own && (general === undefined || general <= now)
  })?.name
}

function allStopped(node: NodeState): boolean {
  return [...node.activations.values()].every(({ phase }) => phase === "stopped")
}

export function onWatchdogArmed(turn: Turn, software: boolean): void {
  const { node, now } = turn
  const declared = node.self.watchdog
  if (node.watchdog.kind !== "arming" || declared === undefined) return
  node.watchdog = { kind: "armed", timeout: declared.timeout, nextFeed: now, hungry: false, software }
  log(turn, "info", "watchdog-armed", { timeout_ms: declared.timeout, software })
}

/** Not armed, or not fed. What runs on its proof goes on: the device itself decides when that is over. */
export function onWatchdogFailed(turn: Turn, reason: string): void {
  const { node, now } = turn
  if (node.watchdog.kind === "none") return
  const was = node.watchdog.kind
  // One that was armed and cannot be fed stays as it is: it will fire, or take the next feed.
  if (was === "arming") node.watchdog = { kind: "waiting", from: after(now, armRetry) }
  report(turn, "critical", was === "armed" ? "watchdog-not-fed" : "watchdog-failed", node.self.name, reason)
}

/** The node leaves and everything was released: nothing needs to be ended by a reset. */
export function stopWatchdog(turn: Turn): void {
  const { node } = turn
  const armed = node.watchdog.kind === "armed" || node.watchdog.kind === "arming"
  node.watchdog = { kind: "none" }
  if (armed) turn.effects.push({ kind: "disarm-watchdog" })
}

export function nextWatchdogWork(node: NodeState): Instant | undefined {
  const { watchdog } = node
  if (watchdog.kind === "armed") return watchdog.nextFeed
  return watchdog.kind === "waiting" && allStopped(node) ? watchdog.from : undefined
}
