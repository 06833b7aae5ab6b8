/** `quorumbeat ticket move`: the planned switchover of everything a site runs. */
import { siteId, ticketName } from "../../protocol/units.ts"
import { commandAgent } from "./agent-client.ts"
import { type Command, parseOptions, usageFailure } from "./command.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat ticket move TICKET SITE [--runtime-dir DIR]

Hands the mandate for TICKET, and with it all services of that ticket, to another site: they stop here first.

  --runtime-dir DIR  the agent's runtime directory (${defaultPaths.runtime})

Exit status: 0 done; 1 refused, with the reason; 2 wrong use; 3 no agent.`

export const ticket: Command = {
  summary: "hand a ticket and its services to another site",
  help,
  async run(parameters) {
    const { values, positionals } = parseOptions(
      parameters,
      { "runtime-dir": { type: "string", default: defaultPaths.runtime } },
      { min: 3, max: 3 },
    )
    const [action, name = "", site = ""] = positionals
    if (action !== "move") throw usageFailure(`ticket ${action}: expected move`)
    const command = { kind: "ticket-move", ticket: ticketName(name), to: siteId(site) } as const
    return commandAgent(values["runtime-dir"], command)
  },
}
