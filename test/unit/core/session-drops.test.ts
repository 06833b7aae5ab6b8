import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { encodeHello } from "../../../node-agent/core/hello.ts"
import { receive } from "../../../node-agent/core/session.ts"
import { sessionKeys } from "../../../node-agent/core/session-state.ts"
import type { DropReason } from "../../../protocol/frame.ts"
import { protocolVersions } from "../../../protocol/version.ts"
import {
  a,
  b,
  c,
  changed,
  cluster,
  connect,
  deliver,
  hello,
  key1,
  key2,
  sealed,
  snapshot,
  start,
  type TestNode,
} from "./session-pair.ts"

function connected(): readonly [TestNode, TestNode] {
  const pair = [start(a), start(b)] as const
  connect(...pair)
  return pair
}

/** `bytes` with one field changed by someone who has the ring key: sealed anew, so that only the content is wrong. */
function resealed(from: TestNode, to: TestNode, bytes: Uint8Array, body: Uint8Array): Uint8Array {
  const header = bytes.slice(0, 32)
  const peer = from.sessions.peers.get(to.sessions.self)
  if (peer?.proven === undefined) throw new Error("no session")
  const isHello = header[3] === 1
  const us = from.sessions.self
  const them = to.sessions.self
  const key = isHello
    ? from.host.deriveKey(1, `quorumbeat 1|hello|${us}|${them}|${cluster}`)
    : sessionKeys(from.sessions, peer, peer.proven, 1)?.send
  if (key === undefined) throw new Error("no key")
  const nonce = isHello ? bytes.slice(32, 44) : new Uint8Array([0, 0, 0, 0, ...header.subarray(24, 32)])
  return new Uint8Array([...header, ...(isHello ? nonce : []), ...from.host.seal(key, nonce, header, body)])
}

interface Crafted {
  readonly reason: DropReason
  readonly why: string
  readonly opens: 0 | 1
  readonly craft: (first: TestNode, second: TestNode) => Uint8Array
}

/** What the second node is sent, after the two have a session. */
const crafted: readonly Crafted[] = [
  { reason: "too-short", why: "nothing", opens: 0, craft: () => new Uint8Array(0) },
  { reason: "too-short", why: "a header alone", opens: 0, craft: (x, y) => sealed(x, y).slice(0, 32) },
  { reason: "too-short", why: "a hello cut off", opens: 0, craft: (x, y) => hello(x, y).slice(0, -1) },
  { reason: "too-long", why: "more than any datagram", opens: 0, craft: () => new Uint8Array(1201) },
  {
    reason: "too-long",
    why: "more than any hello",
    opens: 0,
    craft: (x, y) => new Uint8Array([...hello(x, y), ...new Uint8Array(100)]),
  },
  { reason: "not-ours", why: "another magic", opens: 0, craft: (x, y) => changed(sealed(x, y), 0, 0x71) },
  { reason: "version", why: "a later version", opens: 0, craft: (x, y) => changed(sealed(x, y), 2, 2) },
  { reason: "wrong-cluster", why: "another tag", opens: 0, craft: (x, y) => changed(sealed(x, y), 4, 0) },
  {
    reason: "unknown-node",
    why: "a sender not configured",
    opens: 0,
    craft: (x, y) => changed(sealed(x, y), 13, 9),
  },
  {
    reason: "unknown-node",
    why: "our own id as the sender",
    opens: 0,
    craft: (x, y) => changed(sealed(x, y), 13, b),
  },
  { reason: "not-for-us", why: "another receiver", opens: 0, craft: (x, y) => changed(sealed(x, y), 15, c) },
  { reason: "not-for-us", why: "our own frame, reflected", opens: 0, craft: (x, y) => sealed(y, x) },
  { reason: "not-for-us", why: "our own hello, reflected", opens: 0, craft: (x, y) => hello(y, x) },
  {
    reason: "unknown-key",
    why: "a key id nobody has",
    opens: 0,
    craft: (x, y) => changed(sealed(x, y), 8, 2),
  },
  {
    reason: "unknown-key",
    why: "a hello under such a key",
    opens: 0,
    craft: (x, y) => changed(hello(x, y), 8, 2),
  },
  {
    reason: "no-session",
    why: "a frame of a peer never heard",
    opens: 0,
    craft: (_, y) => {
      const third = start(c)
      connect(third, start(b))
      return sealed(third, y)
    },
  },
  {
    reason: "no-session",
    why: "a frame of a start never heard",
    opens: 0,
    craft: (x, y) => changed(sealed(x, y), 19, 2),
  },
  {
    reason: "stale-incarnation",
    why: "a frame for our former self",
    opens: 0,
    craft: (x, y) => changed(sealed(x, y), 23, 9),
  },
  {
    reason: "stale-incarnation",
    why: "one incarnation, two nonces",
    opens: 1,
    craft: (_, y) => {
      const forgetful = start(a, { chance: 77 })
      hello(forgetful, y)
      hello(forgetful, y)
      return hello(forgetful, y)
    },
  },
  {
    reason: "replayed",
    why: "a frame a second time",
    opens: 0,
    craft: (x, y) => {
      const bytes = sealed(x, y)
      deliver(y, bytes)
      return bytes
    },
  },
  {
    reason: "replayed",
    why: "a hello a second time",
    opens: 0,
    craft: (x, y) => {
      const bytes = hello(x, y)
      deliver(y, bytes)
      return bytes
    },
  },
  {
    reason: "forged",
    why: "our own frame, reflected, ends exchanged",
    opens: 1,
    craft: (x, y) => {
      sealed(y, x)
      return changed(changed(sealed(y, x), 13, a), 15, b)
    },
  },
  {
    reason: "forged",
    why: "our own hello, reflected, ends exchanged",
    opens: 1,
    craft: (x, y) => {
      for (let i = 0; i < 5; i += 1) hello(y, x)
      return changed(changed(hello(y, x), 13, a), 15, b)
    },
  },
  {
    reason: "forged",
    why: "a frame to another peer, sent here",
    opens: 1,
    craft: (x) => {
      connect(x, start(c))
      return changed(sealed(x, start(c)), 15, b)
    },
  },
  {
    reason: "forged",
    why: "a hello under another ring key",
    opens: 1,
    craft: (_, y) => {
      const stranger = start(a, { ringKeys: [{ id: 1, bytes: key2.bytes }], incarnation: 2 })
      return hello(stranger, y)
    },
  },
  {
    reason: "forged",
    why: "a cluster of another name with our tag and key",
    opens: 1,
    craft: (_, y) => hello(start(a, { cluster: "grid-south", incarnation: 2 }), y),
  },
  {
    reason: "malformed",
    why: "a kind that does not exist",
    opens: 0,
    craft: (x, y) => changed(sealed(x, y), 3, 7),
  },
  {
    reason: "malformed",
    why: "an authentic hello that says nothing known",
    opens: 1,
    craft: (x, y) =>
      resealed(
        x,
        y,
        hello(x, y),
        changed(
          encodeHello({ nonce: new Uint8Array(16), echo: undefined, versions: protocolVersions }),
          16,
          3,
        ),
      ),
  },
]

