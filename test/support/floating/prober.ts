/**
 * The client: asks the floating addresses every 5 ms, and writes a line for every answer to standard output.
 *
 *   TIME FAMILY WAY NODE ASKED
 *
 * `way` is `kernel` (an ordinary datagram, by the neighbour table, as any client's) or `frame`: the same probe sent to the
 * hardware address of every node at once, so that whoever WOULD answer does, whatever the neighbour table says. ASKED is
 * the node whose hardware address a frame was sent to, or `-`. TIME is CLOCK_MONOTONIC in milliseconds.
 *
 * Started with the client's own addresses, the floating ones, and NAME=HARDWARE-ADDRESS for each node.
 */
import { createSocket } from "node:dgram"
import { findInterface } from "../../../node-agent/host/interface.ts"
import { loadNative } from "../../../node-agent/host/native.ts"
import { addressBytes } from "../../../protocol/address.ts"
import { probePort } from "./ports.ts"

const [own = "", floating = "", ...nodes] = process.argv.slice(2)
const interval = 5
const loaded = await loadNative()
if (loaded.kind === "error") throw new Error(loaded.error)
const native = loaded.value
const client = findInterface(native, "eth0")
if (client === undefined) throw new Error("no eth0")
const packets = native.declare("socket", "int", ["int", "int", "int"])(17, 3 | 0o4000, 0)
const sendTo = native.declare("sendto", "long", ["int", "bytes", "size", "int", "bytes", "unsigned"])
const link = Buffer.alloc(20)
link.writeUInt16LE(17, 0)
link.writeInt32LE(client.index, 4)
link.writeUInt8(6, 11)

let lines = ""
const now = (): number => Number(process.hrtime.bigint()) / 1e6

for (const address of floating.split(",")) {
  const isIpv6 = address.includes(":")
  const from = own.split(",").find((each) => each.includes(":") === isIpv6) ?? ""
  const socket = createSocket(isIpv6 ? "udp6" : "udp4")
  socket.on("error", () => undefined)
  socket.on("message", (answer) => {
    lines += `${now().toFixed(2)} ${isIpv6 ? "ipv6" : "ipv4"} ${answerWords(answer.toString())}\n`
  })
  await new Promise<void>((resolve) => socket.bind(0, from, resolve))
  const { port } = socket.address()
  setInterval(() => {
    socket.send("kernel -", probePort, address, () => undefined)
    for (const node of nodes) {
      const [name = "", hardware = ""] = node.split("=")
      const to = Buffer.from(hardware.replaceAll(":", ""), "hex")
      sendFrame(to, isIpv6, datagram(addressBytes(from), addressBytes(address), port, `frame ${name}`))
    }
  }, interval)
}
setInterval(() => {
  if (lines !== "") process.stdout.write(lines)
  lines = ""
}, 20)
process.stdout.write("ready\n")

/** `NODE WAY ASKED` as the responder sends it, in the order of the lines. */
function answerWords(text: string): string {
  const [node, way, asked] = text.split(" ")
  return `${way} ${node} ${asked}`
}

function sendFrame(to: Buffer, isIpv6: boolean, packet: Buffer): void {
  if (client === undefined) return
  const type = isIpv6 ? [0x86, 0xdd] : [0x08, 0x00]
  const frame = Buffer.concat([to, client.hardwareAddress, Uint8Array.from(type), packet])
  link.set(to, 12)
  try {
    sendTo(packets, frame, frame.length, 0, link, link.length)
  } catch {
    // The client's own link is down.
  }
}

/** An IP packet with one UDP datagram. */
function datagram(from: Uint8Array, to: Uint8Array, port: number, text: string): Buffer {
  const payload = Buffer.from(text)
  const udp = Buffer.alloc(8)
  udp.writeUInt16BE(port, 0)
  udp.writeUInt16BE(probePort, 2)
  udp.writeUInt16BE(8 + payload.length, 4)
  const body = Buffer.concat([udp, payload])
  if (from.length === 16) {
    const pseudo = Buffer.concat([from, to, Uint8Array.of(0, 0, 0, body.length, 0, 0, 0, 17), body])
    body.writeUInt16BE(checksum(pseudo) || 0xffff, 6)
    return Buffer.concat([Uint8Array.of(0x60, 0, 0, 0, 0, body.length, 17, 64), from, to, body])
  }
  const header = Buffer.from([0x45, 0, 0, 20 + body.length, 0, 0, 0x40, 0, 64, 17, 0, 0, ...from, ...to])
  header.writeUInt16BE(checksum(header), 10)
  return Buffer.concat([header, body])
}

function checksum(bytes: Buffer): number {
  const padded = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)])
  let sum = 0
  for (let at = 0; at < padded.length; at += 2) sum += padded.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
