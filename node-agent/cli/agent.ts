/** `quorumbeat agent`: checks what it is given and becomes the real-time process. */
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import type { ClusterConfig, NodeConfig } from "../../protocol/cluster.ts"
import type { LogLevel } from "../core/effects.ts"
import { hookProblem } from "../host/control/hooks/hook-program.ts"
import { readNodeKey, readRingKey, readSecret } from "../host/key-file.ts"
import { becomeRealtime, LaunchFailure } from "../host/launch.ts"
import { processorMax } from "../host/realtime.ts"
import { readAlertFile } from "../paging/page.ts"
import { type Command, CommandFailure, exitStatus, parseOptions, usageFailure } from "./command.ts"
import { findSelf, readConfiguration } from "./configuration.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat agent [options]

Runs this node: the ring, its rights and its services. Stays in the foreground; logs JSON lines to standard error.
SIGTERM leaves the ring in order (services stop or move); a second SIGTERM, or 30 s, ends at once.

  --config FILE           cluster configuration (${defaultPaths.config})
  --node NAME             which of its nodes this is (this host's name)
  --state-dir DIR         durable record and lock (${defaultPaths.state})
  --runtime-dir DIR       lease files and socket, best on tmpfs (${defaultPaths.runtime})
  --key FILE              this node's Ed25519 key (${defaultPaths.nodeKey})
  --ring-key FILE         shared ring key, the active one first; may be given again (${defaultPaths.ringKey})
  --alerts FILE           alert rules for paging from here while the witness is away (${defaultPaths.alerts}, if it is there)
  --hook PROGRAM          run PROGRAM when a peer, the view, voice, a mandate or a service changes; may be given again
  --log-level LEVEL       debug, info, warn or error (info)
  --trace FILE            append every event with its effects to FILE, as JSON lines
  --scheduling auto|none  try SCHED_FIFO, then nice -20; none: leave as it is (auto)
  --processors LIST       keep the real-time process to these processors: 2 or 2,3 (any)
  --hold-cpu-latency      keep processors out of deep sleep (/dev/cpu_dma_latency at 0); costs power
  --any-device            let a link use any interface, not only the one that has its address
  --take-file             start with FILE although the cluster has changed its configuration since: only after ALL
                          agents of the cluster were stopped, and then for all of them
  --allow-no-realtime     run the profile energy even if SCHED_FIFO is refused

Exit status: 0 left in order; 1 could not start; 2 wrong options or configuration; 70 broken invariant (report it);
75 ended before it had left.`

const options = {
  config: { type: "string", default: defaultPaths.config },
  node: { type: "string" },
  "state-dir": { type: "string", default: defaultPaths.state },
  "runtime-dir": { type: "string", default: defaultPaths.runtime },
  key: { type: "string", default: defaultPaths.nodeKey },
  "ring-key": { type: "string", multiple: true, default: [defaultPaths.ringKey] as string[] },
  alerts: { type: "string" },
  hook: { type: "string", multiple: true, default: [] as string[] },
  "log-level": { type: "string", default: "info" },
  trace: { type: "string" },
  scheduling: { type: "string", default: "auto" },
  processors: { type: "string" },
  "hold-cpu-latency": { type: "boolean", default: false },
  "any-device": { type: "boolean", default: false },
  "take-file": { type: "boolean", default: false },
  "allow-no-realtime": { type: "boolean", default: false },
} as const

export const agent: Command = {
  summary: "run this node",
  help,
  async run(parameters) {
    const { values } = parseOptions(parameters, options)
    const config = readConfiguration(values.config)
    const self = findSelf(config, values.node)
    checkKeys(config, self, values.key, values["ring-key"])
    try {
      becomeRealtime({
        config,
        configFile: resolve(values.config),
        takeFile: values["take-file"],
        self: self.id,
        stateDirectory: values["state-dir"],
        runtimeDirectory: values["runtime-dir"],
        nodeKeyFile: values.key,
        ringKeyFiles: values["ring-key"],
        alertsFile: checkAlerts(values.alerts),
        hooks: checkHooks(values.hook),
        logLevel: readLogLevel(values["log-level"]),
        traceFile: values.trace,
        scheduling: readScheduling(values.scheduling),
        processors: readProcessors(values.processors),
        bindToDevice: !values["any-device"],
        holdLatency: values["hold-cpu-latency"],
        allowNoRealtime: values["allow-no-realtime"],
      })
    } catch (cause) {
      if (cause instanceof LaunchFailure) throw new CommandFailure(exitStatus.failed, cause.message)
      throw cause
    }
  },
}

/** They run as this user, whenever something changes: nobody else may replace them. */
function checkHooks(programs: readonly string[]): readonly string[] {
  for (const program of programs) {
    const problem = hookProblem(program)
    if (problem !== undefined) throw usageFailure(problem)
  }
  return programs
}

/** Found now, not at the first frame that no one can open, or the first summary that the witness refuses. */
function checkKeys(
  config: ClusterConfig,
  self: NodeConfig,
  keyFile: string,
  ringKeyFiles: readonly string[],
): void {
  const key = readNodeKey(keyFile)
  if (key.kind === "error") throw usageFailure(key.error)
  if (key.value.publicKey !== self.publicKey) {
    throw usageFailure(
      `${keyFile}: is not the key of node ${self.name}: its public key is ${key.value.publicKey}, ` +
        `cluster ${config.name} lists ${self.publicKey}`,
    )
  }
  const ids = new Set<number>()
  for (const file of ringKeyFiles) {
    const ringKey = readRingKey(file)
    if (ringKey.kind === "error") throw usageFailure(ringKey.error)
    if (ids.has(ringKey.value.id))
      throw usageFailure(`${file}: a second ring key with id ${ringKey.value.id}`)
    ids.add(ringKey.value.id)
  }
}

/** The file to page by; `undefined`: there is none. One that cannot be used is found now, not when the witness is away. */
function checkAlerts(file: string | undefined): string | undefined {
  const path = file ?? (existsSync(defaultPaths.alerts) ? defaultPaths.alerts : undefined)
  if (path === undefined) return undefined
  const text = readSecret(path)
  if (text.kind === "error") throw usageFailure(text.error)
  const read = readAlertFile(text.value)
  if (read.kind === "error") throw usageFailure(`${path}:${read.error}`)
  return path
}

function readLogLevel(word: string): LogLevel {
  if (word === "debug" || word === "info" || word === "warn" || word === "error") return word
  throw usageFailure(`--log-level ${word}: expected debug, info, warn or error`)
}

function readProcessors(list: string | undefined): readonly number[] {
  if (list === undefined) return []
  const numbers = /^\d+(,\d+)*$/.test(list) ? list.split(",").map(Number) : []
  if (numbers.length > 0 && numbers.every((number) => number <= processorMax)) return numbers
  throw usageFailure(`--processors ${list}: expected numbers of processors with commas, as 2,3`)
}

function readScheduling(word: string): "auto" | "none" {
  if (word === "auto" || word === "none") return word
  throw usageFailure(`--scheduling ${word}: expected auto or none`)
}
