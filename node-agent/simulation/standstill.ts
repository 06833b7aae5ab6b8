/**
 * What stands still and goes on: a process that is stopped, between two steps or in the middle of one, and a machine, its
 * clock included: suspended, or a guest that its hypervisor stops.
 */
import { millis } from "../../protocol/units.ts"
import type { NodeEvent } from "../core/events.ts"
import type { Host } from "./machine.ts"
import type { Oracle } from "./oracle.ts"
import type { Surroundings } from "./surroundings.ts"

export class Standstills {
  readonly #around: Surroundings
  readonly #oracle: Oracle
  readonly #hosts: ReadonlyMap<number, Host>
  readonly #wake: (host: Host) => void

  /** `wake` has the node of a host look at what is due. */
  constructor(
    around: Surroundings,
    oracle: Oracle,
    hosts: ReadonlyMap<number, Host>,
    wake: (host: Host) => void,
  ) {
    this.#around = around
    this.#oracle = oracle
    this.#hosts = hosts
    this.#wake = wake
  }

  /** What comes while it stands still is for when it goes on, if it is the same process then. */
  hold(host: Host, event: NodeEvent): void {
    const { life } = host
    host.held.push(() => host.life === life && this.#around.tell(host, event))
  }

  /** The process is stopped for so long; what it was about to do it does first when it goes on. */
  interrupt(host: Host, duration: number, unfinished: () => void): void {
    host.frozen = true
    host.unfinished = unfinished
    this.#around.at(duration, () => this.thaw(host))
  }

  thaw(host: Host): void {
    if (!host.frozen || host.suspendedAt !== undefined) return
    host.frozen = false
    this.#catchUp(host)
    for (const run of host.held.splice(0)) run()
    this.#wake(host)
  }

  #catchUp(host: Host): void {
    const { unfinished } = host
    host.unfinished = undefined
    unfinished?.()
  }

  suspend(host: Host): void {
    host.frozen = true
    host.suspendedAt = this.#around.now()
  }

  /** The agent hears of it before anything else; lease files still ahead then are in force again. */
  resume(host: Host): void {
    if (host.suspendedAt === undefined) return
    const now = this.#around.now()
    const slept = millis(wakeClock(host, now))
    host.frozen = false
    const { exposedUntil } = host
    // A process that was stopped before a write does that first; what it opens is shut by the very next step.
    host.exposedUntil = Number.POSITIVE_INFINITY
    this.#catchUp(host)
    // Without an agent, or with one that is stopped before it can, nobody shuts it, for what was left of the ring lease.
    const open = host.node === undefined || host.stall > 0
    host.exposedUntil = open ? Math.max(exposedUntil, now + exposure(host)) : exposedUntil
    this.#around.tell(host, { kind: "suspended", slept })
    for (const service of host.leases.keys()) this.#oracle.leased(host, service, now)
    host.frozen = true
    this.thaw(host)
  }

  /** Nothing in the guest can tell that it stood still. */
  resumeUnaware(host: Host): void {
    if (host.suspendedAt === undefined) return
    const now = this.#around.now()
    wakeClock(host, now)
    this.#oracle.wokeUnaware(host)
    exposeSite(host, this.#hosts.values(), now)
    this.thaw(host)
  }
}

/** The clock goes on from where it stood, and with it whatever is counted by it: the ends of lease files. */
function wakeClock(host: Host, now: number): number {
  const slept = now - (host.suspendedAt ?? now)
  host.suspendedAt = undefined
  host.offset -= slept * host.rate
  for (const [service, lease] of host.leases)
    host.leases.set(service, { ...lease, from: now, until: lease.until + slept })
  return slept
}

/**
 * How long a guest that stood still may act on old rights: L, where its site's own majority is all that it needs, else
 * what the longest lease of others has left. It tells those to the members of its next view.
 */
function exposure({ node, config }: Host): number {
  const { lease, voiceTtl, mandateTtl, rho } = config.timings
  // Without an agent nothing is handed on: only the lease file is there.
  const alone =
    node === undefined || (config.sites.length === 1 && node.view?.standing.kind === "majority-alone")
  return (alone ? lease : Math.max(lease, voiceTtl, mandateTtl)) / (1 - rho)
}

/** What it was left with it tells to whoever of its site is in its next view. */
function exposeSite(host: Host, hosts: Iterable<Host>, now: number): void {
  const until = now + exposure(host)
  for (const other of hosts)
    if (other.site === host.site) other.exposedUntil = Math.max(until, other.exposedUntil)
}
