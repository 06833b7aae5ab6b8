/** SPEC LN2: a copy over another link is known as one, a replay stays a replay. */
import { describe, expect, test } from "vitest"
import { receive } from "../../../node-agent/core/session.ts"
import { a, b, changed, connect, deliver, hello, outcome, sealed, start } from "./session-pair.ts"

function connected() {
  const [first, second] = [start(a), start(b)]
  connect(first, second)
  return [first, second] as const
}

describe("copies of a frame", () => {
  test("[LN2] over each other link count once, without being opened", () => {
    const [first, second] = connected()
    const bytes = sealed(first, second)
    const over = (link: number) => outcome(receive(second.sessions, bytes, link))
    expect(over(3)).toBe("frame")
    const { opens } = second
    expect([over(0), over(7), over(0), over(3)]).toEqual(["copy", "copy", "replayed", "replayed"])
    expect(second.opens).toBe(opens)
  })

  test("[LN2] with another seal are none: a counter alone proves nothing", () => {
    const [first, second] = connected()
    const bytes = sealed(first, second)
    receive(second.sessions, bytes, 0)
    for (let at = bytes.length - 8; at < bytes.length; at++) {
      const forged = changed(bytes, at, (bytes[at] ?? 0) ^ 1)
      expect(outcome(receive(second.sessions, forged, 1))).toBe("replayed")
    }
    expect(outcome(receive(second.sessions, bytes, 1))).toBe("copy")
  })

  test("[LN2] that lag by 64 frames and more are none; a late frame does not hide a later one", () => {
    const [first, second] = connected()
    const late = sealed(first, second)
    const frames = Array.from({ length: 64 }, (_, id) => sealed(first, second, id))
    for (const bytes of frames) receive(second.sessions, bytes, 0)
    expect(outcome(receive(second.sessions, late, 0))).toBe("frame")
    for (const bytes of frames) expect(outcome(receive(second.sessions, bytes, 1))).toBe("copy")
    expect(outcome(receive(second.sessions, late, 1))).toBe("replayed")
  })
})

describe("copies of a hello", () => {
  test("[LN2] are no replays, whether its sender has proved itself or not, and are not opened twice then", () => {
    const [first, second] = [start(a), start(b)]
    const over = (bytes: Uint8Array, link: number) => outcome(receive(second.sessions, bytes, link))
    const unproved = hello(first, second)
    expect([over(unproved, 1), over(unproved, 0), over(unproved, 1)]).toEqual([
      "hello heard reply-wanted",
      "old-hello",
      "replayed",
    ])
    connect(first, second)
    const proved = hello(first, second)
    expect(over(proved, 0)).toBe("hello established")
    const { opens } = second
    expect([over(proved, 1), over(proved, 0)]).toEqual(["old-hello", "replayed"])
    expect(second.opens).toBe(opens)
  })

  test("[LN2] are known over a slower link, four hellos late", () => {
    const [first, second] = connected()
    const hellos = Array.from({ length: 5 }, () => hello(first, second))
    for (const bytes of hellos) receive(second.sessions, bytes, 0)
    const late = hellos.map((bytes) => outcome(receive(second.sessions, bytes, 1)))
    expect(late).toEqual(["replayed", "old-hello", "old-hello", "old-hello", "old-hello"])
  })

  test("[LN2] one that another overtook is no replay, and changes nothing; forged it is found out", () => {
    const [first, second] = connected()
    const [former, later] = [hello(first, second), hello(first, second)]
    const forged = changed(former, former.length - 1, (former.at(-1) ?? 0) ^ 1)
    expect(deliver(second, later)).toBe("hello established")
    const before = second.sessions.peers.get(a)?.proven?.hellosSeen
    expect([deliver(second, forged), deliver(second, former), deliver(second, former)]).toEqual([
      "forged",
      "old-hello",
      "replayed",
    ])
    expect(second.sessions.peers.get(a)?.proven?.hellosSeen).toBe(before)
  })
})
