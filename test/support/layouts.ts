/** Clusters that the tests of the core run: sites x nodes, with one service that ends itself unless told otherwise. */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { accepted, oneSite, type Plain, parse, service, sitesOf, witness } from "./config-builder.ts"

export const selfLease = { proof: "self-lease", self_lease_margin_ms: 20 }
/** One floating address and nothing else: its proof is the gate. */
export const floating = { resource: [{ kind: "ip", name: "address", address: "10.0.0.100/24" }] }

const ledger = service("ledger", selfLease)

const layouts = {
  "1x2": { ...oneSite(2), witness },
  "1x3": oneSite(3),
  "1x4": { ...oneSite(4), witness },
  "1x4-last-man-standing": { ...oneSite(4, { policy: "last-man-standing" }), witness },
  "2x1": { ...sitesOf({ north: 1, south: 1 }), witness },
  "2x2": { ...sitesOf({ north: 2, south: 2 }), witness },
  "2x3": { ...sitesOf({ north: 3, south: 3 }), witness },
  "3x1": { ...sitesOf({ north: 1, south: 1, west: 1 }), witness },
} satisfies Readonly<Record<string, Plain>>

export type LayoutName = keyof typeof layouts

export const layoutNames = Object.keys(layouts) as readonly LayoutName[]

/** `more` replaces parts of the file: services, tickets, timings. */
export function configOf(layout: LayoutName, more: Plain = {}): ClusterConfig {
  return accepted(parse({ ...layouts[layout], service: [ledger], ...more }))
}
