/** The checks of traces can fail: each doctored trace breaks one invariant, and the sound one it was made from none. */
import { describe, expect, test } from "vitest"
import { checkTraces } from "../../check-trace/checks.ts"
import { mergeTraces } from "../../check-trace/trace-file.ts"

type Content = Readonly<Record<string, unknown>>

/** Lines of one node; times in milliseconds. */
class Trace {
  readonly #lines: string[] = []
  readonly #node: number

  constructor(node: number, site = "north", start: Content = {}) {
    this.#node = node
    this.add(0, { start: { cluster: "c", site, incarnation: 1, boot_id: "b", wall_ms: 0, ...start } })
  }

  add(at: number, content: Content): this {
    this.#lines.push(JSON.stringify({ t_ns: ns(at), node: this.#node, ...content }))
    return this
  }

  right(at: number, epoch: string, deadline: number): this {
    return this.add(at, { right: { service: "ledger", epoch, deadline_ns: ns(deadline) } })
  }

  voice(at: number, ring: string, from: number, until: number, tickets: readonly string[] = []): this {
    const mandates = tickets.map((ticket) => ({ ticket, until_ns: ns(until) }))
    return this.add(at, { exercise: { ring, from_ns: ns(from), until_ns: ns(until), mandates } })
  }

  silence(at: number): this {
    return this.add(at, { exercise: { ring: null } })
  }

