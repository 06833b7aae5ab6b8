/** What moves a floating address between the nodes of a stage, and how it is broken and mended: the same for all. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Child } from "../../support/cluster/child.ts"
import type { Stage } from "../../support/floating/stage.ts"

export interface System {
  /** As in the table and on the command line. */
  readonly name: string
  readonly title: string
  /** Writes what the nodes need; called once, before any of them starts. */
  prepare(stage: Stage): Promise<void>
  /** Starts it on one node. */
  startOne(stage: Stage, node: string): Child
  /** Once all nodes have been started for the first time. */
  configure?(stage: Stage): Promise<void>
  /** All nodes are members again, whatever the client hears. */
  isWhole(stage: Stage): Promise<boolean>
}

export const faults = ["kill", "link-down", "stop"] as const
export type Fault = (typeof faults)[number]

export const faultTitles: Readonly<Record<Fault, string>> = {
  kill: "kill -9 of all its processes on the owner",
  "link-down": "the owner's cable pulled",
  stop: "SIGSTOP of all its processes on the owner",
}

export class RunningSystem {
  readonly #stage: Stage
  readonly #system: System
  readonly #leaders = new Map<string, Child>()

  constructor(stage: Stage, system: System) {
    this.#stage = stage
    this.#system = system
  }

  async start(limit: number): Promise<void> {
    await this.#system.prepare(this.#stage)
    for (const node of this.#stage.nodes) this.#startOne(node)
    await this.#system.configure?.(this.#stage)
    await this.whole(limit)
  }

  inject(fault: Fault, node: string): void {
    if (fault === "link-down") this.#stage.network.unplug(node)
    else this.#signal(node, fault === "kill" ? "SIGKILL" : "SIGSTOP")
  }

  /** The node as after a restart of the machine: no process, no address, cable in; then all of it starts again. */
  async mend(node: string, limit: number): Promise<void> {
    this.#signal(node, "SIGKILL")
    await this.#leaders.get(node)?.ended
    const { ipv4, ipv6 } = this.#stage.floating
    for (const address of [`${ipv4}/24`, `${ipv6}/64`])
      this.#stage.network.succeeds(node, "ip", ["addr", "del", address, "dev", "eth0"])
    this.#stage.network.plug(node)
    this.#startOne(node)
    await this.whole(limit)
  }

  async whole(limit: number): Promise<void> {
    for (const from = Date.now(); !(await this.#system.isWhole(this.#stage)); await sleep(200))
      if (Date.now() - from > limit) throw new Error(`${this.#system.name}: not whole within ${limit} ms`)
    await this.#stage.settled(limit, this.#stage.nodes, ["ipv4"])
  }

  #startOne(node: string): void {
    this.#leaders.set(node, this.#system.startOne(this.#stage, node))
  }

  #signal(node: string, signal: NodeJS.Signals): void {
    for (const pid of this.#stage.processesOf(node)) {
      try {
        process.kill(pid, signal)
      } catch {
        // It ended by itself meanwhile.
      }
    }
  }
}
