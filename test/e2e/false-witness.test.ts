// A witness that answers, but not as it should: garbage, for another cluster, with an old answer, or as another object.

import { randomBytes } from "node:crypto"
import { readFileSync, rmSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { CompactSign, decodeJwt, importJWK } from "jose"
import { afterAll, describe, expect, it } from "vitest"
import { replyType, signatureAlgorithm, witnessKeyId } from "../../protocol/summaries.ts"
import type { Agent } from "../support/cluster/agent.ts"
import type { ClusterLayout } from "../support/cluster/layout.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { patience, quickSites, ttl, ttlWaited, twoByTwo, useLab } from "./lab.ts"

type Manner = "honest" | "garbage" | "other-cluster" | "earlier-reply"

/** Between all nodes and the true witness. */
class Middleman {
  manner: Manner = "honest"
  readonly #server: Server
  #layout: ClusterLayout | undefined
  #answers = 0
  /** The first honest answer to each path since the manner was honest. */
  #earlier = ""

  constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  /** Beside the ports that the kit uses of the cluster's block. */
  static port(layout: ClusterLayout): number {
    return layout.witnessPort + 6
  }

  static configure(toml: string, layout: ClusterLayout): string {
    const url = `http://127.0.0.1:${Middleman.port(layout)}`
    return layout.sites.reduce((text, site) => text.replace(`"${site.witnessUrl}"`, `"${url}"`), toml)
  }

  listen(layout: ClusterLayout): Promise<void> {
    this.#layout = layout
    return new Promise((resolve) => this.#server.listen(Middleman.port(layout), "127.0.0.1", resolve))
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    try {
      const body = Buffer.concat(chunks)
      const { status, answer } = await this.#answerTo(request, body)
      response.writeHead(status, { "content-type": "application/json" }).end(answer)
    } catch {
      // The true witness is away.
      request.socket.destroy()
    }
  }

  async #answerTo(
    request: IncomingMessage,
    body: Buffer,
  ): Promise<{ status: number; answer: string | Buffer }> {
    this.#answers += 1
    if (this.manner === "garbage")
      return garbage[this.#answers % garbage.length] ?? { status: 200, answer: "" }
    const url = `${this.#layout?.witnessUrl}${request.url}`
    const asked = { method: "POST", body, headers: { "content-type": "application/json" } }
    const honest = await fetch(url, asked)
    const answer = await honest.text()
    if (this.manner === "honest") this.#earlier = answer
    if (this.manner === "earlier-reply") return { status: 200, answer: this.#earlier }
    if (this.manner === "other-cluster") return { status: 200, answer: await this.#forOtherCluster(answer) }
    return { status: honest.status, answer }
  }

  /** As the same witness would answer a cluster of another name: well signed, every grant in it. */
  async #forOtherCluster(answer: string): Promise<string> {
    const key = await importJWK(
      JSON.parse(readFileSync(this.#layout?.witnessKeyFile ?? "", "utf8")),
      signatureAlgorithm,
    )
    const { replies }: { readonly replies: readonly string[] } = JSON.parse(answer)
    const cluster = "elsewhere"
    // In turn: as another cluster's document, and as one of this cluster that speaks of another.
    const named = this.#answers % 2 === 0 ? cluster : (this.#layout?.name ?? "")
    const signed = replies.map((reply) => {
      const payload = Buffer.from(JSON.stringify({ ...decodeJwt(reply), cluster }))
      const protectedHeader = { alg: signatureAlgorithm, typ: replyType, kid: witnessKeyId(named) }
      return new CompactSign(payload).setProtectedHeader(protectedHeader).sign(key)
    })
    return JSON.stringify({ replies: await Promise.all(signed) })
  }
}

const garbage: readonly { readonly status: number; readonly answer: string | Buffer }[] = [
  { status: 200, answer: randomBytes(500) },
  { status: 200, answer: "" },
  { status: 200, answer: '{"replies":["a.b.c"]}' },
  { status: 200, answer: '{"replies":[{"granted":true}]}' },
  { status: 502, answer: "<html>bad gateway</html>" },
  { status: 200, answer: Buffer.alloc(4_000_000, "{") },
]

const middleman = new Middleman()
const lab = useLab({
  name: "false-witness",
  sites: twoByTwo,
  hasWitness: true,
  timings: quickSites,
  configure: Middleman.configure,
  companions: ({ cluster }) => middleman.listen(cluster.layout),
})
afterAll(() => middleman.close())

/** The node of each site that talks to the witness now. */
async function reporters(): Promise<readonly Agent[]> {
  const statuses = await Promise.all(lab.cluster.agents.map((agent) => lab.statusOf(agent)))
  const names = new Set(statuses.map(({ witness }) => witness.reporter))
  return lab.cluster.agents.filter(({ name }) => names.has(name))
}

/** With the WAN cut the witness decides alone: with nothing of it believed, the holder stops and nobody starts. */
async function expectNobodyActs(): Promise<void> {
  await lab.cluster.network.setWan("cut")
  await sleep(ttlWaited + 1_000)
  const from = now()
  await sleep(2_000)
  expect(
    lab.ledger.first(from, () => true),
    "a write without a vote of the witness",
  ).toBeUndefined()
}

async function expectActiveAgain(): Promise<void> {
  const healed = now()
  middleman.manner = "honest"
  await lab.cluster.network.heal()
  await waitFor({ what: "the service active again", limit: patience }, () =>
    lab.ledger.first(healed, () => true),
  )
  await lab.settled()
}

describe("a witness that is not the one it should be", () => {
  it.each([
    ["garbage", /garbage|http-502|not-signed|too-long|too-large|oversized/],
    ["other-cluster", /other-cluster|wrong-type/],
    ["earlier-reply", /other-addressee|other-echo/],
  ] as const)("%s: is shown, and not believed in anything", async (manner, reason) => {
    middleman.manner = manner
    for (const agent of await reporters()) {
      await lab.statusWhen(agent, "unreachable, and why", ({ witness }) => {
        return witness.state === "unreachable" && reason.test(witness.reason ?? "")
      })
    }
    await expectNobodyActs()
    await expectActiveAgain()
  })

  it("another object: quarantined and not believed, until an operator accepts it", async () => {
    const { witnessDirectory, configFile, credentialFile } = lab.cluster.layout
    const before = lab.owner()
    await lab.cluster.witness.kill()
    rmSync(witnessDirectory, { recursive: true })
    await lab.cluster.witness.start()
    await lab.cluster.quorumbeat(
      ...["witness", "register", "--config", configFile, "--credential-file", credentialFile],
    )
    for (const agent of await reporters()) {
      await lab.statusWhen(agent, "quarantined", ({ witness }) => witness.state === "quarantined")
      expect((await agent.complaints()).join()).toContain("quarantined")
    }
    await lab.undisturbed(before, ttl)
    await expectNobodyActs()

    const healed = now()
    await lab.cluster.network.heal()
    await waitFor({ what: "the service active again", limit: patience }, () =>
      lab.ledger.first(healed, () => true),
    )
    for (const agent of await reporters()) {
      const words = ["witness", "accept", "--runtime-dir", agent.node.runtimeDirectory]
      expect(await lab.cluster.quorumbeat(...words)).toContain("believed")
    }
    await lab.settled()
    // By the new object's vote: with the WAN cut, and in a site of which one node is left.
    const accepted = lab.owner()
    await lab.cluster.network.setWan("cut")
    await lab.undisturbed(accepted, 2 * ttlWaited)
    await lab.cluster.network.heal()
    const victim = lab.ownerAgent()
    const killed = now()
    await victim.kill()
    await lab.succession(accepted, killed, [lab.neighbour(victim).name])
  })
})
