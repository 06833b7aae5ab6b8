/** What proves an old owner out, as status shows it. */
import { describe, expect, test } from "vitest"
import { judge } from "../../../node-agent/cli/status-verdict.ts"
import { noGate, noWatchdog } from "../../../node-agent/core/activations.ts"
import type { Safety } from "../../../node-agent/core/grade.ts"
import { step } from "../../../node-agent/core/node.ts"
import type { NodeState } from "../../../node-agent/core/state.ts"
import { statusOf } from "../../../node-agent/core/status.ts"
import type { StatusAnswer } from "../../../node-agent/host/control/local-api.ts"
import { millis, nodeId, serviceName } from "../../../protocol/units.ts"
import { node, type Plain, service } from "../../support/config-builder.ts"
import { configOf, floating, type LayoutName } from "../../support/layouts.ts"
import { at, freshState, nodeInView, startedNode } from "./node-builder.ts"

const ledger = serviceName("ledger")
const members = [1, 2, 3]

function graded(
  more: Plain,
  change: (node: NodeState) => void = () => undefined,
  layout: LayoutName = "1x3",
) {
  const state = nodeInView(configOf(layout, more), layout === "1x3" ? members : [1, 2])
  change(state)
  const status = statusOf(state, at(1200))
  const safety = status.services.find(({ name }) => name === ledger)?.safety as Safety
  // The host's part of the answer, as far as a verdict looks at it.
  const answer = { age_ms: 0, status, host: { gate: { kind: "none" } } } as unknown as StatusAnswer
  return { ...safety, verdict: judge(answer) }
}

const device = (name: string, nodes: readonly string[], more: Plain = {}): Plain => {
  return { name, agent: "fence_ipmilan", nodes, timeout_ms: 20_000, ...more }
}

/** Members' own words on why they cannot run it. */
const saying =
  (reason: string, ...numbers: readonly number[]) =>
  (state: NodeState) => {
    if (state.view === undefined) throw new Error("the node is in a view")
    const told = { phase: "stopped", epoch: undefined, reason } as const
    const phases = new Map(state.view.phases)
    for (const number of numbers) phases.set(nodeId(number), new Map([[ledger, told]]))
    state.view = { ...state.view, phases }
  }

const problemsOf = (verdict: ReturnType<typeof judge>): readonly string[] =>
  verdict.kind === "healthy" ? [] : verdict.reasons.filter((reason) => reason.startsWith("service ledger"))

describe("[S21] the grade", () => {
  const gated = { service: [service("ledger", floating)] }
  const watched = {
    service: [service("ledger", { proof: "watchdog" })],
    node: members.map((id) => node(id, "north", { watchdog: { timeout_s: 5 } })),
  }
  const guarded = { service: [service("ledger", { proof: "operator" })] }

  test("self-lease: proven by time alone, with the worst takeover of the proof sheet", () => {
    expect(graded({})).toMatchObject({ grade: "self-lease", takeover_ms: 511, site_takeover_ms: undefined })
    expect(problemsOf(graded({}).verdict)).toEqual([])
  })

  test("of two sites, each with its own time", () => {
    expect(graded({}, undefined, "2x2")).toMatchObject({ takeover_ms: 1141, site_takeover_ms: 13_381 })
  })

  test("gate: nothing is added to the end of the lease", () => {
    expect(graded(gated)).toMatchObject({ grade: "gate", takeover_ms: 490, problems: [] })
  })

  test("[G6] a node without nftables does not offer the proof, and status says so", () => {
    const some = graded(gated, saying(noGate, 2))
    expect(problemsOf(some.verdict)).toEqual([
      'service ledger: no gate on n2: it cannot run there with proof "gate"',
    ])
    expect(graded(gated, saying(noGate, 1, 2, 3)).problems).toEqual([
      'no gate on n1, n2, n3: it cannot run at all with proof "gate"',
    ])
  })

  test("a node that starts without a gate tells people", () => {
    const config = configOf("1x3", gated)
    const state = startedNode(config, 1, freshState(config, 1), "missing")
    expect(state.recent.map(({ kind, severity }) => `${severity} ${kind}`)).toEqual(["critical gate-missing"])
    step(state, { kind: "gate-changed", missing: undefined }, at(1210))
    expect(state.recent.at(-1)?.kind).toBe("gate-restored")
  })

  test.each([
    [false, "watchdog-hardware"],
    [true, "watchdog-software"],
  ])("watchdog: softdog %s is told apart as %s", (software, grade) => {
    const armed = (state: NodeState) => {
      state.watchdog = { kind: "armed", timeout: millis(5000), nextFeed: at(2000), hungry: false, software }
    }
    expect(graded(watched, armed)).toMatchObject({ grade, problems: [], takeover_ms: 16_523 })
  })

  test("[WD1] one that is not armed does not count", () => {
    expect(graded(watched, saying(noWatchdog, 3)).problems).toEqual([
      'no armed watchdog on n3: it cannot run there with proof "watchdog"',
    ])
  })

  test("operator only: never healthy, no time, and what to do", () => {
    const { verdict, ...safety } = graded(guarded)
    expect(safety).toMatchObject({ grade: "operator-only", takeover_ms: undefined })
    expect(problemsOf(verdict)).toEqual([
      "service ledger: nothing proves that its nodes stopped: give it a fence device, or another proof (gate, watchdog, self-lease)",
    ])
  })

  test("fence device: delay, `off` and `status` on top of the view", () => {
    const fence = [device("ipmi", ["n1", "n2", "n3"], { delay_ms: 1000 })]
    const { verdict, ...safety } = graded({ ...guarded, fence })
    expect(safety).toMatchObject({ grade: "fence-device", takeover_ms: 460 + 41_000 + 30 + 30, problems: [] })
    expect(problemsOf(verdict)).toEqual([])
  })

  test("a node without a device: operator only, and it is named", () => {
    const { grade, problems } = graded({ ...guarded, fence: [device("ipmi", ["n1", "n2"])] })
    expect([grade, problems[0]]).toEqual([
      "operator-only",
      "nothing proves that n3 stopped: give it a fence device, or another proof (gate, watchdog, self-lease)",
    ])
  })

  test("a device that does not answer: operator only, unless another level is left", () => {
    const silent = (state: NodeState) => {
      state.deadDevices = new Map([["ipmi", "exit status 1"]])
    }
    const ipmi = device("ipmi", ["n1", "n2", "n3"])
    const alone = graded({ ...guarded, fence: [ipmi] }, silent)
    expect(alone).toMatchObject({ grade: "operator-only", takeover_ms: undefined })
    expect(problemsOf(alone.verdict)).toEqual([
      "service ledger: fence device ipmi does not answer: exit status 1",
    ])
    const more = device("pdu", ["n1", "n2", "n3"], { level: 2 })
    expect(graded({ ...guarded, fence: [ipmi, more] }, silent)).toMatchObject({
      grade: "fence-device",
      problems: ["fence device ipmi does not answer: exit status 1"],
    })
  })

  test("one node alone: nobody takes over, and nothing has to be proven", () => {
    const alone = graded({ service: [service("ledger", { nodes: ["n1"], proof: "operator" })] })
    expect(alone).toMatchObject({ grade: "one-node", takeover_ms: undefined, problems: [] })
  })
})
