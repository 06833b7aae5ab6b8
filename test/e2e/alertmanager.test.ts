// A real Alertmanager as receiver (Debian's package prometheus-alertmanager; `.ci/run` installs it): it takes what we send,
// folds repeats, ends what we resolve and tells its own receiver so; and its refusals mean what we take them for.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type WallTime, wallTime } from "../../protocol/units.ts"
import type { Notification } from "../../worker/alerts/notification.ts"
import { classify, type Receiver, requestFor } from "../../worker/alerts/receivers/receiver.ts"
import { attempt } from "../../worker/notify.ts"
import { Child } from "../support/cluster/child.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { describeNeeding } from "../support/needs.ts"
import { incident, notification } from "../unit/worker/alerts/notification-builder.ts"

const program = "/usr/bin/prometheus-alertmanager"
const patience = 20_000
/** bcrypt of "swordfish". */
const passwordHash = "$2b$04$abcdefghijklmnopqrstuugIEnm3ZbWF6xb2GcoE3L1CoGJFMKtu."

interface Told {
  readonly status: string
  readonly labels: Readonly<Record<string, string>>
}

/** What Alertmanager tells its own receiver. */
class Pager {
  readonly told: Told[] = []
  readonly #server: Server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    this.told.push(...JSON.parse(Buffer.concat(chunks).toString()).alerts)
    response.end()
  })

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, "127.0.0.1", () => resolve((this.#server.address() as AddressInfo).port))
    })
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  /** The states in which an incident was told, each once. */
  statesOf(id: string): readonly string[] {
    return [...new Set(this.told.filter(({ labels }) => labels.incident === id).map(({ status }) => status))]
  }
}

const missing = existsSync(program) ? [] : ["the package prometheus-alertmanager"]

