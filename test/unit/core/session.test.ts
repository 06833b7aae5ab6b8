import { describe, expect, test } from "vitest"
import {
  configurePeers,
  helloDatagramBytes,
  peerIncarnation,
  receive,
  sealTo,
} from "../../../node-agent/core/session.ts"
import { datagramBytesMax } from "../../../protocol/frame.ts"
import { a, b, c, connect, deliver, hello, probe, sealed, snapshot, start } from "./session-pair.ts"

describe("taking up a session", () => {
  test("[K3] two hellos give the first node a session, a third the other, and then it is quiet", () => {
    const [first, second] = [start(a), start(b)]
    expect(deliver(second, hello(first, second))).toBe("hello heard reply-wanted")
    expect(peerIncarnation(second.sessions, a)).toBeUndefined()
    expect(deliver(first, hello(second, first))).toBe("hello established new reply-wanted")
    expect(peerIncarnation(first.sessions, b)).toBe(1)
    expect(deliver(second, hello(first, second))).toBe("hello established new")
    expect(peerIncarnation(second.sessions, a)).toBe(1)
    expect(deliver(second, sealed(first, second))).toBe("frame")
    expect(deliver(first, sealed(second, first))).toBe("frame")
  })

  test("[K3] the first frame proves its sender as a third hello would", () => {
    const [first, second] = [start(a), start(b)]
    deliver(second, hello(first, second))
    deliver(first, hello(second, first))
    const received = receive(second.sessions, sealed(first, second, 42))
    expect(received).toEqual({
      kind: "frame",
      from: a,
      counter: 1,
      incarnation: 1,
      newIncarnation: true,
      frame: probe(42),
    })
    expect(peerIncarnation(second.sessions, a)).toBe(1)
    expect(deliver(first, sealed(second, first))).toBe("frame")
  })

  test("[K3] hellos that cross end in one session", () => {
    const [first, second] = [start(a), start(b)]
    const crossing = [hello(first, second), hello(second, first)] as const
    deliver(second, crossing[0])
    deliver(first, crossing[1])
    const answers = [hello(first, second), hello(second, first)] as const
    expect(deliver(second, answers[0])).toBe("hello established new reply-wanted")
    expect(deliver(first, answers[1])).toBe("hello established new reply-wanted")
    expect(deliver(second, hello(first, second))).toBe("hello established")
    expect(deliver(first, hello(second, first))).toBe("hello established")
    expect(deliver(second, sealed(first, second))).toBe("frame")
    expect(deliver(first, sealed(second, first))).toBe("frame")
  })

  test("[K3] without a session nothing is sealed", () => {
    const [first, second] = [start(a), start(b)]
    expect(sealTo(first.sessions, b, probe(1))).toBeUndefined()
    deliver(first, hello(second, first))
    expect(sealTo(first.sessions, b, probe(1))).toBeUndefined()
    expect(peerIncarnation(first.sessions, b)).toBeUndefined()
  })

  test("[K3] every answer of the exchange may be lost: the next hello starts it again", () => {
    const [first, second] = [start(a), start(b)]
    hello(first, second)
    deliver(second, hello(first, second))
    hello(second, first)
    expect(deliver(first, hello(second, first))).toBe("hello established new reply-wanted")
    hello(first, second)
    expect(deliver(first, hello(second, first))).toBe("hello established reply-wanted")
    expect(deliver(second, hello(first, second))).toBe("hello established new")
  })

  test("[K3] of one hello on several links the first copy is answered", () => {
    const [first, second] = [start(a), start(b)]
    for (const [from, to] of [
      [first, second],
      [second, first],
      [first, second],
    ] as const) {
      const bytes = hello(from, to)
      expect(deliver(to, bytes)).toMatch(/^hello/)
      const after = snapshot(to)
      expect(deliver(to, bytes)).toBe("replayed")
      expect(snapshot(to)).toBe(after)
    }
  })

  test("[K3] sessions of one node with several peers are apart", () => {
    const [first, second, third] = [start(a), start(b), start(c)]
    connect(first, second)
    connect(third, first)
    expect(deliver(third, sealed(first, third))).toBe("frame")
    expect(deliver(second, sealed(first, second))).toBe("frame")
    expect(peerIncarnation(second.sessions, c)).toBeUndefined()
  })

  test("[K1] a hello has 93 bytes, the largest frame fits a datagram", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    expect(hello(first, second).length).toBe(helloDatagramBytes(35))
    expect(helloDatagramBytes(33)).toBe(93)
    const text = sealTo(first.sessions, b, { kind: "site", text: "x".repeat(1000) })
    expect(text?.length).toBe(32 + 1 + 2 + 1000 + 16)
    expect(text?.length).toBeLessThanOrEqual(datagramBytesMax)
  })
})

