/** The machines of a ring: network namespaces at one switch for each network, whose ports count what each node sends. */
import { execFileSync } from "node:child_process"
import { Namespaces } from "../../support/namespaces.ts"

export interface Traffic {
  readonly packets: number
  /** Ethernet headers included. */
  readonly bytes: number
}

export class RingNetwork {
  readonly namespaces: Namespaces
  readonly nodes: readonly string[]
  readonly #number: number
  /** Ctrl-C leaves nothing behind; the processes in them were ended before. */
  readonly #atExit = (): void => this.namespaces.remove()

  readonly networks: number

  /** `label`: at most four letters; `number`: below 255, part of all addresses. */
  constructor(label: string, number: number, count: number, networks = 1) {
    this.#number = number
    this.networks = networks
    this.nodes = Array.from({ length: count }, (_, index) => `a${index + 1}`)
    this.namespaces = new Namespaces(label)
    process.on("exit", this.#atExit)
    for (const [index, node] of this.nodes.entries()) {
      this.namespaces.add(node, [`${this.addressOf(index)}/24`])
      for (let other = 1; other < networks; other++)
        this.namespaces.link(node, other, [`${this.addressOf(index, other)}/24`])
      this.namespaces.run(node, "sysctl", ["-qw", "net.ipv6.conf.all.disable_ipv6=1"])
    }
  }

  addressOf(index: number, onNetwork = 0): string {
    return `10.${79 + onNetwork}.${this.#number}.${index + 1}`
  }

  /** Everything in them must have ended. */
  remove(): void {
    process.off("exit", this.#atExit)
    this.namespaces.remove()
  }

  /** What the switch has received from each node since the beginning. */
  sent(): ReadonlyMap<string, Traffic> {
    const { switchName } = this.namespaces
    const links: readonly PortStatistics[] = JSON.parse(
      execFileSync("ip", ["-n", switchName, "-statistics", "-json", "link", "show"], { encoding: "utf8" }),
    )
    return new Map(
      this.nodes.map((node) => {
        const port = this.namespaces.portOf(node)
        const received = links.find(({ ifname }) => ifname === port)?.stats64.rx
        return [node, received ?? { packets: 0, bytes: 0 }]
      }),
    )
  }
}

interface PortStatistics {
  readonly ifname: string
  readonly stats64: { readonly rx: Traffic }
}
