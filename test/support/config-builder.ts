/** Plain configuration objects, as the TOML reader hands them over, for the tests of `protocol/config.ts`. */
import { createHash } from "node:crypto"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { type ConfigError, parseConfig } from "../../protocol/config.ts"
import type { Result } from "../../protocol/result.ts"

export type Plain = Record<string, unknown>

export function parse(value: unknown): Result<ClusterConfig, readonly ConfigError[]> {
  return parseConfig(value, digest)
}

export function digest(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex")
}

export function accepted<T>(result: Result<T, unknown>): T {
  if (result.kind === "error") throw new Error(`expected a value, found ${JSON.stringify(result.error)}`)
  return result.value
}

export function errorsOf<E>(result: Result<unknown, readonly E[]>): readonly E[] {
  return result.kind === "ok" ? [] : result.error
}

/** A valid public key, another one for each number. */
export function key(n: number): string {
  return `${String(n).padStart(42, "k")}A`
}

export function node(id: number, site: string, more: Plain = {}): Plain {
  return { id, name: `n${id}`, site, links: [`10.0.0.${id}`], public_key: key(id), ...more }
}

/** `count` nodes at one site, without a witness. */
export function oneSite(count = 3, site: Plain = {}): Plain {
  return {
    cluster: "plant-7",
    version: 1,
    site: [{ name: "north", ...site }],
    node: Array.from({ length: count }, (_, index) => node(index + 1, "north")),
  }
}

/** A node that other sites reach. */
export function siteNode(id: number, site: string): Plain {
  return node(id, site, { wan: `198.51.100.${id}` })
}

/** Sites of so many nodes each, without a witness; ids go on from site to site in the order given. */
export function sitesOf(counts: Readonly<Record<string, number>>): Plain {
  const sites = Object.entries(counts)
  const siteOfEach = sites.flatMap(([site, count]) => new Array<string>(count).fill(site))
  return {
    cluster: "plant-7",
    version: 1,
    site: sites.map(([name]) => ({ name })),
    node: siteOfEach.map((site, index) => siteNode(index + 1, site)),
  }
}

export const witness: Plain = { url: "https://witness.example.net", public_key: key(1000) }

/** Two sites of two nodes, with a witness and one service. */
export function twoSites(): Plain {
  return { ...sitesOf({ north: 2, south: 2 }), witness, service: [service("ledger")] }
}

/** Three sites of two nodes, without a witness: the first node of each breaks the ties of its site. */
export function threePairs(): Plain {
  const firstNodes = { north: "n1", south: "n3", west: "n5" }
  const site = Object.entries(firstNodes).map(([name, first]) => ({ name, tie_breaker: first }))
  return { ...sitesOf({ north: 2, south: 2, west: 2 }), site }
}

export function service(name: string, more: Plain = {}): Plain {
  return { name, resource: [resource(`${name}d`)], ...more }
}

export function resource(name: string, more: Plain = {}): Plain {
  const command = (verb: string) => ["/usr/bin/ledgerctl", verb]
  return {
    kind: "command",
    name,
    start: command("start"),
    stop: command("stop"),
    monitor: command("monitor"),
    ...more,
  }
}

/** A deep copy with the value at `path` replaced; `undefined` removes the key. */
export function withValue(plain: Plain, path: readonly (string | number)[], value: unknown): Plain {
  const copy = structuredClone(plain)
  let at: unknown = copy
  for (const part of path.slice(0, -1)) at = (at as Plain)[part]
  const last = path.at(-1) ?? ""
  if (value === undefined) delete (at as Plain)[last]
  else (at as Plain)[last] = value
  return copy
}
