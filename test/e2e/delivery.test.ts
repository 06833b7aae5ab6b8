// Real receivers, good and bad, behind a real witness (workerd): one server for each way to answer, killed and restarted in
// the middle. The paging lane is used, whose first retries come after seconds.

import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Answerer, AnsweringServer } from "../support/cluster/answering-server.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { useAlertLab } from "./alert-lab.ts"

const patience = 40_000
const status =
  (code: number, headers: Record<string, string> = {}): Answerer =>
  (response) =>
    response.writeHead(code, headers).end("{}")
const firstThen =
  (first: Answerer): Answerer =>
  (response, turn, request) =>
    (turn === 0 ? first : status(202))(response, turn, request)

/** By receiver; what it answers. */
const answers: Readonly<Record<string, Answerer>> = {
  accepts: status(202),
  "says-200": status(200),
  malformed: status(400),
  unauthorized: firstThen(status(401)),
  "not-found": firstThen(status(404)),
  gone: status(410),
  "throttled-seconds": firstThen(status(429, { "retry-after": "4" })),
  "throttled-date": firstThen((response) => {
    response.writeHead(429, { "retry-after": new Date(Date.now() + 5_000).toUTCString() }).end()
  }),
  "throttled-mute": status(429),
  fails: firstThen(status(500)),
  "closes-early": firstThen((response) => response.destroy()),
  "cuts-off": firstThen((response) => {
    response.writeHead(200, { "content-length": "1000" }).write("{")
    response.destroy()
  }),
  redirects: status(307, { location: "/trap" }),
  trap: status(202),
  hangs: (_response, turn) => {
    // Never answers the first; the second finds it well.
    if (turn > 0) _response.writeHead(202).end("{}")
  },
}
const receivers = Object.keys(answers).filter((name) => name !== "trap")

interface Delivery {
  readonly receiver: string
  readonly action: string
  readonly state: string
  readonly incidents: readonly { title: string }[]
  readonly attempts: number
  readonly log: readonly { status?: number; reason: string; ms: number }[]
}

describe("receivers behind a real witness", () => {
  const lab = useAlertLab("delivery")
  const server = new AnsweringServer(answers)

  beforeAll(async () => {
    await lab.startWitness()
    const port = await server.listen()
    // PagerDuty's form, since its lane retries after two seconds; the base address is ours.
    const toml = receivers.map(
      (name) =>
        `[[receiver]]\nname = "${name}"\nkind = "pagerduty"\nrouting_key = "e93facc04764012d7bfb002500d5d1a6"\nurl = "http://127.0.0.1:${port}/${name}"\n`,
    )
    expect(await lab.apply(`group_wait = "0s"\n${toml.join("")}`)).toContain(
      `stored: ${receivers.length} receivers`,
    )
  })

  afterAll(() => server.close())

  async function deliveries(): Promise<readonly Delivery[]> {
    return JSON.parse(await lab.alerts("deliveries", "--json")).deliveries
  }

  async function settled(name: string, state: string): Promise<Delivery> {
    return waitFor({ what: `${name} ${state}`, limit: patience, interval: 500 }, async () => {
      // What fails becomes an incident too, and is told to the others.
      const found = (await deliveries()).find(
        ({ receiver, incidents }) => receiver === name && incidents[0]?.title === "service pump has failed",
      )
      return found?.state === state ? found : undefined
    })
  }

  it("each answer is taken for what it means, and no receiver waits for another", {
    timeout: 120_000,
  }, async () => {
    const posted = now()
    await lab.report("service-failed", "pump")
    for (const name of ["accepts", "says-200"]) {
      await settled(name, "delivered")
      const [first] = server.of(name)
      expect((first?.at ?? Number.NaN) - posted, "the one that hangs held up nobody").toBeLessThan(10_000)
    }
    for (const name of ["unauthorized", "not-found", "fails", "closes-early", "cuts-off"]) {
      const { attempts } = await settled(name, "delivered")
      expect(attempts, name).toBe(2)
    }
    for (const [name, wait] of [
      ["throttled-seconds", 4_000],
      ["throttled-date", 3_000],
    ] as const) {
      expect((await settled(name, "delivered")).attempts).toBe(2)
      const [first, second] = server.of(name)
      expect((second?.at ?? 0) - (first?.at ?? 0), name).toBeGreaterThanOrEqual(wait)
    }
    expect((await settled("malformed", "dead")).attempts).toBe(2)
    expect((await settled("gone", "dead")).attempts).toBe(1)
    expect((await settled("redirects", "pending")).log[0]).toMatchObject({ status: 307 })
    expect(server.of("trap"), "no redirect is followed").toEqual([])
    expect((await settled("hangs", "delivered")).log[0]).toMatchObject({
      reason: expect.stringContaining("no answer"),
    })
    const list = await lab.alerts("list")
    expect(list).toContain("service pump has failed")
    const [id = ""] =
      list
        .split("\n")
        .find((line) => line.includes("pump"))
        ?.split(" ") ?? []
    expect(await lab.alerts("explain", id)).toContain("told: trigger")
  })

  it("[A3] killed with letters to send: they are sent after the restart", {
    timeout: 60_000,
  }, async () => {
    const before = server.of("accepts").length
    await lab.report("service-blocked", "valve")
    await lab.restartWitness()
    await lab.report("service-lapsed", "third")
    const told = await waitFor({ what: "told after the restart", limit: patience, interval: 200 }, () => {
      const bodies = server.of("accepts").slice(before)
      return bodies.some(({ body }) => body.includes("valve")) ? bodies : undefined
    })
    expect(told.length).toBeGreaterThan(0)
  })
})
