// The witness is away: a node tells the receivers itself, under the ids that the witness gives the same incidents later.

import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import type { Agent } from "../support/cluster/agent.ts"
import { PagingServices } from "../support/cluster/paging-services.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { type Alert, WebhookReceiver } from "../support/cluster/webhook-receiver.ts"
import { useLab } from "./lab.ts"

const pager = new WebhookReceiver()
/** A service with keys, to which all nodes and the witness speak: its side of the story is what a person on call sees. */
const services = new PagingServices()
let dutyUrl = ""
const duty = (): string =>
  `[[receiver]]\nname = "duty"\nkind = "pagerduty"\nrouting_key = "e93facc04764012d7bfb002500d5d1a6"\nurl = "${dutyUrl}"\n`
const lab = useLab({
  name: "direct-paging",
  sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
  hasWitness: true,
  companions: async ({ cluster }) => {
    const url = `http://localhost:${await pager.listen(0)}/`
    dutyUrl = `http://localhost:${await services.listen()}/pagerduty`
    const rules = `group_wait = "1s"\n[kind.node-down]\nclear = "1s"\n[[receiver]]\nname = "pager"\nkind = "webhook"\nurl = "${url}"\nsecret = "${pager.secret}"\n${duty()}`
    for (const agent of cluster.agents) writeFileSync(agent.alertsFile, rules, { mode: 0o400 })
  },
})

afterAll(() => {
  pager.close()
  services.close()
})

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
    await witnessTells(duty())
    const owner = lab.ownerAgent()
    await lab.cluster.witness.kill()
    await lab.statusWhen(owner, "the lost way to the witness shown", ({ witness }) => {
      return witness.state === "unreachable"
    })
    const away = bystander()
    await away.kill()
    const { dedupKey, type } = await told(pager, "node-down", `node ${away.name}`)
    expect(type).toBe("incident.opened")
    expect(dedupKey).toMatch(/^[^:]+:[0-9a-f]{32}$/)
    expect(pager.refused).toEqual([])
    await lab.cluster.witness.start()
    await tells(lab.cluster.receiver, "incident.opened", dedupKey)
    await waitFor({ what: "the witness told whoever is on call", limit: pagingPatience }, () => {
      return services.asked("pagerduty", "trigger") > 1 || undefined
    })
    away.start()
    await tells(pager, "incident.resolved", dedupKey)
    await tells(lab.cluster.receiver, "incident.resolved", dedupKey)
    const seen = () => services.incidents("pagerduty").filter(({ key }) => key === dedupKey)
    const instead = (): string => JSON.stringify(services.incidents("pagerduty"))
    await waitFor({ what: "it is over for whoever is on call", limit: pagingPatience, instead }, () =>
      seen().every(({ state }) => state === "resolved") ? true : undefined,
    )
    expect(seen(), "however many told of it").toHaveLength(1)
    expect(services.asked("pagerduty", "trigger")).toBeGreaterThan(1)
  })
})

/** Beside what it tells already. */
async function witnessTells(more: string): Promise<void> {
  const { alertsFile, directory, configFile, credentialFile } = lab.cluster.layout
  const file = join(directory, "witness-alerts.toml")
  writeFileSync(file, readFileSync(alertsFile, "utf8") + more)
  const options = ["--config", configFile, "--credential-file", credentialFile]
  await lab.cluster.quorumbeat("alerts", "apply", file, ...options)
}

function tells(by: WebhookReceiver, type: string, dedupKey: string): Promise<Alert> {
  const instead = (): string => JSON.stringify(by.alerts)
  return waitFor({ what: `${type} of ${dedupKey}`, limit: pagingPatience, instead }, () =>
    by.alerts.find((alert) => alert.type === type && alert.dedupKey === dedupKey),
  )
}
