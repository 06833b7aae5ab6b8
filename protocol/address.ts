/**
 * UDP addresses as the configuration writes them: `10.0.0.1`, `10.0.0.1:5405`, `[fe80::1%eth1]:5405`. Literal addresses
 * only: a name would put the resolver, its caches and its outages into the path of every heartbeat, and two nodes could
 * mean different machines by the same file.
 *
 * One address has one spelling here (RFC 5952 for IPv6: lower case, no leading zeros, the longest run of zero groups
 * as `::`), so that comparing texts compares addresses and the checksum does not depend on spelling.
 */
import type { UdpAddress } from "./cluster.ts"

export type AddressFamily = "ipv4" | "ipv6"

/** Reads an address; `defaultPort` counts where none is written. `undefined`: not a literal address with a valid port. */
export function parseUdpAddress(text: string, defaultPort: number): UdpAddress | undefined {
  const parts = splitPort(text)
  if (parts === undefined) return undefined
  const host = parts.bracketed ? canonicalIpv6(parts.host) : canonicalIpv4(parts.host)
  const port = parts.port === undefined ? defaultPort : parsePort(parts.port)
  return host === undefined || port === undefined ? undefined : { host, port }
}

/** Reads an address without port, brackets or zone, into its one spelling; `undefined`: it is none. */
export function parseAddress(text: string): string | undefined {
  if (text.includes("%")) return undefined
  return text.includes(":") ? canonicalIpv6(text) : canonicalIpv4(text)
}

/** The one spelling of an address, with its port always written. */
export function formatUdpAddress(address: UdpAddress): string {
  return addressFamily(address) === "ipv6"
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`
}

export function addressFamily(address: UdpAddress): AddressFamily {
  return address.host.includes(":") ? "ipv6" : "ipv4"
}

/** `0.0.0.0` and `::`: every address of the host. Good to listen on, impossible to send to. */
export function isWildcard(address: UdpAddress): boolean {
  return address.host === "0.0.0.0" || address.host === "::"
}

/** Addresses that name a group (multicast, broadcast) and so never one node. */
export function isGroup(address: UdpAddress): boolean {
  if (addressFamily(address) === "ipv6") return /^ff..:/.test(address.host)
  const first = Number(address.host.split(".")[0])
  return (first >= 224 && first <= 239) || address.host === "255.255.255.255"
}

function splitPort(text: string) {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(text)
  if (bracketed !== null) return { host: bracketed[1] ?? "", port: bracketed[2], bracketed: true }
  const plain = /^([^:[\]]*)(?::(\d+))?$/.exec(text)
  if (plain !== null) return { host: plain[1] ?? "", port: plain[2], bracketed: false }
  return undefined
}

function parsePort(text: string): number | undefined {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65535 ? port : undefined
}

function canonicalIpv4(text: string): string | undefined {
  const octets = text.split(".")
  // A leading zero is refused: some readers take `010` for eight.
  const valid =
    octets.length === 4 && octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) <= 255)
  return valid ? text : undefined
}

function canonicalIpv6(text: string): string | undefined {
  const [address = "", zone, ...more] = text.split("%")
  if (more.length > 0 || (zone !== undefined && !/^[A-Za-z0-9._-]{1,15}$/.test(zone))) return undefined
  const groups = ipv6Groups(address)
  if (groups === undefined) return undefined
  const host = formatGroups(groups)
  return zone === undefined ? host : `${host}%${zone}`
}

/** The eight groups of an IPv6 address without its zone, in any spelling; `undefined`: it is none. */
export function ipv6Groups(text: string): readonly number[] | undefined {
  const halves = text.split("::")
  const [head = [], tail = []] = halves.map((half) => (half === "" ? [] : half.split(":")))
  const missing = 8 - head.length - tail.length
  const fits = halves.length === 1 ? missing === 0 : halves.length === 2 && missing >= 1
  if (!fits || ![...head, ...tail].every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined
  return [...head, ...new Array<string>(missing).fill("0"), ...tail].map((group) =>
    Number.parseInt(group, 16),
  )
}

/** The 4 or 16 bytes of a literal address without a zone. */
export function addressBytes(text: string): Uint8Array {
  const groups = ipv6Groups(text)
  if (groups !== undefined) return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
  return Uint8Array.from(text.split(".").map(Number))
}

function formatGroups(groups: readonly number[]): string {
  const run = longestZeroRun(groups)
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":")
  return run.length < 2 ? text(0, 8) : `${text(0, run.start)}::${text(run.start + run.length, 8)}`
}

function longestZeroRun(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 }
  let length = 0
  groups.forEach((group, index) => {
    length = group === 0 ? length + 1 : 0
    if (length > best.length) best = { start: index - length + 1, length }
  })
  return best
}
