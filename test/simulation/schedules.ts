/**
 * Courses of events that chance would hardly draw, each made for a rule. A schedule says what broke; with all rules in
 * force nothing does. They are bundled together with the engine, so that a rule can be taken out of both.
 */
import { proposalOf } from "../../node-agent/core/gather.ts"
import { World } from "../../node-agent/simulation/world.ts"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { serviceName } from "../../protocol/units.ts"
import { type Plain, service } from "../support/config-builder.ts"
import type { LayoutName } from "../support/layouts.ts"

export { runChaos } from "../../node-agent/simulation/chaos.ts"
export { basicFaults, harshFaults } from "../../node-agent/simulation/fault-tables.ts"
export { runSeed } from "../../node-agent/simulation/run.ts"

export interface Schedule {
  readonly layout: LayoutName
  /** Parts of the configuration that replace the layout's. */
  readonly config?: Plain
  readonly play: (config: ClusterConfig) => string | undefined
}

const ledger = "ledger"

/** Active on one of the nodes within a time, or why not. */
function notActive(world: World, ids: readonly number[], within: number): string | undefined {
  const isActive = () => ids.some((id) => world.active(ledger).some((active) => active === id))
  return world.runUntil(isActive, within)
    ? undefined
    : `not active on ${ids} in ${within} ms: ${world.violations[0] ?? "nothing broke"}`
}

function formed(config: ClusterConfig, seed = 1): World {
  const world = new World(config, { seed })
  world.start()
  const late = notActive(world, [1, 2], 30_000)
  if (late !== undefined) throw new Error(late)
  world.run(3000)
  return world
}

/** What first broke in any of several courses, each of a formed cluster with a seed of its own. */
function any(
  config: ClusterConfig,
  count: number,
  play: (world: World, round: number) => void,
): string | undefined {
  for (let round = 0; round < count; round++) {
    const world = formed(config, round + 1)
    play(world, round)
    if (world.violations[0] !== undefined) return world.violations[0]
  }
  return undefined
}

/**
 * [W4] A half of the site holds the voice and no longer hears the witness, but what it posts arrives. Its lease must run out
 * all the same, and the other half take over.
 */
function deafHolder(config: ClusterConfig): string | undefined {
  const world = formed(config)
  world.cut(1, 2)
  world.run(8000)
  const [holder = 1] = world.active(ledger)
  world.cuts.add(`@witness>${holder}`)
  return notActive(world, [3 - holder], 45_000) ?? world.violations[0]
}

/**
 * [W10] A claim of nodes 2 and 3 is held up for seconds. Meanwhile 1 and 2 are a ring of greater sequence that holds the voice.
 * The late claim, by a member of that ring, must not take it back: 3 and 4 could have it rebound at once.
 */
function delayedClaim(config: ClusterConfig): string | undefined {
  return any(config, 2, (world) => {
    const part = (...pairs: readonly (readonly [number, number])[]) => {
      for (const a of [1, 2, 3, 4])
        for (const b of [1, 2, 3, 4])
          if (a < b && !pairs.some(([c, d]) => a === c && b === d)) world.cut(a, b)
    }
    // All learn of the witness's object when a view is formed.
    world.suspend(4)
    world.run(2)
    world.resume(4)
    world.run(3000)
    part([2, 3])
    world.uplink.slow = 4000
    world.run(1200)
    world.uplink.slow = 0
    world.heal()
    part([1, 2], [3, 4])
    world.run(12_000)
  })
}

/**
 * [VL5] Node 3 speaks for south with the witness's voice and pledges to north; node 4, which was in no view with it, takes the
 * voice over when 3 is gone. Only the memo tells it that the vote is given away.
 */
function forgottenPledge(config: ClusterConfig): string | undefined {
  return any(config, 2, (world, round) => {
    world.cut("north", "@witness")
    world.kill(4)
    world.run(3000)
    world.cut(3, 4)
    world.start(4)
    world.run(30_000 + 300 * round)
    world.kill(3)
    world.cut("north", "south")
    world.run(25_000)
  })
}

/** [VL5] As before, but the pledge is new and the memo that names it never arrives: it may not be spoken. */
function unwrittenPledge(config: ClusterConfig): string | undefined {
  const main = config.tickets[0]?.name
  const [north, south] = config.sites.map((site) => site.name)
  if (main === undefined || north === undefined || south === undefined) return "no ticket"
  return any(config, 6, (world, round) => {
    world.command(1, { kind: "ticket-move", ticket: main, to: south })
    world.run(5000)
    world.kill(4)
    world.run(3000)
    world.cut(3, 4)
    world.start(4)
    world.run(25_000)
    world.cut("north", "@witness")
    world.command(3, { kind: "ticket-move", ticket: main, to: north })
    world.run(20 + 12 * round)
    world.cut(3, "@witness")
    world.run(4000)
    world.kill(3)
    world.cut("north", "south")
    world.run(25_000)
  })
}

/** [W9] Half of all replies of the witness are lost after it wrote: what is told again counts from the claim that it names. */
function lostReplies(config: ClusterConfig): string | undefined {
  return any(config, 2, (world) => {
    world.uplink.faults.replyLost = 0.5
    world.run(40_000)
  })
}

