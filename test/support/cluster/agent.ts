/** One node: its agent (`quorumbeat agent`, two processes) and its ledger daemon, which outlives the agent. */
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import { fetchStatus } from "../../../node-agent/cli/agent-client.ts"
import { CommandFailure } from "../../../node-agent/cli/command.ts"
import { judge } from "../../../node-agent/cli/status-verdict.ts"
import type { CommandResult } from "../../../node-agent/core/effects.ts"
import type { OperatorCommand } from "../../../node-agent/core/events.ts"
import { apiSocketPath, type StatusAnswer } from "../../../node-agent/host/control/local-api.ts"
import { leaseFilePath } from "../../../node-agent/host/lease-file.ts"
import { serviceName as brandServiceName } from "../../../protocol/units.ts"
import { Child } from "./child.ts"
import { serviceName } from "./cluster-toml.ts"
import type { ClusterLayout, NodeLayout } from "./layout.ts"

export interface AgentSettings {
  readonly program: string
  readonly trace: boolean
  readonly scheduling: "auto" | "none"
  /** What the agent is started through: a program that becomes it, as `ip netns exec` does. */
  readonly wrapper?: ((node: NodeLayout) => readonly string[]) | undefined
  /** `false`: its service needs no ledger daemon. */
  readonly hasLedger?: boolean | undefined
}

export class Agent {
  readonly node: NodeLayout
  readonly #layout: ClusterLayout
  readonly #settings: AgentSettings
  #program: string
  #child: Child | undefined
  #daemon: Child | undefined

  constructor(node: NodeLayout, layout: ClusterLayout, settings: AgentSettings) {
    this.node = node
    this.#layout = layout
    this.#settings = settings
    this.#program = settings.program
  }

  get name(): string {
    return this.node.name
  }

  /** Rules for direct paging; a test that wants it writes them before the agent starts. */
  get alertsFile(): string {
    return join(this.node.directory, "alerts.toml")
  }

  get isRunning(): boolean {
    return this.#child?.isRunning ?? false
  }

  /** The real-time process, as the leader of its group; `undefined`: it was never started. */
  get child(): Child | undefined {
    return this.#child
  }

  /** Of the real-time process. */
  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Of the control process; `undefined`: it is not there. */
  get controlPid(): number | undefined {
    return childrenOf(this.pid).find((pid) => commandLine(pid).includes("control"))
  }

  /** Another build of the program, from the next start on. */
  install(program: string): void {
    this.#program = program
  }

  start(): void {
    const { directory, name, stateDirectory, runtimeDirectory, keyFile, logFile, traceFile } = this.node
    const { trace, scheduling, wrapper } = this.#settings
    this.#child = new Child({
      name,
      program: [
        ...(wrapper?.(this.node) ?? []),
        ...[process.execPath, this.#program, "agent", "--config", this.#layout.configFile, "--node", name],
        ...["--state-dir", stateDirectory, "--runtime-dir", runtimeDirectory, "--key", keyFile],
        ...["--ring-key", this.#layout.ringKeyFile, "--scheduling", scheduling],
        ...(trace ? ["--trace", traceFile] : []),
        ...(existsSync(this.alertsFile) ? ["--alerts", this.alertsFile] : []),
      ],
      logFile,
    })
    const needsLedger = this.#settings.hasLedger ?? true
    if (needsLedger && this.#daemon?.isRunning !== true) this.#startDaemon(directory)
  }

  #startDaemon(directory: string): void {
    const { name, ledgerDirectory, runtimeDirectory } = this.node
    mkdirSync(ledgerDirectory, { recursive: true })
    const lease = leaseFilePath(runtimeDirectory, brandServiceName(serviceName))
    this.#daemon = new Child({
      name: `ledger of ${name}`,
      program: [process.execPath, daemonProgram, name, ledgerDirectory, lease, this.#layout.ledgerFile],
      logFile: join(directory, "ledger.log"),
    })
  }

  /** kill -9 of both processes of the agent at once; the ledger daemon lives on, as after a crash of the agent. */
  async kill(): Promise<void> {
    const child = this.#child
    child?.signalGroup("SIGKILL")
    await child?.ended
  }

  /** Only the real-time process: the control process stops the services and ends. */
  async killRealtime(): Promise<void> {
    this.#child?.signal("SIGKILL")
    await this.#child?.ended
  }

  async killDaemon(): Promise<void> {
    await this.#daemon?.kill()
  }

  /** SIGTERM: leaves in order. */
  async stop(patience: number): Promise<void> {
    await this.#child?.stop(patience)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.signal(signal)
  }

  /** `undefined`: no agent answers. */
  async status(): Promise<StatusAnswer | undefined> {
    if (!this.isRunning) return undefined
    try {
      return await fetchStatus(this.node.runtimeDirectory)
    } catch (cause) {
      if (cause instanceof CommandFailure) return undefined
      throw cause
    }
  }

  /** Nothing to complain about, as `quorumbeat status` sees it; otherwise what there is. */
  async complaints(): Promise<readonly string[]> {
    const answer = await this.status()
    if (answer === undefined) return [`${this.name} does not answer`]
    const verdict = judge(answer)
    return verdict.kind === "healthy" ? [] : verdict.reasons.map((reason) => `${this.name}: ${reason}`)
  }

  /** Resolves with the agent's answer; rejects if there is none. */
  command(command: OperatorCommand): Promise<CommandResult> {
    const socketPath = apiSocketPath(this.node.runtimeDirectory)
    return new Promise((resolve, reject) => {
      const asking = request({ socketPath, path: "/v1/commands", method: "POST" }, (response) => {
        let body = ""
        response.setEncoding("utf8")
        response.on("data", (part: string) => {
          body += part
        })
        response.on("end", () => {
          if (response.statusCode === 200) resolve(JSON.parse(body))
          else reject(new Error(`${this.name}: ${response.statusCode} ${body}`))
        })
      })
      asking.on("error", reject)
      asking.end(JSON.stringify(command))
    })
  }

  lastWords(): string {
    return this.#child?.lastWords() ?? ""
  }
}

const daemonProgram = join(import.meta.dirname, "ledger-daemon.ts")

export function childrenOf(pid: number): readonly number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim()
    return children === "" ? [] : children.split(" ").map(Number)
  } catch {
    // Gone.
    return []
  }
}

export function commandLine(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")
  } catch {
    // Gone.
    return []
  }
}
