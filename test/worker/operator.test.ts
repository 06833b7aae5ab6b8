/** What operators ask of the witness about alerts, with which credential, and that clusters stay apart. */
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { ReportedEvent } from "../../protocol/summaries.ts"
import { wallTime } from "../../protocol/units.ts"
import { apiRoutes } from "../../worker/api.ts"
import { registryName } from "../../worker/cluster.ts"
import { postLimit } from "../../worker/rate-limit.ts"
import { mandate, tag } from "../unit/worker/arbiter-builder.ts"
import { environment, send, TestCluster } from "./witness-client.ts"

const start = Date.UTC(2040, 0, 1)
const rules =
  'group_wait = "0s"\n[[receiver]]\nname = "pager"\nkind = "pagerduty"\nrouting_key = "e93facc04764012d7bfb002500d5d1a6"\n'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: start })
  vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response("{}", { status: 202 }))
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

let serial = 0

async function report(cluster: TestCluster, kind: string, subject = "pump"): Promise<void> {
  serial += 1
  const at = wallTime(Date.now())
  const event: ReportedEvent = { id: `o${serial}`, kind, subject, severity: "critical", at, detail: "" }
  await cluster.node(1).post([], { events: [event] })
}

interface Listed {
  readonly incidents: readonly {
    id: string
    state: string
    kind: string
    title: string
    acknowledged_by?: string
  }[]
}

async function only(cluster: TestCluster): Promise<Listed["incidents"][number]> {
  const { incidents } = await cluster.ask<Listed>("GET", "/alerts/incidents")
  const [incident] = incidents
  if (incident === undefined || incidents.length > 1) throw new Error(JSON.stringify(incidents))
  return incident
}

async function created(settings: object = {}): Promise<TestCluster> {
  const cluster = await TestCluster.create({ dead_man_ms: 3_600_000, ...settings })
  await cluster.rules(rules)
  return cluster
}

describe("incidents", () => {
  it("are listed, acknowledged and resolved; the pager hears of each", async () => {
    const cluster = await created()
    await report(cluster, "service-failed")
    await runDurableObjectAlarm(cluster.stub)
    const { id } = await only(cluster)
    await cluster.ask("POST", `/alerts/incidents/${id.slice(0, 8)}/acknowledge`, { by: "ann" })
    expect(await only(cluster)).toMatchObject({ state: "acknowledged", acknowledged_by: "ann" })
    await runDurableObjectAlarm(cluster.stub)
    await cluster.ask("POST", `/alerts/incidents/${id}/resolve`, { by: "ann" })
    await cluster.ask("POST", `/alerts/incidents/${id}/resolve`, { by: "ann" }, 409)
    await cluster.ask("POST", "/alerts/incidents/ffffffff/resolve", { by: "ann" }, 404)
    await cluster.ask("POST", `/alerts/incidents/${id}/acknowledge`, {}, 400)
    for (let run = 0; run < 3; run += 1) await runDurableObjectAlarm(cluster.stub)
    const actions = vi.mocked(fetch).mock.calls.map(([, init]) => JSON.parse(String(init?.body)).event_action)
    expect(actions).toEqual(["trigger", "acknowledge", "resolve"])
  })

  it("[A10] are explained: what was sent, what was not, and why", async () => {
    const cluster = await created()
    const silence = await cluster.ask<{ id: string }>("POST", "/alerts/silences", {
      match: ['kind="service-failed"'],
      author: "ann",
      reason: "maintenance of the pump",
      ends_at_ms: start + 3_600_000,
    })
    await report(cluster, "service-failed")
    const { id } = await only(cluster)
    const text = async (): Promise<string> =>
      JSON.stringify(await cluster.ask("GET", `/alerts/incidents/${id.slice(0, 10)}`))
    expect(await text()).toContain(`silence ${silence.id} by ann: maintenance of the pump`)
    expect(fetch).not.toHaveBeenCalled()
    await cluster.ask("DELETE", `/alerts/silences/${silence.id}`)
    await cluster.ask("DELETE", `/alerts/silences/${silence.id}`, undefined, 404)
    await runDurableObjectAlarm(cluster.stub)
    expect(await text()).toMatch(
      /told: trigger.*told; the repeat is not due|told; the repeat is not due.*told: trigger/,
    )
    expect(await text()).toContain('"status":202')
  })

  it("survive a restart with their story, and are kept when they are over", async () => {
    const cluster = await created()
    await report(cluster, "service-failed")
    const { id } = await only(cluster)
    await cluster.ask("POST", `/alerts/incidents/${id}/resolve`, { by: "ann" })
    vi.setSystemTime(start + 8 * 3_600_000)
    await report(cluster, "service-failed", "valve")
    const { incidents } = await cluster.ask<Listed>("GET", "/alerts/incidents?state=all")
    expect(incidents.map(({ title, state }) => `${state} ${title}`)).toEqual([
      "open service valve has failed",
      "resolved service pump has failed",
    ])
    expect(JSON.stringify(await cluster.ask("GET", `/alerts/incidents/${id}`))).toContain("resolved by ann")
  })
})

