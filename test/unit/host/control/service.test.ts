import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { monotonicNow } from "../../../../node-agent/host/clock.ts"
import { readActivation, writeActivation } from "../../../../node-agent/host/control/activation-file.ts"
import {
  bootId,
  operationsDirectory,
  pidPath,
  recordPath,
} from "../../../../node-agent/host/control/operation.ts"
import { LeaseFiles, readLease } from "../../../../node-agent/host/lease-file.ts"
import { millis } from "../../../../protocol/units.ts"
import { eventually, inMilliseconds, ledger, serviceOf, shellResource } from "../fixtures.ts"

describe("a service", () => {
  it("starts its resources in order and stops them in reverse", async () => {
    const { runner, outcome, notes, note } = serviceOf((directory) => [
      shellResource("one", { start: noting(directory, "start one"), stop: noting(directory, "stop one") }),
      shellResource("two", { start: noting(directory, "start two"), stop: noting(directory, "stop two") }),
    ])
    runner.start(1, "1.1.1", inMilliseconds(5_000))
    expect(await outcome(1)).toEqual({ kind: "service-started", operation: 1, service: "ledger" })
    expect(note()).toEqual({ epoch: "1.1.1", phase: "running" })
    runner.stop(2)
    expect(await outcome(2)).toEqual({ kind: "service-stopped", operation: 2, service: "ledger" })
    expect(notes()).toEqual(["start one", "start two", "stop two", "stop one"])
    expect(note()).toBeUndefined()
  })

  it("tells its programs who they are and what they may", async () => {
    const { runner, outcome, directory } = serviceOf((into) => [
      shellResource(
        "one",
        { start: `env | grep ^QUORUMBEAT_ | sort > ${into}/environment` },
        {
          environment: { QUORUMBEAT_EXTRA: "x" },
        },
      ),
    ])
    runner.start(1, "1.2.3", inMilliseconds(5_000))
    await outcome(1)
    const variables = readFileSync(join(directory, "environment"), "utf8").trim().split("\n")
    expect(variables.filter((each) => !each.startsWith("QUORUMBEAT_OPERATION="))).toEqual([
      "QUORUMBEAT_ACTION=start",
      "QUORUMBEAT_EPOCH=1.2.3",
      "QUORUMBEAT_EXTRA=x",
      `QUORUMBEAT_LEASE_FILE=${directory}/ledger.lease`,
      "QUORUMBEAT_RESOURCE=one",
      "QUORUMBEAT_SERVICE=ledger",
    ])
  })

  it("[S22] that somebody else starts while it is stopped is found, and no more when it was stopped", async () => {
    const { runner, outcome, directory, events } = serviceOf((into) => [
      shellResource(
        "one",
        { start: `touch ${into}/up`, stop: `rm -f ${into}/up`, monitor: `test -e ${into}/up || exit 7` },
        { monitorInterval: millis(5) },
      ),
    ])
    const found = () => events.filter(({ kind }) => kind === "service-found").length
    expect(await runner.discover(false)).toMatchObject({ state: "stopped" })
    for (const times of [1, 2]) {
      writeFileSync(join(directory, "up"), "")
      const before = found()
      // Said again: nobody may have acted on it.
      await eventually(() => found() > before + 1 || undefined, 10_000)
      runner.stop(times)
      await outcome(times)
    }
    const before = found()
    runner.start(3, "1", inMilliseconds(5_000))
    await outcome(3)
    runner.stop(4)
    await outcome(4)
    expect(found()).toBe(before)
    await runner.shutDown()
  })

  it("that fails to start takes down what it had started", async () => {
    const { runner, outcome, notes, note } = serviceOf((directory) => [
      shellResource("one", { start: noting(directory, "start one"), stop: noting(directory, "stop one") }),
      shellResource("two", { start: "exit 3", stop: noting(directory, "stop two") }),
      shellResource("three", { start: noting(directory, "start three") }),
    ])
    runner.start(1, "1", inMilliseconds(5_000))
    expect(await outcome(1)).toMatchObject({
      kind: "service-start-failed",
      reason: "start of two: exit status 3",
    })
    expect(notes()).toEqual(["start one", "stop two", "stop one"])
    expect(note()).toBeUndefined()
  })

  it("that fails to start and to stop says that it may still be there", async () => {
    const { runner, outcome } = serviceOf(() => [shellResource("one", { start: "exit 1", stop: "exit 2" })])
    runner.start(1, "1", inMilliseconds(5_000))
    expect(await outcome(1)).toMatchObject({
      kind: "service-start-failed",
      reason: "not-stopped: start of one: exit status 1; stop of one: exit status 2",
    })
  })

  it("[H7] that does not start within its limit is ended with all its processes, also those that ignore SIGTERM", async () => {
    const { runner, outcome, directory } = serviceOf((into) => [
      shellResource(
        "one",
        { start: `trap '' TERM; sleep 77.7 & echo $! > ${into}/child; wait; sleep 77.7` },
        // Long enough for the shell to come as far as its child on a busy machine.
        { startTimeout: millis(2_000) },
      ),
    ])
    runner.start(1, "1", inMilliseconds(5_000))
    expect(await outcome(1)).toMatchObject({
      kind: "service-start-failed",
      reason: "start of one: time limit exceeded",
    })
    expect(isAlive(Number(readFileSync(join(directory, "child"), "utf8")))).toBe(false)
  })

  it("[H6] that was asked to start too late is never started", async () => {
    const { runner, outcome, notes } = serviceOf((directory) => [
      shellResource("one", { start: noting(directory, "start one") }),
    ])
    runner.start(1, "1", inMilliseconds(-1))
    expect(await outcome(1)).toMatchObject({
      kind: "service-start-failed",
      reason: "start of one: not begun: the right to start has ended",
    })
    expect(notes()).toEqual([])
  })

  it("goes on starting as long as its lease does, whatever the first deadline was", async () => {
    const { runner, outcome, directory } = serviceOf(() => [
      shellResource("one", { start: "sleep 0.3" }),
      shellResource("two", { start: "exit 0" }),
    ])
    const leases = new LeaseFiles(directory, () => undefined)
    leases.write(ledger, { epoch: "1", deadline: inMilliseconds(10_000) })
    await eventually(() => readLease(directory, ledger))
    runner.start(1, "1", inMilliseconds(200))
    expect(await outcome(1)).toMatchObject({ kind: "service-started" })
  })

  it("[H6] is not started on another activation's lease", async () => {
    const { runner, outcome, directory } = serviceOf(() => [
      shellResource("one", { start: "sleep 0.3" }),
      shellResource("two", { start: "exit 0" }),
    ])
    const leases = new LeaseFiles(directory, () => undefined)
    leases.write(ledger, { epoch: "2", deadline: inMilliseconds(10_000) })
    await eventually(() => readLease(directory, ledger))
    runner.start(1, "1", inMilliseconds(200))
    expect(await outcome(1)).toMatchObject({ kind: "service-start-failed" })
  })

  it("lets a stop overtake a start that is under way, and one that waits", async () => {
    const { runner, outcome, notes } = serviceOf((directory) => [
      shellResource("one", { start: "sleep 77.7", stop: noting(directory, "stop one") }),
    ])
    const began = monotonicNow()
    runner.start(1, "1", inMilliseconds(60_000))
    runner.start(2, "2", inMilliseconds(60_000))
    await eventually(() => readActivation(runner.directory, ledger))
    runner.stop(3)
    expect(await outcome(1)).toMatchObject({
      kind: "service-start-failed",
      reason: "start of one: cancelled",
    })
    expect(await outcome(2)).toMatchObject({ kind: "service-start-failed", reason: "overtaken by a stop" })
    expect(await outcome(3)).toMatchObject({ kind: "service-stopped" })
    expect(notes()).toEqual(["stop one", "stop one"])
    expect(monotonicNow() - began).toBeLessThan(4_000)
  })

  it("[S17] is said to have died each time a monitor does not find it, until it is stopped", async () => {
    const { runner, outcome, events, directory } = serviceOf((into) => [
      shellResource(
        "one",
        { start: "exit 0", monitor: `test ! -e ${into}/dead || exit 7` },
        {
          monitorInterval: millis(10),
        },
      ),
      shellResource("two", { start: "exit 0" }, { monitorInterval: millis(10) }),
    ])
    runner.start(1, "1", inMilliseconds(5_000))
    await outcome(1)
    writeFileSync(join(directory, "dead"), "")
    const told = () => events.filter((event) => event.kind === "service-died")
    await eventually(() => told().length >= 3)
    runner.stop(2)
    await outcome(2)
    expect(new Set(told().map((event) => JSON.stringify(event)))).toEqual(
      new Set([
        JSON.stringify({
          kind: "service-died",
          service: "ledger",
          resource: "one",
          reason: "one: not running",
        }),
      ]),
    )
  })

  it("with a monitor that hangs is said to have died", async () => {
    const { runner, outcome, events } = serviceOf(() => [
      shellResource(
        "one",
        { start: "exit 0", monitor: "sleep 77.7" },
        {
          monitorInterval: millis(10),
          monitorTimeout: millis(50),
        },
      ),
    ])
    runner.start(1, "1", inMilliseconds(5_000))
    await outcome(1)
    const died = await eventually(() => events.find((event) => event.kind === "service-died"))
    expect(died).toMatchObject({ reason: "one: monitor exceeded its time limit" })
  })

  it("[H7] has what its programs print in the log", async () => {
    const { runner, outcome, printed } = serviceOf(() => [
      shellResource("one", { start: "echo hello; echo trouble >&2" }),
    ])
    runner.start(1, "1", inMilliseconds(5_000))
    await outcome(1)
    await eventually(() => printed.length === 2)
    expect(printed).toEqual(["one: hello", "one: trouble"])
  })

  it("keeps running with its output when it stays, and is not waited for", async () => {
    const { runner, outcome, directory } = serviceOf((into) => [
      shellResource("one", {
        start: `(while sleep 0.01; do echo beat; done) & echo $! > ${into}/daemon`,
        stop: `kill $(cat ${into}/daemon)`,
      }),
    ])
    runner.start(1, "1", inMilliseconds(5_000))
    expect(await outcome(1)).toMatchObject({ kind: "service-started" })
    const daemon = Number(readFileSync(join(directory, "daemon"), "utf8"))
    expect(isAlive(daemon)).toBe(true)
    runner.stop(2)
    await outcome(2)
    await eventually(() => !isAlive(daemon))
  })

  it("[H3] stops when the agent is gone, if it is not known to be stopped", async () => {
    const { runner, outcome, notes } = serviceOf((directory) => [
      shellResource("one", { start: "exit 0", stop: noting(directory, "stop one") }),
    ])
    runner.start(1, "1", inMilliseconds(5_000))
    await outcome(1)
    await runner.shutDown()
    expect(notes()).toEqual(["stop one"])
  })
})

