/**
 * Datagrams: one socket a ring link, bound to this node's own address on that link, and one for the other sites. Made
 * natively where the C library can be called, with all its options (`native-socket.ts`), otherwise by Node alone. A
 * socket that fails, or whose address is not there yet (interface down), is opened again after a growing delay; a
 * datagram that cannot be sent is counted and lost, as on any cable. Only what comes from an address that the configuration
 * has for that link is listened to (SPEC LN9): a stranger costs a comparison, not the opening of a seal.
 */
import { type BindOptions, createSocket, type Socket } from "node:dgram"
import { isIPv6 } from "node:net"
import { formatUdpAddress } from "../../protocol/address.ts"
import type { ClusterConfig, UdpAddress } from "../../protocol/cluster.ts"
import { datagramBytesMax } from "../../protocol/frame.ts"
import type { NodeId } from "../../protocol/units.ts"
import type { LogFields, LogLevel } from "../core/effects.ts"
import type { LinkId } from "../core/events.ts"
import type { Native } from "./native.ts"
import {
  type NativeSend,
  nativeSend,
  openNativeSocket,
  type SocketOption,
  socketBufferBytes,
} from "./native-socket.ts"

export interface UdpOptions {
  readonly config: ClusterConfig
  readonly self: NodeId
  /** `undefined`: the C library cannot be called. */
  readonly native: Native | undefined
  /** Keep each ring link to the interface that has its address. */
  readonly bindToDevice: boolean
  readonly received: (link: LinkId, bytes: Uint8Array) => void
  readonly log: (level: LogLevel, event: string, fields: LogFields) => void
}

export interface UdpCounters {
  readonly sendErrors: number
  readonly oversized: number
  /** From an address that no peer has on that link. */
  readonly foreign: number
  readonly reopened: number
}

/** One socket and what was asked of the kernel for it. */
export interface SocketReport {
  readonly link: LinkId
  readonly address: string
  readonly open: boolean
  /** Empty: it was made without the C library. */
  readonly options: readonly SocketOption[]
}

/** Delay before a failed socket is opened again: doubles from the first to the last. */
const reopenDelayMin = 250
const reopenDelayMax = 5_000

export class Udp {
  readonly #links = new Map<LinkId, UdpLink>()
  #addresses: ReadonlyMap<string, UdpAddress>
  #sendErrors = 0

  constructor(options: UdpOptions) {
    this.#addresses = addressesOf(options.config)
    const self = options.config.nodes.find((node) => node.id === options.self)
    self?.links.forEach((address, index) => {
      this.#links.set(index, new UdpLink(index, address, options))
    })
    const wan = self?.wanBind ?? self?.wan
    if (wan !== undefined) this.#links.set("wan", new UdpLink("wan", wan, options))
  }

