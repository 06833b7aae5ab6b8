/**
 * The network between the sites as a process of its own: a relay for the datagrams of the WAN and a forwarder in front of
 * the witness for each site, each of which can be cut and slowed down. Started by `network.ts`, which sends the setup as its
 * first argument and orders over the channel between the two; an order is answered once it holds.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram"
import { connect, createServer, type Server, type Socket } from "node:net"

export interface NetworkSetup {
  readonly nodes: readonly RelayedNode[]
  readonly forwarders: readonly ForwarderSetup[]
  readonly witnessPort: number
}

export interface RelayedNode {
  readonly site: string
  /** What the others send to, and where it is passed on to. */
  readonly wan: string
  readonly wanBind: string
}

export interface ForwarderSetup {
  readonly site: string
  readonly port: number
}

/**
 * - `refuse`: connections are reset and refused, as when a host answers that nothing listens there;
 * - `drop`: what is sent vanishes and new connections hang, as behind a cut cable;
 * - `drain`: as `drop`, but answers that were already on their way still arrive.
 */
export type ForwarderMode = "open" | "refuse" | "drop" | "drain"

export type NetworkOrder =
  | {
      readonly kind: "wan"
      readonly from: string
      readonly to: string
      readonly open: boolean
      readonly delay: number
    }
  | {
      readonly kind: "forwarder"
      readonly site: string
      readonly mode: ForwarderMode
      readonly answerDelay: number
    }

class WanRelay {
  readonly #nodes: readonly RelayedNode[]
  readonly #sockets = new Map<string, UdpSocket>()
  readonly #directions = new Map<string, { readonly open: boolean; readonly delay: number }>()

  constructor(nodes: readonly RelayedNode[]) {
    this.#nodes = nodes
  }

  async listen(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => this.#open(node)))
  }

  set(order: NetworkOrder & { readonly kind: "wan" }): void {
    this.#directions.set(`${order.from}>${order.to}`, order)
  }

  #open(node: RelayedNode): Promise<void> {
    const { host, port } = addressOf(node.wan)
    const socket = createSocket("udp4")
    this.#sockets.set(node.wan, socket)
    socket.on("message", (bytes, from) => this.#relay(node, bytes, `${from.address}:${from.port}`))
    return new Promise((resolve, reject) => {
      socket.once("error", reject)
      socket.bind(port, host, resolve)
    })
  }

  /** The receiver sees the sender's own WAN address, as without a relay in between. */
  #relay(to: RelayedNode, bytes: Buffer, source: string): void {
    const from = this.#nodes.find((node) => node.wanBind === source)
    if (from === undefined) return
    const { open, delay } = this.#directions.get(`${from.site}>${to.site}`) ?? { open: true, delay: 0 }
    if (!open) return
    const { host, port } = addressOf(to.wanBind)
    const pass = (): void => this.#sockets.get(from.wan)?.send(bytes, port, host)
    if (delay === 0) pass()
    else setTimeout(pass, delay)
  }
}

class Forwarder {
  readonly #port: number
  readonly #witnessPort: number
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #server: Server | undefined
  #mode: ForwarderMode = "open"
  #answerDelay = 0

  constructor(port: number, witnessPort: number) {
    this.#port = port
    this.#witnessPort = witnessPort
  }

  async set(mode: ForwarderMode, answerDelay: number): Promise<void> {
    const before = this.#mode
    this.#mode = mode
    this.#answerDelay = answerDelay
    // What was dropped on a connection makes it useless once packets pass again.
    if (mode === "refuse" || (mode === "open" && before !== "open")) this.#endPairs()
    if (mode === "refuse") await this.#close()
    else await this.listen()
  }

  listen(): Promise<void> {
    if (this.#server !== undefined) return Promise.resolve()
    const server = createServer((client) => this.#accept(client))
    this.#server = server
    return new Promise((resolve, reject) => {
      server.once("error", reject)
      server.listen(this.#port, "127.0.0.1", resolve)
    })
  }

  #close(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    return new Promise((resolve) => {
      if (server === undefined) resolve()
      else server.close(() => resolve())
    })
  }

  #endPairs(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy()
    this.#pairs.clear()
  }

  #accept(client: Socket): void {
    const witness = connect(this.#witnessPort, "127.0.0.1")
    const pair = [client, witness] as const
    this.#pairs.add(pair)
    client.setNoDelay()
    witness.setNoDelay()
    client.on("data", (chunk: Buffer) => {
      if (this.#mode === "open") witness.write(chunk)
    })
    witness.on("data", (chunk: Buffer) => this.#answer(client, chunk))
    const end = (): void => {
      // A dropped connection hangs: neither side learns that the other is gone.
      if (this.#mode !== "open") return
      this.#pairs.delete(pair)
      client.destroy()
      witness.destroy()
    }
    for (const socket of pair) {
      socket.on("close", end)
      socket.on("error", end)
    }
  }

  #answer(client: Socket, chunk: Buffer): void {
    const pass = (): void => {
      if (this.#mode !== "drop" && client.writable) client.write(chunk)
    }
    if (this.#answerDelay === 0) pass()
    else setTimeout(pass, this.#answerDelay)
  }
}

function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [host = "", port = ""] = text.split(":")
  return { host, port: Number(port) }
}

async function main(): Promise<void> {
  const setup: NetworkSetup = JSON.parse(process.argv[2] ?? "")
  const relay = new WanRelay(setup.nodes)
  const forwarders = new Map(
    setup.forwarders.map(({ site, port }) => [site, new Forwarder(port, setup.witnessPort)]),
  )
  process.on("message", (order: NetworkOrder) => {
    if (order.kind === "wan") relay.set(order)
    const set =
      order.kind === "forwarder" ? forwarders.get(order.site)?.set(order.mode, order.answerDelay) : undefined
    void Promise.resolve(set).then(() => process.send?.("done"))
  })
  // Whoever started it is gone: nobody is left to end it.
  process.on("disconnect", () => process.exit(0))
  await relay.listen()
  await Promise.all([...forwarders.values()].map((forwarder) => forwarder.listen()))
  process.send?.("ready")
}

await main()
