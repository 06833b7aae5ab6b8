/** Successive configurations of one world: how a node is asked to change to one, and who has which. */
import { documentOf, readDocument } from "../../node-agent/simulation/documents.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { nodeId } from "../../protocol/units.ts"
import { accepted, oneSite, type Plain, parse, service, witness } from "./config-builder.ts"
import { selfLease } from "./layouts.ts"

/** One site of so many nodes with a service and, unless told otherwise, a witness. */
export function cluster(count: number, version: number, more: Plain = { witness }): Plain {
  return { ...oneSite(count), version, service: [service("ledger", selfLease)], ...more }
}

/** A world whose nodes can read a changed configuration. */
export function changeableWorld(plain: Plain, seed: number): World {
  return new World(accepted(parse(plain)), { seed, readConfiguration: readDocument })
}

/** Orders the change at a node; the answer's text once it has come. */
export function apply(world: World, at: number, plain: Plain, limit = 16_000): string {
  const request = world.command(at, { kind: "configure", document: documentOf(plain) })
  const answered = () => world.answers.find((each) => each.request === request)
  world.runUntil(() => answered() !== undefined, limit)
  const { kind, message } = answered()?.result ?? { kind: "none", message: "" }
  return `${kind}: ${message}`
}

/** A machine for a node that the configuration has and the world has not. */
export function install(world: World, plain: Plain, id: number): void {
  world.install(accepted(parse(plain)), nodeId(id))
}

/** Versions in use, by node that runs. */
export function versions(world: World): readonly string[] {
  return [...world.hosts.values()].flatMap(({ id, node }) =>
    node === undefined ? [] : [`${id}:${node.config.version}`],
  )
}
