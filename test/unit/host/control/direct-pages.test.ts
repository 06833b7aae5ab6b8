import { chmodSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { Webhook } from "standardwebhooks"
import { describe, expect, it, onTestFinished } from "vitest"
import type { NodeStatus } from "../../../../node-agent/core/status.ts"
import { wallNow } from "../../../../node-agent/host/clock.ts"
import { checkedLookup, DirectPages } from "../../../../node-agent/host/control/direct-pages.ts"
import { incidentId } from "../../../../worker/alerts/identity.ts"
import { clusterConfig, eventually, temporaryDirectory } from "../fixtures.ts"

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`

interface Logged {
  readonly level: string
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A webhook on loopback that answers as told; what came is kept. */
async function hook(answer: RequestListener = (_request, response) => response.writeHead(204).end()) {
  const came: { readonly body: string; readonly headers: IncomingMessage["headers"] }[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    came.push({ body: Buffer.concat(chunks).toString(), headers: request.headers })
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { came, url: `http://localhost:${(server.address() as AddressInfo).port}/hook` }
}

const rules = (url: string) => `group_wait = "1ms"
[[receiver]]
name = "ops"
kind = "webhook"
url = "${url}"
secret = "${secret}"
`

function pagesWith(text: string, mode = 0o400) {
  const file = join(temporaryDirectory(), "alerts.toml")
  writeFileSync(file, text, { mode })
  const log: Logged[] = []
  const config = clusterConfig()
  const pages = new DirectPages({
    config,
    file,
    log: (level, event, fields = {}) => log.push({ level, event, fields }),
  })
  onTestFinished(() => pages.close())
  return { pages, file, log, config }
}

function status(events: NodeStatus["events"], witness: NodeStatus["witness"]["state"] = "none"): NodeStatus {
  const voice = { held: true, by: "majority", remaining_ms: undefined, epoch: 0 }
  return {
    cluster: "lab",
    node: { id: 1, name: "a1", site: "a", incarnation: 1 },
    rights: { ring_lease_ms: undefined, active_in_ms: 0, voice, mandates: [] },
    witness: { state: witness, reporter: undefined, last_reply_ms: undefined, reason: undefined },
    ...{ ring: undefined, services: [], sites: [] },
    events,
  } as unknown as NodeStatus
}

const nodeDown = (): NodeStatus["events"][number] => {
  return {
    id: "1-1-1",
    kind: "node-down",
    subject: "a2",
    severity: "warning",
    at_ms: wallNow(),
    detail: "left the ring",
  }
}

describe("direct pages", () => {
  it("reach the receiver, signed, under the id that the witness would give", async () => {
    const { came, url } = await hook()
    const { pages, log } = pagesWith(rules(url))
    pages.see(status([nodeDown()]))
    const [{ body, headers }] = await eventually(() => came.length > 0 && (came as [(typeof came)[0]]))
    const verified = new Webhook(secret).verify(body, headers as Record<string, string>)
    const id = incidentId("lab", "node-down", "node a2", "1-1-1")
    expect(verified).toMatchObject({
      type: "incident.opened",
      data: { id, dedup_key: `lab:${id}`, cluster: "lab", site: "a", node: "a2", title: "node a2 is down" },
    })
    const page = await eventually(() => log.find(({ event }) => event === "page"))
    expect(page).toMatchObject({
      level: "info",
      fields: { receiver: "ops", action: "trigger", ending: "told" },
    })
    expect(JSON.stringify(log)).not.toContain(secret)
  })

  it("are not sent while the witness is there", async () => {
    const { came, url } = await hook()
    const { pages, log } = pagesWith(rules(url))
    pages.see(status([nodeDown()], "ok"))
    pages.see(status([nodeDown()], "unreachable"))
    expect(log.map(({ fields }) => fields.mode)).toEqual(["waiting"])
    expect(came).toEqual([])
  })

  it("are tried again, and a redirect is not followed", async () => {
    const elsewhere = await hook()
    const { came, url } = await hook((_request, response) =>
      response.writeHead(307, { location: elsewhere.url }).end(),
    )
    const { pages, log } = pagesWith(rules(url))
    pages.see(status([nodeDown()]))
    const page = await eventually(() => log.find(({ event }) => event === "page"))
    expect(page).toMatchObject({
      level: "warn",
      fields: { ending: "again", reason: expect.stringContaining("status 307") },
    })
    expect([came.length, elsewhere.came.length]).toEqual([1, 0])
  })
})

describe("the file", () => {
  it.each([
    ["that others may read", rules("http://localhost/"), 0o444, "group or others may access it"],
    ["that is no TOML", "[[receiver", 0o400, "not TOML"],
    ["with a metadata address", rules("http://169.254.169.254/"), 0o400, "link-local"],
  ])("%s pages nobody and says so once", (_what, text, mode, reason) => {
    const { pages, log } = pagesWith(text, mode)
    for (let picture = 0; picture < 3; picture += 1) pages.see(status([nodeDown()]))
    expect(log).toMatchObject([
      { level: "error", event: "alerts-file-unusable", fields: { reason: expect.stringContaining(reason) } },
    ])
    expect(JSON.stringify(log)).not.toContain(secret)
  })

  it("is read again when it was mended", async () => {
    const { came, url } = await hook()
    const { pages, file } = pagesWith(rules(url), 0o444)
    pages.see(status([nodeDown()]))
    chmodSync(file, 0o600)
    pages.see(status([nodeDown()]))
    await eventually(() => came.length > 0)
  })
})

describe("addresses that a name resolves to", () => {
  const resolved = (host: string) =>
    new Promise((resolve) =>
      checkedLookup(host, { all: true }, (error, addresses) => resolve(error ?? addresses)),
    )

  it("are checked before they are connected to", async () => {
    expect(await resolved("127.0.0.1")).toEqual([{ address: "127.0.0.1", family: 4 }])
    expect(await resolved("169.254.169.254")).toMatchObject({
      message: expect.stringContaining("no address that may be reached"),
    })
    expect(await resolved("fe80::1")).toMatchObject({
      message: expect.stringContaining("no address that may be reached"),
    })
  })
})
