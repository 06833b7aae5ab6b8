import fc from "fast-check"
import { expect, test } from "vitest"
import { peerIncarnation, receive, sealTo } from "../../../node-agent/core/session.ts"
import { a, b, hello, probe, start, type TestNode } from "./session-pair.ts"

/** A network that keeps everything ever sent and delivers any of it, at any time, to either end. */
interface World {
  readonly nodes: [TestNode, TestNode]
  readonly recorded: Uint8Array[]
  /** By probe id: the starts between which the frame was sent. */
  readonly sent: Map<number, { readonly from: TestNode; readonly to: number | undefined }>
  readonly taken: Set<string>
}

type Deed = { readonly kind: "hello" | "frame" | "restart"; readonly end: 0 | 1 } | Delivery
interface Delivery {
  readonly kind: "deliver"
  readonly end: 0 | 1
  /** Counted from the latest recorded, so that recent datagrams are as likely as old ones. */
  readonly back: number
}

const end = fc.constantFrom<0 | 1>(0, 1)
const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("hello", "frame"), end }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart"), end }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("deliver"), end, back: fc.nat(3) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("deliver"), end, back: fc.nat(200) }) },
)

test("[K5] [K6] whatever is lost, delayed, repeated or restarted: a frame is taken once, by the start it was sealed to, and then two ends that can talk have a session", () => {
  fc.assert(
    fc.property(fc.array(deed, { maxLength: 120 }), (deeds) => {
      const world: World = { nodes: [start(a), start(b)], recorded: [], sent: new Map(), taken: new Set() }
      for (const each of deeds) act(world, each)
      calm(world)
    }),
    { numRuns: 400 },
  )
})

function act(world: World, deed: Deed): void {
  const self = world.nodes[deed.end]
  const other = world.nodes[1 - deed.end]
  if (self === undefined || other === undefined) throw new Error("two ends")
  switch (deed.kind) {
    case "hello":
      world.recorded.push(hello(self, other))
      return
    case "frame":
      sendFrame(world, self, other)
      return
    case "restart":
      world.nodes[deed.end] = start(self.sessions.self, { incarnation: self.sessions.incarnation + 1 })
      return
    case "deliver":
      take(world, self, world.recorded.at(-1 - deed.back))
      return
    default:
      deed satisfies never
  }
}

function sendFrame(world: World, self: TestNode, other: TestNode): void {
  const id = world.sent.size
  const bytes = sealTo(self.sessions, other.sessions.self, probe(id))
  if (bytes === undefined) return
  world.recorded.push(bytes)
  world.sent.set(id, { from: self, to: peerIncarnation(self.sessions, other.sessions.self) })
}

/** Delivers, checks what is taken, and tells whether a reply is wanted. */
function take(world: World, self: TestNode, bytes: Uint8Array | undefined): boolean {
  if (bytes === undefined) return false
  const received = receive(self.sessions, bytes)
  if (received.kind === "frame" && received.frame.kind === "probe") {
    const sent = world.sent.get(received.frame.id)
    const copy = `${received.frame.id}`
    expect(world.taken).not.toContain(copy)
    world.taken.add(copy)
    expect(sent?.from.sessions.self).toBe(received.from)
    expect(sent?.from.sessions.incarnation).toBe(received.incarnation)
    expect(sent?.to).toBe(self.sessions.incarnation)
  }
  expect(["forged", "malformed"]).not.toContain(received.kind === "dropped" ? received.reason : "")
  return received.kind === "hello-accepted" && received.replyWanted
}

/** Faults stop: one hello from each end, and every wanted reply, bring up the session and then nothing more is wanted. */
function calm(world: World): void {
  const [first, second] = world.nodes
  const underWay = [
    { to: second, bytes: hello(first, second) },
    { to: first, bytes: hello(second, first) },
  ]
  let replies = 0
  for (let next = underWay.shift(); next !== undefined; next = underWay.shift()) {
    const from = next.to === first ? second : first
    if (!take(world, next.to, next.bytes)) continue
    replies += 1
    expect(replies).toBeLessThanOrEqual(6)
    underWay.push({ to: from, bytes: hello(next.to, from) })
  }
  for (const [self, other] of [[first, second] as const, [second, first] as const]) {
    expect(peerIncarnation(self.sessions, other.sessions.self)).toBe(other.sessions.incarnation)
    const before = world.taken.size
    sendFrame(world, self, other)
    take(world, other, world.recorded.at(-1))
    expect(world.taken.size).toBe(before + 1)
  }
}