describe("rules", () => {
  it("are checked line by line; what is wrong is not stored", async () => {
    const cluster = await created()
    const answer = await cluster.rules('group_wait = "soon"\n[[route]]\nreceivers = ["nobody"]\n', 400)
    expect(JSON.parse(answer).error.message).toContain('1:1: group_wait: expected a duration, as "30s"')
    const shown = await cluster.ask<{ receivers: object[] }>("GET", "/alerts/rules")
    expect(shown.receivers).toMatchObject([{ name: "pager", kind: "pagerduty", routing_key: "...d1a6" }])
  })

  it("can be tried on the last seven days' events, which come page by page", async () => {
    const cluster = await created()
    await report(cluster, "service-failed", "too old")
    vi.setSystemTime(start + 8 * 86_400_000)
    for (const subject of ["pump", "valve", "fan"]) await report(cluster, "service-failed", subject)
    interface Page {
      readonly events: readonly {
        id: string
        kind: string
        subject: string
        site: string
        recorded_at_ms: number
      }[]
      readonly next?: string
    }
    const subjects: string[] = []
    let pages = 0
    for (let next: string | undefined = ""; next !== undefined; ) {
      const page: Page = await cluster.ask("GET", `/alerts/events?limit=2&after=${encodeURIComponent(next)}`)
      pages += 1
      subjects.push(...page.events.map(({ subject }) => subject))
      for (const event of page.events)
        expect(event).toMatchObject({ kind: "service-failed", site: "a", recorded_at_ms: Date.now() })
      next = page.next
    }
    expect([subjects.toSorted(), pages]).toEqual([["fan", "pump", "valve"], 2])
  })
})

