/** `quorumbeat fence confirm`: the operator's proof that a node no longer acts. */
import { nodeId } from "../../protocol/units.ts"
import { commandAgent, fetchStatus } from "./agent-client.ts"
import { type Command, parseOptions, usageFailure } from "./command.ts"
import { findNode } from "./node-by-name.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat fence confirm NODE --yes [--runtime-dir DIR]

Vouches that NODE, in its present incarnation, no longer runs any service: it is switched off, or its services were seen
to be stopped. What was blocked for want of this proof is then started elsewhere. If NODE does run them after all, they
run twice: there is no check behind this command.

  --yes              yes, I have made sure
  --runtime-dir DIR  the agent's runtime directory (${defaultPaths.runtime})

Exit status: 0 done; 1 refused, with the reason; 2 wrong use; 3 no agent.`

export const fence: Command = {
  summary: "confirm that an absent node no longer acts",
  help,
  async run(parameters) {
    const { values, positionals } = parseOptions(
      parameters,
      {
        yes: { type: "boolean", default: false },
        "runtime-dir": { type: "string", default: defaultPaths.runtime },
      },
      { min: 2, max: 2 },
    )
    const [action, name = ""] = positionals
    if (action !== "confirm") throw usageFailure(`fence ${action}: expected confirm`)
    const { status } = await fetchStatus(values["runtime-dir"])
    const node = findNode(status, name)
    if (node === undefined) throw usageFailure(`${name}: not a node of cluster ${status.cluster}`)
    if (!values.yes) {
      throw usageFailure(
        `if ${name} still runs a service, that service will run twice; make sure, then add --yes`,
      )
    }
    return commandAgent(values["runtime-dir"], {
      kind: "fence-confirm",
      node: nodeId(node),
    })
  },
}
