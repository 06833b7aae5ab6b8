/** Sending from a socket made natively: what is left to Node, and what is an error. Real sockets are in udp.test.ts. */
import { constants } from "node:os"
import { describe, expect, it } from "vitest"
import { type Native, NativeFailure } from "../../../node-agent/host/native.ts"
import { nativeSend } from "../../../node-agent/host/native-socket.ts"

const bytes = new Uint8Array([1, 2, 3])
const four = { host: "127.0.0.1", port: 5405 }

/** A C library whose `sendto` answers like this. */
function sending(answer: () => number) {
  const calls: unknown[][] = []
  const native: Native = {
    declare:
      () =>
      (...values) => {
        calls.push([...values])
        return answer()
      },
    addressOf: () => 0n,
  }
  return { send: nativeSend(native, 7), calls }
}

function refusal(errno: number) {
  return () => {
    throw new NativeFailure("sendto", errno)
  }
}

describe("a datagram", () => {
  it("is one call, with the address in the machine's form", () => {
    const { send, calls } = sending(() => bytes.length)
    expect(send(four, bytes)).toBe(true)
    expect(send({ host: "::1", port: 258 }, bytes)).toBe(true)
    const address4 = Buffer.from([2, 0, 0x15, 0x1d, 127, 0, 0, 1, ...new Uint8Array(8)])
    const address6 = Buffer.from([10, 0, 1, 2, ...new Uint8Array(19), 1, 0, 0, 0, 0])
    expect(calls).toEqual([
      [7, bytes, 3, 0, address4, 16],
      [7, bytes, 3, 0, address6, 28],
    ])
  })

  it("for which there is no room now is left to Node, which waits for some", () => {
    expect(sending(refusal(constants.errno.EAGAIN)).send(four, bytes)).toBe(false)
  })

  it("to an address of an interface is left to Node: another may have its name by now", () => {
    const { send, calls } = sending(() => bytes.length)
    expect(send({ host: "fe80::1%eth0", port: 5405 }, bytes)).toBe(false)
    expect(calls).toEqual([])
  })

  it("that the kernel refuses otherwise is an error", () => {
    expect(() => sending(refusal(constants.errno.EMSGSIZE)).send(four, bytes)).toThrow("EMSGSIZE")
  })
})
