/** Quorumbeat on a stage: one site, one service, the floating addresses and nothing else. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fetchStatus } from "../../../node-agent/cli/agent-client.ts"
import { CommandFailure } from "../../../node-agent/cli/command.ts"
import type { StatusAnswer } from "../../../node-agent/host/control/local-api.ts"
import type { ProfileName } from "../../../protocol/cluster.ts"
import { childrenOf, commandLine } from "../cluster/agent.ts"
import { type Child, run } from "../cluster/child.ts"
import { lastWords } from "../cluster/last-words.ts"
import { waitFor } from "../cluster/waiting.ts"
import type { Stage } from "./stage.ts"

export interface FloatingPlan {
  readonly program: string
  readonly profile: ProfileName
  /** Keys of `[timings]`. */
  readonly timings?: Readonly<Record<string, number>>
  /** Added to the configuration, after everything else. */
  readonly more?: string
  /** Of the two of a site without a witness. */
  readonly tieBreaker?: string
  readonly environment?: Readonly<Record<string, string>>
}

export class FloatingAgents {
  readonly stage: Stage
  readonly #plan: FloatingPlan
  readonly #agents = new Map<string, Child>()
  #said = ""

  constructor(stage: Stage, plan: FloatingPlan) {
    this.stage = stage
    this.#plan = plan
  }

  async start(): Promise<void> {
    await this.prepare()
    for (const node of this.stage.nodes) this.startOne(node)
    await this.stage.settled(20_000)
    await this.whole(20_000)
  }

  startOne(node: string, environment = this.#plan.environment): void {
    const folder = this.#folder(node)
    const program = [
      ...[process.execPath, this.#plan.program, "agent", "--config", this.#configFile, "--node", node],
      ...[
        "--state-dir",
        join(folder, "state"),
        "--runtime-dir",
        join(folder, "run"),
        "--key",
        join(folder, "key"),
      ],
      ...["--ring-key", this.#ringKey, "--trace", this.traceFile(node)],
    ]
    this.#agents.set(node, this.stage.spawn(node, "agent", program, environment))
  }

  /** The agent's real-time process, as the leader of its group. */
  child(node: string): Child {
    const child = this.#agents.get(node)
    if (child === undefined) throw new Error(`no agent on ${node}`)
    return child
  }

  /** What they said last, for a test that failed. */
  lastWords(): Promise<string> {
    return lastWords(
      this.stage.nodes.map((name) => ({
        name,
        child: this.#agents.get(name),
        status: () => this.status(name),
      })),
    )
  }

  controlPid(node: string): number {
    const pid = childrenOf(this.child(node).pid).find((each) => commandLine(each).includes("control"))
    if (pid === undefined) throw new Error(`${node} has no control process`)
    return pid
  }

  traceFile(node: string): string {
    return join(this.#folder(node), "trace.jsonl")
  }

  async status(node: string): Promise<StatusAnswer | undefined> {
    try {
      return await fetchStatus(join(this.#folder(node), "run"))
    } catch (cause) {
      if (cause instanceof CommandFailure) return undefined
      throw cause
    }
  }

  /** Every agent that should run runs again, and all are in one view. */
  async restore(): Promise<void> {
    this.stage.network.heal()
    for (const node of this.stage.nodes) {
      this.stage.network.plug(node)
      if (this.#agents.get(node)?.isRunning !== true) this.startOne(node)
      else {
        this.child(node).signalGroup("SIGCONT")
      }
    }
    await this.whole(30_000)
    await this.stage.settled(30_000)
  }

  async whole(limit: number): Promise<void> {
    await waitFor(
      { what: "all nodes in one view", limit, interval: 100, instead: () => this.#said },
      async () => {
        return (await this.isWhole()) || undefined
      },
    )
  }

  async isWhole(): Promise<boolean> {
    const names = [...this.stage.nodes].sort().join()
    const all = await Promise.all(this.stage.nodes.map((node) => this.status(node)))
    this.#said = this.stage.nodes
      .map((node, index) => {
        const status = all[index]?.status
        if (status !== undefined) return `${node} ${status.membership} ${status.ring?.members.join()}`
        return `${node} ${this.child(node).isRunning ? "does not answer" : this.child(node).fate}`
      })
      .join("; ")
    return all.every(
      (each) =>
        each?.status.membership === "operational" &&
        [...(each.status.ring?.members ?? [])].sort().join() === names &&
        each.age_ms < 2_000,
    )
  }

  get #configFile(): string {
    return join(this.stage.directory, "cluster.toml")
  }

  get #ringKey(): string {
    return join(this.stage.directory, "ring.key")
  }

  #folder(node: string): string {
    return join(this.stage.directory, node)
  }

  /** Keys, configuration and state; nothing runs yet. */
  async prepare(): Promise<void> {
    const { stage } = this
    const quorumbeat = (...parameters: readonly string[]) =>
      run([process.execPath, this.#plan.program, ...parameters])
    for (const node of stage.nodes) mkdirSync(this.#folder(node), { recursive: true })
    const [, ...keys] = await Promise.all([
      quorumbeat("keygen", "--ring", this.#ringKey),
      ...stage.nodes.map((node) => quorumbeat("keygen", join(this.#folder(node), "key"))),
    ])
    writeFileSync(this.#configFile, this.#toml(keys))
    await Promise.all(
      stage.nodes.map((node) => {
        const folder = this.#folder(node)
        const files = [
          "--key",
          join(folder, "key"),
          "--ring-key",
          this.#ringKey,
          "--state-dir",
          join(folder, "state"),
        ]
        return quorumbeat("init", "--config", this.#configFile, "--node", node, ...files)
      }),
    )
  }

  #toml(keys: readonly string[]): string {
    const { profile, timings = {}, more = "", tieBreaker } = this.#plan
    const figures = Object.entries(timings).map(([key, value]) => `${key} = ${value}\n`)
    const { nodes, floating } = this.stage
    const tables = nodes.map(
      (name, index) => `
[[node]]
id = ${index + 1}
name = "${name}"
site = "site"
links = ["${this.stage.addressOf(name)}"]
public_key = "${keys[index]}"
`,
    )
    return `cluster = "floating"
version = 1
profile = "${profile}"

[timings]
${figures.join("")}
[[site]]
name = "site"
${tieBreaker === undefined ? "" : `tie_breaker = "${tieBreaker}"\n`}${tables.join("")}
[[service]]
name = "address"

[[service.resource]]
kind = "ip"
name = "ipv4"
address = "${floating.ipv4}/24"

[[service.resource]]
kind = "ip"
name = "ipv6"
address = "${floating.ipv6}/64"
device = "eth0"
${more}`
  }
}
