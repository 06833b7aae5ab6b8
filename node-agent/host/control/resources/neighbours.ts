/**
 * What is said to the neighbours about a floating address, and heard from them: probes for a duplicate, announcements, and
 * claims of others. ARP for IPv4 (RFC 5227), neighbour discovery for IPv6 (RFC 4861, 4862).
 *
 * Packet sockets pass the gate by. So who announces looks at the lease right before, and an announcement that is late all
 * the same (the process was stopped in between) is set right by the new owner, which hears it and announces again.
 */
import { addressBytes } from "../../../../protocol/address.ts"
import type { NetworkInterface } from "../../interface.ts"
import { type Native, NativeFailure } from "../../native.ts"

/** linux/socket.h, linux/if_ether.h, linux/icmpv6.h */
const familyPacket = 17
const familyInet6 = 10
const rawQuiet = 3 | 0o4000 | 0o2000000
const arpProtocol = 0x0806
const ipv6Protocol = 0x86dd
const icmpv6 = 58
const icmpv6Filter = 1
const neighbourSolicitation = 135
const neighbourAdvertisement = 136
const overrideFlag = 0x20
const targetOption = 2

const arpRequest = 1
const arpReply = 2
const broadcast = Uint8Array.from({ length: 6 }, () => 0xff)
const nothing = new Uint8Array(6)
const unspecified = new Uint8Array(16)
const allNodes = addressBytes("ff02::1")
/** Frames looked at in one go: more would only be a flood. */
const framesMax = 256

export class Neighbours {
  readonly #native: Native
  readonly #on: NetworkInterface
  readonly #address: Uint8Array
  readonly #sender: number
  readonly #listener: number
  readonly #frame = new Uint8Array(2_048)

