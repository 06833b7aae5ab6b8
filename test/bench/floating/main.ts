/**
 * `npm run bench:failover`: how long a client is without a floating address when its owner fails, and whether two nodes
 * ever answer: Quorumbeat, keepalived, and Pacemaker with Corosync, one after the other in the same kind of network
 * namespaces, three nodes each, asked every 5 ms. The others are taken from Debian's packages, which have to be there.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { endAll } from "../../support/cluster/child.ts"
import { now } from "../../support/cluster/waiting.ts"
import { createWorkplace, endEverythingAtExit, removeWorkplace } from "../../support/cluster/workplace.ts"
import { Stage } from "../../support/floating/stage.ts"
import { describeMachine } from "../machine.ts"
import { formatStatistics, statisticsOf } from "../statistics.ts"
import { measureFloor } from "./floor.ts"
import { keepalived } from "./keepalived.ts"
import { pacemaker } from "./pacemaker.ts"
import { quorumbeat } from "./quorumbeat.ts"
import { type Fault, faults, faultTitles, RunningSystem, type System } from "./system.ts"

const usage = `Usage: npm run bench:failover -- [options] [system ...]

Needs root, nftables, and for the others: apt-get install keepalived corosync pacemaker pacemaker-cli-utils resource-agents

Systems (all of them):
  industrial, energy                                  Quorumbeat
  keepalived-1s, keepalived-0.1s, keepalived-0.01s    keepalived, by its advertisement interval
  pacemaker, pacemaker-tuned                          Pacemaker and Corosync with IPaddr2
and, only when named:
  floor                                               how low Quorumbeat's timings can go on this machine

  --repeats=N     faults of each kind (20)
  --faults=LIST   of kill, link-down, stop (all)`

const floor = "floor"
const nodes = ["a1", "a2", "a3"]
const startLimit = 180_000
/** No system here takes longer; one that does is shown with this. */
const takeoverLimit = 30_000
const watchedAfter = 1_000
/** Fractions of the golden ratio fall evenly into every interval. */
const goldenRatio = 0.618_033_988_75

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      repeats: { type: "string", default: "20" },
      faults: { type: "string", default: faults.join() },
      help: { type: "boolean", short: "h", default: false },
    },
  })
  const repeats = Number(values.repeats)
  const wanted = values.faults.split(",")
  const chosenFaults = faults.filter((fault) => wanted.includes(fault))
  const areKnown = chosenFaults.length === wanted.length && Number.isInteger(repeats) && repeats > 0
  if (values.help || !areKnown) {
    say(usage)
    return values.help ? 0 : 2
  }
  endEverythingAtExit()
  const workplace = await createWorkplace("bench-failover")
  const systems = allSystems(workplace.program)
  const isKnown = (name: string): boolean => name === floor || systems.some((system) => system.name === name)
  const unknown = positionals.filter((name) => !isKnown(name))
  if (unknown.length > 0) {
    say(`no system ${unknown.join(", ")}\n\n${usage}`)
    return 2
  }
  let failures = 0
  for (const line of describeMachine()) say(line)
  for (const [index, system] of systems.entries()) {
    if (positionals.length > 0 && !positionals.includes(system.name)) continue
    say(`\n${system.name}: ${system.title}`)
    const directory = join(workplace.directory, system.name)
    const stage = new Stage({ label: `bn${index}`, number: 20 + index, nodes, directory, isMeasured: true })
    try {
      await measure(system, stage, chosenFaults, repeats)
    } catch (cause) {
      failures += 1
      say(`  FAILED: ${cause instanceof Error ? cause.message : String(cause)}; see ${directory}`)
    } finally {
      await stage.close()
      endAll()
    }
  }
  if (positionals.includes(floor)) {
    const { program, directory } = workplace
    await measureFloor({ program, directory, repeats, say })
  }
  if (failures === 0) removeWorkplace(workplace)
  return failures === 0 ? 0 : 1
}

