import { generateKeyPairSync, type KeyObject } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { connect, createServer as createTcpServer, type Server, type Socket } from "node:net"
import { join } from "node:path"
import { CompactSign, compactVerify } from "jose"
import { afterEach, describe, expect, it, onTestFinished } from "vitest"
import { answerBytesMax } from "../../../../node-agent/host/control/http-post.ts"
import type { ControlEvent } from "../../../../node-agent/host/control/messages.ts"
import { postsMax, WitnessClient } from "../../../../node-agent/host/control/witness-client.ts"
import { createNodeKey, readNodeKey } from "../../../../node-agent/host/key-file.ts"
import { encodePostReplies, encodeReply, type Reply, replyType } from "../../../../protocol/summaries.ts"
import { incarnation, millis, nodeId } from "../../../../protocol/units.ts"
import { clusterConfig, eventually, inMilliseconds, summaryOf, temporaryDirectory } from "../fixtures.ts"

describe("a summary posted to the witness", () => {
  it("is signed by the node, and its verified reply comes back", async () => {
    const { client, outcome, posts, nodePublicKey } = await witness((_body, send) =>
      send(200, replies(signed({}))),
    )
    await client.post(postSummary(1))
    expect(await outcome(1)).toEqual({ kind: "witness-replied", post: 1, reply: replyOf({}) })
    const [document = ""] = JSON.parse(posts[0]?.body ?? "{}").documents
    const { protectedHeader, payload } = await compactVerify(document, nodePublicKey)
    expect(posts[0]?.url).toBe("/w/v1/clusters/lab/summaries")
    expect(protectedHeader).toEqual({ alg: "Ed25519", typ: "quorumbeat-summary+json", kid: "lab/1" })
    expect(JSON.parse(Buffer.from(payload).toString())).toMatchObject({ cluster: "lab", node: 1, counter: 1 })
  })

  it.each<[string, Answering]>([
    [
      "refused:unknown-cluster",
      (_, send) => send(404, '{"error":{"reason":"unknown-cluster","message":"no"}}'),
    ],
    ["http-503", (_, send) => send(503, "<html>busy</html>")],
    ["http-302", (_, send) => send(302, "")],
    ["garbage", (_, send) => send(200, "<html>a captive portal</html>")],
    ["garbage", (_, send) => send(200, '{"replies":[]}')],
    ["refused:counter-not-rising", (_, send) => send(200, refusedReply("counter-not-rising"))],
    ["not-signed", (_, send) => send(200, replies("not.a.jws"))],
    ["wrong-signature", (_, send) => send(200, replies(signed({}, { key: strangerKey })))],
    ["wrong-type", (_, send) => send(200, replies(signed({}, { typ: "quorumbeat-summary+json" })))],
    ["wrong-type", (_, send) => send(200, replies(signed({}, { kid: "other/witness" })))],
    ["malformed", (_, send) => send(200, replies(signed({}, { payload: "{}" })))],
    ["other-cluster", (_, send) => send(200, replies(signed({ cluster: "other" })))],
    ["other-addressee", (_, send) => send(200, replies(signed({ node: nodeId(2) })))],
    ["other-echo", (_, send) => send(200, replies(signed({ counter: 99 })))],
    ["other-echo", (_, send) => send(200, replies(signed({ incarnation: incarnation(99) })))],
    ["oversized", (_, send) => send(200, "x".repeat(answerBytesMax + 1))],
    ["connection-lost", (response) => response.destroy()],
    [
      "connection-lost",
      (response) => {
        response.writeHead(200, { "content-length": "1000" })
        response.write("half")
        setImmediate(() => response.destroy())
      },
    ],
  ])("fails with %s", async (reason, answering) => {
    const { client, outcome } = await witness(answering)
    await client.post(postSummary(1))
    expect(await outcome(1)).toEqual({ kind: "witness-failed", post: 1, reason })
  })

  it("fails with timeout at the instant that was given, whatever comes later", async () => {
    const { client, outcome, events } = await witness((response, send) => {
      setTimeout(() => {
        if (!response.destroyed) send(200, replies(signed({})))
      }, 150)
    })
    await client.post(postSummary(1, 50))
    expect(await outcome(1)).toEqual({ kind: "witness-failed", post: 1, reason: "timeout" })
    expect(events).toHaveLength(1)
  })

  it("fails with timeout when the answer trickles in too slowly", async () => {
    const { client, outcome } = await witness((response) => {
      response.writeHead(200)
      const drip = setInterval(() => response.write(" "), 10)
      response.on("close", () => clearInterval(drip))
    })
    await client.post(postSummary(1, 100))
    expect(await outcome(1)).toMatchObject({ reason: "timeout" })
  })

  it("fails with connection-refused where nobody listens", async () => {
    const { client, outcome } = clientFor("http://127.0.0.1:1")
    await client.post(postSummary(1))
    expect(await outcome(1)).toMatchObject({ reason: "connection-refused" })
  })

  it("fails with tls where no TLS is spoken", async () => {
    const port = await listenTcp((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"))
    const { client, outcome } = clientFor(`https://127.0.0.1:${port}`)
    await client.post(postSummary(1))
    expect(await outcome(1)).toMatchObject({ reason: "tls" })
  })

  it("fails with busy when too many wait already", async () => {
    const { client, events } = await witness(() => undefined)
    for (let post = 1; post <= postsMax + 1; post += 1) void client.post(postSummary(post, 300))
    await eventually(() => events.length === postsMax + 1)
    const reasons = events.map((event) => ("reason" in event ? event.reason : event.kind))
    expect(reasons.toSorted()).toEqual(["busy", ...Array.from({ length: postsMax }, () => "timeout")])
  })

  it("is posted again when a kept connection was closed meanwhile", async () => {
    const sockets: Socket[] = []
    const { client, outcome, posts } = await witness((response, send) => {
      if (response.socket !== null) sockets.push(response.socket)
      if (posts.length === 2) response.destroy()
      else send(200, replies(signed({ counter: posts.length > 1 ? 2 : 1 })))
    })
    await client.post(postSummary(1))
    await outcome(1)
    await client.post(postSummary(2))
    expect(await outcome(2)).toMatchObject({ kind: "witness-replied" })
    expect(posts[1]?.body).toBe(posts[2]?.body)
  })

  it("goes through a proxy that the environment names", async () => {
    const seen: string[] = []
    const { client, outcome, port } = await witness(
      (_, send) => send(200, replies(signed({}))),
      async () => {
        const proxy = await listenTcp((socket) => {
          socket.once("data", (head) => {
            seen.push(String(head).split("\r\n")[0] ?? "")
            const upstream = connect(Number(/:(\d+)/.exec(String(head))?.[1]), "127.0.0.1")
            upstream.on("error", () => socket.destroy())
            socket.on("error", () => upstream.destroy())
            upstream.write(head)
            upstream.pipe(socket)
            socket.pipe(upstream)
          })
        })
        process.env.HTTP_PROXY = `http://127.0.0.1:${proxy}`
      },
    )
    await client.post(postSummary(1))
    await outcome(1)
    expect(seen).toEqual([`POST http://127.0.0.1:${port}/w/v1/clusters/lab/summaries HTTP/1.1`])
  })
})

it("without a witness in the configuration every question fails", async () => {
  const events: ControlEvent[] = []
  const config = clusterConfig()
  const [self] = config.nodes
  if (self === undefined) throw new Error("a cluster has nodes")
  const client = new WitnessClient({ config, self, key: undefined, emit: (event) => events.push(event), log })
  await client.post(postSummary(1))
  expect(events).toEqual([{ kind: "witness-failed", post: 1, reason: "no-witness" }])
})

afterEach(() => {
  delete process.env.HTTP_PROXY
})

const log = (): void => undefined
const witnessPair = generateKeyPairSync("ed25519")
const strangerKey = generateKeyPairSync("ed25519").privateKey

type Send = (status: number, body: string | Promise<string>) => void
type Answering = (response: ServerResponse, send: Send) => void

/** A witness that answers as told, and a client of it. */
async function witness(answering: Answering, before?: () => Promise<void>) {
  const posts: { readonly url: string | undefined; readonly body: string }[] = []
  const server = createServer((request: IncomingMessage, response) => {
    let body = ""
    request.on("data", (part) => {
      body += part
    })
    request.on("end", () => {
      posts.push({ url: request.url?.replace(/^http:\/\/[^/]*/, ""), body })
      answering(response, (status, answer) => {
        void Promise.resolve(answer).then((text) => {
          response.writeHead(status, { "content-type": "application/json" })
          response.end(text)
        })
      })
    })
  })
  const port = await listenOn(server)
  onTestFinished(() => server.closeAllConnections())
  await before?.()
  return { ...clientFor(`http://127.0.0.1:${port}/w`), posts, port }
}

function clientFor(url: string) {
  const path = join(temporaryDirectory(), "node.key")
  createNodeKey(path)
  const key = readNodeKey(path)
  if (key.kind === "error") throw new Error(key.error)
  const config = clusterConfig({
    witness: { url, public_key: String(witnessPair.publicKey.export({ format: "jwk" }).x) },
  })
  const [self] = config.nodes
  if (self === undefined) throw new Error("a cluster has nodes")
  const events: ControlEvent[] = []
  const client = new WitnessClient({ config, self, key: key.value, emit: (event) => events.push(event), log })
  onTestFinished(() => client.close())
  const outcome = (post: number) =>
    eventually(() => events.find((event) => "post" in event && event.post === post))
  const nodePublicKey = { kty: "OKP", crv: "Ed25519", x: key.value.publicKey, alg: "Ed25519" }
  return { client, events, outcome, nodePublicKey }
}

function postSummary(post: number, patience = 2_000) {
  return { kind: "post-summary", post, summary: summaryOf(post), timeout: inMilliseconds(patience) } as const
}

function replyOf(more: Partial<Reply>): Reply {
  return {
    cluster: "lab",
    node: nodeId(1),
    incarnation: incarnation(5),
    counter: 1,
    witness: "w".repeat(32),
    leases: [],
    answers: [],
    interval: millis(2_000),
    quotaPercent: 3,
    ...more,
  }
}

interface Forgery {
  readonly key?: KeyObject
  readonly typ?: string
  readonly kid?: string
  readonly payload?: string
}

function signed(reply: Partial<Reply>, forgery: Forgery = {}): Promise<string> {
  return new CompactSign(Buffer.from(forgery.payload ?? encodeReply(replyOf(reply))))
    .setProtectedHeader({
      alg: "Ed25519",
      typ: forgery.typ ?? replyType,
      kid: forgery.kid ?? "lab/witness",
    })
    .sign(forgery.key ?? witnessPair.privateKey)
}

async function replies(document: string | Promise<string>): Promise<string> {
  return encodePostReplies([{ kind: "signed", document: await document }])
}

function refusedReply(reason: string): string {
  return encodePostReplies([{ kind: "refused", reason, message: "no" }])
}

function listenTcp(connected: (socket: Socket) => void): Promise<number> {
  return listenOn(createTcpServer(connected))
}

function listenOn(server: Server): Promise<number> {
  onTestFinished(() => {
    server.close()
  })
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : 0)
    })
  })
}
