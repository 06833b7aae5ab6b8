/** Machines that stood still, clock included: suspended, or a guest that its hypervisor stopped. */
import type { Host } from "./machine.ts"

/** The clock goes on from where it stood, and with it whatever is counted by it: the ends of lease files. */
export function wakeClock(host: Host, now: number): number {
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
export function exposure({ node, config }: Host): number {
  const { lease, voiceTtl, mandateTtl, rho } = config.timings
  // Without an agent nothing is handed on: only the lease file is there.
  const alone =
    node === undefined || (config.sites.length === 1 && node.view?.standing.kind === "majority-alone")
  return (alone ? lease : Math.max(lease, voiceTtl, mandateTtl)) / (1 - rho)
}

/** What it was left with it tells to whoever of its site is in its next view. */
export function exposeSite(host: Host, hosts: Iterable<Host>, now: number): void {
  const until = now + exposure(host)
  for (const other of hosts)
    if (other.site === host.site) other.exposedUntil = Math.max(until, other.exposedUntil)
}