const every: readonly DropReason[] = [
  "too-short",
  "too-long",
  "not-ours",
  "version",
  "wrong-cluster",
  "unknown-node",
  "not-for-us",
  "unknown-key",
  "no-session",
  "stale-incarnation",
  "replayed",
  "forged",
  "malformed",
]

describe("what is dropped", () => {
  test.each(crafted)("[K2] $reason: $why; nothing changes", ({ reason, craft, opens }) => {
    const [first, second] = connected()
    const bytes = craft(first, second)
    const before = snapshot(second)
    const opened = second.opens
    expect(receive(second.sessions, bytes)).toEqual({ kind: "dropped", reason })
    expect(snapshot(second)).toBe(before)
    expect(second.opens - opened).toBe(opens)
  })

  test("[K2] a frame of a start below the proved one is stale before it is opened", () => {
    const [first, second] = connected()
    const late = sealed(first, second)
    connect(start(a, { incarnation: 2 }), second)
    const opened = second.opens
    expect(deliver(second, late)).toBe("stale-incarnation")
    expect(second.opens).toBe(opened)
  })

  test("[K2] an authentic frame with unknown content is malformed and uses up its counter", () => {
    const [first, second] = connected()
    const bytes = resealed(first, second, sealed(first, second), new Uint8Array([99]))
    expect(deliver(second, bytes)).toBe("malformed")
    expect(deliver(second, bytes)).toBe("replayed")
    expect(deliver(second, sealed(first, second))).toBe("frame")
  })

  test("[K2] every reason there is has its datagram here", () => {
    const made = new Set(crafted.map((each) => each.reason))
    expect([...made].toSorted()).toEqual([...every].toSorted())
  })

  test("[K2] a key that the host has lost meanwhile is unknown", () => {
    const second = start(b, { ringKeys: [key1, key2], keyRing: { active: 1, accepted: [1, 2] } })
    second.host.replaceRingKeys([key1])
    const first = start(a, { ringKeys: [key2], keyRing: { active: 2, accepted: [2] } })
    expect(deliver(second, hello(first, second))).toBe("unknown-key")
  })
})

describe("changed bits", () => {
  test("[K9] no bit of a frame or a hello can be changed, header or body, and no such attempt changes anything", () => {
    const [first, second] = connected()
    for (const bytes of [sealed(first, second), hello(first, second)]) {
      const before = snapshot(second)
      for (let at = 0; at < bytes.length; at += 1) {
        for (let bit = 0; bit < 8; bit += 1) {
          const opened = second.opens
          const received = receive(second.sessions, changed(bytes, at, (bytes[at] ?? 0) ^ (1 << bit)))
          expect(received.kind).toBe("dropped")
          expect(second.opens - opened).toBeLessThanOrEqual(1)
        }
      }
      expect(snapshot(second)).toBe(before)
      expect(deliver(second, bytes)).not.toBe("forged")
    }
  })

  test("[K9] random bytes behind a sound header are forged or dropped before, never an exception", () => {
    const [first, second] = connected()
    const header = sealed(first, second).slice(0, 32)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1300 }), fc.boolean(), (rest, isHello) => {
        const bytes = new Uint8Array([...(isHello ? changed(header, 3, 1) : header), ...rest])
        expect(receive(second.sessions, bytes).kind).toBe("dropped")
      }),
    )
  })
})
