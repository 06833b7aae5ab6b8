/** When a failure hurts most: noticed as early, and followed by rights that last as long, as can be. */
import { setTimeout as sleep } from "node:timers/promises"
import { readLease } from "../../node-agent/host/lease-file.ts"
import { profiles } from "../../protocol/profiles.ts"
import { serviceName as brandServiceName } from "../../protocol/units.ts"
import type { Agent } from "../support/cluster/agent.ts"
import { serviceName } from "../support/cluster/cluster-toml.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"

const service = brandServiceName(serviceName)
const command = { kind: "service-automatic", service } as const
/** A lease renewed less than so many milliseconds ago is fresh. */
const freshness = 10

/**
 * Lets `fail` end `victim` right after a renewal of its lease, while commands to `other`, of the same ring, never let the
 * token rest. Resolves with the instant of the failure.
 */
export async function atWorstMoment(victim: Agent, other: Agent, fail: () => unknown): Promise<number> {
  let isOver = false
  const talk = async (): Promise<void> => {
    while (!isOver) await other.command(command).catch(() => sleep(20))
  }
  void talk()
  await sleep(100)
  await waitFor({ what: `a fresh lease of ${victim.name}`, limit: 5_000, interval: 1 }, () => {
    const deadline = readLease(victim.node.runtimeDirectory, service)?.deadline ?? 0
    return deadline - now() > profiles.industrial.lease - freshness || undefined
  })
  const failed = now()
  await fail()
  await sleep(100)
  isOver = true
  return failed
}