describe("reboots", () => {
  test("[K4] a restarted peer takes its former self's place after it has shown that it hears us", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const reborn = start(b, { incarnation: 2 })
    expect(deliver(reborn, sealed(first, second))).toBe("stale-incarnation")
    expect(deliver(first, hello(reborn, first))).toBe("hello heard reply-wanted")
    expect(peerIncarnation(first.sessions, b)).toBe(1)
    expect(deliver(reborn, hello(first, reborn))).toBe("hello established new reply-wanted")
    expect(deliver(first, hello(reborn, first))).toBe("hello established new")
    expect(peerIncarnation(first.sessions, b)).toBe(2)
    expect(deliver(reborn, sealed(first, reborn))).toBe("frame")
    expect(deliver(first, sealed(reborn, first))).toBe("frame")
  })

  test("[K4] after a reboot of ours the peer's session with our former self ends the same way", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const reborn = start(a, { incarnation: 2 })
    expect(deliver(reborn, sealed(second, first))).toBe("stale-incarnation")
    expect(deliver(reborn, hello(second, reborn))).toBe("hello heard reply-wanted")
    expect(deliver(second, hello(reborn, second))).toBe("hello established new reply-wanted")
    expect(deliver(reborn, hello(second, reborn))).toBe("hello established new")
    expect(deliver(reborn, sealed(second, reborn))).toBe("frame")
  })

  test("[K4] what the former self sent is stale, hellos and frames, once the new one is proved", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const late = [hello(second, first), sealed(second, first)]
    connect(start(b, { incarnation: 2 }), first)
    expect(peerIncarnation(first.sessions, b)).toBe(2)
    const after = snapshot(first)
    for (const bytes of late) expect(deliver(first, bytes)).toBe("stale-incarnation")
    expect(snapshot(first)).toBe(after)
  })

  test("[K4] the former self is listened to until the new one is proved", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const late = sealed(second, first)
    deliver(first, hello(start(b, { incarnation: 2 }), first))
    expect(deliver(first, late)).toBe("frame")
    expect(peerIncarnation(first.sessions, b)).toBe(1)
  })

  test("[K4] one incarnation with two nonces is one too many: the second is refused", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const forgetful = start(b, { chance: 99 })
    for (let i = 0; i < 5; i += 1) hello(forgetful, first)
    const after = snapshot(first)
    expect(deliver(first, hello(forgetful, first))).toBe("stale-incarnation")
    expect(snapshot(first)).toBe(after)
  })

  test("[K5] recorded hellos from before our reboot give no session and hinder none", () => {
    const [first, second] = [start(a), start(b)]
    const recorded: Uint8Array[] = []
    for (let i = 0; i < 3; i += 1) {
      recorded.push(hello(second, first))
      connect(first, second)
      recorded.push(hello(second, first))
    }
    const reborn = start(a, { incarnation: 2 })
    for (const bytes of recorded) {
      expect(deliver(reborn, bytes)).toBe("hello heard reply-wanted")
      expect(sealTo(reborn.sessions, b, probe(1))).toBeUndefined()
    }
    connect(second, reborn)
    const after = snapshot(reborn)
    for (const bytes of recorded) expect(deliver(reborn, bytes)).toBe("replayed")
    expect(snapshot(reborn)).toBe(after)
    expect(deliver(second, sealed(reborn, second))).toBe("frame")
  })

  test("[K5] recorded hellos of a peer's former starts change nothing once its present start is proved", () => {
    const [first, second] = [start(a), start(b)]
    const recorded = [hello(second, first)]
    connect(first, second)
    recorded.push(hello(second, first))
    const reborn = start(b, { incarnation: 7 })
    connect(first, reborn)
    const after = snapshot(first)
    const opened = first.opens
    for (const bytes of recorded) expect(deliver(first, bytes)).toBe("stale-incarnation")
    expect(snapshot(first)).toBe(after)
    expect(first.opens).toBe(opened)
    expect(deliver(reborn, sealed(first, reborn))).toBe("frame")
  })

  test("[K5] recorded hellos between the steps of an exchange only make it longer", () => {
    const former = [start(a), start(b)] as const
    connect(...former)
    const fromA = [hello(former[0], former[1]), hello(former[0], former[1])]
    const fromB = [hello(former[1], former[0]), hello(former[1], former[0])]
    const [first, second] = [start(a, { incarnation: 2 }), start(b, { incarnation: 2 })]
    deliver(second, hello(first, second))
    for (const bytes of fromA) deliver(second, bytes)
    // Echoes the recording, so it proves nothing to the first; but it carries the second's nonce.
    expect(deliver(first, hello(second, first))).toBe("hello heard reply-wanted")
    expect(deliver(second, hello(first, second))).toBe("hello established new reply-wanted")
    for (const bytes of fromB) deliver(first, bytes)
    expect(deliver(first, hello(second, first))).toBe("hello established new")
    expect(deliver(second, sealed(first, second))).toBe("frame")
    expect(deliver(first, sealed(second, first))).toBe("frame")
  })

  test("[K5] a recorded hello proves nothing to a start that forgot its incarnation and repeats it", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const recorded = [hello(second, first), sealed(second, first)]
    const forgetful = start(a, { chance: 77 })
    expect(recorded.map((bytes) => deliver(forgetful, bytes))).toEqual(["hello heard reply-wanted", "forged"])
    expect(peerIncarnation(forgetful.sessions, b)).toBeUndefined()
  })

  test("[K5] whom we heard last is echoed: a higher start heard in between keeps no exchange from ending", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    deliver(first, hello(start(b, { incarnation: 9 }), first))
    expect(deliver(second, hello(first, second))).toBe("hello established reply-wanted")
    expect(deliver(first, hello(second, first))).toBe("hello established")
    expect(deliver(second, hello(first, second))).toBe("hello established")
  })

  test("[K5] after both rebooted nothing recorded between their former selves is a frame", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const recorded = [hello(second, first), sealed(second, first), sealed(second, first)]
    const [x, y] = [start(a, { incarnation: 2 }), start(b, { incarnation: 2 })]
    expect(recorded.map((bytes) => deliver(x, bytes))).toEqual([
      "hello heard reply-wanted",
      "stale-incarnation",
      "stale-incarnation",
    ])
    connect(x, y)
    expect(recorded.map((bytes) => deliver(x, bytes))).toEqual(Array(3).fill("stale-incarnation"))
  })
})

