/**
 * Quorumbeat's ring: agents with one service that is hardly anything. What a node does is read in its log, whose
 * times are taken in the step itself, to the millisecond.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { ProfileName } from "../../../protocol/cluster.ts"
import { Cluster } from "../../support/cluster/cluster.ts"
import type { Workplace } from "../../support/cluster/workplace.ts"
import type { RingNetwork } from "./ring-network.ts"
import type { RingSystem, Succession, ViewSeen } from "./ring-system.ts"

const port = 5405
const wanPort = 5407
/** Milliseconds from the start of one agent to the next one's. */
const startPace = 400

export interface QuorumbeatPlan {
  readonly profile: ProfileName
  /** Keys of `[timings]`. */
  readonly timings: Readonly<Record<string, number>>
  /** So many of as many nodes each; 1 if left out. */
  readonly sites?: number
}

interface LogLine {
  readonly time: string
  readonly event: string
  readonly members?: string
  readonly ring?: string
}

export class QuorumbeatRing implements RingSystem {
  readonly title: string
  readonly nodes: readonly string[]
  readonly sites: readonly (readonly string[])[]
  readonly cluster: Cluster
  readonly #services: string

  private constructor(title: string, cluster: Cluster, services: string) {
    this.title = title
    this.nodes = cluster.layout.nodes.map(({ name }) => name)
    this.sites = cluster.layout.sites.map((site) => site.nodes.map(({ name }) => name))
    this.cluster = cluster
    this.#services = services
  }

  static async prepare(
    { directory, program }: Workplace,
    network: RingNetwork,
    { profile, timings, sites: siteCount = 1 }: QuorumbeatPlan,
  ): Promise<QuorumbeatRing> {
    const { nodes, namespaces } = network
    const perSite = nodes.length / siteCount
    const sites = Array.from({ length: siteCount }, (_, index) => {
      return { name: `site${index + 1}`, nodes: nodes.slice(index * perSite, (index + 1) * perSite) }
    })
    const cluster = await Cluster.prepare({
      ...{ name: "ring", sites, profile, timings, hasWitness: false },
      ...{ trace: false, hasLedger: false, program },
      wrapper: ({ name }) => ["ip", "netns", "exec", namespaces.name(name)],
      directory: mkdtempSync(join(directory, "ring-")),
    })
    const { configFile, directory: own, nodes: laidOut } = cluster.layout
    const moved = laidOut.reduce(
      (toml, { link, wan, wanBind }, index) => {
        const address = network.addressOf(index)
        const links = Array.from({ length: network.networks }, (_, at) => {
          return `"${network.addressOf(index, at)}:${port}"`
        })
        return toml
          .replace(`"${link}"`, links.join(", "))
          .replace(`"${wan}"`, `"${address}:${wanPort}"`)
          .replace(`"${wanBind}"`, `"${address}:${wanPort}"`)
      },
      readFileSync(configFile, "utf8"),
    )
    const services = join(own, "services")
    mkdirSync(services)
    writeFileSync(configFile, withService(moved, services))
    return new QuorumbeatRing(`Quorumbeat ${profile}`, cluster, services)
  }

  /** One after the other: sixty processes that start at once on two processors leave those of normal priority none. */
  async start(): Promise<void> {
    for (const { name } of this.cluster.agents) {
      this.startOne(name)
      await sleep(startPace)
    }
  }

  startOne(node: string): void {
    this.cluster.agent(node).start()
  }

  /** As a machine that loses its power: its service is gone too. */
  kill(node: string): void {
    void this.cluster.agent(node).kill()
    rmSync(join(this.#services, node), { force: true })
  }

  processes(node: string): Readonly<Record<string, number>> {
    const { pid, controlPid } = this.cluster.agent(node)
    return { realtime: pid, ...(controlPid === undefined ? {} : { control: controlPid }) }
  }

  views(node: string): readonly ViewSeen[] {
    const ids = this.cluster.layout.nodes.map(({ id }) => id)
    return this.lines(node, "view-installed").map(({ time, members = "" }) => ({
      at: Date.parse(time),
      members: members.split(",").map((id) => ids.indexOf(Number(id)) + 1),
    }))
  }

  owner(): string | undefined {
    const starts = this.nodes.flatMap((node) => {
      const last = this.lines(node, "service-running").at(-1)
      return last === undefined ? [] : [{ node, at: Date.parse(last.time) }]
    })
    return starts.toSorted((a, b) => a.at - b.at).at(-1)?.node
  }

  successions(from: number, former: string): Succession | undefined {
    for (const node of this.nodes) {
      if (node === former) continue
      const ordered = this.#since(node, "service-starting", from)
      const running = this.#since(node, "service-running", from)
      if (ordered !== undefined && running !== undefined) return { ordered, running }
    }
    return undefined
  }

  #since(node: string, event: string, from: number): number | undefined {
    return this.lines(node, event)
      .map(({ time }) => Date.parse(time))
      .find((at) => at >= from)
  }

  /** Of one kind of event. */
  lines(node: string, event: string): readonly LogLine[] {
    const marked = `"event":"${event}"`
    const text = readFileSync(this.cluster.agent(node).node.logFile, "utf8")
    return text.split("\n").flatMap((line) => (line.includes(marked) ? [JSON.parse(line)] : []))
  }

  /** Events that were logged as errors. */
  errors(node: string): readonly string[] {
    const text = readFileSync(this.cluster.agent(node).node.logFile, "utf8")
    return [...text.matchAll(/^\{"level":"error".*?"event":"([^"]+)"/gm)].map(([, event = ""]) => event)
  }

  close(): Promise<void> {
    return this.cluster.end()
  }
}

/** A service that is a file: there while it runs. */
function withService(toml: string, directory: string): string {
  const commands: Readonly<Record<string, string>> = { start: ": >", stop: "rm -f", monitor: "test -e" }
  return toml.replaceAll(/^(start|stop|monitor) = .*$/gm, (_line, action: string) => {
    const script = `${commands[action]} '${directory}'/$QUORUMBEAT_NODE`
    return `${action} = ${JSON.stringify(["/bin/sh", "-c", script])}`
  })
}
