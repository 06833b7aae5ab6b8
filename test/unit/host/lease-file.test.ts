import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { monotonicNow } from "../../../node-agent/host/clock.ts"
import {
  closeLeases,
  createRuntimeDirectory,
  LeaseFiles,
  leaseFilePath,
  readLease,
} from "../../../node-agent/host/lease-file.ts"
import { instant, after as later, millis, serviceName } from "../../../protocol/units.ts"
import { eventually, temporaryDirectory } from "./fixtures.ts"

const ledger = serviceName("ledger")
const other = serviceName("other")

const inMemory = mkdtempSync("/dev/shm/quorumbeat-lease-")
afterAll(() => rmSync(inMemory, { recursive: true, force: true }))

describe.each([
  ["on a disk", temporaryDirectory],
  ["in memory", () => mkdtempSync(join(inMemory, "case-"))],
])("lease files %s", (_where, createDirectory) => {
  it("[H5] hold the deadline in nanoseconds of CLOCK_MONOTONIC, rounded down, and the epoch", async () => {
    const { directory, files } = leases(createDirectory())
    files.write(ledger, { epoch: "1.2.3", deadline: instant(1234.5678919) })
    await eventually(() => readLease(directory, ledger)?.epoch === "1.2.3")
    expect(readFileSync(join(directory, "ledger.lease"), "utf8")).toBe("1234567891\n1.2.3\n")
    expect(readLease(directory, ledger)?.deadline).toBeLessThanOrEqual(1234.5678919)
  })

  it("say 0 when there is no right", async () => {
    const { directory, files } = leases(createDirectory())
    files.write(ledger, { epoch: "1.2.3", deadline: undefined })
    await eventually(() => readLease(directory, ledger))
    expect(readFileSync(join(directory, "ledger.lease"), "utf8")).toBe("0\n1.2.3\n")
  })

  it("end with the newest of many writes, and are never seen half written", async () => {
    const { directory, files } = leases(createDirectory())
    closeLeases(directory, [ledger])
    for (let n = 1; n <= 200; n += 1) {
      files.write(ledger, { epoch: "9.9.9", deadline: instant(n) })
      expect(readFileSync(leaseFilePath(directory, ledger), "utf8")).toMatch(/^\d+\n[\d.]+\n$/)
      if (n % 20 === 0) await new Promise(setImmediate)
    }
    await eventually(() => readLease(directory, ledger)?.deadline === 200)
  })

  it("left by a former agent are closed", () => {
    const { directory } = leases(createDirectory())
    closeLeases(directory, [ledger])
    expect(readLease(directory, ledger)).toEqual({ epoch: "0", deadline: undefined })
  })

  it("that cannot be written are told, and the next write is tried", async () => {
    const { directory, files, failures } = leases(createDirectory())
    rmSync(directory, { recursive: true })
    files.write(ledger, { epoch: "1", deadline: instant(5) })
    await eventually(() => failures.length === 1)
    mkdirSync(directory)
    files.write(ledger, { epoch: "1", deadline: instant(6) })
    await eventually(() => readLease(directory, ledger)?.deadline === 6)
  })

  it("that cannot be closed for want of space are taken away", async () => {
    const { directory, files, failures } = leases(createDirectory())
    files.write(ledger, { epoch: "1", deadline: instant(10_000_000_000) })
    await eventually(() => readLease(directory, ledger)?.epoch === "1")
    // Nothing new can be written here: as on a full disk, what is there can go.
    mkdirSync(`${leaseFilePath(directory, ledger)}.new`)
    files.write(ledger, { epoch: "1", deadline: undefined })
    await eventually(() => failures.length === 1)
    expect(readLease(directory, ledger)).toBeUndefined()
  })

  it("that make no sense give no right", () => {
    expect(readLease(createDirectory(), ledger)).toBeUndefined()
  })

  it("are not written again for the few milliseconds between two passes", async () => {
    const { directory, files } = leases(createDirectory())
    const end = later(monotonicNow(), millis(10_000))
    files.write(ledger, { epoch: "1", deadline: end })
    await eventually(() => readLease(directory, ledger)?.epoch === "1")
    const first = readLease(directory, ledger)?.deadline
    files.write(ledger, { epoch: "1", deadline: later(end, millis(3)) })
    await settled(files, directory)
    expect(first).toBeDefined()
    expect(readLease(directory, other)?.epoch).toBe("7")
    expect(readLease(directory, ledger)?.deadline).toBe(first)
    files.write(ledger, { epoch: "1", deadline: later(end, millis(30)) })
    await eventually(() => readLease(directory, ledger)?.deadline !== first)
  })

  it.each([
    ["a right that ends", { epoch: "1", deadline: undefined }],
    ["an end that comes earlier", { epoch: "1", deadline: instant(5) }],
    ["another epoch", { epoch: "2", deadline: instant(10_000_000_000) }],
  ])("are written at once for %s", async (_what, lease) => {
    const { directory, files } = leases(createDirectory())
    files.write(ledger, { epoch: "1", deadline: instant(10_000_000_000) })
    files.write(ledger, lease)
    await eventually(() => {
      const now = readLease(directory, ledger)
      return now?.epoch === lease.epoch && now.deadline === lease.deadline
    })
  })

  it("are written for the smallest gain when little is left", async () => {
    const { directory, files } = leases(createDirectory())
    const end = later(monotonicNow(), millis(10))
    files.write(ledger, { epoch: "1", deadline: end })
    files.write(ledger, { epoch: "1", deadline: later(end, millis(1)) })
    await eventually(() => (readLease(directory, ledger)?.deadline ?? 0) > end)
  })
})

it("[H5] can be read by services of any user, in a directory that nobody else may list", () => {
  const above = mkdtempSync(join(inMemory, "case-"))
  for (const each of [inMemory, above]) chmodSync(each, 0o711)
  const directory = join(above, "runtime")
  createRuntimeDirectory(directory)
  closeLeases(directory, [ledger])
  expect(statSync(directory).mode & 0o777).toBe(0o711)
  const options = { encoding: "utf8", uid: process.getuid?.() === 0 ? 65_534 : undefined } as const
  expect(spawnSync("cat", [leaseFilePath(directory, ledger)], options).stdout).toBe("0\n0\n")
})

it("the two kinds of directory are what their names say", () => {
  const tmpfs = 0x01021994
  expect(statfsSync(inMemory).type).toBe(tmpfs)
})

/** Writes of another service made now are done: so are those asked for before. */
async function settled(files: LeaseFiles, directory: string): Promise<void> {
  files.write(other, { epoch: "7", deadline: undefined })
  await eventually(() => readLease(directory, other)?.epoch === "7")
}

function leases(directory: string) {
  const failures: string[] = []
  const files = new LeaseFiles(directory, (_service, reason) => failures.push(reason))
  return { directory, files, failures }
}
