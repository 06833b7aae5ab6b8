// Four nodes on machines of their own with two networks between them, one IPv4 and one IPv6: a pulled network costs nothing, and
// what is cut between nodes, one way or both, leads to the largest ring there is, which then stays.

import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, describe, expect, it } from "vitest"
import { now } from "../support/cluster/waiting.ts"
import { Namespaces } from "../support/namespaces.ts"
import { patience, useLab } from "./lab.ts"

const names = ["a1", "a2", "a3", "a4"]
const port = 5405

const machines = new Namespaces("lnk")
names.forEach((name, index) => {
  machines.add(name, [`10.98.0.${index + 1}/24`])
  machines.link(name, 1, [`fd98::${index + 1}/64`])
})

const lab = useLab({
  name: "links",
  sites: [{ name: "a", nodes: names }],
  hasWitness: false,
  wrapper: ({ name }) => ["ip", "netns", "exec", machines.name(name)],
  configure: (toml, { nodes }) =>
    nodes.reduce((text, { link }, index) => {
      const links = `"10.98.0.${index + 1}:${port}", "[fd98::${index + 1}]:${port + 1}"`
      return text.replace(`"${link}"`, links)
    }, toml),
})
afterEach(() => machines.heal())
afterAll(() => machines.remove())

const ringsOf = async (): Promise<readonly string[]> =>
  Promise.all(
    lab.cluster.agents.map(async (agent) => {
      const { ring, membership } = await lab.presentStatusOf(agent)
      return `${membership} ${ring?.id} ${ring?.members.join()}`
    }),
  )

describe("two links", () => {
  it.each([0, 1])(
    "network %i pulled: every node says so, no view changes, the service never pauses",
    async (link) => {
      const before = lab.owner()
      const rings = await ringsOf()
      for (const name of names) machines.unplug(name, link)
      await Promise.all(
        lab.cluster.agents.map((agent) =>
          lab.statusWhen(agent, `link ${link + 1} is down`, ({ peers }) =>
            peers.every(({ links }) => links[link]?.state === "down" && links[1 - link]?.state === "up"),
          ),
        ),
      )
      const complaints = await lab.cluster.agent("a1").complaints()
      expect(complaints).toContain(`a1: link ${link + 1} to a2 is down`)
      for (const name of names) machines.plug(name, link)
      await Promise.all(
        lab.cluster.agents.map((agent) =>
          lab.statusWhen(agent, "all links are up", ({ peers }) =>
            peers.every(({ links }) => links.every(({ state }) => state === "up")),
          ),
        ),
      )
      expect(await ringsOf()).toEqual(rings)
      await lab.undisturbed(before, 100)
      expect(lab.ledger.longestGap(before.at, now()), "milliseconds between two writes").toBeLessThan(1_000)
    },
  )

  it("a link that works one way is down for both, and each knows which way", async () => {
    machines.drop([{ from: "a1", to: "a2", link: 1 }])
    const [a1, a2] = [lab.agent("a1"), lab.agent("a2")]
    const linkTo = (peer: string, peers: Awaited<ReturnType<typeof lab.statusOf>>["peers"]) =>
      peers.find(({ name }) => name === peer)?.links[1]
    await lab.statusWhen(a2, "hears nothing of a1", ({ peers }) => linkTo("a1", peers)?.in.state === "down")
    await lab.statusWhen(a1, "is told so", ({ peers }) => {
      const link = linkTo("a2", peers)
      return link?.state === "down" && link.in.state === "up" && link.out?.state === "down"
    })
  })
})

/** Ways cut on both networks, and the rings that remain. `any`: of several as large ones, one. */
const cases: readonly {
  readonly what: string
  readonly cut: readonly string[]
  readonly rings: readonly string[]
}[] = [
  { what: "one way, on the token's way", cut: ["a1>a2"], rings: ["a1,a3,a4", "a2,a3,a4"] },
  { what: "one way, against it", cut: ["a3>a2"], rings: ["a1,a2,a4", "a1,a3,a4"] },
  { what: "one way, off it", cut: ["a1>a3"], rings: ["a1,a2,a3,a4"] },
  { what: "two pairs", cut: ["a1-a3", "a1-a4", "a2-a3", "a2-a4"], rings: ["a1,a2", "a3,a4"] },
  { what: "a chain", cut: ["a1-a3", "a1-a4", "a2-a4"], rings: ["a1,a2", "a2,a3", "a3,a4"] },
  { what: "a triangle and one that reaches one of it", cut: ["a4-a1", "a4-a2"], rings: ["a1,a2,a3"] },
]

describe("cut between nodes", () => {
  it.each(cases)("$what: the largest ring there is, and it stays", async ({ cut, rings }) => {
    const ways = cut.flatMap((each) => {
      const [from = "", to = ""] = each.split(/[->]/)
      return each.includes("-")
        ? [
            { from, to },
            { from: to, to: from },
          ]
        : [{ from, to }]
    })
    machines.drop(ways)
    const size = Math.max(...rings.map((ring) => ring.split(",").length))
    await Promise.all(
      lab.cluster.agents.map((agent) =>
        lab.statusWhen(agent, "is in a ring", ({ ring }) => ring !== undefined),
      ),
    )
    let settled: readonly string[] = []
    const until = Date.now() + patience
    do {
      await sleep(1_500)
      settled = await ringsOf()
    } while (!(isOneOf(settled, rings, size) && isAgreed(settled)) && Date.now() < until)
    expect(isOneOf(settled, rings, size), settled.join("; ")).toBe(true)
    expect(isAgreed(settled), settled.join("; ")).toBe(true)
    await sleep(2_000)
    expect(await ringsOf()).toEqual(settled)
  })
})

/** A ring of that size, as expected and known to all its members. */
function isOneOf(settled: readonly string[], rings: readonly string[], size: number): boolean {
  return rings.some((ring) => {
    const members = ring.split(",")
    const theirs = names.flatMap((name, index) => (members.includes(name) ? [settled[index]] : []))
    return members.length === size && new Set(theirs).size === 1 && (theirs[0]?.endsWith(` ${ring}`) ?? false)
  })
}

/** Each node is in a ring that all its members know the same of: nobody is still on the way into one. */
function isAgreed(settled: readonly string[]): boolean {
  return settled.every((own) => {
    const members = own.split(" ").at(-1)?.split(",") ?? []
    return own.startsWith("operational ") && members.every((name) => settled[names.indexOf(name)] === own)
  })
}
