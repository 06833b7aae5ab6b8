import { randomBytes } from "node:crypto"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  isSealedByNewest,
  type KeyRing,
  openText,
  readKeyRing,
  sealText,
} from "../../../../worker/alerts/sealing.ts"

const base64 = (fill: number, length = 32) => Buffer.alloc(length, fill).toString("base64")
const witnessKey = '{"kty":"OKP","d":"secret"}'

async function ring(secret: string | undefined, witness?: string): Promise<KeyRing> {
  const read = await readKeyRing(secret, witness)
  if (read.kind === "error") throw new Error(read.error)
  return read.value
}

describe("[A11] sealing", () => {
  it("what was sealed opens, whatever it is, and does not show itself", async () => {
    const keys = await ring(`k1:${base64(1)}`)
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 300 }), async (text) => {
        const sealed = await sealText(keys, text, "plant-7")
        expect(sealed).toMatch(/^sealed\.1\.k1\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]+$/)
        if (text.length > 8) expect(Buffer.from(sealed).includes(text)).toBe(false)
        expect(await openText(keys, sealed, "plant-7")).toEqual({ kind: "ok", value: text })
      }),
      { numRuns: 50 },
    )
  })

  it("the same text is never sealed the same twice", async () => {
    const keys = await ring(`k1:${base64(1)}`)
    expect(await sealText(keys, "x", "c")).not.toBe(await sealText(keys, "x", "c"))
  })

  it("what was sealed for one cluster does not open as another's", async () => {
    const keys = await ring(`k1:${base64(1)}`)
    const sealed = await sealText(keys, "secret", "plant-7")
    expect(await openText(keys, sealed, "plant-8")).toEqual({ kind: "error", error: "damaged" })
  })

  it("any change of any character is noticed", async () => {
    const keys = await ring(`k1:${base64(1)}`)
    const sealed = await sealText(keys, "secret", "c")
    for (let index = 0; index < sealed.length; index += 1) {
      const other = sealed[index] === "A" ? "B" : "A"
      const changed = `${sealed.slice(0, index)}${other}${sealed.slice(index + 1)}`
      const opened = await openText(keys, changed, "c")
      // The last characters of base64 carry bits that no byte has: changing those changes nothing.
      if (opened.kind === "ok") expect([opened.value, index > sealed.length - 2]).toEqual(["secret", true])
    }
  })

  it.each([
    "",
    "secret",
    "sealed",
    "sealed.1.k1",
    "sealed.1.k1.AAAA.AAAA",
    "sealed.2.k1.AAAAAAAAAAAAAAAA.AAAA",
    "whsec_x",
  ])("%o is not sealed", async (text) => {
    expect(await openText(await ring(`k1:${base64(1)}`), text, "c")).toEqual({
      kind: "error",
      error: "not-sealed",
    })
  })
})

describe("rotation", () => {
  it("a new key in front seals; the old one opens until it is taken away", async () => {
    const old = await ring(`k1:${base64(1)}`)
    const both = await ring(`k2:${base64(2)} k1:${base64(1)}`)
    const fresh = await ring(`k2:${base64(2)}\n`)
    const sealed = await sealText(old, "secret", "c")
    expect(isSealedByNewest(both, sealed)).toBe(false)
    expect(await openText(both, sealed, "c")).toMatchObject({ value: "secret" })
    const again = await sealText(both, "secret", "c")
    expect(isSealedByNewest(both, again)).toBe(true)
    expect(await openText(fresh, again, "c")).toMatchObject({ value: "secret" })
    expect(await openText(fresh, sealed, "c")).toEqual({ kind: "error", error: "unknown-key" })
  })

  it("another key under the same id opens nothing", async () => {
    const sealed = await sealText(await ring(`k1:${base64(1)}`), "secret", "c")
    expect(await openText(await ring(`k1:${base64(2)}`), sealed, "c")).toEqual({
      kind: "error",
      error: "damaged",
    })
  })

  it("without a key of its own it is made of the witness's, and still opens after one was set", async () => {
    const derived = await ring(undefined, witnessKey)
    const sealed = await sealText(derived, "secret", "c")
    expect(sealed).toMatch(/^sealed\.1\.witness\./)
    const later = await ring(`k1:${base64(1)}`, `${witnessKey}\n`)
    expect(await openText(later, sealed, "c")).toMatchObject({ value: "secret" })
    expect(isSealedByNewest(later, sealed)).toBe(false)
    expect(await openText(await ring("", "another key"), sealed, "c")).toEqual({
      kind: "error",
      error: "damaged",
    })
  })
})

describe("keys", () => {
  it.each([
    [undefined, "no-key"],
    ["  ", "no-key"],
    ["k1", "key-malformed"],
    [`k1:${base64(1, 31)}`, "key-malformed"],
    [`k1:${base64(1, 33)}`, "key-malformed"],
    [`k 1:${base64(1)}`, "key-malformed"],
    [`k.1:${base64(1)}`, "key-malformed"],
    [`witness:${base64(1)}`, "key-malformed"],
    [`k1:${base64(1)}:x`, "key-malformed"],
    [`k1:${base64(1)} k1:${base64(2)}`, "key-twice"],
  ])("%o: %s", async (secret, fault) => {
    expect(await readKeyRing(secret, undefined)).toEqual({ kind: "error", error: fault })
  })

  it("base64 of either alphabet, with or without padding", async () => {
    const bytes = randomBytes(32)
    const sealed = await sealText(await ring(`k:${bytes.toString("base64")}`), "x", "c")
    expect(await openText(await ring(`k:${bytes.toString("base64url")}`), sealed, "c")).toMatchObject({
      value: "x",
    })
  })
})
