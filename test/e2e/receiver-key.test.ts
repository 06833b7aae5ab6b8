// The key that seals receivers' secrets, as files of an embedded witness: made, missing, and changed for another one.

import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { loadConfigFile } from "../../node-agent/host/config-file.ts"
import { wallTime } from "../../protocol/units.ts"
import { AnsweringServer } from "../support/cluster/answering-server.ts"
import { Cluster } from "../support/cluster/cluster.ts"
import { type Poster, posterOf, unwrap } from "../support/cluster/poster.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { createWorkplace, removeWorkplace, type Workplace } from "../support/cluster/workplace.ts"

const patience = 40_000

describe("[A11] the key of receivers' secrets", () => {
  let workplace: Workplace
  const server = new AnsweringServer({ pager: (response) => response.writeHead(202).end("{}") })
  let cluster: Cluster
  let poster: Poster

  beforeAll(async () => {
    workplace = await createWorkplace("receiver-key")
    const { directory, program } = workplace
    cluster = await Cluster.prepare({
      ...{ name: "sealed", directory, program, profile: "industrial", timings: {}, hasWitness: true },
      trace: false,
      sites: [{ name: "a", nodes: ["a1"] }],
    })
  })

  afterAll(async () => {
    await poster?.close()
    await cluster?.end()
    server.close()
    removeWorkplace(workplace)
  })

  const report = (subject: string): Promise<void> =>
    poster.post([
      { id: subject, kind: "service-failed", subject, severity: "critical", at: wallTime(0), detail: "" },
    ])
  const told = (subject: string): Promise<true> =>
    waitFor({ what: `${subject} is told`, limit: patience, instead: () => witnessLog().slice(-2_000) }, () =>
      isTold(subject) ? true : undefined,
    )
  const witnessLog = (): string => readFileSync(join(cluster.layout.directory, "witness.log"), "utf8")
  const isTold = (subject: string): boolean => server.of("pager").some(({ body }) => body.includes(subject))

  async function restartWith(...files: readonly string[]): Promise<void> {
    await cluster.witness.kill()
    cluster.witness.receiverKeyFiles = files
    await cluster.witness.start()
  }

  it("opens them, is missed when it is not there, and can be changed", { timeout: 180_000 }, async () => {
    const { directory } = workplace
    const [first, second] = [join(directory, "first.key"), join(directory, "second.key")]
    await cluster.quorumbeat("keygen", "--receivers", first)
    await cluster.quorumbeat("keygen", "--receivers", "--id", "2", second)
    cluster.witness.receiverKeyFiles = [first]
    await cluster.startWitness()
    const [node] = cluster.layout.nodes
    if (node === undefined) throw new Error("the cluster has no node")
    poster = posterOf(unwrap(loadConfigFile(cluster.layout.configFile)), node)
    await poster.post()
    const rules = join(directory, "rules.toml")
    const url = `http://127.0.0.1:${await server.listen()}/pager`
    writeFileSync(
      rules,
      `group_wait = "0s"\ngroup_by = ["subject"]\n[[receiver]]\nname = "pager"\nkind = "webhook"\nurl = "${url}"\nsecret = "${cluster.receiver.secret}"\n`,
    )
    const { configFile, credentialFile } = cluster.layout
    const options = ["--config", configFile, "--credential-file", credentialFile]
    await cluster.quorumbeat("alerts", "apply", rules, ...options)
    await report("pump")
    await told("pump")

    await restartWith()
    await report("valve")
    await sleep(2_000)
    expect(isTold("valve"), "sealed with a key that is not there").toBe(false)
    expect(witnessLog()).toContain("the receivers' secrets cannot be opened")

    await restartWith(second, first)
    await told("valve")
    // Sealed with the newest when it was next opened: the former one is not needed any more.
    await restartWith(second)
    await report("fan")
    await told("fan")
  })
})
