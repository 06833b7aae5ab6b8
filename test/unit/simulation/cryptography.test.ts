import { expect, test } from "vitest"
import { simulatedCryptography } from "../../../node-agent/simulation/cryptography.ts"
import { sealTagBytes } from "../../../protocol/datagram.ts"

const cryptography = simulatedCryptography([1, 2])
const nonce = Uint8Array.from({ length: 12 }, (_, index) => index)
const header = Uint8Array.from({ length: 32 }, (_, index) => 3 * index)
const body = Uint8Array.from({ length: 100 }, (_, index) => 7 * index)

function keyOf(id: number, info: string) {
  const key = cryptography.deriveKey(id, info)
  if (key === undefined) throw new Error("no key")
  return key
}

test("[K8] what is sealed opens under the same key, nonce and header, and under no other", () => {
  const sealed = cryptography.seal(keyOf(1, "a"), nonce, header, body)
  expect(sealed).toHaveLength(body.length + sealTagBytes)
  expect(cryptography.open(keyOf(1, "a"), nonce, header, sealed)).toEqual(body)
  expect(cryptography.open(keyOf(1, "b"), nonce, header, sealed)).toBeUndefined()
  expect(cryptography.open(keyOf(2, "a"), nonce, header, sealed)).toBeUndefined()
  expect(cryptography.open(keyOf(1, "a"), nonce.toReversed(), header, sealed)).toBeUndefined()
  expect(cryptography.deriveKey(3, "a")).toBeUndefined()
})

test("[K9] a changed bit anywhere, header included, is found", () => {
  const sealed = cryptography.seal(keyOf(1, "a"), nonce, header, body)
  for (let bit = 0; bit < 8 * sealed.length; bit++) {
    const changed = sealed.slice()
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    expect(cryptography.open(keyOf(1, "a"), nonce, header, changed)).toBeUndefined()
  }
  for (let bit = 0; bit < 8 * header.length; bit++) {
    const changed = header.slice()
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    expect(cryptography.open(keyOf(1, "a"), nonce, changed, sealed)).toBeUndefined()
  }
  expect(cryptography.open(keyOf(1, "a"), nonce, header, new Uint8Array(3))).toBeUndefined()
})
