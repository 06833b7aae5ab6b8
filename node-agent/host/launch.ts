/**
 * From `quorumbeat agent` to the real-time process. The first stage reads and checks what was configured, leaves it as a
 * file in the runtime directory and becomes the second by execve: same pid, but with the flags of the virtual
 * machine that a deadline needs, and without the memory that reading TOML took.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import type { NodeId } from "../../protocol/units.ts"
import type { LogLevel } from "../core/effects.ts"
import { runAgent } from "./agent.ts"
import { readDocument } from "./configuration-document.ts"
import { replaceConfigFile } from "./configuration-file.ts"
import type { RingKey } from "./cryptography.ts"
import { readRingKey } from "./key-file.ts"
import { createRuntimeDirectory } from "./lease-file.ts"
import { lockFileName, takeLock } from "./lock-file.ts"
import { loadNative } from "./native.ts"
import { prepareRealtime, type RealtimeReport } from "./realtime.ts"
import { loadState, type StateLoad } from "./state-file.ts"

/** All that the real-time process is started with. */
export interface Launch {
  /** What the file says. */
  readonly config: ClusterConfig
  readonly configFile: string
  /** Take the file although the record has another configuration. */
  readonly takeFile: boolean
  readonly self: NodeId
  readonly stateDirectory: string
  readonly runtimeDirectory: string
  readonly nodeKeyFile: string
  /** Alert rules for direct paging; `undefined`: this node does not page. */
  readonly alertsFile: string | undefined
  /** Checked: programs that root alone may replace. */
  readonly hooks: readonly string[]
  /** The active one first. */
  readonly ringKeyFiles: readonly string[]
  readonly logLevel: LogLevel
  readonly traceFile: string | undefined
  readonly scheduling: "auto" | "none"
  /** Processors to keep to; empty: any. */
  readonly processors: readonly number[]
  readonly holdLatency: boolean
  readonly bindToDevice: boolean
  /** Run the `energy` profile even without SCHED_FIFO. */
  readonly allowNoRealtime: boolean
}

/** The agent did not start; `message` says what, where and what to do. Nothing was changed. */
export class LaunchFailure extends Error {
  override readonly name = "LaunchFailure"
}

const realtimeSubcommand = "realtime"

/**
 * GC helper threads of a FIFO process starve at normal priority and hold it up (measured), so there are none; a small
 * young generation keeps each collection short.
 */
const realtimeFlags = [
  "--single-threaded-gc",
  "--max-semi-space-size=2",
  "--disable-warning=ExperimentalWarning",
]
const noNative = "the C library cannot be called"
/** A former agent's control process may still be stopping services: it holds the lock until they are stopped. */
const lockPatienceSeconds = 15

/** Does not return. */
export function becomeRealtime(launch: Launch): never {
  createRuntimeDirectory(launch.runtimeDirectory)
  const path = join(launch.runtimeDirectory, `launch.${process.pid}.json`)
  writeFileSync(path, JSON.stringify(launch), { mode: 0o600 })
  const [, script = ""] = process.argv
  const command = [process.execPath, ...realtimeFlags, script, realtimeSubcommand, path]
  if (process.execve === undefined) throw new LaunchFailure("this Node has no process.execve; use Node 24")
  return process.execve(process.execPath, command, process.env)
}

/** The second stage: runs until the node has left; resolves with the reason. */
export async function runRealtime(path: string): Promise<string> {
  const launch: Launch = JSON.parse(readFileSync(path, "utf8"))
  rmSync(path)
  const lockDescriptor = lock(launch.stateDirectory)
  const loaded = load(launch)
  const { config, state } = activeConfiguration(launch, loaded)
  const ringKeys = launch.ringKeyFiles.map(ringKey)
  const native = await loadNative()
  const realtime = await prepareRealtime(
    launch,
    native.kind === "ok" ? native.value : `${noNative}: ${native.error}`,
  )
  checkScheduling({ ...launch, config }, realtime)
  const library = native.kind === "ok" ? native.value : undefined
  return runAgent({ ...launch, config, state, ringKeys, realtime, native: library, lockDescriptor })
}

type LoadedState = Extract<StateLoad, { kind: "ok" | "missing" | "torn" }>

/**
 * Which configuration counts (SPEC LC7): once one was changed live, the record's. A file that says more than it is an operator's
 * intent that no ring has ordered: it is not run by accident.
 */
function activeConfiguration(
  launch: Launch,
  state: LoadedState,
): { readonly config: ClusterConfig; readonly state: LoadedState } {
  const { config: file, configFile } = launch
  const document = state.kind === "ok" ? state.state.configuration?.document : undefined
  if (state.kind !== "ok" || document === undefined || document === null) return { config: file, state }
  if (launch.takeFile)
    return { config: file, state: { ...state, state: { ...state.state, configuration: undefined } } }
  const active = readDocument(document)?.config
  if (active === undefined)
    throw new LaunchFailure(`${launch.stateDirectory}: its configuration cannot be read`)
  if (!active.nodes.some(({ id }) => id === launch.self))
    throw new LaunchFailure(`this node was removed from cluster ${active.name} by version ${active.version}`)
  const differs = file.version === active.version && file.checksum !== active.checksum
  if (file.version > active.version || differs) {
    throw new LaunchFailure(
      `${configFile}: is version ${file.version} (${file.checksum.slice(0, 8)}), the cluster's is ${active.version} ` +
        `(${active.checksum.slice(0, 8)}): change it with \`quorumbeat config apply\` while agents run, or start ` +
        "ALL agents of the cluster, after ALL have stopped, with --take-file",
    )
  }
  replaceConfigFile(configFile, document)
  return { config: active, state }
}

function lock(directory: string): number {
  const result = takeLock(join(directory, lockFileName), lockPatienceSeconds)
  if (result.kind === "locked") return result.descriptor
  if (result.kind === "failed") throw new LaunchFailure(`${directory}: cannot be locked: ${result.reason}`)
  throw new LaunchFailure(
    `${directory}: another agent (pid ${result.holder}), or its control process, still runs with this state; stop it first`,
  )
}

function load(launch: Launch): LoadedState {
  const { stateDirectory, config, self } = launch
  const state = loadState(stateDirectory, config.name, self)
  switch (state.kind) {
    case "foreign":
      throw new LaunchFailure(
        `${stateDirectory}: is the state of node ${state.node} of cluster ${state.cluster}, not of node ${self} of ` +
          `${config.name}; use its own directory`,
      )
    case "unreadable":
      throw new LaunchFailure(`${stateDirectory}: state cannot be read: ${state.reason}`)
    default:
      return state
  }
}

function ringKey(path: string): RingKey {
  const key = readRingKey(path)
  if (key.kind === "error") throw new LaunchFailure(key.error)
  return key.value
}

function checkScheduling(launch: Launch, report: RealtimeReport): void {
  if (launch.config.profile !== "energy" || report.got === "fifo" || launch.allowNoRealtime) return
  throw new LaunchFailure(
    `profile energy needs SCHED_FIFO and it was refused (${report.reason}); grant CAP_SYS_NICE, use the profile ` +
      "industrial, or accept false alarms with --allow-no-realtime",
  )
}
