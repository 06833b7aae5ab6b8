/** `quorumbeat blackbox`: the last minutes of this node, kept, read and replayed. */
import { readFileSync } from "node:fs"
import { type FlightRecord, parseFlightRecord } from "../host/flight-record.ts"
import { replay } from "../host/flight-replay.ts"
import { keepRecord } from "./agent-client.ts"
import { type Command, CommandFailure, exitStatus, parseOptions, print, usageFailure } from "./command.ts"
import { flightLines } from "./flight-screen.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat blackbox keep [--runtime-dir DIR]
       quorumbeat blackbox show FILE
       quorumbeat blackbox replay FILE

The agent remembers the last minutes of what happened to it and what it asked for: events, frames in the clear, effects. It
keeps a record by itself, in <state dir>/blackbox, when a right is lost and when it breaks.

  keep           have the agent keep a record now; prints its path
  show FILE      print it, step by step
  replay FILE    give the same events to this program's core: it must ask for the same

A record holds no keys. It does hold the configuration and what the nodes told each other.

  --runtime-dir DIR      the agent's runtime directory (${defaultPaths.runtime})

Exit status: 0 done; 1 not done, or the replay differs; 2 wrong use; 3 no agent.`

export const blackbox: Command = {
  summary: "keep, read and replay the last minutes of this node",
  help,
  async run(parameters) {
    const { values, positionals } = parseOptions(
      parameters,
      { "runtime-dir": { type: "string", default: defaultPaths.runtime } },
      { min: 1, max: 2 },
    )
    const [action, file] = positionals
    if (action === "keep" && file === undefined) return keepRecord(values["runtime-dir"])
    if (action !== "show" && action !== "replay")
      throw usageFailure(`blackbox ${positionals.join(" ")}: expected keep, show FILE or replay FILE`)
    if (file === undefined) throw usageFailure(`blackbox ${action}: say which file`)
    const record = readRecord(file)
    if (action === "replay") return report(file, record)
    for (const line of flightLines(record)) print(line)
    return exitStatus.done
  },
}

function report(file: string, record: FlightRecord): number {
  const result = replay(record)
  if (result.kind === "error") throw new CommandFailure(exitStatus.failed, `${file}: ${result.error}`)
  print(`${result.value} steps replayed, with the same effects`)
  return exitStatus.done
}

function readRecord(file: string): FlightRecord {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (cause) {
    throw new CommandFailure(exitStatus.failed, cause instanceof Error ? cause.message : String(cause))
  }
  const record = parseFlightRecord(bytes)
  if (record.kind === "error") throw new CommandFailure(exitStatus.failed, `${file}: ${record.error}`)
  return record.value
}
