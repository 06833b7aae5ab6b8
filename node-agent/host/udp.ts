/**
 * Datagrams: one socket a ring link, bound to this node's own address on that link, and one for the other sites. Made
 * natively where the C library can be called, with all its options (`native-socket.ts`), otherwise by Node alone. A
 * socket that fails, or whose address is not there yet (interface down), is opened again after a growing delay; a
 * datagram that cannot be sent is counted and lost, as on any cable. Only what comes from an address that the configuration
 * has for that link is listened to (SPEC LN9): a stranger costs a comparison, not the opening of a seal.
 *
 * Beside the socket of a ring link each peer has one for what comes from it (`peer-socket.ts`), and into what one source sends
 * for nothing goes no more than its share of time (`intake.ts`, SPEC LN11). Between sites, where ports may be translated, all
 * sources come to the one socket; where sockets are made by Node alone no filter is set.
 */
import { type BindOptions, createSocket, type RemoteInfo, type Socket } from "node:dgram"
import { isIPv6 } from "node:net"
import { formatUdpAddress } from "../../protocol/address.ts"
import type { ClusterConfig, UdpAddress } from "../../protocol/cluster.ts"
import { datagramBytesMax } from "../../protocol/frame.ts"
import type { Instant, NodeId } from "../../protocol/units.ts"
import type { LogFields, LogLevel } from "../core/effects.ts"
import type { LinkId } from "../core/events.ts"
import { type Floods, Intake } from "./intake.ts"
import type { Native } from "./native.ts"
import {
  filterSocket,
  type NativeSend,
  nativeSend,
  openNativeSocket,
  type SocketOption,
  socketBufferBytes,
} from "./native-socket.ts"
import { PeerSocket } from "./peer-socket.ts"
import { decide, passAll, sentFrom } from "./socket-filter.ts"
import { destinationKey, destinationsOf, sourceKey, sourcesOf, withoutScope } from "./udp-addresses.ts"

export interface UdpOptions {
  readonly config: ClusterConfig
  readonly self: NodeId
  /** `undefined`: the C library cannot be called. */
  readonly native: Native | undefined
  /** Keep each ring link to the interface that has its address. */
  readonly bindToDevice: boolean
  readonly now: () => Instant
  /** Was it taken? Otherwise the time that it took is laid to its source. */
  readonly received: (link: LinkId, bytes: Uint8Array) => boolean
  readonly log: (level: LogLevel, event: string, fields: LogFields) => void
}

export interface UdpCounters {
  readonly sendErrors: number
  readonly oversized: number
  /** From an address that no peer has on that link. */
  readonly foreign: number
  /** From a source whose share was used up: not looked at. What the kernel dropped meanwhile is not counted. */
  readonly shed: number
  readonly reopened: number
}

/** One socket and what was asked of the kernel for it. */
export interface SocketReport {
  readonly link: LinkId
  readonly address: string
  readonly open: boolean
  /** Peers that have a socket of their own beside it, and those that should have one. */
  readonly peers: number
  readonly missing: number
  /** Empty: it was made without the C library. */
  readonly options: readonly SocketOption[]
}

/** Delay before a failed socket is opened again: doubles from the first to the last. */
const reopenDelayMin = 250
const reopenDelayMax = 5_000
/** Before the socket of a peer that is missing is opened (again). */
const peerDelay = 5_000

export class Udp {
  readonly #links = new Map<LinkId, UdpLink>()
  #addresses: ReadonlyMap<string, UdpAddress>
  readonly #floods: Floods = { shut: 0 }
  #sendErrors = 0

  constructor(options: UdpOptions) {
    this.#addresses = destinationsOf(options.config)
    const self = options.config.nodes.find((node) => node.id === options.self)
    self?.links.forEach((address, index) => {
      this.#links.set(index, new UdpLink(index, address, options, this.#floods))
    })
    const wan = self?.wanBind ?? self?.wan
    if (wan !== undefined) this.#links.set("wan", new UdpLink("wan", wan, options, this.#floods))
  }

