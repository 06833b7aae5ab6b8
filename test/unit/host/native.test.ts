import { closeSync, openSync } from "node:fs"
import { expect, it } from "vitest"
import { loadNative, type Native } from "../../../node-agent/host/native.ts"

async function native(): Promise<Native> {
  const loaded = await loadNative()
  if (loaded.kind === "error") throw new Error(loaded.error)
  return loaded.value
}

it("calls a function of the C library with numbers and with bytes that it writes into", async () => {
  const clockGetTime = (await native()).declare("clock_gettime", "int", ["int", "bytes"])
  const time = Buffer.alloc(16)
  const before = process.hrtime.bigint()
  expect(clockGetTime(1, time)).toBe(0)
  const seen = time.readBigInt64LE(0) * 1_000_000_000n + time.readBigInt64LE(8)
  expect(seen).toBeGreaterThanOrEqual(before)
  expect(seen).toBeLessThanOrEqual(process.hrtime.bigint())
})

it("a call that fails throws the kernel's reason", async () => {
  const ioctl = (await native()).declare("ioctl", "int", ["int", "size", "bytes"])
  const descriptor = openSync("/dev/null", "r")
  try {
    expect(() => ioctl(descriptor, 0x80045702, new Uint8Array(4))).toThrow(
      expect.objectContaining({ code: "ENOTTY", message: "ioctl: ENOTTY: inappropriate ioctl for device" }),
    )
  } finally {
    closeSync(descriptor)
  }
})

it("a function that the C library lacks is a failure at its declaration", async () => {
  const library = await native()
  expect(() => library.declare("no_such_function", "int", [])).toThrow(/no_such_function/)
})
