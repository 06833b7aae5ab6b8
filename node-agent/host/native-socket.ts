/**
 * A UDP socket with the options that must be set before it is bound, or that Node has no word for, made by the C
 * library and handed to `dgram` with `bind({ fd })`. Only the socket itself and the bind must succeed; each option is
 * tried, read back and reported.
 */
import { closeSync } from "node:fs"
import { isIPv6 } from "node:net"
import { networkInterfaces } from "node:os"
import { ipv6Groups } from "../../protocol/address.ts"
import type { UdpAddress } from "../../protocol/cluster.ts"
import { type Native, NativeFailure } from "./native.ts"
import { type FilterProgram, instructionBytes } from "./socket-filter.ts"

/** How routers are asked to treat a socket's datagrams: the class of the token and of what stands between sites. */
export type TrafficClass = "EF" | "CS6"

export interface SocketWish {
  readonly trafficClass: TrafficClass
  /** Take and send datagrams through the interface that has the address, and no other. */
  readonly bindToDevice: boolean
  /** Take what comes from there alone, beside a socket that has the same address and takes what is left. */
  readonly peer?: UdpAddress
}

export interface SocketOption {
  readonly option: "dscp" | "priority" | "receive-buffer" | "send-buffer" | "device"
  readonly asked: string
  readonly got: string
  /** Why it is not what was asked; "": it is. */
  readonly reason: string
}

export interface NativeSocket {
  readonly descriptor: number
  readonly options: readonly SocketOption[]
}

/** Room for a burst while the loop is late: some thousand frames. The kernel counts twice as much as is asked for. */
export const socketBufferBytes = 1 << 20

/** Of Linux, on x64 and arm64 alike. */
const inet = 2
const inet6 = 10
const datagram = 2
const nonBlocking = 0x800
const closeOnExec = 0x8_0000
const levelSocket = 1
const reusePort = 15
const attachFilter = 26
const detachFilter = 27
const levelIp = 0
const levelIpv6 = 41
const ipTos = 1
const ipv6Only = 26
const ipv6TrafficClass = 67
const sendBuffer = 7
const receiveBuffer = 8
const socketPriority = 12
const deviceBound = 25
const sendBufferForce = 32
const receiveBufferForce = 33

/** In the upper six bits of the byte. */
const codePoints: Readonly<Record<TrafficClass, number>> = { EF: 0xb8, CS6: 0xc0 }
/** The highest that needs no privilege. */
const priority = 6
const deviceNameMax = 16

/** Throws what the kernel says when the address cannot be bound; nothing is left open then. */
export function openNativeSocket(native: Native, own: UdpAddress, wish: SocketWish): NativeSocket {
  const isV6 = isIPv6(own.host.split("%")[0] ?? "")
  const calls = callsOf(native)
  const descriptor = calls.socket(isV6 ? inet6 : inet, datagram | nonBlocking | closeOnExec, 0)
  try {
    if (isV6) calls.set(descriptor, levelIpv6, ipv6Only, int32(1), 4)
    const options = [
      trafficClass(calls, descriptor, isV6, wish.trafficClass),
      // After the traffic class, which sets a priority of its own.
      numeric(calls, descriptor, "priority", { set: [socketPriority], get: socketPriority, asked: priority }),
      numeric(calls, descriptor, "receive-buffer", {
        set: [receiveBufferForce, receiveBuffer],
        get: receiveBuffer,
        asked: socketBufferBytes,
      }),
      numeric(calls, descriptor, "send-buffer", {
        set: [sendBufferForce, sendBuffer],
        get: sendBuffer,
        asked: socketBufferBytes,
      }),
      ...(wish.bindToDevice ? device(calls, descriptor, own) : []),
    ]
    bind(native, calls, descriptor, own, wish.peer)
    return { descriptor, options }
  } catch (cause) {
    closeSync(descriptor)
    throw cause
  }
}

/**
 * Only sockets that all allow it, of one user, share an address. The first one allows it when it has the address: another
 * agent that is told to use the same finds it taken. The kernel gives a datagram to the socket that is connected to its
 * source, if there is one.
 */
function bind(
  native: Native,
  calls: Calls,
  descriptor: number,
  own: UdpAddress,
  peer: UdpAddress | undefined,
): void {
  const address = socketAddress(own)
  const share = (): number => calls.set(descriptor, levelSocket, reusePort, int32(1), 4)
  if (peer !== undefined) share()
  calls.bind(descriptor, address, address.length)
  if (peer === undefined) {
    share()
    return
  }
  const source = socketAddress(peer)
  native.declare("connect", "int", ["int", "bytes", "unsigned"])(descriptor, source, source.length)
}

/**
 * Has the kernel drop what arrives and the program does not pass; `undefined`: it passes everything. What has arrived can
 * still be read. A kernel that refuses leaves it as it is: open, and what arrives is read for nothing.
 */
export function filterSocket(native: Native, descriptor: number, program: FilterProgram | undefined): void {
  const { set } = callsOf(native)
  attempt(() => {
    if (program === undefined) return set(descriptor, levelSocket, detachFilter, int32(0), 4)
    const filter = Buffer.alloc(16)
    filter.writeUInt16LE(program.length / instructionBytes, 0)
    filter.writeBigUInt64LE(native.addressOf(program), 8)
    return set(descriptor, levelSocket, attachFilter, filter, filter.length)
  })
}

