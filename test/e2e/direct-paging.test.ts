// The witness is away: a node tells the receivers itself, under the ids that the witness gives the same incidents later.

import { writeFileSync } from "node:fs"
import { afterAll, describe, expect, it } from "vitest"
import type { Agent } from "../support/cluster/agent.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { type Alert, WebhookReceiver } from "../support/cluster/webhook-receiver.ts"
import { patience, useLab } from "./lab.ts"

const pager = new WebhookReceiver()
const lab = useLab({
  name: "direct-paging",
  sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
  hasWitness: true,
  companions: async ({ cluster }) => {
    const url = `http://localhost:${await pager.listen(0)}/`
    const rules = `group_wait = "1s"\n[kind.node-down]\nclear = "1s"\n[[receiver]]\nname = "pager"\nkind = "webhook"\nurl = "${url}"\nsecret = "${pager.secret}"\n`
    for (const agent of cluster.agents) writeFileSync(agent.alertsFile, rules, { mode: 0o400 })
  },
})

afterAll(() => pager.close())

/** The way to the witness counts as lost after some seconds, and a quarter of a minute is waited. */
const pagingPatience = 60_000

function told(by: WebhookReceiver, kind: string, subject: string): Promise<Alert> {
  const what = `${kind} of ${subject} is told`
  const instead = (): string => JSON.stringify({ alerts: by.alerts, refused: by.refused })
  return waitFor({ what, limit: pagingPatience, instead }, () =>
    by.alerts.find((alert) => alert.kind === kind && alert.subject === subject),
  )
}

/** One that does not run the service. */
function bystander(): Agent {
  const owner = lab.ownerAgent().name
  const agent = lab.cluster.agents.find(({ name }) => name !== owner)
  if (agent === undefined) throw new Error("two of three nodes do not run the service")
  return agent
}

describe("[A14] direct paging", () => {
  it("tells what happens while the witness is away; the witness tells the same when it is back, and both tell the end", async () => {
    expect(pager.alerts).toEqual([])
    await lab.cluster.witness.kill()
    await waitFor({ what: "the lost way to the witness shown", limit: patience }, async () => {
      const status = await lab.statusOf(lab.ownerAgent())
      return status.witness.state === "unreachable" || undefined
    })
    const away = bystander()
    await away.kill()
    const { dedupKey, type } = await told(pager, "node-down", `node ${away.name}`)
    expect(type).toBe("incident.opened")
    expect(dedupKey).toMatch(/^[^:]+:[0-9a-f]{32}$/)
    expect(pager.refused).toEqual([])
    await lab.cluster.witness.start()
    await tells(lab.cluster.receiver, "incident.opened", dedupKey)
    away.start()
    await tells(pager, "incident.resolved", dedupKey)
    await tells(lab.cluster.receiver, "incident.resolved", dedupKey)
  })
})

function tells(by: WebhookReceiver, type: string, dedupKey: string): Promise<Alert> {
  const instead = (): string => JSON.stringify(by.alerts)
  return waitFor({ what: `${type} of ${dedupKey}`, limit: pagingPatience, instead }, () =>
    by.alerts.find((alert) => alert.type === type && alert.dedupKey === dedupKey),
  )
}
