// What routers see: datagrams leave a node's sockets marked, on the interface that has the address. Two network
// namespaces, a cable between them, and a packet socket at the far end.

import { execFileSync, spawn } from "node:child_process"
import { join } from "node:path"
import { expect, it, onTestFinished } from "vitest"

const host = join(import.meta.dirname, "../../node-agent/host")

// Prints, for each UDP datagram to port 5405 or 5407 that arrives: family, port, traffic class byte; ends after four.
const capture = `
  import { loadNative } from ${JSON.stringify(join(host, "native.ts"))}
  const { value: native } = await loadNative()
  const packets = native.declare("socket", "int", ["int", "int", "int"])(17, 2 | 0x800, 0x0300)
  const receive = native.declare("recv", "long", ["int", "bytes", "size", "int"])
  const bytes = Buffer.alloc(2000)
  const seen = new Set()
  console.log("ready")
  const look = () => {
    try {
      for (;;) {
        receive(packets, bytes, bytes.length, 0)
        const four = bytes[0] >> 4 === 4
        const udp = four ? bytes[9] === 17 && 20 : bytes[6] === 17 && 40
        if (!udp) continue
        const port = bytes.readUInt16BE(udp + 2)
        const mark = four ? bytes[1] : (bytes.readUInt16BE(0) >> 4) & 0xff
        if (port === 5405 || port === 5407) seen.add((four ? "IPv4" : "IPv6") + " " + port + " 0x" + mark.toString(16))
      }
    } catch (cause) {
      if (cause.code !== "EAGAIN") throw cause
    }
    if (seen.size === 4) {
      console.log([...seen].sort().join("\\n"))
      process.exit(0)
    }
    setTimeout(look, 10)
  }
  look()
`

// The sockets of node 1, over either family; sends to node 2 all the time.
const sender = `
  import { loadNative } from ${JSON.stringify(join(host, "native.ts"))}
  import { Udp } from ${JSON.stringify(join(host, "udp.ts"))}
  const { value: native } = await loadNative()
  const nodes = (one, two) => [one, two].map((host, index) => ({
    id: index + 1, links: [{ host, port: 5405 }], wan: { host, port: 5407 },
  }))
  for (const config of [{ nodes: nodes("10.99.7.1", "10.99.7.2") }, { nodes: nodes("fd99::1", "fd99::2") }]) {
    const own = { config, self: 1, native, bindToDevice: true }
    const udp = new Udp({ ...own, now: () => 0, received: () => true, log: () => undefined })
    setInterval(() => {
      for (const link of [0, "wan"]) udp.send(2, link, Buffer.from("x"))
    }, 20)
    if (config.nodes[0].links[0].host.includes(":")) console.log(JSON.stringify(udp.sockets[0].options))
  }
`

it("[H12] ring datagrams leave as EF and those between sites as CS6, over IPv4 and IPv6", async () => {
  const [near, far] = [`qb-dscp-a-${process.pid}`, `qb-dscp-b-${process.pid}`]
  onTestFinished(() => {
    for (const name of [near, far]) run("ip", "netns", "delete", name)
  })
  for (const name of [near, far]) run("ip", "netns", "add", name)
  run("ip", "link", "add", "near", "netns", near, "type", "veth", "peer", "name", "far", "netns", far)
  const addresses = [
    [near, "near", 1],
    [far, "far", 2],
  ] as const
  for (const [name, device, number] of addresses) {
    run("ip", "-n", name, "address", "add", `10.99.7.${number}/24`, "dev", device)
    run("ip", "-n", name, "address", "add", `fd99::${number}/64`, "dev", device, "nodad")
    run("ip", "-n", name, "link", "set", device, "up")
  }
  const watching = nodeIn(far, capture)
  await watching.says("ready")
  const sending = nodeIn(near, sender)
  expect(await sending.says("device")).toMatch(/"device","asked":"near","got":"near","reason":""/)
  const lines = await watching.ended
  expect(lines.trim().split("\n").slice(1)).toEqual([
    "IPv4 5405 0xb8",
    "IPv4 5407 0xc0",
    "IPv6 5405 0xb8",
    "IPv6 5407 0xc0",
  ])
})

function run(program: string, ...parameters: readonly string[]): void {
  execFileSync(program, parameters, { stdio: ["ignore", "ignore", "inherit"] })
}

function nodeIn(namespace: string, source: string) {
  const child = spawn(
    "ip",
    ["netns", "exec", namespace, process.execPath, "--input-type=module", "-e", source],
    { stdio: ["ignore", "pipe", "inherit"] },
  )
  onTestFinished(() => {
    child.kill("SIGKILL")
  })
  let output = ""
  child.stdout.on("data", (chunk) => {
    output += String(chunk)
  })
  return {
    says: (word: string) =>
      new Promise<string>((resolve) => {
        const look = () => output.includes(word) && resolve(output)
        child.stdout.on("data", look)
        look()
      }),
    ended: new Promise<string>((resolve) => child.on("close", () => resolve(output))),
  }
}
