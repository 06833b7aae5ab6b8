/**
 * Live changes of the configuration (SPEC LC), drawn: an operator adds or removes a node, or changes votes, a policy or
 * timings, at some node, at any instant. Chance of its own, so that faults stay those of the seed. Ids are never used again.
 */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { nodeId } from "../../protocol/units.ts"
import { draw, type Random } from "../core/random.ts"
import { documentOf, readTables, type Tables } from "./documents.ts"
import type { Host } from "./machine.ts"
import { nodeTable } from "./topology.ts"
import type { World } from "./world.ts"

/** Nodes added in a run, at most. */
const addedMax = 4

export class Changes {
  readonly #random: Random
  /** What each configuration was made of, by checksum. */
  readonly #tables = new Map<string, Tables>()
  readonly #configurations: ClusterConfig[] = []
  readonly #firstId: number
  #nextId: number
  /** The newest version seen in use. */
  activated = 0

  constructor(random: Random, tables: Tables) {
    this.#random = random
    this.#note(tables)
    this.#firstId = Math.max(...nodesOf(tables).map(({ id }) => id)) + 1
    this.#nextId = this.#firstId
  }

  /** All that were ever offered, the first one included. */
  get offered(): readonly ClusterConfig[] {
    return this.#configurations
  }

  perhaps(world: World): void {
    if (draw(this.#random) >= 0.4) this.offer(world)
  }

  /** An operator asks some node for some change. */
  offer(world: World): void {
    const up = [...world.hosts.values()].filter((host) => host.node !== undefined && !host.frozen)
    const at = this.#pick(up)
    const tables = at?.node === undefined ? undefined : this.#tables.get(at.node.config.checksum)
    if (at === undefined || tables === undefined || !isAdvisable(world)) return
    const next = this.#next(world, tables, at.site)
    const config = this.#note(next)
    if (config === undefined) return
    world.command(at.id, { kind: "configure", document: documentOf(next) })
    for (const { id } of config.nodes) if (!world.hosts.has(nodeId(id))) world.install(config, id)
    this.activated = Math.max(this.activated, ...up.map((host) => host.node?.config.version ?? 0))
  }

  #note(tables: Tables): ClusterConfig | undefined {
    const config = readTables(tables)
    if (config === undefined) return undefined
    this.#tables.set(config.checksum, tables)
    this.#configurations.push(config)
    return config
  }

  #next(world: World, tables: Tables, site: string): Tables {
    const version = Number(tables.version) + 1
    const nodes = nodesOf(tables)
    const kind = draw(this.#random)
    if (kind < 0.4) {
      const added = this.#added(world, nodes, site)
      if (added !== undefined) return withNodes({ ...tables, version }, [...nodes, added], site)
    }
    if (kind < 0.7) {
      const gone = this.#pick(nodes.filter(({ id }) => world.host(id).node === undefined))
      const rest = nodes.filter((each) => each !== gone)
      return withNodes({ ...tables, version }, rest, gone?.site ?? site)
    }
    if (kind < 0.85) {
      const chosen = this.#pick(nodes)
      const votes = this.#pick([1, 2, 3])
      return { ...tables, version, node: nodes.map((each) => (each === chosen ? { ...each, votes } : each)) }
    }
    if (kind < 0.92) return { ...tables, version, site: withPolicy(tables, site) }
    const [lease = 1, ttl = 1] = [this.#pick([1, 1.5, 2.25]), this.#pick([0.8, 1, 1.4])]
    return { ...tables, version, timings: scaled(world.config, lease, ttl) }
  }

  /** A node like those of its site; one that was offered in vain before is offered again. */
  #added(world: World, nodes: readonly NodeTable[], site: string): NodeTable | undefined {
    const spare = [...world.hosts.values()].find((host) => isSpare(host) && host.site === site)
    const listed = spare !== undefined && nodes.some(({ id }) => id === spare.id)
    if (spare === undefined || listed) {
      if (this.#nextId >= this.#firstId + addedMax) return undefined
      return this.#newNode(world, this.#nextId++, site)
    }
    return this.#newNode(world, spare.id, site)
  }

  #newNode({ config }: World, id: number, site: string): NodeTable {
    return nodeTable(id, site, config.nodes[0]?.links.length ?? 1, config.sites.length > 1)
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(draw(this.#random) * from.length)]
  }
}

interface NodeTable extends Tables {
  readonly id: number
  readonly site: string
}

const nodesOf = ({ node }: Tables): readonly NodeTable[] => node as readonly NodeTable[]

/** A machine that was set up for a change which never came. */
const isSpare = ({ node, disk, life }: Host): boolean =>
  node === undefined && disk?.configuration?.document == null && life === 0

/** Without a witness the tie-breaker of a site follows its nodes: an even number has one. */
function withNodes(tables: Tables, nodes: readonly NodeTable[], site: string): Tables {
  const ids = nodes.filter((each) => each.site === site).map(({ id }) => `n${id}`)
  const sites = (tables.site as readonly Tables[]).map(({ tie_breaker: before, ...each }) => {
    if (each.name !== site || tables.witness !== undefined)
      return before === undefined ? each : { ...each, tie_breaker: before }
    return ids.length % 2 === 0 ? { ...each, tie_breaker: ids[0] } : each
  })
  return { ...tables, node: nodes, site: sites }
}

function withPolicy(tables: Tables, site: string): readonly Tables[] {
  return (tables.site as readonly Tables[]).map((each) =>
    each.name === site
      ? { ...each, policy: each.policy === "last-man-standing" ? "split" : "last-man-standing" }
      : each,
  )
}

function scaled({ timings }: ClusterConfig, lease: number, ttl: number): Tables {
  return {
    lease_ms: Math.round(timings.lease * lease),
    mandate_ttl_ms: Math.round(timings.mandateTtl * ttl),
  }
}

/**
 * Sites without a witness change one after another: nobody orders what two of them change at the same time (SPEC LC6), so an
 * operator looks first whether all nodes are there and agree.
 */
function isAdvisable({ config, hosts }: World): boolean {
  if (config.witness !== undefined || config.sites.length === 1) return true
  const inUse = [...hosts.values()].flatMap(({ node }) => (node === undefined ? [] : [node]))
  const [first] = inUse
  if (first === undefined) return false
  const isSettled = ({ config: own, configuration: { prepared, request, adopting } }: typeof first) =>
    own.checksum === first.config.checksum &&
    [prepared, request, adopting].every((each) => each === undefined)
  return inUse.every(isSettled) && first.config.nodes.every(({ id }) => hosts.get(id)?.node !== undefined)
}
