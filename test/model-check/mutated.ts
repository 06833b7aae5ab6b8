/** Exploration of a program with one rule switched off: bundled from source with patches, like a demo's broken build. */
import { importPatched } from "../support/patched.ts"
import { faultsOf, standard } from "./clusters.ts"
import type { Exploration } from "./explore.ts"
import type { Mutation } from "./mutations.ts"
import type * as patchable from "./patchable.ts"

/** Ends at the first violation; tries the two worst combinations of clocks. */
export async function exploreMutation({
  cluster,
  budget,
  depth = 60,
  only,
  patches,
}: Mutation): Promise<Exploration> {
  const module = (await importPatched("test/model-check/patchable.ts", patches)) as typeof patchable
  const bounds = { ...standard, ...faultsOf(cluster), depth, budget, statesMax: 60_000, ...only }
  const [first = [], second = []] = module.rateVectors(cluster)
  const found = module.explore(module.formed(cluster, first), bounds)
  return found.violation === undefined ? module.explore(module.formed(cluster, second), bounds) : found
}
