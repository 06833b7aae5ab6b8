/**
 * Where a floating address is watched: a switch, some nodes and a client, each in a network namespace. Each node answers at
 * the address by its name (`responder.ts`), the client asks all the time (`prober.ts`). What moves the address between the
 * nodes is somebody else's matter.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { Child } from "../cluster/child.ts"
import { waitFor } from "../cluster/waiting.ts"
import { Namespaces } from "../namespaces.ts"
import { Answers, type Family } from "./answers.ts"

export interface StagePlan {
  /** At most four letters. */
  readonly label: string
  /** Below 255; part of all addresses, so that stages can stand side by side. */
  readonly number: number
  readonly nodes: readonly string[]
  readonly directory: string
  /** Client and answers at realtime priority: what is measured is the system between them, not this machine's load. */
  readonly isMeasured?: boolean
}

export class Stage {
  readonly network: Namespaces
  readonly directory: string
  readonly nodes: readonly string[]
  readonly floating: { readonly ipv4: string; readonly ipv6: string }
  readonly answers: Answers
  readonly #children: Child[] = []
  readonly #responders = new Map<string, Child>()
  readonly #atClose: (() => void)[] = []
  readonly #number: number
  readonly #before: readonly string[]

  constructor({ label, number, nodes, directory, isMeasured = false }: StagePlan) {
    mkdirSync(directory, { recursive: true })
    this.directory = directory
    this.nodes = nodes
    this.#number = number
    this.#before = isMeasured ? ["chrt", "--rr", "--reset-on-fork", "60"] : []
    this.floating = { ipv4: `10.78.${number}.100`, ipv6: `fd78:${number}::100` }
    this.answers = new Answers(join(directory, "answers.log"))
    this.network = new Namespaces(label)
    for (const [index, node] of nodes.entries()) {
      this.network.add(node, this.#addresses(index + 1))
      for (const version of ["ipv4", "ipv6"])
        this.network.run(node, "sysctl", ["-qw", `net.${version}.ip_nonlocal_bind=1`])
    }
    this.network.add("client", this.#addresses(clientNumber))
  }

  addressOf(node: string): string {
    return `10.78.${this.#number}.${this.nodes.indexOf(node) + 1}`
  }

  get clientAddress(): string {
    return `10.78.${this.#number}.${clientNumber}`
  }

  /** The nodes answer and the client asks; nobody has the address yet. */
  async open(): Promise<void> {
    const { ipv4, ipv6 } = this.floating
    for (const node of this.nodes) {
      const program = [...this.#before, ...script("responder.ts", node, ipv4, ipv6)]
      this.#responders.set(node, this.spawn(node, "responder", program))
    }
    const nodes = this.nodes.map((node) => {
      const [entry] = JSON.parse(this.network.run(node, "ip", ["-json", "link", "show", "eth0"]))
      return `${node}=${entry.address}`
    })
    const own = this.#addresses(clientNumber).map((address) => address.split("/")[0])
    this.spawn("client", "answers", [
      ...this.#before,
      ...script("prober.ts", own.join(), `${ipv4},${ipv6}`, ...nodes),
    ])
    await waitFor({ what: "the client is ready", limit: 10_000 }, () => {
      this.answers.all()
      return true
    })
  }

  /** In the namespace of `machine`; ended with the stage. Its output goes to `<name>.log`. */
  spawn(machine: string, name: string, program: readonly string[], environment = {}): Child {
    const inside = ["ip", "netns", "exec", this.network.name(machine), ...program]
    return this.spawnInside(machine, name, inside, environment)
  }

  /** The same for a program that enters the namespace by itself. */
  spawnInside(machine: string, name: string, program: readonly string[], environment = {}): Child {
    const file = machine === "client" ? name : `${machine}-${name}`
    const child = new Child({
      name: `${name} of ${machine}`,
      program,
      logFile: join(this.directory, `${file}.log`),
      environment,
    })
    this.#children.push(child)
    return child
  }

  /** The node that answers at both addresses now, and no other. */
  async settled(
    limit: number,
    nodes: readonly string[] = this.nodes,
    families: readonly Family[] = ["ipv4", "ipv6"],
  ): Promise<string> {
    let said = ""
    return waitFor({ what: "one node answers", limit, interval: 50, instead: () => said }, () => {
      const now = Number(process.hrtime.bigint()) / 1e6
      const fresh = families.map((family) => {
        const last = this.answers.last(family)
        return last !== undefined && now - last.at < 100 ? last.node : undefined
      })
      said = `answering: ${fresh.map((each) => each ?? "nobody").join(", ")}`
      const [first] = fresh
      return first !== undefined && fresh.every((each) => each === first) && nodes.includes(first)
        ? first
        : undefined
    })
  }

  /** Of whatever moves the address, in the namespace of `node`: all but what answers at it. */
  processesOf(node: string): readonly number[] {
    const responders = [...this.#responders.values()].map(({ pid }) => pid)
    const pids = execFileSync("ip", ["netns", "pids", this.network.name(node)], { encoding: "utf8" })
    return pids
      .split("\n")
      .filter((text) => text !== "")
      .map(Number)
      .filter((pid) => !responders.includes(pid))
  }

  /** To what answers at the address on `node`. */
  signalAnswering(node: string, signal: NodeJS.Signals): void {
    this.#responders.get(node)?.signal(signal)
  }

  atClose(work: () => void): void {
    this.#atClose.push(work)
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()))
    for (const node of this.nodes) for (const pid of this.processesOf(node)) process.kill(pid, "SIGKILL")
    for (const work of this.#atClose) work()
    this.network.remove()
  }

  #addresses(host: number): readonly string[] {
    return [`10.78.${this.#number}.${host}/24`, `fd78:${this.#number}::${host}/64`]
  }
}

const clientNumber = 250

function script(name: string, ...parameters: readonly string[]): readonly string[] {
  return [process.execPath, join(import.meta.dirname, name), ...parameters]
}
