// One site of three nodes, no witness: what one failed process may and may not do to the service.

import { existsSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { type Agent, childrenOf } from "../support/cluster/agent.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { patience, useLab } from "./lab.ts"
import { atWorstMoment } from "./worst-moment.ts"

const lease = 400
const lab = useLab({
  name: "one-site",
  sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
  hasWitness: false,
})

/** The service's own file: it is there while its daemon acts. */
const isActing = (agent: Agent): boolean => existsSync(join(agent.node.ledgerDirectory, "acting"))

function serviceEnded(agent: Agent): Promise<unknown> {
  return waitFor(
    { what: `the service of ${agent.name} ended`, limit: patience },
    () => !isActing(agent) || undefined,
  )
}

describe("one site of three nodes", () => {
  it("forms one ring with the service active on one node, and every status is healthy", async () => {
    const { node } = lab.owner()
    for (const agent of lab.cluster.agents) {
      // It writes as soon as it has its lease: the others may not have heard yet that its start is done.
      const status = await waitFor(
        { what: `${agent.name} hears that the service runs`, limit: patience },
        async () => {
          const each = await lab.statusOf(agent)
          return each.services.every(({ state }) => state === "running") ? each : undefined
        },
      )
      expect(status.ring?.members).toEqual(["a1", "a2", "a3"])
      expect(status.services).toMatchObject([{ name: "ledger", owner: node, state: "running" }])
      expect(await agent.complaints()).toEqual([])
    }
    expect(lab.cluster.agents.filter(isActing).map(({ name }) => name)).toEqual([node])
  })

  it("a node that comes back takes nothing, also not the first choice", async () => {
    const away = lab.agent("a1")
    const { node } = lab.owner()
    if (node === away.name) {
      const before = lab.owner()
      await away.kill()
      await lab.succession(before, now())
    } else await away.kill()
    const before = lab.owner()
    await sleep(1_000)
    away.start()
    await lab.settled()
    await lab.undisturbed(before, 2_000)
  })

  it("kill -9 of the real-time process: active elsewhere, and what it left behind ends", async () => {
    const before = lab.owner()
    const victim = lab.ownerAgent()
    const { controlPid = 0 } = victim
    const killed = now()
    await victim.killRealtime()
    await lab.succession(before, killed)
    await serviceEnded(victim)
    await waitFor({ what: "its control process ended", limit: patience }, () => {
      return !existsSync(`/proc/${controlPid}`) || undefined
    })
  })

  it("kill -9 of the control process: neither service nor right moves, and a new one takes its place", async () => {
    const before = lab.owner()
    const victim = lab.ownerAgent()
    const { controlPid: former = 0 } = victim
    process.kill(former, "SIGKILL")
    await lab.undisturbed(before, 2_000)
    const status = await lab.statusWhen(victim, "the service is known to run", ({ services }, { host }) => {
      return host.control_starts > 1 && services[0]?.state === "running"
    })
    expect(status.services[0]).toMatchObject({ owner: victim.name, epoch: before.epoch })
    expect(victim.controlPid).not.toBe(former)
  })

  it("kill -9 of both processes: active elsewhere; the service that nobody stops ends by its lease", async () => {
    const before = lab.owner()
    const victim = lab.ownerAgent()
    const [other = victim] = lab.others(victim)
    const killed = await atWorstMoment(victim, other, () => victim.kill())
    await lab.succession(before, killed)
    await serviceEnded(victim)
  })

  it("SIGSTOP of the real-time process for longer than L: another takes over, and the woken one never writes again", async () => {
    const before = lab.owner()
    const victim = lab.ownerAgent()
    const [other = victim] = lab.others(victim)
    const stopped = await atWorstMoment(victim, other, () => victim.signal("SIGSTOP"))
    const after = await lab.succession(before, stopped)
    victim.signal("SIGCONT")
    await lab.settled()
    await lab.undisturbed(after, 1_000)
    const late = lab.ledger.read().filter(({ node, at }) => node === before.node && at >= after.at)
    expect(late).toEqual([])
  })

  it("SIGSTOP of the real-time process, woken again and again around L: never two owners", async () => {
    for (const pause of [0.5 * lease, lease, 1.25 * lease, 1.5 * lease, 2 * lease]) {
      const victim = lab.ownerAgent()
      victim.signal("SIGSTOP")
      await sleep(pause)
      victim.signal("SIGCONT")
      await lab.settled()
    }
  })

  it("SIGSTOP of the control process, until it is given up and replaced: nothing moves", async () => {
    const before = lab.owner()
    const victim = lab.ownerAgent()
    const { controlPid = 0 } = victim
    process.kill(controlPid, "SIGSTOP")
    await lab.undisturbed(before, 12_000)
    await lab.statusWhen(victim, "a new control process", (_, { host }) => host.control_starts > 1)
    expect(existsSync(`/proc/${controlPid}`)).toBe(false)
    await lab.undisturbed(before, 1_000)
  })

  it("SIGTERM of the active agent: it stops its service, hands over and leaves with status 0", async () => {
    const before = lab.owner()
    const leaving = lab.ownerAgent()
    const { pid } = leaving
    const asked = now()
    leaving.signal("SIGTERM")
    await lab.succession(before, asked)
    await waitFor({ what: "the agent ended", limit: patience }, () => !leaving.isRunning || undefined)
    expect(lab.exitStatus(pid)).toBe(0)
    expect(isActing(leaving)).toBe(false)
    expect(childrenOf(pid)).toEqual([])
    const [witness] = lab.others(leaving)
    if (witness !== undefined) {
      const what = "hears that the service runs elsewhere"
      const { services } = await lab.statusWhen(witness, what, (status) =>
        status.services.every(({ state, owner }) => state === "running" && owner !== leaving.name),
      )
      expect(services[0]?.reason).toBeUndefined()
    }
  })
})
