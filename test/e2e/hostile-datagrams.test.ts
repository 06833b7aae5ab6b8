// Datagrams from a stranger on the network, thousands of them: dropped, counted by reason, and the ring does not notice.

import { execFile } from "node:child_process"
import { randomBytes, randomInt } from "node:crypto"
import { createSocket, type Socket } from "node:dgram"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { afterAll, describe, expect, it } from "vitest"
import type { Agent } from "../support/cluster/agent.ts"
import { waitFor } from "../support/cluster/waiting.ts"
import { patience, quickSites, useLab } from "./lab.ts"
import { addressOf, sniffed, WanSniffer } from "./wan-sniffer.ts"

const sniffer = new WanSniffer()
const lab = useLab({
  name: "hostile-datagrams",
  sites: [
    { name: "north", nodes: ["n1", "n2", "n3"] },
    { name: "south", nodes: ["s1"] },
  ],
  hasWitness: false,
  timings: quickSites,
  configure: WanSniffer.configure,
  companions: ({ cluster }) => sniffer.listen(cluster.layout),
})
afterAll(() => sniffer.close())

/** Offsets into the clear header (protocol/datagram.ts). */
const header = {
  version: 2,
  kind: 3,
  clusterTag: 4,
  keyId: 8,
  zeros: 9,
  sender: 12,
  receiver: 14,
  counter: 24,
  bytes: 32,
}
/** With a bit of its header changed; the seal covers the header. */
function altered(frame: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(frame)
  change(copy)
  return copy
}

/** A counter that no session has reached: only opening the seal shows that it is wrong. */
const withFreshCounter = (frame: Buffer): Buffer =>
  altered(frame, (copy) => copy.writeUInt32BE(randomInt(1_000_000, 2_000_000_000), header.counter + 4))

/** Sends many at once. */
const sender = join(import.meta.dirname, "../bench/ring/hostile-sender.ts")

interface Attack {
  /** Under which its datagrams are counted. */
  readonly reason: string
  readonly make: (frame: Buffer) => Buffer
}

/** Made of genuine frames that the victim has received. */
const attacks: readonly Attack[] = [
  // Never ours by chance: one run in a hundred had one that began like a frame of another version.
  {
    reason: "not-ours",
    make: () => altered(randomBytes(randomInt(100, 1_200)), (copy) => copy.writeUInt16BE(0)),
  },
  { reason: "too-short", make: () => randomBytes(randomInt(0, 40)) },
  { reason: "too-short", make: (frame) => frame.subarray(0, randomInt(1, header.bytes)) },
  { reason: "forged", make: (frame) => withFreshCounter(frame).subarray(0, frame.length - randomInt(1, 8)) },
  { reason: "forged", make: (frame) => withFreshCounter(frame) },
  {
    reason: "wrong-cluster",
    make: (frame) => altered(frame, (copy) => randomBytes(4).copy(copy, header.clusterTag)),
  },
  { reason: "version", make: (frame) => altered(frame, (copy) => copy.writeUInt8(9, header.version)) },
  { reason: "malformed", make: (frame) => altered(frame, (copy) => copy.writeUInt8(1, header.zeros)) },
  {
    reason: "unknown-node",
    make: (frame) => altered(frame, (copy) => copy.writeUInt16BE(999, header.sender)),
  },
  {
    reason: "not-for-us",
    make: (frame) => altered(frame, (copy) => copy.writeUInt16BE(999, header.receiver)),
  },
  { reason: "unknown-key", make: (frame) => altered(frame, (copy) => copy.writeUInt8(77, header.keyId)) },
  { reason: "replayed", make: (frame) => frame },
  { reason: "oversized", make: (frame) => Buffer.concat([frame, randomBytes(randomInt(1_200, 30_000))]) },
]

/** Genuine frames of its present sessions. */
function sealedFrames({ name }: Agent): Promise<readonly Buffer[]> {
  const known = new Set(sniffer.frames(name))
  return waitFor({ what: `frames to ${name}`, limit: patience }, () => {
    const sealed = sniffer.frames(name).filter((frame) => !known.has(frame) && frame[header.kind] === 2)
    return sealed.length >= 10 ? sealed : undefined
  })
}

async function dropsOf(agent: Agent): Promise<Readonly<Record<string, number>>> {
  const answer = await agent.status()
  const { oversized_datagrams: oversized = 0, foreign_datagrams: foreign = 0 } = answer?.host ?? {}
  return { ...answer?.status.dropped_datagrams, oversized, foreign }
}

/** Ring ids and how often each node's log speaks of a membership change. */
async function memberships(agents = lab.cluster.agents): Promise<readonly unknown[]> {
  return Promise.all(
    agents.map(async (agent) => {
      const changes = readFileSync(agent.node.logFile, "utf8").match(/"event":"(gather|view-installed)"/g)
      return [agent.name, (await lab.statusOf(agent)).ring?.id, changes?.length]
    }),
  )
}

/** A socket that sends from the WAN address of a node of another site than the victim's. */
function pretender(victim: Agent): Promise<Socket> {
  const other = lab.cluster.layout.nodes.find(({ site }) => site !== victim.node.site)
  const socket = createSocket("udp4")
  const { host } = addressOf(other === undefined ? "" : sniffed(other))
  return new Promise((resolve) => socket.bind(0, host, () => resolve(socket)))
}

