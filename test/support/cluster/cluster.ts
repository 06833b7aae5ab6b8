/**
 * A whole cluster of real processes on this machine, made the way an operator makes one: keys, `cluster.toml`, `init`,
 * witness, registration and agents, all through the `quorumbeat` program.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { memory, removeOrphans } from "../orphans.ts"
import { Agent, type AgentSettings } from "./agent.ts"
import { run } from "./child.ts"
import { type ClusterSettings, clusterToml } from "./cluster-toml.ts"
import { type ClusterLayout, layOut, reservePorts, type SitePlan } from "./layout.ts"
import { Ledger, type Write } from "./ledger.ts"
import { Network } from "./network.ts"
import { waitFor } from "./waiting.ts"
import { WebhookReceiver } from "./webhook-receiver.ts"
import { Witness } from "./witness.ts"

export interface ClusterPlan extends ClusterSettings {
  readonly name: string
  readonly sites: readonly SitePlan[]
  /** Everything goes below this folder. */
  readonly directory: string
  /** `quorumbeat.js` with `witness.js` beside it. */
  readonly program: string
  readonly basePort?: number
  readonly trace: boolean
  readonly scheduling?: "auto" | "none"
  readonly wrapper?: AgentSettings["wrapper"]
  readonly hasLedger?: boolean
}

export class Cluster {
  readonly layout: ClusterLayout
  readonly agents: readonly Agent[]
  readonly ledger: Ledger
  readonly receiver = new WebhookReceiver()
  readonly witness: Witness
  readonly #plan: ClusterPlan
  readonly #release: () => void
  #network: Network | undefined

  private constructor(plan: ClusterPlan, layout: ClusterLayout, release: () => void) {
    this.#plan = plan
    this.#release = release
    this.layout = layout
    this.witness = new Witness(layout, plan.program)
    this.ledger = new Ledger(layout.ledgerFile)
    const settings = {
      program: plan.program,
      trace: plan.trace,
      scheduling: plan.scheduling ?? "auto",
      wrapper: plan.wrapper,
      hasLedger: plan.hasLedger,
    }
    this.agents = layout.nodes.map((node) => new Agent(node, layout, settings))
  }

  /** Keys, configuration and durable state; nothing runs yet. */
  static async prepare(plan: ClusterPlan): Promise<Cluster> {
    const { basePort, release } = await reservePorts(plan.basePort)
    const runtimeRoot = createRuntimeRoot(plan.directory)
    const layout = layOut(plan.name, plan.directory, runtimeRoot, basePort, plan.sites)
    const cluster = new Cluster(plan, layout, () => {
      release()
      rmSync(runtimeRoot, { recursive: true, force: true })
    })
    try {
      await cluster.#makeKeys()
      await Promise.all(layout.nodes.map((node) => cluster.#init(node.name)))
    } catch (cause) {
      cluster.#release()
      throw cause
    }
    return cluster
  }

  get network(): Network {
    if (this.#network === undefined) throw new Error("the network is not started")
    return this.#network
  }

  agent(name: string): Agent {
    const agent = this.agents.find((each) => each.name === name)
    if (agent === undefined) throw new Error(`no node ${name}`)
    return agent
  }

  agentsOf(site: string): readonly Agent[] {
    return this.agents.filter((agent) => agent.node.site === site)
  }

  /** Witness, network and registration; for a cluster without a witness nothing. */
  async startWitness(): Promise<void> {
    if (!this.#plan.hasWitness) return
    this.#network = new Network(this.layout)
    await Promise.all([
      this.#network.ready(),
      this.receiver.listen(this.layout.receiverPort),
      this.witness.start(),
    ])
    const { configFile, credentialFile, alertsFile } = this.layout
    const files = ["--config", configFile, "--credential-file", credentialFile, "--alerts", alertsFile]
    await this.quorumbeat("witness", "register", ...files)
  }

  startAgents(): void {
    for (const agent of this.agents) agent.start()
  }

  /** Until `quorumbeat status` has nothing to complain about on any of `agents`. */
  async healthy(limit: number, agents: readonly Agent[] = this.agents): Promise<void> {
    let complaints: readonly string[] = []
    await waitFor({ what: "all nodes healthy", limit, instead: () => complaints.join("; ") }, async () => {
      complaints = (await Promise.all(agents.map((agent) => agent.complaints()))).flat()
      return complaints.length === 0 || undefined
    })
  }

  /** Until somebody has written. */
  active(limit: number): Promise<Write> {
    return waitFor({ what: "the service active", limit }, () => this.ledger.last())
  }

  /** The first write at or after `from` by none of `former`. */
  succession(former: readonly string[], from: number, limit: number): Promise<Write> {
    return waitFor(
      { what: `the service active elsewhere than on ${former.join(", ")}`, limit, interval: 10 },
      () => this.ledger.first(from, ({ node }) => !former.includes(node)),
    )
  }

  /** Ends everything at once. */
  async end(): Promise<void> {
    await Promise.all(this.agents.map((agent) => agent.kill()))
    await Promise.all(this.agents.map((agent) => agent.killDaemon()))
    await this.witness.kill()
    await this.#network?.child.kill()
    this.receiver.close()
    this.#release()
  }

  quorumbeat(...parameters: readonly string[]): Promise<string> {
    return run([process.execPath, this.#plan.program, ...parameters])
  }

  async #makeKeys(): Promise<void> {
    const { layout } = this
    const { ringKeyFile, witnessKeyFile, credentialFile, alertsFile, configFile, receiverPort } = layout
    mkdirSync(dirname(ringKeyFile), { recursive: true, mode: 0o700 })
    for (const node of layout.nodes) mkdirSync(node.directory, { recursive: true })
    const [witness, nodes] = await Promise.all([
      this.quorumbeat("keygen", "--witness", witnessKeyFile),
      Promise.all(layout.nodes.map(({ keyFile }) => this.quorumbeat("keygen", keyFile))),
      this.quorumbeat("keygen", "--ring", ringKeyFile),
      this.quorumbeat("keygen", "--credential", credentialFile),
    ])
    const keys = {
      witness,
      nodes: new Map(layout.nodes.map(({ name }, index) => [name, nodes[index] ?? ""])),
    }
    writeFileSync(configFile, clusterToml(layout, this.#plan, keys))
    const url = `http://127.0.0.1:${receiverPort}/alerts`
    const receiver = `[[receiver]]\nname = "demo"\nkind = "webhook"\nurl = "${url}"\nsecret = "${this.receiver.secret}"\n`
    writeFileSync(alertsFile, `group_wait = "0s"\n${receiver}`)
    chmodSync(alertsFile, 0o600)
  }

  async #init(name: string): Promise<void> {
    const { configFile, ringKeyFile } = this.layout
    const { keyFile, stateDirectory } = this.agent(name).node
    const files = ["--key", keyFile, "--ring-key", ringKeyFile, "--state-dir", stateDirectory]
    await this.quorumbeat("init", "--config", configFile, "--node", name, ...files)
  }
}

const runtimeRootPrefix = "quorumbeat-run-"

/** In memory, as /run is on a node. */
function createRuntimeRoot(directory: string): string {
  removeOrphans(runtimeRootPrefix)
  return mkdtempSync(join(existsSync(memory) ? memory : directory, `${runtimeRootPrefix}${process.pid}-`))
}