describe("[A12] credentials", () => {
  async function credential(
    cluster: TestCluster,
    scope: string,
    days?: number,
  ): Promise<{ id: string; text: string }> {
    const made = await cluster.ask<{ id: string; credential: string }>("POST", "/credentials", {
      name: `for-${scope}`,
      scope,
      expires_in_days: days,
    })
    return { id: made.id, text: made.credential }
  }

  function status(cluster: TestCluster, text: string, path: string, method = "GET"): Promise<number> {
    const headers = { authorization: `Bearer ${text}`, "content-type": "application/json" }
    return send(`/v1/clusters/${cluster.name}${path}`, { method, headers }).then(
      (response) => response.status,
    )
  }

  it("reach as far as their scope, in their own cluster only", async () => {
    const [one, two] = [await created(), await created()]
    const reader = await credential(one, "read")
    const operator = await credential(one, "operate")
    expect(await status(one, reader.text, "/alerts/incidents")).toBe(200)
    expect(await status(one, reader.text, "")).toBe(200)
    expect(await status(one, reader.text, "/alerts/receivers/pager/test", "POST")).toBe(403)
    expect(await status(one, operator.text, "/alerts/receivers/pager/test", "POST")).toBe(200)
    expect(await status(one, operator.text, "/credentials")).toBe(403)
    expect(await status(one, operator.text, "", "DELETE")).toBe(403)
    expect(await status(two, operator.text, "/alerts/incidents")).toBe(403)
    expect(await status(one, `${operator.text.slice(0, -1)}x`, "/alerts/incidents")).toBe(403)
  })

  it("expire, can be revoked, and are stored as hashes", async () => {
    const cluster = await created()
    const short = await credential(cluster, "read", 1)
    const long = await credential(cluster, "read")
    vi.setSystemTime(start + 86_400_000)
    expect(await status(cluster, short.text, "")).toBe(403)
    expect(await status(cluster, long.text, "")).toBe(200)
    await cluster.ask("DELETE", `/credentials/${long.id}`)
    expect(await status(cluster, long.text, "")).toBe(403)
    expect(JSON.stringify(await cluster.ask("GET", "/credentials"))).not.toContain("hash")
  })

  it("[A16] near its end is an incident, which ends with it or with its revocation, and costs nothing between", async () => {
    const cluster = await created()
    const alarm = async (day: number): Promise<void> => {
      vi.setSystemTime(start + day * 86_400_000)
      await runDurableObjectAlarm(cluster.stub)
    }
    const incidents = async () => {
      const { incidents: all } = await cluster.ask<{
        incidents: { kind: string; subject: string; state: string }[]
      }>("GET", "/alerts/incidents?state=all")
      return all
        .filter(({ kind }) => kind.startsWith("credential"))
        .map(({ subject, state }) => `${subject}: ${state}`)
        .toSorted()
    }
    const year = await credential(cluster, "operate", 365)
    const month = await credential(cluster, "read", 30)
    const ever = await credential(cluster, "admin")
    await alarm(15)
    expect(await incidents()).toEqual([])
    await alarm(20)
    expect(await incidents(), "a third of its life is left").toEqual([
      `credential for-read (${month.id}): open`,
    ])
    await alarm(21)
    await evictDurableObject(cluster.stub)
    await alarm(30)
    expect(await incidents()).toEqual([`credential for-read (${month.id}): resolved`])
    await alarm(351.5)
    await cluster.ask("DELETE", `/credentials/${year.id}`)
    await cluster.ask("DELETE", `/credentials/${ever.id}`)
    expect(await incidents()).toEqual([
      `credential for-operate (${year.id}): resolved`,
      `credential for-read (${month.id}): resolved`,
    ])
    const shown = JSON.stringify(await cluster.ask("GET", "/credentials"))
    expect(shown).not.toContain("told")
    await cluster.ask("DELETE", `/credentials/${year.id}`, undefined, 404)
  })

  it("every route of the API refuses without one, and with one of a smaller scope", async () => {
    const cluster = await created()
    const reader = await credential(cluster, "read")
    for (const { method, path, scope } of apiRoutes) {
      const url = path.replaceAll(/\{\w+\}/g, "x")
      const bare = await send(`/v1/clusters/${cluster.name}${url}`, { method: method.toUpperCase() })
      expect(bare.status, `${method} ${path}`).toBe(401)
      if (scope !== "read")
        expect(await status(cluster, reader.text, url, method.toUpperCase()), `${method} ${path}`).toBe(403)
    }
  })
})

describe("tenancy", () => {
  it("a node's key that was revoked signs nothing any more", async () => {
    const cluster = await created()
    await cluster.node(1).post()
    await cluster.ask("POST", "/nodes/1/revoke")
    const document = await cluster.node(1).sign(cluster.node(1).summary())
    expect((await cluster.postRaw([document])).status).toBe(401)
    await cluster.node(2).post()
    await cluster.ask("POST", "/nodes/99/revoke", undefined, 404)
  })

  it("[A13] a deleted cluster keeps its epochs; made again it is another object to its nodes and grants above them", async () => {
    const cluster = await created()
    await cluster.node(1).claim(mandate("a", 7))
    const former = cluster.witness
    await cluster.ask("DELETE", "")
    expect(await environment.CLUSTER.getByName(registryName).registeredClusters()).not.toContain(cluster.name)
    const document = await cluster.node(1).sign(cluster.node(1).summary())
    expect((await cluster.postRaw([document])).status).toBe(404)
    await cluster.ask("GET", "", undefined, 404)
    const again: { witness: string; created: boolean } = await (await cluster.configure()).json()
    expect(again.created).toBe(true)
    expect(again.witness, "nodes pin it: quarantined until an operator accepts").not.toBe(former)
    const reply = await cluster.node(1).post([], { challenge: again.witness })
    expect(reply.witness).toBe(again.witness)
    expect(reply.leases.find(({ name }) => name === "mandate:main")).toMatchObject({ epoch: 7 })
    const seen = tag(7, 1)
    const refused = await cluster.node(11).claim(mandate("b", 3, { seen }), { challenge: again.witness })
    expect(refused.kind).toBe("refused")
    expect(await cluster.ask("GET", "/alerts/rules")).toMatchObject({ receivers: [] })
  })

  it("one cluster that floods is refused; another is not", async () => {
    const [loud, quiet] = [await created(), await created()]
    const document = await loud.node(1).sign(loud.node(1).summary())
    const statuses = new Set<number>()
    for (let post = 0; post <= postLimit.burst; post += 1)
      statuses.add((await loud.postRaw([document])).status)
    expect(statuses).toContain(429)
    await quiet.node(1).post()
  })
})
