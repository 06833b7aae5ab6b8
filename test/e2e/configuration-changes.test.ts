// A running cluster of real processes is changed by `quorumbeat config apply`: two nodes become three and four and two
// again, with kills in the middle, while the service goes on and never acts twice.

import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { Agent } from "../support/cluster/agent.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { patience, quickSites, useLab } from "./lab.ts"

const names = ["a1", "a2", "a3", "a4"]
const lab = useLab({
  name: "configuration-changes",
  sites: [{ name: "a", nodes: names }],
  hasWitness: true,
  timings: quickSites,
  starts: false,
  configure: (toml) => {
    whole = toml
    return of(1, 2)
  },
})

/** As generated, with all four nodes. */
let whole = ""

/** The file for the first `count` nodes. */
function of(version: number, count: number): string {
  const [head = "", ...tables] = whole.split(/(?=^\[\[)/m)
  const kept = tables.filter(
    (table) => !names.slice(count).some((name) => table.includes(`name = "${name}"`)),
  )
  return [head.replace("version = 1", `version = ${version}`), ...kept].join("").replace(
    /^nodes = .*$/m,
    `nodes = [${names
      .slice(0, count)
      .map((name) => `"${name}"`)
      .join(", ")}]`,
  )
}

/** What an operator does: edits a copy and applies it at a node. */
async function apply(at: Agent, version: number, count: number): Promise<string> {
  const file = join(lab.cluster.layout.directory, `version-${version}.toml`)
  writeFileSync(file, of(version, count))
  return await lab.cluster.quorumbeat(
    "config",
    "apply",
    file,
    "--yes",
    "--runtime-dir",
    at.node.runtimeDirectory,
  )
}

/** As often as it takes: a view has just changed, or the change came through before. */
async function activated(at: Agent, version: number, count: number): Promise<void> {
  let said = ""
  await waitFor(
    { what: `version ${version}`, limit: patience, interval: 300, instead: () => said },
    async () => {
      said = await apply(at, version, count).catch(String)
      return said.includes("is active") || said.includes("nothing differs") || undefined
    },
  )
}

function running(count: number): readonly Agent[] {
  return names.slice(0, count).map((name) => lab.agent(name))
}

/** Healthy, of this version, and the service writes. */
async function settledAt(version: number, count: number): Promise<void> {
  await lab.cluster.healthy(patience, running(count))
  for (const agent of running(count)) {
    await lab.statusWhen(
      agent,
      `version ${version}`,
      ({ configuration }) => configuration.version === version,
    )
  }
  const from = now()
  await waitFor({ what: "a write", limit: patience }, () => lab.ledger.first(from, () => true))
}

describe("[LC1] [LC4] [LC5] [LC6] [LC7] a running cluster", () => {
  it("grows from two nodes to four and shrinks back, with kills in the middle", async () => {
    for (const agent of running(2)) lab.start(agent)
    await settledAt(1, 2)

    expect(await apply(lab.agent("a1"), 2, 3)).toContain("configuration version 2 is active")
    expect(readFileSync(lab.cluster.layout.configFile, "utf8")).toBe(of(2, 3))
    lab.start(lab.agent("a3"))
    await settledAt(2, 3)

    // The owner dies while the fourth is brought in: done before or refused, it is in order once all are back.
    const owner = lab.ownerAgent()
    const [other] = running(3).filter((agent) => agent !== owner)
    if (other === undefined) throw new Error("two nodes are left")
    const asked = apply(other, 3, 4).catch(String)
    await owner.kill()
    expect(await asked).toMatch(/is active|refused/)
    await waitFor({ what: "the service elsewhere", limit: patience }, async () => {
      const { services, rights } = await lab.statusOf(other)
      const [{ state, owner: active } = {}] = services
      return (state === "running" && active !== owner.name && rights.voice.held) || undefined
    })
    lab.start(owner)
    await activated(other, 3, 4)
    lab.start(lab.agent("a4"))
    await settledAt(3, 4)

    for (const [version, count] of [
      [4, 3],
      [5, 2],
    ] as const) {
      await lab.agent(names[count] ?? "").stop(patience)
      await lab.cluster.healthy(patience, running(count)).catch(() => undefined)
      await activated(lab.agent("a2"), version, count)
      await settledAt(version, count)
    }
  })

  it("refuses what is not one step, says why, and goes on as before", async () => {
    const refusal = await apply(lab.agent("a1"), 6, 4).catch(String)
    expect(refusal).toContain("one node at a time")
    const member = await apply(lab.agent("a1"), 6, 1).catch(String)
    expect(member).toContain("stop its agent first")
    await settledAt(5, 2)
  })

  it("a file that no ring has ordered is not run by accident", async () => {
    const agent = lab.agent("a2")
    await agent.stop(patience)
    const file = lab.cluster.layout.configFile
    const before = readFileSync(file, "utf8")
    writeFileSync(file, of(6, 3))
    lab.start(agent)
    await waitFor({ what: "the agent ended", limit: patience }, () => !agent.isRunning || undefined)
    expect(readFileSync(agent.node.logFile, "utf8")).toContain("--take-file")
    // An older one is brought up to date.
    writeFileSync(file, of(1, 2))
    lab.start(agent)
    await settledAt(5, 2)
    expect(readFileSync(file, "utf8")).toBe(before)
  })
})
