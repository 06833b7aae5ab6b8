/** What the witness makes of what sites say about a service. */
import { describe, expect, test } from "vitest"
import type { Summary } from "../../../protocol/summaries.ts"
import { epoch, incarnation, nodeId, serviceName, siteId, wallTime } from "../../../protocol/units.ts"
import { noteServices, type ServiceWatches } from "../../../worker/service-watch.ts"

function summary(site: string, state: string, owner: number | undefined, at: number): Summary {
  const report = {
    name: serviceName("ledger"),
    state,
    owner: owner === undefined ? undefined : nodeId(owner),
    epoch: epoch(at),
  }
  return {
    cluster: "plant-7",
    node: nodeId(1),
    incarnation: incarnation(1),
    counter: 1,
    challenge: "",
    site: siteId(site),
    configuration: { version: 1, checksum: "" },
    view: undefined,
    state: { voice: "held", tickets: [], nodes: [], services: [report] },
    events: [],
    highest: [],
    claims: [],
  }
}

/** The events of each summary in turn. */
function told(...summaries: readonly Summary[]): readonly string[][] {
  let services: ServiceWatches = {}
  return summaries.map((each, index) => {
    const noted = noteServices(services, each, (node) => `n${node}`, wallTime(1000 + index))
    services = noted.services
    return noted.events.map(({ kind, detail }) => `${kind}: ${detail}`)
  })
}

const north = (state = "running") => summary("north", state, 1, 3)
const south = (state = "running") => summary("south", state, state === "running" ? 3 : undefined, 4)
const takeover = ["service-started: on n3", "takeover: from n1 to n3"]
const dual = "dual-active: active on n3 (mandate epoch 4) and on n1 of north (mandate epoch 3)"

describe("[S22] a service that two sites say they run", () => {
  test("a takeover, and a last report of the former site on its way: nothing of the kind", () => {
    expect(told(north(), south(), north(), north("stopping"), south())).toEqual([[], takeover, [], [], []])
  })

  test("the second report of the lower epoch: dual active, told once, and its end", () => {
    const events = told(
      north(),
      south(),
      north(),
      south(),
      north(),
      north(),
      south(),
      north("stopped"),
      north(),
    )
    expect(events).toEqual([
      [],
      takeover,
      [],
      [],
      [dual],
      [],
      [],
      ["dual-active-ended: one of them stopped"],
      [],
    ])
  })

  test("a site that has it at a higher epoch takes it over, whatever the other still says", () => {
    expect(told(north(), south(), summary("north", "running", 1, 5))).toEqual([
      [],
      takeover,
      ["service-started: on n1", "takeover: from n3 to n1"],
    ])
  })

  test("the one with the higher epoch stops: it is over, too", () => {
    const events = told(north(), south(), north(), north(), south("stopped"))
    expect(events.slice(3)).toEqual([[dual], ["dual-active-ended: one of them stopped"]])
  })
})
