// The whole agent, as a user starts it: a cluster of one node, which has every right by itself.

import { type ChildProcess, spawn } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { fetchStatus } from "../../node-agent/cli/agent-client.ts"
import type { DurableState } from "../../node-agent/core/durable.ts"
import type { StatusAnswer } from "../../node-agent/host/control/local-api.ts"
import { parseStat } from "../../node-agent/host/control/processes.ts"
import { createNodeKey, createRingKey } from "../../node-agent/host/key-file.ts"
import { readLease } from "../../node-agent/host/lease-file.ts"
import { replaceState } from "../../node-agent/host/state-file.ts"
import { epoch, incarnation, nodeId, serviceName } from "../../protocol/units.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { eventually, temporaryDirectory } from "../unit/host/fixtures.ts"

const main = join(import.meta.dirname, "../../node-agent/main.ts")
const ledger = serviceName("ledger")

describe("the agent", { timeout: 30_000 }, () => {
  it("runs its service, says so, and leaves in order at SIGTERM", async () => {
    const agent = await startedAgent()
    const status = await agent.statusWhen((each) => each.status.services[0]?.state === "running")
    expect(status.status.membership).toBe("operational")
    expect(status.status.services).toMatchObject([{ name: "ledger", state: "running", owner: "a1" }])
    expect(status.host.control_starts).toBe(1)
    agent.process.kill("SIGTERM")
    expect(await agent.exitStatus).toBe(0)
    expect(agent.isServiceRunning()).toBe(false)
    expect(readLease(agent.runtime, ledger)?.deadline).toBeUndefined()
  })

  it("[H2] loses no right and no service when its control process is killed", async () => {
    const agent = await startedAgent()
    // A start that is still under way when control dies is undone and done again.
    await agent.statusWhen((each) => each.status.services.every((service) => service.state === "running"))
    const epoch = readLease(agent.runtime, ledger)?.epoch
    const [former = 0] = childrenOf(agent.process.pid ?? 0)
    process.kill(former, "SIGKILL")
    const status = await agent.statusWhen((each) => each.host.control_starts === 2)
    expect(status.status.membership).toBe("operational")
    expect(agent.isServiceRunning()).toBe(true)
    expect(await agent.leaseAdvances()).toBe(true)
    expect(readLease(agent.runtime, ledger)?.epoch).toBe(epoch)
  })

  it("[H2] renews its rights while its control process is stopped", async () => {
    const agent = await startedAgent()
    const [control = 0] = childrenOf(agent.process.pid ?? 0)
    process.kill(control, "SIGSTOP")
    for (let n = 0; n < 5; n += 1) expect(await agent.leaseAdvances()).toBe(true)
    process.kill(control, "SIGCONT")
    expect((await agent.status()).status.membership).toBe("operational")
  })

  it("[H18] tells its hooks what changes, from the start to the end", async () => {
    const directory = await prepared()
    const hook = join(directory, "hook")
    const told = `$QUORUMBEAT_CHANGE $QUORUMBEAT_SUBJECT $QUORUMBEAT_TO $QUORUMBEAT_OWNER`
    writeFileSync(hook, `#!/bin/sh\necho "${told}" >> ${directory}/told\n`, { mode: 0o755 })
    const child = spawnAgent(directory, ["--hook", hook])
    onTestFinished(() => end(child))
    const lines = () => readFileSync(join(directory, "told"), "utf8").trim().split("\n")
    await eventually(
      () => existsSync(join(directory, "told")) && lines().includes("service ledger running a1"),
      10_000,
    )
    expect(lines()).toContain("voice a held ")
    child.kill("SIGTERM")
    await once(child, "exit")
    expect(lines()).toContain("service ledger stopped ")
  })

  it("[H3] that is killed takes its services with it", async () => {
    const agent = await startedAgent()
    const children = childrenOf(agent.process.pid ?? 0)
    agent.process.kill("SIGKILL")
    await eventually(() => !agent.isServiceRunning())
    await eventually(() => children.every((pid) => !existsSync(`/proc/${pid}`) || isZombie(pid)))
  })
})

describe("the agent does not start", { timeout: 30_000 }, () => {
  it("[D4] with the state of another node", async () => {
    const directory = await prepared()
    await replaceState(directory, foreignState)
    const { status, message } = await failedStart(directory)
    expect(status).toBe(1)
    expect(message).toMatch(
      /^quorumbeat: .*: is the state of node 2 of cluster lab, not of node 1 of lab; use its own/,
    )
  })

  it("[H18] with a hook that others than root may replace", async () => {
    const directory = await prepared()
    const hook = join(directory, "hook")
    writeFileSync(hook, "#!/bin/sh\n")
    chmodSync(hook, 0o777)
    const { status, message } = await failedStart(directory, ["--hook", hook])
    expect(status).toBe(2)
    expect(message).toContain(`${hook}: group or others may write it (mode 0777); run \`chmod go-w ${hook}\``)
  })

  it("[H10] with the profile energy where SCHED_FIFO is not to be had", async () => {
    const directory = await prepared('profile = "energy"')
    const { status, message } = await failedStart(directory)
    expect(status).toBe(1)
    expect(message).toContain(
      "profile energy needs SCHED_FIFO and it was refused (switched off by --scheduling none)",
    )
  })
})

