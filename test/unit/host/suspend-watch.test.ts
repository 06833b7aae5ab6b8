import { describe, expect, it } from "vitest"
import { loadNative } from "../../../node-agent/host/native.ts"
import { machineClocks, SuspendWatch } from "../../../node-agent/host/suspend-watch.ts"

/** A machine's clocks in milliseconds; each reading takes a moment. */
class Machine {
  monotonicNow = 5_000
  sleptBefore = 700
  /** Passes between two readings, as when the process is held up there. */
  pause = 0.001
  readonly resolution: number

  constructor(resolution = 0) {
    this.resolution = resolution
  }

  readonly monotonic = () => {
    this.monotonicNow += this.pause
    return this.monotonicNow
  }

  readonly boottime = () => {
    this.monotonicNow += this.pause
    const now = this.monotonicNow + this.sleptBefore
    return this.resolution === 0 ? now : Math.floor(now / this.resolution) * this.resolution
  }
}

describe("[H13] suspend", () => {
  it("is told once, with how long it took", () => {
    const machine = new Machine()
    const watch = new SuspendWatch(machine)
    expect(watch.look()).toBeUndefined()
    machine.monotonicNow += 60_000
    expect(watch.look()).toBeUndefined()
    machine.sleptBefore += 1_234
    expect(watch.look()).toBeCloseTo(1_234, 1)
    expect(watch.look()).toBeUndefined()
    machine.sleptBefore += 2
    expect(watch.look()).toBeCloseTo(2, 1)
  })

  it("is not what a process sees that is held up between its readings", () => {
    const machine = new Machine()
    machine.pause = 40
    const watch = new SuspendWatch(machine)
    for (const pause of [0.001, 900, 3, 0, 70_000, 0.001]) {
      machine.pause = pause
      expect(watch.look()).toBeUndefined()
    }
    machine.sleptBefore += 500
    expect(watch.look()).toBeCloseTo(500, 1)
  })

  it("is seen by a coarse clock, too, once it is longer than its resolution", () => {
    const machine = new Machine(10)
    const watch = new SuspendWatch(machine)
    for (let count = 0; count < 1_000; count += 1) {
      machine.monotonicNow += 3.7
      expect(watch.look()).toBeUndefined()
    }
    machine.sleptBefore += 100
    expect(watch.look()).toBeGreaterThan(75)
  })

  it("is not seen on this machine, which was not suspended", async () => {
    const native = await loadNative()
    for (const clocks of [
      machineClocks(native.kind === "ok" ? native.value : undefined),
      machineClocks(undefined),
    ]) {
      const watch = new SuspendWatch(clocks)
      for (let count = 0; count < 2_000; count += 1) expect(watch.look()).toBeUndefined()
    }
  })
})
