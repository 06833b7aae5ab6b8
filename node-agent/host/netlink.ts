/**
 * Netlink: how the kernel is told of addresses (rtnetlink) and of elements of nftables' sets (nfnetlink) without starting
 * a program. Layouts are those of linux/netlink.h: a header, the family's own header, attributes of type and length, all
 * padded to four bytes. The kernel works on a request while it is sent, so its answer is there when the call returns.
 */
import { endianness } from "node:os"
import { assert } from "../../protocol/assert.ts"
import { type Native, NativeFailure, type NativeFunction } from "./native.ts"

/** linux/netlink.h */
export const netlinkRoute = 0
export const netlinkNetfilter = 12
export const requestFlag = 0x1
export const dumpFlags = 0x300
export const acknowledgeFlag = 0x4
export const replaceFlag = 0x100
export const createFlag = 0x400
const nestedAttribute = 0x8000
const errorType = 2
/** Below are netlink's own: errors, the end of a dump. */
const familyTypeMin = 0x10
export const headerLength = 16

/** linux/socket.h */
const familyNetlink = 16
const rawCloseOnExec = 3 | 0o2000000
const doNotWait = 0x40
const receiveMax = 64 * 1024

export class NetlinkSocket {
  readonly #descriptor: number
  readonly #send: NativeFunction
  readonly #receive: NativeFunction
  readonly #close: NativeFunction
  readonly #answer = new Uint8Array(receiveMax)

  /** Throws `NativeFailure`. */
  constructor(native: Native, protocol: number) {
    assert(endianness() === "LE", "the layouts here are those of x64 and arm64")
    this.#send = native.declare("send", "long", ["int", "bytes", "size", "int"])
    this.#receive = native.declare("recv", "long", ["int", "bytes", "size", "int"])
    this.#close = native.declare("close", "int", ["int"])
    // Not to be inherited: what it owns must go with this process.
    this.#descriptor = native.declare("socket", "int", ["int", "int", "int"])(
      familyNetlink,
      rawCloseOnExec,
      protocol,
    )
  }

  /** Throws `NativeFailure` with the first error that the kernel answers; a batch has then changed nothing. */
  request(bytes: Uint8Array): void {
    this.#send(this.#descriptor, bytes, bytes.length, 0)
    let failure: NativeFailure | undefined
    for (let answer = this.#next(); answer !== undefined; answer = this.#next()) {
      const errno = errorIn(answer)
      if (errno !== 0) failure ??= new NativeFailure("netlink", errno)
    }
    if (failure !== undefined) throw failure
  }

  /** The messages that answer a request for all there is. Throws `NativeFailure`. */
  dump(bytes: Uint8Array): readonly Uint8Array[] {
    this.#send(this.#descriptor, bytes, bytes.length, 0)
    const found: Uint8Array[] = []
    for (let answer = this.#next(); answer !== undefined; answer = this.#next()) {
      const errno = errorIn(answer)
      if (errno !== 0) throw new NativeFailure("netlink", errno)
      const messages = messagesOf(Buffer.from(answer))
      found.push(...messages.filter((message) => message.readUInt16LE(4) >= familyTypeMin))
    }
    return found
  }

  close(): void {
    this.#close(this.#descriptor)
  }

  /** `undefined`: nothing more has been said. */
  #next(): Uint8Array | undefined {
    try {
      const length = this.#receive(this.#descriptor, this.#answer, this.#answer.length, doNotWait)
      return this.#answer.subarray(0, length)
    } catch (cause) {
      if (cause instanceof NativeFailure && cause.code === "EAGAIN") return undefined
      throw cause
    }
  }
}

/** One message: its family's header and attributes are `payload`. */
export function netlinkMessage(type: number, flags: number, payload: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(payload)
  const header = Buffer.alloc(headerLength)
  header.writeUInt32LE(headerLength + body.length, 0)
  header.writeUInt16LE(type, 4)
  header.writeUInt16LE(flags, 6)
  return padded(Buffer.concat([header, body]))
}

export function attribute(type: number, value: Uint8Array): Uint8Array {
  const header = Buffer.alloc(4)
  header.writeUInt16LE(4 + value.length, 0)
  header.writeUInt16LE(type, 2)
  return padded(Buffer.concat([header, value]))
}

export function nested(type: number, ...attributes: readonly Uint8Array[]): Uint8Array {
  return attribute(type | nestedAttribute, Buffer.concat(attributes))
}

export function textAttribute(type: number, value: string): Uint8Array {
  return attribute(type, Buffer.from(`${value}\0`))
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
}

/** The first error among the messages of one datagram; 0: none, or an acknowledgement. */
function errorIn(datagram: Uint8Array): number {
  const view = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length)
  for (const message of messagesOf(view)) {
    const error = message.readUInt16LE(4) === errorType ? message.readInt32LE(headerLength) : 0
    if (error !== 0) return -error
  }
  return 0
}

/** Each with its header, of one datagram. */
function messagesOf(datagram: Buffer): readonly Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at + headerLength + 4 <= datagram.length; ) {
    const length = datagram.readUInt32LE(at)
    assert(length >= headerLength, "the kernel's messages have a header")
    found.push(datagram.subarray(at, at + length))
    at += padded4(length)
  }
  return found
}

/** By type, of a message whose family's header has `familyLength` bytes. */
export function attributesOf(message: Uint8Array, familyLength: number): ReadonlyMap<number, Uint8Array> {
  const view = Buffer.from(message.buffer, message.byteOffset, message.length)
  const found = new Map<number, Uint8Array>()
  for (let at = headerLength + familyLength; at + 4 <= view.length; ) {
    const length = view.readUInt16LE(at)
    assert(length >= 4, "an attribute has a header")
    found.set(view.readUInt16LE(at + 2), view.subarray(at + 4, at + length))
    at += padded4(length)
  }
  return found
}

function padded4(length: number): number {
  return (length + 3) & ~3
}
