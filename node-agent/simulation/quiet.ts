/**
 * A healthy ring of three under the losses of an ordinary network, for days: how often it changes its view, against what
 * chance predicts. A hop fails when `misses` sendings in a row bring no acknowledgement, each for the loss of the
 * token or of its acknowledgement on every link: an upper bound, since a token that came through goes on although nothing
 * acknowledges it, and its next visit ends the waiting.
 */
import { createHash } from "node:crypto"
import { parseConfig } from "../../protocol/config.ts"
import { World } from "./world.ts"

export interface QuietOptions {
  readonly days: number
  readonly profile: string
  readonly links: number
  readonly seed: number
}

export interface QuietResult {
  /** Tokens handled. */
  readonly hops: number
  readonly misses: number
  readonly changes: number
  readonly predicted: number
  /** The prediction and three standard deviations: more would not be chance. */
  readonly allowed: number
  readonly speed: number
  readonly violations: readonly string[]
}

const loss = 0.001
/** The delay of each datagram varies by 5 ms in all. */
const delay = 2.5
const nodes = 3
const dayMs = 24 * 3_600_000

export function runQuiet({ days, profile, links, seed }: QuietOptions): QuietResult {
  const config = parseConfig(tables(profile, links), (text) =>
    createHash("sha256").update(text).digest("hex"),
  )
  if (config.kind === "error") throw new Error(JSON.stringify(config.error))
  const { misses } = config.value.timings
  const world = new World(config.value, { seed, loss, lanDelay: delay, netJitter: 1 })
  world.start()
  world.run(10_000)
  const from = performance.now()
  const start = { handled: handledBy(world), views: viewsOf(world) }
  let hops = 0
  let last = start.handled
  for (let day = 0; day < days * 24; day++) {
    world.run(dayMs / 24)
    const handled = handledBy(world)
    hops += handled >= last ? handled - last : handled
    last = handled
    world.log.splice(0, world.log.length - 100)
  }
  // A sending counts as lost when its token or its acknowledgement is lost on all links.
  const sendingFails = 1 - (1 - loss ** links) ** 2
  const predicted = hops * sendingFails ** misses
  return {
    hops,
    misses,
    changes: viewsOf(world) - start.views,
    predicted,
    allowed: predicted + 3 * Math.sqrt(predicted),
    speed: (days * dayMs) / (performance.now() - from),
    violations: world.violations,
  }
}

/** Numbers of the ring's tokens. */
function handledBy(world: World): number {
  return Math.max(...[...world.hosts.values()].map((host) => host.node?.ring?.handled ?? 0))
}

/** Every view has its own ring sequence. */
function viewsOf(world: World): number {
  return Math.max(...[...world.hosts.values()].map((host) => host.node?.view?.ring.sequence ?? 0))
}

function tables(profile: string, links: number): Readonly<Record<string, unknown>> {
  return {
    cluster: "quiet",
    version: 1,
    profile,
    site: [{ name: "north" }],
    node: Array.from({ length: nodes }, (_, index) => ({
      id: index + 1,
      name: `n${index + 1}`,
      site: "north",
      links: Array.from({ length: links }, (_, link) => `10.${link}.0.${index + 1}`),
      public_key: `${String(index + 1).padStart(42, "k")}A`,
    })),
  }
}
