/** Which datagrams can be a session's next ones: asked of the code and, of a real socket, of the kernel. */
import { createSocket } from "node:dgram"
import { describe, expect, it, onTestFinished } from "vitest"
import { Continuation } from "../../../node-agent/host/continuation.ts"
import { loadNative } from "../../../node-agent/host/native.ts"
import { filterSocket, openNativeSocket } from "../../../node-agent/host/native-socket.ts"
import { passNone } from "../../../node-agent/host/socket-filter.ts"
import { eventually, sealedDatagram } from "./fixtures.ts"

const loaded = await loadNative()
if (loaded.kind === "error") throw new Error(loaded.error)
const native = loaded.value

const last = 4_000
const following = (): Continuation => {
  const continuation = new Continuation()
  continuation.follow(sealedDatagram({ counter: last }))
  return continuation
}

const changed = (at: number): Buffer => {
  const datagram = sealedDatagram({ counter: last + 1 })
  datagram[at] = (datagram[at] ?? 0) ^ 1
  return datagram
}

const cases: readonly { readonly what: string; readonly datagram: Buffer; readonly continues: boolean }[] = [
  { what: "the next", datagram: sealedDatagram({ counter: last + 1 }), continues: true },
  {
    what: "the last that may be lost before it",
    datagram: sealedDatagram({ counter: last + 256 }),
    continues: true,
  },
  { what: "one that is too far ahead", datagram: sealedDatagram({ counter: last + 257 }), continues: false },
  { what: "the same", datagram: sealedDatagram({ counter: last }), continues: false },
  { what: "an earlier one", datagram: sealedDatagram({ counter: last - 1 }), continues: false },
  { what: "one as high as can be", datagram: sealedDatagram({ counter: 0xffff_ffff }), continues: false },
  {
    what: "a header and nothing else",
    datagram: sealedDatagram({ counter: last + 1 }).subarray(0, 32),
    continues: true,
  },
  {
    what: "less than a header",
    datagram: sealedDatagram({ counter: last + 1 }).subarray(0, 31),
    continues: false,
  },
  { what: "nothing at all", datagram: Buffer.alloc(0), continues: false },
  ...Array.from({ length: 28 }, (_, at) => ({
    what: `the next but for byte ${at}`,
    datagram: changed(at),
    continues: false,
  })),
]

describe("[LN11] what continues a session", () => {
  it.each(cases)("$what: $continues", ({ datagram, continues }) => {
    expect(following().includes(datagram)).toBe(continues)
  })

  it("is what the kernel passes on", async () => {
    const [socket, descriptor, port] = await filteredSocket()
    const arrived: string[] = []
    socket.on("message", (bytes) => arrived.push(bytes.toString("hex")))
    const sender = createSocket("udp4")
    onTestFinished(() => void sender.close())
    const send = (bytes: Buffer): Promise<void> =>
      new Promise((resolve) => sender.send(bytes, port, "127.0.0.1", () => resolve()))
    const end = Buffer.from("the end")
    for (const program of [following().program(), passNone]) {
      filterSocket(native, descriptor, program)
      for (const { datagram } of cases) await send(datagram)
      filterSocket(native, descriptor, undefined)
      await send(end)
    }
    const last = end.toString("hex")
    await eventually(() => arrived.filter((each) => each === last).length === 2)
    const continuing = cases
      .filter(({ continues }) => continues)
      .map(({ datagram }) => datagram.toString("hex"))
    expect(arrived).toEqual([...continuing, last, last])
  })

  it("is nothing before a frame was taken, and a hello is none", () => {
    const continuation = new Continuation()
    const hello = sealedDatagram({ counter: 5 })
    hello[3] = 1
    continuation.follow(hello)
    hello[31] = 6
    expect(continuation.includes(hello)).toBe(false)
    expect(continuation.includes(sealedDatagram({ counter: 1 }))).toBe(false)
  })

  it("ends where the counter's low half does", () => {
    const continuation = new Continuation()
    continuation.follow(sealedDatagram({ counter: 0xffff_fff0 }))
    expect(continuation.includes(sealedDatagram({ counter: 0xffff_ffff }))).toBe(true)
    expect(continuation.includes(sealedDatagram({ counter: 0x1_0000_0000 }))).toBe(false)
  })
})

async function filteredSocket() {
  const { descriptor } = openNativeSocket(
    native,
    { host: "127.0.0.1", port: 0 },
    { trafficClass: "EF", bindToDevice: false },
  )
  const socket = createSocket("udp4")
  onTestFinished(() => void socket.close())
  await new Promise<void>((resolve) => socket.bind({ fd: descriptor }, resolve))
  return [socket, descriptor, socket.address().port] as const
}
