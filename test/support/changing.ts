/** Clusters whose configuration is changed while they run, and chance for the changes. */
import { createRandom } from "../../node-agent/core/random.ts"
import { Changes } from "../../node-agent/simulation/changes.ts"
import { oneSite, type Plain, service, sitesOf, twoSites, witness } from "./config-builder.ts"
import { selfLease } from "./layouts.ts"

const ledger = [service("ledger", selfLease)]
/** Clusters that are changed. */
export const changingLayouts: Readonly<Record<string, Plain>> = {
  "2 nodes and a witness": { ...oneSite(2), witness, service: ledger },
  "3 nodes": { ...oneSite(3), service: ledger },
  "4 nodes and a witness": { ...oneSite(4), witness, service: ledger },
  "two sites of 2": { ...twoSites(), service: ledger },
  "three sites of 1": { ...sitesOf({ north: 1, south: 1, west: 1 }), service: ledger },
}

export const changesOf = (seed: number, plain: Plain): Changes =>
  new Changes(createRandom(seed * 31 + 7), plain)