describeNeeding(missing, "a real Alertmanager", () => {
  const pager = new Pager()
  const directory = mkdtempSync(join(tmpdir(), "quorumbeat-alertmanager-"))
  let child: Child
  let receiver: Extract<Receiver, { kind: "alertmanager" }>

  beforeAll(async () => {
    const pagerPort = await pager.listen()
    const port = await freePort()
    writeFileSync(
      join(directory, "alertmanager.yml"),
      `route: {receiver: pager, group_by: ['...'], group_wait: 10ms, group_interval: 100ms, repeat_interval: 1h}
receivers: [{name: pager, webhook_configs: [{url: 'http://127.0.0.1:${pagerPort}/', send_resolved: true}]}]
`,
    )
    writeFileSync(join(directory, "web.yml"), `basic_auth_users: {quorumbeat: '${passwordHash}'}\n`)
    child = new Child({
      name: "Alertmanager",
      program: [
        program,
        `--config.file=${join(directory, "alertmanager.yml")}`,
        `--web.config.file=${join(directory, "web.yml")}`,
        `--storage.path=${join(directory, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--web.route-prefix=/alerts",
        "--cluster.listen-address=",
      ],
      logFile: join(directory, "log"),
    })
    receiver = {
      name: "am",
      kind: "alertmanager",
      url: `http://127.0.0.1:${port}/alerts/`,
      username: "quorumbeat",
      password: "swordfish",
    }
    await waitFor(
      { what: "Alertmanager answers", limit: patience, instead: () => child.lastWords() },
      async () => {
        const answer = await fetch(`${receiver.url}-/ready`, { headers }).catch(() => undefined)
        return answer?.status === 200 ? true : undefined
      },
    )
  })

  afterAll(async () => {
    await child.kill()
    pager.close()
    rmSync(directory, { recursive: true })
  })

  const headers = { authorization: `Basic ${Buffer.from("quorumbeat:swordfish").toString("base64")}` }
  const machineTime = (): WallTime => wallTime(Date.now())

  /** As the outbox does it. */
  async function deliver(what: Notification, to: Receiver = receiver) {
    const context = { now: machineTime(), reference: undefined, rendering: "full" } as const
    const request = await requestFor(what, to, context)
    if (request === undefined) throw new Error("nothing to send")
    return classify(to, await attempt(request, "private-allowed"), machineTime())
  }

  async function alerts(): Promise<readonly (Told & { readonly endsAt: string })[]> {
    return JSON.parse(await (await fetch(`${receiver.url}api/v2/alerts`, { headers })).text())
  }

  const about = (id: string, changes: Partial<Parameters<typeof incident>[0]> = {}): Notification =>
    notification({ incidents: [incident({ id, openedAt: wallTime(Date.now() - 5_000), ...changes })] })

  const told = (id: string, state: string) =>
    waitFor({ what: `${id} is told as ${state}`, limit: patience, instead: () => child.lastWords() }, () =>
      pager.statesOf(id).includes(state) ? true : undefined,
    )

  it("trigger, trigger again, resolve: one alert that fires and ends", async () => {
    const id = "a".repeat(32)
    const fired = about(id)
    expect(await deliver(fired)).toEqual({ kind: "delivered", reason: "status 200", reference: undefined })
    await told(id, "firing")
    expect(await deliver({ ...fired, repeat: 1 })).toMatchObject({ kind: "delivered" })
    const known = (await alerts()).filter(({ labels }) => labels.incident === id)
    expect(known).toHaveLength(1)
    expect(known[0]?.labels).toMatchObject({
      alertname: "SiteSilent",
      cluster: "plant-7",
      severity: "critical",
    })
    expect(Date.parse(known[0]?.endsAt ?? "") - Date.now()).toBeGreaterThan(180_000)
    const over = { ...fired.incidents[0], phase: "resolved", resolvedAt: machineTime() } as const
    expect(await deliver({ ...fired, action: "resolve", incidents: [over] })).toMatchObject({
      kind: "delivered",
    })
    await told(id, "resolved")
    expect((await alerts()).filter(({ labels }) => labels.incident === id)).toEqual([])
  })

  it("a group is as many alerts as it has incidents", async () => {
    const ids = ["b", "c", "d"].map((letter) => letter.repeat(32))
    const [lead, ...others] = ids.map((id) => about(id).incidents[0])
    if (lead === undefined) throw new Error("three of them")
    expect(await deliver(notification({ incidents: [lead, ...others] }))).toMatchObject({ kind: "delivered" })
    for (const id of ids) await told(id, "firing")
  })

  it.each([
    ["markup and control characters", { title: '<b>{{ .Labels }}</b> "\\\n\u0000', detail: "\ud800 \u202e" }],
    ["more than any field should have", { title: "x".repeat(100_000), detail: "漢".repeat(100_000) }],
    ["an end before the beginning", { phase: "resolved", resolvedAt: wallTime(1) } as const],
    ["a beginning that is still to come", { openedAt: wallTime(Date.now() + 60_000) }],
  ])("takes %s", async (_what, changes) => {
    expect(await deliver(about("e".repeat(32), changes))).toMatchObject({ kind: "delivered" })
  })

  it("refuses a wrong password and a wrong path: the address is at fault, not the message", async () => {
    const wrong = { ...receiver, password: "trout" }
    expect(await deliver(about("f".repeat(32)), wrong)).toMatchObject({
      kind: "endpoint-rejected",
      reason: expect.stringContaining("status 401"),
    })
    const elsewhere = { ...receiver, url: receiver.url.replace("/alerts/", "/other/") }
    expect(await deliver(about("f".repeat(32)), elsewhere)).toMatchObject({
      kind: "endpoint-rejected",
      reason: expect.stringContaining("status 404"),
    })
  })

  it("refuses a message that is none: the message is at fault", async () => {
    const request = await requestFor(about("f".repeat(32)), receiver, {
      now: machineTime(),
      reference: undefined,
      rendering: "full",
    })
    if (request === undefined) throw new Error("nothing to send")
    const answer = await attempt({ ...request, body: '[{"labels":{}}]' }, "private-allowed")
    expect(classify(receiver, answer, machineTime())).toMatchObject({ kind: "message-rejected" })
  })

  it("nobody listening is tried again later", async () => {
    const away = { ...receiver, url: `http://127.0.0.1:${await freePort()}/` }
    expect(await deliver(about("f".repeat(32)), away)).toMatchObject({ kind: "transient" })
  })
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
