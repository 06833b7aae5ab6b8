/** Whatever strangers, broken nodes and mistaken operators send: a status, a reason, and nothing stored. */

import { runInDurableObject } from "cloudflare:test"
import { beforeAll, describe, expect, it } from "vitest"
import { encodePost, encodeSummary, nodeKeyId, replyType, summaryType } from "../../protocol/summaries.ts"
import { incarnation, nodeId, siteId } from "../../protocol/units.ts"
import { mandate, voice } from "../unit/worker/arbiter-builder.ts"
import { dump } from "./stored.ts"
import {
  environment,
  generateKey,
  operatorCredential,
  send,
  sendAsOperator,
  signText,
  TestCluster,
} from "./witness-client.ts"

let cluster: TestCluster
let other: TestCluster
const claims = [mandate("a", 9), voice([1, 2], 9)]

beforeAll(async () => {
  cluster = await TestCluster.create()
  other = await TestCluster.create()
  await cluster.node(1).post([mandate("a", 4)])
})

async function expectRefusal(response: Response, status: number, reason: string): Promise<void> {
  const body: { error: { reason: string; message: string } } = await response.json()
  expect({ status: response.status, reason: body.error.reason }).toEqual({ status, reason })
  expect(body.error.message).not.toBe("")
}

const json = { "content-type": "application/json" }

