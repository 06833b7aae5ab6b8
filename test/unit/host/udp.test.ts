import { createSocket, type Socket } from "node:dgram"
import { closeSync } from "node:fs"
import { describe, expect, it, onTestFinished } from "vitest"
import type { LinkId } from "../../../node-agent/core/events.ts"
import { loadNative, type Native } from "../../../node-agent/host/native.ts"
import { nativeSend, openNativeSocket } from "../../../node-agent/host/native-socket.ts"
import { Udp } from "../../../node-agent/host/udp.ts"
import type { ClusterConfig, UdpAddress } from "../../../protocol/cluster.ts"
import { instant, nodeId, siteId } from "../../../protocol/units.ts"
import { clusterConfig, eventually, sealedDatagram } from "./fixtures.ts"

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
    expect(one.udp.counters).toEqual({ sendErrors: 0, oversized: 0, foreign: 0, shed: 0, reopened: 0 })
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

describe("[LN11] datagrams of sockets made natively", () => {
  const native = loaded.value

  it("from a peer do not wait behind those of strangers, nor behind another peer's, however many", async () => {
    const config = await threeNodes()
    const { udp, received, opened } = endpointOf(native, 1, config)
    await eventually(() => opened.length === 1)
    expect(udp.sockets[0]?.peers).toBe(2)
    const [target, , second] = config.nodes.map(({ links }) => links[0] ?? nowhere)
    const stranger = nativeSocketAt(native, { host: "127.0.0.1", port: 0 })
    const [noisy, quiet] = [config.nodes[1], config.nodes[2]].map((node) =>
      nativeSocketAt(native, node?.links[0] ?? nowhere),
    )
    // All of it before the loop turns: more than any socket's buffer holds.
    for (let n = 0; n < 5_000; n++) {
      stranger?.(target ?? nowhere, Buffer.from("noise"))
      noisy?.(target ?? nowhere, Buffer.from("noise"))
    }
    quiet?.(target ?? nowhere, Buffer.from(`from ${second?.port}`))
    await eventually(() => received.includes(`0 from ${second?.port}`))
  })

  it("that are refused, from a peer: its socket is shut for a moment, but to what continues its session", async () => {
    const config = await threeNodes()
    const { udp, received, opened, logged } = endpointOf(native, 1, config, refusing)
    await eventually(() => opened.length === 1)
    const target = config.nodes[0]?.links[0] ?? nowhere
    const peer = nativeSocketAt(native, config.nodes[1]?.links[0] ?? nowhere)
    peer(target, sealedDatagram({ counter: 1 }))
    await eventually(() => received.length === 1)
    for (let counter = 2; counter <= 50; counter++) {
      for (let n = 0; n < 200; n++) peer(target, Buffer.from("noise"))
      peer(target, sealedDatagram({ counter }))
      await eventually(() => received.filter((each) => each.length > 50).length === counter)
    }
    expect(udp.counters.shed).toBeGreaterThan(0)
    expect(logged).toContain("flood undefined")
    const seen = received.length + udp.counters.shed
    expect(seen).toBeLessThan(49 * 200)
    peer(target, Buffer.from("looked at again"))
    await eventually(() => {
      peer(target, Buffer.from("looked at again"))
      return received.includes("0 looked at again")
    })
  })

  it("that are refused, from another site: the socket is shut to it for a moment, to others it is not", async () => {
    const config = await threeSites()
    const { udp, received, opened, logged } = endpointOf(native, 1, config, refusing)
    await eventually(() => opened.length === 2)
    const target = config.nodes[0]?.wan ?? nowhere
    const [noisy, quiet, stranger] = ["127.0.0.2", "127.0.0.3", "127.0.0.9"].map((host) =>
      nativeSocketAt(native, { host, port: 0 }),
    )
    let sent = 0
    await eventually(() => {
      for (let n = 0; n < 100; n++) noisy?.(target, Buffer.from("noise"))
      sent += 100
      return logged.includes("flood undefined")
    })
    for (let n = 0; n < 500; n++) noisy?.(target, Buffer.from("dropped by the kernel"))
    quiet?.(target, Buffer.from("from the third site"))
    stranger?.(target, Buffer.from("from nobody"))
    await eventually(() => received.includes("wan from the third site") && udp.counters.foreign === 1)
    expect(received).not.toContain("wan dropped by the kernel")
    expect(received.length + udp.counters.shed).toBeLessThanOrEqual(sent + 1)
    await eventually(() => {
      noisy?.(target, Buffer.from("looked at again"))
      return received.includes("wan looked at again")
    })
  })

  it("come to the sockets of the peers that a live change leaves", async () => {
    const config = await threeNodes()
    const { udp, received, opened } = endpointOf(native, 1, config)
    await eventually(() => opened.length === 1)
    const target = config.nodes[0]?.links[0] ?? nowhere
    const peer = nativeSocketAt(native, config.nodes[2]?.links[0] ?? nowhere)
    udp.configure({ ...config, nodes: config.nodes.slice(0, 2) })
    expect(udp.sockets[0]?.peers).toBe(1)
    peer(target, Buffer.from("removed"))
    await eventually(() => udp.counters.foreign === 1)
    udp.configure(config)
    expect(udp.sockets[0]?.peers).toBe(2)
    peer(target, Buffer.from("added"))
    await eventually(() => received.length === 1)
    expect(received).toEqual(["0 added"])
  })

  it("of two agents that are told to use one address: the second finds it taken", async () => {
    const config = await threeNodes()
    const first = endpointOf(native, 1, config)
    await eventually(() => first.opened.length === 1)
    const second = endpointOf(native, 1, config)
    await eventually(() => second.logged.some((line) => line.includes("EADDRINUSE")))
    expect(second.opened).toEqual([])
  })

  it("that nobody takes bring errors that mean nothing: the peer is heard when it is there", async () => {
    const config = await threeNodes()
    const { udp, received, opened } = endpointOf(native, 1, config)
    await eventually(() => opened.length === 1)
    for (let n = 0; n < 10; n++) {
      udp.send(nodeId(2), 0, Buffer.from("nobody is there"))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(udp.sockets[0]).toMatchObject({ open: true, peers: 2 })
    const peer = nativeSocketAt(native, config.nodes[1]?.links[0] ?? nowhere)
    peer(config.nodes[0]?.links[0] ?? nowhere, Buffer.from("now I am"))
    await eventually(() => received.length === 1)
    expect(udp.counters).toMatchObject({ sendErrors: 0, reopened: 0 })
  })

  it("are taken by the common socket while too many errors keep the peer's closed", async () => {
    const config = await threeNodes()
    const { udp, received, opened } = endpointOf(native, 1, config)
    await eventually(() => opened.length === 1)
    while (udp.sockets[0]?.peers === 2) {
      udp.send(nodeId(2), 0, Buffer.from("nobody is there"))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const peer = nativeSocketAt(native, config.nodes[1]?.links[0] ?? nowhere)
    peer(config.nodes[0]?.links[0] ?? nowhere, Buffer.from("now I am"))
    await eventually(() => received.length === 1)
  })
})

/** Takes what is long enough; the rest uses up a twentieth of a source's credit. */
function refusing(bytes: Uint8Array): boolean {
  const isGenuine = bytes.length > 50
  for (const from = performance.now(); !isGenuine && performance.now() < from + 0.5; );
  return isGenuine
}

const nowhere = { host: "127.0.0.1", port: 9 }

/** Sends at once, and what it sends has arrived when the call returns. */
function nativeSocketAt(native: Native, own: UdpAddress) {
  const { descriptor } = openNativeSocket(native, own, { trafficClass: "EF", bindToDevice: false })
  onTestFinished(() => closeSync(descriptor))
  return nativeSend(native, descriptor)
}

/** Of one node each; ports are translated between them. */
async function threeSites(): Promise<ClusterConfig> {
  const config = await threeNodes()
  const port = await freePort("127.0.0.1")
  const nodes = config.nodes.map((node) => ({
    ...node,
    site: siteId(`site-${node.id}`),
    wan: { host: `127.0.0.${node.id}`, port },
  }))
  return { ...config, nodes }
}

async function threeNodes(): Promise<ClusterConfig> {
  const config = clusterConfig()
  const ports = await Promise.all(config.nodes.map(() => freePort("127.0.0.1")))
  const nodes = config.nodes.map((node, index) => ({
    ...node,
    links: [{ host: "127.0.0.1", port: ports[index] ?? 1 }],
  }))
  return { ...config, nodes }
}

function endpointOf(
  native: Native | undefined,
  id: number,
  config: ClusterConfig,
  isTaken: (bytes: Uint8Array) => boolean = () => true,
) {
  const received: string[] = []
  const opened: LinkId[] = []
  const logged: string[] = []
  const udp = new Udp({
    config,
    self: nodeId(id),
    native,
    bindToDevice: true,
    // No credit is regained while it stands still.
    now: () => instant(0),
    received: (link, bytes) => {
      received.push(`${link} ${Buffer.from(bytes).toString()}`)
      return isTaken(bytes)
    },
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