  agree(at: number, ring: string, number: string, digest: string, members: readonly number[] = [1, 2]): this {
    return this.add(at, { state: { ring, members, number, digest } })
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`
  }
}

const ns = (ms: number): string => String(Math.round(ms * 1e6))

function violations(traces: readonly Trace[], uncertainty = 0): readonly string[] {
  return checkTraces(mergeTraces(traces.map(String)), uncertainty).violations
}

describe("[I1] two nodes with the right to act at once", () => {
  test("a deadline that outlasts the successor's first right is found", () => {
    const former = new Trace(1).right(10, "0.0.1.3", 400).right(200, "0.0.1.3", 600)
    expect(violations([former, new Trace(2).right(600, "0.0.2.5", 1000)])).toEqual([])
    expect(violations([former, new Trace(2).right(599, "0.0.2.5", 1000)])).toEqual([
      "[I1] ledger: node 1 (0.0.1.3) and node 2 (0.0.2.5) for 1.0 ms from 599.0",
    ])
  })

  test("a right that was given up ends then, and one that was shortened too", () => {
    const given = new Trace(1).right(10, "0.0.1.3", 400).right(100, "0.0.1.3", 0)
    expect(violations([given, new Trace(2).right(100, "0.0.2.5", 1000)])).toEqual([])
    const shortened = new Trace(1).right(10, "0.0.1.3", 400).right(100, "0.0.1.3", 150)
    expect(violations([shortened, new Trace(2).right(150, "0.0.2.5", 1000)])).toEqual([])
    expect(violations([shortened, new Trace(2).right(149, "0.0.2.5", 1000)])).toHaveLength(1)
  })

  test("another service is another matter", () => {
    const other = new Trace(2).add(20, { right: { service: "pump", epoch: "0.0.1.4", deadline_ns: ns(400) } })
    expect(violations([new Trace(1).right(10, "0.0.1.3", 400), other])).toEqual([])
  })
})

describe("[I2] voice and mandate", () => {
  test("two views of one site speak at once", () => {
    const first = new Trace(1).voice(10, "1.1.1", 10, 410)
    expect(violations([first, new Trace(2).voice(50, "2.2.1", 410, 800)])).toEqual([])
    expect(violations([first, new Trace(2).voice(50, "2.2.1", 400, 800)])).toEqual([
      "[I2] voice:north: node 1 (ring 1.1.1) and node 2 (ring 2.2.1) for 10.0 ms from 400.0",
    ])
    expect(violations([first, new Trace(2).voice(50, "1.1.1", 10, 800)])).toEqual([])
  })

  test("what a node left it does not exercise", () => {
    const left = new Trace(1).voice(10, "1.1.1", 10, 410).silence(100)
    expect(violations([left, new Trace(2).voice(100, "2.2.1", 100, 800)])).toEqual([])
  })

  test("two sites hold one ticket", () => {
    const north = new Trace(1).voice(10, "1.1.1", 10, 410, ["main"])
    const south = (from: number) => new Trace(3, "south").voice(from, "1.3.1", from, 800, ["main"])
    expect(violations([north, south(410)])).toEqual([])
    expect(violations([north, south(405)])).toEqual([
      "[I2] ticket:main: node 1 (ring 1.1.1) and node 3 (ring 1.3.1) for 5.0 ms from 405.0",
    ])
  })
})

describe("[I3] epochs", () => {
  test("a later right at a lower epoch is found, also on the same node", () => {
    const first = new Trace(1).right(10, "0.0.2.3", 100)
    expect(violations([first, new Trace(2).right(200, "0.0.10.1", 300)])).toEqual([])
    const lower = "[I3] ledger: 0.0.1.9 on node 2 after 0.0.2.3 on node 1"
    expect(violations([first, new Trace(2).right(200, "0.0.1.9", 300)])).toEqual([lower])
    expect(violations([new Trace(1).right(10, "0.0.2.3", 100).right(200, "0.0.1.9", 300)])).toHaveLength(1)
  })

  test("one epoch is one node's", () => {
    const [first, second] = [new Trace(1).right(10, "0.0.2.3", 100), new Trace(2).right(200, "0.0.2.3", 300)]
    expect(violations([first, second])).toHaveLength(1)
  })
})

describe("[I4] members of a view", () => {
  test("one message that makes two states is found", () => {
    const one = new Trace(1).agree(10, "1.1.1", "1.5", "aa")
    expect(violations([one, new Trace(2).agree(12, "1.1.1", "1.5", "aa")])).toEqual([])
    expect(violations([one, new Trace(2).agree(12, "1.1.1", "1.5", "bb")])).toEqual([
      "[I4] north: nodes 1 and 2 differ after 1.5 in ring 1.1.1",
    ])
    expect(violations([one, new Trace(3, "south").agree(12, "1.1.1", "1.5", "bb")])).toEqual([])
  })

  test("[R9] one ring with two lists of members, [R8] a sequence that falls", () => {
    const one = new Trace(1).agree(10, "2.1.1", "2.5", "aa")
    expect(violations([one, new Trace(2).agree(12, "2.1.1", "2.6", "bb", [1, 2, 3])])).toHaveLength(1)
    const fallen = new Trace(2).agree(10, "3.2.1", "3.1", "cc", [2]).agree(20, "2.2.1", "2.1", "dd", [2])
    expect(violations([fallen])).toEqual(["[R8] node 2: ring 2.2.1 after ring 3.2.1"])
  })
})

describe("clocks", () => {
  const machines = (wall: number) => [
    new Trace(1).right(10, "0.0.1.3", 400),
    new Trace(2, "north", { boot_id: "other", wall_ms: wall }).right(10, "0.0.2.5", 400),
  ]

  test("traces of two machines are put on their wall clocks", () => {
    expect(violations(machines(390))).toEqual([])
    expect(violations(machines(385))).toHaveLength(1)
  })

  test("what lies within the uncertainty is neither shown nor excluded", () => {
    const merged = mergeTraces(machines(385).map(String))
    expect(checkTraces(merged, 5)).toEqual({ violations: [], undecided: 1 })
    expect(checkTraces(merged, 4).violations).toHaveLength(1)
  })
})

test("a line that was cut off where its writer was killed is passed over", () => {
  const cut = `${new Trace(1).right(10, "0.0.1.3", 400)}{"t_ns":"20000000","node":1,"right":{"serv`
  const merged = mergeTraces([cut, `${new Trace(2).right(300, "0.0.2.5", 500)}`])
  expect(checkTraces(merged).violations).toHaveLength(1)
})
