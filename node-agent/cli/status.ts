/** `quorumbeat status`: one screen about this node and what it sees. */
import { setTimeout as sleep } from "node:timers/promises"
import { fetchStatus } from "./agent-client.ts"
import { type Command, CommandFailure, exitStatus, parseOptions, print } from "./command.ts"
import { defaultPaths } from "./paths.ts"
import { formatStatus } from "./status-screen.ts"
import { judge, verdictStatus } from "./status-verdict.ts"

const help = `Usage: quorumbeat status [--json] [--watch] [--runtime-dir DIR]

Shows this node's membership, rights, peers, sites and services.

  --json             the status as one JSON object
  --watch            show it again every second until interrupted
  --runtime-dir DIR  the agent's runtime directory (${defaultPaths.runtime})

Exit status: 0 healthy: operational and with voice; 1 degraded: working, but something needs a look; 2 no rights: nothing
may run here; 3 no agent answers, or its real-time process hangs.`

const options = {
  json: { type: "boolean", default: false },
  watch: { type: "boolean", default: false },
  "runtime-dir": { type: "string", default: defaultPaths.runtime },
} as const

const watchInterval = 1_000
const clearScreen = "\x1b[H\x1b[2J"

export const status: Command = {
  summary: "show this node, its rights, peers and services",
  help,
  async run(parameters) {
    const { values } = parseOptions(parameters, options)
    while (values.watch) {
      const screen = await tryShow(values["runtime-dir"], values.json)
      print(values.json ? screen : `${clearScreen}${screen}`)
      await sleep(watchInterval)
    }
    const answer = await fetchStatus(values["runtime-dir"])
    print(values.json ? JSON.stringify(answer) : formatStatus(answer))
    return verdictStatus[judge(answer).kind]
  },
}

async function tryShow(runtimeDirectory: string, json: boolean): Promise<string> {
  try {
    const answer = await fetchStatus(runtimeDirectory)
    return json ? JSON.stringify(answer) : formatStatus(answer)
  } catch (cause) {
    if (cause instanceof CommandFailure && cause.status === exitStatus.unreachable) return cause.message
    throw cause
  }
}
