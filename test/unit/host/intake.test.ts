import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type Floods, Intake, shutTime } from "../../../node-agent/host/intake.ts"
import { passNone } from "../../../node-agent/host/socket-filter.ts"
import { after, instant, millis } from "../../../protocol/units.ts"
import { sealedDatagram } from "./fixtures.ts"

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** Milliseconds that one datagram costs that is refused after this long. */
const [spent, cost] = [0.025, 0.03]
const affordable = Math.ceil(10 / cost)

function intakeOf(floods: Floods = { shut: 0 }) {
  let now = instant(1_000)
  let changes = 0
  const told: string[] = []
  const intake = new Intake({
    floods,
    now: () => now,
    changed: () => {
      changes += 1
    },
    flooded: () => told.push("flooded"),
  })
  return {
    intake,
    told,
    /** What the kernel was told of at the last change. */
    filter: () => {
      if (intake.passes === undefined) return "none"
      expect(changes).toBeGreaterThan(0)
      return intake.passes === passNone ? "nothing" : "narrow"
    },
    pass: (wait: number) => {
      now = after(now, millis(wait))
      vi.advanceTimersByTime(wait)
    },
    /** How many of so many that will be refused are looked at. */
    refuse: (count: number, counter = 1_000_000) =>
      Array.from({ length: count }).filter(() => {
        const isAdmitted = intake.admits(sealedDatagram({ counter }))
        if (isAdmitted) intake.refused(spent)
        return isAdmitted
      }).length,
  }
}

describe("[LN11] of what one source sends", () => {
  it("everything is looked at that is taken", () => {
    const { intake, filter } = intakeOf()
    for (let counter = 1; counter <= 10_000; counter++) {
      const datagram = sealedDatagram({ counter })
      expect(intake.admits(datagram)).toBe(true)
      intake.taken(datagram)
    }
    expect(filter()).toBe("none")
  })

  it("ten milliseconds go into what is refused, then the socket is shut, and opened again", () => {
    const { refuse, filter, pass } = intakeOf()
    expect(refuse(1_000)).toBe(affordable)
    expect(filter()).toBe("narrow")
    pass(shutTime - 1)
    expect(refuse(1_000)).toBe(0)
    pass(1)
    expect(filter()).toBe("none")
    expect(refuse(1_000)).toBe(affordable)
  })

  it("a quarter of the time may go into what is refused for good", () => {
    const { refuse, told, pass } = intakeOf()
    for (let n = 0; n < 1_000; n++) {
      expect(refuse(8)).toBe(8)
      pass(1)
    }
    expect(told).toEqual([])
    for (let n = 0; n < 1_000; n++) {
      refuse(10)
      pass(1)
    }
    expect(told).toEqual(["flooded"])
  })

  it("what continues the last frame that was taken is looked at while the socket is shut", () => {
    const { intake, refuse, filter } = intakeOf()
    intake.taken(sealedDatagram({ counter: 70 }))
    refuse(1_000)
    expect(intake.admits(sealedDatagram({ counter: 70 }))).toBe(false)
    expect(intake.admits(sealedDatagram({ counter: 71 }))).toBe(true)
    intake.taken(sealedDatagram({ counter: 71 }))
    expect(intake.admits(sealedDatagram({ counter: 71 }))).toBe(false)
    expect(intake.admits(sealedDatagram({ counter: 72 }))).toBe(true)
    expect(filter()).toBe("narrow")
  })

  it("who makes up what continues has the socket shut to everything after as long again", () => {
    const { intake, refuse, filter, pass } = intakeOf()
    intake.taken(sealedDatagram({ counter: 70 }))
    refuse(1_000)
    expect(refuse(1_000, 80)).toBeGreaterThanOrEqual(affordable - 1)
    expect(filter()).toBe("nothing")
    expect(intake.admits(sealedDatagram({ counter: 71 }))).toBe(false)
    pass(shutTime)
    expect(filter()).toBe("none")
    expect(intake.admits(sealedDatagram({ counter: 71 }))).toBe(true)
  })

  it("a pause of the machine is not laid to the datagram that is looked at meanwhile", () => {
    const { intake, refuse } = intakeOf()
    intake.refused(5_000)
    expect(refuse(1_000)).toBeGreaterThan(affordable / 2)
  })

  it("sockets stay shut the longer the more of them are: all floods together cost what a few do", () => {
    const floods = { shut: 0 }
    const sources = Array.from({ length: 5 }, () => intakeOf(floods))
    for (const { refuse } of sources) refuse(1_000)
    expect(floods.shut).toBe(5)
    const [first, , , , last] = sources
    first?.pass(5 * shutTime - 1)
    expect([first?.filter(), last?.filter()]).toEqual(["none", "narrow"])
    first?.pass(1)
    expect(last?.filter()).toBe("none")
    expect(floods.shut).toBe(0)
  })

  it("a flood is told once, and again when there was none for ten seconds", () => {
    const { refuse, told, pass } = intakeOf()
    for (let n = 0; n < 50; n++) {
      refuse(1_000)
      pass(shutTime)
    }
    expect(told).toEqual(["flooded"])
    pass(10_001)
    refuse(1_000)
    expect(told).toEqual(["flooded", "flooded"])
  })

  it("nothing is shut any more when its socket has gone", () => {
    const floods = { shut: 0 }
    const { intake, refuse, filter, pass } = intakeOf(floods)
    refuse(1_000)
    intake.end()
    intake.end()
    expect(floods.shut).toBe(0)
    expect(refuse(10)).toBe(10)
    pass(10 * shutTime)
    expect(filter()).toBe("none")
    expect(floods.shut).toBe(0)
  })
})