  /** The peers of another configuration; this node's own sockets stay. */
  configure(config: ClusterConfig): void {
    this.#addresses = destinationsOf(config)
    for (const link of this.#links.values()) link.configure(config)
  }

  /** Sends now or counts an error; never throws. Sending to an address the configuration lacks is an error too. */
  send(to: NodeId, link: LinkId, bytes: Uint8Array): void {
    const address = this.#addresses.get(destinationKey(to, link))
    const socket = this.#links.get(link)
    if (address === undefined || socket === undefined) this.#sendErrors += 1
    else socket.send(address, bytes)
  }

  get counters(): UdpCounters {
    const total = { sendErrors: this.#sendErrors, oversized: 0, foreign: 0, shed: 0, reopened: 0 }
    for (const link of this.#links.values()) {
      total.sendErrors += link.sendErrors
      total.oversized += link.oversized
      total.foreign += link.foreign
      total.shed += link.shed
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

/** A peer's address on a link. */
interface Source {
  readonly address: UdpAddress
  /** Of its datagrams, and of the errors that its socket is told of. */
  readonly intake: Intake
  readonly errors: Intake
  /** `undefined`: the common one takes what it sends. */
  socket: PeerSocket | undefined
}

class UdpLink {
  sendErrors = 0
  oversized = 0
  foreign = 0
  shed = 0
  reopened = 0
  readonly #id: LinkId
  readonly #own: UdpAddress
  readonly #options: UdpOptions
  readonly #floods: Floods
  readonly #sources = new Map<string, Source>()
  /** All that is no peer's. */
  readonly #strangers: Intake
  #socket: Socket | undefined
  /** Of a native socket. */
  #descriptor: number | undefined
  /** `undefined`: Node made the socket, and sends. */
  #send: NativeSend | undefined
  #ready = false
  #delay = reopenDelayMin
  #reopening: NodeJS.Timeout | undefined
  #completing: NodeJS.Timeout | undefined
  #lastSendError = ""
  #socketOptions: readonly SocketOption[] = []

  constructor(id: LinkId, own: UdpAddress, options: UdpOptions, floods: Floods) {
    this.#id = id
    this.#own = own
    this.#options = options
    this.#floods = floods
    this.#strangers = this.#intake("unknown", "datagrams", () => this.#filterCommon())
    this.#takeUp(options.config)
    this.#open()
  }

  configure(config: ClusterConfig): void {
    this.#takeUp(config)
    this.#complete()
    this.#filterCommon()
  }

  get report(): SocketReport {
    const address = formatUdpAddress(this.#own)
    const peers = [...this.#sources.values()].filter(({ socket }) => socket !== undefined).length
    const wanted = this.#options.native === undefined || this.#id === "wan" ? 0 : this.#sources.size
    const open = this.#ready
    return { link: this.#id, address, open, peers, missing: wanted - peers, options: this.#socketOptions }
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
    clearTimeout(this.#completing)
    this.#ready = false
    this.#send = undefined
    this.#descriptor = undefined
    this.#strangers.end()
    for (const source of this.#sources.values()) end(source)
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

  /** By the common socket: whoever it is from. */
  #received(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    const source = this.#sources.get(sourceKey(this.#id, address, port))
    if (source !== undefined) return this.#receivedFrom(source, bytes)
    this.foreign += 1
    if (this.#strangers.admits(bytes)) this.#strangers.refused(0)
  }

  #receivedFrom(source: Source, bytes: Uint8Array): void {
    if (!source.intake.admits(bytes)) this.shed += 1
    else if (bytes.length > datagramBytesMax) {
      this.oversized += 1
      source.intake.refused(0)
    } else {
      const from = performance.now()
      if (this.#options.received(this.#id, bytes)) source.intake.taken(bytes)
      else source.intake.refused(performance.now() - from)
    }
  }

  /** The peers of a configuration: what is known of those that stay is kept. */
  #takeUp(config: ClusterConfig): void {
    const addresses = sourcesOf(config, this.#options.self, this.#id)
    for (const [key, source] of this.#sources) {
      if (addresses.has(key)) continue
      this.#sources.delete(key)
      end(source)
    }
    for (const [key, address] of addresses) {
      if (this.#sources.has(key)) continue
      const source: Source = {
        address,
        intake: this.#intake(address.host, "datagrams", () => {
          source.socket?.filter(source.intake.passes)
          this.#filterCommon()
        }),
        errors: this.#intake(address.host, "errors", () => {
          if (source.errors.passes === undefined) this.#complete()
          else closeOwn(source)
        }),
        socket: undefined,
      }
      this.#sources.set(key, source)
    }
  }

  /** A socket for each peer that has none; as long as one is missing the common socket takes what comes from it. */
  #complete(): void {
    const { native } = this.#options
    clearTimeout(this.#completing)
    if (!this.#ready || native === undefined || this.#id === "wan") return
    for (const source of this.#sources.values()) source.socket ??= this.#openOwn(native, source)
    if ([...this.#sources.values()].some(({ socket }) => socket === undefined))
      this.#completing = setTimeout(() => this.#complete(), peerDelay)
  }

  #openOwn(native: Native, source: Source): PeerSocket | undefined {
    try {
      const socket = new PeerSocket({
        native,
        own: this.#own,
        peer: source.address,
        bindToDevice: this.#options.bindToDevice,
        received: (bytes) => this.#receivedFrom(source, bytes),
        failed: () => {
          if (source.errors.admits(noBytes)) source.errors.refused(errorCost)
        },
      })
      if (source.intake.passes !== undefined) socket.filter(source.intake.passes)
      return socket
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      this.#options.log("debug", "peer-socket-failed", { link: this.#id, host: source.address.host, reason })
      return undefined
    }
  }

  #intake(source: string, what: "datagrams" | "errors", changed: () => void): Intake {
    const flooded = (): void => this.#options.log("warn", "flood", { link: this.#id, source, what })
    return new Intake({ floods: this.#floods, now: this.#options.now, changed, flooded })
  }

  /** By source, whether it has a socket of its own or not: that one may be closed at any time. */
  #filterCommon(): void {
    const { native } = this.#options
    if (native === undefined || this.#descriptor === undefined) return
    const sources = [...this.#sources.values()]
    const isOpen = [this.#strangers, ...sources.map(({ intake }) => intake)].every(
      ({ passes }) => passes === undefined,
    )
    const program = sources.reduce(
      (rest, { address, intake }) =>
        decide(
          sentFrom(address, this.#id === "wan" ? undefined : address.port),
          intake.passes ?? passAll,
          rest,
        ),
      this.#strangers.passes ?? passAll,
    )
    filterSocket(native, this.#descriptor, isOpen ? undefined : program)
  }

  #open(): void {
    const type = isIPv6(withoutScope(this.#own.host)) ? "udp6" : "udp4"
    const socket = createSocket({ type, ipv6Only: type === "udp6", lookup: literalLookup(type) })
    this.#socket = socket
    socket.on("error", (cause) => this.#reopen(socket, cause))
    socket.on("message", (bytes, from) => this.#received(bytes, from))
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
      this.#complete()
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
    this.#descriptor = descriptor
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

const noBytes = new Uint8Array()
/** Milliseconds that Node takes to make an error. */
const errorCost = 0.02

function end(source: Source): void {
  source.intake.end()
  source.errors.end()
  closeOwn(source)
}

function closeOwn(source: Source): void {
  source.socket?.close()
  source.socket = undefined
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
