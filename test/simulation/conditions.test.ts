/**
 * SPEC A15 through everything that is ours: a member notices, tells its coordinator over the ring, which posts it, and the
 * real router makes an incident of it that ends when it is over.
 */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import type { Summary } from "../../protocol/summaries.ts"
import { wallTime } from "../../protocol/units.ts"
import { ofNode, placed } from "../../worker/alerts/places.ts"
import { configOf } from "../support/layouts.ts"
import { Router } from "../unit/worker/alerts/alert-builder.ts"

/** Two sites with a witness whose object takes alerts, each event once, as the real one does. */
class Watched {
  readonly world: World
  readonly router = new Router()
  readonly #known = new Set<string>()
  readonly #posted: Summary[] = []

  constructor() {
    this.world = new World(configOf("2x2"), { seed: 5, healthEvery: 2_000 })
    const receive = this.world.witness.receive.bind(this.world.witness)
    this.world.witness.receive = (summary, ...rest) => {
      this.#posted.push(summary)
      receive(summary, ...rest)
    }
    this.world.start()
  }

  /** What is told to people meanwhile. */
  run(seconds: number): readonly string[] {
    const sent = this.router.sent.length
    for (let second = 0; second < seconds; second += 1) {
      this.world.run(1_000)
      this.router.wait(1)
      for (const summary of this.#posted.splice(0)) this.#take(summary)
    }
    return this.router.sent
      .slice(sent)
      .map(({ action, incidents }) => `${action}: ${incidents.map(({ title }) => title).join(", ")}`)
  }

  #take(summary: Summary): void {
    for (const event of summary.events.map((each) => ofNode(each, summary.node))) {
      if (this.#known.has(event.id)) continue
      this.#known.add(event.id)
      const nodes = this.world.host(1).config.nodes.map(({ id, name, site }) => ({ node: id, name, site }))
      this.router.take({
        event: placed({ ...event, at: wallTime(0) }, { nodes }, summary.site),
        cluster: "grid",
      })
    }
  }
}

test.each([1, 2])("[A15] the clock of node %i is off and comes back: one incident, told and ended", (id) => {
  const watched = new Watched()
  expect(watched.run(90), "all is well").toEqual([])
  watched.world.host(id).wallOffset = 80
  expect(watched.run(120)).toEqual([`trigger: node n${id} has a clock out of bounds`])
  expect(watched.router.incident("clock-out-of-bounds")).toMatchObject({
    detail: "80.0 ms ahead of its source (ntp); limit 50 ms",
    labels: { node: `n${id}`, site: "north" },
  })
  watched.world.host(id).wallOffset = 0
  expect(watched.run(180)).toEqual([`resolve: node n${id} has a clock out of bounds`])
})

test("[A15] a clock that is put right while its node is away: its next start ends the incident", () => {
  const watched = new Watched()
  watched.world.host(2).wallOffset = -80
  expect(watched.run(120).join()).toContain("trigger: node n2 has a clock out of bounds")
  watched.world.kill(2)
  watched.run(10)
  watched.world.host(2).wallOffset = 0
  watched.world.start(2)
  expect(watched.run(180).join()).toContain("resolve: node n2 has a clock out of bounds")
})

test("[A15] a node with another configuration than its neighbours: one incident, told and ended", () => {
  const watched = new Watched()
  watched.run(30)
  const { world } = watched
  const { config } = world.host(2)
  const restart = (checksum: string): void => {
    world.kill(2)
    world.host(2).config = { ...config, checksum }
    world.start(2)
  }
  // Of two halves the coordinator's is the one that is meant.
  expect(world.core(1).view?.coordinator).toBe(1)
  restart(config.checksum.split("").reverse().join(""))
  expect(watched.run(120).join()).toContain("trigger: node n2 has another configuration than its neighbours")
  restart(config.checksum)
  expect(watched.run(180).join()).toContain("resolve: node n2 has another configuration than its neighbours")
})
