/**
 * Corosync as Debian packages it, knet with encryption as in its own key file, in the same kind of namespaces. Its view
 * changes are read in its log with high resolution times, which are 4 ms coarse, and a few ms earlier than what a program
 * that asks the library is told.
 */
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { childrenOf } from "../../support/cluster/agent.ts"
import { Child } from "../../support/cluster/child.ts"
import type { Workplace } from "../../support/cluster/workplace.ts"
import type { RingNetwork } from "./ring-network.ts"
import type { RingSystem, ViewSeen } from "./ring-system.ts"

export interface CorosyncPlan {
  readonly title: string
  /** Lines of corosync.conf's `totem` and of its `interface`. */
  readonly totem: string
  readonly link: string
}

export const defaults: CorosyncPlan = { title: "Corosync, defaults", totem: "", link: "" }
export const oneSecond: CorosyncPlan = { title: "Corosync, token 1000", totem: "  token: 1000\n", link: "" }

/** The fastest that were stable for minutes under full load on two processors: no view lost, none made anew. */
export function tuned(count: number): CorosyncPlan {
  const totem =
    count <= 3
      ? "  token: 60\n  token_retransmits_before_loss_const: 1\n  token_retransmit: 30\n  hold: 30\n"
      : "  token: 100\n  token_retransmits_before_loss_const: 2\n"
  return {
    title: `Corosync, token ${count <= 3 ? 60 : 100}`,
    totem: `${totem}  token_coefficient: 0\n`,
    link: "    knet_ping_interval: 200\n    knet_ping_timeout: 1000\n",
  }
}

export class CorosyncRing implements RingSystem {
  readonly title: string
  readonly nodes: readonly string[]
  readonly #network: RingNetwork
  readonly #directory: string
  readonly #children = new Map<string, Child>()

  constructor({ directory }: Workplace, network: RingNetwork, plan: CorosyncPlan) {
    this.title = plan.title
    this.nodes = network.nodes
    this.#network = network
    this.#directory = mkdtempSync(join(directory, "corosync-"))
    writeFileSync(this.#file("authkey"), randomBytes(256), { mode: 0o400 })
    for (const node of this.nodes) {
      mkdirSync(this.#file(node))
      writeFileSync(this.#file(node, "corosync.conf"), this.#configuration(node, plan))
    }
  }

  #file(...parts: readonly string[]): string {
    return join(this.#directory, ...parts)
  }

  #configuration(node: string, { totem, link }: CorosyncPlan): string {
    const nodes = this.nodes.map((name, index) => {
      return `  node {\n    ring0_addr: ${this.#network.addressOf(index)}\n    name: ${name}\n    nodeid: ${index + 1}\n  }\n`
    })
    return `totem {
  version: 2
  cluster_name: bench
  transport: knet
  crypto_cipher: aes256
  crypto_hash: sha256
  keyfile: ${this.#file("authkey")}
${totem}${link === "" ? "" : `  interface {\n    linknumber: 0\n${link}  }\n`}}
nodelist {
${nodes.join("")}}
quorum {
  provider: corosync_votequorum
}
logging {
  to_stderr: no
  to_syslog: no
  to_logfile: yes
  logfile: ${this.#file(node, "log")}
  timestamp: hires
}
`
  }

  async start(): Promise<void> {
    for (const node of this.nodes) this.startOne(node)
  }

  startOne(node: string): void {
    const places = ["/run", "/dev/shm", "/var/lib/corosync"].map((place) => `mount -t tmpfs tmpfs ${place}`)
    const script = `${places.join("; ")}; exec corosync -f -c ${this.#file(node, "corosync.conf")}`
    const child = new Child({
      name: `corosync of ${node}`,
      program: ["ip", "netns", "exec", this.#network.namespaces.name(node), "sh", "-ec", script],
      logFile: this.#file(node, "output"),
      environment: { TZ: "UTC" },
    })
    this.#children.set(node, child)
  }

  kill(node: string): void {
    this.#children.get(node)?.signalGroup("SIGKILL")
  }

  processes(node: string): Readonly<Record<string, number>> {
    const pid = this.#children.get(node)?.pid ?? 0
    const [forked] = childrenOf(pid)
    return { corosync: forked ?? pid }
  }

  views(node: string): readonly ViewSeen[] {
    const file = this.#file(node, "log")
    return existsSync(file) ? viewsIn(readFileSync(file, "utf8")) : []
  }

  async close(): Promise<void> {
    await Promise.all([...this.#children.values()].map((child) => child.kill()))
  }
}

/**
 * From its log. A long list of members, ascending, takes several lines; all but the last end with a backslash, and perhaps with the
 * first digit of the number that the next one begins with.
 */
export function viewsIn(log: string): readonly ViewSeen[] {
  const year = new Date().getUTCFullYear()
  const views: ViewSeen[] = []
  let before: readonly number[] = []
  for (const [, date, time, list = "", more] of log.matchAll(membersLine)) {
    const told = [...before, ...list.trim().split(" ").map(Number)]
    const members = told.filter((id, index) => id > (told[index - 1] ?? 0))
    before = more === undefined ? [] : members
    if (more === undefined) views.push({ at: Date.parse(`${date} ${year} ${time} UTC`), members })
  }
  return views
}

const membersLine = /^(\w{3} +\d+) ([\d:.]+) .*\[QUORUM\] Members\[\d+\]: ([\d ]+)(\\)?$/gm
