/**
 * What a cluster of 2 + 2 nodes costs in a day on the Workers free plan (100,000 rows written, 100,000 requests). The rows
 * are those that SQLite itself reports for each post, counted by the object's meter; the wall clock is simulated.
 *
 * A whole day is 86,400 posts; simulated are its first 30 minutes, 900 posts for each of two reporters, in which nothing
 * depends on the time of day. What each single post writes is asserted exactly, so the rest is multiplication.
 */
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test"
import { afterEach, describe, expect, it, vi } from "vitest"
import type { LeaseClaim } from "../../protocol/lease.ts"
import type { Reply } from "../../protocol/summaries.ts"
import { freePlan } from "../../protocol/workers-plan.ts"
import { mandate, voice } from "../unit/worker/arbiter-builder.ts"
import { readRecord, restoreRecord } from "./stored.ts"
import { TestCluster, tagIn } from "./witness-client.ts"

const start = Date.UTC(2040, 0, 1)
const intervalSeconds = 2
const sampleSeconds = 1_800
const daySeconds = 86_400

afterEach(() => {
  vi.useRealTimers()
})

/** Claims that a reporter posts, given the last reply it had. */
type Reporter = (last: Reply | undefined) => readonly LeaseClaim[]

const silentVoter: Reporter = () => []
const renewsMandate: Reporter = (last) => {
  return [mandate("a", 1, last === undefined ? {} : { seen: tagIn(last, "mandate:main") })]
}
const renewsVoice =
  (member: number): Reporter =>
  (last) => {
    const site = member > 10 ? "voice:b" : "voice:a"
    return [voice([member], 1, last === undefined ? {} : { seen: tagIn(last, site) })]
  }
const both =
  (...reporters: readonly Reporter[]): Reporter =>
  (last) =>
    reporters.flatMap((reporter) => reporter(last))

interface Sample {
  readonly rows: number
  /** Writes of the record: one for each post that granted or renewed. */
  readonly records: number
  readonly alarms: number
}

async function simulate(reporters: ReadonlyMap<number, Reporter>): Promise<Sample> {
  vi.useFakeTimers({ toFake: ["Date"], now: start })
  const cluster = await TestCluster.create()
  const last = new Map<number, Reply>()
  const say = async (): Promise<void> => {
    for (const [id, reporter] of reporters) {
      const reply = await cluster.node(id).post(reporter(last.get(id)))
      expect(reply.answers.map(({ kind }) => kind)).not.toContain("refused")
      expect(reply.interval).toBe(intervalSeconds * 1_000)
      last.set(id, reply)
    }
  }
  await say()
  const first = await readRecord(cluster)
  const rowsBefore = (await cluster.describe()).quota.rows_written
  let alarms = 0
  let nextAlarm = start + 30_000
  for (let second = intervalSeconds; second <= sampleSeconds; second += intervalSeconds) {
    vi.setSystemTime(start + second * 1_000)
    await say()
    if (Date.now() < nextAlarm) continue
    expect(await runDurableObjectAlarm(cluster.stub)).toBe(true)
    alarms += 1
    nextAlarm = Date.now() + 30_000
  }
  const rows = (await cluster.describe()).quota.rows_written - rowsBefore
  return { rows, records: (await readRecord(cluster)).revision - first.revision, alarms }
}

function perDay({ rows }: Sample): number {
  return Math.ceil((rows * daySeconds) / sampleSeconds)
}

const posts = sampleSeconds / intervalSeconds

describe("rows written in a day", () => {
  it("a healthy 2 + 2 cluster: one site renews the mandate, the other only reports", {
    timeout: 60_000,
  }, async () => {
    const sample = await simulate(
      new Map([
        [1, renewsMandate],
        [11, silentVoter],
      ]),
    )
    expect(sample.records).toBe(posts)
    expect(sample.rows).toBe(posts + sample.alarms)
    console.log(
      `healthy 2+2: ${JSON.stringify(sample)} in ${sampleSeconds} s, ${perDay(sample)} rows a day of ${freePlan.rowsWritten}`,
    )
    expect(perDay(sample)).toBeLessThan(freePlan.rowsWritten)
  })

  it("a degraded 2 + 2 cluster: both sites live on the witness's voice, one renews the mandate too", {
    timeout: 60_000,
  }, async () => {
    const sample = await simulate(
      new Map([
        [1, both(renewsVoice(1), renewsMandate)],
        [11, renewsVoice(11)],
      ]),
    )
    expect(sample.records).toBe(2 * posts)
    expect(sample.rows).toBe(2 * posts + sample.alarms)
    console.log(
      `degraded 2+2: ${JSON.stringify(sample)} in ${sampleSeconds} s, ${perDay(sample)} rows a day of ${freePlan.rowsWritten}`,
    )
    expect(perDay(sample)).toBeLessThan(freePlan.rowsWritten)
  })
})

describe("near the quota", () => {
  it("[A5] the interval is stretched, never above a third of the shortest TTL, and an alert is raised once", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: start + 3_600_000 })
    const cluster = await TestCluster.create()
    await cluster.node(1).post()
    await useUp(cluster, 75_000)
    expect((await cluster.node(1).post()).interval).toBe(2_333)
    await useUp(cluster, 95_000)
    const reply = await cluster.node(1).post()
    expect(reply).toMatchObject({ interval: 3_333, quotaPercent: 95 })
    await cluster.node(11).post()
    const { events } = await cluster.describe()
    expect(events.filter(({ kind }) => kind === "quota-near")).toMatchObject([{ severity: "warning" }])
    vi.setSystemTime(start + 86_400_000)
    expect((await cluster.node(1).post()).interval).toBe(2_000)
  })
})

/** Pretends that so many rows were written today. */
async function useUp(cluster: TestCluster, rows: number): Promise<void> {
  const { revision, text } = await readRecord(cluster)
  const record: { meter: { rowsWritten: number } } = JSON.parse(text)
  record.meter.rowsWritten = rows
  await restoreRecord(cluster, { revision, text: JSON.stringify(record) })
  await evictDurableObject(cluster.stub)
}
