import { expect, it } from "vitest"
import { rightLine, traceLine } from "../../../node-agent/host/trace.ts"
import { instant, nodeId, serviceName } from "../../../protocol/units.ts"

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