describe("what a new control process finds", () => {
  it("running, with the epoch noted at its start", async () => {
    const { runner, directory } = serviceOf(() => [
      shellResource("one", { start: "exit 0", monitor: "exit 0" }),
    ])
    writeActivation(directory, ledger, { epoch: "4.5.6", phase: "running" })
    expect(await runner.discover(false)).toEqual({
      service: "ledger",
      state: "running",
      epoch: "4.5.6",
      reason: undefined,
    })
    await runner.shutDown()
  })

  it("stopped, and forgets the epoch", async () => {
    const { runner, note, directory } = serviceOf(() => [
      shellResource("one", { start: "exit 0", monitor: "exit 7" }),
    ])
    writeActivation(directory, ledger, { epoch: "4.5.6", phase: "running" })
    expect(await runner.discover(false)).toMatchObject({ state: "stopped", epoch: undefined })
    expect(note()).toBeUndefined()
  })

  it("unknown, when its parts disagree or cannot tell", async () => {
    const { runner } = serviceOf(() => [
      shellResource("one", { start: "exit 0", monitor: "exit 0" }),
      shellResource("two", { start: "exit 0", monitor: "exit 7" }),
      shellResource("three", { start: "exit 0", monitor: "exit 1" }),
    ])
    expect(await runner.discover(false)).toMatchObject({
      state: "unknown",
      reason: "one: running; two: stopped; three: monitor: exit status 1",
    })
  })

  it.each(["starting", "stopping"] as const)(
    "%s when the last one was killed: finishes by stopping",
    async (phase) => {
      const { runner, notes, directory } = serviceOf((into) => [
        shellResource("one", { start: "exit 0", stop: noting(into, "stop one"), monitor: "exit 0" }),
      ])
      writeActivation(directory, ledger, { epoch: "4", phase })
      expect(await runner.discover(false)).toMatchObject({ state: "stopped" })
      expect(notes()).toEqual(["stop one"])
    },
  )
})