describe("replays of frames", () => {
  test("[K6] a frame is taken once, in any order", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const frames = Array.from({ length: 50 }, (_, i) => sealed(first, second, i))
    for (const bytes of frames.toReversed()) expect(deliver(second, bytes)).toBe("frame")
    const opened = second.opens
    for (const bytes of frames) expect(deliver(second, bytes)).toBe("replayed")
    expect(second.opens).toBe(opened)
  })

  test("[K6] a frame is taken up to 2015 frames late, later it counts as seen", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const tooLate = sealed(first, second)
    const late = sealed(first, second)
    for (let i = 0; i < 2014; i += 1) sealed(first, second)
    expect(deliver(second, sealed(first, second))).toBe("frame")
    expect(deliver(second, late)).toBe("frame")
    expect(deliver(second, tooLate)).toBe("replayed")
    expect(deliver(second, late)).toBe("replayed")
  })

  test("[K6] both directions count for themselves", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    for (let i = 0; i < 3; i += 1) expect(deliver(second, sealed(first, second))).toBe("frame")
    expect(deliver(first, sealed(second, first))).toBe("frame")
  })

  test("[K6] a peer that leaves the configuration and returns goes on counting where it was", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const taken = sealed(first, second)
    deliver(second, taken)
    configurePeers(second.sessions, [c])
    expect(deliver(second, sealed(first, second))).toBe("unknown-node")
    expect(peerIncarnation(second.sessions, a)).toBeUndefined()
    configurePeers(second.sessions, [a, c])
    expect(deliver(second, taken)).toBe("replayed")
    const nonces = [sealed(second, first), sealed(second, first)].map((bytes) =>
      bytes.subarray(24, 32).join(),
    )
    expect(new Set(nonces).size).toBe(2)
    expect(deliver(second, sealed(first, second))).toBe("frame")
  })
})