describe("posts that are bad as a whole", () => {
  const cases: readonly (readonly [string, () => Promise<Response> | Response, number, string])[] = [
    [
      "an unsigned document",
      () => cluster.postRaw([encodeSummary(cluster.node(1).summary(claims))]),
      401,
      "document-not-signed",
    ],
    ["a document signed with nothing", () => cluster.postRaw([unsecured()]), 401, "algorithm-not-allowed"],
    ["a document whose signature is damaged", damaged, 401, "signature-invalid"],
    ["a document whose payload was replaced", replaced, 401, "signature-invalid"],
    ["a document signed by a stranger's key", signedByStranger, 401, "signature-invalid"],
    ["a document signed by another node's key", signedByNeighbour, 401, "signature-invalid"],
    ["a node that speaks for another node", speaksForAnother, 403, "node-mismatch"],
    ["a node that the cluster does not know", unknownNode, 401, "unknown-key"],
    ["a document of another cluster", ofAnotherCluster, 403, "wrong-cluster"],
    ["a document that names another cluster inside", namesAnotherCluster, 403, "wrong-cluster"],
    ["a document that names another site", namesAnotherSite, 403, "site-mismatch"],
    ["a document of another type", () => withHeader({ typ: replyType }), 401, "type-not-allowed"],
    ["a document without a type", () => withHeader({ typ: undefined }), 401, "type-not-allowed"],
    ["a document without a key id", () => withHeader({ kid: undefined }), 401, "document-not-signed"],
    ["the old name of the algorithm", () => withHeader({ alg: "EdDSA" }), 401, "algorithm-not-allowed"],
    ["an HMAC with the public key as its secret", confusedAlgorithm, 401, "algorithm-not-allowed"],
    ["a signed text that is no summary", () => signedText("garbage"), 400, "document-malformed"],
    ["a signed summary of another version", () => signedText('{"version":2}'), 400, "version-not-supported"],
    [
      "a body that is too large",
      () => cluster.postBody(encodePost(["x".repeat(70_000)])),
      413,
      "body-too-large",
    ],
    ["a body that is too large and does not say so", streamed, 413, "body-too-large"],
    ["nine documents", () => cluster.postRaw(Array(9).fill("a.b.c")), 400, "body-malformed"],
    ["no document", () => cluster.postRaw([]), 400, "body-malformed"],
    ["a document that is no text", () => cluster.postBody('{"documents":[1]}'), 400, "body-malformed"],
    ["garbage", () => cluster.postBody("{{{"), 400, "body-not-json"],
    [
      "bytes that are not UTF-8",
      () => cluster.postBody(new Uint8Array([0x22, 0xff, 0x22])),
      400,
      "body-not-json",
    ],
    ["an empty body", () => cluster.postBody(""), 400, "body-not-json"],
    [
      "another content type",
      () => cluster.postBody("{}", { "content-type": "text/plain" }),
      415,
      "content-type-not-json",
    ],
  ]
  it.each(cases)("[W5] %s is refused and nothing is stored", async (_, post, status, reason) => {
    const before = await dump(cluster)
    await expectRefusal(await post(), status, reason)
    expect(await dump(cluster)).toEqual(before)
  })

  it("[W5] an older document is refused and nothing is stored", async () => {
    const node = cluster.node(2)
    const older = await node.sign(node.summary(claims))
    await node.post([mandate("a", 4)])
    const before = await dump(cluster)
    await expectRefusal(await cluster.postRaw([older]), 409, "counter-not-rising")
    expect(await dump(cluster)).toEqual(before)
  })

  it("[W5] a document from before the node's reboot is refused and nothing is stored", async () => {
    const node = cluster.node(11)
    await node.post([mandate("b", 4)], { incarnation: incarnation(7), counter: 1 })
    const before = await dump(cluster)
    const old = await node.sign(node.summary(claims, { incarnation: incarnation(6), counter: 1_000 }))
    await expectRefusal(await cluster.postRaw([old]), 409, "counter-not-rising")
    expect(await dump(cluster)).toEqual(before)
  })

  it("[W5] a replayed renewal is told its old grant and renews nothing", async () => {
    const own = await TestCluster.create()
    const node = own.node(1)
    await node.post([mandate("a", 4)])
    const renewal = await node.sign(
      node.summary([mandate("a", 4, { seen: { epoch: mandate("a", 4).epoch, seq: 1 } })]),
    )
    await own.post([renewal])
    const leases = (await own.describe()).leases
    await own.post([renewal])
    expect((await own.describe()).leases).toEqual(leases)
  })

  it("[W5] a document for another incarnation of the object stores nothing, not even that its node lives", async () => {
    const fresh = await TestCluster.create()
    const before = await dump(fresh)
    const event = { id: "e1", kind: "x", subject: "y", severity: "info", at: 0, detail: "" } as never
    await fresh.node(1).post(claims, { challenge: "another", events: [event] })
    expect(await dump(fresh)).toEqual(before)
    expect((await fresh.describe()).sites).toMatchObject([{ state: "never-heard" }, { state: "never-heard" }])
  })

  function withHeader(header: object): Promise<Response> {
    const node = cluster.node(1)
    return node.sign(node.summary(claims), header).then((document) => cluster.postRaw([document]))
  }

  function unsecured(): string {
    const header = { alg: "none", typ: summaryType, kid: nodeKeyId(cluster.name, nodeId(1)) }
    return `${base64url(JSON.stringify(header))}.${base64url(encodeSummary(cluster.node(1).summary(claims)))}.`
  }

  async function damaged(): Promise<Response> {
    const document = await cluster.node(1).sign(cluster.node(1).summary(claims))
    const middle = document.lastIndexOf(".") + 20
    const letter = document[middle] === "A" ? "B" : "A"
    return cluster.postRaw([document.slice(0, middle) + letter + document.slice(middle + 1)])
  }

  async function replaced(): Promise<Response> {
    const [header, , signature] = (await cluster.node(1).sign(cluster.node(1).summary())).split(".")
    const payload = base64url(encodeSummary(cluster.node(1).summary(claims)))
    return cluster.postRaw([`${header}.${payload}.${signature}`])
  }

  async function signedByStranger(): Promise<Response> {
    const { privateKey } = await generateKey()
    return cluster.postRaw([await cluster.node(1).sign(cluster.node(1).summary(claims), {}, privateKey)])
  }

  async function signedByNeighbour(): Promise<Response> {
    const { privateKey } = cluster.node(2).key
    return cluster.postRaw([await cluster.node(1).sign(cluster.node(1).summary(claims), {}, privateKey)])
  }

  async function speaksForAnother(): Promise<Response> {
    const summary = cluster.node(1).summary(claims, { node: nodeId(2) })
    return cluster.postRaw([await cluster.node(1).sign(summary)])
  }

  function unknownNode(): Promise<Response> {
    return withHeader({ kid: nodeKeyId(cluster.name, nodeId(99)) })
  }

  async function ofAnotherCluster(): Promise<Response> {
    return cluster.postRaw([await other.node(1).sign(other.node(1).summary(claims))])
  }

  async function namesAnotherCluster(): Promise<Response> {
    const summary = cluster.node(1).summary(claims, { cluster: other.name })
    return cluster.postRaw([await cluster.node(1).sign(summary)])
  }

  async function namesAnotherSite(): Promise<Response> {
    const summary = cluster.node(1).summary(claims, { site: siteId("b") })
    return cluster.postRaw([await cluster.node(1).sign(summary)])
  }

  async function confusedAlgorithm(): Promise<Response> {
    const header = { alg: "HS256", typ: summaryType, kid: nodeKeyId(cluster.name, nodeId(1)) }
    const content = `${base64url(JSON.stringify(header))}.${base64url(encodeSummary(cluster.node(1).summary(claims)))}`
    const raw = new TextEncoder().encode(cluster.node(1).key.publicKey)
    const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])
    const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content))
    return cluster.postRaw([`${content}.${base64url(String.fromCharCode(...new Uint8Array(mac)))}`])
  }

  async function signedText(text: string): Promise<Response> {
    const header = { typ: summaryType, kid: nodeKeyId(cluster.name, nodeId(1)) }
    return cluster.postRaw([await signText(text, header, cluster.node(1).key.privateKey)])
  }

  function streamed(): Promise<Response> {
    const chunk = new TextEncoder().encode("x".repeat(10_000))
    let chunks = 10
    const body = new ReadableStream({
      pull: (controller) => (chunks-- > 0 ? controller.enqueue(chunk) : controller.close()),
    })
    return cluster.postBody(body)
  }
})

