import { describe, expect, test } from "vitest"
import { helloFor, receive, replaceKeyRing } from "../../../node-agent/core/session.ts"
import { a, b, c, connect, deliver, hello, key1, key2, outcome, sealed, start } from "./session-pair.ts"

describe("ring keys", () => {
  const both = { ringKeys: [key1, key2] }

  test("[K7] a rotation, step by step, loses no frame", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const flows = () => {
      expect(deliver(second, sealed(first, second))).toBe("frame")
      expect(deliver(first, sealed(second, first))).toBe("frame")
      expect(deliver(second, hello(first, second))).toBe("hello established")
    }
    for (const node of [first, second]) {
      node.host.replaceRingKeys(both.ringKeys)
      replaceKeyRing(node.sessions, { active: 1, accepted: [1, 2] })
      flows()
    }
    const underWay = sealed(first, second)
    for (const node of [first, second]) {
      replaceKeyRing(node.sessions, { active: 2, accepted: [1, 2] })
      flows()
    }
    expect(deliver(second, underWay)).toBe("frame")
    for (const node of [first, second]) {
      node.host.replaceRingKeys([key2])
      replaceKeyRing(node.sessions, { active: 2, accepted: [2] })
      flows()
    }
  })

  test("[K7] what is sealed under a key that is no longer valid is refused unopened", () => {
    const [first, second] = [
      start(a, { ...both, keyRing: { active: 1, accepted: [1, 2] } }),
      start(b, { ...both, keyRing: { active: 2, accepted: [1, 2] } }),
    ]
    connect(first, second)
    const [frame, greeting] = [sealed(first, second), hello(first, second)]
    replaceKeyRing(second.sessions, { active: 2, accepted: [2] })
    const opened = second.opens
    expect(deliver(second, frame)).toBe("unknown-key")
    expect(deliver(second, greeting)).toBe("unknown-key")
    expect(second.opens).toBe(opened)
  })

  test("[K7] a frame of a session comes once, under whichever of the two keys", () => {
    const [first, second] = [start(a, both), start(b, { ...both, keyRing: { active: 1, accepted: [1, 2] } })]
    connect(first, second)
    const old = sealed(first, second)
    replaceKeyRing(first.sessions, { active: 2, accepted: [1, 2] })
    const recent = sealed(first, second)
    expect([old[8], recent[8]]).toEqual([1, 2])
    expect(deliver(second, recent)).toBe("frame")
    expect(deliver(second, old)).toBe("frame")
    expect(deliver(second, recent)).toBe("replayed")
    expect(deliver(second, old)).toBe("replayed")
  })

  test("[K7] other bytes under the same key id are another key", () => {
    const first = start(a)
    const second = start(b, { ringKeys: [{ id: 1, bytes: key2.bytes }] })
    expect(deliver(second, hello(first, second))).toBe("forged")
  })

  test("[K7] an id that comes to name other bytes seals and opens with those, in sessions too", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const old = sealed(first, second)
    for (const node of [first, second]) {
      node.host.replaceRingKeys([{ id: 1, bytes: key2.bytes }])
      replaceKeyRing(node.sessions, { active: 1, accepted: [1] })
    }
    expect(deliver(second, old)).toBe("forged")
    expect(deliver(second, sealed(first, second))).toBe("frame")
    expect(deliver(second, hello(first, second))).toBe("hello established")
  })

  test("[K7] the active key is one of at most two accepted keys that the host has", () => {
    const node = start(a, both)
    expect(() => replaceKeyRing(node.sessions, { active: 1, accepted: [2] })).toThrow()
    expect(() => replaceKeyRing(node.sessions, { active: 1, accepted: [1, 2, 3] })).toThrow()
    expect(() => replaceKeyRing(node.sessions, { active: 1, accepted: [1, 3] })).toThrow()
  })

  test("[K8] no key ever seals twice under one nonce: hellos of two starts, frames, rotation", () => {
    const seen = new Set<string>()
    const note = (bytes: Uint8Array, from: number, session: string) => {
      const isHello = bytes[3] === 1
      const nonce = isHello ? bytes.subarray(32, 44) : bytes.subarray(24, 32)
      const name = `${isHello ? "hello" : session} ${from} ${bytes[8]} ${nonce.join()}`
      expect(seen).not.toContain(name)
      seen.add(name)
    }
    for (const count of [1, 2]) {
      const [first, second] = [start(a, { ...both, incarnation: count }), start(b, both)]
      const third = start(c, both)
      connect(first, second)
      connect(first, third)
      for (const active of [1, 2, 1]) {
        replaceKeyRing(first.sessions, { active, accepted: [1, 2] })
        for (let i = 0; i < 20; i += 1) {
          note(sealed(first, second), 1, `session ${count}`)
          note(helloFor(first.sessions, b), 1, "")
        }
      }
    }
  })

  test("[K8] the same frame twice is two datagrams with nothing in common", () => {
    const [first, second] = [start(a), start(b)]
    connect(first, second)
    const [one, two] = [sealed(first, second, 5), sealed(first, second, 5)]
    expect(one.subarray(32)).not.toEqual(two.subarray(32))
    expect(outcome(receive(second.sessions, two))).toBe("frame")
  })
})
