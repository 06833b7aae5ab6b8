/** The play, in order. Each step begins where the one before it left the cluster. */
import { setTimeout as sleep } from "node:timers/promises"
import { checkTraces } from "../check-trace/checks.ts"
import { readTraces, type Traces } from "../check-trace/trace-file.ts"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { gapMax, type Stage, ttl, ttlWaited } from "./stage.ts"
import { type Seen, type Step, StepFailed } from "./verdict.ts"

/** Limits on waiting, milliseconds. What must be fast is measured; these only end a step that does not come true. */
const healthyLimit = 20_000
const takeoverLimit = 5_000
/** Beyond the TTL, for a holder's whole site that is gone. */
const siteTakeoverSlack = 3_000
/** How much later the witness's answers reach the holder before it is cut off. */
const answerDelay = 1_500

export function stepsOn(stage: Stage): readonly Step[] {
  return [
    {
      name: "cluster forms",
      expected: "4 nodes healthy: 2 rings, both sites and the witness heard",
      play: () => formCluster(stage),
    },
    {
      name: "service active",
      expected: "on one node, no other",
      play: () => startService(stage),
    },
    {
      name: "kill -9 of the active node",
      expected: "its neighbour takes over, by the vote of the witness, after its last write",
      play: () => killOwner(stage),
    },
    {
      name: "the node comes back",
      expected: `nothing moves, no pause of ${gapMax} ms`,
      play: () => restartNode(stage),
    },
    {
      name: `witness down for ${(1.5 * ttl) / 1000} s, WAN whole`,
      expected: `nothing happens, no pause of ${gapMax} ms`,
      play: () => stopWitness(stage, 1.5 * ttl),
    },
    {
      name: "WAN cut",
      expected: `exactly one site goes on: the holder, no pause of ${gapMax} ms`,
      play: () => cutWan(stage),
    },
    {
      name: `witness down for ${ttl / 2000} s during the cut`,
      expected: `no pause of ${gapMax} ms`,
      play: () => restartWitness(stage, ttl / 2),
    },
    {
      name: "holder cut from WAN and witness",
      expected: "it stops; only then the other site starts, at a higher epoch",
      play: () => isolateHolder(stage),
    },
    {
      name: "heal",
      expected: `all healthy, nothing moves back, no pause of ${gapMax} ms`,
      play: () => heal(stage),
    },
    {
      name: "kill -9 of the holder's whole site",
      expected: `the other site takes over within the TTL + ${siteTakeoverSlack / 1000} s`,
      play: () => killSite(stage),
    },
    {
      name: "the site comes back",
      expected: `all healthy, nothing moves back, no pause of ${gapMax} ms`,
      play: () => restartSite(stage),
    },
    {
      name: "exclusivity, from the ledger",
      expected: "each owner's last write before the next one's first, epochs rise",
      play: () => checkLedger(stage),
    },
    {
      name: "I1 to I4, from the traces",
      expected: "no two ever had a right at once, epochs rise, all members agree",
      play: () => examineTraces(stage),
    },
    {
      name: "alerts",
      expected: "the webhook heard of the lost nodes; every signature is right",
      play: () => checkAlerts(stage),
    },
  ]
}

async function formCluster(stage: Stage): Promise<Seen> {
  await stage.cluster.startWitness()
  const from = now()
  stage.cluster.startAgents()
  await stage.healthy(healthyLimit)
  return { seen: "all healthy", milliseconds: now() - from }
}

async function startService(stage: Stage): Promise<Seen> {
  const nodes = stage.cluster.agents.map(({ name }) => name)
  const from = now()
  const write = await stage.activeOn(nodes, 0, healthyLimit)
  const waited = Math.max(write.at - from, 0)
  await sleep(1_000)
  const { node, epoch } = stage.owner()
  await stage.assertUndisturbed(stage.owner())
  return { seen: `${node} at epoch ${epoch}`, milliseconds: waited }
}

async function killOwner(stage: Stage): Promise<Seen> {
  const victim = stage.ownerAgent()
  const heir = stage.neighbour(victim)
  const killed = await stage.killAtWorst(victim, heir)
  const before = stage.owner()
  const after = await stage.activeOn([heir.name], killed, takeoverLimit)
  await sleep(1_000)
  const { lastWrite } = stage.assertSucceeded(before, after)
  const kept = Math.round(lastWrite - killed)
  return {
    seen: `${victim.name} wrote for ${kept} ms more, then ${heir.name}`,
    milliseconds: after.at - killed,
  }
}

async function restartNode(stage: Stage): Promise<Seen> {
  const before = stage.owner()
  stage.neighbour(stage.ownerAgent()).start()
  await stage.healthy(healthyLimit)
  return stage.assertUndisturbed(before, 1_000)
}

async function stopWitness(stage: Stage, duration: number): Promise<Seen> {
  const before = stage.owner()
  await stage.cluster.witness.kill()
  const seen = await stage.assertUndisturbed(before, duration)
  await stage.cluster.witness.start()
  await stage.healthy(healthyLimit)
  await stage.assertUndisturbed(before)
  return seen
}

