// A wall clock that is set by two minutes while everything runs (what NTP or a person may do): no right rests on it.
// By libfaketime, which leaves CLOCK_MONOTONIC alone here.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, it } from "vitest"
import type { Agent } from "../support/cluster/agent.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { describeNeeding } from "../support/needs.ts"
import { removeOrphans } from "../support/orphans.ts"
import { patience, quickSites, twoByTwo, useLab } from "./lab.ts"

/** By Debian's package `libfaketime`: in a folder named after the machine's architecture. */
const library = readdirSync("/usr/lib")
  .map((folder) => join("/usr/lib", folder, "faketime/libfaketimeMT.so.1"))
  .find((path) => existsSync(path))

const clockFile = ({ node }: Agent): string => join(node.directory, "clock")

function setClock(agent: Agent, offset: number): void {
  writeFileSync(clockFile(agent), `${offset < 0 ? "" : "+"}${offset}s\n`)
}

/** How far the agent's own wall clock is from this process's, in seconds, as its last health sample had it. */
function deviation({ node }: Agent): number {
  // The last piece is a line that is still being written, or nothing.
  const line = readFileSync(node.traceFile, "utf8")
    .split("\n")
    .slice(0, -1)
    .findLast((each) => each.includes('"kind":"health-sampled"'))
  const wall: number = line === undefined ? Number.NaN : JSON.parse(line).event.wall
  return Math.round((wall - Date.now()) / 1_000)
}

function seesClock(agent: Agent, offset: number): Promise<boolean> {
  const what = `${agent.name}: its wall clock is ${offset} s off`
  const instead = (): string => `${deviation(agent)} s`
  return waitFor(
    { what, limit: patience, interval: 200, instead },
    () => Math.abs(deviation(agent) - offset) < 10 || undefined,
  )
}

const missing = library === undefined ? ["the package libfaketime"] : []

describeNeeding(missing, "[Q4] the wall clock of one node", () => {
  // Hooks run in the reverse order: the agents have ended. The library leaves its memory behind where one was killed.
  afterAll(() => removeOrphans("faketime_shm_", "sem.faketime_sem_"))
  const lab = useLab({
    name: "clock-step",
    sites: twoByTwo,
    hasWitness: true,
    timings: quickSites,
    environment: (agent) => {
      setClock(agent, 0)
      return {
        LD_PRELOAD: library ?? "",
        FAKETIME_TIMESTAMP_FILE: clockFile(agent),
        FAKETIME_NO_CACHE: "1",
        DONT_FAKE_MONOTONIC: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      }
    },
  })

  it.each([120, -120])("the active one's, set by %i s: nothing moves", async (offset) => {
    const before = lab.owner()
    const agent = lab.ownerAgent()
    setClock(agent, offset)
    await seesClock(agent, offset)
    await lab.undisturbed(before, 3_000)
    setClock(agent, 0)
    await seesClock(agent, 0)
    await lab.undisturbed(before, 1_000)
  })

  it("every node's, each by another time, while the WAN is cut: nothing moves", async () => {
    const before = lab.owner()
    const offsets = [120, -120, 3_600, -86_400]
    await lab.cluster.network.setWan("cut")
    lab.cluster.agents.forEach((agent, index) => {
      setClock(agent, offsets[index] ?? 0)
    })
    for (const [index, agent] of lab.cluster.agents.entries()) await seesClock(agent, offsets[index] ?? 0)
    await lab.undisturbed(before, 6_000)
    for (const agent of lab.cluster.agents) setClock(agent, 0)
  })
})
