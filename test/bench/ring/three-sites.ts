/** `sites`: thirty nodes as three sites of ten. They form, an owner dies now and then, and in the end a whole site is lost. */
import { waitFor } from "../../support/cluster/waiting.ts"
import { measureRing } from "./measure.ts"
import { onNetwork } from "./on-network.ts"
import { QuorumbeatRing } from "./quorumbeat.ts"
import { RingNetwork } from "./ring-network.ts"
import type { Succession } from "./ring-system.ts"
import { type Bench, heading, line } from "./sizes.ts"

const [siteCount, nodeCount] = [3, 30]
const lossLimit = 120_000

export async function threeSites(bench: Bench): Promise<void> {
  const { say, workplace, repeats } = bench
  for (const [index, profile] of bench.profiles.entries()) {
    heading(bench, `Quorumbeat ${profile}, three sites of ten`)
    const network = new RingNetwork(`bt${index}`, 100 + index, nodeCount)
    const plan = { profile, timings: {}, sites: siteCount }
    const prepare = (): Promise<QuorumbeatRing> => QuorumbeatRing.prepare(workplace, network, plan)
    await onNetwork(bench, `three sites, ${profile}`, network, prepare, async (ring) => {
      const pace = { repeats, settle: 20_000, steady: 8_000, rest: 1_200, cycle: 200 }
      const found = await measureRing(ring, network, pace)
      line(bench, nodeCount, found, found)
      const { ordered, running } = await loseOwnersSite(ring)
      say(`  the owner's site lost: started at another after ${ordered} ms, running after ${running} ms`)
      say(`  ${await beyondBounds(ring)}`)
    })
  }
}

async function loseOwnersSite(ring: QuorumbeatRing): Promise<Succession> {
  const owner = ring.owner() ?? ""
  const lost = ring.sites.find((site) => site.includes(owner)) ?? []
  const from = Date.now()
  for (const node of lost) ring.kill(node)
  const what = "the service at another site"
  const { ordered, running } = await waitFor({ what, limit: lossLimit, interval: 100 }, () =>
    ring.successions(from, owner),
  )
  return { ordered: ordered - from, running: running - from }
}

/** An agent that would send more than a frame may hold ends itself; one that receives more counts it. */
async function beyondBounds(ring: QuorumbeatRing): Promise<string> {
  const running = ring.cluster.agents.filter(({ isRunning }) => isRunning)
  const statuses = await Promise.all(running.map((agent) => agent.status()))
  const oversized = statuses.reduce((sum, status) => sum + (status?.host.oversized_datagrams ?? 0), 0)
  const errors = ring.nodes.flatMap((node) => ring.errors(node))
  const told = errors.length === 0 ? "no errors in any log" : `errors: ${[...new Set(errors)].join(", ")}`
  return `${running.length} agents run; ${oversized} oversized datagrams received; ${told}`
}