/** `false`: it is left to Node, which can wait for room and looks interfaces up anew. Throws what else the kernel says. */
export type NativeSend = (to: UdpAddress, bytes: Uint8Array) => boolean

/**
 * One system call and nothing else. Node makes an object and a callback for each datagram, and has the callback told in a turn
 * of its own: together half as much again as the call.
 */
export function nativeSend(native: Native, descriptor: number): NativeSend {
  const sendTo = native.declare("sendto", "long", ["int", "bytes", "size", "int", "bytes", "unsigned"])
  const known = new WeakMap<UdpAddress, Uint8Array>()
  return (to, bytes) => {
    if (to.host.includes("%")) return false
    let address = known.get(to)
    if (address === undefined) {
      address = socketAddress(to)
      known.set(to, address)
    }
    try {
      sendTo(descriptor, bytes, bytes.length, 0, address, address.length)
      return true
    } catch (cause) {
      if (cause instanceof NativeFailure && cause.code === "EAGAIN") return false
      throw cause
    }
  }
}

type Calls = ReturnType<typeof callsOf>

function callsOf(native: Native) {
  return {
    socket: native.declare("socket", "int", ["int", "int", "int"]),
    bind: native.declare("bind", "int", ["int", "bytes", "unsigned"]),
    set: native.declare("setsockopt", "int", ["int", "int", "int", "bytes", "unsigned"]),
    get: native.declare("getsockopt", "int", ["int", "int", "int", "bytes", "bytes"]),
  }
}

function trafficClass(calls: Calls, descriptor: number, isV6: boolean, wanted: TrafficClass): SocketOption {
  const level = isV6 ? levelIpv6 : levelIp
  const option = isV6 ? ipv6TrafficClass : ipTos
  const reason = attempt(() => calls.set(descriptor, level, option, int32(codePoints[wanted]), 4))
  const got = readInt(calls, descriptor, level, option)
  const names = Object.entries(codePoints).flatMap(([name, value]) => (value === got ? [name] : []))
  return { option: "dscp", asked: wanted, got: names[0] ?? String(got), reason: reason ?? "" }
}

/** The first of the ways that works; a kernel that grants less than asked says so only when asked back. */
function numeric(
  calls: Calls,
  descriptor: number,
  option: SocketOption["option"],
  { set, get, asked }: { readonly set: readonly number[]; readonly get: number; readonly asked: number },
): SocketOption {
  let reason: string | undefined = ""
  for (const way of set) {
    const refusal = attempt(() => calls.set(descriptor, levelSocket, way, int32(asked), 4))
    if (refusal === undefined) break
    reason = refusal
  }
  const got = readInt(calls, descriptor, levelSocket, get)
  return {
    option,
    asked: String(asked),
    got: String(got),
    reason: got >= asked ? "" : reason || "granted less",
  }
}

/** Nothing for an address that every interface takes (loopback, a wildcard) or that no interface has. */
function device(calls: Calls, descriptor: number, own: UdpAddress): readonly SocketOption[] {
  const name = deviceOf(own.host)
  if (name === undefined) return []
  const bytes = Buffer.alloc(deviceNameMax)
  bytes.write(name)
  const reason = attempt(() => calls.set(descriptor, levelSocket, deviceBound, bytes, deviceNameMax))
  return [{ option: "device", asked: name, got: reason === undefined ? name : "any", reason: reason ?? "" }]
}

function deviceOf(host: string): string | undefined {
  const [address = "", scope] = host.split("%")
  const wanted = canonical(address)
  return Object.entries(networkInterfaces()).find(([name, addresses]) =>
    addresses?.some(
      (each) =>
        !each.internal && canonical(each.address) === wanted && (scope === undefined || scope === name),
    ),
  )?.[0]
}

function readInt(calls: Calls, descriptor: number, level: number, option: number): number {
  const value = int32(0)
  calls.get(descriptor, level, option, value, int32(4))
  return value.readInt32LE()
}

/** `struct sockaddr_in` or `sockaddr_in6`: family in the machine's order, port and address in the network's. */
function socketAddress({ host, port }: UdpAddress): Uint8Array {
  const [address = "", scope] = host.split("%")
  if (!isIPv6(address)) {
    const bytes = Buffer.alloc(16)
    bytes.writeUInt16LE(inet, 0)
    bytes.writeUInt16BE(port, 2)
    bytes.set(address.split(".").map(Number), 4)
    return bytes
  }
  const bytes = Buffer.alloc(28)
  bytes.writeUInt16LE(inet6, 0)
  bytes.writeUInt16BE(port, 2)
  ipv6Groups(address)?.forEach((group, index) => {
    bytes.writeUInt16BE(group, 8 + 2 * index)
  })
  bytes.writeUInt32LE(scope === undefined ? 0 : scopeId(scope), 24)
  return bytes
}

function canonical(address: string): string {
  return ipv6Groups(address)?.join(":") ?? address
}

/** An unknown interface is left to `bind` to refuse: it has no index 0. */
function scopeId(scope: string): number {
  if (/^\d+$/.test(scope)) return Number(scope)
  const addresses = networkInterfaces()[scope] ?? []
  return addresses.reduce((id, each) => (each.family === "IPv6" && each.scopeid > 0 ? each.scopeid : id), 0)
}

function attempt(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}
