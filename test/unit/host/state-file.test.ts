import { readFileSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { DurableState } from "../../../node-agent/core/durable.ts"
import {
  encodeState,
  loadState,
  replaceState,
  StateWriter,
  stateFileName,
} from "../../../node-agent/host/state-file.ts"
import { epoch, incarnation, nodeId } from "../../../protocol/units.ts"
import { eventually, temporaryDirectory } from "./fixtures.ts"

describe("loading the durable record", () => {
  it("[D2] a record comes back as it was written", async () => {
    const directory = temporaryDirectory()
    await replaceState(directory, record(7))
    expect(loadState(directory, "lab", nodeId(1))).toEqual({ kind: "ok", state: record(7) })
  })

  it("[M9] no file is told from a torn one", () => {
    expect(loadState(temporaryDirectory(), "lab", nodeId(1))).toEqual({ kind: "missing" })
  })

  it("[M9] a file cut short anywhere is torn", () => {
    const directory = temporaryDirectory()
    const whole = encodeState(record(7))
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(join(directory, stateFileName), whole.slice(0, length))
      expect(loadState(directory, "lab", nodeId(1)).kind).toBe("torn")
    }
  })

  it("[M9] one changed byte is torn", () => {
    const directory = temporaryDirectory()
    writeFileSync(
      join(directory, stateFileName),
      encodeState(record(7)).replace('"ringSequence":7', '"ringSequence":6'),
    )
    expect(loadState(directory, "lab", nodeId(1))).toEqual({
      kind: "torn",
      reason: "the digest does not match",
    })
  })

  it("[D4] the record of another cluster or node is foreign", async () => {
    const directory = temporaryDirectory()
    await replaceState(directory, record(7))
    const foreign = { kind: "foreign", cluster: "lab", node: 1 }
    expect(loadState(directory, "lab", nodeId(2))).toEqual(foreign)
    expect(loadState(directory, "other", nodeId(1))).toEqual(foreign)
  })

  it("[D4] a file that cannot be read is not amnesia", () => {
    const directory = temporaryDirectory()
    symlinkSync(".", join(directory, stateFileName))
    expect(loadState(directory, "lab", nodeId(1)).kind).toBe("unreadable")
  })
})

describe("writing the durable record", () => {
  it("[D1] of writes asked for while one runs only the newest is made, and covers them", async () => {
    const directory = temporaryDirectory()
    const { writer, persisted } = writerOf(directory)
    for (let write = 1; write <= 50; write += 1) writer.write(write, record(write))
    await eventually(() => persisted.includes(50))
    expect(persisted).toEqual([1, 50])
    expect(loadState(directory, "lab", nodeId(1))).toEqual({ kind: "ok", state: record(50) })
  })

  it("[D1] a full disk is told, leaves the old record, and is tried again until it works", async () => {
    const directory = temporaryDirectory()
    await replaceState(directory, record(1))
    const temporary = join(directory, `${stateFileName}.new`)
    symlinkSync("/dev/full", temporary)
    const { writer, persisted, failures } = writerOf(directory)
    writer.write(2, record(2))
    const [first] = await eventually(() => (failures.length > 0 ? failures : undefined))
    expect(first).toMatch(/^2: ENOSPC/)
    expect(loadState(directory, "lab", nodeId(1))).toEqual({ kind: "ok", state: record(1) })
    writer.write(3, record(3))
    unlinkSync(temporary)
    await eventually(() => persisted.includes(3))
    expect(persisted).toEqual([3])
    expect(readFileSync(join(directory, stateFileName), "utf8")).toBe(encodeState(record(3)))
  })
})

function record(ringSequence: number): DurableState {
  return {
    format: 1,
    cluster: "lab",
    node: nodeId(1),
    incarnation: incarnation(3),
    ringSequence,
    voiceEpoch: epoch(0),
    tickets: [],
    pledges: [],
    witness: undefined,
    fresh: false,
  }
}

function writerOf(directory: string) {
  const persisted: number[] = []
  const failures: string[] = []
  const writer = new StateWriter({
    directory,
    persisted: (write) => persisted.push(write),
    failed: (write, reason) => failures.push(`${write}: ${reason}`),
  })
  return { writer, persisted, failures }
}
