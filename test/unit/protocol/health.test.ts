import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { toHex } from "../../../protocol/bytes.ts"
import { frameLimits } from "../../../protocol/frame.ts"
import { decodeHealth, encodeHealth, type HealthEntry, healthServicesMax } from "../../../protocol/health.ts"
import { tokenLists } from "../../../protocol/token-frame.ts"
import { millis, nodeId } from "../../../protocol/units.ts"

const calm: HealthEntry = {
  cpuLoadPercent: 7,
  memoryPressurePercent: 3,
  clockDeviationMicros: -250,
  clockSource: "ptp",
  lateness: millis(0.5),
  uplink: "ok",
  configChecksum: "00c0ffee",
  services: [
    { index: 0, state: "running", mode: "automatic" },
    { index: 3, state: "blocked", mode: "manual" },
  ],
}

const anyEntry: fc.Arbitrary<HealthEntry> = fc.record({
  cpuLoadPercent: fc.nat(100),
  memoryPressurePercent: fc.nat(100),
  clockDeviationMicros: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  clockSource: fc.constantFrom("none", "ntp", "ptp", "unsynchronised"),
  lateness: fc.nat(0xffff).map((units) => millis(units / 16)),
  uplink: fc.constantFrom("ok", "failing", "unknown"),
  configChecksum: fc.nat(0xffff_ffff).map((value) => value.toString(16).padStart(8, "0")),
  services: fc
    .uniqueArray(
      fc.record({
        index: fc.nat(255),
        state: fc.constantFrom("stopped", "starting", "running", "stopping", "failed", "blocked"),
        mode: fc.constantFrom("automatic", "manual"),
      }),
      { maxLength: healthServicesMax, selector: (service) => service.index },
    )
    .map((services) => services.toSorted((a, b) => a.index - b.index)),
})

describe("health entries and bytes", () => {
  test("[F6] an entry encoded and decoded is the same entry", () => {
    fc.assert(
      fc.property(anyEntry, (entry) => {
        expect(decodeHealth(encodeHealth(entry))).toEqual({ kind: "ok", value: entry })
      }),
    )
  })

  test("[F6] an entry takes 15 bytes and two a service", () => {
    fc.assert(
      fc.property(anyEntry, (entry) => {
        expect(encodeHealth(entry).length).toBe(15 + 2 * entry.services.length)
      }),
    )
  })

  test("[F6] the layout is fixed", () => {
    expect(toHex(encodeHealth(calm))).toBe(
      "07" + "03" + "ffffff06" + "02" + "0008" + "00" + "00c0ffee" + "02" + "0002" + "030d",
    )
  })

  test("[F6] the largest entry fits the health share of a token", () => {
    const services = Array.from({ length: healthServicesMax }, (_, index) => ({
      index,
      state: "running" as const,
      mode: "automatic" as const,
    }))
    const slot = { owner: nodeId(1), bytes: encodeHealth({ ...calm, services }) }
    expect(tokenLists.health.size(slot)).toBeLessThanOrEqual(frameLimits.healthBytes)
  })

  test("[F7] measurements beyond their field are told as its end", () => {
    const read = decodeHealth(
      encodeHealth({
        ...calm,
        cpuLoadPercent: 100.6,
        memoryPressurePercent: -1,
        clockDeviationMicros: 1e12,
        lateness: millis(60_000),
      }),
    )
    expect(read).toMatchObject({
      kind: "ok",
      value: {
        cpuLoadPercent: 100,
        memoryPressurePercent: 0,
        clockDeviationMicros: 2 ** 31 - 1,
        lateness: 65_535 / 16,
      },
    })
    const behind = decodeHealth(encodeHealth({ ...calm, clockDeviationMicros: Number.NEGATIVE_INFINITY }))
    expect(behind).toMatchObject({ value: { clockDeviationMicros: -(2 ** 31) } })
  })

  test("[F7] what is not a number, not in order or too much is never sent", () => {
    const [first, second] = calm.services
    if (first === undefined || second === undefined) throw new Error("two services")
    expect(() => encodeHealth({ ...calm, cpuLoadPercent: Number.NaN })).toThrow()
    expect(() => encodeHealth({ ...calm, services: [second, first] })).toThrow()
    expect(() => encodeHealth({ ...calm, services: [first, first] })).toThrow()
    expect(() => encodeHealth({ ...calm, configChecksum: "c0ffee" })).toThrow()
  })

  test("[F2] random bytes, cut entries and flipped bits give an entry or an error, never an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), (bytes) => {
        expect(["ok", "error"]).toContain(decodeHealth(bytes).kind)
      }),
    )
    fc.assert(
      fc.property(anyEntry, fc.nat(), fc.nat(7), (entry, place, bit) => {
        const bytes = encodeHealth(entry)
        for (let length = 0; length < bytes.length; length += 1) {
          expect(decodeHealth(bytes.subarray(0, length)).kind).toBe("error")
        }
        const at = place % bytes.length
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
        const read = decodeHealth(bytes)
        if (read.kind === "ok") expect(encodeHealth(read.value)).toEqual(bytes)
      }),
    )
  })

  test.each<[string, number, number, string]>([
    ["a load of 101 percent", 0, 101, "out-of-range"],
    ["an unknown clock source", 6, 4, "out-of-range"],
    ["an unknown uplink", 9, 3, "out-of-range"],
    ["an unknown service state", 16, 6, "out-of-range"],
    ["an unknown manual service state", 16, 14, "out-of-range"],
    ["services out of order", 17, 0, "duplicate"],
    ["more services than may be", 14, 33, "out-of-range"],
    ["fewer services than there are", 14, 1, "trailing-bytes"],
  ])("[F3] %s is refused", (_, at, value, kind) => {
    const bytes = encodeHealth(calm)
    bytes[at] = value
    expect(decodeHealth(bytes)).toMatchObject({ kind: "error", error: { kind } })
  })
})
