// Two tickets, active in two sites: each site runs its own service and is the other's standby.

import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { leaseFilePath } from "../../node-agent/host/lease-file.ts"
import { serviceName } from "../../protocol/units.ts"
import { Child } from "../support/cluster/child.ts"
import type { ClusterLayout } from "../support/cluster/layout.ts"
import { Ledger, type Write } from "../support/cluster/ledger.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { type Lab, patience, quickSites, ttlWaited, twoByTwo, useLab } from "./lab.ts"

const kit = join(import.meta.dirname, "../support/cluster")
const second = "archive"

/** Folder of the second service: its ledger, and below it what `ledger.sh` expects of each node. */
const secondDirectory = ({ directory }: ClusterLayout): string => join(directory, second)

/** `ledger` under the ticket of the north, and a second service like it under that of the south. */
function addTicket(toml: string, layout: ClusterLayout): string {
  const command = (action: string): string =>
    JSON.stringify(["/bin/sh", join(kit, "ledger.sh"), action, secondDirectory(layout)])
  return `${toml.replace('name = "ledger"', 'name = "ledger"\nticket = "of-north"')}
[[ticket]]
name = "of-north"
sites = ["north", "south"]
[[ticket]]
name = "of-south"
sites = ["south", "north"]
[[service]]
name = "${second}"
ticket = "of-south"
nodes = ["s1", "s2", "n1", "n2"]
proof = "self-lease"
self_lease_margin_ms = 50
[[service.resource]]
kind = "command"
name = "daemon"
start = ${command("start")}
stop = ${command("stop")}
monitor = ${command("monitor")}
monitor_interval_ms = 2000
`
}

function startDaemons({ cluster }: Lab): void {
  for (const { name, runtimeDirectory } of cluster.layout.nodes) {
    const home = join(secondDirectory(cluster.layout), name, "ledger")
    mkdirSync(home, { recursive: true })
    const lease = leaseFilePath(runtimeDirectory, serviceName(second))
    const ledger = join(secondDirectory(cluster.layout), "ledger.log")
    new Child({
      name: `${second} of ${name}`,
      program: [process.execPath, join(kit, "ledger-daemon.ts"), name, home, lease, ledger],
      logFile: join(home, "daemon.log"),
    })
  }
}

const lab = useLab({
  name: "two-tickets",
  sites: twoByTwo,
  hasWitness: true,
  // The site that comes first is waited for, also by one that begins some seconds earlier.
  timings: { ...quickSites, claim_stagger_ms: 3_000 },
  configure: addTicket,
  companions: startDaemons,
})

const ledgers = () =>
  [lab.ledger, new Ledger(join(secondDirectory(lab.cluster.layout), "ledger.log"))] as const

/** The last write of each service, once both have one that is fresh. */
function bothActive(): Promise<readonly [Write, Write]> {
  const [ledger, archive] = ledgers()
  return waitFor({ what: "both services active", limit: patience }, () => {
    const [first, other] = [ledger.last(), archive.last()]
    const isFresh = (write: Write | undefined) => write !== undefined && now() - write.at < 500
    return first !== undefined && other !== undefined && isFresh(first) && isFresh(other)
      ? ([first, other] as const)
      : undefined
  })
}

const siteOf = (write: Write): string => lab.agent(write.node).node.site

/** Both services are where they were, at the same epochs; never two owners of either. */
async function expectUnmoved(before: readonly [Write, Write]): Promise<void> {
  const after = await bothActive()
  expect(after.map(({ node, epoch }) => `${node} at ${epoch}`)).toEqual(
    before.map(({ node, epoch }) => `${node} at ${epoch}`),
  )
  expectExclusive()
}

function expectExclusive(): void {
  for (const ledger of ledgers()) expect(ledger.violations()).toEqual([])
}

describe("two tickets", () => {
  it("each is active in the site that comes first for it", async () => {
    const [ledger, archive] = await bothActive()
    expect([siteOf(ledger), siteOf(archive)]).toEqual(["north", "south"])
    // A picture of a node is up to a second old.
    const { rights } = await lab.statusWhen(lab.agent("n1"), "holds a mandate", (status) =>
      status.rights.mandates.some(({ held }) => held),
    )
    expect(rights.mandates).toMatchObject([
      { ticket: "of-north", held: true },
      { ticket: "of-south", held: false },
    ])
  })

  it("WAN cut: each goes on in the site that has it, by the vote of the witness", async () => {
    const before = await bothActive()
    await lab.cluster.network.setWan("cut")
    await lab.undisturbed(before[0], ttlWaited + 3_000)
    await expectUnmoved(before)
  })

  it("one site lost: the other runs both, and the one that comes back is given nothing", async () => {
    const before = await bothActive()
    const [lost, left] = [siteOf(before[1]), siteOf(before[0])]
    const killed = now()
    await Promise.all(lab.cluster.agentsOf(lost).map((agent) => agent.kill()))
    const [, archive] = ledgers()
    await waitFor({ what: `${second} active in ${left}`, limit: patience }, () =>
      archive.first(killed, (write) => siteOf(write) === left),
    )
    const both = await bothActive()
    expect(both.map(siteOf)).toEqual([left, left])
    // It never was without its own service.
    expect(both[0]).toMatchObject({ node: before[0].node, epoch: before[0].epoch })
    for (const agent of lab.cluster.agentsOf(lost)) agent.start()
    await lab.settled()
    await expectUnmoved(both)
  })

  it("a ticket is moved by order: its service stops there and starts here, the other stays", async () => {
    const before = await bothActive()
    const from = siteOf(before[1])
    const to = lab.otherSite(from)
    const [asked] = lab.cluster.agentsOf(from)
    const ordered = now()
    await lab.cluster.quorumbeat(
      ...["ticket", "move", "of-south", to, "--runtime-dir", asked?.node.runtimeDirectory ?? ""],
    )
    const [, archive] = ledgers()
    await waitFor({ what: `${second} active in ${to}`, limit: patience }, () =>
      archive.first(ordered, (write) => siteOf(write) === to),
    )
    const after = await bothActive()
    expect(after[0]).toMatchObject({ node: before[0].node, epoch: before[0].epoch })
    expectExclusive()
  })
})
