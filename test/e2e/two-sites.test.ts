// Two sites of two nodes and a witness: whatever is cut, one site at most goes on.

import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import type { Write } from "../support/cluster/ledger.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { patience, quickSites, ttl, ttlWaited, twoByTwo, useLab } from "./lab.ts"
import { atWorstMoment } from "./worst-moment.ts"

const lab = useLab({
  name: "two-sites",
  sites: twoByTwo,
  hasWitness: true,
  timings: quickSites,
})

/** Until every pledge has ended, and as long again as a claim and a start would take. */
const wholeTtl = ttlWaited + 2_000

/** How much later the witness's answers reach the holder before it is cut off. */
const answerDelay = 1_500

interface Holder {
  readonly before: Write
  readonly site: string
  readonly other: string
}

function holder(): Holder {
  const before = lab.owner()
  const { site } = lab.agent(before.node).node
  return { before, site, other: lab.otherSite(site) }
}

async function expectNoMandate(site: string): Promise<void> {
  for (const agent of lab.cluster.agentsOf(site)) {
    const { rights } = await lab.presentStatusOf(agent)
    expect(rights.mandates.filter(({ held }) => held)).toEqual([])
  }
}

const namesOf = (site: string): readonly string[] => lab.cluster.agentsOf(site).map(({ name }) => name)

describe("two sites of two nodes and a witness", () => {
  it("form two rings with one mandate, and every status is healthy", async () => {
    await lab.cluster.healthy(patience)
    const { site, other } = holder()
    for (const agent of lab.cluster.agentsOf(site)) {
      // The one that writes has it: the other may hear so a moment later.
      const status = await lab.statusWhen(agent, "holds the mandate", ({ rights }) =>
        rights.mandates.some(({ held }) => held),
      )
      expect(status.ring?.members).toEqual(namesOf(site))
      expect(status.rights.mandates).toMatchObject([{ ticket: "main", held: true, holder: site }])
    }
    await expectNoMandate(other)
  })

  it("WAN cut both ways: the holder's site goes on, the other gets no mandate", async () => {
    const { before, other } = holder()
    await lab.cluster.network.setWan("cut")
    await lab.undisturbed(before, wholeTtl)
    await expectNoMandate(other)
  })

  it.each(["to", "from"] as const)("WAN cut one way, %s the holder's site: it goes on alone", async (way) => {
    const { before, site, other } = holder()
    const [from, to] = way === "to" ? [other, site] : [site, other]
    await lab.cluster.network.setDirection(from, to, "cut")
    await lab.undisturbed(before, wholeTtl)
    await expectNoMandate(other)
  })

  it("witness down for more than its TTL while the WAN is whole: nothing happens", async () => {
    const { before } = holder()
    await lab.cluster.witness.kill()
    await lab.undisturbed(before, 1.5 * ttl)
  })

  it("witness restarted while the WAN is cut: no gap", async () => {
    const { before, other } = holder()
    await lab.cluster.network.setWan("cut")
    await lab.undisturbed(before, 1_000)
    await lab.cluster.witness.kill()
    await lab.cluster.witness.start()
    await lab.undisturbed(before, wholeTtl)
    await expectNoMandate(other)
  })

  it("the holder's site cut from all: it stops, and only then the other site starts, at a higher epoch", async () => {
    const { before, site, other } = holder()
    const { network } = lab.cluster
    await network.setWan("cut")
    // What is on its way at the end still arrives, late: it must not count from then.
    await network.setUplink(site, "open", answerDelay)
    await lab.undisturbed(before, 2 * answerDelay)
    await network.setUplink(site, "drain", answerDelay)
    const cut = now()
    const after = await lab.succession(before, cut, namesOf(other))
    await expectNoMandate(site)
    await network.heal()
    await lab.settled()
    for (const agent of lab.cluster.agentsOf(site)) {
      const what = "the vote of the former holder's site goes to the new one"
      await lab.statusWhen(agent, what, ({ rights }) => rights.mandates[0]?.pledged_to === other)
    }
    await lab.undisturbed(after, 1_000)
  })

  it("uplink of the holder's site silently dropped: nothing moves; then the WAN cut too: the other site takes over", async () => {
    const { before, site, other } = holder()
    const { network } = lab.cluster
    await network.setUplink(site, "drop")
    await lab.undisturbed(before, wholeTtl)
    const reporter = await waitFor(
      { what: "the lost way to the witness shown", limit: patience },
      async () => {
        const statuses = await Promise.all(lab.cluster.agentsOf(site).map((agent) => lab.statusOf(agent)))
        return statuses.find(({ witness }) => witness.state === "unreachable")
      },
    )
    expect(reporter.rights.mandates[0]?.held).toBe(true)
    const cut = now()
    await network.setWan("cut")
    await lab.succession(before, cut, namesOf(other))
  })

  it("uplink of the other site silently dropped: nothing moves, also when the WAN is cut then", async () => {
    const { before, other } = holder()
    const { network } = lab.cluster
    await network.setUplink(other, "drop")
    await lab.undisturbed(before, ttlWaited)
    await network.setWan("cut")
    await lab.undisturbed(before, wholeTtl)
    await expectNoMandate(other)
  })

  it("kill -9 of the active node: its neighbour takes over with the witness's vote", async () => {
    const { before } = holder()
    const victim = lab.ownerAgent()
    const heir = lab.neighbour(victim)
    const killed = await atWorstMoment(victim, heir, () => victim.kill())
    await lab.succession(before, killed, [heir.name])
    const { rights } = await lab.presentStatusOf(heir)
    expect(rights.voice).toMatchObject({ held: true, by: "witness" })
  })

  it("kill -9 of the whole holder's site: the other takes over; what comes back takes nothing", async () => {
    const { before, site, other } = holder()
    const killed = now()
    await Promise.all(lab.cluster.agentsOf(site).map((agent) => agent.kill()))
    const after = await lab.succession(before, killed, namesOf(other))
    for (const agent of lab.cluster.agentsOf(site)) agent.start()
    await sleep(500)
    await lab.settled()
    await lab.undisturbed(after, 2_000)
  })
})
