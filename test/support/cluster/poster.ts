/** A node that only posts: signed summaries to a real witness, with no agent behind them. */
import { Pool } from "undici"
import { Documents } from "../../../node-agent/host/control/documents.ts"
import { type NodeKey, readNodeKey } from "../../../node-agent/host/key-file.ts"
import type { ClusterConfig, NodeConfig } from "../../../protocol/cluster.ts"
import { type LeaseClaim, type LeaseTag, mandateLease } from "../../../protocol/lease.ts"
import type { Result } from "../../../protocol/result.ts"
import { encodePost, parsePostReplies, type Reply, type ReportedEvent } from "../../../protocol/summaries.ts"
import { epoch, incarnation, ticketName } from "../../../protocol/units.ts"

export function posterOf(
  config: ClusterConfig,
  { name, keyFile }: { readonly name: string; readonly keyFile: string },
): Poster {
  const node = config.nodes.find((each) => each.name === name)
  if (node === undefined) throw new Error(`no node ${name}`)
  return new Poster(config, node, unwrap(readNodeKey(keyFile)))
}

/** A node that holds its site's ticket and does nothing but renew it. */
export class Poster {
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

  /**
   * Rejects unless the claim is granted or renewed. The first post only asks who the witness is, and one with events only
   * tells them.
   */
  async post(events: readonly ReportedEvent[] = []): Promise<void> {
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
      events,
      highest: [],
      claims: this.#challenge === "" || events.length > 0 ? [] : [this.#claim()],
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

export function unwrap<T>(result: Result<T, unknown>): T {
  if (result.kind === "error") throw new Error(JSON.stringify(result.error))
  return result.value
}
