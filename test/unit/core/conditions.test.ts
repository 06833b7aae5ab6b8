/** SPEC A15: what people are told of a node's configuration and clock. */
import { describe, expect, test } from "vitest"
import { step } from "../../../node-agent/core/node.ts"
import { setPeer } from "../../../node-agent/core/peers.ts"
import type { NodeState } from "../../../node-agent/core/state.ts"
import type { ClockSource, HealthEntry } from "../../../protocol/health.ts"
import { millis, nodeId, wallTime } from "../../../protocol/units.ts"
import { oneSite } from "../../support/config-builder.ts"
import { configOf } from "../../support/layouts.ts"
import { at, nodeInView } from "./node-builder.ts"

const plain = configOf("1x3", oneSite(3))
const otherChecksum = "00000000"

/** A node in a view of three that has looked at itself every two seconds since 1000. */
class Watched {
  readonly node: NodeState
  readonly #about: string
  #now = 1000
  #told = 0

  constructor(about: "clock" | "configuration", config = plain) {
    this.#about = about
    this.node = nodeInView(config, [1, 2, 3])
    for (const id of [2, 3]) this.member(id, this.node.health.configChecksum)
  }

  member(id: number, configChecksum: string): void {
    setPeer(this.node, nodeId(id), { health: { ...this.node.health, configChecksum } as HealthEntry })
  }

  /** What is told while it looks like that for so many seconds. */
  seconds(seconds: number, clockSource: ClockSource, milliseconds = 0): readonly string[] {
    for (const end = this.#now + seconds * 1_000; this.#now < end; ) {
      this.#now += 2_000
      this.node.membership = { kind: "operational", since: at(1000) }
      step(
        this.node,
        {
          kind: "health-sampled",
          cpuLoadPercent: 0,
          memoryPressurePercent: 0,
          clockDeviationMicros: milliseconds * 1_000,
          clockSource,
          lateness: millis(0),
          wall: wallTime(this.#now),
        },
        at(this.#now),
      )
    }
    const about = this.node.recent.filter(({ kind }) => kind.startsWith(this.#about))
    const fresh = about.slice(this.#told)
    this.#told = about.length
    return fresh.map(({ kind, subject, detail }) => `${kind} ${subject}: ${detail}`)
  }
}

describe("[A15] a clock", () => {
  test("beyond the limit for a minute is told, with how far it is off and by what", () => {
    const watched = new Watched("clock")
    expect(watched.seconds(58, "ntp", 51)).toEqual([])
    expect(watched.seconds(6, "ntp", 51)).toEqual([
      "clock-out-of-bounds n1: 51.0 ms ahead of its source (ntp); limit 50 ms",
    ])
    expect(watched.seconds(600, "ntp", 51), "once").toEqual([])
  })

  test("that is off now and then is not told", () => {
    const watched = new Watched("clock")
    watched.seconds(120, "ntp")
    for (let turn = 0; turn < 10; turn += 1) {
      expect(watched.seconds(50, "ntp", -80)).toEqual([])
      expect(watched.seconds(10, "ntp", 0)).toEqual([])
    }
  })

  test("is in bounds again below 0.8 of the limit, when it has stayed there", () => {
    const watched = new Watched("clock")
    watched.seconds(70, "ptp", -60)
    expect(watched.seconds(300, "ptp", -45), "below the limit, but not by far").toEqual([])
    expect(watched.seconds(50, "ptp", -39)).toEqual([])
    expect(watched.seconds(20, "ptp", -60), "it comes back").toEqual([])
    expect(watched.seconds(66, "ptp", -39).map((text) => text.split(" ")[0])).toEqual(["clock-in-bounds"])
  })

  test("the limit is the configuration's", () => {
    const strict = new Watched("clock", configOf("1x3", { ...oneSite(3), clock: { limit_ms: 1 } }))
    expect(strict.seconds(70, "ptp", 2)[0]).toContain("limit 1 ms")
    const lax = new Watched("clock", configOf("1x3", { ...oneSite(3), clock: { limit_ms: 1_000 } }))
    expect(lax.seconds(70, "ntp", 900)[0]).toMatch(/^clock-in-bounds/)
  })

  test("that has lost its sources is told after five minutes; one that nothing keeps is not judged", () => {
    const watched = new Watched("clock")
    watched.seconds(70, "ntp")
    expect(watched.seconds(290, "unsynchronised")).toEqual([])
    expect(watched.seconds(20, "unsynchronised")[0]).toContain("no source")
    expect(watched.seconds(600, "none"), "and stands as it was told").toEqual([])
    expect(new Watched("clock").seconds(600, "none")).toEqual([])
  })

  test("that is in bounds is told once after the start: it ends what was told before a restart", () => {
    const watched = new Watched("clock")
    expect(watched.seconds(66, "ntp", 3)).toHaveLength(1)
    expect(watched.seconds(600, "ntp", 3)).toEqual([])
  })
})

describe("[A15] a configuration", () => {
  test("that fewer members have is told by those that have it, when it has lasted", () => {
    const odd = new Watched("configuration")
    for (const id of [2, 3]) odd.member(id, otherChecksum)
    expect(odd.seconds(8, "none")).toEqual([])
    expect(odd.seconds(6, "none")[0]).toMatch(
      /^configuration-mismatch n1: version 1, [0-9a-f]{8}: services stay/,
    )
    for (const id of [2, 3]) odd.member(id, odd.node.health.configChecksum)
    expect(odd.seconds(8, "none")).toEqual([])
    expect(odd.seconds(6, "none")[0]).toMatch(/^configuration-agreed n1/)
  })

  test("that most members have is not told by them", () => {
    const watched = new Watched("configuration")
    watched.member(3, otherChecksum)
    expect(watched.seconds(120, "none").join()).not.toContain("mismatch")
  })

  test("of two halves the one without the coordinator tells it", () => {
    const halves = (coordinator: number): string => {
      const watched = new Watched("configuration")
      const view = watched.node.view
      if (view === undefined) throw new Error("it is in a view")
      watched.node.view = { ...view, members: [nodeId(1), nodeId(2)], coordinator: nodeId(coordinator) }
      watched.member(2, otherChecksum)
      return watched.seconds(20, "none").join()
    }
    expect(halves(2)).toContain("configuration-mismatch n1")
    expect(halves(1)).not.toContain("mismatch")
  })

  test("alone, nothing is known of it, and what was told stands", () => {
    const watched = new Watched("configuration")
    for (const id of [2, 3]) watched.member(id, otherChecksum)
    watched.seconds(14, "none")
    const view = watched.node.view
    if (view === undefined) throw new Error("it is in a view")
    watched.node.view = { ...view, members: [nodeId(1)] }
    expect(watched.seconds(600, "none")).toEqual([])
  })
})
