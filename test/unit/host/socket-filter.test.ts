/** Programs for the kernel, tried on real sockets. */
import { createSocket } from "node:dgram"
import { describe, expect, it, onTestFinished } from "vitest"
import { loadNative } from "../../../node-agent/host/native.ts"
import { filterSocket, nativeSend, openNativeSocket } from "../../../node-agent/host/native-socket.ts"
import {
  decide,
  type FilterProgram,
  passAll,
  passBetween,
  passNone,
  sentFrom,
  word,
} from "../../../node-agent/host/socket-filter.ts"
import { eventually } from "./fixtures.ts"

const loaded = await loadNative()
if (loaded.kind === "error") throw new Error(loaded.error)
const native = loaded.value

const elsewhere: Readonly<Record<string, string>> = { "127.0.0.1": "127.0.0.2", "::1": "fd00::1" }

describe.each(Object.keys(elsewhere))("a filter of a socket of %s", (host) => {
  const other = elsewhere[host] ?? ""
  const address = (at: string) => ({ host: at, port: 1 })

  it("sorts by source, with or without its port", async () => {
    const { port, arrived } = await socketsAt(host)
    const from = (at: string, sourcePort: number | undefined): FilterProgram =>
      decide(sentFrom(address(at), sourcePort), passAll, passNone)
    expect(await arrived(from(host, undefined), "host")).toBe(true)
    expect(await arrived(from(other, undefined), "other host")).toBe(false)
    expect(await arrived(from(host, port), "host and port")).toBe(true)
    expect(await arrived(from(host, port + 1), "other port")).toBe(false)
    const sorted = decide(sentFrom(address(host), undefined), passNone, passAll)
    expect(await arrived(sorted, "shut out")).toBe(false)
    expect(await arrived(decide(sentFrom(address(other), undefined), passNone, passAll), "the rest")).toBe(
      true,
    )
    expect(await arrived(decide(sentFrom(address(other), undefined), passAll, sorted), "nested")).toBe(false)
  })

  it("sorts by what the datagram says, and drops what is too short to say it", async () => {
    const { arrived } = await socketsAt(host)
    const text = "abcdefgh"
    const second = Buffer.from(text).readUInt32BE(4)
    const equal = decide([{ load: word(4), value: second }], passAll, passNone)
    expect(await arrived(equal, text)).toBe(true)
    expect(await arrived(equal, "abcdefgi")).toBe(false)
    expect(await arrived(equal, "abcdefg")).toBe(false)
    expect(await arrived(passBetween(word(4), second - 1, second), text)).toBe(true)
    expect(await arrived(passBetween(word(4), second, second + 1), text)).toBe(false)
    expect(await arrived(passBetween(word(4), second - 2, second - 1), text)).toBe(false)
  })
})

it("a program that the kernel does not take leaves the socket as it is", async () => {
  const { arrived } = await socketsAt("127.0.0.1")
  expect(await arrived(passAll.subarray(0, 0), "no instruction")).toBe(true)
})

/** A socket with a filter and one that sends to it. */
async function socketsAt(host: string) {
  const wish = { trafficClass: "EF", bindToDevice: false } as const
  const { descriptor } = openNativeSocket(native, { host, port: 0 }, wish)
  const { descriptor: sending } = openNativeSocket(native, { host, port: 0 }, wish)
  const type = host.includes(":") ? "udp6" : "udp4"
  const [socket, sender] = [createSocket(type), createSocket(type)]
  onTestFinished(() => {
    socket.close()
    sender.close()
  })
  const texts: string[] = []
  socket.on("message", (bytes) => texts.push(bytes.toString()))
  await new Promise<void>((resolve) => socket.bind({ fd: descriptor }, resolve))
  await new Promise<void>((resolve) => sender.bind({ fd: sending }, resolve))
  const target = { host, port: socket.address().port }
  const send = nativeSend(native, sending)
  return {
    /** Of the sender. */
    port: sender.address().port,
    /** Does the text pass the program? What follows it passes in any case. */
    arrived: async (program: FilterProgram, text: string): Promise<boolean> => {
      filterSocket(native, descriptor, program)
      send(target, Buffer.from(text))
      filterSocket(native, descriptor, undefined)
      send(target, Buffer.from("end"))
      await eventually(() => texts.at(-1) === "end")
      const [first] = texts.splice(0)
      return first === text
    },
  }
}
