// A floating address of real agents in network namespaces, with real nftables, and a client that asks every 5 ms: by IPv4
// and IPv6, as any client and by a frame to every node's hardware address. Whatever fails, never two nodes answer.

import { existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs"
import { delimiter, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { endAll } from "../support/cluster/child.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { createWorkplace, removeWorkplace, type Workplace } from "../support/cluster/workplace.ts"
import { FloatingAgents } from "../support/floating/agents.ts"
import { Stage } from "../support/floating/stage.ts"

const patience = 20_000
let workplace: Workplace

beforeAll(async () => {
  workplace = await createWorkplace("floating")
})
afterAll(() => removeWorkplace(workplace))

interface Scene {
  readonly stage: Stage
  readonly agents: FloatingAgents
}

/** Hooks for one `describe`: its tests share the nodes, which are whole again before each. */
function useScene(label: string, number: number, nodes: readonly string[], tieBreaker?: string): Scene {
  const scene: { stage?: Stage; agents?: FloatingAgents } = {}
  beforeAll(async () => {
    scene.stage = new Stage({ label, number, nodes, directory: `${workplace.directory}/${label}` })
    await scene.stage.open()
    const plan = { program: workplace.program, profile: "industrial" } as const
    scene.agents = new FloatingAgents(scene.stage, tieBreaker === undefined ? plan : { ...plan, tieBreaker })
    await scene.agents.start()
  })
  beforeEach(() => scene.agents?.restore())
  afterEach(async ({ task }) => {
    const told = scene.stage?.answers.newDoubles() ?? []
    if (told.length > 0 || task.result?.state === "fail")
      process.stderr.write(`${[...told, await scene.agents?.lastWords()].join("\n")}\n`)
    expect(told.join("\n"), "two nodes answered").toBe("")
    expect(scene.stage?.answers.newStrangers(), "an answer from another hardware address").toEqual([])
  })
  afterAll(async () => {
    await scene.stage?.close()
    endAll()
  })
  const sure = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error("the scene is not set")
    return value
  }
  return {
    get stage() {
      return sure(scene.stage)
    },
    get agents() {
      return sure(scene.agents)
    },
  }
}

/** Another node, the heir, answers at both addresses after `fault` befell the one that did. */
async function succession(
  scene: Scene,
  fault: (owner: string) => void,
): Promise<{ readonly victim: string; readonly heir: string }> {
  const victim = await scene.stage.settled(patience)
  fault(victim)
  const others = scene.stage.nodes.filter((node) => node !== victim)
  const heir = await scene.stage.settled(patience, others)
  // Long enough for a late answer of the former owner to show.
  await sleep(1_000)
  return { victim, heir }
}

/** Since `from` nobody but `owner` has answered, and it goes on. */
async function undisturbed({ stage }: Scene, owner: string, from: number): Promise<void> {
  const until = now()
  for (const family of ["ipv4", "ipv6"] as const) {
    const what = `another answer by ${family}`
    await waitFor({ what, limit: patience }, () => stage.answers.heard(family, until).length > 0 || undefined)
    const heard = stage.answers.heard(family, from)
    expect(new Set(heard.map(({ node }) => node))).toEqual(new Set([owner]))
    expect(stage.answers.outage(family, from), "without an answer").toBeLessThan(500)
  }
}

/** What befalls the owner moves nothing, for some seconds: the same activation goes on. */
async function nothingMoves(scene: Scene, fault: (owner: string) => void): Promise<void> {
  const owner = await scene.stage.settled(patience)
  const [other = ""] = scene.stage.nodes.filter((node) => node !== owner)
  const activation = async () => {
    const [service] = (await scene.agents.status(other))?.status.services ?? []
    return { owner: service?.owner, epoch: service?.epoch }
  }
  const before = await activation()
  expect(before.owner).toBe(owner)
  const from = now()
  fault(owner)
  await sleep(2_000)
  await undisturbed(scene, owner, from)
  expect(await activation()).toEqual(before)
}

const addressesOf = ({ stage }: Scene, node: string): string =>
  stage.network.run(node, "ip", ["-o", "addr", "show", "dev", "eth0"])

describe("three nodes", () => {
  const scene = useScene("fl3", 3, ["a1", "a2", "a3"])
  const kill = (pid: number, signal: NodeJS.Signals) => process.kill(pid, signal)

  it("kill -9 of both processes: the kernel closes the gate; the address, left behind, answers no more", async () => {
    const { victim } = await succession(scene, (owner) => scene.agents.child(owner).signalGroup("SIGKILL"))
    expect(addressesOf(scene, victim)).toContain(scene.stage.floating.ipv4)
    // The next agent there takes it away.
    scene.agents.startOne(victim)
    await waitFor({ what: "the address gone", limit: patience, interval: 100 }, () => {
      const left = addressesOf(scene, victim)
      const { ipv4, ipv6 } = scene.stage.floating
      return (!left.includes(`${ipv4}/`) && !left.includes(`${ipv6}/`)) || undefined
    })
  })

  it("kill -9 of the real-time process", async () => {
    await succession(scene, (owner) => scene.agents.child(owner).signal("SIGKILL"))
  })

  it("kill -9 of the control process: nothing moves", async () => {
    await nothingMoves(scene, (owner) => kill(scene.agents.controlPid(owner), "SIGKILL"))
  })

  it("SIGSTOP of the real-time process, for longer than its rights: woken, it opens nothing", async () => {
    const { victim, heir } = await succession(scene, (owner) => scene.agents.child(owner).signal("SIGSTOP"))
    const from = now()
    scene.agents.child(victim).signal("SIGCONT")
    await scene.agents.whole(patience)
    await sleep(1_000)
    await undisturbed(scene, heir, from)
  })

  it("SIGSTOP of the real-time process, woken again and again around L", async () => {
    for (const pause of [200, 350, 400, 450, 600]) {
      const owner = await scene.stage.settled(patience)
      scene.agents.child(owner).signal("SIGSTOP")
      await sleep(pause)
      scene.agents.child(owner).signal("SIGCONT")
      await scene.agents.whole(patience)
    }
    await scene.stage.settled(patience)
  })

  it("SIGSTOP of the whole agent: wedged, with its address still there", async () => {
    await succession(scene, (owner) => scene.agents.child(owner).signalGroup("SIGSTOP"))
  })

  it("SIGSTOP of the control process: nothing moves", async () => {
    await nothingMoves(scene, (owner) => kill(scene.agents.controlPid(owner), "SIGSTOP"))
  })

  it("link down: the one with the carrier takes over; plugged in again, the other stays away", async () => {
    const { victim, heir } = await succession(scene, (owner) => scene.stage.network.unplug(owner))
    const from = now()
    scene.stage.network.plug(victim)
    await scene.agents.whole(patience)
    await sleep(1_000)
    await undisturbed(scene, heir, from)
  })

  for (const direction of ["from", "to"] as const) {
    it(`one-way cut, nothing ${direction} the owner`, async () => {
      const { heir } = await succession(scene, (owner) => scene.stage.network.cut(owner, direction))
      const from = now()
      scene.stage.network.heal()
      await scene.agents.whole(patience)
      await sleep(1_000)
      await undisturbed(scene, heir, from)
    })
  }

  it("the whole node gone: its processes and its cable", async () => {
    const { victim } = await succession(scene, (owner) => {
      scene.stage.network.unplug(owner)
      scene.agents.child(owner).signalGroup("SIGKILL")
    })
    // Gone with its kernel, and what waited there to leave (SPEC G8).
    scene.stage.network.run(victim, "ip", ["neigh", "flush", "all"])
  })

  it("graceful stop: handed over, the address and the tables are taken away", async () => {
    const { victim } = await succession(scene, (owner) => scene.agents.child(owner).signal("SIGTERM"))
    await scene.agents.child(victim).ended
    expect(addressesOf(scene, victim)).not.toContain(`${scene.stage.floating.ipv4}/`)
    expect(scene.stage.network.run(victim, "nft", ["list", "tables"])).toBe("table inet quorumbeat-left\n")
  })

  it("[G4] graceful stop, with what answers at the address standing still meanwhile: no late answer", async () => {
    const { victim } = await succession(scene, (owner) => {
      scene.stage.signalAnswering(owner, "SIGSTOP")
      scene.agents.child(owner).signal("SIGTERM")
    })
    await scene.agents.child(victim).ended
    scene.stage.signalAnswering(victim, "SIGCONT")
    await sleep(1_000)
  })

  it("`nft flush ruleset` on the owner, then kill -9: its gate still closes", async () => {
    await succession(scene, (owner) => {
      scene.stage.network.run(owner, "nft", ["flush", "ruleset"])
      scene.agents.child(owner).signalGroup("SIGKILL")
    })
  })
})

/** A `PATH` with every program of this one but `left`. */
function pathWithout(left: string): string {
  const folder = join(workplace.directory, `without-${left}`)
  mkdirSync(folder, { recursive: true })
  for (const from of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of existsSync(from) ? readdirSync(from) : [])
      if (name !== left && !existsSync(join(folder, name))) symlinkSync(join(from, name), join(folder, name))
  }
  return folder
}

