/** Which nodes declare a watchdog, and whether those that a service counts on do (SPEC WD). */
import { nodesOfTicket } from "./config-checks.ts"
import type { Draft } from "./config-draft.ts"
import { refuse } from "./config-reader.ts"
import { profiles } from "./profiles.ts"
import { timingsFrom } from "./timings.ts"

/** A node without a watchdog proves nothing by it; one that is short beside the lease fires in a passing lapse. */
export function checkWatchdogs(draft: Draft): void {
  for (const { table, proof, nodes, ticket } of draft.services) {
    if (proof !== "watchdog") continue
    const able = nodes ?? nodesOfTicket(draft, ticket).map(({ name }) => name)
    const without = draft.nodes.filter(({ name, watchdog }) => able.includes(name) && watchdog === undefined)
    if (without.length === 0) continue
    const names = without.map(({ name }) => name).join(", ")
    refuse(table, "proof", `found "watchdog", but of its nodes these declare no watchdog: ${names}`)
  }
  if (draft.profile === undefined) return
  const { lease } = timingsFrom(profiles[draft.profile], draft.timings.written)
  for (const { watchdog } of draft.nodes) {
    if (watchdog?.timeoutSeconds === undefined || 1000 * watchdog.timeoutSeconds >= 3 * lease) continue
    const figures = `${1000 * watchdog.timeoutSeconds} >= 3 * ${lease} is false`
    refuse(watchdog.table, "timeout_s", `[WD1] timeout_s * 1000 >= 3 * lease_ms: ${figures}`)
  }
}