/** [W3] One half of the site holds the voice when the object finds itself on a machine whose clock is 20 s ahead. */
function objectClock(config: ClusterConfig): string | undefined {
  return any(config, 3, (world) => {
    world.cut(1, 2)
    world.run(6000)
    for (let step = 0; step < 10; step++) {
      world.witness.clockOffset += 20_000
      world.run(700)
    }
  })
}

/**
 * [L6] Node 1 stands still with a live lease. The others form a ring, and a moment later the same ring again: what node 1 may
 * still do is owed by the ring before the last.
 */
function twoViewsInARow(config: ClusterConfig): string | undefined {
  return any(config, 3, (world) => {
    world.freeze(1)
    const sequence = () => world.host(3).node?.view?.ring.sequence ?? 0
    const before = sequence()
    world.runUntil(() => sequence() > before, 2000)
    world.suspend(3)
    world.run(1.5)
    world.resume(3)
    world.run(3000)
  })
}

/**
 * [W11] Both have met the witness. Started anew and cut off from each other, node 1 holds the voice for 10 s; node 2, configured
 * with 4 s, takes over when node 1 falls silent.
 */
function shorterTtl(config: ClusterConfig): string | undefined {
  const world = formed(config)
  world.kill(1, 2)
  const { timings } = config
  world.host(2).config = {
    ...config,
    timings: { ...timings, voiceTtl: (timings.voiceTtl * 0.4) as typeof timings.voiceTtl },
  }
  world.cut(1, 2)
  world.start(1)
  const late = notActive(world, [1], 20_000)
  if (late !== undefined) return late
  world.start(2)
  world.run(3000)
  world.cut(1, "@witness")
  world.run(15_000)
  return world.violations[0]
}

/**
 * [M9] North holds the mandate by its own vote and south's. South's node loses its record; west, which nobody binds any more,
 * asks it for the same vote.
 */
function amnesiacVoter(config: ClusterConfig): string | undefined {
  return any(config, 3, (world, round) => {
    world.cut("north", "west")
    world.run(12_000 + 1700 * round)
    world.kill(2)
    world.loseDisk(2)
    world.cut("north", "south")
    world.start(2)
    world.run(12_000)
  })
}

/**
 * [M5] Node 3 renews the pledge to north for as long as node 4 is cut off from it. When they meet, the vote is bound for as long
 * as node 3 knows, not for as little as node 4 does.
 */
function lateMember(config: ClusterConfig): string | undefined {
  return any(config, 2, (world, round) => {
    world.cut("north", "@witness")
    world.run(5000)
    world.cut(3, 4)
    world.run(7000 + 500 * round)
    world.heal()
    world.cut("north", "@witness")
    world.cut("north", "south")
    world.run(12_000)
  })
}

/**
 * [R6] One direction between two nodes is cut: no ring may have both in it for as long as they tell whom they hear, and the ring
 * that is left settles. Silence on a hop would end a ring with both as well, so what is proposed is asked of the core.
 */
function oneWayLink(config: ClusterConfig): string | undefined {
  const world = formed(config)
  world.cuts.add("2>3")
  world.run(10_000)
  const late = notActive(world, [1, 2, 3], 1000)
  if (late !== undefined) return late
  const [first, second] = config.nodes.map((node) => ({
    node: node.id,
    incarnation: world.core(1).incarnation,
  }))
  if (first === undefined || second === undefined) return "no nodes"
  const deaf = {
    at: world.core(1).steppedAt,
    counter: 1,
    sequence: 1,
    hears: [],
    accuses: [],
    proposal: [],
    owner: false,
  }
  const proposal = proposalOf({
    self: first,
    selfOwner: false,
    hears: [second],
    joins: new Map([[second.node, { ...deaf, incarnation: second.incarnation }]]),
    votes: (members) => members.length,
  })
  return proposal.length > 1 ? `proposes ${proposal} though one does not hear the other` : world.violations[0]
}

/**
 * [S2] The agents of the holder's site are killed, its service runs on and may take its whole margin to end. The other site,
 * which takes the mandate over, may not start before.
 */
function siteKilled(config: ClusterConfig): string | undefined {
  const world = formed(config)
  world.kill(1, 2)
  const late = notActive(world, [3, 4], 60_000)
  return world.violations[0] ?? late
}

/**
 * [VL8] Two halves take the voice from each other while their rings go on. The agent of the one that had it last is killed, its
 * service may take its whole margin to end: the other one, which has had the voice before, waits for it from its new grant on.
 */
function voiceBack(config: ClusterConfig): string | undefined {
  const world = new World(config, { seed: 1, netJitter: 0, rateError: 0 })
  world.start()
  const turn = (loses: number, gains: number) => {
    world.heal()
    world.cut(1, 2)
    world.cut(loses, "@witness")
    world.run(2000)
    return notActive(world, [gains], 70_000)
  }
  world.run(3000)
  const late = turn(2, 1) ?? turn(1, 2)
  world.kill(2)
  return late ?? turn(2, 1) ?? world.violations[0]
}