describe("clusters and credentials", () => {
  it("an unknown cluster is 404, for everyone, and asking for it creates nothing", async () => {
    const node = cluster.node(1)
    const kid = nodeKeyId("nobody", nodeId(1))
    const document = await node.sign(node.summary(claims, { cluster: "nobody" }), { kid })
    const body = encodePost([document])
    await expectRefusal(
      await send("/v1/clusters/nobody/summaries", { method: "POST", headers: json, body }),
      404,
      "unknown-cluster",
    )
    await expectRefusal(await sendAsOperator("/v1/clusters/nobody"), 404, "unknown-cluster")
    await expectRefusal(await sendAsOperator("/v1/clusters/nobody/events"), 404, "unknown-cluster")
    const tables = await runInDurableObject(
      environment.CLUSTER.getByName("nobody"),
      (_instance, { storage }) =>
        storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
    )
    expect(tables).toEqual([])
  })

  it("a name that no cluster can have is refused before any object is asked", async () => {
    for (const name of [":registry", "-x", "a b", "x".repeat(64)]) {
      await expectRefusal(
        await sendAsOperator(`/v1/clusters/${encodeURIComponent(name)}`),
        400,
        "cluster-name-malformed",
      )
    }
  })

  it("[O5] the operator's routes want the operator's credential", async () => {
    const path = `/v1/clusters/${cluster.name}`
    const before = await dump(cluster)
    for (const [method, route] of [
      ["GET", path],
      ["GET", `${path}/events`],
      ["PUT", path],
    ] as const) {
      const body = method === "PUT" ? { body: "{}" } : {}
      await expectRefusal(await send(route, { method, ...body }), 401, "credential-missing")
      const headers = { ...json, authorization: "Bearer wrong" }
      await expectRefusal(await send(route, { method, headers, ...body }), 403, "credential-invalid")
    }
    expect(await dump(cluster)).toEqual(before)
  })

  it("a witness without its secrets says so and does nothing", async () => {
    const { CLUSTER, WITNESS_KEY = "", OPERATOR_CREDENTIAL_SHA256 = "" } = environment
    const headers = { ...json, authorization: `Bearer ${operatorCredential}` }
    const path = `/v1/clusters/${cluster.name}`
    const post = { method: "POST", headers, body: encodePost(["a.b.c"]) }
    await expectRefusal(
      await send(`${path}/summaries`, post, { CLUSTER, OPERATOR_CREDENTIAL_SHA256 }),
      500,
      "witness-key-not-set",
    )
    const wrongKey = { CLUSTER, OPERATOR_CREDENTIAL_SHA256, WITNESS_KEY: '{"kty":"EC"}' }
    await expectRefusal(await send(`${path}/summaries`, post, wrongKey), 500, "witness-key-invalid")
    await expectRefusal(
      await send(path, { headers }, { CLUSTER, WITNESS_KEY }),
      500,
      "operator-credential-not-set",
    )
  })

  it("no such route", async () => {
    await expectRefusal(await send("/"), 404, "not-found")
    await expectRefusal(await send("/v2/clusters"), 404, "not-found")
    await expectRefusal(await send(`/v1/clusters/${cluster.name}/summaries`), 401, "credential-missing")
  })

  it("health touches no object and needs no credential", async () => {
    const response = await send("/v1/health")
    expect([response.status, await response.json()]).toEqual([200, { status: "ok" }])
  })
})

