/** Successive configurations of one world: how a node is asked to change to one, and who has which. */
import { documentOf } from "../../node-agent/simulation/documents.ts"
import type { World } from "../../node-agent/simulation/world.ts"
import { nodeId } from "../../protocol/units.ts"
import { accepted, type Plain, parse } from "./config-builder.ts"

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
