/** One part of the bench, and the cluster that it measures. */
import { mkdtempSync } from "node:fs"
import { join } from "node:path"
import { Cluster, type ClusterPlan } from "../support/cluster/cluster.ts"
import type { Workplace } from "../support/cluster/workplace.ts"

export interface Section {
  /** As chosen on the command line. */
  readonly name: string
  readonly title: string
  readonly measure: (bench: Bench) => Promise<void>
}

export interface Bench {
  readonly workplace: Workplace
  /** Repeats of what is quick enough for many. */
  readonly repeats: number
  readonly say: (line: string) => void
}

export const formationLimit = 30_000

type Plan = Pick<ClusterPlan, "sites" | "profile" | "hasWitness" | "trace"> & Partial<ClusterPlan>

/** Starts a cluster, waits until it is healthy and its service active, measures, and ends it whatever happens. */
export async function withCluster(
  { workplace }: Bench,
  plan: Plan,
  measure: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(workplace.directory, "cluster-"))
  const cluster = await Cluster.prepare({
    name: "bench",
    timings: {},
    ...plan,
    directory,
    program: workplace.program,
  })
  try {
    await cluster.startWitness()
    cluster.startAgents()
    await cluster.healthy(formationLimit)
    await cluster.active(formationLimit)
    await measure(cluster)
  } finally {
    await cluster.end()
  }
}

export function verdictLine(what: string, isReached: boolean): string {
  return `  ${isReached ? "reached    " : "NOT reached"}  ${what}`
}
