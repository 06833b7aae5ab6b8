/** A real witness (workerd) and a node that only posts what a test says: enough for tests of what people are told. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { loadConfigFile } from "../../node-agent/host/config-file.ts"
import { wallTime } from "../../protocol/units.ts"
import { Cluster } from "../support/cluster/cluster.ts"
import { type Poster, posterOf, unwrap } from "../support/cluster/poster.ts"
import { createWorkplace, removeWorkplace, type Workplace } from "../support/cluster/workplace.ts"

/** Hooks for the present `describe`. The witness is not started. */
export function useAlertLab(name: string): AlertLab {
  const lab = new AlertLab(name)
  beforeAll(() => lab.open())
  afterAll(() => lab.close())
  return lab
}

class AlertLab {
  readonly #name: string
  #workplace: Workplace | undefined
  #cluster: Cluster | undefined
  #poster: Poster | undefined
  #serial = 0

  constructor(name: string) {
    this.#name = name
  }

  get cluster(): Cluster {
    if (this.#cluster === undefined) throw new Error("the cluster is not prepared")
    return this.#cluster
  }

  get directory(): string {
    return this.cluster.layout.directory
  }

  async open(): Promise<void> {
    this.#workplace = await createWorkplace(this.#name)
    const { directory, program } = this.#workplace
    this.#cluster = await Cluster.prepare({
      ...{ name: this.#name, directory, program, profile: "industrial", timings: {}, hasWitness: true },
      trace: false,
      sites: [{ name: "a", nodes: ["a1"] }],
    })
  }

  /** Up, and known to the node. */
  async startWitness(): Promise<void> {
    const { cluster } = this
    await cluster.startWitness()
    const [node] = cluster.layout.nodes
    if (node === undefined) throw new Error("the cluster has no node")
    this.#poster = posterOf(unwrap(loadConfigFile(cluster.layout.configFile)), node)
    await this.#poster.post()
  }

  async restartWitness(): Promise<void> {
    await this.cluster.witness.kill()
    await this.cluster.witness.start()
  }

  async close(): Promise<void> {
    await this.#poster?.close()
    await this.#cluster?.end()
    if (this.#workplace !== undefined) removeWorkplace(this.#workplace)
  }

  /** `quorumbeat alerts ...`, as an operator; what it prints. */
  alerts(...words: readonly string[]): Promise<string> {
    const { configFile, credentialFile } = this.cluster.layout
    const options = ["--config", configFile, "--credential-file", credentialFile]
    return this.cluster.quorumbeat("alerts", ...words, ...options)
  }

  apply(rules: string): Promise<string> {
    const file = join(this.directory, "rules.toml")
    writeFileSync(file, rules)
    return this.alerts("apply", file)
  }

  /** A critical event of the node, each time another one. */
  async report(kind: string, subject: string): Promise<void> {
    if (this.#poster === undefined) throw new Error("the witness is not started")
    this.#serial += 1
    const at = wallTime(Date.now())
    const id = `${this.#name}${this.#serial}`
    await this.#poster.post([{ id, kind, subject, severity: "critical", at, detail: "" }])
  }
}
