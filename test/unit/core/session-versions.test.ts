/** SPEC N: what a hello tells of versions, and what an older or a later program makes of it. */
import { describe, expect, test } from "vitest"
import { encodeHello, helloBodyBytes, parseHello } from "../../../node-agent/core/hello.ts"
import { helloFor, receive, versionWith } from "../../../node-agent/core/session.ts"
import { silentRange } from "../../../protocol/version.ts"
import { a, b, connect, deliver, hello, start } from "./session-pair.ts"

const nonce = new Uint8Array(16).fill(3)
const ranged = { nonce, echo: undefined, versions: { min: 1, max: 2 } }

describe("[N1] a hello", () => {
  test("tells the range; one of version 1 alone is the plain one, byte for byte", () => {
    expect(encodeHello(ranged).length).toBe(helloBodyBytes.ranged)
    expect(parseHello(encodeHello(ranged))).toEqual({ kind: "ok", value: ranged })
    const plain = { ...ranged, versions: silentRange }
    expect(encodeHello(plain).length).toBe(helloBodyBytes.plain)
    expect(parseHello(encodeHello(plain))).toEqual({ kind: "ok", value: plain })
  })

  test("of a later version may be longer: what follows is not read", () => {
    const longer = new Uint8Array([...encodeHello(ranged), 1, 2, 3])
    expect(parseHello(longer)).toEqual({ kind: "ok", value: ranged })
  })

  test("with a range turned round, or half of one, is malformed", () => {
    const bytes = encodeHello(ranged)
    expect(parseHello(new Uint8Array([...bytes.slice(0, 33), 3, 2]))).toMatchObject({ kind: "error" })
    expect(parseHello(bytes.slice(0, 34))).toMatchObject({ kind: "error" })
  })
})

describe("[N2] two nodes", () => {
  test.each([
    [{ min: 1, max: 2 }, { min: 1, max: 2 }, 2],
    [{ min: 1, max: 2 }, { min: 1, max: 3 }, 2],
    [{ min: 1, max: 3 }, { min: 2, max: 2 }, 2],
  ])("of %j and %j speak %i", (mine, theirs, version) => {
    const first = start(a, { versions: mine })
    const second = start(b, { versions: theirs })
    connect(first, second)
    expect([versionWith(first.sessions, b), versionWith(second.sessions, a)]).toEqual([version, version])
  })

  test("without a common one never have a session", () => {
    const first = start(a, { versions: { min: 1, max: 2 } })
    const second = start(b, { versions: { min: 3, max: 4 } })
    expect(deliver(second, hello(first, second))).toBe("version")
    expect(deliver(first, hello(second, first))).toBe("version")
    expect(versionWith(first.sessions, b)).toBeUndefined()
  })

  test("of which one is of version 1: it drops a hello with a range and takes the plain one", () => {
    const old = start(a, { versions: silentRange })
    const present = start(b)
    expect(deliver(old, hello(present, old))).toBe("too-long")
    const plain = () => helloFor(present.sessions, a, silentRange)
    expect(deliver(old, plain())).toBe("hello heard reply-wanted")
    expect(deliver(present, hello(old, present))).toContain("established")
    expect(deliver(old, plain())).toContain("established")
    expect([versionWith(old.sessions, b), versionWith(present.sessions, a)]).toEqual([1, 1])
  })

  test("keep to the higher range when a plain hello of the same start comes after it", () => {
    const first = start(a)
    const second = start(b)
    connect(first, second)
    receive(second.sessions, helloFor(first.sessions, b, silentRange))
    expect(versionWith(second.sessions, a)).toBe(2)
  })
})
