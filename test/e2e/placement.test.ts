// Where services of three real agents go: apart from each other, off a node in standby, nowhere in maintenance.

import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { promisify } from "node:util"
import { expect, it } from "vitest"
import type { StatusAnswer } from "../../node-agent/host/control/local-api.ts"
import type { Agent } from "../support/cluster/agent.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { beaconFile, prepareBeacons, withBeacon } from "./beacon.ts"
import { patience, useLab } from "./lab.ts"

const run = promisify(execFile)

const lab = useLab({
  name: "placement",
  sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
  hasWitness: false,
  configure: (toml, layout) =>
    withBeacon(toml, layout, { service: 'anti_affinity = ["ledger"]', resource: "restart_limit = 1" }),
  companions: prepareBeacons,
})

/** Through the program, as an operator would. */
async function operate(agent: Agent, ...words: readonly string[]): Promise<void> {
  await run(process.execPath, [lab.program, ...words, "--runtime-dir", agent.node.runtimeDirectory])
}

type Shown = StatusAnswer["status"]["services"][number]

function shown(agent: Agent, name: string, what: string, holds: (service: Shown) => boolean): Promise<Shown> {
  return waitFor({ what: `${agent.name}: ${name} ${what}`, limit: patience, interval: 100 }, async () => {
    const service = (await agent.status())?.status.services.find((each) => each.name === name)
    return service !== undefined && holds(service) ? service : undefined
  })
}

const beacons = (): readonly string[] =>
  lab.cluster.agents
    .map(({ name }) => name)
    .filter((name) => existsSync(beaconFile(lab.cluster.layout, name)))

/** Both run, on two nodes; the node of the second one. */
async function beaconRuns(on: Agent): Promise<string> {
  const { owner = "" } = await shown(on, "beacon", "runs", ({ state }) => state === "running")
  // What a killed agent left is ended by the next one there, which takes its time to begin.
  const instead = (): string => `on ${beacons().join()}`
  await waitFor({ what: `the beacon on ${owner} alone`, limit: patience, instead }, () => {
    return (beacons().length === 1 && beacons()[0] === owner) || undefined
  })
  return owner
}

it("[S18] two services apart run on two nodes", async () => {
  expect(await beaconRuns(lab.ownerAgent())).not.toBe(lab.owner().node)
})

it("[S16] [S12] [S18] standby hands over in order, and nothing goes to where it may not", async () => {
  const before = lab.owner()
  const former = lab.ownerAgent()
  const beacon = await beaconRuns(former)
  const from = now()
  await operate(former, "node", "standby", former.name)
  const next = await lab.succession(before, from)
  expect([former.name, beacon]).not.toContain(next.node)
  // A restart of the agent changes nothing: the others know.
  await former.kill()
  lab.start(former)
  await lab.settled()
  expect((await lab.statusWhen(former, "is in standby", ({ node }) => node.standby)).node.name).toBe(
    former.name,
  )
  // The only node left for the ledger is that of the other service: it waits, then has the one in standby.
  const last = lab.ownerAgent()
  await operate(former, "node", "standby", last.name)
  const waiting = await shown(former, "ledger", "waits", ({ state, reason }) => {
    return state === "stopped" && (reason?.includes("anti-affinity") ?? false)
  })
  expect(waiting.reason).toContain(`${former.name} is in standby`)
  const back = now()
  await operate(former, "node", "online", former.name)
  await lab.succession(next, back, [former.name])
  await operate(former, "node", "online", last.name)
})

it("[S17] maintenance: nothing moves, whatever dies; afterwards what died is made good", async () => {
  const before = lab.owner()
  const owner = lab.ownerAgent()
  const beacon = lab.agent(await beaconRuns(owner))
  await operate(owner, "maintenance", "on")
  const { controlPid = 0 } = owner
  process.kill(controlPid, "SIGKILL")
  await beacon.kill()
  await lab.undisturbed(before, 3_000)
  const held = await shown(owner, "beacon", "is left alone", ({ reason }) => reason === "in maintenance")
  expect(held.maintenance).toBe(true)
  expect(beacons()).toEqual([beacon.name])
  expect(await owner.complaints()).toContain(`${owner.name}: the site is in maintenance`)
  await operate(owner, "maintenance", "off")
  await shown(owner, "beacon", "runs elsewhere", (service) => {
    return service.state === "running" && service.owner !== beacon.name
  })
  await lab.undisturbed(before, 500)
})

it("[S10] a failure within its limit is answered with a restart in place, and counted until cleaned up", async () => {
  const agent = lab.ownerAgent()
  const place = await beaconRuns(agent)
  await run("rm", [beaconFile(lab.cluster.layout, place)])
  const again = await shown(agent, "beacon", "is back", ({ state, failures }) => {
    return state === "running" && failures.length > 0
  })
  expect(again).toMatchObject({ owner: place, failures: [{ node: place, count: 1 }], migration_threshold: 3 })
  await operate(agent, "service", "cleanup", "beacon")
  await shown(agent, "beacon", "has no failures", ({ failures }) => failures.length === 0)
})
