/** A token that carries nothing, for the tests of its layout and bounds. */
import type { TokenFrame } from "../../../protocol/frame.ts"
import { incarnation, nodeId, type RingId } from "../../../protocol/units.ts"

export const ring: RingId = { sequence: 258, representative: nodeId(1), incarnation: incarnation(7) }

export const emptyToken: TokenFrame = {
  kind: "token",
  ring,
  number: 5,
  seq: 4,
  aru: 3,
  aruBy: 2,
  messages: [],
  rights: [],
  watches: [],
  health: [],
}