  /** Throws `NativeFailure`. */
  constructor(native: Native, on: NetworkInterface, address: string) {
    this.#native = native
    this.#on = on
    this.#address = addressBytes(address)
    const socket = native.declare("socket", "int", ["int", "int", "int"])
    const isIpv6 = this.#address.length === 16
    // With protocol 0 a packet socket hears nothing.
    this.#sender = socket(familyPacket, rawQuiet, isIpv6 ? 0 : bigEndian(arpProtocol))
    this.#listener = isIpv6 ? socket(familyInet6, rawQuiet, icmpv6) : this.#sender
    if (isIpv6) this.#hearAdvertisementsOnly()
    else
      this.#native.declare("bind", "int", ["int", "bytes", "unsigned"])(
        this.#sender,
        this.#link(broadcast, arpProtocol),
        linkLength,
      )
  }

  /** Asks whether anybody has the address, in nobody's name. */
  probe(): void {
    if (this.#address.length === 4) this.#sendArp(arpRequest, new Uint8Array(4), nothing)
    else this.#sendDiscovery(neighbourSolicitation, unspecified, solicitedNode(this.#address), nonceless)
  }

  /** Tells everybody that the address is here now. */
  announce(): void {
    if (this.#address.length === 4) {
      // Some take news from a request only, some from a reply only.
      this.#sendArp(arpRequest, this.#address, nothing)
      this.#sendArp(arpReply, this.#address, broadcast)
    } else this.#sendDiscovery(neighbourAdvertisement, this.#address, allNodes, this.#linkLayer(targetOption))
  }

  /** The hardware address of somebody else who claimed the address since the last call; `undefined`: nobody. */
  rival(): string | undefined {
    let found: string | undefined
    for (let count = 0; count < framesMax; count += 1) {
      const frame = this.#receive()
      if (frame === undefined) break
      const claimant = this.#address.length === 4 ? this.#arpClaimant(frame) : this.#advertiser(frame)
      if (claimant !== undefined && !same(claimant, this.#on.hardwareAddress)) found = hardwareText(claimant)
    }
    return found
  }

  close(): void {
    const close = this.#native.declare("close", "int", ["int"])
    close(this.#sender)
    if (this.#listener !== this.#sender) close(this.#listener)
  }

  #sendArp(operation: number, sender: Uint8Array, target: Uint8Array): void {
    const head = Uint8Array.of(0, 1, 0x08, 0x00, 6, 4, 0, operation)
    const own = this.#on.hardwareAddress
    this.#send(broadcast, arpProtocol, Buffer.concat([head, own, sender, target, this.#address]))
  }

  #sendDiscovery(type: number, source: Uint8Array, destination: Uint8Array, option: Uint8Array): void {
    const flags = type === neighbourAdvertisement ? overrideFlag : 0
    const message = Buffer.concat([Uint8Array.of(type, 0, 0, 0, flags, 0, 0, 0), this.#address, option])
    message.writeUInt16BE(checksum(source, destination, message), 2)
    const header = Buffer.concat([
      Uint8Array.of(0x60, 0, 0, 0, 0, message.length, icmpv6, 255),
      source,
      destination,
    ])
    const group = Uint8Array.of(0x33, 0x33, ...destination.subarray(12))
    this.#send(group, ipv6Protocol, Buffer.concat([header, message]))
  }

  #linkLayer(option: number): Uint8Array {
    return Uint8Array.of(option, 1, ...this.#on.hardwareAddress)
  }

  /** A link that is down loses it, as a cable would. */
  #send(to: Uint8Array, protocol: number, payload: Uint8Array): void {
    const type = Uint8Array.of(protocol >> 8, protocol & 0xff)
    const frame = Buffer.concat([to, this.#on.hardwareAddress, type, payload])
    const send = this.#native.declare("sendto", "long", ["int", "bytes", "size", "int", "bytes", "unsigned"])
    try {
      send(this.#sender, frame, frame.length, 0, this.#link(to, protocol), linkLength)
    } catch (cause) {
      if (!(cause instanceof NativeFailure)) throw cause
    }
  }

  /** struct sockaddr_ll. */
  #link(to: Uint8Array, protocol: number): Uint8Array {
    const address = Buffer.alloc(linkLength)
    address.writeUInt16LE(familyPacket, 0)
    address.writeUInt16BE(protocol, 2)
    address.writeInt32LE(this.#on.index, 4)
    address.writeUInt8(6, 11)
    address.set(to, 12)
    return address
  }

  #receive(): Uint8Array | undefined {
    const receive = this.#native.declare("recv", "long", ["int", "bytes", "size", "int"])
    try {
      return this.#frame.subarray(0, receive(this.#listener, this.#frame, this.#frame.length, 0))
    } catch (cause) {
      // Nothing waits, or the link went down meanwhile.
      if (cause instanceof NativeFailure) return undefined
      throw cause
    }
  }

  #arpClaimant(frame: Uint8Array): Uint8Array | undefined {
    const isArp = frame.length >= 42 && frame[12] === arpProtocol >> 8 && frame[13] === (arpProtocol & 0xff)
    return isArp && same(frame.subarray(28, 32), this.#address) ? frame.slice(22, 28) : undefined
  }

  /** Of a neighbour advertisement with the option that names the sender's hardware. */
  #advertiser(message: Uint8Array): Uint8Array | undefined {
    const isOurs = message[0] === neighbourAdvertisement && same(message.subarray(8, 24), this.#address)
    return isOurs && message.length >= 32 && message[24] === targetOption ? message.slice(26, 32) : undefined
  }

  #hearAdvertisementsOnly(): void {
    const blocked = Buffer.alloc(32, 0xff)
    const word = (neighbourAdvertisement >> 5) * 4
    blocked.writeUInt32LE((0xffff_ffff & ~(1 << (neighbourAdvertisement & 31))) >>> 0, word)
    const set = this.#native.declare("setsockopt", "int", ["int", "int", "int", "bytes", "unsigned"])
    set(this.#listener, icmpv6, icmpv6Filter, blocked, blocked.length)
  }
}

const linkLength = 20
/** A solicitation from nobody's address carries no option. */
const nonceless = new Uint8Array(0)

function solicitedNode(address: Uint8Array): Uint8Array {
  return Uint8Array.from([...addressBytes("ff02::1:ff00:0").subarray(0, 13), ...address.subarray(13)])
}

/** RFC 1071, over the pseudo-header too. */
function checksum(source: Uint8Array, destination: Uint8Array, message: Buffer): number {
  const all = Buffer.concat([
    source,
    destination,
    Uint8Array.of(0, 0, 0, message.length, 0, 0, 0, icmpv6),
    message,
  ])
  let sum = 0
  for (let at = 0; at < all.length; at += 2) sum += all.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

function hardwareText(address: Uint8Array): string {
  return [...address].map((byte) => byte.toString(16).padStart(2, "0")).join(":")
}

/** As the kernel wants the protocol of a packet socket. */
function bigEndian(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8)
}
