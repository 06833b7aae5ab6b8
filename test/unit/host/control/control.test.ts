// The real control process, started as the agent starts it, by a test that stands in for the real-time process.

import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, request, type Server } from "node:http"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { monotonicNow } from "../../../../node-agent/host/clock.ts"
import { readActivation } from "../../../../node-agent/host/control/activation-file.ts"
import { LineReader } from "../../../../node-agent/host/control/line-reader.ts"
import type { FromControl, ToControl } from "../../../../node-agent/host/control/messages.ts"
import { spawnControl } from "../../../../node-agent/host/control-process.ts"
import { createNodeKey } from "../../../../node-agent/host/key-file.ts"
import { nodeId, serviceName } from "../../../../protocol/units.ts"
import { clusterConfig, eventually, inMilliseconds, summaryOf, temporaryDirectory } from "../fixtures.ts"

const ledger = serviceName("ledger")
const main = join(import.meta.dirname, "../../../../node-agent/main.ts")

describe("the control process", { timeout: 20_000 }, () => {
  it("[H3] says what runs, starts what it is asked to, and ends it when the real-time process is gone", async () => {
    const { directory, control } = agentOf(quick)
    const first = control()
    expect(await first.connected()).toMatchObject([{ service: "ledger", state: "stopped" }])
    first.start(1, "1.1.1")
    await first.event("service-started")
    expect(existsSync(join(directory, "runs"))).toBe(true)
    first.process.end()
    await first.gone
    expect(existsSync(join(directory, "runs"))).toBe(false)
  })

  it("leaves services alone when it is killed; the next one finds them with their epoch", async () => {
    const { directory, control } = agentOf(quick)
    const first = control()
    await first.connected()
    first.start(1, "1.1.1")
    await first.event("service-started")
    first.process.kill()
    await first.gone
    expect(existsSync(join(directory, "runs"))).toBe(true)
    expect(await control().connected()).toMatchObject([{ state: "running", epoch: "1.1.1" }])
  })

  it("killed during a start leaves one in flight; the next one ends it before it says anything", async () => {
    const { directory, control } = agentOf({
      ...quick,
      // Longer than any control process needs to begin.
      start: "echo $$ > $D/starter; sleep 77.7; touch $D/runs",
    })
    const first = control()
    await first.connected()
    first.start(1, "1.1.1")
    const starter = await eventually(() => readNumber(join(directory, "starter")))
    first.process.kill()
    await first.gone
    expect(existsSync(`/proc/${starter}`)).toBe(true)
    expect(await control().connected()).toMatchObject([{ state: "stopped" }])
    expect(isAlive(starter)).toBe(false)
    expect(existsSync(join(directory, "runs"))).toBe(false)
    expect(readActivation(directory, ledger)).toBeUndefined()
  })

  it("stopped with SIGSTOP answers when it goes on, and nothing is started late", async () => {
    const { directory, control } = agentOf(quick)
    const first = control()
    await first.connected()
    const pid = first.process.pid ?? 0
    process.kill(pid, "SIGSTOP")
    first.send({
      kind: "effect",
      effect: {
        kind: "start-service",
        operation: 1,
        service: ledger,
        epoch: "1",
        deadline: inMilliseconds(100),
      },
    })
    const resumeAt = inMilliseconds(200)
    await eventually(() => monotonicNow() > resumeAt)
    process.kill(pid, "SIGCONT")
    expect(await first.event("service-start-failed")).toMatchObject({
      reason: "start of daemon: not begun: the right to start has ended",
    })
    expect(existsSync(join(directory, "runs"))).toBe(false)
  })

  it("[H9] serves status and commands on a socket that is its user's alone", async () => {
    const { directory, control } = agentOf(quick)
    const first = control()
    await first.connected()
    const socket = join(directory, "agent.sock")
    const command = JSON.stringify({ kind: "service-stop", service: "ledger" })
    const answer = ask(socket, "POST", "/v1/commands", command)
    const asked = await first.message("command")
    expect(asked.command).toEqual({ kind: "service-stop", service: "ledger" })
    first.send({ kind: "answer", request: asked.request, result: { kind: "done", message: "stopped" } })
    expect(await answer).toEqual({ status: 200, body: { kind: "done", message: "stopped" } })
    expect((await ask(socket, "POST", "/v1/commands", "{}")).status).toBe(400)
    expect((await ask(socket, "GET", "/v1/status", "")).status).toBe(503)
    expect((await ask(socket, "GET", "/v2", "")).status).toBe(404)
  })

  it("answers pings and samples health", async () => {
    const first = agentOf(quick).control()
    first.send({ kind: "ping", id: 7 })
    expect(await first.message("pong")).toEqual({ kind: "pong", id: 7 })
    expect((await first.message("health")).sample.cpuLoadPercent).toBeGreaterThanOrEqual(0)
  })

  it("keeps answering pings while its witness does not answer", async () => {
    const silent = createServer(() => undefined)
    const port = await listen(silent)
    const first = agentOf(quick, {
      url: `http://127.0.0.1:${port}`,
      public_key: "w".repeat(43).replace(/w$/, "A"),
    }).control()
    await first.connected()
    first.send({
      kind: "effect",
      effect: { kind: "post-summary", post: 3, summary: summaryOf(1), timeout: inMilliseconds(300) },
    })
    first.send({ kind: "ping", id: 1 })
    await first.message("pong")
    expect(await first.event("witness-failed")).toEqual({
      kind: "witness-failed",
      post: 3,
      reason: "timeout",
    })
  })
})

