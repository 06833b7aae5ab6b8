/**
 * The one program: `quorumbeat COMMAND`. Commands are loaded when they are asked for, so that the real-time process
 * holds no more than it needs.
 */
import { constants } from "node:os"
import { type Command, CommandFailure, exitStatus } from "./cli/command.ts"

const commands: Readonly<Record<string, () => Promise<Command>>> = {
  init: async () => (await import("./cli/init.ts")).init,
  keygen: async () => (await import("./cli/keygen.ts")).keygen,
  config: async () => (await import("./cli/config.ts")).config,
  simulate: async () => (await import("./cli/simulate.ts")).simulate,
  agent: async () => (await import("./cli/agent.ts")).agent,
  status: async () => (await import("./cli/status.ts")).status,
  service: async () => (await import("./cli/service.ts")).service,
  node: async () => (await import("./cli/node.ts")).node,
  maintenance: async () => (await import("./cli/maintenance.ts")).maintenance,
  ticket: async () => (await import("./cli/ticket.ts")).ticket,
  guard: async () => (await import("./cli/guard.ts")).guard,
  fence: async () => (await import("./cli/fence.ts")).fence,
  witness: async () => (await import("./cli/witness.ts")).witness,
  alerts: async () => (await import("./cli/alerts.ts")).alerts,
  blackbox: async () => (await import("./cli/blackbox.ts")).blackbox,
  version: async () => (await import("./cli/version.ts")).version,
}

/** The two processes of the agent, which start each other; not for people. */
const processes: Readonly<Record<string, (parameters: readonly string[]) => Promise<number>>> = {
  realtime: async (parameters) => (await import("./cli/realtime.ts")).realtime(parameters),
  control: async () => (await import("./cli/control.ts")).control(),
}

process.exitCode = await main(process.argv.slice(2))

/** A command whose reader is gone (`| head`) ends as other programs do then: silently, as by SIGPIPE. */
function endWithReader(cause: NodeJS.ErrnoException): void {
  if (cause.code !== "EPIPE") throw cause
  process.exit(128 + constants.signals.SIGPIPE)
}

async function main([name, ...parameters]: readonly string[]): Promise<number> {
  if (processes[name ?? ""] === undefined) process.stdout.on("error", endWithReader)
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(await overview())
    return name === undefined ? exitStatus.usage : exitStatus.done
  }
  const command = await commands[name === "--version" ? "version" : name]?.()
  try {
    if (command === undefined) return await runProcess(name, parameters)
    if (asksForHelp(parameters)) {
      process.stdout.write(`${command.help}\n`)
      return exitStatus.done
    }
    return await command.run(parameters)
  } catch (cause) {
    if (!(cause instanceof CommandFailure)) throw cause
    process.stderr.write(`quorumbeat: ${cause.message}\n`)
    return cause.status
  }
}

/** What follows `--` belongs to another program. */
function asksForHelp(parameters: readonly string[]): boolean {
  const end = parameters.indexOf("--")
  const own = end === -1 ? parameters : parameters.slice(0, end)
  return own.includes("--help") || own.includes("-h")
}

async function runProcess(name: string, parameters: readonly string[]): Promise<number> {
  const run = processes[name]
  if (run === undefined)
    throw new CommandFailure(exitStatus.usage, `no command \`${name}\`; see quorumbeat --help`)
  return run(parameters)
}

async function overview(): Promise<string> {
  const width = Math.max(...Object.keys(commands).map((name) => name.length))
  const lines = await Promise.all(
    Object.entries(commands).map(
      async ([name, load]) => `  ${name.padEnd(width)}  ${(await load()).summary}`,
    ),
  )
  return `Usage: quorumbeat COMMAND [options]\n\n${lines.join("\n")}\n\nEach has --help.\n`
}