/** An agent whose service runs. */
async function startedAgent() {
  const directory = await prepared()
  const runtime = join(directory, "run")
  const runs = join(directory, "runs")
  const child = spawnAgent(directory)
  let log = ""
  child.stderr.on("data", (text) => {
    log += String(text)
  })
  onTestFinished(async ({ task }) => {
    if (task.result?.state === "fail") process.stderr.write(log)
    await end(child)
  })
  const isServiceRunning = (): boolean => existsSync(runs)
  await eventually(isServiceRunning, 10_000)
  const deadline = (): number => readLease(runtime, ledger)?.deadline ?? 0
  const status = (): Promise<StatusAnswer> => fetchStatus(runtime)
  return {
    process: child,
    runtime,
    exitStatus: once(child, "exit").then(([code]) => code),
    isServiceRunning,
    status,
    leaseAdvances: () => {
      const before = deadline()
      return eventually(() => deadline() > before)
    },
    statusWhen: (holds: (answer: StatusAnswer) => boolean): Promise<StatusAnswer> =>
      waitFor({ what: "the status expected", limit: 20_000 }, async () => {
        const answer = await status().catch(() => undefined)
        return answer !== undefined && holds(answer) ? answer : undefined
      }),
  }
}

function spawnAgent(directory: string, more: readonly string[] = []) {
  const runtime = join(directory, "run")
  return spawn(
    process.execPath,
    [
      ...[main, "agent", "--config", join(directory, "cluster.toml"), "--node", "a1", "--scheduling", "none"],
      ...["--key", join(directory, "node.key"), "--ring-key", join(directory, "ring.key")],
      ...["--state-dir", directory, "--runtime-dir", runtime, ...more],
    ],
    { stdio: ["ignore", "inherit", "pipe"] },
  )
}

async function failedStart(directory: string, more: readonly string[] = []) {
  const child = spawnAgent(directory, more)
  let message = ""
  child.stderr.on("data", (text) => {
    message += String(text)
  })
  const [status] = await once(child, "close")
  return { status, message }
}

const foreignState: DurableState = {
  format: 1,
  cluster: "lab",
  node: nodeId(2),
  incarnation: incarnation(1),
  ringSequence: 0,
  voiceEpoch: epoch(0),
  tickets: [],
  pledges: [],
  witness: undefined,
  fresh: false,
}

/** A directory in which node a1 has been initialised; `more`: lines for the configuration. */
async function prepared(more = ""): Promise<string> {
  const directory = temporaryDirectory()
  const runs = join(directory, "runs")
  const key = createNodeKey(join(directory, "node.key"))
  createRingKey(join(directory, "ring.key"), 1)
  const program = (script: string): string => JSON.stringify(["/bin/sh", "-c", script])
  writeFileSync(
    join(directory, "cluster.toml"),
    `cluster = "lab"
version = 1
${more}
[[site]]
name = "a"
[[node]]
id = 1
name = "a1"
site = "a"
links = ["127.0.0.1:${await freePort()}"]
public_key = "${key.kind === "ok" ? key.value : ""}"
[[service]]
name = "ledger"
[[service.resource]]
kind = "command"
name = "file"
start = ${program(`touch ${runs}`)}
stop = ${program(`rm -f ${runs}`)}
monitor = ${program(`test -e ${runs} || exit 7`)}
`,
  )
  const init = spawn(process.execPath, [
    ...[main, "init", "--config", join(directory, "cluster.toml"), "--node", "a1"],
    ...[
      "--key",
      join(directory, "node.key"),
      "--ring-key",
      join(directory, "ring.key"),
      "--state-dir",
      directory,
    ],
  ])
  expect(await once(init, "exit")).toEqual([0, null])
  return directory
}

function freePort(): Promise<number> {
  const socket = createSocket("udp4")
  return new Promise((resolve) => {
    socket.bind(0, "127.0.0.1", () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" "))
    .filter((each) => each !== "")
    .map(Number)
}

function isZombie(pid: number): boolean {
  return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"))?.alive === false
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, "exit")
  child.kill("SIGTERM")
  setTimeout(() => child.kill("SIGKILL"), 3_000).unref()
  await gone
}
