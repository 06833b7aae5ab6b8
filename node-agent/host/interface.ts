/** Network interfaces and their addresses, by ioctl and rtnetlink: no program is started and nothing is waited for. */
import { readFileSync } from "node:fs"
import { networkInterfaces } from "node:os"
import { addressBytes } from "../../protocol/address.ts"
import { type Native, NativeFailure } from "./native.ts"
import {
  acknowledgeFlag,
  attribute,
  attributesOf,
  createFlag,
  dumpFlags,
  headerLength,
  NetlinkSocket,
  netlinkMessage,
  netlinkRoute,
  replaceFlag,
  requestFlag,
} from "./netlink.ts"

export interface NetworkInterface {
  readonly name: string
  readonly index: number
  /** Six bytes. */
  readonly hardwareAddress: Uint8Array
  /** Up, and with a carrier. */
  readonly isRunning: boolean
}

export interface PrefixedAddress {
  /** Literal, in the spelling of the configuration. */
  readonly address: string
  readonly prefix: number
}

/** linux/sockios.h; `struct ifreq` has a name of 16 bytes and a union of 24. */
const getName = 0x8910
const getFlags = 0x8913
const getHardwareAddress = 0x8927
const getIndex = 0x8933
const requestLength = 40
const nameLength = 16
const upFlag = 0x1
const runningFlag = 0x40

const inet = 2
const inet6 = 10
const datagramCloseOnExec = 2 | 0o2000000

/** `undefined`: there is none of this name. */
export function findInterface(native: Native, name: string): NetworkInterface | undefined {
  const ioctl = native.declare("ioctl", "int", ["int", "size", "bytes"])
  const descriptor = native.declare("socket", "int", ["int", "int", "int"])(inet, datagramCloseOnExec, 0)
  const ask = (what: number): Buffer => {
    const request = Buffer.alloc(requestLength)
    request.write(name, 0, nameLength - 1, "latin1")
    ioctl(descriptor, what, request)
    return request.subarray(nameLength)
  }
  try {
    const flags = ask(getFlags).readUInt16LE(0)
    return {
      name,
      index: ask(getIndex).readInt32LE(0),
      // Behind the two bytes of the hardware's kind.
      hardwareAddress: Uint8Array.from(ask(getHardwareAddress).subarray(2, 8)),
      isRunning: (flags & upFlag) !== 0 && (flags & runningFlag) !== 0,
    }
  } catch (cause) {
    if (cause instanceof NativeFailure && cause.code === "ENODEV") return undefined
    throw cause
  } finally {
    native.declare("close", "int", ["int"])(descriptor)
  }
}

/** `undefined`: it is gone. */
function nameOf(native: Native, index: number): string | undefined {
  const descriptor = native.declare("socket", "int", ["int", "int", "int"])(inet, datagramCloseOnExec, 0)
  const request = Buffer.alloc(requestLength)
  request.writeInt32LE(index, nameLength)
  try {
    native.declare("ioctl", "int", ["int", "size", "bytes"])(descriptor, getName, request)
    return request.toString("latin1", 0, nameLength).split("\0")[0]
  } catch (cause) {
    if (cause instanceof NativeFailure && cause.code === "ENODEV") return undefined
    throw cause
  } finally {
    native.declare("close", "int", ["int"])(descriptor)
  }
}

/** The interface that has an address of the same network, as its own; `undefined`: none has. */
export function interfaceOfNetwork({ address, prefix }: PrefixedAddress): string | undefined {
  const wanted = addressBytes(address)
  return Object.entries(networkInterfaces()).find(([, own = []]) =>
    own.some((each) => {
      const bytes = addressBytes(each.address)
      return each.address !== address && bytes.length === wanted.length && samePrefix(bytes, wanted, prefix)
    }),
  )?.[0]
}

/** All there are, running or not. */
export function interfaceNames(): readonly string[] {
  const [, , ...lines] = readFileSync("/proc/net/dev", "utf8").trimEnd().split("\n")
  return lines.map((line) => line.split(":")[0]?.trim() ?? "")
}

/** Interfaces that have the address now, running or not: what has no carrier may have one in a moment. */
export function holdersOf(native: Native, address: string): readonly string[] {
  const wanted = addressBytes(address)
  const socket = new NetlinkSocket(native, netlinkRoute)
  let messages: readonly Uint8Array[]
  try {
    messages = socket.dump(
      netlinkMessage(getAddress, requestFlag | dumpFlags, [new Uint8Array(addressHeader)]),
    )
  } finally {
    socket.close()
  }
  const indices = messages.flatMap((message) => {
    const attributes = attributesOf(message, addressHeader)
    const own = attributes.get(localAttribute) ?? attributes.get(addressAttribute)
    const isWanted = own !== undefined && Buffer.compare(own, wanted) === 0
    return isWanted ? [Buffer.from(message).readUInt32LE(headerLength + indexOffset)] : []
  })
  return indices.flatMap((index) => nameOf(native, index) ?? [])
}

