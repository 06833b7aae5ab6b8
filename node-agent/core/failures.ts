/** Failures that are long ago are forgotten (SPEC S10): the coordinator orders it. */
import type { Message } from "./messages.ts"
import { ringVersion } from "./report.ts"
import { order } from "./ring.ts"
import { hasLasted, type Lasting } from "./since.ts"
import type { NodeState } from "./state.ts"
import type { Turn } from "./turn.ts"
import { beginAct } from "./view.ts"

type Forget = Message & { readonly kind: "forget" }

/** Failures of services whose failures age. */
export function agingFailures(node: NodeState): readonly (Lasting & { readonly forget: Forget })[] {
  return node.config.services.flatMap(({ name: service, failureTimeout: wait }) => {
    const record = node.ordered.services.find((each) => each.service === service)
    if (wait === undefined || record === undefined) return []
    return record.failures.map(({ node: on, count }) => {
      const forget: Forget = { kind: "forget", service, node: on, count }
      return { what: forgetting(forget), wait, forget }
    })
  })
}

/** The coordinator, with voice. */
export function forgetFailures(turn: Turn): void {
  const { node, now } = turn
  const failures = agingFailures(node)
  if (failures.length === 0 || ringVersion(node) < 2) return
  for (const aging of failures)
    if (hasLasted(node, aging, now) && beginAct(node, aging.what)) order(turn, aging.forget)
}

/** Names the act, and the failures it is about. */
export function forgetting({ service, node, count }: Forget): string {
  return `forget:${service}:${node}:${count}`
}
