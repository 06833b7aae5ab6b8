/** The kinds of single values in a cluster configuration, with their bounds and why they are so. */
import { isGroup, isWildcard, parseAddress, parseUdpAddress } from "./address.ts"
import type { UdpAddress } from "./cluster.ts"
import type { Leaf } from "./config-reader.ts"

/** Part of host names, URLs and metrics labels. */
export const clusterName: Leaf<string> = pattern(
  /^[a-z0-9][a-z0-9-]{0,62}$/,
  "1 to 63 of a-z, 0-9 and -, not beginning with -",
)

/** Names stand in file names, lease names and command lines: nothing that any of these treats specially. */
export const plainName: Leaf<string> = pattern(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,30}$/,
  "a name of 1 to 31 of A-Z, a-z, 0-9, ., _ and -, beginning with a letter or digit",
)

/** 32 bytes in base64url without padding: the last of the 43 characters has only four bits to carry. */
export const publicKey: Leaf<string> = pattern(
  /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/,
  "an Ed25519 public key: 32 bytes as 43 characters of base64url",
)

/** What `execve` can take: no NUL, at most 4 KB. */
export const argument: Leaf<string> = {
  expected: "a string of at most 4096 characters without NUL",
  read: (value) =>
    typeof value === "string" && value.length <= 4096 && !value.includes("\0") ? value : undefined,
}

/** POSIX, so that every shell can name it. */
export const variableName: Leaf<string> = pattern(
  /^[A-Za-z_][A-Za-z0-9_]{0,63}$/,
  "a variable's name: 1 to 64 of A-Z, a-z, 0-9 and _, not beginning with a digit",
)

export const programPath: Leaf<string> = {
  expected: "a program's absolute path, as /usr/bin/ledgerctl",
  read: (value) => (argument.read(value)?.startsWith("/") ? argument.read(value) : undefined),
}

/** Parts of a path: no slash, and nothing that begins with a dot. */
export const ocfAgent: Leaf<string> = pattern(
  /^ocf:[A-Za-z0-9][A-Za-z0-9._-]{0,62}:[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
  "an OCF agent, as ocf:heartbeat:IPaddr2",
)

export const fenceAgent: Leaf<string> = pattern(
  /^fence_[a-z0-9_]{1,40}$/,
  "an agent of fence-agents, as fence_ipmilan",
)

/** systemd.unit(5); instances of templates too, aliases and paths not. */
export const systemdUnit: Leaf<string> = pattern(
  /^[A-Za-z0-9:_.\\@-]{1,200}\.(service|target|mount|socket|timer|path|slice|scope|swap|automount)$/,
  "a unit with its suffix, as postgresql.service",
)

export const filePath: Leaf<string> = {
  expected: "a file's absolute path, as /etc/quorumbeat/ipmi.secrets",
  read: (value) => (argument.read(value)?.startsWith("/") ? argument.read(value) : undefined),
}

export const watchdogDevice: Leaf<string> = pattern(
  /^\/dev\/[A-Za-z0-9][A-Za-z0-9._/-]{0,60}$/,
  "a watchdog's device, as /dev/watchdog0",
)

/**
 * `https`, or `http` to the machine itself for trying things out. No user, query or fragment: what is posted there is
 * signed, and a secret in a file with one checksum for all nodes would be no secret. A slash at the end means nothing.
 */
export const witnessUrl: Leaf<string> = {
  expected:
    "an https:// address of at most 1024 characters without user, query or fragment (http:// only to the machine itself)",
  read: (value) => {
    if (typeof value !== "string" || value.length > 1024) return undefined
    const parts =
      /^(https?):\/\/([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[1-9]\d{0,4})?((?:\/[A-Za-z0-9._~%!$&'()*+,;=:@-]*)*)$/.exec(
        value,
      )
    if (parts === null) return undefined
    const [, scheme = "", host = "", port = "", path = ""] = parts
    const local = ["localhost", "127.0.0.1", "[::1]"].includes(host.toLowerCase())
    if ((scheme === "http" && !local) || Number(port.slice(1)) > 65535) return undefined
    return `${scheme}://${host.toLowerCase()}${port}${path.replace(/\/+$/, "")}`
  },
}

/** Where one node is reached. */
export function address(defaultPort: number): Leaf<UdpAddress> {
  return {
    expected: `a literal IPv4 or IPv6 address of one host, as 10.0.0.1:${defaultPort} or [fd00::1]:${defaultPort}`,
    read: (value) => {
      const read = typeof value === "string" ? parseUdpAddress(value, defaultPort) : undefined
      return read === undefined || isWildcard(read) || isGroup(read) ? undefined : read
    },
  }
}

/** Where a node listens: every address of the host (0.0.0.0, ::) will do. */
export function listenAddress(defaultPort: number): Leaf<UdpAddress> {
  return {
    expected: `a literal IPv4 or IPv6 address, as 10.0.0.1:${defaultPort} or 0.0.0.0:${defaultPort}`,
    read: (value) => {
      const read = typeof value === "string" ? parseUdpAddress(value, defaultPort) : undefined
      return read === undefined || isGroup(read) ? undefined : read
    },
  }
}

/** The kernel's bound on names of interfaces; nothing that a path or nftables treats specially. */
export const deviceName: Leaf<string> = pattern(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/,
  "the name of a network interface, as eth0",
)

/** Link-local addresses mean something else on every link, and loopback ones are no one's alone. */
export const floatingAddress: Leaf<{ readonly address: string; readonly prefix: number }> = {
  expected: "an IPv4 or IPv6 address with its prefix, as 10.0.0.50/24 or fd00::50/64",
  read: (value) => {
    const [text = "", digits = "", ...more] = typeof value === "string" ? value.split("/") : []
    const address = parseAddress(text)
    if (address === undefined || more.length > 0 || !/^[1-9]\d{0,2}$/.test(digits)) return undefined
    const host = { host: address, port: 0 }
    const prefix = Number(digits)
    const isLocal = /^(127\.|169\.254\.|fe[89ab].:|::1$)/.test(address)
    const isWide = prefix > (address.includes(":") ? 128 : 32)
    return isWide || isLocal || isWildcard(host) || isGroup(host) ? undefined : { address, prefix }
  },
}

export function integer(min: number, max: number): Leaf<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    read: (value) =>
      typeof value === "number" && Number.isInteger(value) && value >= min && value <= max
        ? value
        : undefined,
  }
}

export function oneOf<T extends string>(...words: readonly T[]): Leaf<T> {
  return {
    expected: words.map((word) => `"${word}"`).join(" or "),
    read: (value) => words.find((word) => word === value),
  }
}

function pattern(shape: RegExp, expected: string): Leaf<string> {
  return { expected, read: (value) => (typeof value === "string" && shape.test(value) ? value : undefined) }
}
