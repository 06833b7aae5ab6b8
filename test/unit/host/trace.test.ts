import { describe, expect, it } from "vitest"
import { step } from "../../../node-agent/core/node.ts"
import { readBootId, rightLine, Tracer, traceLine } from "../../../node-agent/host/trace.ts"
import { World } from "../../../node-agent/simulation/world.ts"
import { instant, nodeId, serviceName, wallTime } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"

it("a trace line tells event and effects, bytes as their number", () => {
  const line = traceLine(
    nodeId(1),
    { kind: "datagram-received", link: 0, bytes: new Uint8Array(76) },
    [{ kind: "send", to: nodeId(2), link: "wan", bytes: Buffer.alloc(90) }],
    instant(1.5),
  )
  expect(JSON.parse(line)).toEqual({
    t_ns: "1500000",
    node: 1,
    event: { kind: "datagram-received", link: 0, bytes: 76 },
    effects: [{ kind: "send", to: 2, link: "wan", bytes: 90 }],
  })
})

it.each([
  [instant(2.5), "2500000"],
  [undefined, "0"],
])("a right line gives the deadline in nanoseconds, 0 for none", (deadline, expected) => {
  const effect = { kind: "write-lease", service: serviceName("ledger"), epoch: "1.2.3", deadline } as const
  expect(JSON.parse(rightLine(nodeId(1), effect, instant(1)))).toEqual({
    t_ns: "1000000",
    node: 1,
    right: { service: "ledger", epoch: "1.2.3", deadline_ns: expected },
  })
})

describe("what a node exercises and agrees on", () => {
  const world = new World(configOf("2x1"))
  world.start()
  world.runUntil(() => world.active("ledger").length === 1, 60_000)
  const node = world.core(world.active("ledger")[0] ?? 1)
  const event = { kind: "deadline-reached" } as const
  const lines = (tracer: Tracer, at = node.steppedAt) =>
    tracer.stepLines(node, event, [], at).map((line) => JSON.parse(line))

  it("is told with its deadlines, and again only when it changes", () => {
    const tracer = new Tracer()
    const [first, exercise, state] = lines(tracer)
    expect(first.event).toEqual(event)
    expect(exercise.exercise).toMatchObject({
      ring: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      from_ns: expect.stringMatching(/^\d+$/),
      mandates: [{ ticket: "main", until_ns: expect.stringMatching(/^[1-9]\d*$/) }],
    })
    expect(BigInt(exercise.exercise.until_ns)).toBeGreaterThan(BigInt(exercise.t_ns))
    expect(state.state).toMatchObject({
      ring: exercise.exercise.ring,
      members: [node.self.id],
      digest: expect.stringMatching(/^[0-9a-f]{16}$/),
    })
    expect(lines(tracer)).toHaveLength(1)
  })

  it("is nothing once the ring was left", () => {
    const tracer = new Tracer()
    lines(tracer)
    node.ring = undefined
    expect(lines(tracer)[1]).toMatchObject({ exercise: { ring: null } })
  })
})

it("a trace begins with the machine whose clock it uses", () => {
  const world = new World(configOf("1x2"))
  world.start(1)
  const node = world.core(1)
  step(node, { kind: "deadline-reached" }, instant(5))
  const line = new Tracer().startLine(node, readBootId(), wallTime(7), instant(5))
  expect(JSON.parse(line)).toEqual({
    t_ns: "5000000",
    node: 1,
    start: {
      cluster: "plant-7",
      site: "north",
      incarnation: node.incarnation,
      boot_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      wall_ms: 7,
    },
  })
})
