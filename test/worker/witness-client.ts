/** A cluster and its nodes as the witness sees them: real keys, real signatures, requests to the real Worker. */

import { createExecutionContext, runInDurableObject } from "cloudflare:test"
import { env } from "cloudflare:workers"
import * as jose from "jose"
import { expect } from "vitest"
import type { LeaseAnswer, LeaseClaim, LeaseTag } from "../../protocol/lease.ts"
import {
  encodePost,
  encodeSummary,
  nodeKeyId,
  type PostedReply,
  parsePostReplies,
  parseReply,
  type Reply,
  replyType,
  type Summary,
  signatureAlgorithm,
  summaryType,
  witnessKeyId,
} from "../../protocol/summaries.ts"
import { incarnation, nodeId, siteId } from "../../protocol/units.ts"
import type { ClusterWitness } from "../../worker/cluster.ts"
import type { Environment } from "../../worker/environment.ts"
import worker from "../../worker/index.ts"

export const operatorCredential = "operator-credential-for-tests"

/** A key pair as nodes and witness have it. */
export interface TestKey {
  readonly privateKey: CryptoKey
  readonly publicKey: string
}

export async function generateKey(): Promise<TestKey> {
  const { privateKey, publicKey } = await jose.generateKeyPair("Ed25519", { extractable: true })
  const { x } = await jose.exportJWK(publicKey)
  return { privateKey, publicKey: x ?? "" }
}

const witnessKey = await generateKey()

/** The Worker's environment under test: the object's binding is real, the secrets are ours. */
export const environment: Environment = {
  CLUSTER: (env as unknown as Environment).CLUSTER,
  WITNESS_KEY: JSON.stringify(await jose.exportJWK(witnessKey.privateKey)),
  OPERATOR_CREDENTIAL_SHA256: await sha256Hex(operatorCredential),
}

// The object reads its own bindings: the same secrets.
Object.assign(env, { WITNESS_KEY: environment.WITNESS_KEY })

export function send(
  path: string,
  init: RequestInit = {},
  secrets: Environment = environment,
): Promise<Response> {
  const request = new Request(`https://witness.example${path}`, init)
  return Promise.resolve(worker.fetch(request, secrets, createExecutionContext()))
}

export function sendAsOperator(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${operatorCredential}`, "content-type": "application/json" }
  return send(path, { ...init, headers })
}

/** One cluster of its own name, with two nodes in each of the sites `a` (1, 2) and `b` (11, 12). */
export class TestCluster {
  readonly name: string
  readonly nodes: ReadonlyMap<number, TestNode>
  witness = ""

  private constructor(name: string, nodes: ReadonlyMap<number, TestNode>) {
    this.name = name
    this.nodes = nodes
  }

  static async create(settings: object = {}): Promise<TestCluster> {
    const name = `cluster-${crypto.randomUUID()}`
    const nodes = new Map<number, TestNode>()
    const cluster = new TestCluster(name, nodes)
    for (const id of [1, 2, 11, 12]) nodes.set(id, new TestNode(cluster, id, await generateKey()))
    const response = await cluster.configure(settings)
    const created: { witness: string; public_key: string } = await response.json()
    expect(response.status, JSON.stringify(created)).toBe(201)
    expect(created.public_key).toBe(witnessKey.publicKey)
    cluster.witness = created.witness
    return cluster
  }

  get stub(): DurableObjectStub<ClusterWitness> {
    return environment.CLUSTER.getByName(this.name)
  }

  configuration(settings: object = {}): object {
    return {
      version: 1,
      checksum: "c0ffee",
      sites: ["a", "b"],
      tickets: ["main"],
      nodes: [...this.nodes.values()].map(({ id, site, key }) => ({
        node: id,
        site,
        public_key: key.publicKey,
      })),
      // Most tests have no rivals to wait for.
      arbitration_window_ms: 0,
      ...settings,
    }
  }

  configure(settings: object = {}): Promise<Response> {
    const body = JSON.stringify(this.configuration(settings))
    return sendAsOperator(`/v1/clusters/${this.name}`, { method: "PUT", body })
  }

  /** Replaces the alert rules; with `expected` other than 200 returns what was wrong. */
  async rules(toml: string, expected = 200): Promise<string> {
    const response = await send(`/v1/clusters/${this.name}/alerts/rules`, {
      method: "PUT",
      headers: { authorization: `Bearer ${operatorCredential}`, "content-type": "application/toml" },
      body: toml,
    })
    const text = await response.text()
    expect(response.status, text).toBe(expected)
    return text
  }

  /** An operator's request below the cluster, and the JSON that came back. */
  async ask<Answer>(method: string, path: string, body?: object, expected = 200): Promise<Answer> {
    const response = await sendAsOperator(`/v1/clusters/${this.name}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    expect(response.status, text).toBe(expected)
    return JSON.parse(text)
  }

  node(id: number): TestNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`no node ${id}`)
    return node
  }

  /** As if the platform had dropped it. */
  forgetAlarm(): Promise<void> {
    return runInDurableObject(this.stub, (_instance, { storage }) => storage.deleteAlarm())
  }

  /** Posts signed documents as they are. */
  postRaw(documents: readonly string[]): Promise<Response> {
    return this.postBody(encodePost(documents))
  }

  postBody(
    body: BodyInit,
    headers: Record<string, string> = { "content-type": "application/json" },
  ): Promise<Response> {
    return send(`/v1/clusters/${this.name}/summaries`, { method: "POST", headers, body })
  }

  /** Posts signed documents, of which at least one must be acceptable, and returns what came back for each. */
  async post(documents: readonly string[]): Promise<readonly PostedReply[]> {
    const response = await this.postRaw(documents)
    const text = await response.text()
    expect(response.status, text).toBe(200)
    const replies = parsePostReplies(text)
    if (replies.kind === "error") throw new Error(replies.error.detail)
    return replies.value
  }

  /** The cluster as its operator sees it. */
  async describe(): Promise<Described> {
    const response = await sendAsOperator(`/v1/clusters/${this.name}`)
    expect(response.status).toBe(200)
    return response.json()
  }
}

