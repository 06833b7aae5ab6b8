import { createSocket, type Socket } from "node:dgram"
import { describe, expect, it, onTestFinished } from "vitest"
import type { LinkId } from "../../../node-agent/core/events.ts"
import { loadNative, type Native } from "../../../node-agent/host/native.ts"
import { Udp } from "../../../node-agent/host/udp.ts"
import type { ClusterConfig, UdpAddress } from "../../../protocol/cluster.ts"
import { nodeId, siteId } from "../../../protocol/units.ts"
import { clusterConfig, eventually } from "./fixtures.ts"

const loaded = await loadNative()
if (loaded.kind === "error") throw new Error(loaded.error)

describe.each([
  { way: "made by Node alone", native: undefined },
  { way: "made natively", native: loaded.value },
])("datagrams of sockets $way", ({ native }) => {
  const endpoint = (id: number, config: ClusterConfig) => endpointOf(native, id, config)

  it("travel between own addresses of each link, over IPv4 and IPv6", async () => {
    const addresses = [
      { host: "127.0.0.1", port: await freePort("127.0.0.1") },
      { host: "::1", port: await freePort("::1") },
    ]
    const one = endpoint(1, twoNodes(addresses, await freePorts()))
    const config = one.config
    const two = endpoint(2, config)
    await eventually(() => [...one.opened, ...two.opened].length === 4)
    one.udp.send(nodeId(2), 0, Buffer.from("over four"))
    one.udp.send(nodeId(2), 1, Buffer.from("over six"))
    await eventually(() => two.received.length === 2)
    expect(two.received.toSorted()).toEqual(["0 over four", "1 over six"])
    expect(one.udp.counters).toEqual({ sendErrors: 0, oversized: 0, foreign: 0, reopened: 0 })
  })

  it("longer than 1200 bytes are dropped and counted", async () => {
    const port = await freePort("127.0.0.1")
    const peerPort = await freePort("127.0.0.1")
    const { udp, received, opened } = endpoint(1, twoNodes([{ host: "127.0.0.1", port }], [peerPort]))
    await eventually(() => opened.length === 1)
    const peer = await socketAt(peerPort)
    peer.send(Buffer.alloc(1201), port, "127.0.0.1")
    peer.send(Buffer.alloc(1200, "x"), port, "127.0.0.1")
    await eventually(() => received.length === 1)
    expect(received[0]).toHaveLength("0 ".length + 1200)
    expect(udp.counters.oversized).toBe(1)
  })

  it("[LN9] from an address that no peer has on that link are counted and not listened to", async () => {
    const ports = [await freePort("127.0.0.1"), await freePort("127.0.0.1")]
    const peerPorts = [await freePort("127.0.0.1"), await freePort("127.0.0.1")]
    const links = ports.map((port) => ({ host: "127.0.0.1", port }))
    const { udp, received, opened } = endpoint(1, twoNodes(links, peerPorts))
    await eventually(() => opened.length === 2)
    const stranger = await socketAt(0)
    stranger.send("from elsewhere", ports[0] ?? 0, "127.0.0.1")
    const peer = await socketAt(peerPorts[1] ?? 0)
    peer.send("from the other link's address", ports[0] ?? 0, "127.0.0.1")
    await eventually(() => udp.counters.foreign === 2)
    peer.send("from its own", ports[1] ?? 0, "127.0.0.1")
    await eventually(() => received.length === 1)
    expect(received).toEqual(["1 from its own"])
    expect(udp.counters.foreign).toBe(2)
  })

  it("that cannot be sent are counted, never thrown", async () => {
    const config = twoNodes([{ host: "127.0.0.1", port: await freePort("127.0.0.1") }], [1])
    const { udp, opened } = endpoint(1, config)
    await eventually(() => opened.length === 1)
    udp.send(nodeId(9), 0, Buffer.from("to nobody"))
    udp.send(nodeId(2), "wan", Buffer.from("over no link"))
    udp.send(nodeId(2), 0, Buffer.alloc(70_000))
    await eventually(() => udp.counters.sendErrors === 3)
    udp.close()
    udp.send(nodeId(2), 0, Buffer.from("after the end"))
    expect(udp.counters.sendErrors).toBe(4)
  })

  it("flow again when an address that was missing is there", async () => {
    const port = await freePort("127.0.0.1")
    const peerPort = await freePort("127.0.0.1")
    const occupant = createSocket("udp4")
    await new Promise<void>((resolve) =>
      occupant.bind({ port, address: "127.0.0.1", exclusive: true }, resolve),
    )
    const links = [{ host: "127.0.0.1", port }]
    const { udp, received, opened, logged } = endpoint(1, twoNodes(links, [peerPort]))
    await eventually(() => logged.some((line) => line.startsWith("link-failed")))
    expect(opened).toEqual([])
    occupant.close()
    await eventually(() => opened.length === 1)
    expect(udp.counters.reopened).toBeGreaterThanOrEqual(1)
    const peer = await socketAt(peerPort)
    peer.send("at last", port, "127.0.0.1")
    await eventually(() => received.length === 1)
  })

  it("between sites are received where the node listens, not where it is reached", async () => {
    const [reached, listened] = await freePorts()
    const base = twoNodes([{ host: "127.0.0.1", port: await freePort("127.0.0.1") }], [1])
    const config: ClusterConfig = {
      ...base,
      nodes: base.nodes.map((node) => ({
        ...node,
        site: siteId(`site-${node.id}`),
        wan: { host: "127.0.0.1", port: reached ?? 0 },
        wanBind: { host: "127.0.0.1", port: listened ?? 0 },
      })),
    }
    const { received, opened } = endpoint(1, config)
    await eventually(() => opened.length === 2)
    // Its port was translated on the way.
    const peer = await socketAt(0)
    peer.send("hello", listened ?? 0, "127.0.0.1")
    await eventually(() => received.length === 1)
    expect(received).toEqual(["wan hello"])
  })
})

function endpointOf(native: Native | undefined, id: number, config: ClusterConfig) {
  const received: string[] = []
  const opened: LinkId[] = []
  const logged: string[] = []
  const udp = new Udp({
    config,
    self: nodeId(id),
    native,
    bindToDevice: true,
    received: (link, bytes) => received.push(`${link} ${Buffer.from(bytes).toString()}`),
    log: (_level, event, fields) => {
      logged.push(`${event} ${fields.reason}`)
      if (event === "link-opened") opened.push(fields.link === "wan" ? "wan" : Number(fields.link))
    },
  })
  onTestFinished(() => udp.close())
  return { udp, received, opened, logged, config }
}

/** Node 1 has `links`; node 2 the same hosts with other ports. */
function twoNodes(links: readonly UdpAddress[], portsOfSecond: readonly number[]): ClusterConfig {
  const config = clusterConfig()
  const second = links.map(({ host }, index) => ({ host, port: portsOfSecond[index] ?? 1 }))
  return {
    ...config,
    nodes: config.nodes.slice(0, 2).map((node) => ({ ...node, links: node.id === 1 ? links : second })),
  }
}

/** A peer's or a stranger's; 0: any port. */
async function socketAt(port: number): Promise<Socket> {
  const socket = createSocket("udp4")
  onTestFinished(() => {
    socket.close()
  })
  await new Promise<void>((resolve) => socket.bind(port, "127.0.0.1", resolve))
  return socket
}

async function freePorts(): Promise<readonly number[]> {
  return [await freePort("127.0.0.1"), await freePort("::1")]
}

function freePort(host: string): Promise<number> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4")
  return new Promise((resolve) => {
    socket.bind(0, host, () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })
}
