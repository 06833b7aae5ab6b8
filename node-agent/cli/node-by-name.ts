/** Operators name nodes by name or number; the core knows them by number. */
import type { NodeStatus } from "../core/status.ts"

/** `undefined`: the cluster has no such node. */
export function findNode(status: NodeStatus, nameOrId: string): number | undefined {
  const nodes = [status.node, ...status.peers]
  return nodes.find((node) => node.name === nameOrId || String(node.id) === nameOrId)?.id
}
