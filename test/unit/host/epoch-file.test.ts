import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compareEpochs, parseEpoch, recordEpoch } from "../../../node-agent/host/epoch-file.ts"
import { temporaryDirectory } from "./fixtures.ts"

describe("[H14] an epoch file", () => {
  it("lets the same and higher epochs act, and records them before they do", () => {
    const path = join(temporaryDirectory(), "epoch")
    for (const epoch of ["1.0.1.5", "1.0.1.5", "1.0.1.12", "2.0.0.1", "10.0.0.0"]) {
      expect(recordEpoch(path, epoch)).toEqual({ kind: "recorded" })
      expect(readFileSync(path, "utf8")).toBe(`${epoch}\n`)
    }
  })

  it("refuses lower ones, number by number, and names who acted", () => {
    const path = join(temporaryDirectory(), "epoch")
    recordEpoch(path, "2.0.9.1")
    for (const epoch of ["1.99.99.99", "2.0.9.0", "2.0.8.77", "0"])
      expect(recordEpoch(path, epoch)).toEqual({ kind: "over", recorded: "2.0.9.1" })
    expect(readFileSync(path, "utf8")).toBe("2.0.9.1\n")
  })

  it.each(["", "two", "1.2.3\n4", "-1", "1..2"])("that holds %j lets nobody act", (content) => {
    const path = join(temporaryDirectory(), "epoch")
    writeFileSync(path, content)
    expect(recordEpoch(path, "9.9.9.9")).toEqual({ kind: "failed", reason: `${path} does not hold an epoch` })
    expect(readFileSync(path, "utf8")).toBe(content)
  })

  it.each(["", "1.a", "1.", "-1.2", "1 2"])("takes %j for no epoch", (epoch) => {
    const path = join(temporaryDirectory(), "epoch")
    expect(recordEpoch(path, epoch)).toEqual({ kind: "failed", reason: `\`${epoch}\` is not an epoch` })
    expect(existsSync(path)).toBe(false)
  })

  it("in a place that cannot be written lets nobody act", () => {
    const outcome = recordEpoch(join(temporaryDirectory(), "nowhere", "epoch"), "1")
    expect(outcome.kind).toBe("failed")
  })

  it("orders as numbers do, of any length", () => {
    const numbers = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const order = compareEpochs(a, b)
        expect(Math.sign(compareEpochs(b, a))).toBe(-Math.sign(order) + 0)
        expect(parseEpoch(a.join("."))).toEqual(a)
        const width = (values: readonly bigint[]) =>
          [0, 1, 2, 3].map((index) => String(values[index] ?? 0n).padStart(20, "0")).join(".")
        expect(Math.sign(order) + 0).toBe(width(a) < width(b) ? -1 : width(a) > width(b) ? 1 : 0)
      }),
    )
  })
})