describe("an operation of it that does not end", () => {
  it("[H6] [S12] keeps it from being told as stopped, and its next stop runs after it has ended", async () => {
    const { runner, outcome, notes, directory } = serviceOf((into) => [
      shellResource("one", { start: "exit 0", stop: noting(into, "stop one") }),
    ])
    const operations = operationsDirectory(directory)
    mkdirSync(operations)
    const record = { id: "left", service: ledger, resource: "one", action: "start", boot: bootId() }
    writeFileSync(recordPath(operations, "left"), JSON.stringify(record))
    // Its child has come no further than creating this: it may go on at any time.
    writeFileSync(pidPath(operations, "left"), "")
    runner.stop(1)
    expect(await outcome(1)).toMatchObject({
      kind: "service-stop-failed",
      reason: "a start of one outlived its end",
    })
    const gone = "99999999 (sh) S 1 99999999 99999999 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 1 rest\n"
    writeFileSync(pidPath(operations, "left"), gone)
    runner.stop(2)
    expect(await outcome(2)).toMatchObject({ kind: "service-stop-failed" })
    runner.stop(3)
    expect(await outcome(3)).toMatchObject({ kind: "service-stopped" })
    expect(notes()).toEqual(["stop one", "stop one", "stop one"])
    expect(readdirSync(operations)).toEqual([])
  })
})

const noting = (directory: string, text: string): string => `echo ${text} >> ${directory}/notes`

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}
