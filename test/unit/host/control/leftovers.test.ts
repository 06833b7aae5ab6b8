import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { endLeftovers } from "../../../../node-agent/host/control/leftovers.ts"
import {
  bootId,
  type OperationRecord,
  pidPath,
  recordPath,
  revokeOperation,
  startOperation,
  uptimeDeadline,
} from "../../../../node-agent/host/control/operation.ts"
import { parseStat, readStat } from "../../../../node-agent/host/control/processes.ts"
import { instant, millis } from "../../../../protocol/units.ts"
import { eventually, temporaryDirectory } from "../fixtures.ts"

describe("operations whose outcome nobody has seen", () => {
  it("are ended with all their processes", async () => {
    const { directory, begin } = operations()
    begin("one", "sleep 77.7 & sleep 77.7")
    const leader = await eventually(() => leaderOf(directory, "one"))
    expect(await endLeftovers(directory)).toEqual([
      { service: "ledger", resource: "daemon", action: "start", ended: true },
    ])
    expect(readStat(leader)?.alive ?? false).toBe(false)
    expect(readdirSync(directory)).toEqual([])
  })

  it("that have left only children are found by the operation's name", async () => {
    const { directory } = operations()
    mkdirSync(directory)
    writeRecord(directory, "one")
    const script = `read -r stat < /proc/self/stat; echo "$stat" > ${pidPath(directory, "one")}
      sleep 77.7 & echo $! > ${directory}/child`
    const leader = spawn("/bin/sh", ["-c", script], {
      detached: true,
      stdio: "ignore",
      env: { ...process.env, QUORUMBEAT_OPERATION: "one" },
    })
    await once(leader, "exit")
    const child = numberIn(join(directory, "child")) ?? 0
    expect(readStat(child)?.alive).toBe(true)
    expect(await endLeftovers(directory)).toMatchObject([{ ended: true }])
    expect(readStat(child)?.alive ?? false).toBe(false)
  })

  it("that had not begun never will", async () => {
    const { directory, begin } = operations()
    mkdirSync(directory)
    expect(revokeOperation(directory, "one")).toBe(true)
    const { outcome } = begin("one", `touch ${directory}/ran`)
    expect(await outcome).toEqual({ kind: "not-begun", reason: "revoked" })
    expect(existsSync(join(directory, "ran"))).toBe(false)
  })

  it("do not take a stranger with their pid along", async () => {
    const { directory } = operations()
    const stranger = spawn("sleep", ["77.7"], { detached: true, stdio: "ignore" })
    onTestFinished(() => end(stranger))
    mkdirSync(directory)
    writeRecord(directory, "one")
    const stat = readFileSync(`/proc/${stranger.pid}/stat`, "utf8")
    const start = parseStat(stat)?.startTime ?? ""
    writeFileSync(pidPath(directory, "one"), stat.replace(` ${start} `, ` ${Number(start) - 1} `))
    expect(await endLeftovers(directory)).toEqual([
      { service: "ledger", resource: "daemon", action: "start", ended: true },
    ])
    expect(readStat(stranger.pid ?? 0)?.alive).toBe(true)
  })

  it("of another boot mean nothing", async () => {
    const { directory } = operations()
    mkdirSync(directory)
    writeRecord(directory, "one", "another-boot")
    writeFileSync(pidPath(directory, "one"), readFileSync("/proc/self/stat"))
    expect(await endLeftovers(directory)).toEqual([])
    expect(readdirSync(directory)).toEqual([])
  })

  it("whose child came no further than creating its file are not said to have ended", async () => {
    const { directory } = operations()
    mkdirSync(directory)
    writeRecord(directory, "one")
    writeFileSync(pidPath(directory, "one"), "")
    expect(await endLeftovers(directory, 50)).toMatchObject([{ ended: false }])
    expect(existsSync(recordPath(directory, "one"))).toBe(true)
  })

  it("whose record was torn by a loss of power mean nothing", async () => {
    const { directory } = operations()
    mkdirSync(directory)
    writeFileSync(recordPath(directory, "one"), "")
    expect(await endLeftovers(directory)).toEqual([])
    expect(readdirSync(directory)).toEqual([])
  })

  it("are none where there is no directory", async () => {
    expect(await endLeftovers(join(temporaryDirectory(), "none"))).toEqual([])
  })
})

describe("the deadline of a start, as its child looks at it", () => {
  const clocks = (pause: number) => {
    let paused = 0
    return {
      uptime: () => {
        const read = 50_000 + paused
        paused += pause
        return read
      },
      monotonic: () => {
        const read = instant(7_000 + paused)
        paused += pause
        return read
      },
    }
  }

  it("[H6] is in uptime what is left of it, less the rounding", () => {
    expect(uptimeDeadline(instant(7_300), clocks(0))).toBe(50_290)
    expect(uptimeDeadline(undefined, clocks(0))).toBe(0)
  })

  it("[H6] is never later for a process that was stopped while it was computed", () => {
    expect(uptimeDeadline(instant(7_300), clocks(200))).toBe(50_090)
    // Past: the least that is not "none".
    expect(uptimeDeadline(instant(7_300), clocks(60_000))).toBe(1)
  })
})

describe("a line of /proc/<pid>/stat", () => {
  it("is read whatever the program calls itself", () => {
    expect(parseStat("12 (a) b (c) S 1 12 12 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4711 rest")).toEqual({
      pid: 12,
      group: 12,
      startTime: "4711",
      alive: true,
    })
  })

  it("of a zombie is of nobody alive", () => {
    expect(parseStat("12 (x) Z 1 12 12 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 4711 rest")?.alive).toBe(false)
  })

  it("that is something else is nothing", () => {
    for (const text of ["", "12", "12 (x", "12 (x) S 1"]) expect(parseStat(text)).toBeUndefined()
  })
})

function operations() {
  const directory = join(temporaryDirectory(), "operations")
  const output = openSync("/dev/null", "w")
  onTestFinished(() => closeSync(output))
  const begin = (id: string, script: string) =>
    startOperation({
      record: recordOf(id, bootId()),
      directory,
      program: ["/bin/sh", "-c", script],
      environment: {},
      timeLimit: millis(60_000),
      deadline: undefined,
      output,
    })
  return { directory, begin }
}

function recordOf(id: string, boot: string): OperationRecord {
  return { id, service: "ledger", resource: "daemon", action: "start", boot }
}

function writeRecord(directory: string, id: string, boot = bootId()): void {
  writeFileSync(recordPath(directory, id), JSON.stringify(recordOf(id, boot)))
}

function leaderOf(directory: string, id: string): number | undefined {
  const path = pidPath(directory, id)
  return existsSync(path) ? parseStat(readFileSync(path, "utf8"))?.pid : undefined
}

function numberIn(path: string): number | undefined {
  return existsSync(path) ? Number(readFileSync(path, "utf8")) || undefined : undefined
}

function end(child: ChildProcess): void {
  child.kill("SIGKILL")
}
