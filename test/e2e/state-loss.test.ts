// A node that lost its state directory: it comes back without breaking a promise that it no longer knows of.

import { readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { readTraces } from "../check-trace/trace-file.ts"
import type { Agent } from "../support/cluster/agent.ts"
import { serviceName } from "../support/cluster/cluster-toml.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { patience, quickSites, ttl, ttlWaited, twoByTwo, useLab } from "./lab.ts"

/** The directory itself stays: one that is not there at all is taken for a mistake, and the agent does not start. */
function loseState({ node }: Agent): void {
  for (const name of readdirSync(node.stateDirectory)) rmSync(join(node.stateDirectory, name))
}

/** The newest line of that name in the agent's log. */
function logged({ node }: Agent, event: string): Readonly<Record<string, unknown>> | undefined {
  const line = readFileSync(node.logFile, "utf8")
    .split("\n")
    .findLast((each) => each.includes(`"event":"${event}"`))
  return line === undefined ? undefined : JSON.parse(line)
}

describe("a node without its state", () => {
  const lab = useLab({
    name: "state-loss",
    sites: twoByTwo,
    hasWitness: true,
    timings: quickSites,
  })

  it("of the other site comes back: it says so, and the service is unaffected, also when the WAN is cut then", async () => {
    const before = lab.owner()
    const [victim] = lab.cluster.agentsOf(lab.otherSite(lab.ownerAgent().node.site))
    if (victim === undefined) throw new Error("an empty site")
    await victim.kill()
    loseState(victim)
    victim.start()
    await lab.settled()
    expect(logged(victim, "started")).toMatchObject({ amnesia: true })
    await lab.cluster.network.setWan("cut")
    await lab.undisturbed(before, ttlWaited + 3_000)
  })

  it("of the holder's site comes back: nothing moves", async () => {
    const before = lab.owner()
    const victim = lab.neighbour(lab.ownerAgent())
    await victim.kill()
    loseState(victim)
    await sleep(1_000)
    victim.start()
    await lab.settled()
    expect(logged(victim, "started")).toMatchObject({ amnesia: true })
    await lab.undisturbed(before, ttlWaited)
  })

  it("[M9] of a site that comes back as the holder is lost: no right before all it may have promised is over", async () => {
    const before = lab.owner()
    const { site } = lab.ownerAgent().node
    const heirs = lab.cluster.agentsOf(lab.otherSite(site))
    await Promise.all(heirs.map((agent) => agent.kill()))
    const [forgetful] = heirs
    if (forgetful !== undefined) loseState(forgetful)
    await lab.undisturbed(before, 1_000)
    await Promise.all(lab.cluster.agentsOf(site).map((agent) => agent.kill()))
    const started = now()
    for (const agent of heirs) agent.start()
    const names = heirs.map(({ name }) => name)
    const after = await lab.succession(before, started, names)
    expect(after.at).toBeGreaterThan(started + ttl)
    await expectNoRightBefore(started + ttl, heirs, started)
  })
})

describe("a node without its state, with one that never knew", () => {
  const lab = useLab({
    name: "forgotten-pledge",
    sites: [
      { name: "north", nodes: ["n1"] },
      { name: "south", nodes: ["s1", "s2", "s3"] },
    ],
    hasWitness: true,
    timings: quickSites,
    starts: false,
  })

  it("[M9] [V12] does not vote in its site, also when it would be the majority, before one is back that knows", async () => {
    const { network, witness } = lab.cluster
    const [north, unknowing, forgetful, third] = ["n1", "s1", "s2", "s3"].map((name) => lab.agent(name))
    if (!north || !unknowing || !forgetful || !third) throw new Error("four nodes are needed")
    // The witness never hears of the mandate: it stands on the south's pledge, of which one node never hears.
    await network.setUplink("north", "drop")
    await witness.kill()
    // Before the others claim: it is the one that comes first.
    north.start()
    await lab.statusWhen(north, "speaks for its site", ({ rights }) => rights.voice.held)
    for (const agent of [forgetful, third]) agent.start()
    const before = await lab.cluster.active(patience)
    expect(before.node).toBe("n1")
    await sleep(2_000)
    await Promise.all([forgetful.kill(), third.kill()])
    loseState(forgetful)
    await network.setWan("cut")
    await witness.start()
    const started = now()
    for (const agent of [unknowing, forgetful]) agent.start()
    await sleep(2 * ttlWaited)
    expect(lab.ledger.first(started, ({ node }) => node !== before.node)).toBeUndefined()
    for (const agent of [unknowing, forgetful]) {
      const { rights } = await lab.presentStatusOf(agent)
      expect(rights.voice.held, agent.name).toBe(false)
    }
    const back = now()
    third.start()
    await lab.succession(before, back, ["s1", "s2", "s3"])
    await expectNoRightBefore(back, [unknowing, forgetful, third], started)
  })
})

/** Lines of a trace come later than what they tell of. */
async function expectNoRightBefore(earliest: number, agents: readonly Agent[], since: number): Promise<void> {
  const traces = agents.map(({ node }) => node.traceFile)
  const granted = await waitFor({ what: "a right in the traces", limit: patience, interval: 200 }, () => {
    const found = readTraces(traces).rights.filter(
      ({ service, from }) => service === serviceName && from > since,
    )
    return found.length > 0 ? found : undefined
  })
  for (const { from } of granted) expect(from).toBeGreaterThan(earliest)
}
