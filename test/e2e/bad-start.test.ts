// What an agent is started with is wrong: it says all that is wrong, starts nothing, and ends with status 2.

import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { Agent } from "../support/cluster/agent.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { patience, useLab } from "./lab.ts"

const lab = useLab({
  name: "bad-start",
  sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
  hasWitness: false,
  starts: false,
})

/** Starts it and waits for its end: the exit status and what it printed. */
async function failedStart(agent: Agent): Promise<{ readonly status: unknown; readonly message: string }> {
  const { logFile } = agent.node
  writeFileSync(logFile, "")
  agent.start()
  const { pid } = agent
  await waitFor({ what: "the agent ended", limit: patience }, () => !agent.isRunning || undefined)
  return { status: lab.exitStatus(pid), message: readFileSync(logFile, "utf8") }
}

describe("an agent does not start", () => {
  let stateBefore: readonly string[] = []
  let toml = ""

  beforeEach(() => {
    stateBefore = readdirSync(lab.agent("a1").node.stateDirectory)
    toml = readFileSync(lab.cluster.layout.configFile, "utf8")
  })

  afterEach(() => {
    const { node } = lab.agent("a1")
    writeFileSync(lab.cluster.layout.configFile, toml)
    // Nothing was started, nothing left behind: no lock, no socket, no lease.
    expect(readdirSync(node.stateDirectory)).toEqual(stateBefore)
    expect(existsSync(node.runtimeDirectory)).toBe(false)
  })

  it("with a configuration that has errors: each is named, with its line", async () => {
    const { configFile } = lab.cluster.layout
    const broken = toml
      .replace('profile = "industrial"', 'profile = "industrious"')
      .replace("id = 12", "id = 11")
      .replace('site = "a"', 'site = "b"')
      .replace('proof = "self-lease"', 'proof = "self-lease"\nprof = 1')
    writeFileSync(configFile, broken)
    const { status, message } = await failedStart(lab.agent("a1"))
    expect(status).toBe(2)
    const lines = broken.split("\n")
    const lineOf = (text: string): number => lines.findIndex((line) => line.includes(text)) + 1
    for (const [text, complaint] of [
      ["industrious", 'profile: found "industrious", expected'],
      ["prof = 1", "service[0].prof: unknown key"],
      ['site = "b"', 'node[0].site: found "b", expected'],
    ] as const) {
      expect(message).toContain(`${configFile}:${lineOf(text)}:1: ${complaint}`)
    }
    expect(message).toContain("node[1].id: found 11, which node[0].id has too")
  })

  it("with timings that break a rule: the rule is named with its numbers", async () => {
    writeFileSync(lab.cluster.layout.configFile, `${toml}\n[timings]\nlease_ms = 300\n`)
    const { status, message } = await failedStart(lab.agent("a1"))
    expect(status).toBe(2)
    expect(message).toMatch(/timings\.lease_ms: .*T1/)
    expect(message).toContain("300")
  })

  it.each(["node's key", "ring key"])("with a %s that others can read", async (which) => {
    const agent = lab.agent("a1")
    const file = which === "ring key" ? lab.cluster.layout.ringKeyFile : agent.node.keyFile
    chmodSync(file, 0o440)
    const { status, message } = await failedStart(agent)
    chmodSync(file, 0o400)
    expect(status).toBe(2)
    expect(message).toContain(file)
    expect(message).toMatch(/chmod/)
  })

  it("with the key of another node", async () => {
    const agent = lab.agent("a1")
    const own = readFileSync(agent.node.keyFile, "utf8")
    chmodSync(agent.node.keyFile, 0o600)
    writeFileSync(agent.node.keyFile, readFileSync(lab.agent("a2").node.keyFile))
    const { status, message } = await failedStart(agent)
    writeFileSync(agent.node.keyFile, own)
    expect(status).toBe(2)
    expect(message).toContain("is not the key of node a1")
  })
})
