/**
 * `npm run bench:failover -- floor`: how low the timings can go on this machine. Three agents with an address, each set
 * of timings for a minute under full load of all processors with no fault: a ring that is made anew was broken by lateness
 * alone. Then the address is moved by pulling cables, as in the other sections.
 */

import { cpus } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Child } from "../../support/cluster/child.ts"
import { now } from "../../support/cluster/waiting.ts"
import { FloatingAgents } from "../../support/floating/agents.ts"
import { Stage } from "../../support/floating/stage.ts"
import { formatStatistics, statisticsOf } from "../statistics.ts"

type Timings = Readonly<Record<string, number>>

/** Each uses up T1 exactly, as the profiles do; the last has the smallest figures that a configuration may have. */
const sets: readonly Timings[] = [
  timings({ heartbeat: 50, retransmit: 30, misses: 3, pass: 5, lateness: 30, gatherWait: 60 }),
  timings({ heartbeat: 30, retransmit: 20, misses: 3, pass: 4, lateness: 20, gatherWait: 40 }),
  timings({ heartbeat: 20, retransmit: 12, misses: 3, pass: 3, lateness: 20, gatherWait: 32 }),
  timings({ heartbeat: 15, retransmit: 10, misses: 3, pass: 2, lateness: 15, gatherWait: 25 }),
  timings({ heartbeat: 10, retransmit: 10, misses: 2, pass: 2, lateness: 8, gatherWait: 18 }),
]

interface Parts {
  readonly heartbeat: number
  readonly retransmit: number
  readonly misses: number
  readonly pass: number
  readonly lateness: number
  readonly gatherWait: number
}

function timings({ heartbeat, retransmit, misses, pass, lateness, gatherWait }: Parts): Timings {
  return {
    heartbeat_ms: heartbeat,
    retransmit_ms: retransmit,
    misses,
    pass_ms: pass,
    lateness_ms: lateness,
    gather_wait_ms: gatherWait,
    lease_ms: heartbeat + 2 * pass + misses * retransmit + lateness,
  }
}

export interface FloorOptions {
  readonly program: string
  readonly directory: string
  readonly repeats: number
  readonly say: (line: string) => void
}

const soak = 60_000
const limit = 30_000

export async function measureFloor(options: FloorOptions): Promise<void> {
  options.say("\nfloor: Quorumbeat with ever shorter timings, a minute each under full load without a fault")
  for (const [index, set] of sets.entries()) {
    const directory = join(options.directory, `floor-${index}`)
    const stage = new Stage({
      ...{ label: `bf${index}`, number: 40 + index, nodes: ["a1", "a2", "a3"], directory },
      isMeasured: true,
    })
    try {
      await measureOne(options, stage, set)
    } catch (cause) {
      options.say(`    does not work: ${cause instanceof Error ? cause.message : String(cause)}`)
    } finally {
      await stage.close()
    }
  }
}

async function measureOne(
  { program, repeats, say }: FloorOptions,
  stage: Stage,
  set: Timings,
): Promise<void> {
  const {
    heartbeat_ms: heartbeat,
    retransmit_ms: retransmit,
    misses,
    lease_ms: lease,
    lateness_ms: lateness,
  } = set
  say(
    `  lease ${lease} ms (heartbeat ${heartbeat}, retransmit ${retransmit} x ${misses}, lateness ${lateness})`,
  )
  await stage.open()
  const agents = new FloatingAgents(stage, { program, profile: "energy", timings: set })
  await agents.start()
  const before = await ringsOf(agents)
  const from = now()
  const load = cpus().map((_, index) => busy(stage, index))
  await sleep(soak)
  await Promise.all(load.map((child) => child.kill()))
  const gap = stage.answers.outage("ipv4", from)
  const latest = await worstLateness(agents)
  await agents.whole(limit)
  const remade = (await ringsOf(agents)) - before
  say(
    `    under load: rings made anew ${remade}, longest time without an answer ${gap.toFixed(1)} ms, latest loop ${latest} ms`,
  )
  const outages: number[] = []
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    await sleep(1_000)
    const owner = await stage.settled(limit)
    const at = now()
    stage.network.unplug(owner)
    await stage.settled(
      limit,
      stage.nodes.filter((node) => node !== owner),
    )
    await sleep(500)
    outages.push(stage.answers.outage("ipv4", at))
    await agents.restore()
  }
  say(`    cable pulled: client without an answer ${formatStatistics(statisticsOf(outages))}`)
  const [double] = stage.answers.doubles()
  if (double !== undefined) say(`    TWO NODES ANSWERED: ${double}`)
}

/** The ring's sequence: it rises with every ring. */
async function ringsOf(agents: FloatingAgents): Promise<number> {
  const [first = ""] = agents.stage.nodes
  const status = await agents.status(first)
  return Number(status?.status.ring?.id.split(".")[0] ?? Number.NaN)
}

async function worstLateness(agents: FloatingAgents): Promise<number> {
  const all = await Promise.all(agents.stage.nodes.map((node) => agents.status(node)))
  return Math.max(...all.map((each) => each?.host.lateness_worst_ms ?? 0))
}

function busy(stage: Stage, index: number): Child {
  const program = [process.execPath, "-e", "for (let n = 0; ; n += 1) Math.sqrt(n)"]
  return new Child({ name: "load", program, logFile: join(stage.directory, `load-${index}.log`) })
}
