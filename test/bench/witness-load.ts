/** How much one embedded witness does: posts of one signed document with one claim that is renewed, each a row written. */
import { loadConfigFile } from "../../node-agent/host/config-file.ts"
import { Cluster } from "../support/cluster/cluster.ts"
import { type Poster, posterOf, unwrap } from "../support/cluster/poster.ts"
import { now } from "../support/cluster/waiting.ts"
import type { Bench, Section } from "./section.ts"
import { formatStatistics, statisticsOf } from "./statistics.ts"

const duration = 10_000
const warmUp = 2_000

export const witnessLoad: Section = {
  name: "witness",
  title: `the embedded witness: posts with one signed claim, one after the other and from 4 nodes at once, for ${duration / 1000} s each; size of the bundle`,
  measure: async (bench) => {
    const { workplace, say } = bench
    for (const { path, bytes, gzipBytes } of workplace.bundles) {
      say(`  ${path.split("/").at(-1)?.padEnd(14)} ${kib(bytes)} KiB, gzip ${kib(gzipBytes)} KiB`)
    }
    const cluster = await Cluster.prepare(planFor(bench))
    try {
      await cluster.startWitness()
      const config = unwrap(loadConfigFile(cluster.layout.configFile))
      const posters = cluster.layout.nodes.map((node) => posterOf(config, node))
      for (const poster of posters) await poster.post()
      await drive(posters.slice(0, 1), warmUp)
      report(bench, "1 node ", await drive(posters.slice(0, 1), duration))
      report(bench, "4 nodes", await drive(posters, duration))
      for (const poster of posters) await poster.close()
    } finally {
      await cluster.end()
    }
  },
}

function planFor({ workplace }: Bench) {
  return {
    name: "load",
    directory: `${workplace.directory}/load`,
    program: workplace.program,
    profile: "industrial",
    timings: {},
    hasWitness: true,
    trace: false,
    // Each site holds a ticket of its own, so that each node has something to renew.
    sites: ["a", "b", "c", "d"].map((name) => ({ name, nodes: [`${name}1`] })),
    ticketPerSite: true,
  } as const
}

function kib(bytes: number): string {
  return (bytes / 1024).toFixed(1)
}

function report({ say }: Bench, who: string, latencies: readonly number[]): void {
  const perSecond = Math.round((latencies.length * 1000) / duration)
  say(`  ${who}  ${String(perSecond).padStart(5)} posts/s, each ${formatStatistics(statisticsOf(latencies))}`)
}

async function drive(posters: readonly Poster[], time: number): Promise<readonly number[]> {
  const end = now() + time
  const latencies: number[] = []
  await Promise.all(
    posters.map(async (poster) => {
      while (now() < end) {
        const from = now()
        await poster.post()
        latencies.push(now() - from)
      }
    }),
  )
  return latencies
}
