// The key that seals receivers' secrets, as files of an embedded witness: made, missing, and changed for another one.

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, describe, expect, it } from "vitest"
import { AnsweringServer } from "../support/cluster/answering-server.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { useAlertLab } from "./alert-lab.ts"

const patience = 40_000

describe("[A11] the key of receivers' secrets", () => {
  const lab = useAlertLab("receiver-key")
  const server = new AnsweringServer({ pager: (response) => response.writeHead(202).end("{}") })
  afterAll(() => server.close())

  const report = (subject: string): Promise<void> => lab.report("service-failed", subject)
  const told = (subject: string): Promise<true> =>
    waitFor({ what: `${subject} is told`, limit: patience, instead: () => witnessLog().slice(-2_000) }, () =>
      isTold(subject) ? true : undefined,
    )
  const witnessLog = (): string => readFileSync(join(lab.directory, "witness.log"), "utf8")
  const isTold = (subject: string): boolean => server.of("pager").some(({ body }) => body.includes(subject))

  async function restartWith(...files: readonly string[]): Promise<void> {
    lab.cluster.witness.receiverKeyFiles = files
    await lab.restartWitness()
  }

  it("opens them, is missed when it is not there, and can be changed", { timeout: 180_000 }, async () => {
    const { cluster, directory } = lab
    const [first, second] = [join(directory, "first.key"), join(directory, "second.key")]
    await cluster.quorumbeat("keygen", "--receivers", first)
    await cluster.quorumbeat("keygen", "--receivers", "--id", "2", second)
    cluster.witness.receiverKeyFiles = [first]
    await lab.startWitness()
    const url = `http://127.0.0.1:${await server.listen()}/pager`
    await lab.apply(
      `group_wait = "0s"\ngroup_by = ["subject"]\n[[receiver]]\nname = "pager"\nkind = "webhook"\nurl = "${url}"\nsecret = "${cluster.receiver.secret}"\n`,
    )
    await report("pump")
    await told("pump")

    await restartWith()
    await report("valve")
    await waitFor({ what: "the missing key in the log", limit: patience }, () => {
      return witnessLog().includes("the receivers' secrets cannot be opened") || undefined
    })
    await sleep(2_000)
    expect(isTold("valve"), "sealed with a key that is not there").toBe(false)

    await restartWith(second, first)
    await told("valve")
    // Sealed with the newest when it was next opened: the former one is not needed any more.
    await restartWith(second)
    await report("fan")
    await told("fan")
  })
})
