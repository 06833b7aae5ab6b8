import { linksMax } from "./frame.ts"

/** How much a cluster may have: enough for what it is made for, little enough for one token and one row to carry. */
export const bounds = {
  /** Two full sites, or fifteen of four. */
  nodes: 64,
  /** One pass visits every node of a site: thirty hops at a third of a millisecond fit the default `pass_ms`. */
  nodesPerSite: 30,
  /** Each has a voice with a memo of up to 16 KB in the one row in which the witness keeps a cluster's leases. */
  sites: 15,
  tickets: 16,
  /** Each has its state in every node's health entry, and those share the token. */
  services: 32,
  links: linksMax,
  /** As far as jitter is told on the wire. */
  linkFigure: 4_000,
  /** A minute; a clock that is further off is not kept by anything. */
  clockLimit: 60_000,
  resources: 16,
  fences: 64,
  fenceLevels: 9,
  arguments: 64,
  variables: 64,
  votes: 16,
  /** Fits 32 bits on the wire. */
  version: 2 ** 32 - 1,
  nodeId: 65_535,
  /** Ten minutes: a service with that proof is away for longer than half an hour after its node. */
  watchdogSeconds: 600,
  /** An hour and a day: longer is a mistyped unit. */
  resourceTimeout: 3_600_000,
  monitorInterval: 86_400_000,
  failures: 1_000,
  /** A month: from here on it is never. */
  placementSeconds: 2_592_000,
} as const