const slow = { proof: "self-lease", self_lease_margin_ms: 30_000 }
/** A pledge outlives the voice of the view that gave it. */
const longMandate = { timings: { voice_ttl_ms: 7000, mandate_ttl_ms: 20_000 } }

/** A witness set back to before its first grant, while both halves live on what it said since. */
function witnessSetBack(config: ClusterConfig): string | undefined {
  const world = formed(config)
  // Nothing is planned, so the first grant is not renewed at once: both halves see the same tag.
  world.command(1, { kind: "service-stop", service: serviceName(ledger) })
  world.run(1000)
  const { state } = world.witness
  world.cut(1, 2)
  world.run(1000)
  world.witness.rollBack(state)
  // The holder would be the first to ask, and be told what it has.
  world.cut(1, "@witness")
  world.run(5000)
  return world.violations[0]
}

/**
 * [W6] One half speaks with the witness, the other has never met it. The object is made anew, and now the second half gets
 * through to it, while the first still counts on what the one before granted.
 */
function firstContact(config: ClusterConfig): string | undefined {
  const world = new World(config, { seed: 1 })
  world.cut(1, 2)
  world.cut(2, "@witness")
  world.start()
  world.run(5000)
  world.witness.replace()
  world.cuts.delete("2>@witness")
  world.cuts.delete("@witness>2")
  world.run(30_000)
  world.heal()
  return notActive(world, [1, 2], 70_000) ?? world.violations[0]
}

/**
 * [V12] Two nodes act while the third is down. One of them loses its record, and comes back with the third: a majority of which
 * nobody knows what the two did. It must not act before the other one is back, and then at a higher epoch.
 */
function recordLost(config: ClusterConfig): string | undefined {
  const world = formed(config)
  world.kill(3)
  for (let restart = 0; restart < 2; restart += 1) {
    world.kill(2)
    world.run(1_000)
    world.start(2)
    world.run(3_000)
  }
  if (world.active("ledger").length !== 1) return "not active on two of three"
  world.kill(1, 2)
  world.run(1_000)
  world.loseDisk(1)
  world.start(1, 3)
  world.run(3_000)
  // A restart does not bring back what was lost.
  world.kill(1)
  world.run(1_000)
  world.start(1)
  world.run(60_000)
  if (world.active("ledger").length > 0) return "V12: acts on the vote of a node that lost its record"
  world.start(2)
  const stuck = notActive(world, [1, 2, 3], 20_000)
  // It has learnt by now what it had forgotten.
  world.kill(2)
  return stuck ?? notActive(world, [1, 3], 20_000) ?? world.violations[0]
}

/**
 * [V12] Node 1 alone, with the witness's voice, gives the mandate away and loses its record. Node 2 was away from before that, and
 * still has votes for it: the two are the whole site, and only the memo tells that they are void.
 */
function givenUpAndForgotten(config: ClusterConfig): string | undefined {
  const main = config.tickets[0]?.name
  const south = config.sites[1]?.name
  if (main === undefined || south === undefined) return "no ticket"
  return any(config, 2, (world, round) => {
    for (const id of [1, 3, 4]) world.cut(2, id)
    world.run(1500 + 700 * round)
    world.command(1, { kind: "ticket-move", ticket: main, to: south })
    const late = notActive(world, [3, 4], 8000)
    if (late !== undefined) throw new Error(late)
    world.kill(1)
    world.loseDisk(1)
    world.heal()
    world.start(1)
    world.run(5000)
  })
}

export const schedules = {
  "record-lost": { layout: "1x3", play: recordLost },
  "deaf-holder": { layout: "1x2", play: deafHolder },
  "delayed-claim": { layout: "1x4", play: delayedClaim },
  "forgotten-pledge": { layout: "2x2", config: longMandate, play: forgottenPledge },
  "unwritten-pledge": { layout: "2x2", config: longMandate, play: unwrittenPledge },
  "lost-replies": { layout: "2x1", play: lostReplies },
  "object-clock": { layout: "1x2", play: objectClock },
  "two-views-in-a-row": {
    layout: "1x4",
    // So long that the second view comes well before the lease is over.
    config: { timings: { lease_ms: 3000 } },
    play: twoViewsInARow,
  },
  "shorter-ttl": { layout: "1x2", play: shorterTtl },
  "amnesiac-voter": { layout: "3x1", play: amnesiacVoter },
  "given-up-and-forgotten": { layout: "2x2", play: givenUpAndForgotten },
  "late-member": { layout: "2x2", play: lateMember },
  "one-way-link": { layout: "1x3", play: oneWayLink },
  "first-contact": { layout: "1x2", play: firstContact },
  "witness-set-back": { layout: "1x2", play: witnessSetBack },
  "voice-back": { layout: "1x2", config: { service: [service(ledger, slow)] }, play: voiceBack },
  "site-killed": {
    layout: "2x2",
    config: { service: [service(ledger, slow)] },
    play: siteKilled,
  },
} satisfies Record<string, Schedule>

export type ScheduleName = keyof typeof schedules
