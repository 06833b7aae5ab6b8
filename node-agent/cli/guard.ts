/** `quorumbeat guard`: the fencing token for programs that do not know of one. */
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { recordEpoch } from "../host/epoch-file.ts"
import { type Command, CommandFailure, exitStatus, parseOptions, usageFailure } from "./command.ts"

const help = `Usage: quorumbeat guard FILE -- COMMAND [ARGUMENT...]

Runs COMMAND only if QUORUMBEAT_EPOCH is not below the epoch last recorded in FILE, and records it there first. FILE belongs on
the storage that COMMAND works on, shared by all nodes; FILE.lock beside it guards it (flock). A COMMAND that is
already running is not ended when a higher epoch comes: let it ask again before each thing that it changes.

  --epoch EPOCH  instead of QUORUMBEAT_EPOCH

Exit status: that of COMMAND; 77 a higher epoch has acted, COMMAND was not run; 1 FILE cannot be read, locked or written, or
COMMAND not found: it was not run; 2 wrong options.`

/** EX_NOPERM of sysexits(3). */
const overStatus = 77

export const guard: Command = {
  summary: "run a command only under the newest epoch",
  help,
  run(parameters) {
    const { values, positionals } = parseOptions(
      parameters,
      { epoch: { type: "string" } },
      { min: 2, max: Number.POSITIVE_INFINITY },
    )
    const [file = "", name = "", ...rest] = positionals
    const epoch = values.epoch ?? process.env.QUORUMBEAT_EPOCH
    if (epoch === undefined) throw usageFailure("QUORUMBEAT_EPOCH is not set; see --help")
    const program = find(name)
    const outcome = recordEpoch(file, epoch)
    if (outcome.kind === "failed") throw new CommandFailure(exitStatus.failed, outcome.reason)
    if (outcome.kind === "over")
      throw new CommandFailure(overStatus, `epoch ${epoch} is over: ${outcome.recorded} has acted (${file})`)
    return become(program, [name, ...rest])
  },
}

/** As a shell does: a name with a slash is a path, any other is looked for in PATH. */
function find(name: string): string {
  const directories = (process.env.PATH ?? "").split(delimiter)
  const candidates = name.includes("/") ? [name] : directories.map((directory) => join(directory, name))
  const found = candidates.find(canRun)
  if (found === undefined) throw new CommandFailure(exitStatus.failed, `${name}: not found, or cannot be run`)
  return found
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Does not return: the command is this process from here on, with its signals and its exit status. */
function become(program: string, line: readonly string[]): never {
  if (process.execve === undefined)
    throw new CommandFailure(exitStatus.failed, "this Node has no process.execve; use Node 24")
  return process.execve(program, line, process.env)
}
