// A full disk under one node's state directory: nothing that must be stored is spoken before it is. Needs a small file
// system of its own (tmpfs, so root).

import { execFileSync } from "node:child_process"
import { appendFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, expect, it } from "vitest"
import type { Agent } from "../support/cluster/agent.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { describeNeeding } from "../support/needs.ts"
import { patience, useLab } from "./lab.ts"

const bytes = 64 * 1024

function mount(directory: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=0700`, "none", directory], {
      stdio: "ignore",
    })
    return true
  } catch {
    // Not root, or not allowed to in this container.
    return false
  }
}

const unmount = (directory: string): unknown => execFileSync("umount", ["--lazy", directory])

function canMount(): boolean {
  const directory = mkdtempSync(join(tmpdir(), "quorumbeat-mount-"))
  const mounted = mount(directory)
  if (mounted) unmount(directory)
  rmSync(directory, { recursive: true })
  return mounted
}

const fillingOf = ({ node }: Agent): string => join(node.stateDirectory, "filling")

/** Until not one byte more can be written. */
function fill(agent: Agent): void {
  for (let size = bytes; size > 0; size = Math.floor(size / 2)) {
    try {
      for (;;) appendFileSync(fillingOf(agent), Buffer.alloc(size))
    } catch {
      // No space for so much.
    }
  }
}

/** A node for which the others gathered in vain is held off for up to a minute (SPEC R5). */
const takenBack = 90_000

const missing = canMount() ? [] : ["the right to mount a tmpfs"]

describeNeeding(missing, "a full disk under the state directory", () => {
  const small = "a1"
  const lab = useLab({
    name: "full-disk",
    sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
    hasWitness: false,
    companions: ({ cluster }) => {
      // On each, whichever becomes the active one.
      for (const { stateDirectory } of cluster.layout.nodes) {
        const saved = `${stateDirectory}.saved`
        cpSync(stateDirectory, saved, { recursive: true })
        mount(stateDirectory)
        cpSync(saved, stateDirectory, { recursive: true })
      }
    },
  })
  afterAll(() => {
    for (const { stateDirectory } of lab.cluster.layout.nodes)
      if (existsSync(stateDirectory)) unmount(stateDirectory)
  })

  afterEach(() => {
    for (const agent of lab.cluster.agents) rmSync(fillingOf(agent), { force: true })
  })

  it("of the active node: nothing moves while it runs, also when another node is lost", async () => {
    const active = lab.ownerAgent()
    const before = lab.owner()
    fill(active)
    const [lost, ...left] = lab.others(active)
    await lost?.kill()
    await lab.settled([active, ...left])
    await lab.undisturbed(before, 2_000)
  })

  it("[D1] of a node that must store something for a new view: it is left behind, and comes back once there is space", async () => {
    const full = lab.agent(small)
    const others = lab.others(full)
    fill(full)
    const [lost] = others
    await lost?.kill()
    // What comes back begins with a ring sequence far ahead of what the others have stored.
    lost?.start()
    await lab.settled(others)
    expect((await lab.presentStatusOf(full)).membership).not.toBe("operational")
    rmSync(fillingOf(full))
    await lab.settled(lab.cluster.agents, takenBack)
  })

  it("[D3] a node that starts on it says why it waits, speaks to nobody, and joins once there is space", async () => {
    const agent = lab.agent(small)
    await agent.kill()
    fill(agent)
    const silentSince = now()
    writeFileSync(agent.node.logFile, "")
    agent.start()
    const log = (): string => readFileSync(agent.node.logFile, "utf8")
    const instead = (): string => agent.lastWords()
    await waitFor(
      { what: "the full disk in its log", limit: patience, instead },
      () => /"level":"error".*state-file-failed.*no space left/i.test(log()) || undefined,
    )
    await sleep(3_000)
    expect(agent.isRunning, agent.lastWords()).toBe(true)
    expect((await lab.presentStatusOf(agent)).membership).toBe("booting")
    for (const other of lab.others(agent)) {
      const asked = now()
      const answer = await other.status()
      const heard = answer?.status.peers.find(({ name }) => name === small)
      const heardAt = asked - (answer?.age_ms ?? 0) - (heard?.heard_ms ?? Number.POSITIVE_INFINITY)
      expect(answer).toBeDefined()
      expect(heardAt).toBeLessThan(silentSince)
    }
    const before = lab.owner()
    rmSync(fillingOf(agent))
    await lab.settled(lab.cluster.agents, takenBack)
    await lab.undisturbed(before, 1_000)
  })
})
