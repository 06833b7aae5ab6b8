// A service that somebody starts by hand beside the one that runs: real agents of one site and of two find it, tell people and
// stop it, and the rightful one goes on.

import { existsSync, writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { expect, it } from "vitest"
import type { StatusAnswer } from "../../node-agent/host/control/local-api.ts"
import type { Agent } from "../support/cluster/agent.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { beaconFile, prepareBeacons, withBeacon } from "./beacon.ts"
import { patience, quickSites, twoByTwo, useLab } from "./lab.ts"

/** Stopped resources are looked at each ten seconds; then alerts wait for their group, and the stop takes its time. */
const longPatience = 3 * patience

const lab = useLab({
  name: "dual-active",
  sites: twoByTwo,
  hasWitness: true,
  timings: quickSites,
  // Its stop takes long enough for two heartbeats and two summaries to tell of it.
  configure: (toml, layout) => withBeacon(toml, layout, { stopSeconds: 3 }),
  companions: prepareBeacons,
})

type Shown = StatusAnswer["status"]["services"][number]

async function beacon(agent: Agent): Promise<Shown | undefined> {
  return (await agent.status())?.status.services.find(({ name }) => name === "beacon")
}

interface Running {
  readonly agent: Agent
  readonly epoch: string
}

function runningBeacon(): Promise<Running> {
  return waitFor({ what: "the beacon runs", limit: patience, interval: 100 }, async () => {
    for (const agent of lab.cluster.agents) {
      const shown = await beacon(agent)
      if (shown?.state === "running" && shown.owner === agent.name && shown.epoch !== undefined)
        return { agent, epoch: shown.epoch }
    }
    return undefined
  })
}

/** The states of its incidents of that kind, as the witness has them, oldest first. */
async function incidents(): Promise<readonly string[]> {
  const { configFile, credentialFile } = lab.cluster.layout
  const list = [
    "alerts",
    "list",
    "--all",
    "--json",
    "--config",
    configFile,
    "--credential-file",
    credentialFile,
  ]
  const all = JSON.parse(await lab.cluster.quorumbeat(...list)).incidents as readonly Incident[]
  return all.filter(({ kind }) => kind === "dual-active").map(({ state }) => state)
}

interface Incident {
  readonly kind: string
  readonly state: string
}

const hasFile = ({ name }: Agent): boolean => existsSync(beaconFile(lab.cluster.layout, name))

/** Somebody starts it on `intruder` as well. What runs by right is not touched, not for a moment. */
async function startByHand(intruder: Agent): Promise<void> {
  const owner = await runningBeacon()
  writeFileSync(beaconFile(lab.cluster.layout, intruder.name), "")
  const told = (what: string, holds: (states: readonly string[]) => boolean): Promise<true> =>
    waitFor({ what, limit: longPatience, interval: 200 }, async () => holds(await incidents()) || undefined)
  await told("an incident is open", (states) => states.includes("open"))
  await waitFor({ what: "it is stopped", limit: longPatience }, () => !hasFile(intruder) || undefined)
  expect(hasFile(owner.agent)).toBe(true)
  await told("the incident is over", (states) => !states.includes("open"))
  await sleep(1_000)
  expect(await runningBeacon()).toEqual(owner)
  expect(lab.cluster.agents.filter(hasFile)).toEqual([owner.agent])
}

it("[S22] on the neighbour: the one that nobody here started is stopped, and people are told", async () => {
  await startByHand(lab.neighbour((await runningBeacon()).agent))
})

it("[S22] at the other site: heard in the heartbeats, stopped there", async () => {
  const { agent } = await runningBeacon()
  const [intruder] = lab.cluster.agentsOf(lab.otherSite(agent.node.site))
  if (intruder === undefined) throw new Error("the other site is empty")
  await startByHand(intruder)
})
