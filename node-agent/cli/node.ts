/** `quorumbeat node`: whether a node may run services. */
import { nodeId } from "../../protocol/units.ts"
import { commandAgent, fetchStatus } from "./agent-client.ts"
import { type Command, parseOptions, usageFailure } from "./command.ts"
import { findNode } from "./node-by-name.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat node standby|online NODE [--runtime-dir DIR]

  standby NODE           it runs no service: what it runs stops there and then starts elsewhere; it still votes
  online NODE            it may run services again; nothing moves back by that alone

  --runtime-dir DIR      the agent's runtime directory (${defaultPaths.runtime})

NODE is of the agent's own site. A node stays in standby when its agent is started again, until every agent of the site was
stopped. The command is done when all members have it. Exit status: 0 done; 1 refused, with the reason; 2 wrong use; 3 no agent.`

const kinds = { standby: "node-standby", online: "node-online" } as const

export const node: Command = {
  summary: "keep services off a node, or let them come back",
  help,
  async run(parameters) {
    const { values, positionals } = parseOptions(
      parameters,
      { "runtime-dir": { type: "string", default: defaultPaths.runtime } },
      { min: 2, max: 2 },
    )
    const [action = "", name = ""] = positionals
    const kind = Object.entries(kinds).find(([word]) => word === action)?.[1]
    if (kind === undefined) throw usageFailure(`node ${action}: expected standby or online`)
    const { status } = await fetchStatus(values["runtime-dir"])
    const found = findNode(status, name)
    if (found === undefined) throw usageFailure(`${name}: not a node of cluster ${status.cluster}`)
    return commandAgent(values["runtime-dir"], { kind, node: nodeId(found) })
  },
}
