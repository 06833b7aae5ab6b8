/**
 * A cluster of real processes for one test file: built and started before its first test, brought back to health before each
 * (so a test that fails spoils no other), checked for exclusivity after each, and ended, by pid, after the last.
 */
import { type ChildProcess, fork } from "node:child_process"
import { subscribe } from "node:diagnostics_channel"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest"
import type { StatusAnswer } from "../../node-agent/host/control/local-api.ts"
import type { ProfileName } from "../../protocol/cluster.ts"
import { checkTraces } from "../check-trace/checks.ts"
import { readTraces } from "../check-trace/trace-file.ts"
import type { Agent, AgentSettings } from "../support/cluster/agent.ts"
import { endAll } from "../support/cluster/child.ts"
import { Cluster } from "../support/cluster/cluster.ts"
import { lastWords } from "../support/cluster/last-words.ts"
import type { ClusterLayout, SitePlan } from "../support/cluster/layout.ts"
import { compareEpochs, type Ledger, type Write } from "../support/cluster/ledger.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { createWorkplace, removeWorkplace, type Workplace } from "../support/cluster/workplace.ts"

export interface LabPlan {
  readonly name: string
  readonly sites: readonly SitePlan[]
  readonly hasWitness: boolean
  readonly profile?: ProfileName
  readonly timings?: Readonly<Record<string, number>>
  /** First choice first. */
  readonly serviceNodes?: readonly string[]
  /** Changes the generated configuration before anything runs. */
  readonly configure?: (toml: string, layout: ClusterLayout) => string
  /** Beside the cluster: started after the configuration is written and before the agents. */
  readonly companions?: (lab: Lab) => Promise<void> | void
  /** What each agent is started through. */
  readonly wrapper?: AgentSettings["wrapper"]
  /** What the agents are started with, beside what this process has. */
  readonly environment?: (agent: Agent) => Readonly<Record<string, string>>
  /** `false`: the test starts the agents it wants by itself. */
  readonly starts?: boolean
}

/** Milliseconds after which a test stops waiting. Nothing is asserted to be fast. */
export const patience = 20_000
/**
 * Rights between sites in tests: as short as leaves room for two lost renewals on a busy machine. Half of the
 * profile's values, so that a test of what happens after a TTL takes some seconds.
 */
export const ttl = 4_000
export const ttlWaited = Math.ceil(ttl * 1.003)
export const quickSites: Readonly<Record<string, number>> = {
  voice_ttl_ms: ttl,
  mandate_ttl_ms: ttl,
  renewal_ms: 800,
  summary_interval_ms: 400,
  wan_heartbeat_ms: 400,
  wan_silent_ms: 2_000,
  claim_stagger_ms: 800,
}

/** How long lines of a trace may be on their way. */
const tracePatience = 5_000

/** Two sites of two nodes. */
export const twoByTwo: readonly SitePlan[] = [
  { name: "north", nodes: ["n1", "n2"] },
  { name: "south", nodes: ["s1", "s2"] },
]

const statusesOf = (agents: readonly Agent[]) => Promise.all(agents.map((agent) => agent.status()))

/** Hooks for the present file. Its tests share the cluster. */
export function useLab(plan: LabPlan): Lab {
  const lab = new Lab(plan)
  beforeAll(() => lab.open())
  beforeEach(() => lab.restore())
  afterEach(({ task }) => lab.examine(task.result?.state === "fail"))
  afterAll(() => lab.close())
  return lab
}

export class Lab {
  readonly plan: LabPlan
  readonly #exitStatuses = new Map<number, number | null>()
  #workplace: Workplace | undefined
  #cluster: Cluster | undefined
  #guardian: ChildProcess | undefined
  #failed = false
  /** Violations that a former test was told of already. */
  readonly #told = new Set<string>()

  constructor(plan: LabPlan) {
    this.plan = plan
  }

