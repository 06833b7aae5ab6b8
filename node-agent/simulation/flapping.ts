/**
 * The way to the witness is cut back and forth while the rings on both sides stay whole: two parts of a site, or two sites,
 * take its vote from each other again and again (SPEC VL8).
 */
import { draw, type Random } from "../core/random.ts"
import type { World } from "./world.ts"

/** Which of the two has it changes this many times. */
const turns = 6
/** A part of the voice TTL: the first too short for the other one to wait it out. */
const shares = [0.4, 1.3, 1.3, 2] as const

export function flapWitness(world: World, random: Random, isOver: () => boolean): void {
  const parts = draw(random) < 0.6 ? partsOfSite(world, random) : partsOfCluster(world, random)
  const share = shares[Math.floor(draw(random) * shares.length)] ?? 1
  const isCut = draw(random) < 0.8
  const length = share * world.config.timings.voiceTtl
  for (let turn = 0; turn < turns; turn++) {
    const [away = [], there = []] = turn % 2 === 0 ? parts : parts.toReversed()
    world.after(turn * length, () => {
      if (isOver()) return
      if (isCut) for (const a of away) for (const b of there) world.cut(a, b)
      for (const name of there) join(world, name)
      for (const name of away) world.cut(name, "@witness")
    })
  }
  world.after(turns * length, () => {
    for (const name of parts.flat()) join(world, name)
  })
}

function join(world: World, name: string | number): void {
  world.cuts.delete(`${name}>@witness`)
  world.cuts.delete(`@witness>${name}`)
}

function partsOfSite(world: World, random: Random): readonly (readonly number[])[] {
  const sites = world.config.sites.map(({ name }) => name)
  const site = sites[Math.floor(draw(random) * sites.length)]
  const ids = [...world.hosts.values()].filter((host) => host.site === site).map(({ id }) => id)
  const half = Math.ceil(ids.length / 2)
  // Halves need the witness; any other part shows that a minority gains nothing by it.
  const at = draw(random) < 0.7 ? half : 1 + Math.floor(draw(random) * ids.length)
  return [ids.slice(0, at), ids.slice(at)]
}

function partsOfCluster(world: World, random: Random): readonly (readonly string[])[] {
  const sites = world.config.sites.map(({ name }) => name)
  const at = Math.floor(draw(random) * (sites.length + 1))
  return [sites.slice(0, at), sites.slice(at)]
}
