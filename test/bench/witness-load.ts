/** How much one embedded witness does: posts of one signed document with one claim that is renewed, each a row written. */
import { Pool } from "undici"
import { loadConfigFile } from "../../node-agent/host/config-file.ts"
import { Documents } from "../../node-agent/host/control/documents.ts"
import { type NodeKey, readNodeKey } from "../../node-agent/host/key-file.ts"
import type { ClusterConfig, NodeConfig } from "../../protocol/cluster.ts"
import { type LeaseClaim, type LeaseTag, mandateLease } from "../../protocol/lease.ts"
import type { Result } from "../../protocol/result.ts"
import { encodePost, parsePostReplies, type Reply } from "../../protocol/summaries.ts"
import { epoch, incarnation, ticketName } from "../../protocol/units.ts"
import { Cluster } from "../support/cluster/cluster.ts"
import { now } from "../support/cluster/waiting.ts"
import type { Bench, Section } from "./section.ts"
import { formatStatistics, statisticsOf } from "./statistics.ts"

const duration = 10_000
const warmUp = 2_000

export const witnessLoad: Section = {
  name: "witness",
  title: `the embedded witness: posts with one signed claim, one after the other and from 4 nodes at once, for ${duration / 1000} s each; size of the bundle`,
  measure: async (bench) => {
    const { workplace, say } = bench
    for (const { path, bytes, gzipBytes } of workplace.bundles) {
      say(`  ${path.split("/").at(-1)?.padEnd(14)} ${kib(bytes)} KiB, gzip ${kib(gzipBytes)} KiB`)
    }
    const cluster = await Cluster.prepare(planFor(bench))
    try {
      await cluster.startWitness()
      const config = unwrap(loadConfigFile(cluster.layout.configFile))
      const posters = cluster.layout.nodes.map(({ name, keyFile }) => {
        const node = config.nodes.find((each) => each.name === name)
        if (node === undefined) throw new Error(`no node ${name}`)
        return new Poster(config, node, unwrap(readNodeKey(keyFile)))
      })
      for (const poster of posters) await poster.post()
      await drive(posters.slice(0, 1), warmUp)
      report(bench, "1 node ", await drive(posters.slice(0, 1), duration))
      report(bench, "4 nodes", await drive(posters, duration))
      for (const poster of posters) await poster.close()
    } finally {
      await cluster.end()
    }
  },
}

function planFor({ workplace }: Bench) {
  return {
    name: "load",
    directory: `${workplace.directory}/load`,
    program: workplace.program,
    profile: "industrial",
    timings: {},
    hasWitness: true,
    trace: false,
    // Each site holds a ticket of its own, so that each node has something to renew.
    sites: ["a", "b", "c", "d"].map((name) => ({ name, nodes: [`${name}1`] })),
    ticketPerSite: true,
  } as const
}

function kib(bytes: number): string {
  return (bytes / 1024).toFixed(1)
}

function report({ say }: Bench, who: string, latencies: readonly number[]): void {
  const perSecond = Math.round((latencies.length * 1000) / duration)
  say(`  ${who}  ${String(perSecond).padStart(5)} posts/s, each ${formatStatistics(statisticsOf(latencies))}`)
}

async function drive(posters: readonly Poster[], time: number): Promise<readonly number[]> {
  const end = now() + time
  const latencies: number[] = []
  await Promise.all(
    posters.map(async (poster) => {
      while (now() < end) {
        const from = now()
        await poster.post()
        latencies.push(now() - from)
      }
    }),
  )
  return latencies
}

/** A node that holds its site's ticket and does nothing but renew it. */
class Poster {
  readonly #config: ClusterConfig
  readonly #node: NodeConfig
  readonly #documents: Documents
  readonly #pool: Pool
  readonly #path: string
  #challenge = ""
  #seen: LeaseTag | undefined
  #counter = 0

  constructor(config: ClusterConfig, node: NodeConfig, key: NodeKey) {
    const { witness } = config
    if (witness === undefined) throw new Error("the cluster has no witness")
    this.#config = config
    this.#node = node
    this.#documents = new Documents(config, witness.publicKey, key)
    this.#pool = new Pool(new URL(witness.url).origin, { connections: 1 })
    this.#path = `/v1/clusters/${config.name}/summaries`
  }

  /** Rejects unless the claim is granted or renewed (the first post only asks who the witness is). */
  async post(): Promise<void> {
    const { id: node, site } = this.#node
    const { name: cluster, version, checksum } = this.#config
    this.#counter += 1
    const summary = {
      ...{
        cluster,
        node,
        site,
        incarnation: incarnation(1),
        counter: this.#counter,
        challenge: this.#challenge,
      },
      configuration: { version, checksum },
      view: undefined,
      state: { voice: "held", tickets: [], nodes: [], services: [] },
      events: [],
      highest: [],
      claims: this.#challenge === "" ? [] : [this.#claim()],
    } as const
    const body = encodePost([await this.#documents.sign(summary)])
    const { statusCode, body: answer } = await this.#pool.request({
      method: "POST",
      path: this.#path,
      headers: { "content-type": "application/json" },
      body,
      headersTimeout: 10_000,
    })
    const text = await answer.text()
    const [posted] = statusCode === 200 ? unwrap(parsePostReplies(text)) : []
    if (posted?.kind !== "signed") throw new Error(`refused: ${statusCode} ${text}`)
    this.#learn(unwrap(await this.#documents.verify(posted.document, summary)))
  }

  async close(): Promise<void> {
    await this.#pool.close()
  }

  #claim(): LeaseClaim {
    return {
      kind: "mandate",
      name: mandateLease(ticketName(this.#node.site)),
      site: this.#node.site,
      epoch: epoch(1),
      ttl: this.#config.timings.mandateTtl,
      seen: this.#seen,
      waited: undefined,
    }
  }

  #learn(reply: Reply): void {
    this.#challenge = reply.witness
    const [answer] = reply.answers
    if (answer === undefined) return
    if (answer.kind !== "granted" && answer.kind !== "renewed")
      throw new Error(`claim: ${JSON.stringify(answer)}`)
    this.#seen = { epoch: answer.epoch, seq: answer.seq }
  }
}

function unwrap<T>(result: Result<T, unknown>): T {
  if (result.kind === "error") throw new Error(JSON.stringify(result.error))
  return result.value
}
