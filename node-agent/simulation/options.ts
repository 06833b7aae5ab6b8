/** How fast, and how reliable, the made-up parts of a world are. */

import type { ClusterConfig } from "../../protocol/cluster.ts"

export interface WorldOptions {
  readonly seed?: number
  /** One-way delays in ms. */
  readonly lanDelay?: number
  readonly wanDelay?: number
  readonly witnessDelay?: number
  readonly diskDelay?: number
  /** How long starting and stopping a service takes. */
  readonly serviceDelay?: number
  /** From asking a fence device until the power is off. */
  readonly fenceDelay?: number
  /** Delays of the network vary by this share, up and down; all others by `jitter`. */
  readonly netJitter?: number
  readonly jitter?: number
  /** Share of datagrams lost. */
  readonly loss?: number
  /** How far clock rates may be off; rho of the configuration unless a test wants to see it broken. */
  readonly rateError?: number
  /** How often each node measures itself and its wall clock; 0: never. */
  readonly healthEvery?: number
  /** Gets a line for each step. */
  readonly trace?: ((line: string) => void) | undefined
  /** What a document of a configuration says; without it none can be changed. */
  readonly readConfiguration?: (document: string) => ClusterConfig | undefined
}

export const worldDefaults = {
  seed: 1,
  lanDelay: 0.3,
  wanDelay: 10,
  witnessDelay: 15,
  diskDelay: 3,
  serviceDelay: 5,
  fenceDelay: 500,
  netJitter: 0.2,
  jitter: 0,
  loss: 0,
  healthEvery: 0,
  trace: undefined,
  readConfiguration: (): ClusterConfig | undefined => undefined,
}
