// What a person sees at a paging service, behind a real witness (workerd): requests fail, answers are lost, the witness is
// killed in the middle, and things are sent twice. There is one incident all the same, and in the end it is resolved.

import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Mischief, PagingServices, type ServiceName } from "../support/cluster/paging-services.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { useAlertLab } from "./alert-lab.ts"

const patience = 60_000
const byKey = ["pagerduty", "opsgenie", "incident-io", "alertmanager"] as const
const withAcknowledgement = ["pagerduty", "opsgenie", "better-stack"] as const

/**
 * The first of each word is refused, the second is taken and its answer lost. Of webhooks the first is lost: their third attempt
 * is minutes away. Better Stack, which knows no keys, loses none.
 */
const mischief: Mischief = (service, _word, turn) => {
  if (service === "webhook") return turn === 0 ? "lost" : "none"
  if (turn === 0) return "refused"
  return turn === 1 && service !== "better-stack" ? "lost" : "none"
}

const settings: Readonly<Record<ServiceName | "webhook", string>> = {
  pagerduty: 'routing_key = "e93facc04764012d7bfb002500d5d1a6"',
  opsgenie: 'api_key = "0123456789abcdef"',
  "incident-io": 'source = "source-1"\ntoken = "0123456789abcdef"',
  alertmanager: "",
  "better-stack": 'token = "0123456789abcdef"\nrequester_email = "ops@example.com"',
  webhook: `secret = "whsec_${Buffer.alloc(32, 7).toString("base64")}"`,
}
/** Nobody posts here but the test, when it has something to say. */
const quiet = '[kind.site-silent]\nfor = "1h"\n'
const all = Object.keys(settings) as (keyof typeof settings)[]

describe("paging services behind a real witness", () => {
  const lab = useAlertLab("paging")
  const services = new PagingServices(mischief)

  beforeAll(async () => {
    await lab.startWitness()
    const port = await services.listen()
    const toml = all.map(
      (kind) =>
        `[[receiver]]\nname = "${kind}"\nkind = "${kind}"\nurl = "http://127.0.0.1:${port}/${kind}"\n${settings[kind]}\n`,
    )
    await lab.apply(`group_wait = "0s"\n[kind.service-failed]\nclear = "0s"\n${quiet}${toml.join("")}`)
  })

  afterAll(() => services.close())

  /** Waits until these services have one incident in that state, and nothing else. */
  async function settled(names: readonly (ServiceName | "webhook")[], state: string): Promise<void> {
    const picture = (): string => JSON.stringify(names.map((name) => [name, services.incidents(name)]))
    await waitFor({ what: `one incident, ${state}, everywhere`, limit: patience, instead: picture }, () =>
      names.every((name) => services.incidents(name).at(-1)?.state === state) ? true : undefined,
    )
    for (const name of names) expect(services.incidents(name), name).toHaveLength(1)
  }

  /** Refused, lost, delivered: three times at least. */
  async function sentAgain(word: "trigger" | "resolve"): Promise<void> {
    await waitFor({ what: `each ${word} is sent again`, limit: patience }, () =>
      byKey.every((name) => services.asked(name, word) >= 3) ? true : undefined,
    )
  }

  it("[A3] trigger, acknowledgement and resolve come at least once, and make one incident that ends", {
    timeout: 180_000,
  }, async () => {
    await lab.report("service-failed", "pump")
    await settled(all, "open")
    await sentAgain("trigger")
    const [id = ""] = (await lab.alerts("list")).split(" ")
    await lab.alerts("ack", id, "--by", "ann")
    await settled(withAcknowledgement, "acknowledged")
    // Killed between what is sent and what is noted of it.
    await lab.report("service-started", "pump")
    await waitFor({ what: "a resolve is on its way", limit: patience, interval: 5 }, () =>
      services.asked("pagerduty", "resolve") > 0 ? true : undefined,
    )
    await lab.restartWitness()
    await settled(all, "resolved")
    await sentAgain("resolve")
    for (const name of all) expect(services.incidents(name), name).toHaveLength(1)
  })
})
