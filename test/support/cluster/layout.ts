/**
 * Where everything of a cluster on one machine is: names, addresses, ports and folders. Nodes have loopback addresses
 * of their own (127.0.SITE.NODE); the WAN relay stands between the sites with one address for each node
 * (127.1.SITE.NODE), and each site reaches the witness through a forwarder of its own.
 *
 * Ports are a block of `portsPerCluster`. The first is listened on as long as the cluster is there: that reserves the block
 * among clusters that run side by side.
 */
import { createServer, type Server } from "node:net"
import { join } from "node:path"

export interface SiteLayout {
  readonly name: string
  readonly witnessUrl: string
  readonly forwarderPort: number
  readonly nodes: readonly NodeLayout[]
}

export interface NodeLayout {
  readonly id: number
  readonly name: string
  readonly site: string
  readonly link: string
  /** Where other sites send to: the relay's address for this node. */
  readonly wan: string
  /** Where the node listens for them. */
  readonly wanBind: string
  readonly directory: string
  readonly stateDirectory: string
  readonly runtimeDirectory: string
  readonly keyFile: string
  readonly logFile: string
  readonly traceFile: string
  /** Of the demo service's daemon. */
  readonly ledgerDirectory: string
}

export interface ClusterLayout {
  readonly name: string
  readonly directory: string
  readonly configFile: string
  readonly ringKeyFile: string
  readonly witnessKeyFile: string
  readonly credentialFile: string
  readonly alertsFile: string
  readonly witnessDirectory: string
  readonly witnessPort: number
  readonly witnessUrl: string
  readonly receiverPort: number
  /** What the service's daemons write, all to one file. */
  readonly ledgerFile: string
  readonly sites: readonly SiteLayout[]
  readonly nodes: readonly NodeLayout[]
}

export interface SitePlan {
  readonly name: string
  readonly nodes: readonly string[]
}

/** Offsets into a cluster's block of ports. UDP ports are used on every node's own address. */
const offsets = { reserved: 0, witness: 1, link: 2, wan: 3, wanBind: 4, receiver: 5, forwarders: 10 } as const
const portsPerCluster = 20
/** Below the range from which the system takes ports of outgoing connections. */
const portMin = 20_000
const portMax = 32_000

export function layOut(
  name: string,
  directory: string,
  runtimeRoot: string,
  basePort: number,
  sites: readonly SitePlan[],
): ClusterLayout {
  const laidOut = sites.map((site, index) => siteLayout(site, index + 1, directory, runtimeRoot, basePort))
  const witnessPort = basePort + offsets.witness
  return {
    name,
    directory,
    configFile: join(directory, "cluster.toml"),
    ringKeyFile: join(directory, "keys/ring.key"),
    witnessKeyFile: join(directory, "keys/witness.key"),
    credentialFile: join(directory, "keys/operator.credential"),
    alertsFile: join(directory, "keys/alerts.toml"),
    witnessDirectory: join(directory, "witness"),
    witnessPort,
    witnessUrl: `http://127.0.0.1:${witnessPort}`,
    receiverPort: basePort + offsets.receiver,
    ledgerFile: join(directory, "ledger.log"),
    sites: laidOut,
    nodes: laidOut.flatMap((site) => site.nodes),
  }
}

function siteLayout(
  { name, nodes }: SitePlan,
  number: number,
  directory: string,
  runtimeRoot: string,
  basePort: number,
): SiteLayout {
  const forwarderPort = basePort + offsets.forwarders + number
  return {
    name,
    forwarderPort,
    witnessUrl: `http://127.0.0.1:${forwarderPort}`,
    nodes: nodes.map((node, index) => {
      const own = join(directory, node)
      const host = `${number}.${index + 1}`
      return {
        id: number * 10 + index + 1,
        name: node,
        site: name,
        link: `127.0.${host}:${basePort + offsets.link}`,
        wan: `127.1.${host}:${basePort + offsets.wan}`,
        wanBind: `127.0.${host}:${basePort + offsets.wanBind}`,
        directory: own,
        stateDirectory: join(own, "state"),
        runtimeDirectory: join(runtimeRoot, node),
        keyFile: join(own, "node.key"),
        logFile: join(own, "agent.log"),
        traceFile: join(own, "trace.jsonl"),
        ledgerDirectory: join(own, "ledger"),
      }
    }),
  }
}

export interface PortBlock {
  readonly basePort: number
  /** Others may have the block from here on. */
  release(): void
}

/** Reserves a free block: `wanted`, or the first free one from a place that differs from process to process. */
export async function reservePorts(wanted: number | undefined): Promise<PortBlock> {
  const blocks = Math.floor((portMax - portMin) / portsPerCluster)
  for (let attempt = 0; attempt < blocks; attempt++) {
    const basePort = wanted ?? portMin + ((process.pid * 7 + attempt) % blocks) * portsPerCluster
    const servers = await listenOnAll(basePort)
    const [first, ...rest] = servers
    if (first !== undefined && servers.length === portsPerCluster) {
      for (const server of rest) server.close()
      return { basePort, release: () => first.close() }
    }
    for (const server of servers) server.close()
    if (wanted !== undefined)
      throw new Error(`ports ${wanted} to ${wanted + portsPerCluster - 1} are not free`)
  }
  throw new Error("no free block of ports")
}

async function listenOnAll(basePort: number): Promise<readonly Server[]> {
  const servers = await Promise.all(
    Array.from({ length: portsPerCluster }, (_, index) => listen(basePort + index)),
  )
  return servers.filter((server) => server !== undefined)
}

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(undefined))
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve(server))
  })
}
