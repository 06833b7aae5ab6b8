// Agents of this protocol version and of the one before it in one ring of real processes: formed, failed over and upgraded node by
// node, while the service goes on.

import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { protocolVersions } from "../../protocol/version.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { createWorkplace, removeWorkplace, type Workplace } from "../support/cluster/workplace.ts"
import { patience, useLab } from "./lab.ts"

const { min, max } = protocolVersions
const former = {
  file: "protocol/version.ts",
  find: `protocolVersions: VersionRange = { min: ${min}, max: ${max} }`,
  replace: `protocolVersions: VersionRange = { min: ${min}, max: ${max - 1} }`,
}

const lab = useLab({
  name: "rolling-upgrade",
  sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
  hasWitness: false,
  starts: false,
})

let workplace: Workplace | undefined

beforeAll(async () => {
  workplace = await createWorkplace("former", [former])
})

afterAll(() => {
  if (workplace !== undefined) removeWorkplace(workplace)
})

describe("[N1] [N2] [N3] a cluster of the former version", () => {
  it("is upgraded node by node; before, between and after an owner that dies is replaced", async () => {
    for (const agent of lab.cluster.agents) {
      agent.install(workplace?.program ?? "")
      lab.start(agent)
    }
    await lab.settled()
    for (const agent of lab.cluster.agents) {
      const owner = lab.ownerAgent()
      const killed = now()
      await owner.killRealtime()
      const next = await lab.cluster.succession([owner.name], killed, patience)
      expect(next.node).not.toBe(owner.name)
      lab.start(owner)
      await lab.settled()
      await agent.stop(patience)
      agent.install(lab.program)
      lab.start(agent)
      await lab.settled()
    }
    const from = now()
    await waitFor({ what: "a write", limit: patience }, () => lab.ledger.first(from, () => true))
  })
})
