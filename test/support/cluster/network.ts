/** The network between the sites, as demo and tests handle it: cut, slow down, heal. */
import { join } from "node:path"
import { Child } from "./child.ts"
import type { ClusterLayout } from "./layout.ts"
import type { ForwarderMode, NetworkOrder, NetworkSetup } from "./network-process.ts"

export class Network {
  readonly child: Child
  readonly #sites: readonly string[]
  #answered: Promise<void>

  constructor(layout: ClusterLayout) {
    const setup: NetworkSetup = {
      nodes: layout.nodes.map(({ site, wan, wanBind }) => ({ site, wan, wanBind })),
      forwarders: layout.sites.map(({ name, forwarderPort }) => ({ site: name, port: forwarderPort })),
      witnessPort: layout.witnessPort,
    }
    this.#sites = layout.sites.map(({ name }) => name)
    this.child = new Child({
      name: "network",
      program: [process.execPath, join(import.meta.dirname, "network-process.ts"), JSON.stringify(setup)],
      logFile: join(layout.directory, "network.log"),
      ipc: true,
    })
    this.#answered = this.#nextAnswer()
  }

  ready(): Promise<void> {
    return this.#answered
  }

  /** Between each pair of sites, both ways. */
  async setWan(state: "open" | "cut"): Promise<void> {
    for (const from of this.#sites) {
      for (const to of this.#sites) if (from !== to) await this.setDirection(from, to, state)
    }
  }

  setDirection(from: string, to: string, state: "open" | "cut", delay = 0): Promise<void> {
    return this.#order({ kind: "wan", from, to, open: state === "open", delay })
  }

  /** The way of one site to the witness; answers take `answerDelay` milliseconds longer. */
  setUplink(site: string, mode: ForwarderMode, answerDelay = 0): Promise<void> {
    return this.#order({ kind: "forwarder", site, mode, answerDelay })
  }

  async heal(): Promise<void> {
    await this.setWan("open")
    for (const site of this.#sites) await this.setUplink(site, "open")
  }

  /** One order after the other: answers carry no name. */
  #order(order: NetworkOrder): Promise<void> {
    const answered = this.#answered.then(() => {
      const answer = this.#nextAnswer()
      this.child.process.send(order)
      return answer
    })
    this.#answered = answered
    return answered
  }

  #nextAnswer(): Promise<void> {
    const { process } = this.child
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new Error(`network: ended: ${this.child.lastWords()}`))
      process.once("exit", fail)
      process.once("message", () => {
        process.removeListener("exit", fail)
        resolve()
      })
    })
  }
}
