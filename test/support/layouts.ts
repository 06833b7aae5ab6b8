/** Clusters that the tests of the core run: sites x nodes, with one service that ends itself unless told otherwise. */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { accepted, node, oneSite, type Plain, parse, service, twoSites } from "./config-builder.ts"

export const selfLease = { proof: "self-lease", self_lease_margin_ms: 20 }
/** One floating address and nothing else: its proof is the gate. */
export const floating = { resource: [{ kind: "ip", name: "address", address: "10.0.0.100/24" }] }

const ledger = service("ledger", selfLease)
const { witness } = twoSites()

const layouts = {
  "1x2": { ...oneSite(2), witness },
  "1x3": oneSite(3),
  "1x4": { ...oneSite(4), witness },
  "1x4-last-man-standing": { ...oneSite(4, { policy: "last-man-standing" }), witness },
  "2x1": { ...twoSites(), node: members(1) },
  "2x2": twoSites(),
  "2x3": { ...twoSites(), node: members(3) },
  "3x1": {
    ...twoSites(),
    site: [{ name: "north" }, { name: "south" }, { name: "west" }],
    node: ["north", "south", "west"].map((site, index) => member(index + 1, site)),
  },
} satisfies Readonly<Record<string, Plain>>

export type LayoutName = keyof typeof layouts

export const layoutNames = Object.keys(layouts) as readonly LayoutName[]

/** `more` replaces parts of the file: services, tickets, timings. */
export function configOf(layout: LayoutName, more: Plain = {}): ClusterConfig {
  return accepted(parse({ ...layouts[layout], service: [ledger], ...more }))
}

/** `count` nodes at each of two sites. */
function members(count: number): readonly Plain[] {
  return Array.from({ length: 2 * count }, (_, index) => member(index + 1, index < count ? "north" : "south"))
}

function member(id: number, site: string): Plain {
  return node(id, site, { wan: `198.51.100.${id}` })
}
