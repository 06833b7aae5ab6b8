/** SPEC LN10: events of members reach the witness through the coordinator, in the order in which things happened. */
import { expect, test } from "vitest"
import { onEventDelivered } from "../../../node-agent/core/event-relay.ts"
import { keepEvent } from "../../../node-agent/core/turn.ts"
import type { ReportedEvent } from "../../../protocol/summaries.ts"
import { wallTime } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"
import { nodeInView, turnAt } from "./node-builder.ts"

const event = (id: string, at: number, kind = "node-up"): ReportedEvent => ({
  ...{ id, kind, subject: "n3", severity: "info", detail: "" },
  at: wallTime(at),
})

test("[LN10] what the coordinator before could not post comes before what happened since", () => {
  const node = nodeInView(configOf("1x3"), [1, 2])
  keepEvent(node, event("1-1-1", 200, "node-down"))
  onEventDelivered(turnAt(node, 1200), 2, event("2-1-1", 100))
  onEventDelivered(turnAt(node, 1200), 2, event("2-1-2", 300))
  onEventDelivered(turnAt(node, 1200), 2, event("2-1-2", 300))
  expect(node.witness.events.map(({ id }) => id)).toEqual(["2-1-1", "1-1-1", "2-1-2"])
})

test("[LN10] those of one origin stay in their order, whatever its clock says", () => {
  const node = nodeInView(configOf("1x3"), [1, 2])
  for (const each of [event("2-1-1", 500), event("2-1-2", 100), event("2-1-3", 300)])
    onEventDelivered(turnAt(node, 1200), 2, each)
  expect(node.witness.events.map(({ id }) => id)).toEqual(["2-1-1", "2-1-2", "2-1-3"])
})