function send(socket: Socket, bytes: Buffer, address: string): Promise<void> {
  const { host, port } = addressOf(address)
  return new Promise((resolve, reject) => {
    socket.send(bytes, port, host, (cause) => (cause === null ? resolve() : reject(cause)))
  })
}

/**
 * `count` times, at most two thousand a second: also a slow machine looks at all of them. A source whose share of time is
 * used up (SPEC LN11) is shut out by the kernel, which counts nothing.
 */
async function inBursts(count: number, sendOne: (n: number) => Promise<void>): Promise<void> {
  for (let n = 0; n < count; n++) {
    await sendOne(n)
    if (n % 40 === 39) await sleep(20)
  }
}

/**
 * Half of them to the ring's socket, where nobody is heard who is no neighbour, half to the WAN's from the address of a node
 * of the other site.
 */
async function attack(victim: Agent, frames: readonly Buffer[], count: number): Promise<Map<string, number>> {
  const socket = await pretender(victim)
  const sent = new Map<string, number>()
  const { link, wanBind } = victim.node
  await inBursts(count, async (n) => {
    const attack = attacks[n % attacks.length] ?? { reason: "", make: () => Buffer.alloc(0) }
    const frame = frames[randomInt(frames.length)] ?? Buffer.alloc(100)
    const isRing = n % 2 === 0
    await send(socket, attack.make(frame), isRing ? link : wanBind)
    const reason = isRing ? "foreign" : attack.reason
    sent.set(reason, (sent.get(reason) ?? 0) + 1)
  })
  socket.close()
  return sent
}

describe("hostile datagrams", () => {
  it.each(["active", "other"])(
    "10,000 to the %s node: no view changes, each is counted by its reason",
    async (which) => {
      const before = lab.owner()
      const victim = which === "active" ? lab.ownerAgent() : lab.neighbour(lab.ownerAgent())
      const frames = await sealedFrames(victim)
      const ringBefore = await memberships()
      const dropsBefore = await dropsOf(victim)
      const sent = await attack(victim, frames, 10_000)
      await lab.undisturbed(before, 2_000)
      expect(await memberships()).toEqual(ringBefore)
      const drops = await dropsOf(victim)
      for (const [reason, count] of sent) {
        const counted = (drops[reason] ?? 0) - (dropsBefore[reason] ?? 0)
        // A datagram may be lost before it reaches the process.
        expect(counted, reason).toBeGreaterThan(0.9 * count)
        expect(counted, reason).toBeLessThanOrEqual(count)
      }
    },
  )

  it.each(["the other site", "a dead neighbour"])(
    "[LN11] 100,000 a second that have to be opened, from the address of %s: no view changes",
    async (whose) => {
      const dead = lab.neighbour(lab.ownerAgent())
      if (whose === "a dead neighbour") await dead.kill()
      const running = lab.cluster.agents.filter(({ isRunning }) => isRunning)
      const north = running.filter(({ node }) => node.site === dead.node.site)
      await waitFor({ what: "the ring of those who live", limit: patience }, async () => {
        const rings = await Promise.all(north.map((agent) => lab.statusOf(agent)))
        return rings.every(({ ring }) => ring?.members.length === north.length) || undefined
      })
      const before = lab.owner()
      const victim = lab.ownerAgent()
      const ringBefore = await memberships(running)
      const forged = (await sealedFrames(victim)).map((frame) => withFreshCounter(frame).toString("hex"))
      const file = join(lab.cluster.layout.directory, "forged")
      writeFileSync(file, forged.join("\n"))
      const away = lab.cluster.layout.nodes.find(({ site }) => site !== victim.node.site)
      const ways =
        whose === "a dead neighbour"
          ? [dead.node.link, victim.node.link]
          : [`${addressOf(away === undefined ? "" : sniffed(away)).host}:0`, victim.node.wanBind]
      await promisify(execFile)(process.execPath, [sender, "send", ...ways, "100000", "3", file])
      expect(victim.isRunning).toBe(true)
      await lab.undisturbed(before, 1_000)
      expect(await memberships(running)).toEqual(ringBefore)
      expect((await victim.status())?.host.shed_datagrams).toBeGreaterThan(0)
    },
  )

  it("what others said to a node while it was away, sent to it after its restart: proves nothing", async () => {
    const before = lab.owner()
    const victim = lab.neighbour(lab.ownerAgent())
    await victim.kill()
    const recorded: Buffer[] = []
    const socket = createSocket("udp4")
    socket.on("message", (bytes) => recorded.push(bytes))
    const { host, port } = addressOf(victim.node.link)
    await new Promise<void>((resolve) => socket.bind(port, host, resolve))
    await sleep(3_000)
    await new Promise<void>((resolve) => socket.close(resolve))
    expect(recorded.length).toBeGreaterThan(5)
    lab.start(victim)
    await lab.settled()
    const ringBefore = await memberships()
    const stranger = await pretender(victim)
    await inBursts(1_000, (n) =>
      send(stranger, recorded[n % recorded.length] ?? Buffer.alloc(0), victim.node.wanBind),
    )
    stranger.close()
    await lab.undisturbed(before, 2_000)
    expect(await memberships()).toEqual(ringBefore)
    const { replayed = 0, "stale-incarnation": stale = 0 } = await dropsOf(victim)
    expect(replayed + stale).toBeGreaterThan(900)
  })
})
