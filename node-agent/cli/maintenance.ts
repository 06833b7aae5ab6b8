/** `quorumbeat maintenance`: nothing is started, stopped or moved while people work on the services themselves. */
import { serviceName } from "../../protocol/units.ts"
import { commandAgent } from "./agent-client.ts"
import { type Command, parseOptions, usageFailure } from "./command.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat maintenance on|off [SERVICE] [--runtime-dir DIR]

  on                     no service of this site is started, stopped or moved, whatever its monitors say or nodes die
  off                    the cluster acts again
  on|off SERVICE         the same for one service; the site's own setting stays as it is

Rights end as always: a service whose node loses its rights, or whose agent is stopped, is stopped, and starts nowhere
before maintenance is over. Another site is told by itself: where its site gets the mandate, it starts there.

  --runtime-dir DIR      the agent's runtime directory (${defaultPaths.runtime})

The command is done when all members have it. Exit status: 0 done; 1 refused, with the reason; 2 wrong use; 3 no agent.`

const kinds = { on: "maintenance-on", off: "maintenance-off" } as const

export const maintenance: Command = {
  summary: "have the cluster leave services alone, or act again",
  help,
  async run(parameters) {
    const { values, positionals } = parseOptions(
      parameters,
      { "runtime-dir": { type: "string", default: defaultPaths.runtime } },
      { min: 1, max: 2 },
    )
    const [word = "", name] = positionals
    const kind = Object.entries(kinds).find(([each]) => each === word)?.[1]
    if (kind === undefined) throw usageFailure(`maintenance ${word}: expected on or off`)
    const service = name === undefined ? undefined : serviceName(name)
    return commandAgent(values["runtime-dir"], { kind, service })
  },
}
