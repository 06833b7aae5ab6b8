/**
 * The rules of the gate as nftables' text (SPEC G). A gated address passes, in and out, by IP and by ARP, only while the set
 * `open4` or `open6` has an element of it whose interval of real time includes now. Nothing else of the host is touched:
 * the tables are ours, and an `accept` in them ends no other table's say.
 *
 * - Incoming before anything else has changed the packet, outgoing after everything else has: translated addresses count.
 * - An answer to a neighbour solicitation is sent from the address that was asked for, so IPv6 needs no rule of its own.
 * - ARP that tells of the address from elsewhere comes in: a node that does not hold it may be its client.
 *
 * Once the agent has left, nobody's lease counts any more and the address is anybody's to use here, if it is here: a socket
 * bound to an IPv6 address goes on sending from it when it is gone, so `leftRules` stop that.
 */

export const gateTable = "quorumbeat"
/** Keeps everything closed while the other is made anew. */
const startingTable = "quorumbeat-starting"
/** Of an agent that has left in order. */
const leftTable = "quorumbeat-left"

export interface GatedAddresses {
  readonly ipv4: readonly string[]
  readonly ipv6: readonly string[]
}

export function gatedOf(addresses: readonly string[]): GatedAddresses {
  return {
    ipv4: addresses.filter((address) => !address.includes(":")),
    ipv6: addresses.filter((address) => address.includes(":")),
  }
}

/** Closes all of them, whatever a former agent left: in force before its table goes, until ours is complete. */
export function startingRules(addresses: GatedAddresses): string {
  const drop = (field: string, list: readonly string[]) =>
    list.length === 0 ? "" : `    ${field} { ${list.join(", ")} } drop\n`
  return `${replaced("inet", startingTable)}
table inet ${startingTable} {
  chain in {
    type filter hook prerouting priority -450; policy accept;
${drop("ip daddr", addresses.ipv4)}${drop("ip6 daddr", addresses.ipv6)}  }
  chain out {
    type filter hook postrouting priority 500; policy accept;
${drop("ip saddr", addresses.ipv4)}${drop("ip6 saddr", addresses.ipv6)}  }
}
${replaced("arp", startingTable)}
table arp ${startingTable} {
  chain in {
    type filter hook input priority -450; policy accept;
${drop("arp daddr ip", addresses.ipv4)}  }
  chain out {
    type filter hook output priority 500; policy accept;
${drop("arp saddr ip", addresses.ipv4)}  }
}
`
}

/** Fills the two empty tables, closed, and ends what `startingRules` began and what a former agent left. */
export function gateRules(addresses: GatedAddresses): string {
  const elements = (list: readonly string[]) =>
    list.length === 0 ? "" : ` elements = { ${list.join(", ")} };`
  const set = (family: string, name: string, rest: string) =>
    `add set ${family} ${gateTable} ${name} { ${rest} }\n`
  const chain = (family: string, name: string, hook: string) =>
    `add chain ${family} ${gateTable} ${name} { type filter hook ${hook}; policy accept; }\n`
  const rule = (family: string, name: string, field: string, version: 4 | 6) =>
    `add rule ${family} ${gateTable} ${name} ${field} @gated${version} ${field} . meta time != @open${version} drop\n`
  return [
    set("inet", "gated4", `type ipv4_addr;${elements(addresses.ipv4)}`),
    set("inet", "gated6", `type ipv6_addr;${elements(addresses.ipv6)}`),
    set("inet", "open4", "typeof ip daddr . meta time; flags interval, timeout;"),
    set("inet", "open6", "typeof ip6 daddr . meta time; flags interval, timeout;"),
    chain("inet", "in", "prerouting priority -450"),
    chain("inet", "out", "postrouting priority 500"),
    rule("inet", "in", "ip daddr", 4),
    rule("inet", "in", "ip6 daddr", 6),
    rule("inet", "out", "ip saddr", 4),
    rule("inet", "out", "ip6 saddr", 6),
    set("arp", "gated4", `type ipv4_addr;${elements(addresses.ipv4)}`),
    set("arp", "open4", "typeof arp daddr ip . meta time; flags interval, timeout;"),
    chain("arp", "in", "input priority -450"),
    chain("arp", "out", "output priority 500"),
    rule("arp", "in", "arp daddr ip", 4),
    rule("arp", "out", "arp saddr ip", 4),
    `${replaced("inet", leftTable)}\n`,
    endStarting,
  ].join("")
}

export const endStarting = `delete table inet ${startingTable}\ndelete table arp ${startingTable}\n`

/** Nothing of this host goes out from an address that is not on it; what is forwarded does. */
export function leftRules(addresses: GatedAddresses): string {
  const drop = (field: string, list: readonly string[]) =>
    list.length === 0 ? "" : `    ${field} { ${list.join(", ")} } fib saddr type != local drop\n`
  return `${replaced("inet", leftTable)}
table inet ${leftTable} {
  chain out {
    type filter hook output priority 500; policy accept;
${drop("ip saddr", addresses.ipv4)}${drop("ip6 saddr", addresses.ipv6)}  }
}
`
}

/** A deletion of what is not there would be an error. */
function replaced(family: string, table: string): string {
  return `add table ${family} ${table}\ndelete table ${family} ${table}`
}
