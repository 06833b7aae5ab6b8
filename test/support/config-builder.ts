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

/** Two sites of two nodes, with a witness and one service. */
export function twoSites(): Plain {
  const wan = (id: number) => ({ wan: `198.51.100.${id}` })
  return {
    cluster: "plant-7",
    version: 1,
    witness: { url: "https://witness.example.net", public_key: key(1000) },
    site: [{ name: "north" }, { name: "south" }],
    node: [
      node(1, "north", wan(1)),
      node(2, "north", wan(2)),
      node(3, "south", wan(3)),
      node(4, "south", wan(4)),
    ],
    service: [service("ledger")],
  }
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