  get cluster(): Cluster {
    if (this.#cluster === undefined) throw new Error("the cluster is not prepared")
    return this.#cluster
  }

  get ledger(): Ledger {
    return this.cluster.ledger
  }

  get program(): string {
    return this.#workplace?.program ?? ""
  }

  agent(name: string): Agent {
    return this.cluster.agent(name)
  }

  async open(): Promise<void> {
    this.#watchProcesses()
    this.#workplace = await createWorkplace(`e2e-${this.plan.name}`)
    const { name, sites, hasWitness, profile = "industrial", timings = {}, serviceNodes } = this.plan
    this.#cluster = await Cluster.prepare({
      ...{ name, sites, hasWitness, profile, timings, trace: true },
      ...(serviceNodes === undefined ? {} : { serviceNodes }),
      wrapper: this.plan.wrapper,
      directory: this.#workplace.directory,
      program: this.#workplace.program,
    })
    const { configFile } = this.cluster.layout
    const toml = readFileSync(configFile, "utf8")
    writeFileSync(configFile, this.plan.configure?.(toml, this.cluster.layout) ?? toml)
    await this.cluster.startWitness()
    await this.plan.companions?.(this)
  }

  /** All nodes up, all ways open, the service active: what every test begins with. */
  async restore(): Promise<void> {
    if (this.plan.starts === false) return
    if (this.plan.hasWitness) {
      await this.cluster.network.heal()
      if (!this.#isWitnessThere()) await this.cluster.witness.start()
    }
    for (const agent of this.cluster.agents) {
      this.wake(agent)
      if (!agent.isRunning) this.start(agent)
    }
    await this.settled()
  }

  /** The kit passes on this process's environment. */
  start(agent: Agent): void {
    const added = Object.entries(this.plan.environment?.(agent) ?? {})
    for (const [name, value] of added) process.env[name] = value
    agent.start()
    for (const [name] of added) delete process.env[name]
  }

  #isWitnessThere(): boolean {
    const { pid } = this.cluster.witness
    return pid !== undefined && !this.#exitStatuses.has(pid)
  }

  /** Both processes of an agent, whichever was stopped. */
  wake(agent: Agent): void {
    if (!agent.isRunning) return
    agent.signal("SIGCONT")
    const { controlPid } = agent
    if (controlPid !== undefined) process.kill(controlPid, "SIGCONT")
  }

  /** Until `agents` form one ring a site, hear each other, and one of them writes. */
  async settled(agents: readonly Agent[] = this.cluster.agents, limit = patience): Promise<void> {
    const from = now()
    let missing: readonly string[] = []
    const instead = (): string => missing.join("; ")
    await waitFor({ what: "the cluster settled", limit, interval: 100, instead }, async () => {
      missing = await this.#missing(agents, from)
      return missing.length === 0 || undefined
    })
  }

  /** What keeps the cluster from being settled. Pictures from before `from` say nothing. */
  async #missing(agents: readonly Agent[], from: number): Promise<readonly string[]> {
    const answers = await statusesOf(agents)
    const old = agents.flatMap(({ name, child }, index) => {
      const age = answers[index]?.age_ms
      if (age !== undefined) return now() - age < from ? [`${name}: no news`] : []
      return [`${name} ${child?.isRunning === false ? child.fate : "does not answer"}`]
    })
    if (old.length > 0) return old
    const statuses = answers.flatMap((answer) => (answer === undefined ? [] : [answer.status]))
    const sites = new Set(agents.map(({ node }) => node.site))
    const lacks = statuses.flatMap((status) => {
      const { name, site } = status.node
      const expected = agents.filter((agent) => agent.node.site === site).map((agent) => agent.name)
      const members = [...(status.ring?.members ?? [])].sort().join()
      return [
        status.membership === "operational" ? [] : [`${name} is ${status.membership}`],
        members === expected.sort().join() ? [] : [`${name} is in a ring of ${members}`],
        status.rights.voice.held ? [] : [`${name} has no voice`],
        status.sites
          .filter((each) => each.state === "silent" && sites.has(each.name))
          .map((each) => `${name} does not hear ${each.name}`),
        status.witness.state === "unreachable" ? [`${name} does not reach the witness`] : [],
        status.witness.state === "unknown" ? [`${name} has not met the witness`] : [],
        status.witness.state === "quarantined" ? [`${name} does not believe the witness`] : [],
      ].flat()
    })
    const last = this.ledger.last()
    const writes = last !== undefined && last.at > from && now() - last.at < 1_000
    return writes ? lacks : [...lacks, "nobody writes"]
  }

  /** After each test: never two owners, as the service's own log has it; I1 to I4 as the agents' traces do. */
  async examine(failed: boolean): Promise<void> {
    if (failed) {
      this.#failed = true
      process.stderr.write(`${await lastWords(this.#cluster?.agents ?? [])}\n`)
    }
    // Trace lines are written in batches by another process of each node: until all have come, one node seems to go on with
    // what it gave up. What is wrong in complete traces stays wrong.
    await sleep(200)
    let violations = this.#violations()
    for (let waited = 0; violations.length > 0 && waited < tracePatience; waited += 200) {
      await sleep(200)
      violations = this.#violations()
    }
    if (violations.length > 0) this.#failed = true
    for (const violation of violations) this.#told.add(violation)
    expect(violations, "exclusivity and agreement").toEqual([])
  }

  #violations(): readonly string[] {
    const traces = readTraces(this.cluster.layout.nodes.map(({ traceFile }) => traceFile))
    const all = [...this.ledger.violations(), ...checkTraces(traces).violations]
    return all.filter((each) => !this.#told.has(each))
  }

  async close(): Promise<void> {
    await this.#cluster?.end()
    endAll()
    if (this.#guardian?.connected === true) this.#guardian.disconnect()
    if (this.#workplace === undefined) return
    if (this.#failed) process.stderr.write(`logs and traces: ${this.#workplace.directory}\n`)
    else removeWorkplace(this.#workplace)
  }

  /** The kit does not tell how a process ended, nor does it end anything once this process is killed. */
  #watchProcesses(): void {
    const guardian = fork(join(import.meta.dirname, "guardian.ts"), { detached: true, stdio: "ignore" })
    guardian.unref()
    guardian.channel?.unref()
    this.#guardian = guardian
    subscribe("child_process", (message) => {
      const { process: child } = message as { readonly process: ChildProcess }
      child.once("spawn", () => guardian.connected && guardian.send(child.pid ?? 0))
      child.once("exit", (status) => this.#exitStatuses.set(child.pid ?? 0, status))
    })
  }

  /** `undefined`: still there. `null`: by a signal. */
  exitStatus(pid: number): number | null | undefined {
    return this.#exitStatuses.get(pid)
  }

  /** Who writes now. */
  owner(): Write {
    const last = this.ledger.last()
    if (last === undefined || now() - last.at > 1_000) throw new Error("nobody writes")
    return last
  }

  ownerAgent(): Agent {
    return this.agent(this.owner().node)
  }

  /** Nodes other than `agent`, of its site or of all. */
  others(agent: Agent, where: "site" | "cluster" = "cluster"): readonly Agent[] {
    const among = where === "site" ? this.cluster.agentsOf(agent.node.site) : this.cluster.agents
    return among.filter((each) => each !== agent)
  }

  /** Any other node of the same site, for sites of two. */
  neighbour(agent: Agent): Agent {
    const [other] = this.others(agent, "site")
    if (other === undefined) throw new Error(`${agent.name} is alone`)
    return other
  }

  otherSite(site: string): string {
    const other = this.cluster.layout.sites.find(({ name }) => name !== site)
    if (other === undefined) throw new Error("there is one site only")
    return other.name
  }

  async statusOf(agent: Agent): Promise<StatusAnswer["status"]> {
    const answer = await agent.status()
    if (answer === undefined) throw new Error(`${agent.name} does not answer`)
    return answer.status
  }

  /** How it is by now: a picture is up to a second old, and more on a busy machine. */
  presentStatusOf(agent: Agent): Promise<StatusAnswer["status"]> {
    const from = now()
    return waitFor({ what: `a new picture of ${agent.name}`, limit: patience, interval: 50 }, async () => {
      const asked = now()
      const answer = await agent.status()
      return answer !== undefined && asked - answer.age_ms > from ? answer.status : undefined
    })
  }

  /** The status of `agent` once `holds` is true of it. */
  statusWhen(
    agent: Agent,
    what: string,
    holds: (status: StatusAnswer["status"], answer: StatusAnswer) => boolean,
    limit = patience,
  ): Promise<StatusAnswer["status"]> {
    return waitFor({ what: `${agent.name}: ${what}`, limit, interval: 100 }, async () => {
      const answer = await agent.status()
      return answer !== undefined && holds(answer.status, answer) ? answer.status : undefined
    })
  }

  /** Another of `among` writes, after the last write of `before` and at a higher epoch; the first such write. */
  async succession(before: Write, from: number, among?: readonly string[]): Promise<Write> {
    const isHeir = ({ node }: Write) => among?.includes(node) ?? node !== before.node
    const what = `the service active on ${among?.join(" or ") ?? `another node than ${before.node}`}`
    const first = await waitFor({ what, limit: patience }, () => this.ledger.first(from, isHeir))
    // Long enough for a late write of the former owner to show.
    await sleep(1_000)
    const last = this.ledger.read().findLast(({ epoch }) => epoch === before.epoch)
    expect(compareEpochs(first.epoch, before.epoch), `${first.epoch} after ${before.epoch}`).toBeGreaterThan(
      0,
    )
    expect(first.at, "first write of the new owner").toBeGreaterThan(last?.at ?? 0)
    return first
  }

  /** In `duration` milliseconds nobody else acts, no activation begins anew, and the owner goes on after them. */
  async undisturbed(before: Write, duration: number): Promise<void> {
    await sleep(duration)
    const from = now()
    await waitFor({ what: "another write", limit: patience }, () => this.ledger.first(from, () => true))
    const since = this.ledger.tenures().filter(({ last }) => last >= before.at)
    expect(since.map(({ node, epoch }) => `${node} at ${epoch}`)).toEqual([
      `${before.node} at ${before.epoch}`,
    ])
    expect(now() - (this.ledger.last()?.at ?? 0), "since the last write").toBeLessThan(1_000)
  }
}
