/**
 * `hostile`: four nodes; then one dies, and who took its machine over, address and port included, but has no key, floods the
 * representative with datagrams of one kind after the other, made of genuine frames that the dead node had sent to it. In the
 * end it sends as if from a node that lives, the representative's predecessor on the ring, whose frames it has seen.
 */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { waitFor } from "../../support/cluster/waiting.ts"
import { whole } from "./measure.ts"
import { onNetwork } from "./on-network.ts"
import { QuorumbeatRing } from "./quorumbeat.ts"
import { RingNetwork } from "./ring-network.ts"
import { isWhole, runTimeOf } from "./ring-system.ts"
import type { Bench } from "./sizes.ts"

const port = 5405
const samples = 40
/** Offsets into the clear header (protocol/datagram.ts). */
const header = { version: 2, kind: 3, clusterTag: 4, counter: 24 }

interface Kind {
  readonly name: string
  readonly make: (frame: Buffer, index: number) => Buffer
  /** Address and port of the dead node, its address alone, or those of a node that lives. */
  readonly from: "dead" | "foreign" | "living"
}

function altered(frame: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(frame)
  change(copy)
  return copy
}

/** A counter that the session never reaches: only opening the seal shows that it is wrong. */
const forged = (frame: Buffer): Buffer =>
  altered(frame, (copy) => copy.writeUInt32BE(1_900_000_000, header.counter + 4))

/** A counter that the session reaches while the flood lasts: made by who sees each frame. */
const next = (frame: Buffer, index: number): Buffer =>
  altered(frame, (copy) => {
    const counter = copy.readUInt32BE(header.counter + 4)
    copy.writeUInt32BE(counter + 20 * (index + 1), header.counter + 4)
  })

const kinds: readonly Kind[] = [
  { name: "foreign source", from: "foreign", make: (frame) => frame },
  { name: "forged", from: "dead", make: forged },
  {
    name: "wrong cluster",
    from: "dead",
    make: (frame) => altered(frame, (copy) => randomBytes(4).copy(copy, header.clusterTag)),
  },
  {
    name: "wrong version",
    from: "dead",
    make: (frame) => altered(frame, (copy) => copy.writeUInt8(9, header.version)),
  },
  { name: "truncated", from: "dead", make: (frame) => forged(frame).subarray(0, frame.length - 5) },
  { name: "replayed", from: "dead", make: (frame) => frame },
  {
    name: "oversized",
    from: "dead",
    make: (frame) => Buffer.concat([frame, randomBytes(1_400 - frame.length)]),
  },
  { name: "living, forged", from: "living", make: forged },
  { name: "living, replayed", from: "living", make: (frame) => frame },
  { name: "living, next", from: "living", make: next },
]

export async function hostile(bench: Bench): Promise<void> {
  const { say, rate, seconds, profiles, workplace } = bench
  for (const [index, profile] of profiles.entries())
    for (const networks of [1, 2]) {
      say(
        `\nHostile datagrams, ${rate} a second offered, ${seconds} s each, to the representative of 3 nodes, ${profile}` +
          (networks === 1 ? "" : ", on one of two networks"),
      )
      const network = new RingNetwork(`bh${index}${networks}`, 90 + 2 * index + networks, 4, networks)
      const prepare = (): Promise<QuorumbeatRing> =>
        QuorumbeatRing.prepare(workplace, network, { profile, timings: {} })
      const chosen = networks === 1 ? kinds : kinds.filter(({ make }) => make === next)
      await onNetwork(bench, `hostile, ${profile}`, network, prepare, (ring) =>
        attack(bench, network, ring, chosen),
      )
    }
}

async function attack(
  { say, rate, seconds, workplace }: Bench,
  network: RingNetwork,
  ring: QuorumbeatRing,
  chosen: readonly Kind[],
): Promise<void> {
  const [victim = "", , living = "", stranger = ""] = ring.nodes
  const target = `${network.addressOf(0)}:${port}`
  const addresses = { living: network.addressOf(2), dead: network.addressOf(3) }
  countFrames(network, victim)
  await ring.start()
  await whole(ring)
  const dead = await recorded(stranger, addresses.dead)
  ring.kill(stranger)
  const survivors = ring.nodes.filter((node) => node !== stranger)
  await waitFor({ what: "a ring of the others", limit: 30_000 }, () => isWhole(ring, survivors) || undefined)
  await sleep(10_000)
  const sources = {
    dead: `${addresses.dead}:${port}`,
    foreign: `${addresses.dead}:${port + 1}`,
    living: `${addresses.living}:${port}`,
  }
  pretendToBe(network, stranger, addresses.living)
  say(
    "  kind             offered a second   read a second   processor   genuine lost   views   leases lapsed   loop late",
  )
  await oneKind("none", () => sleep(seconds * 1000, { sent: 0, elapsed: seconds * 1000 }))
  for (const { name, from, make } of chosen) {
    const file = join(workplace.directory, "datagrams")
    const frames = from === "living" ? await recorded(living, addresses.living) : dead
    writeFileSync(file, frames.map((frame, index) => make(frame, index).toString("hex")).join("\n"))
    const parameters = ["send", sources[from], target, String(rate), String(seconds), file]
    await oneKind(name, async () => JSON.parse(await runSender(network, stranger, parameters)))
    if (!ring.cluster.agent(victim).isRunning) {
      ring.startOne(victim)
      await waitFor(
        { what: "the victim's return", limit: 30_000 },
        () => isWhole(ring, survivors) || undefined,
      )
    }
    await sleep(3_000)
  }

  /** Sealed frames that the node sends to the victim. */
  async function recorded(node: string, address: string): Promise<readonly Buffer[]> {
    const file = join(workplace.directory, "recorded")
    await runSender(network, node, ["record", address, target, String(samples), file])
    return readFileSync(file, "utf8")
      .split("\n")
      .map((line) => Buffer.from(line, "hex"))
      .filter((frame) => frame[header.kind] === 2)
  }

  async function oneKind(
    name: string,
    work: () => Promise<{ readonly sent: number; readonly elapsed: number }>,
  ): Promise<void> {
    const agent = ring.cluster.agent(victim)
    const counts = async () => ({
      views: total("view-installed"),
      lapses: total("ring-lease-lapsed"),
      arrived: framesTo(network, ring, victim),
      taken: received(network, victim) - (await refused(ring, victim)),
    })
    const before = await counts()
    const [time, read] = [runTimeOf(agent.pid), received(network, victim)]
    const { sent, elapsed } = await work()
    const [timeAfter, readAfter] = [runTimeOf(agent.pid), received(network, victim)]
    await sleep(2_500)
    const after = await counts()
    const [arrived, lost] = [
      after.arrived - before.arrived,
      after.arrived - after.taken - (before.arrived - before.taken),
    ]
    const perSecond = (count: number): string => Math.round((1000 * count) / elapsed).toString()
    const late = (await agent.status())?.host.lateness_ms
    say(
      [
        `  ${name.padEnd(16)}`,
        perSecond(sent).padStart(16),
        perSecond(readAfter - read).padStart(15),
        `${(((timeAfter - time) / elapsed) * 100).toFixed(1)} %`.padStart(11),
        `${Math.max(lost, 0)} of ${arrived}`.padStart(14),
        String(after.views - before.views).padStart(7),
        String(after.lapses - before.lapses).padStart(15),
        (agent.isRunning ? `${late ?? "?"} ms` : "THE AGENT ENDED").padStart(11),
      ].join(" "),
    )
  }

  function total(event: string): number {
    return survivors.reduce((sum, node) => sum + ring.lines(node, event).length, 0)
  }
}

