/** What the steps of the demo play on: the cluster, who owns the service, and the checks that many of them need. */
import { setTimeout as sleep } from "node:timers/promises"
import { readLease } from "../../node-agent/host/lease-file.ts"
import { profiles } from "../../protocol/profiles.ts"
import { serviceName as brandServiceName } from "../../protocol/units.ts"
import type { Agent } from "../support/cluster/agent.ts"
import type { Cluster } from "../support/cluster/cluster.ts"
import { serviceName } from "../support/cluster/cluster-toml.ts"
import { compareEpochs, type Write } from "../support/cluster/ledger.ts"
import { NotInTime, now, waitFor } from "../support/cluster/waiting.ts"
import { type Seen, StepFailed } from "./verdict.ts"

/** Milliseconds; part of the demo's cluster.toml too. A tenth of the defaults' patience would not be safe on a busy machine. */
export const ttl = 5_000
/** What others wait where a holder counts `ttl`: a little more, for clocks that run at different rates. */
export const ttlWaited = Math.ceil(ttl * 1.003)
/** A pause in the writes as long as a ring lease would mean that a right had lapsed. */
export const gapMax = 400
/** A lease renewed less than so many milliseconds ago is fresh. */
const freshness = 10

const ledgerService = brandServiceName(serviceName)

export class Stage {
  readonly cluster: Cluster

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  /** Who writes now. */
  owner(): Write {
    const last = this.cluster.ledger.last()
    if (last === undefined) throw new StepFailed("nobody has ever written")
    return last
  }

  ownerAgent(): Agent {
    return this.cluster.agent(this.owner().node)
  }

  neighbour(agent: Agent): Agent {
    const other = this.cluster.agentsOf(agent.node.site).find((each) => each !== agent)
    if (other === undefined) throw new Error(`${agent.name} has no neighbour`)
    return other
  }

  siteOf(node: string): string {
    return this.cluster.agent(node).node.site
  }

  otherSite(site: string): string {
    const other = this.cluster.layout.sites.find((each) => each.name !== site)
    if (other === undefined) throw new Error(`no site beside ${site}`)
    return other.name
  }

  /** The first write since `from` by one of `nodes`. */
  async activeOn(nodes: readonly string[], from: number, limit: number): Promise<Write> {
    const { ledger } = this.cluster
    const what = `${serviceName} active on ${nodes.join(" or ")}`
    const instead = (): string => {
      const last = ledger.last()
      return last === undefined
        ? "nobody writes"
        : `last write by ${last.node}, ${Math.round(now() - last.at)} ms ago`
    }
    try {
      return await waitFor({ what, limit, instead }, () =>
        ledger.first(from, ({ node }) => nodes.includes(node)),
      )
    } catch (cause) {
      if (cause instanceof NotInTime) throw new StepFailed(this.#withViolations(cause.message))
      throw cause
    }
  }

  /** Fails if two ever wrote at the same time, or an epoch fell. */
  assertExclusive(): void {
    const { ledger } = this.cluster
    const [first] = ledger.violations()
    if (first !== undefined) throw new StepFailed(`TWO OWNERS: ${first}`, ledger.overlap())
  }

  /** The owner and the epoch are still those of `before`, and nobody missed a beat; seen in `sleepFor` milliseconds more. */
  async assertUndisturbed(before: Write, sleepFor = 0): Promise<Seen> {
    await sleep(sleepFor)
    this.assertExclusive()
    const { ledger } = this.cluster
    const gap = ledger.longestGap(before.at, now())
    const after = this.owner()
    if (after.node !== before.node) throw new StepFailed(`moved from ${before.node} to ${after.node}`, gap)
    if (after.epoch !== before.epoch) {
      throw new StepFailed(`${before.node} began anew: epoch ${before.epoch} became ${after.epoch}`, gap)
    }
    if (gap >= gapMax) throw new StepFailed(`${before.node} paused for ${Math.round(gap)} ms`, gap)
    return { seen: `${before.node} goes on, longest pause ${Math.round(gap)} ms`, milliseconds: gap }
  }

  /** The successor's first write came after the last of its predecessor, at a higher epoch. */
  assertSucceeded(before: Write, after: Write): { readonly lastWrite: number } {
    this.assertExclusive()
    const lastWrite =
      this.cluster.ledger.read().findLast((write) => write.epoch === before.epoch)?.at ?? before.at
    if (compareEpochs(after.epoch, before.epoch) <= 0) {
      throw new StepFailed(`epoch ${after.epoch} after ${before.epoch}`, after.at - lastWrite)
    }
    return { lastWrite }
  }

  async healthy(limit: number): Promise<void> {
    try {
      await this.cluster.healthy(limit)
    } catch (cause) {
      if (cause instanceof NotInTime) throw new StepFailed(this.#withViolations(cause.message))
      throw cause
    }
  }

  /**
   * kill -9 of `victim` at the worst moment. Operator's commands run on `heir`, so that the token never rests and the death is
   * noticed as early as can be; and the victim's lease has just been renewed, so that it lasts as long as can be.
   */
  async killAtWorst(victim: Agent, heir: Agent): Promise<number> {
    const command = { kind: "service-automatic", service: ledgerService } as const
    let isOver = false
    const talk = async (): Promise<void> => {
      while (!isOver) await heir.command(command).catch(() => sleep(20))
    }
    void talk()
    await sleep(100)
    const { runtimeDirectory } = victim.node
    await waitFor({ what: "a fresh lease", limit: 5_000, interval: 1 }, () => {
      const deadline = readLease(runtimeDirectory, ledgerService)?.deadline ?? 0
      return deadline - now() > profiles.industrial.lease - freshness || undefined
    })
    const killed = now()
    await victim.kill()
    await sleep(100)
    isOver = true
    return killed
  }

  #withViolations(message: string): string {
    const [first] = this.cluster.ledger.violations()
    return first === undefined ? message : `TWO OWNERS: ${first}; ${message}`
  }
}
