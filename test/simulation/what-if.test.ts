/** `quorumbeat simulate` against the proof sheet: no simulated fault takes longer than the bound that `config check` prints. */
import { describe, expect, test } from "vitest"
import { type Part, partsOf, whatIf } from "../../node-agent/simulation/what-if.ts"
import { faultBounds } from "../../protocol/failover.ts"
import { nodeId, siteId } from "../../protocol/units.ts"
import { service } from "../support/config-builder.ts"
import { configOf, type LayoutName } from "../support/layouts.ts"

const options = { tries: 3, seed: 5, wanDelay: 10, witnessDelay: 15 }
const node = (id: number): Part => ({ kind: "node", node: nodeId(id) })
const site = (name: string): Part => ({ kind: "site", site: siteId(name) })
const wan: Part = { kind: "wan", site: undefined }
const witness: Part = { kind: "witness" }

function outcomeOf(layout: LayoutName, parts: readonly Part[], more = {}, tries = options.tries) {
  const { services, violations } = whatIf(configOf(layout, more), parts, { ...options, tries })
  expect(violations).toEqual([])
  const [outcome] = services
  if (outcome === undefined) throw new Error("the layout has a service")
  return outcome
}

function boundOf(layout: LayoutName, fault: string): number {
  const config = configOf(layout)
  const bounds = config.services.flatMap((each) => faultBounds(config, each))
  return bounds.find((bound) => bound.fault === fault)?.worst ?? Number.NaN
}

describe("single faults end within their bounds", () => {
  test.each<[LayoutName, Part, string, number, number]>([
    ["1x3", node(1), "one node of north dies, running it", 1, 2],
    ["1x3", node(2), "one node of north dies, not running it", 1, 1],
    ["1x2", node(1), "one node of north dies, running it", 1, 2],
    ["1x2", node(2), "one node of north dies, not running it", 1, 1],
    ["2x2", site("north"), "the site that holds the ticket is lost", 1, 3],
    ["2x2", site("south"), "another site is lost", 1, 1],
    ["2x2", wan, "the WAN is cut", 1, 1],
    ["2x2", witness, "the witness is away", 1, 1],
    ["2x1", node(1), "n1 dies", 1, 2],
    ["3x1", node(1), "n1 dies", 1, 2],
  ])("%s without %j: %s", (layout, part, fault, before, after) => {
    const outcome = outcomeOf(layout, [part])
    expect(outcome).toMatchObject({ before: [before], after: [after], stoppedAfter: undefined })
    expect(outcome.longest).toBeLessThanOrEqual(boundOf(layout, fault))
  })
})

describe("what stops, and what does not", () => {
  test("WAN and witness gone: the holder stops within its TTL, nobody goes on", () => {
    const outcome = outcomeOf("2x2", [wan, witness])
    expect(outcome).toMatchObject({ after: [], isBlocked: false })
    // Counted on its own clock, from its last renewal.
    expect(outcome.stoppedAfter).toBeLessThanOrEqual(10_000 / (1 - 0.001))
    expect(outcome.stoppedAfter).toBeGreaterThan(5_000)
  })

  test("two of three nodes", () => {
    expect(outcomeOf("1x3", [node(1), node(2)]).after).toEqual([])
  })

  test("two of four under last-man-standing go on with the witness, and without it not", () => {
    expect(outcomeOf("1x4-last-man-standing", [node(1), node(2)]).after).toEqual([3])
    expect(outcomeOf("1x4-last-man-standing", [node(1), witness]).after).toEqual([])
  })

  test("a service whose proof is an operator's word is blocked", () => {
    const more = { service: [service("ledger")] }
    expect(outcomeOf("1x3", [node(1)], more, 1)).toMatchObject({ after: [], isBlocked: true })
  })
})

test("the parts of a cluster: nodes, sites of several nodes, the ways between sites, the witness", () => {
  expect(partsOf(configOf("1x3"))).toEqual([node(1), node(2), node(3)])
  expect(partsOf(configOf("2x2"))).toEqual([
    ...[1, 2, 3, 4].map(node),
    ...["north", "south"].map(site),
    wan,
    witness,
  ])
  const cut = (name: string | undefined) => ({ kind: "wan", site: name })
  expect(partsOf(configOf("3x1")).filter(({ kind }) => kind === "wan")).toEqual(
    ["north", "south", "west", undefined].map(cut),
  )
})
