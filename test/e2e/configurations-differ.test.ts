// One node has another cluster.toml than the rest: everybody says so, services stay where they are, rights still lapse.

import { readFileSync, writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { patience, useLab } from "./lab.ts"

const lab = useLab({
  name: "configurations-differ",
  sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
  hasWitness: false,
})

describe("[S11] configurations that differ", () => {
  it("are shown by every node; nothing moves, also not by order; what lapses ends and starts nowhere until they agree", async () => {
    const { configFile } = lab.cluster.layout
    const toml = readFileSync(configFile, "utf8")
    const owner = lab.ownerAgent()
    const [stranger, third] = lab.others(owner)
    if (stranger === undefined || third === undefined) throw new Error("three nodes are needed")

    const before = lab.owner()
    await stranger.kill()
    const other = toml.replace("self_lease_margin_ms = 50", "self_lease_margin_ms = 60")
    expect(other).not.toBe(toml)
    writeFileSync(configFile, other)
    stranger.start()
    await lab.settled()
    writeFileSync(configFile, toml)
    for (const agent of lab.cluster.agents) {
      await lab.statusWhen(agent, "configurations disagree", ({ configuration }) => !configuration.agreed)
      expect((await agent.complaints()).join()).toContain("configurations differ")
    }

    // Ordered, and locked: it does not come true. A refusal says the same.
    const words = ["service", "move", "ledger", third.name, "--runtime-dir", owner.node.runtimeDirectory]
    await lab.cluster.quorumbeat(...words).catch(String)
    await lab.undisturbed(before, 2_000)
    expect((await lab.presentStatusOf(owner)).services[0]).toMatchObject({
      state: "running",
      owner: owner.name,
    })

    const killed = now()
    await owner.killRealtime()
    await sleep(4_000)
    const late = lab.ledger.first(killed + 1_000, () => true)
    expect(late, "a write although the right has lapsed").toBeUndefined()
    for (const agent of [stranger, third]) {
      const { membership, services } = await lab.presentStatusOf(agent)
      expect(membership).toBe("operational")
      expect(services[0]).toMatchObject({ reason: "configuration-mismatch" })
    }

    const agreed = now()
    await stranger.kill()
    stranger.start()
    await waitFor({ what: "the service active again", limit: patience }, () =>
      lab.ledger.first(agreed, () => true),
    )
    await lab.settled([stranger, third])
  })
})