describe("configurations", () => {
  const broken: readonly (readonly [string, object, string])[] = [
    ["no nodes", { nodes: [] }, "nodes"],
    ["an unknown site", { nodes: [node({ site: "c" })] }, "unknown site c"],
    ["one node twice", { nodes: [node(), node({ public_key: key(2) })] }, "named twice"],
    ["one key twice", { nodes: [node(), node({ node: 2 })] }, "same key"],
    ["a short key", { nodes: [node({ public_key: "AAAA" })] }, "public_key"],
    ["a negative rho", { rho: -1 }, "rho"],
    ["a TTL of nothing", { voice_ttl_ms: 0 }, "voice_ttl_ms"],
    ["receivers, which stand in the alert rules", { receivers: [] }, "alert rules"],
    [
      "two nodes of one name",
      { nodes: [node({ name: "x" }), node({ node: 2, name: "x", public_key: key(2) })] },
      "same name",
    ],
  ]
  it.each(broken)("%s is refused, with what is wrong, and nothing is stored", async (_, settings, detail) => {
    const before = await dump(cluster)
    const response = await cluster.configure({ version: 2, ...settings })
    const body: { error: { reason: string; message: string } } = await response.json()
    expect(response.status).toBe(400)
    expect(body.error).toMatchObject({
      reason: "configuration-malformed",
      message: expect.stringContaining(detail),
    })
    expect(await dump(cluster)).toEqual(before)
  })

  it("garbage is refused", async () => {
    const path = `/v1/clusters/${cluster.name}`
    await expectRefusal(
      await sendAsOperator(path, { method: "PUT", body: "{{{" }),
      400,
      "configuration-malformed",
    )
  })

  it("[O5] an older version, and another one under the same version, are refused", async () => {
    const own = await TestCluster.create({ version: 5 })
    const before = await dump(own)
    await expectRefusal(await own.configure({ version: 4 }), 409, "configuration-older")
    await expectRefusal(await own.configure({ version: 5, checksum: "other" }), 409, "configuration-conflict")
    expect(await dump(own)).toEqual(before)
  })

  it("a node that was taken out is no longer heard, although its key was cached", async () => {
    const own = await TestCluster.create()
    await own.node(2).post()
    const nodes = [1, 11].map((id) => ({
      node: id,
      site: id > 10 ? "b" : "a",
      public_key: own.node(id).key.publicKey,
    }))
    await own.configure({ version: 2, nodes })
    const document = await own.node(2).sign(own.node(2).summary())
    await expectRefusal(await own.postRaw([document]), 401, "unknown-key")
  })

  function key(first: number): string {
    return base64url(String.fromCharCode(first, ...Array(31).fill(7)))
  }

  function node(more: object = {}): object {
    return { node: 1, site: "a", public_key: key(1), ...more }
  }
})

function base64url(text: string): string {
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}
