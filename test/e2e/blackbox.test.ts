// The flight recorder of a real agent: kept when asked for and when a right is lost, readable, replayable.

import { execFileSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { waitFor } from "../support/cluster/waiting.ts"
import { patience, useLab } from "./lab.ts"

const lab = useLab({
  name: "blackbox",
  sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
  hasWitness: false,
})

function quorumbeat(...parameters: readonly string[]): string {
  return execFileSync(process.execPath, [lab.program, "blackbox", ...parameters], {
    encoding: "utf8",
  })
}

describe("the flight recorder", () => {
  it("[H17] keeps, when asked, what can be read and replayed to the same effects", async () => {
    await lab.settled()
    const { node } = lab.owner()
    const file = quorumbeat("keep", "--runtime-dir", lab.agent(node).node.runtimeDirectory).trim()
    const shown = quorumbeat("show", file)
    expect(shown).toContain("view-installed")
    expect(shown).toMatch(/<- a\d on 0: token ring=/)
    expect(shown).toMatch(/-> a\d on 0: token-ack ring=/)
    expect(quorumbeat("replay", file)).toMatch(/^\d+ steps replayed, with the same effects\n$/)
  })

  it("[H17] keeps by itself what led to a lost right", async () => {
    await lab.settled()
    const { node } = lab.owner()
    const owner = lab.agent(node)
    for (const agent of lab.cluster.agents) if (agent !== owner) await agent.kill()
    const folder = join(owner.node.stateDirectory, "blackbox")
    const name = await waitFor({ what: "a record is kept", limit: patience }, () =>
      existsSync(folder) ? readdirSync(folder).find((each) => each.endsWith("right-lost.flight")) : undefined,
    )
    const file = join(folder, name)
    expect(quorumbeat("show", file)).toContain("keep-record reason=right-lost")
    expect(quorumbeat("replay", file)).toMatch(/same effects/)
  })
})