describe("a node without nft", () => {
  const scene = useScene("flx", 5, ["a1", "a2", "a3"])

  it("[G6] [S14] says so, and is not chosen while another can be", async () => {
    if ((await scene.stage.settled(patience)) === "a1") {
      scene.agents.child("a1").signal("SIGTERM")
      await scene.stage.settled(patience, ["a2", "a3"])
    } else {
      scene.agents.child("a1").signal("SIGTERM")
    }
    await scene.agents.child("a1").ended
    scene.agents.startOne("a1", { PATH: pathWithout("nft") })
    await scene.agents.whole(patience)
    const status = await scene.agents.status("a1")
    expect(status?.host.gate).toMatchObject({
      kind: "missing",
      reason: expect.stringContaining("nft cannot be run"),
    })
    // It comes first in the configuration: with a gate it would be the one.
    const owner = await scene.stage.settled(patience, ["a2", "a3"])
    const heirs = ["a2", "a3"].filter((node) => node !== owner)
    scene.agents.child(owner).signalGroup("SIGKILL")
    await scene.stage.settled(patience, heirs)
    await sleep(1_000)
    expect(addressesOf(scene, "a1")).not.toContain(`${scene.stage.floating.ipv4}/`)
  })
})

describe("two nodes, one of them the tie-breaker", () => {
  const scene = useScene("fl2", 2, ["a1", "a2"], "a1")
  const survivors = ["a1"]

  /** The address on the node whose loss the other survives. */
  async function ownedByOther(): Promise<void> {
    const owner = await scene.stage.settled(patience)
    if (owner === "a2") return
    scene.agents.child(owner).signal("SIGTERM")
    await scene.stage.settled(patience, ["a2"])
    await scene.agents.child(owner).ended
    await scene.agents.restore()
  }

  const faults: readonly (readonly [string, () => void])[] = [
    ["kill -9 of both processes", () => scene.agents.child("a2").signalGroup("SIGKILL")],
    ["SIGSTOP of the real-time process", () => scene.agents.child("a2").signal("SIGSTOP")],
    ["link down", () => scene.stage.network.unplug("a2")],
    ["one-way cut, nothing to the owner", () => scene.stage.network.cut("a2", "to")],
  ]
  for (const [name, fault] of faults) {
    it(name, async () => {
      await ownedByOther()
      fault()
      await scene.stage.settled(patience, survivors)
      await sleep(1_000)
    })
  }

  it("the node that may not go on alone stops: after a cut nobody answers twice, and it answers not at all", async () => {
    await ownedByOther()
    scene.stage.network.cut("a2", "both")
    await scene.stage.settled(patience, survivors)
    await waitFor({ what: "the address gone from a2", limit: patience, interval: 100 }, () => {
      return !addressesOf(scene, "a2").includes(`${scene.stage.floating.ipv4}/`) || undefined
    })
  })
})
