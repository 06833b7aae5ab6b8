/** A cluster that is taken through graphs of who reaches whom: started anew for each, whole, then cut. */
import { setTimeout as sleep } from "node:timers/promises"
import { QuorumbeatRing } from "../bench/ring/quorumbeat.ts"
import { RingNetwork } from "../bench/ring/ring-network.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import type { Workplace } from "../support/cluster/workplace.ts"
import { bothWays, type Graph, isPairwise, isRingWhole, nodesOf, pairsOf, sets } from "../support/meshes.ts"

export type Settled =
  /** Milliseconds from the cut to the last view; 0: the ring went on. */
  { readonly kind: "settled"; readonly after: number } | { readonly kind: "wrong"; readonly how: string }

const formationLimit = 60_000
const settlingLimit = 60_000
const look = 200

interface Standing {
  /** When it last gathered or installed a view. */
  readonly movedAt: number
  readonly isInView: boolean
  readonly ring: string
  /** Numbers of nodes, from 1. */
  readonly members: readonly number[]
}

export class MeshLab {
  readonly #network: RingNetwork
  readonly #ring: QuorumbeatRing
  readonly #count: number
  readonly #watch: number

  private constructor(network: RingNetwork, ring: QuorumbeatRing, watch: number) {
    this.#network = network
    this.#ring = ring
    this.#count = ring.nodes.length
    this.#watch = watch
  }

  static async prepare(workplace: Workplace, index: number, count: number, watch: number): Promise<MeshLab> {
    const network = new RingNetwork(`me${index}`, 110 + index, count)
    const ring = await QuorumbeatRing.prepare(workplace, network, { profile: "industrial", timings: {} })
    return new MeshLab(network, ring, watch)
  }

  async takeThrough(graph: Graph): Promise<Settled> {
    try {
      await this.#startAnew()
      const before = this.#standings(0).map(({ ring }) => ring)
      const from = Date.now()
      this.#cutTo(graph)
      return await this.#settled(graph, from, before)
    } catch (cause) {
      return { kind: "wrong", how: cause instanceof Error ? cause.message : String(cause) }
    }
  }

  /** Nobody is held off for what an earlier graph did. */
  async #startAnew(): Promise<void> {
    await Promise.all(this.#ring.cluster.agents.map((agent) => agent.kill()))
    this.#network.namespaces.heal()
    const from = Date.now()
    for (const node of this.#ring.nodes) this.#ring.startOne(node)
    const isWhole = (): true | undefined => {
      const standings = this.#standings(from)
      return (
        standings.every(({ isInView, members }) => isInView && members.length === this.#count) || undefined
      )
    }
    await waitFor({ what: "one ring of all", limit: formationLimit, interval: look }, isWhole)
    // Links off the token's way have been heard by then.
    await sleep(1_500)
    await waitFor({ what: "one ring of all", limit: formationLimit, interval: look }, isWhole)
  }

  #cutTo(graph: Graph): void {
    const cut = pairsOf(this.#count)
      .flatMap(([a, b]) => bothWays(a, b))
      .filter((way) => !graph.has(way))
      .map((way) => {
        const [from = "", to = ""] = way.split(">").map((id) => this.#ring.nodes[Number(id) - 1])
        return { from, to }
      })
    if (cut.length > 0) this.#network.namespaces.drop(cut)
  }

  /** Until all is as it must be and nothing has moved for so long. */
  async #settled(graph: Graph, from: number, before: readonly string[]): Promise<Settled> {
    let faults: readonly string[] = []
    for (const end = from + settlingLimit; Date.now() < end; await sleep(look)) {
      const standings = this.#standings(0)
      const movedAt = Math.max(from, ...standings.map((each) => each.movedAt))
      faults = faultsOf(this.#count, graph, standings)
      const isWhole = isRingWhole(this.#count, graph)
      if (isWhole && standings.some(({ ring }, index) => ring !== before[index]))
        return { kind: "wrong", how: "every hop of the ring worked, and it broke" }
      if (faults.length === 0 && Date.now() - movedAt >= this.#watch)
        return { kind: "settled", after: movedAt - from }
    }
    return { kind: "wrong", how: `not settled in ${settlingLimit / 1000} s: ${faults.join("; ")}` }
  }

  #standings(from: number): readonly Standing[] {
    return this.#ring.nodes.map((node) => {
      const at = (event: string): number =>
        Date.parse(this.#ring.lines(node, event).at(-1)?.time ?? "1970-01-01T00:00:00Z")
      const [gathered, installed] = [at("gather"), at("view-installed")]
      const last = this.#ring.lines(node, "view-installed").at(-1)
      return {
        movedAt: Math.max(gathered, installed),
        isInView: installed >= Math.max(gathered, from),
        ring: last?.ring ?? "",
        members: this.#ring.views(node).at(-1)?.members ?? [],
      }
    })
  }

  async close(): Promise<void> {
    await this.#ring.close()
    await sleep(500)
    this.#network.remove()
  }
}

/** As the simulation's meshes have it. */
function faultsOf(count: number, graph: Graph, standings: readonly Standing[]): readonly string[] {
  const of = (id: number): Standing | undefined => standings[id - 1]
  const faults: string[] = []
  for (const id of nodesOf(count)) {
    const own = of(id)
    if (own?.isInView !== true) faults.push(`${id} is in no view`)
    for (const member of own?.members ?? [])
      if (of(member)?.ring !== own?.ring) faults.push(`${id} is with ${own?.members}, ${member} is not`)
  }
  for (const set of sets(count)) {
    const isSmaller = set.every((id) => (of(id)?.members.length ?? 0) < set.length)
    if (set.length > 0 && isPairwise(graph, set) && isSmaller)
      faults.push(`${set} reach each other and are in smaller rings`)
  }
  return faults
}
