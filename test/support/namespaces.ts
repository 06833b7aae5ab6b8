/** Network namespaces for one test file: machines joined by a switch, each with its own addresses, rules and neighbours. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"

export class Namespaces {
  readonly #prefix: string
  readonly #machines = new Map<string, string>()
  readonly #switch: string
  /** Beside br0. */
  readonly #bridges = new Set<string>()

  /** `label`: at most four letters, unlike any other file's. */
  constructor(label: string) {
    this.#prefix = `qb${label}${process.pid}`
    this.#switch = `${this.#prefix}-sw`
    run("ip", ["netns", "add", this.#switch])
    this.#in(this.#switch, "ip", ["link", "add", "br0", "type", "bridge"])
    this.#in(this.#switch, "sysctl", ["-qw", "net.ipv6.conf.all.disable_ipv6=1"])
    this.#in(this.#switch, "ip", ["link", "set", "br0", "up"])
  }

  /** A machine whose interface `eth0` has these addresses, each with its prefix. */
  add(machine: string, addresses: readonly string[]): void {
    const name = `${this.#prefix}-${machine}`
    this.#machines.set(machine, name)
    const port = this.portOf(machine)
    run("ip", ["netns", "add", name])
    this.#in(this.#switch, "ip", ["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name])
    this.#in(this.#switch, "ip", ["link", "set", port, "master", "br0", "up"])
    this.run(machine, "ip", ["link", "set", "lo", "up"])
    this.run(machine, "ip", ["link", "set", "eth0", "up"])
    for (const address of addresses)
      this.run(machine, "ip", [
        "addr",
        "add",
        address,
        "dev",
        "eth0",
        ...(address.includes(":") ? ["nodad"] : []),
      ])
  }

  /** Another network beside the first one, number 0: interface `eth<number>` of the machine. */
  link(machine: string, number: number, addresses: readonly string[]): void {
    const [bridge, port, device] = [`br${number}`, this.portOf(machine, number), `eth${number}`]
    if (!this.#bridges.has(bridge)) {
      this.#bridges.add(bridge)
      this.#in(this.#switch, "ip", ["link", "add", bridge, "type", "bridge"])
      this.#in(this.#switch, "ip", ["link", "set", bridge, "up"])
    }
    const peer = ["type", "veth", "peer", "name", device, "netns", this.name(machine)]
    this.#in(this.#switch, "ip", ["link", "add", port, ...peer])
    this.#in(this.#switch, "ip", ["link", "set", port, "master", bridge, "up"])
    this.run(machine, "ip", ["link", "set", device, "up"])
    for (const address of addresses) {
      const how = address.includes(":") ? ["nodad"] : []
      this.run(machine, "ip", ["addr", "add", address, "dev", device, ...how])
    }
  }

  /** The machine's port at the switch. */
  portOf(machine: string, link = 0): string {
    return link === 0 ? `p-${machine}` : `p${link}-${machine}`
  }

  /** Carrier lost at both ends, as when a cable is pulled. */
  unplug(machine: string, link = 0): void {
    this.#in(this.#switch, "ip", ["link", "set", this.portOf(machine, link), "down"])
  }

  plug(machine: string, link = 0): void {
    this.#in(this.#switch, "ip", ["link", "set", this.portOf(machine, link), "up"])
  }

  /** Datagrams from one machine to another that the switch no longer carries; on all networks, or on one. */
  drop(ways: readonly { readonly from: string; readonly to: string; readonly link?: number }[]): void {
    const rules = ways.flatMap(({ from, to, link }) =>
      (link === undefined ? [0, ...Array.from(this.#bridges, (_bridge, index) => index + 1)] : [link]).map(
        (each) =>
          `add rule bridge cut forward iifname ${this.portOf(from, each)} oifname ${this.portOf(to, each)} meta l4proto udp drop`,
      ),
    )
    const chain = "add chain bridge cut forward { type filter hook forward priority 0; }"
    this.#nftAtSwitch(["add table bridge cut", chain, ...rules, ""].join("\n"))
  }

  /**
   * What the switch no longer carries, without anybody seeing a lost carrier: `from` the machine, `to` it, or both. At the
   * switch and not at the machine, where the sender would get an error that no cable gives.
   */
  cut(machine: string, direction: "from" | "to" | "both"): void {
    const port = this.portOf(machine)
    const rules = [
      ...(direction === "to" ? [] : [`iifname ${port} drop`]),
      ...(direction === "from" ? [] : [`oifname ${port} drop`]),
    ]
    const text = rules.map((rule) => `add rule bridge cut forward ${rule}`).join("\n")
    this.#nftAtSwitch(
      `add table bridge cut\nadd chain bridge cut forward { type filter hook forward priority 0; }\n${text}\n`,
    )
  }

  /** Ends every cut. */
  heal(): void {
    this.#nftAtSwitch("add table bridge cut\ndelete table bridge cut\n")
  }

  /** Standard output; throws with standard error when it fails. */
  run(machine: string, program: string, parameters: readonly string[], input?: string): string {
    return this.#in(this.name(machine), program, parameters, input)
  }

  /** Did it end with status 0? */
  succeeds(machine: string, program: string, parameters: readonly string[]): boolean {
    try {
      this.run(machine, program, parameters)
      return true
    } catch {
      return false
    }
  }

  spawn(machine: string, program: string, parameters: readonly string[]): ChildProcess {
    return spawn("ip", ["netns", "exec", this.name(machine), program, ...parameters], {
      stdio: ["pipe", "pipe", "inherit"],
    })
  }

  name(machine: string): string {
    const name = this.#machines.get(machine)
    if (name === undefined) throw new Error(`no machine ${machine}`)
    return name
  }

  /** The namespace of the switch. */
  get switchName(): string {
    return this.#switch
  }

  /** Everything in them must have ended. */
  remove(): void {
    for (const name of [...this.#machines.values(), this.#switch]) run("ip", ["netns", "delete", name])
  }

  #nftAtSwitch(rules: string): void {
    this.#in(this.#switch, "nft", ["-f", "-"], rules)
  }

  #in(namespace: string, program: string, parameters: readonly string[], input?: string): string {
    return run("ip", ["netns", "exec", namespace, program, ...parameters], input)
  }
}

function run(program: string, parameters: readonly string[], input?: string): string {
  return execFileSync(program, parameters, {
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
    ...(input === undefined ? {} : { input }),
  })
}
