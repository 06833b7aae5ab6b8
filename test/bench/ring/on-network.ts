/** A system on a network of its own for as long as the work lasts. What fails is said, and the next one goes on. */
import { setTimeout as sleep } from "node:timers/promises"
import type { RingNetwork } from "./ring-network.ts"
import type { RingSystem } from "./ring-system.ts"
import type { Bench } from "./sizes.ts"

export async function onNetwork<System extends RingSystem, Result>(
  { fail }: Bench,
  what: string,
  network: RingNetwork,
  prepare: (network: RingNetwork) => Promise<System> | System,
  work: (system: System) => Promise<Result>,
): Promise<Result | undefined> {
  let system: System | undefined
  try {
    system = await prepare(network)
    return await work(system)
  } catch (cause) {
    fail(what, cause)
    return undefined
  } finally {
    await system?.close()
    // What a process of another namespace leaves behind ends with it, a moment later.
    await sleep(500)
    network.remove()
  }
}
