/** Clusters whose configuration is changed while they run, and chance for the changes. */
import { createRandom } from "../../node-agent/core/random.ts"
import { Changes } from "../../node-agent/simulation/changes.ts"
import { node, oneSite, type Plain, service, twoSites } from "./config-builder.ts"
import { selfLease } from "./layouts.ts"

const ledger = [service("ledger", selfLease)]
const { witness } = twoSites()
const wan = (id: number, site: string) => node(id, site, { wan: `198.51.100.${id}` })
/** Clusters that are changed. */
export const changingLayouts: Readonly<Record<string, Plain>> = {
  "2 nodes and a witness": { ...oneSite(2), witness, service: ledger },
  "3 nodes": { ...oneSite(3), service: ledger },
  "4 nodes and a witness": { ...oneSite(4), witness, service: ledger },
  "two sites of 2": { ...twoSites(), service: ledger },
  "three sites of 1": {
    ...oneSite(1),
    site: [{ name: "north" }, { name: "south" }, { name: "west" }],
    node: ["north", "south", "west"].map((site, index) => wan(index + 1, site)),
    service: ledger,
  },
}

export const changesOf = (seed: number, plain: Plain): Changes =>
  new Changes(createRandom(seed * 31 + 7), plain)
