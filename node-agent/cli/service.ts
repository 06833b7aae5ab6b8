/** `quorumbeat service`: what an operator may ask for a service. */
import { type NodeId, nodeId, serviceName } from "../../protocol/units.ts"
import { commandAgent, fetchStatus } from "./agent-client.ts"
import { type Command, parseOptions, usageFailure } from "./command.ts"
import { findNode } from "./node-by-name.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat service ACTION SERVICE [NODE] [--runtime-dir DIR]

  start SERVICE          start it where the configuration prefers it
  stop SERVICE           stop it, and keep it stopped
  move SERVICE NODE      hand it to another node of the site: started there after it has stopped here
  auto SERVICE           let the cluster start and move it
  manual SERVICE         leave it as it is until an operator says otherwise
  cleanup SERVICE        forget its failures and try again

  --runtime-dir DIR      the agent's runtime directory (${defaultPaths.runtime})

The command is done when all members have it. Exit status: 0 done; 1 refused, with the reason; 2 wrong use; 3 no agent.`

const kinds = {
  start: "service-start",
  stop: "service-stop",
  auto: "service-automatic",
  manual: "service-manual",
  cleanup: "service-cleanup",
} as const

export const service: Command = {
  summary: "start, stop or move a service, or change its mode",
  help,
  async run(parameters) {
    const { values, positionals } = parseOptions(
      parameters,
      { "runtime-dir": { type: "string", default: defaultPaths.runtime } },
      { min: 2, max: 3 },
    )
    const [action = "", name = "", target] = positionals
    const directory = values["runtime-dir"]
    if (action === "move") {
      if (target === undefined) throw usageFailure("move: say where to")
      return commandAgent(directory, {
        kind: "service-move",
        service: serviceName(name),
        to: await findTarget(directory, name, target),
      })
    }
    if (target !== undefined) throw usageFailure(`unexpected \`${target}\`; see --help`)
    const kind = Object.entries(kinds).find(([word]) => word === action)?.[1]
    if (kind === undefined)
      throw usageFailure(`service ${action}: expected ${Object.keys(kinds).join(", ")} or move`)
    return commandAgent(directory, { kind, service: serviceName(name) })
  },
}

async function findTarget(runtimeDirectory: string, name: string, target: string): Promise<NodeId> {
  const { status } = await fetchStatus(runtimeDirectory)
  const node = findNode(status, target)
  if (node !== undefined) return nodeId(node)
  const ticket = status.services.find((each) => each.name === name)?.ticket
  if (ticket !== undefined && status.sites.some((site) => site.name === target)) {
    throw usageFailure(
      `${target} is a site: all services of ticket ${ticket} go there together; ` +
        `use \`quorumbeat ticket move ${ticket} ${target}\``,
    )
  }
  throw usageFailure(`${target}: not a node of cluster ${status.cluster}`)
}