function allSystems(program: string): readonly System[] {
  /** The fastest that was stable for minutes under full load on two processors: no view lost, none made anew. */
  const tuned = {
    totem:
      "  token: 60\n  token_coefficient: 0\n  token_retransmit: 30\n  token_retransmits_before_loss_const: 1\n  hold: 30\n",
    link: "    knet_ping_interval: 200\n    knet_ping_timeout: 1000\n",
    monitorSeconds: 1,
  }
  return [
    quorumbeat("industrial", "Quorumbeat, profile industrial", { profile: "industrial", program }),
    quorumbeat("energy", "Quorumbeat, profile energy", { profile: "energy", program }),
    keepalived("keepalived-1s", "keepalived, advert_int 1 (its default)", 1, false),
    keepalived("keepalived-0.1s", "keepalived, advert_int 0.1", 0.1, false),
    keepalived("keepalived-0.01s", "keepalived, advert_int 0.01, vrrp_rt_priority 50", 0.01, true),
    pacemaker("pacemaker", "Pacemaker and Corosync with IPaddr2, defaults, no STONITH", {
      totem: "",
      link: "",
      monitorSeconds: 10,
    }),
    pacemaker("pacemaker-tuned", "the same, Corosync token 60 ms, monitor every second", tuned),
  ]
}

async function measure(
  system: System,
  stage: Stage,
  chosen: readonly Fault[],
  repeats: number,
): Promise<void> {
  await stage.open()
  const running = new RunningSystem(stage, system)
  await running.start(startLimit)
  for (const fault of chosen) {
    const trials: Trial[] = []
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      await sleep(500 + 1_000 * ((repeat * goldenRatio) % 1))
      trials.push(await breakOnce(running, stage, fault))
    }
    report(fault, trials)
  }
}

interface Trial {
  /** The longest time without an answer that the client saw, from the fault on. */
  readonly outage: number
  /** How long two nodes answered. */
  readonly together: number
  readonly hasMoved: boolean
}

async function breakOnce(running: RunningSystem, stage: Stage, fault: Fault): Promise<Trial> {
  const owner = await stage.settled(takeoverLimit, nodes, ["ipv4"])
  const at = now()
  running.inject(fault, owner)
  const hasMoved = await movedFrom(owner, stage, at)
  // What two nodes do at the same time, and what a late announcement does to the client, takes a moment to show.
  await sleep(watchedAfter)
  const outage = stage.answers.outage("ipv4", at)
  const together = timeTogether(stage, owner, at)
  await running.mend(owner, startLimit)
  return { outage, hasMoved, together }
}

/** From the first answer of another node to the last of the former owner; 0: it was silent by then. */
function timeTogether(stage: Stage, owner: string, at: number): number {
  const later = stage.answers.all().filter((each) => each.family === "ipv4" && each.at > at)
  const first = later.find(({ node }) => node !== owner)?.at
  const last = later.findLast(({ node }) => node === owner)?.at
  return first === undefined || last === undefined ? 0 : Math.max(last - first, 0)
}

/** Another node answers somebody, and the client hears an answer again. */
async function movedFrom(owner: string, stage: Stage, at: number): Promise<boolean> {
  while (now() - at < takeoverLimit) {
    const later = stage.answers.all().filter((each) => each.family === "ipv4" && each.at > at)
    const heir = later.find(({ node }) => node !== owner)
    const last = later.findLast(({ way }) => way === "kernel")
    if (heir !== undefined && last !== undefined && last.at >= heir.at) return true
    await sleep(50)
  }
  return false
}

function report(fault: Fault, trials: readonly Trial[]): void {
  const stayed = trials.filter(({ hasMoved }) => !hasMoved).length
  const both = trials.filter(({ together }) => together > 0)
  say(`  ${fault} (${faultTitles[fault]})`)
  say(`    client without an answer  ${formatStatistics(statisticsOf(trials.map(({ outage }) => outage)))}`)
  if (stayed > 0) say(`    not taken over within ${takeoverLimit} ms: ${stayed} of ${trials.length}`)
  const longest = Math.max(0, ...both.map(({ together }) => together))
  say(
    both.length === 0
      ? "    two nodes answered: never"
      : `    TWO NODES ANSWERED in ${both.length} of ${trials.length}, for up to ${longest.toFixed(0)} ms (watched for ${watchedAfter} ms)`,
  )
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

if (spawnSync("nft", ["--version"]).error !== undefined || process.getuid?.() !== 0) {
  say(`needs root and nftables\n\n${usage}`)
  process.exit(2)
}
process.exit(await main())
