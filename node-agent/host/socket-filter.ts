/**
 * Programs for the filters of UDP sockets, in classic BPF: what they do not pass the kernel drops before it is queued. A load
 * from beyond the end of a datagram drops it.
 */
import { isIPv6 } from "node:net"
import { ipv6Groups } from "../../protocol/address.ts"
import type { UdpAddress } from "../../protocol/cluster.ts"
import { withoutScope } from "./udp-addresses.ts"

/** Instructions, `struct sock_filter` of linux/filter.h, one after the other. */
export type FilterProgram = Buffer

export const instructionBytes = 8

const [loadWord, loadHalf, jumpEqual, jumpGreater, returnConstant] = [0x20, 0x28, 0x15, 0x25, 0x06]
/** Offsets count from the UDP header; from here on from that of IP (SKF_NET_OFF). */
const networkHeader = 0xfff0_0000
const udpHeader = 8

/** What is loaded at an offset must be the value. */
export interface FilterCondition {
  readonly load: Buffer
  readonly value: number
}

export const passAll: FilterProgram = keep(0xffff_ffff)
export const passNone: FilterProgram = keep(0)

/** Four bytes of the datagram. */
export function word(offset: number): Buffer {
  return instruction(loadWord, 0, 0, udpHeader + offset)
}

/** What meets all conditions is for `then` to decide, the rest for `otherwise`. */
export function decide(
  conditions: readonly FilterCondition[],
  then: FilterProgram,
  otherwise: FilterProgram,
): FilterProgram {
  const body = conditions.flatMap(({ load, value }, index) => {
    const after = 2 * (conditions.length - index - 1) + then.length / instructionBytes
    return [load, instruction(jumpEqual, 0, after, value)]
  })
  return Buffer.concat([...body, then, otherwise])
}

/** Passes what has a value there above `least` and not above `most`. */
export function passBetween(load: Buffer, least: number, most: number): FilterProgram {
  const above = instruction(jumpGreater, 0, 2, least)
  const beyond = instruction(jumpGreater, 1, 0, most)
  return Buffer.concat([load, above, beyond, passAll, passNone])
}

/** Is it from that address, and from that port, if one is given? */
export function sentFrom({ host }: UdpAddress, port: number | undefined): readonly FilterCondition[] {
  const address = withoutScope(host)
  const groups = isIPv6(address) ? ipv6Groups(address) : undefined
  const source = groups === undefined ? sourceOfIpv4(address) : sourceOfIpv6(groups)
  if (port === undefined) return source
  return [{ load: instruction(loadHalf, 0, 0, 0), value: port }, ...source]
}

function sourceOfIpv4(address: string): readonly FilterCondition[] {
  const value = Buffer.from(address.split(".").map(Number)).readUInt32BE()
  return [{ load: instruction(loadWord, 0, 0, networkHeader + 12), value }]
}

function sourceOfIpv6(groups: readonly number[]): readonly FilterCondition[] {
  return [0, 2, 4, 6].map((index) => ({
    load: instruction(loadWord, 0, 0, networkHeader + 8 + 2 * index),
    value: (groups[index] ?? 0) * 0x1_0000 + (groups[index + 1] ?? 0),
  }))
}

function keep(bytes: number): Buffer {
  return instruction(returnConstant, 0, 0, bytes)
}

function instruction(code: number, ifTrue: number, ifFalse: number, value: number): Buffer {
  const bytes = Buffer.alloc(instructionBytes)
  bytes.writeUInt16LE(code, 0)
  bytes.writeUInt8(ifTrue, 2)
  bytes.writeUInt8(ifFalse, 3)
  bytes.writeUInt32LE(value, 4)
  return bytes
}
