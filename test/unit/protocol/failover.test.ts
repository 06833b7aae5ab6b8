/** The bounds of the proof sheet: which faults a layout has, who goes on, and how the figures add up. */
import { describe, expect, test } from "vitest"
import type { ClusterConfig } from "../../../protocol/cluster.ts"
import { type FaultBound, faultBounds } from "../../../protocol/failover.ts"
import { accepted, oneSite, type Plain, parse, service, twoSites } from "../../support/config-builder.ts"
import { configOf, type LayoutName, selfLease } from "../../support/layouts.ts"

function bounds(layout: LayoutName, more: Plain = {}): ReadonlyMap<string, FaultBound> {
  return boundsOf(configOf(layout, more))
}

function boundsOf(config: ClusterConfig): ReadonlyMap<string, FaultBound> {
  const [first] = config.services
  if (first === undefined) throw new Error("the layout has a service")
  return new Map(faultBounds(config, first).map((bound) => [bound.fault, bound]))
}

/** One service that ends itself, without a witness. */
function withoutWitness({ witness: _, ...plain }: Plain): ReadonlyMap<string, FaultBound> {
  return boundsOf(accepted(parse({ ...plain, service: [service("ledger", selfLease)] })))
}

describe("the worst time without a service", () => {
  test("three nodes: detection and the new view, or the debt, whichever is longer", () => {
    const bound = bounds("1x3").get("one node of north dies, running it")
    expect(bound).toMatchObject({
      outcome: "the rest goes on alone",
      figures: "max(lease' 410.8, detect 400 + form 60) + margin 20 + order 30",
    })
    expect(bound?.worst).toBeCloseTo(460 + 20.04 + 30)
    expect(bounds("1x3").get("one node of north dies, not running it")?.worst).toBe(460 - 180)
  })

  test("two nodes need the witness's answer on top", () => {
    const bound = bounds("1x2").get("one node of north dies, running it")
    expect(bound?.outcome).toBe("the rest goes on with the witness")
    expect(bound?.worst).toBeCloseTo(460 + 630 + 20.04 + 30)
  })

  test("a long lease outlasts detection: its debt decides", () => {
    const bound = bounds("1x3", { timings: { lease_ms: 900 } }).get("one node of north dies, running it")
    expect(bound?.worst).toBeCloseTo(900 * (1.001 / 0.999) + 10 + 20.04 + 30)
  })

  test("a lost site: TTL' from the last renewal that anybody saw", () => {
    const bound = bounds("2x2").get("the site that holds the ticket is lost")
    expect(bound?.worst).toBeCloseTo(10_000 * (1.001 / 0.999) + 2250 + 1060 + 20.04 + 30)
  })

  test("the only node of a site takes the site with it", () => {
    const [one, whole] = ["n1 dies", "the site that holds the ticket is lost"].map((fault) =>
      bounds("2x1").get(fault),
    )
    expect(one?.worst).toBe(whole?.worst)
  })
})

describe("what stops", () => {
  test("without a proof by itself a takeover waits for an operator", () => {
    const found = bounds("2x2", { service: [service("ledger")] })
    for (const fault of ["one node of north dies, running it", "the site that holds the ticket is lost"])
      expect(found.get(fault)).toMatchObject({ worst: undefined, outcome: /^blocked until/ })
    expect(found.get("one node of north dies, not running it")?.worst).toBeGreaterThan(0)
  })

  test("the second last vote of a site without a witness, and a tie of two sites without one", () => {
    expect(withoutWitness(oneSite(2)).get("one node of north dies")).toMatchObject({
      worst: undefined,
      outcome: "north no longer speaks: stops until it is back",
    })
    const found = withoutWitness(twoSites())
    expect(found.get("the WAN is cut")?.outcome).toBe("stops everywhere: nobody breaks the tie")
    expect(found.get("the site that holds the ticket is lost")?.worst).toBeUndefined()
    expect(found.get("another site is lost")?.worst).toBeUndefined()
  })

  test("a service that one node only is able to run", () => {
    const found = bounds("1x3", { service: [service("ledger", { ...selfLease, nodes: ["n2"] })] })
    expect(found.get("one node of north dies, running it")).toMatchObject({ worst: undefined })
  })
})

test("a tie-breaker's death stops the site, its neighbour's does not", () => {
  const found = withoutWitness(oneSite(2, { tie_breaker: "n1" }))
  expect(found.get("n1 dies")?.worst).toBeUndefined()
  expect(found.get("n2 dies, running it")?.outcome).toBe("the rest goes on alone")
})
