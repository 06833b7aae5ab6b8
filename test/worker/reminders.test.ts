/** [A18] Services that take silence for an end are reminded of what is open; in virtual time, by an object that sleeps between. */
import { evictDurableObject } from "cloudflare:test"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { wallTime } from "../../protocol/units.ts"
import { VirtualTime } from "./virtual-time.ts"
import { TestCluster } from "./witness-client.ts"

beforeEach(() => VirtualTime.begin(Date.UTC(2040, 0, 1)))
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const stepMs = 1_000
const minute = 60_000

it("[A18] an alert lives at Alertmanager as long as its incident, and not much longer than the witness", {
  timeout: 60_000,
}, async () => {
  const sent: { readonly at: number; readonly endsAt: number }[] = []
  vi.spyOn(globalThis, "fetch").mockImplementation(async (_url, init) => {
    const [alert] = JSON.parse(String(init?.body)) as readonly { readonly endsAt: string }[]
    sent.push({ at: Date.now(), endsAt: Date.parse(alert?.endsAt ?? "") })
    return new Response()
  })
  const isFiring = (): boolean => (sent.at(-1)?.endsAt ?? 0) > Date.now()
  const cluster = await TestCluster.create({ dead_man_ms: 3_600_000 })
  const receiver = '[[receiver]]\nname = "am"\nkind = "alertmanager"\nurl = "https://am.example.com"\n'
  await cluster.rules(`group_wait = "0s"\n[kind.service-failed]\nclear = "0s"\n${receiver}`)
  const time = new VirtualTime(cluster)
  const report = (kind: string): Promise<unknown> => {
    const event = {
      id: kind,
      kind,
      subject: "pump",
      severity: "critical",
      at: wallTime(0),
      detail: "",
    } as const
    return cluster.node(1).post([], { events: [event] })
  }

  await report("service-failed")
  for (let past = 0; past < 12; past += 1) {
    await time.run(minute, stepMs)
    expect(isFiring(), `after ${past + 1} minutes`).toBe(true)
    if (past === 5) await evictDurableObject(cluster.stub)
  }
  // Once, each minute, and once more after the restart, which knows of no reminder.
  expect(sent.length).toBeGreaterThanOrEqual(12)
  expect(sent.length).toBeLessThanOrEqual(15)
  for (const { at, endsAt } of sent) expect(endsAt - at).toBe(4 * minute)

  await report("service-started")
  await time.run(10_000, stepMs)
  expect(isFiring(), "it ended with its incident").toBe(false)
  const told = sent.length
  await time.run(5 * minute, stepMs)
  expect(sent, "and nobody is reminded of it").toHaveLength(told)
})
