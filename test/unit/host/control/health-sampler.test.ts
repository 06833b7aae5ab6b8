import { describe, expect, it } from "vitest"
import {
  loadBetween,
  parseChronyTracking,
  parseMemoryPressure,
  parseProcessorTimes,
} from "../../../../node-agent/host/control/health-sampler.ts"

describe("processor load", () => {
  it("is what was neither idle nor waiting for a disk", () => {
    const before = parseProcessorTimes("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3\n")
    const now = parseProcessorTimes("cpu  130 0 110 840 20 0 0 0 0 0\n")
    expect(loadBetween(before, now)).toBe(40)
    expect(loadBetween(now, now)).toBe(0)
  })
})

describe("memory pressure", () => {
  it("is the share of time in which some task waited", () => {
    expect(
      parseMemoryPressure("some avg10=12.60 avg60=1.00 avg300=0.10 total=5\nfull avg10=0.00", undefined),
    ).toBe(13)
  })

  it("is how full memory is on kernels that cannot tell", () => {
    expect(parseMemoryPressure(undefined, "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n")).toBe(
      75,
    )
    expect(parseMemoryPressure(undefined, undefined)).toBe(0)
  })
})

describe("chrony's own view of the clock", () => {
  const tracking = (name: string, offset: string, leap: string): string =>
    `C0A80101,${name},3,1700000000.1,${offset},0.000001,0.000002,-1.2,0.001,0.02,0.001,0.0005,64.2,${leap}\n`

  it.each([
    ["10.0.0.1", "0.000123456", "Normal", { clockSource: "ntp", clockDeviationMicros: 123 }],
    ["PHC0", "-0.000002", "Normal", { clockSource: "ptp", clockDeviationMicros: -2 }],
    ["", "0.0", "Not synchronised", { clockSource: "unsynchronised", clockDeviationMicros: 0 }],
  ])("of source %s, offset %s, %s", (name, offset, leap, expected) => {
    expect(parseChronyTracking(tracking(name, offset, leap))).toEqual(expected)
  })

  it("that cannot be read is none", () => {
    expect(parseChronyTracking("506 Cannot talk to daemon\n")).toBeUndefined()
  })
})
