/** From an event to a pager and what it costs: one embedded witness, one receiver on this machine. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { loadConfigFile } from "../../node-agent/host/config-file.ts"
import type { ReportedEvent } from "../../protocol/summaries.ts"
import { wallTime } from "../../protocol/units.ts"
import { AnsweringServer } from "../support/cluster/answering-server.ts"
import { Cluster } from "../support/cluster/cluster.ts"
import { type Poster, posterOf, unwrap } from "../support/cluster/poster.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import type { Bench, Section } from "./section.ts"
import { formatStatistics, statisticsOf } from "./statistics.ts"

/** A cluster may report 2000 events a day: both parts together stay below. */
const singles = 90
/** What is measured is the witness, not the pace at which one receiver is told: a new one before its burst is used up. */
const singlesPerReceiver = 9
const posts = 50
const eventsPerPost = 32

export const alertsSection: Section = {
  name: "alerts",
  title: `the embedded witness: ${singles} events one by one, posted to webhook received, without group_wait; then ${posts} posts of ${eventsPerPost} events, each an incident`,
  measure: async (bench) => {
    const cluster = await Cluster.prepare(planFor(bench))
    const server = new AnsweringServer({ pager: (response) => response.writeHead(202).end("{}") })
    try {
      await cluster.startWitness()
      const [node] = cluster.layout.nodes
      if (node === undefined) throw new Error("the cluster has no node")
      const poster = posterOf(unwrap(loadConfigFile(cluster.layout.configFile)), node)
      await poster.post()
      const port = await server.listen()
      const latencies: number[] = []
      for (let first = 0; first < singles; first += singlesPerReceiver) {
        await applyRules(cluster, port, `pager-${first}`)
        latencies.push(...(await one(poster, server, first)))
      }
      bench.say(`  event posted to webhook received  ${formatStatistics(statisticsOf(latencies))}`)
      await many(bench, cluster, poster)
      await poster.close()
    } finally {
      await cluster.end()
      server.close()
    }
  },
}

async function one(poster: Poster, server: AnsweringServer, first: number): Promise<readonly number[]> {
  const latencies: number[] = []
  for (let index = first; index < first + singlesPerReceiver; index += 1) {
    const subject = `single-${index}`
    const from = now()
    await poster.post([event("service-failed", subject)])
    const received = await waitFor({ what: `${subject} told`, limit: 30_000, interval: 1 }, () =>
      server.of("pager").find(({ body }) => body.includes(`${subject} `)),
    )
    latencies.push(received.at - from)
    // Over, or the next receiver would be told of it as well.
    await poster.post([event("service-started", subject)])
  }
  return latencies
}

async function many({ say }: Bench, cluster: Cluster, poster: Poster): Promise<void> {
  const before = await rowsWritten(cluster)
  const from = now()
  for (let post = 0; post < posts; post += 1) {
    const events = Array.from({ length: eventsPerPost }, (_, index) => {
      // One that ends for each that begins: the live incidents stay as many as a large cluster could have.
      return event(post % 2 === 0 ? "service-failed" : "service-started", `many-${post >> 1}-${index}`)
    })
    await poster.post(events)
  }
  const seconds = (now() - from) / 1_000
  const incidents = (posts * eventsPerPost) / 2
  const rows = (await rowsWritten(cluster)) - before
  say(`  incidents opened and ended        ${Math.round(incidents / seconds)} a second through one object`)
  say(
    `  rows written                      ${(rows / incidents).toFixed(1)} for an incident that begins and ends`,
  )
  say(`  memory of the witness             ${residentMiB(cluster)} MiB`)
}

let serial = 0

function event(kind: string, subject: string): ReportedEvent {
  serial += 1
  return { id: `b${serial}`, kind, subject, severity: "critical", at: wallTime(Date.now()), detail: "bench" }
}

function planFor({ workplace }: Bench) {
  return {
    name: "alerts",
    directory: join(workplace.directory, "alerts"),
    program: workplace.program,
    profile: "industrial",
    timings: {},
    hasWitness: true,
    trace: false,
    sites: [{ name: "a", nodes: ["a1"] }],
  } as const
}

async function applyRules(cluster: Cluster, port: number, name: string): Promise<void> {
  const file = join(cluster.layout.directory, "bench.toml")
  writeFileSync(
    file,
    `group_wait = "0s"
group_by = ["subject"]
[kind.service-failed]
clear = "0s"
[[receiver]]
name = "${name}"
kind = "webhook"
url = "http://127.0.0.1:${port}/pager"
secret = "${cluster.receiver.secret}"
`,
  )
  const { configFile, credentialFile } = cluster.layout
  const options = ["--config", configFile, "--credential-file", credentialFile]
  await cluster.quorumbeat("alerts", "apply", file, ...options)
}

async function rowsWritten({ layout }: Cluster): Promise<number> {
  const credential = readFileSync(layout.credentialFile, "utf8").trim()
  const response = await fetch(`${layout.witnessUrl}/v1/clusters/alerts`, {
    headers: { authorization: `Bearer ${credential}` },
  })
  const { quota } = (await response.json()) as { quota: { rows_written: number } }
  return quota.rows_written
}

/** Of workerd, the child of the witness's process. */
function residentMiB({ witness }: Cluster): string {
  const { pid } = witness
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
  const status = readFileSync(`/proc/${children[0]}/status`, "utf8")
  const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN)
  return (kilobytes / 1024).toFixed(0)
}
