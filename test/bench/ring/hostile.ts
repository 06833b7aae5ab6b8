/**
 * `hostile`: four nodes; then one dies, and who took its machine over, address and port included, but has no key, floods the
 * representative with datagrams of one kind after the other, made of genuine frames that the dead node had sent to it.
 */
import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { waitFor } from "../../support/cluster/waiting.ts"
import { whole } from "./measure.ts"
import { QuorumbeatRing } from "./quorumbeat.ts"
import { RingNetwork } from "./ring-network.ts"
import { isWhole, runTimeOf } from "./ring-system.ts"
import type { Bench } from "./sizes.ts"

const rate = 100_000
const port = 5405
const samples = 40
/** Offsets into the clear header (protocol/datagram.ts). */
const header = { version: 2, kind: 3, clusterTag: 4, counter: 24 }

interface Kind {
  readonly name: string
  readonly make: (frame: Buffer) => Buffer
  /** From a port that no node has. */
  readonly isForeign?: true
}

function altered(frame: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(frame)
  change(copy)
  return copy
}

/** A counter that the session never reaches: only opening the seal shows that it is wrong. */
const forged = (frame: Buffer): Buffer =>
  altered(frame, (copy) => copy.writeUInt32BE(1_900_000_000, header.counter + 4))

const kinds: readonly Kind[] = [
  { name: "foreign source", make: (frame) => frame, isForeign: true },
  { name: "forged", make: forged },
  {
    name: "wrong cluster",
    make: (frame) => altered(frame, (copy) => randomBytes(4).copy(copy, header.clusterTag)),
  },
  { name: "wrong version", make: (frame) => altered(frame, (copy) => copy.writeUInt8(9, header.version)) },
  { name: "truncated", make: (frame) => forged(frame).subarray(0, frame.length - 5) },
  { name: "replayed", make: (frame) => frame },
  { name: "oversized", make: (frame) => Buffer.concat([frame, randomBytes(1_400 - frame.length)]) },
]

export async function hostile(bench: Bench): Promise<void> {
  const { say, seconds, profiles, workplace } = bench
  for (const [index, profile] of profiles.entries()) {
    say(
      `\nHostile datagrams, ${rate} a second offered, ${seconds} s each, to the representative of 3 nodes, ${profile}`,
    )
    const network = new RingNetwork(`bh${index}`, 90 + index, 4)
    const ring = await QuorumbeatRing.prepare(workplace, network, { profile, timings: {} })
    try {
      await attack(bench, network, ring)
    } catch (cause) {
      say(`  FAILED: ${cause instanceof Error ? cause.message : String(cause)}`)
    } finally {
      await ring.close()
      await sleep(500)
      network.remove()
    }
  }
}

async function attack(
  { say, seconds, workplace }: Bench,
  network: RingNetwork,
  ring: QuorumbeatRing,
): Promise<void> {
  const [victim = "", stranger = ""] = [ring.nodes[0], ring.nodes[3]]
  const [target, source] = [`${network.addressOf(0)}:${port}`, network.addressOf(3)]
  await ring.start()
  await whole(ring)
  const recorded = join(workplace.directory, "recorded")
  await runSender(network, stranger, ["record", source, target, String(samples), recorded])
  ring.kill(stranger)
  const survivors = ring.nodes.filter((node) => node !== stranger)
  await waitFor({ what: "a ring of the others", limit: 30_000 }, () => isWhole(ring, survivors) || undefined)
  await sleep(10_000)
  const frames = readFileSync(recorded, "utf8")
    .split("\n")
    .map((line) => Buffer.from(line, "hex"))
    .filter((frame) => frame[header.kind] === 2)
  say(
    "  kind          offered a second   read a second   processor of the real-time process   views   leases lapsed   loop late",
  )
  await oneKind("none", () => sleep(seconds * 1000, { sent: 0, elapsed: seconds * 1000 }))
  for (const { name, make, isForeign } of kinds) {
    const file = join(workplace.directory, "datagrams")
    writeFileSync(file, frames.map((frame) => make(frame).toString("hex")).join("\n"))
    const from = `${source}:${isForeign ? port + 1 : port}`
    const parameters = ["send", from, target, String(rate), String(seconds), file]
    await oneKind(name, async () => JSON.parse(await runSender(network, stranger, parameters)))
    await sleep(3_000)
  }

  async function oneKind(
    name: string,
    work: () => Promise<{ readonly sent: number; readonly elapsed: number }>,
  ): Promise<void> {
    const { pid } = ring.cluster.agent(victim)
    const counts = (): readonly number[] =>
      ["view-installed", "ring-lease-lapsed"].map((event) =>
        survivors.reduce((total, node) => total + ring.lines(node, event).length, 0),
      )
    const [time, read, before] = [runTimeOf(pid), received(network, victim), counts()]
    const { sent, elapsed } = await work()
    const [timeAfter, readAfter] = [runTimeOf(pid), received(network, victim)]
    await sleep(1_500)
    const [views = 0, lapses = 0] = counts().map((count, index) => count - (before[index] ?? 0))
    const status = await ring.cluster.agent(victim).status()
    const perSecond = (count: number): string => Math.round((1000 * count) / elapsed).toString()
    const isAlive = ring.cluster.agent(victim).isRunning
    say(
      `  ${name.padEnd(16)} ${perSecond(sent).padStart(13)} ${perSecond(readAfter - read).padStart(15)} ` +
        `${(((timeAfter - time) / elapsed) * 100).toFixed(1).padStart(32)} % ${String(views).padStart(10)} ${String(lapses).padStart(15)}` +
        `   ${isAlive ? `${status?.host.lateness_ms ?? "?"} ms` : "THE AGENT ENDED"}`,
    )
  }
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