/** The switch counts what each node sends to the victim: a flood comes in at a port of its own, whatever its source. */
function countFrames(network: RingNetwork, victim: string): void {
  const { namespaces, nodes } = network
  const rules = nodes.flatMap((node) =>
    Array.from({ length: network.networks }, (_, at) => {
      const way = `iifname ${namespaces.portOf(node, at)} oifname ${namespaces.portOf(victim, at)}`
      return `add rule bridge seen forward ${way} meta l4proto udp counter comment "${node}"`
    }),
  )
  const chain = "add chain bridge seen forward { type filter hook forward priority 0; }"
  const text = ["add table bridge seen", chain, ...rules, ""].join("\n")
  execFileSync("ip", ["netns", "exec", namespaces.switchName, "nft", "-f", "-"], { input: text })
}

/** Datagrams of the ring's members to the victim so far. */
function framesTo({ namespaces }: RingNetwork, ring: QuorumbeatRing, victim: string): number {
  const parameters = ["netns", "exec", namespaces.switchName, "nft", "-j", "list", "table", "bridge", "seen"]
  const { nftables }: { readonly nftables: readonly { readonly rule?: CountingRule }[] } = JSON.parse(
    execFileSync("ip", parameters, { encoding: "utf8" }),
  )
  const members = ring.nodes.filter((node) => node !== victim && ring.cluster.agent(node).isRunning)
  const rules = nftables.flatMap(({ rule }) =>
    rule !== undefined && members.includes(rule.comment) ? [rule] : [],
  )
  const packets = rules.flatMap(({ expr }) => expr.map(({ counter }) => counter?.packets ?? 0))
  return packets.reduce((sum, each) => sum + each, 0)
}

interface CountingRule {
  readonly comment: string
  readonly expr: readonly { readonly counter?: { readonly packets: number } }[]
}

/** Datagrams that the agent has read and not taken so far. */
async function refused(ring: QuorumbeatRing, node: string): Promise<number> {
  const answer = await ring.cluster.agent(node).status()
  if (answer === undefined) return 0
  const { oversized_datagrams: oversized, foreign_datagrams: foreign, shed_datagrams: shed } = answer.host
  const drops = Object.values(answer.status.dropped_datagrams)
  return drops.reduce((sum, each) => sum + each, oversized + foreign + (shed ?? 0))
}

/** The machine may send from that address and nobody learns of it: it neither asks nor answers in its name. */
function pretendToBe({ namespaces }: RingNetwork, machine: string, address: string): void {
  namespaces.run(machine, "sysctl", [
    "-qw",
    "net.ipv4.conf.all.arp_ignore=1",
    "net.ipv4.conf.all.arp_announce=2",
  ])
  namespaces.run(machine, "ip", ["address", "add", `${address}/32`, "dev", "lo"])
}

/** Datagrams that the machine's processes were given so far. */
function received(network: RingNetwork, node: string): number {
  const text = network.namespaces.run(node, "cat", ["/proc/net/snmp"])
  const [names = "", values = ""] = text.split("\n").filter((line) => line.startsWith("Udp:"))
  return Number(values.split(" ")[names.split(" ").indexOf("InDatagrams")])
}

function runSender(network: RingNetwork, node: string, parameters: readonly string[]): Promise<string> {
  const sender = network.namespaces.spawn(node, process.execPath, [senderProgram, ...parameters])
  let output = ""
  sender.stdout?.on("data", (chunk: Buffer) => {
    output += chunk.toString()
  })
  return new Promise((resolve, reject) => {
    sender.on("error", reject)
    sender.on("close", (status) =>
      status === 0 ? resolve(output) : reject(new Error(`the sender ended with status ${status}`)),
    )
  })
}

const senderProgram = join(import.meta.dirname, "hostile-sender.ts")
