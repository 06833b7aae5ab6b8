/**
 * A socket of its own for what one peer sends over one ring link (SPEC LN11): bound like the link's common socket and
 * connected to the peer, so that the kernel sorts by source. What others send, however much, never stands before the peer's
 * frames in a queue. It only receives; what is sent leaves by the common socket, which also takes what comes while this one
 * is not open.
 *
 * A connected socket is told of ICMP errors, which anybody can make up: they mean nothing. Who sends many has this socket closed
 * for a while; the common one does not hear of them.
 */
import { createSocket, type Socket } from "node:dgram"
import { isIPv6 } from "node:net"
import type { UdpAddress } from "../../protocol/cluster.ts"
import type { Native } from "./native.ts"
import { filterSocket, openNativeSocket } from "./native-socket.ts"
import type { FilterProgram } from "./socket-filter.ts"
import { withoutScope } from "./udp-addresses.ts"

export interface PeerSocketOptions {
  readonly native: Native
  readonly own: UdpAddress
  readonly peer: UdpAddress
  readonly bindToDevice: boolean
  readonly received: (bytes: Uint8Array) => void
  /** The kernel told of an error. */
  readonly failed: () => void
}

export class PeerSocket {
  readonly #native: Native
  readonly #descriptor: number
  readonly #socket: Socket

  /** Throws what the kernel says, for one that there is no way to the peer; nothing is left open then. */
  constructor({ native, own, peer, bindToDevice, received, failed }: PeerSocketOptions) {
    const { descriptor } = openNativeSocket(native, own, { trafficClass: "EF", bindToDevice, peer })
    this.#native = native
    this.#descriptor = descriptor
    this.#socket = createSocket(isIPv6(withoutScope(own.host)) ? "udp6" : "udp4")
    this.#socket.on("message", (bytes) => received(bytes))
    this.#socket.on("error", failed)
    this.#socket.bind({ fd: descriptor })
  }

  filter(program: FilterProgram | undefined): void {
    filterSocket(this.#native, this.#descriptor, program)
  }

  close(): void {
    this.#socket.close()
  }
}