function samePrefix(a: Uint8Array, b: Uint8Array, prefix: number): boolean {
  return a.every((byte, index) => {
    const bits = Math.min(Math.max(prefix - 8 * index, 0), 8)
    return (byte ^ (b[index] ?? 0)) >> (8 - bits) === 0
  })
}

const newAddress = 20
const deleteAddress = 21
const getAddress = 22
/** struct ifaddrmsg: family, prefix, flags, scope, index. */
const addressHeader = 8
const indexOffset = 4
const localAttribute = 2
const addressAttribute = 1
const flagsAttribute = 8
/** The check for duplicates is ours: the kernel's keeps an IPv6 address unusable for a second. */
const noDuplicateCheck = 0x02

/** An address that is there already is a success. Throws `NativeFailure`. */
export function addAddress(native: Native, on: NetworkInterface, address: PrefixedAddress): void {
  const flags = requestFlag | acknowledgeFlag | createFlag | replaceFlag
  ask(native, newAddress, flags, on, address, [
    attribute(flagsAttribute, Uint8Array.of(noDuplicateCheck, 0, 0, 0)),
  ])
}

/** One that is not there is a success. Throws `NativeFailure`. */
export function removeAddress(native: Native, on: NetworkInterface, address: PrefixedAddress): void {
  unlessGone(["EADDRNOTAVAIL", "ENODEV"], () =>
    ask(native, deleteAddress, requestFlag | acknowledgeFlag, on, address, []),
  )
}

/** What is to be removed may be gone already. */
function unlessGone(codes: readonly string[], remove: () => void): void {
  try {
    remove()
  } catch (cause) {
    if (cause instanceof NativeFailure && codes.includes(cause.code)) return
    throw cause
  }
}

const getNeighbour = 30
const deleteNeighbour = 29
/** struct ndmsg: family, padding, index, state, flags, type. */
const neighbourHeader = 12
const neighbourStateOffset = 8
const destinationAttribute = 1
/** Its hardware address has been asked for and not been told. */
const incompleteState = 0x01

/**
 * Drops what waits to leave by this interface until a neighbour has told its hardware address: the kernel keeps it for three
 * seconds, whatever becomes of the address that it comes from. Of the family of `address`. Throws `NativeFailure`.
 */
export function dropWaiting(native: Native, on: NetworkInterface, address: string): void {
  const family = addressBytes(address).length === 4 ? inet : inet6
  const header = (): Buffer => {
    const bytes = Buffer.alloc(neighbourHeader)
    bytes.writeUInt8(family, 0)
    bytes.writeUInt32LE(on.index, indexOffset)
    return bytes
  }
  const socket = new NetlinkSocket(native, netlinkRoute)
  try {
    for (const message of socket.dump(netlinkMessage(getNeighbour, requestFlag | dumpFlags, [header()]))) {
      const view = Buffer.from(message)
      const isWaitedFor = (view.readUInt16LE(headerLength + neighbourStateOffset) & incompleteState) !== 0
      const destination = attributesOf(message, neighbourHeader).get(destinationAttribute)
      if (view.readUInt32LE(headerLength + indexOffset) !== on.index || !isWaitedFor) continue
      if (destination === undefined) continue
      const parts = [header(), attribute(destinationAttribute, destination)]
      const request = netlinkMessage(deleteNeighbour, requestFlag | acknowledgeFlag, parts)
      unlessGone(["ENOENT"], () => socket.request(request))
    }
  } finally {
    socket.close()
  }
}

function ask(
  native: Native,
  type: number,
  flags: number,
  on: NetworkInterface,
  { address, prefix }: PrefixedAddress,
  more: readonly Uint8Array[],
): void {
  const bytes = addressBytes(address)
  const header = Buffer.from([bytes.length === 4 ? inet : inet6, prefix, 0, 0, 0, 0, 0, 0])
  header.writeUInt32LE(on.index, indexOffset)
  // For an IPv4 address to remove the second one would mean: with this prefix only.
  const isAnyPrefix = type === deleteAddress && bytes.length === 4
  const peer = isAnyPrefix ? [] : [attribute(addressAttribute, bytes)]
  const attributes = [attribute(localAttribute, bytes), ...peer, ...more]
  const socket = new NetlinkSocket(native, netlinkRoute)
  try {
    socket.request(netlinkMessage(type, flags, [header, ...attributes]))
  } finally {
    socket.close()
  }
}
