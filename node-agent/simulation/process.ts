/** The agent's process as it starts on a machine of the world, with what is on its disk. */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { wallTime } from "../../protocol/units.ts"
import { draw, type Random } from "../core/random.ts"
import { createNode } from "../core/start.ts"
import { simulatedCryptography } from "./cryptography.ts"
import { type Host, localTime } from "./machine.ts"

/** What all wall clocks show at the beginning. */
export const wallStart = 1_800_000_000_000

/** Undefined: a node that was removed does not start. */
export function startProcess(
  host: Host,
  readConfiguration: (document: string) => ClusterConfig | undefined,
  random: Random,
  now: number,
): ReturnType<typeof createNode> | undefined {
  const active = host.disk?.configuration?.document ?? undefined
  if (active !== undefined) host.config = readConfiguration(active) ?? host.config
  if (!host.config.nodes.some(({ id }) => id === host.id)) return undefined
  host.life += 1
  return createNode(
    {
      config: host.config,
      self: host.id,
      durable: host.disk,
      cryptography: simulatedCryptography([1]),
      ringKeys: [1],
      versions: host.versions,
      readConfiguration,
      sessionNonce: Uint8Array.from({ length: 16 }, () => Math.floor(draw(random) * 256)),
      seed: Math.floor(draw(random) * 2 ** 32),
      gate: host.gate,
      wall: wallTime(wallStart + now + host.wallOffset),
    },
    localTime(host, now),
  )
}
