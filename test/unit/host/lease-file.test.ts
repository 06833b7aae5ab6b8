import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { closeLeases, LeaseFiles, leaseFilePath, readLease } from "../../../node-agent/host/lease-file.ts"
import { instant, serviceName } from "../../../protocol/units.ts"
import { eventually, temporaryDirectory } from "./fixtures.ts"

const ledger = serviceName("ledger")

describe("lease files", () => {
  it("[S] hold the deadline in nanoseconds of CLOCK_MONOTONIC, rounded down, and the epoch", async () => {
    const { directory, files } = leases()
    files.write(ledger, { epoch: "1.2.3", deadline: instant(1234.5678919) })
    await eventually(() => readLease(directory, ledger)?.epoch === "1.2.3")
    expect(readFileSync(join(directory, "ledger.lease"), "utf8")).toBe("1234567891\n1.2.3\n")
    expect(readLease(directory, ledger)?.deadline).toBeLessThanOrEqual(1234.5678919)
  })

  it("say 0 when there is no right", async () => {
    const { directory, files } = leases()
    files.write(ledger, { epoch: "1.2.3", deadline: undefined })
    await eventually(() => readLease(directory, ledger))
    expect(readFileSync(join(directory, "ledger.lease"), "utf8")).toBe("0\n1.2.3\n")
  })

  it("end with the newest of many writes, and are never seen half written", async () => {
    const { directory, files } = leases()
    closeLeases(directory, [ledger])
    for (let n = 1; n <= 200; n += 1) {
      files.write(ledger, { epoch: "9.9.9", deadline: instant(n) })
      expect(readFileSync(leaseFilePath(directory, ledger), "utf8")).toMatch(/^\d+\n[\d.]+\n$/)
      if (n % 20 === 0) await new Promise(setImmediate)
    }
    await eventually(() => readLease(directory, ledger)?.deadline === 200)
  })

  it("left by a former agent are closed", () => {
    const { directory } = leases()
    closeLeases(directory, [ledger])
    expect(readLease(directory, ledger)).toEqual({ epoch: "0", deadline: undefined })
  })

  it("that cannot be written are told, and the next write is tried", async () => {
    const { directory, files, failures } = leases()
    rmSync(directory, { recursive: true })
    files.write(ledger, { epoch: "1", deadline: instant(5) })
    await eventually(() => failures.length === 1)
    mkdirSync(directory)
    files.write(ledger, { epoch: "1", deadline: instant(6) })
    await eventually(() => readLease(directory, ledger)?.deadline === 6)
  })

  it("that make no sense give no right", () => {
    expect(readLease(temporaryDirectory(), ledger)).toBeUndefined()
  })
})

function leases() {
  const directory = temporaryDirectory()
  const failures: string[] = []
  const files = new LeaseFiles(directory, (_service, reason) => failures.push(reason))
  return { directory, files, failures }
}
