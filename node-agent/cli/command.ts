/** What every subcommand has in common: help, options, and how it fails. */
import { type ParseArgsConfig, parseArgs } from "node:util"

export interface Command {
  /** One line for the list of commands. */
  readonly summary: string
  /** All of `--help`. */
  readonly help: string
  /** Resolves with the exit status. Throws `CommandFailure` for what the user can mend. */
  run(parameters: readonly string[]): Promise<number>
}

/** Exit statuses that all commands share; `status` has its own (see there). */
export const exitStatus = {
  done: 0,
  /** It did not work; the message says what to do. */
  failed: 1,
  /** Wrong options, or a wrong configuration. */
  usage: 2,
  /** No agent answers on this machine. */
  unreachable: 3,
} as const

/** Printed as one line: what, where, what to do. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure"
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export function usageFailure(message: string): CommandFailure {
  return new CommandFailure(exitStatus.usage, message)
}

/** `parseArgs` with this program's kind of error; `positionals`: how many words may follow the options. */
export function parseOptions<Options extends NonNullable<ParseArgsConfig["options"]>>(
  parameters: readonly string[],
  options: Options,
  positionals: { readonly min: number; readonly max: number } = { min: 0, max: 0 },
) {
  const parsed = parseStrictly(parameters, options)
  const { length } = parsed.positionals
  if (length < positionals.min) throw usageFailure("something is missing; see --help")
  if (length > positionals.max)
    throw usageFailure(`unexpected \`${parsed.positionals[positionals.max]}\`; see --help`)
  return parsed
}

function parseStrictly<Options extends NonNullable<ParseArgsConfig["options"]>>(
  parameters: readonly string[],
  options: Options,
) {
  try {
    return parseArgs({ args: [...parameters], options, allowPositionals: true, strict: true })
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw usageFailure(`${message.split(". ")[0]}; see --help`)
  }
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