export interface Described {
  readonly leases: readonly { name: string; epoch: number; seq: number; holder?: object }[]
  readonly sites: readonly { site: string; state: string }[]
  readonly nodes: readonly { node: number; state: string; counter?: number }[]
  readonly quota: {
    percent: number
    rows_written: number
    posts: number
    reported_events: number
    interval_ms: number
  }
  readonly events: readonly { id: string; kind: string; subject: string; severity: string }[]
  readonly incidents: readonly { id: string; kind: string; subject: string; state: string; count: number }[]
  readonly deliveries: readonly {
    id: string
    action: string
    receiver: string
    state: string
    attempts: number
    reason: string
  }[]
}

/** One node: it knows its key, counts its documents and remembers the witness it believes in. */
export class TestNode {
  readonly id: number
  readonly site: string
  readonly key: TestKey
  readonly #cluster: TestCluster
  counter = 0

  constructor(cluster: TestCluster, id: number, key: TestKey) {
    this.#cluster = cluster
    this.id = id
    this.site = id > 10 ? "b" : "a"
    this.key = key
  }

  summary(claims: readonly LeaseClaim[] = [], more: Partial<Summary> = {}): Summary {
    this.counter += 1
    return {
      cluster: this.#cluster.name,
      node: nodeId(this.id),
      incarnation: incarnation(1),
      counter: this.counter,
      challenge: this.#cluster.witness,
      site: siteId(this.site),
      configuration: { version: 1, checksum: "c0ffee" },
      view: undefined,
      state: { voice: "not-held", tickets: [], nodes: [], services: [] },
      events: [],
      highest: [],
      claims,
      ...more,
    }
  }

  /** A signed document; `header` overrides parts of the protected header. */
  sign(summary: Summary, header: object = {}, key: CryptoKey = this.key.privateKey): Promise<string> {
    const kid = nodeKeyId(this.#cluster.name, nodeId(this.id))
    return signText(
      encodeSummary(summary),
      { alg: signatureAlgorithm, typ: summaryType, kid, ...header },
      key,
    )
  }

  /** Posts one document and reads the verified reply to it. */
  async post(claims: readonly LeaseClaim[] = [], more: Partial<Summary> = {}): Promise<Reply> {
    const summary = this.summary(claims, more)
    const [posted] = await this.#cluster.post([await this.sign(summary)])
    const reply = await readReply(this.#cluster.name, posted)
    expect(reply).toMatchObject({ node: this.id, counter: summary.counter })
    return reply
  }

  /** Posts one claim and returns the answer to it. */
  async claim(claim: LeaseClaim, more: Partial<Summary> = {}): Promise<LeaseAnswer> {
    const [answer] = (await this.post([claim], more)).answers
    if (answer === undefined) throw new Error("no answer")
    return answer
  }
}

export function signText(payload: string, header: object, key: CryptoKey): Promise<string> {
  const protectedHeader: jose.CompactJWSHeaderParameters = { alg: signatureAlgorithm, ...header }
  return new jose.CompactSign(new TextEncoder().encode(payload)).setProtectedHeader(protectedHeader).sign(key)
}

/** Verifies a reply as a node does: the pinned key, one algorithm, the right type and key id. */
export async function readReply(cluster: string, posted: PostedReply | undefined): Promise<Reply> {
  if (posted?.kind !== "signed") throw new Error(`no signed reply: ${JSON.stringify(posted)}`)
  const key = await jose.importJWK(
    { kty: "OKP", crv: "Ed25519", x: witnessKey.publicKey },
    signatureAlgorithm,
  )
  const verified = await jose.compactVerify(posted.document, key, { algorithms: [signatureAlgorithm] })
  expect(verified.protectedHeader).toEqual({
    alg: signatureAlgorithm,
    typ: replyType,
    kid: witnessKeyId(cluster),
  })
  const reply = parseReply(new TextDecoder().decode(verified.payload))
  if (reply.kind === "error") throw new Error(reply.error.detail)
  return reply.value
}

/** The tag of one lease in a reply. */
export function tagIn(reply: Reply, name: string): LeaseTag {
  const lease = reply.leases.find((each) => each.name === name)
  if (lease === undefined) throw new Error(`no lease ${name}`)
  return { epoch: lease.epoch, seq: lease.seq }
}

async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("")
}
