/** Live changes of the configuration for seeded runs: drawn with a chance of their own, so that faults stay those of the seed. */
import { createRandom, draw } from "../../node-agent/core/random.ts"
import type { World } from "../../node-agent/simulation/world.ts"
import { node, oneSite, type Plain, parse, service, twoSites } from "./config-builder.ts"
import { documentOf, install } from "./configurations.ts"
import { selfLease } from "./layouts.ts"

const idMax = 8

const ledger = [service("ledger", selfLease)]
const { witness } = twoSites()
const wan = (id: number, site: string) => node(id, site, { wan: `198.51.100.${id}` })
/** Clusters that are changed. */
export const changingLayouts: Readonly<Record<string, Plain>> = {
  "2 nodes and a witness": { ...oneSite(2), witness, service: ledger },
  "3 nodes": { ...oneSite(3), service: ledger },
  "4 nodes and a witness": { ...oneSite(4), witness, service: ledger },
  "two sites of 2": { ...twoSites(), service: ledger },
  "three sites of 1": {
    ...oneSite(1),
    site: [{ name: "north" }, { name: "south" }, { name: "west" }],
    node: ["north", "south", "west"].map((site, index) => wan(index + 1, site)),
    service: ledger,
  },
}

/** Draws changes with a chance of its own, so that faults stay those of the seed. */
export class Changes {
  readonly #random
  /** What each configuration was made of, by checksum. */
  readonly #plains = new Map<string, Plain>()
  /** Ids are never used again. */
  #nextId = 5
  activated = 0

  constructor(seed: number, plain: Plain) {
    this.#random = createRandom(seed * 31 + 7)
    this.#note(plain)
  }

  #note(plain: Plain): boolean {
    const parsed = parse(plain)
    if (parsed.kind === "ok") this.#plains.set(parsed.value.checksum, plain)
    return parsed.kind === "ok"
  }

  perhaps(world: World): void {
    if (draw(this.#random) < 0.4) return
    const up = [...world.hosts.values()].filter((host) => host.node !== undefined && !host.frozen)
    const at = this.#pick(up)
    const plain = at?.node === undefined ? undefined : this.#plains.get(at.node.config.checksum)
    if (at === undefined || plain === undefined) return
    const next = this.#next(world, plain, at.site)
    if (!this.#note(next)) return
    world.command(at.id, { kind: "configure", document: documentOf(next) })
    const nodes = next.node as readonly { readonly id: number }[]
    for (const { id } of nodes)
      if (![...world.hosts.keys()].some((known) => known === id)) install(world, next, id)
    this.activated = Math.max(this.activated, ...up.map((host) => host.node?.config.version ?? 0))
  }

  #next(world: World, plain: Plain, site: string): Plain {
    const version = Number(plain.version) + 1
    const nodes = plain.node as readonly Plain[]
    const kind = draw(this.#random)
    if (kind < 0.4 && this.#nextId <= idMax) {
      const id = this.#nextId++
      return { ...plain, version, node: [...nodes, wan(id, site)] }
    }
    if (kind < 0.7) {
      const away = nodes.filter(({ id }) => world.host(Number(id)).node === undefined)
      const gone = this.#pick(away)
      return { ...plain, version, node: nodes.filter((each) => each !== gone) }
    }
    if (kind < 0.85) {
      const chosen = this.#pick(nodes)
      const votes = this.#pick([1, 2, 3])
      return { ...plain, version, node: nodes.map((each) => (each === chosen ? { ...each, votes } : each)) }
    }
    const [lease = 400, ttl = 10_000] = [this.#pick([400, 600, 900]), this.#pick([8_000, 10_000, 14_000])]
    return { ...plain, version, timings: { lease_ms: lease, mandate_ttl_ms: ttl } }
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(draw(this.#random) * from.length)]
  }
}