  /** The peers of another configuration; this node's own sockets stay. */
  configure(config: ClusterConfig): void {
    this.#addresses = addressesOf(config)
    for (const link of this.#links.values()) link.configure(config)
  }

  /** Sends now or counts an error; never throws. Sending to an address the configuration lacks is an error too. */
  send(to: NodeId, link: LinkId, bytes: Uint8Array): void {
    const address = this.#addresses.get(addressKey(to, link))
    const socket = this.#links.get(link)
    if (address === undefined || socket === undefined) this.#sendErrors += 1
    else socket.send(address, bytes)
  }

  get counters(): UdpCounters {
    const total = { sendErrors: this.#sendErrors, oversized: 0, foreign: 0, reopened: 0 }
    for (const link of this.#links.values()) {
      total.sendErrors += link.sendErrors
      total.oversized += link.oversized
      total.foreign += link.foreign
      total.reopened += link.reopened
    }
    return total
  }

  get sockets(): readonly SocketReport[] {
    return [...this.#links.values()].map((link) => link.report)
  }

  close(): void {
    for (const link of this.#links.values()) link.close()
  }
}

class UdpLink {
  sendErrors = 0
  oversized = 0
  foreign = 0
  reopened = 0
  #sources: Sources
  readonly #id: LinkId
  readonly #own: UdpAddress
  readonly #options: UdpOptions
  #socket: Socket | undefined
  /** `undefined`: Node made the socket, and sends. */
  #send: NativeSend | undefined
  #ready = false
  #delay = reopenDelayMin
  #reopening: NodeJS.Timeout | undefined
  #lastSendError = ""
  #socketOptions: readonly SocketOption[] = []

  constructor(id: LinkId, own: UdpAddress, options: UdpOptions) {
    this.#id = id
    this.#own = own
    this.#options = options
    this.#sources = sourcesOf(options.config, options.self, id)
    this.#open()
  }

  configure(config: ClusterConfig): void {
    this.#sources = sourcesOf(config, this.#options.self, this.#id)
  }

  get report(): SocketReport {
    const address = formatUdpAddress(this.#own)
    return { link: this.#id, address, open: this.#ready, options: this.#socketOptions }
  }

  send(to: UdpAddress, bytes: Uint8Array): void {
    if (this.#socket === undefined || !this.#ready) {
      this.sendErrors += 1
      return
    }
    try {
      if (this.#send?.(to, bytes) !== true) this.#socket.send(bytes, to.port, to.host, this.#sent)
    } catch (cause) {
      this.#sent(cause)
    }
  }

  close(): void {
    clearTimeout(this.#reopening)
    this.#ready = false
    this.#send = undefined
    this.#socket?.close()
    this.#socket = undefined
  }

  /** Logged when the kind of error changes: a cut link must not fill the log. */
  readonly #sent = (cause: unknown): void => {
    if (!(cause instanceof Error)) return
    this.sendErrors += 1
    const code = "code" in cause ? String(cause.code) : cause.message
    if (code === this.#lastSendError) return
    this.#lastSendError = code
    this.#options.log("warn", "send-failed", { link: this.#id, reason: code })
  }

  #isKnown(host: string, port: number): boolean {
    const ports = this.#sources.get(host) ?? this.#sources.get(withoutScope(host))
    return ports !== undefined && (this.#id === "wan" || ports.has(port))
  }

  #open(): void {
    const type = isIPv6(withoutScope(this.#own.host)) ? "udp6" : "udp4"
    const socket = createSocket({ type, ipv6Only: type === "udp6", lookup: literalLookup(type) })
    this.#socket = socket
    socket.on("error", (cause) => this.#reopen(socket, cause))
    socket.on("message", (bytes, from) => {
      if (!this.#isKnown(from.address, from.port)) this.foreign += 1
      else if (bytes.length > datagramBytesMax) this.oversized += 1
      else this.#options.received(this.#id, bytes)
    })
    let bound: BindOptions
    try {
      bound = this.#bindOptions()
    } catch (cause) {
      this.#reopen(socket, cause instanceof Error ? cause : new Error(String(cause)))
      return
    }
    socket.bind(bound, () => {
      this.#ready = true
      this.#delay = reopenDelayMin
      if (bound.fd === undefined) growReceiveBuffer(socket)
      this.#reportOptions()
      this.#options.log("debug", "link-opened", {
        link: this.#id,
        host: this.#own.host,
        port: this.#own.port,
      })
    })
  }

  /** Made natively and adopted, or left to Node to make. */
  #bindOptions(): BindOptions {
    const { native, bindToDevice } = this.#options
    if (native === undefined) return { address: this.#own.host, port: this.#own.port, exclusive: true }
    const { descriptor, options } = openNativeSocket(native, this.#own, {
      trafficClass: this.#id === "wan" ? "CS6" : "EF",
      bindToDevice: bindToDevice && this.#id !== "wan",
    })
    this.#socketOptions = options
    this.#send = nativeSend(native, descriptor)
    return { fd: descriptor }
  }

  #reportOptions(): void {
    for (const { option, asked, got, reason } of this.#socketOptions) {
      if (reason === "") continue
      this.#options.log("warn", "socket-option-refused", { link: this.#id, option, asked, got, reason })
    }
  }

  #reopen(socket: Socket, cause: Error): void {
    if (socket !== this.#socket) return
    this.close()
    const { host, port } = this.#own
    this.#options.log("error", "link-failed", { link: this.#id, host, port, reason: cause.message })
    this.#reopening = setTimeout(() => {
      this.reopened += 1
      this.#open()
    }, this.#delay)
    this.#delay = Math.min(this.#delay * 2, reopenDelayMax)
  }
}

type LookupCallback = (error: NodeJS.ErrnoException | null, address: string, family: number) => void

/** Addresses are literal: answering at once keeps a datagram on the wire when `send` returns, not a tick later. */
function literalLookup(type: "udp4" | "udp6") {
  const family = type === "udp6" ? 6 : 4
  return (host: string, _options: unknown, callback: LookupCallback): void => callback(null, host, family)
}

function growReceiveBuffer(socket: Socket): void {
  try {
    socket.setRecvBufferSize(socketBufferBytes)
  } catch {
    // The default buffer holds some hundred frames, enough for any loop that is not stuck.
  }
}

function addressesOf(config: ClusterConfig): ReadonlyMap<string, UdpAddress> {
  const addresses = new Map<string, UdpAddress>()
  for (const node of config.nodes) {
    node.links.forEach((address, index) => {
      addresses.set(addressKey(node.id, index), address)
    })
    if (node.wan !== undefined) addresses.set(addressKey(node.id, "wan"), node.wan)
  }
  return addresses
}

/** Ports by host. */
type Sources = ReadonlyMap<string, ReadonlySet<number>>

/** Where peers send from. Between sites the port may be translated on the way, the host is as configured. */
function sourcesOf(config: ClusterConfig, self: NodeId, link: LinkId): Sources {
  const site = config.nodes.find((node) => node.id === self)?.site
  const sources = new Map<string, Set<number>>()
  for (const node of config.nodes) {
    if (node.id === self || (node.site === site) !== (link !== "wan")) continue
    const source = link === "wan" ? node.wan : node.links[link]
    if (source === undefined) continue
    const host = withoutScope(source.host)
    sources.set(host, (sources.get(host) ?? new Set()).add(source.port))
  }
  return sources
}

function addressKey(node: NodeId, link: LinkId): string {
  return `${node}/${link}`
}

function withoutScope(host: string): string {
  return host.split("%")[0] ?? host
}
