/**
 * A WAN that remembers what passes over it: a relay like the kit's, in the test's own process. Each node gets a WAN
 * address of its own here (127.2.SITE.NODE), and what is sent to it is kept and passed on.
 */
import { createSocket, type Socket } from "node:dgram"
import type { ClusterLayout, NodeLayout } from "../support/cluster/layout.ts"

/** Frames kept for each receiver: the newest. */
const keptMax = 200

export class WanSniffer {
  /** By the address that each node sends from. */
  readonly #sockets = new Map<string, Socket>()
  readonly #frames = new Map<string, Buffer[]>()

  /** The configuration with these addresses instead of the kit's. */
  static configure(toml: string, layout: ClusterLayout): string {
    return layout.nodes.reduce((text, node) => text.replace(`"${node.wan}"`, `"${sniffed(node)}"`), toml)
  }

  async listen(layout: ClusterLayout): Promise<void> {
    await Promise.all(layout.nodes.map((node) => this.#open(node)))
  }

  /** Genuine frames that `node` has received, oldest first. */
  frames(node: string): readonly Buffer[] {
    return this.#frames.get(node) ?? []
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close()
  }

  #open(node: NodeLayout): Promise<void> {
    const socket = createSocket("udp4")
    this.#sockets.set(node.wanBind, socket)
    const to = addressOf(node.wanBind)
    socket.on("message", (bytes, from) => {
      const kept = this.#frames.get(node.name) ?? []
      this.#frames.set(node.name, [...kept, bytes].slice(-keptMax))
      // Passed on from the sender's own WAN address, as without a relay in between.
      this.#sockets.get(`${from.address}:${from.port}`)?.send(bytes, to.port, to.host)
    })
    const { host, port } = addressOf(sniffed(node))
    return new Promise((resolve, reject) => {
      socket.once("error", reject)
      socket.bind(port, host, resolve)
    })
  }
}

/** The node's WAN address. */
export const sniffed = ({ wan }: NodeLayout): string => wan.replace("127.1.", "127.2.")

export function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [host = "", port = ""] = text.split(":")
  return { host, port: Number(port) }
}
