/**
 * `stress`: a ring beside `stress-ng --cpu 4`. Nothing is broken, so every view that changes, and every ring lease that runs
 * out before the token is back, was made by lateness alone.
 */

import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Child } from "../../support/cluster/child.ts"
import { whole } from "./measure.ts"
import { onNetwork } from "./on-network.ts"
import { QuorumbeatRing } from "./quorumbeat.ts"
import { RingNetwork } from "./ring-network.ts"
import { type Bench, timingsFor } from "./sizes.ts"

const hogs = 4
const settle = 5_000

export async function stress(bench: Bench): Promise<void> {
  const { profiles, sizes, minutes, say } = bench
  say(`\nstress-ng --cpu ${hogs} for ${minutes} minutes each`)
  for (const profile of profiles)
    for (const [index, count] of sizes.entries()) {
      const network = new RingNetwork(`bs${index}`, 60 + index, count)
      const plan = { profile, timings: timingsFor(profile, count) }
      const what = `${profile.padEnd(10)} ${String(count).padStart(2)} nodes`
      const prepare = (): Promise<QuorumbeatRing> => QuorumbeatRing.prepare(bench.workplace, network, plan)
      await onNetwork(bench, what, network, prepare, async (ring) => {
        say(`  ${what}: ${await underLoad(bench, ring)}`)
      })
    }
}

async function underLoad({ workplace, minutes }: Bench, ring: QuorumbeatRing): Promise<string> {
  await ring.start()
  await whole(ring)
  await sleep(settle)
  const duration = minutes * 60_000
  const count = (event: string): number =>
    ring.nodes.reduce((total, node) => total + ring.lines(node, event).length, 0)
  const kinds = ["view-installed", "gather", "ring-lease-lapsed", "service-starting"] as const
  const before = kinds.map(count)
  const late = new Lateness(ring)
  const seconds = Math.ceil(duration / 1000)
  const load = new Child({
    name: "stress-ng",
    program: ["stress-ng", "--cpu", String(hogs), "--timeout", `${seconds}s`, "--quiet"],
    logFile: join(workplace.directory, "stress-ng.log"),
  })
  for (const end = Date.now() + duration; Date.now() < end; await sleep(500)) await late.look()
  await load.kill()
  await sleep(2_000)
  await late.look()
  const [views = 0, gathers = 0, lapses = 0, starts = 0] = kinds.map(
    (kind, at) => count(kind) - (before[at] ?? 0),
  )
  return (
    `${views + gathers === 0 ? "no view changed" : `${views} views installed, ${gathers} times somebody gathered`}, ` +
    `${lapses} leases lapsed, ${starts} services started anew; largest lateness ${late.worst.toFixed(1)} ms` +
    ` (before the load ${late.before.toFixed(1)} ms)`
  )
}

/** Of any agent's loop, by their own account: the worst since their start if it grew meanwhile, else the worst second that was seen. */
class Lateness {
  worst = 0
  before = 0
  readonly #ring: QuorumbeatRing
  readonly #atStart = new Map<string, number>()

  constructor(ring: QuorumbeatRing) {
    this.#ring = ring
  }

  async look(): Promise<void> {
    for (const agent of this.#ring.cluster.agents) {
      const host = (await agent.status())?.host
      if (host === undefined) continue
      const atStart = this.#atStart.get(agent.name)
      if (atStart === undefined) {
        this.#atStart.set(agent.name, host.lateness_worst_ms)
        this.before = Math.max(this.before, host.lateness_worst_ms)
      } else {
        const grown = host.lateness_worst_ms > atStart ? host.lateness_worst_ms : 0
        this.worst = Math.max(this.worst, grown, host.lateness_ms)
      }
    }
  }
}
