/**
 * [A8] Receivers that hang for ten minutes, in virtual time: nobody else waits for them. Whoever looks at the clock here looks
 * at the runtime's, which moves only as `VirtualTime` lets it.
 */
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { wallTime } from "../../protocol/units.ts"
import { hanging, VirtualTime } from "./virtual-time.ts"
import { TestCluster } from "./witness-client.ts"

beforeEach(() => VirtualTime.begin(Date.UTC(2040, 0, 1)))
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const tenMinutes = 600_000
const stepMs = 500
/** Of `notify.ts`. */
const attemptMs = 10_000

interface Stage {
  readonly cluster: TestCluster
  readonly time: VirtualTime
  /** When each subject first came to each receiver that is well. */
  readonly arrivals: Map<string, number>
  readonly attempts: (receiver: string) => number
}

/** Receivers that answer at once, and others that never do. */
async function stageOf(well: readonly string[], hung: readonly string[]): Promise<Stage> {
  const arrivals = new Map<string, number>()
  const asked = new Map<string, number>()
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
    const [name = ""] = new URL(String(url)).hostname.split(".")
    asked.set(name, (asked.get(name) ?? 0) + 1)
    if (hung.includes(name)) return hanging(init)
    const subject = /pump-\d+/.exec(String(init?.body))?.[0]
    const key = `${name} ${subject}`
    if (subject !== undefined && !arrivals.has(key)) arrivals.set(key, Date.now())
    return new Response("{}", { status: 202 })
  })
  const cluster = await TestCluster.create({ dead_man_ms: 3_600_000 })
  const receivers = [...hung, ...well].map(
    (name) =>
      `[[receiver]]\nname = "${name}"\nkind = "incident-io"\nsource = "s"\ntoken = "0123456789"\nurl = "https://${name}.example.com"\n`,
  )
  await cluster.rules(
    `group_wait = "0s"\ngroup_by = ["subject"]\n[kind.service-failed]\nclear = "0s"\n${receivers.join("")}`,
  )
  return { cluster, time: new VirtualTime(cluster), arrivals, attempts: (name) => asked.get(name) ?? 0 }
}

let serial = 0

async function report({ cluster }: Stage, kind: string, subject: string): Promise<void> {
  serial += 1
  const event = {
    id: `h${serial}`,
    kind,
    subject,
    severity: "critical",
    at: wallTime(0),
    detail: "",
  } as const
  await cluster.node(1).post([], { events: [event] })
}

/** An incident every ten seconds for ten minutes; how long each took to each receiver that is well, in ms. */
async function delaysOf(stage: Stage, well: readonly string[]): Promise<readonly number[]> {
  const posted = new Map<string, number>()
  for (let past = 0; past < tenMinutes; past += 10_000) {
    const subject = `pump-${past}`
    posted.set(subject, Date.now())
    await report(stage, "service-failed", subject)
    await stage.time.run(10_000, stepMs)
  }
  await stage.time.run(2 * attemptMs, stepMs)
  return well.flatMap((name) =>
    [...posted].map(([subject, from]) => (stage.arrivals.get(`${name} ${subject}`) ?? Number.NaN) - from),
  )
}

it("[A8] one that hangs for ten minutes delays no other", { timeout: 120_000 }, async () => {
  const well = ["one", "two", "three"]
  const stage = await stageOf(well, ["hung"])
  const delays = await delaysOf(stage, well)
  console.info(
    `one hangs for ten minutes: ${delays.length} letters to others, the latest after ${Math.max(...delays)} ms`,
  )
  expect(delays).toHaveLength(180)
  // Two steps: the alarm is due within one, and fires at the end of it.
  expect(Math.max(...delays), "NaN: one never came").toBeLessThanOrEqual(2 * stepMs)
  expect(stage.attempts("hung")).toBeGreaterThan(5)
})

it("[A8] seven that hang at once delay others by one attempt at most, and that only at first", {
  timeout: 120_000,
}, async () => {
  const hung = Array.from({ length: 7 }, (_, index) => `hung-${index}`)
  const stage = await stageOf(["well"], hung)
  const delays = await delaysOf(stage, ["well"])
  console.info(
    `seven hang for ten minutes: the latest of ${delays.length} letters after ${Math.max(...delays)} ms`,
  )
  expect(Math.max(...delays)).toBeLessThanOrEqual(attemptMs + 2 * stepMs)
  const later = delays.slice(3)
  expect(Math.max(...later), "half a minute later").toBeLessThanOrEqual(2 * stepMs)
})

it("[A8] a run that has made all requests it may leaves what hangs, and the next one goes on", {
  timeout: 60_000,
}, async () => {
  const stage = await stageOf(["one", "two", "three"], ["hung"])
  const subjects = Array.from({ length: 32 }, (_, index) => `pump-${index}`)
  const events = subjects.map((subject, index) => {
    return {
      id: `b${index}`,
      kind: "service-failed",
      subject,
      severity: "critical",
      at: wallTime(0),
      detail: "",
    } as const
  })
  await stage.cluster.node(1).post([], { events })
  const from = Date.now()
  await stage.time.run(9_000, 50)
  expect(stage.arrivals.size, "96 letters although one hangs: more than one run may make").toBe(96)
  const last = Math.max(...stage.arrivals.values()) - from
  console.info(`96 letters to three receivers beside one that hangs: the last after ${last} ms`)
  expect(last).toBeLessThan(attemptMs)
})
