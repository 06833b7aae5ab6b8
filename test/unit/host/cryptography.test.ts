import { createCipheriv, hkdfSync } from "node:crypto"
import { describe, expect, test } from "vitest"
import type { SealingKey } from "../../../node-agent/core/cryptography.ts"
import { createCryptography, formatRingKey, parseRingKey } from "../../../node-agent/host/cryptography.ts"

const ringKey = { id: 1, bytes: new Uint8Array(32).fill(0x5a) }
const nonce = new Uint8Array(12).fill(1)
const header = new Uint8Array([1, 2, 3])
const body = new Uint8Array([4, 5, 6, 7])

function key(info: string, keyId = 1): SealingKey {
  const derived = createCryptography([ringKey]).deriveKey(keyId, info)
  if (derived === undefined) throw new Error("no such ring key")
  return derived
}

describe("sealing", () => {
  const { seal, open } = createCryptography([ringKey])

  test("[K10] what was sealed opens to the same bytes, 16 longer on the way", () => {
    const sealed = seal(key("x"), nonce, header, body)
    expect(sealed.length).toBe(body.length + 16)
    expect(open(key("x"), nonce, header, sealed)).toEqual(body)
    expect(open(key("x"), nonce, header, seal(key("x"), nonce, header, new Uint8Array(0)))).toEqual(
      new Uint8Array(0),
    )
  })

  test("[K10] it is AES-256-GCM under HKDF-SHA-256 of the ring key", () => {
    const secret = new Uint8Array(hkdfSync("sha256", ringKey.bytes, "quorumbeat ring key", "x", 32))
    const cipher = createCipheriv("aes-256-gcm", secret, nonce)
    cipher.setAAD(header)
    const expected = Buffer.concat([cipher.update(body), cipher.final(), cipher.getAuthTag()])
    expect(seal(key("x"), nonce, header, body)).toEqual(new Uint8Array(expected))
  })

  test("[K10] a changed bit, another nonce, header or key, or too few bytes open to nothing", () => {
    const sealed = seal(key("x"), nonce, header, body)
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = sealed.slice()
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(open(key("x"), nonce, header, changed)).toBeUndefined()
    }
    expect(open(key("y"), nonce, header, sealed)).toBeUndefined()
    expect(open(key("x"), new Uint8Array(12), header, sealed)).toBeUndefined()
    expect(open(key("x"), nonce, new Uint8Array([1, 2]), sealed)).toBeUndefined()
    for (let length = 0; length < sealed.length; length += 1) {
      expect(open(key("x"), nonce, header, sealed.subarray(0, length))).toBeUndefined()
    }
  })

  test("[K10] what was opened does not change when the received buffer is used again", () => {
    const sealed = seal(key("x"), nonce, header, body)
    const opened = open(key("x"), nonce, header, sealed)
    sealed.fill(0)
    expect(opened).toEqual(body)
  })

  test("[K10] a nonce of another length and a foreign key are our own mistakes", () => {
    expect(() => seal(key("x"), new Uint8Array(8), header, body)).toThrow()
    expect(() => open(key("x"), new Uint8Array(16), header, body)).toThrow()
    expect(() => seal({ kind: "sealing-key" }, nonce, header, body)).toThrow()
  })
})

describe("ring keys", () => {
  test("[K10] a key that is not there derives nothing", () => {
    expect(createCryptography([ringKey]).deriveKey(2, "x")).toBeUndefined()
  })

  test("[K10] replaced keys are used from then on; what was derived before stays usable", () => {
    const host = createCryptography([ringKey])
    const before = host.deriveKey(1, "x")
    host.replaceRingKeys([{ id: 2, bytes: ringKey.bytes }])
    expect(host.deriveKey(1, "x")).toBeUndefined()
    expect(host.deriveKey(2, "x")).toBeDefined()
    if (before === undefined) throw new Error("key 1 was there")
    expect(host.open(before, nonce, header, host.seal(before, nonce, header, body))).toEqual(body)
  })

  test("[K10] ids are 1 to 255 and different, keys have 32 bytes", () => {
    expect(() => createCryptography([{ id: 0, bytes: ringKey.bytes }])).toThrow()
    expect(() => createCryptography([{ id: 256, bytes: ringKey.bytes }])).toThrow()
    expect(() => createCryptography([ringKey, ringKey])).toThrow()
    expect(() => createCryptography([{ id: 1, bytes: new Uint8Array(31) }])).toThrow()
  })

  test("[K11] a ring key file is one line with id and key, and nothing else is one", () => {
    const text = formatRingKey(ringKey)
    expect(text).toBe("1 WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo\n")
    expect(parseRingKey(text)).toEqual({ kind: "ok", value: ringKey })
    expect(parseRingKey(text.trimEnd())).toEqual({ kind: "ok", value: ringKey })
    const wrong = [
      "",
      "1",
      text.slice(2),
      `0${text}`,
      `256${text.slice(1)}`,
      text.replace("WlpaW", "Wlpa"),
      ` ${text}`,
    ]
    for (const each of [
      ...wrong,
      text.replace(" ", "  "),
      `${text}${text}`,
      text.replace("Wlo\n", "Wlp\n"),
    ]) {
      const parsed = parseRingKey(each)
      expect(parsed.kind).toBe("error")
      expect(JSON.stringify(parsed)).not.toContain("Wlpa")
    }
  })

  test("[K11] a key that could not be read back is never written", () => {
    expect(() => formatRingKey({ ...ringKey, id: 256 })).toThrow()
    expect(() => formatRingKey({ ...ringKey, bytes: new Uint8Array(31) })).toThrow()
  })
})