async function cutWan(stage: Stage): Promise<Seen> {
  const before = stage.owner()
  await stage.cluster.network.setWan("cut")
  // Until every pledge of the other site has ended, and then as long again as a claim and a start would take.
  const seen = await stage.assertUndisturbed(before, ttlWaited + siteTakeoverSlack)
  const other = stage.otherSite(stage.siteOf(before.node))
  await assertWithoutMandate(stage, other)
  return { ...seen, seen: `${seen.seen}; ${other} has no mandate` }
}

async function assertWithoutMandate(stage: Stage, site: string): Promise<void> {
  for (const agent of stage.cluster.agentsOf(site)) {
    const answer = await agent.status()
    if (answer?.status.rights.mandates.some(({ held }) => held) === true) {
      throw new StepFailed(`${agent.name} holds the mandate too`)
    }
  }
}

async function restartWitness(stage: Stage, duration: number): Promise<Seen> {
  const before = stage.owner()
  await stage.cluster.witness.kill()
  await sleep(duration)
  await stage.cluster.witness.start()
  // Had it come back too late, the mandate would end within one TTL from the last renewal.
  return stage.assertUndisturbed(before, ttl)
}

/**
 * The way to the witness first becomes slow, then ends; the WAN is cut already. An answer that is on its way at that
 * moment still arrives, late: it must not count from then.
 */
async function isolateHolder(stage: Stage): Promise<Seen> {
  const before = stage.owner()
  const site = stage.siteOf(before.node)
  const other = stage.otherSite(site)
  const { network } = stage.cluster
  await network.setUplink(site, "open", answerDelay)
  await stage.assertUndisturbed(before, 2 * answerDelay)
  await network.setUplink(site, "drain", answerDelay)
  const cut = now()
  const after = await stage.activeOn(namesOf(stage, other), cut, ttlWaited + siteTakeoverSlack)
  await sleep(2 * answerDelay)
  const { lastWrite } = stage.assertSucceeded(before, after)
  const seen = `${before.node} stopped after ${Math.round(lastWrite - cut)} ms, ${after.node} began ${Math.round(after.at - lastWrite)} ms later`
  return { seen: `${seen}, epoch ${before.epoch} -> ${after.epoch}`, milliseconds: after.at - cut }
}

async function heal(stage: Stage): Promise<Seen> {
  const before = stage.owner()
  await stage.cluster.network.heal()
  await stage.healthy(healthyLimit)
  return stage.assertUndisturbed(before, 2_000)
}

async function killSite(stage: Stage): Promise<Seen> {
  const before = stage.owner()
  const site = stage.siteOf(before.node)
  const other = stage.otherSite(site)
  const killed = now()
  await Promise.all(stage.cluster.agentsOf(site).map((agent) => agent.kill()))
  const after = await stage.activeOn(namesOf(stage, other), killed, ttlWaited + siteTakeoverSlack)
  await sleep(1_000)
  stage.assertSucceeded(before, after)
  return { seen: `${after.node} at epoch ${after.epoch}`, milliseconds: after.at - killed }
}

async function restartSite(stage: Stage): Promise<Seen> {
  const before = stage.owner()
  for (const agent of stage.cluster.agents) if (!agent.isRunning) agent.start()
  await stage.healthy(healthyLimit)
  return stage.assertUndisturbed(before, 2_000)
}

async function checkLedger(stage: Stage): Promise<Seen> {
  stage.assertExclusive()
  const { ledger } = stage.cluster
  const owners = ledger.tenures().map(({ node }) => node)
  return { seen: `${ledger.read().length} writes: ${owners.join(" -> ")}`, milliseconds: undefined }
}

async function examineTraces(stage: Stage): Promise<Seen> {
  // Trace lines are written in batches by another process.
  await sleep(500)
  const traces = tracesOf(stage)
  const { rights, agreements } = traces
  const activations = new Set(rights.map(({ node, service, epoch }) => `${node} ${service} ${epoch}`)).size
  const owners = stage.cluster.ledger.tenures().length
  if (activations < owners)
    throw new StepFailed(`${activations} activations for ${owners} owners in the traces`)
  const [first] = checkTraces(traces).violations
  if (first !== undefined) throw new StepFailed(first)
  const seen = `${activations} activations, none at once; ${agreements.length} deliveries, all alike`
  return { seen, milliseconds: undefined }
}

export function tracesOf(stage: Stage): Traces {
  return readTraces(stage.cluster.layout.nodes.map(({ traceFile }) => traceFile))
}

async function checkAlerts(stage: Stage): Promise<Seen> {
  const { receiver } = stage.cluster
  await waitFor({ what: "an alert of kind node-down", limit: 10_000 }, () =>
    receiver.alerts.find(({ kind }) => kind === "node-down"),
  )
  const [refused] = receiver.refused
  if (refused !== undefined) throw new StepFailed(`${receiver.refused.length} refused: ${refused}`)
  const kinds = [...new Set(receiver.alerts.map(({ kind }) => kind))].sort()
  return { seen: `${receiver.alerts.length}: ${kinds.join(", ")}`, milliseconds: undefined }
}

function namesOf(stage: Stage, site: string): readonly string[] {
  return stage.cluster.agentsOf(site).map(({ name }) => name)
}