interface Scripts {
  readonly start: string
  readonly stop: string
  readonly monitor: string
}

/** A service whose running is a file. */
const quick: Scripts = {
  start: "touch $D/runs",
  stop: "rm -f $D/runs",
  monitor: "test -e $D/runs || exit 7",
}

function agentOf(scripts: Scripts, witness?: object) {
  const directory = temporaryDirectory()
  const nodeKeyFile = join(directory, "node.key")
  createNodeKey(nodeKeyFile)
  writeFileSync(join(directory, "lock"), "")
  const lock = openSync(join(directory, "lock"), "r")
  const shell = (script: string): readonly string[] => ["/bin/sh", "-c", `D=${directory}; ${script}`]
  const config = clusterConfig({
    ...(witness === undefined ? {} : { witness }),
    service: [
      {
        name: "ledger",
        resource: [
          {
            kind: "command",
            name: "daemon",
            start: shell(scripts.start),
            stop: shell(scripts.stop),
            monitor: shell(scripts.monitor),
          },
        ],
      },
    ],
  })
  const control = () => {
    const running = controlOf(lock)
    running.send({
      kind: "setup",
      setup: {
        config,
        self: nodeId(1),
        runtimeDirectory: directory,
        nodeKeyFile,
        alertsFile: undefined,
        hooks: [],
        logLevel: "error",
        traceFile: undefined,
      },
    })
    return running
  }
  return { directory, control }
}

function controlOf(lockDescriptor: number) {
  const child = spawnControl([process.execPath, main], lockDescriptor)
  const messages: FromControl[] = []
  const reader = new LineReader<FromControl>((message) => messages.push(message))
  child.received = (chunk) => reader.push(chunk)
  const gone = new Promise<string>((resolve) => {
    child.ended = resolve
  })
  onTestFinished(async () => {
    child.end()
    setTimeout(() => child.kill(), 3_000).unref()
    await gone
  })
  type Event = Extract<FromControl, { kind: "event" }>["event"]
  const message = <K extends FromControl["kind"]>(kind: K) =>
    eventually(
      () => messages.find((each): each is Extract<FromControl, { kind: K }> => each.kind === kind),
      10_000,
    )
  const event = <K extends Event["kind"]>(kind: K) =>
    eventually(
      () =>
        messages
          .flatMap((each) => (each.kind === "event" ? [each.event] : []))
          .find((each): each is Extract<Event, { kind: K }> => each.kind === kind),
      10_000,
    )
  const send = (each: ToControl): void => child.write(`${JSON.stringify(each)}\n`)
  return {
    process: child,
    gone,
    message,
    event,
    send,
    connected: async () => (await event("control-connected")).found,
    start: (operation: number, epoch: string) =>
      send({
        kind: "effect",
        effect: { kind: "start-service", operation, service: ledger, epoch, deadline: inMilliseconds(5_000) },
      }),
  }
}

function readNumber(path: string): number | undefined {
  return existsSync(path) ? Number(readFileSync(path, "utf8")) || undefined : undefined
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

function listen(server: Server): Promise<number> {
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : 0)
    })
  })
}

function ask(socketPath: string, method: string, path: string, body: string) {
  return new Promise<{ status: number | undefined; body: unknown }>((resolve, reject) => {
    const asking = request({ socketPath, method, path }, (response) => {
      let text = ""
      response.on("data", (part) => {
        text += part
      })
      response.on("end", () => resolve({ status: response.statusCode, body: JSON.parse(text) }))
    })
    asking.on("error", reject)
    asking.end(body)
  })
}
