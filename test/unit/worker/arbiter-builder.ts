/** A small cluster for tests of the arbiter: sites `a` (nodes 1-4) and `b` (nodes 11, 12), tickets `main` and `other`. */

import type { LeaseAnswer, LeaseClaim, LeaseName, LeaseTag, Waited } from "../../../protocol/lease.ts"
import {
  type Epoch,
  epoch,
  incarnation,
  millis,
  nodeId,
  siteId,
  ticketName,
} from "../../../protocol/units.ts"
import {
  type ArbiterRules,
  type ArbiterState,
  arbitrate,
  entryOf,
  type Submission,
} from "../../../worker/arbiter.ts"

export const rules: ArbiterRules = {
  version: 1,
  checksum: "one",
  sites: [siteId("a"), siteId("b")],
  tickets: [ticketName("main"), ticketName("other")],
  nodes: [
    ...[1, 2, 3, 4].map((node) => ({ node: nodeId(node), site: siteId("a") })),
    ...[11, 12].map((node) => ({ node: nodeId(node), site: siteId("b") })),
  ],
  preferredNodes: [],
  rho: 0.001,
  voiceTtl: millis(10_000),
  mandateTtl: millis(10_000),
}

export const emptyState: ArbiterState = { witness: "object-1", rules, leases: {}, lastDocuments: {} }

export type VoiceClaim = Extract<LeaseClaim, { kind: "voice" }>
export type MandateClaim = Extract<LeaseClaim, { kind: "mandate" }>
export type ReleaseClaim = Extract<LeaseClaim, { kind: "release" }>

/** Node ids are 1..10 in site `a` and above in site `b`. */
const siteOf = (node: number) => siteId(node > 10 ? "b" : "a")

export function voice(
  members: readonly number[],
  sequence: number,
  more: Partial<VoiceClaim> = {},
): VoiceClaim {
  const first = members[0] ?? 1
  return {
    kind: "voice",
    name: `voice:${siteOf(first)}`,
    ring: { sequence, representative: nodeId(first), incarnation: incarnation(1) },
    members: members.map(nodeId),
    votes: members.length,
    ownsService: false,
    ttl: millis(10_000),
    seen: undefined,
    waited: undefined,
    memo: undefined,
    ...more,
  }
}

export function mandate(site: string, named: number, more: Partial<MandateClaim> = {}): MandateClaim {
  return {
    kind: "mandate",
    name: "mandate:main",
    site: siteId(site),
    epoch: epoch(named),
    ttl: millis(10_000),
    seen: undefined,
    waited: undefined,
    ...more,
  }
}

export function releaseOfVoice(
  members: readonly number[],
  sequence: number,
  ended: number,
  majorityAlone: boolean,
): ReleaseClaim {
  const { name, ring } = voice(members, sequence)
  return {
    kind: "release",
    name,
    epoch: epoch(ended),
    by: { kind: "view", ring, members: members.map(nodeId), majorityAlone },
    stopped: false,
  }
}

export function releaseOfMandate(site: string, ended: number, stopped = true): ReleaseClaim {
  return {
    kind: "release",
    name: "mandate:main",
    epoch: epoch(ended),
    by: { kind: "site", site: siteId(site) },
    stopped,
  }
}

export function waited(tag: LeaseTag, duration: number): Waited {
  return { epoch: tag.epoch, seq: tag.seq, waited: millis(duration) }
}

/** One document of a node, with the counter given. */
export function submission(
  node: number,
  counter: number,
  claims: readonly LeaseClaim[],
  more: Partial<Submission> = {},
): Submission {
  const id = { node: nodeId(node), incarnation: incarnation(1), counter }
  return {
    id,
    challenge: emptyState.witness,
    configuration: 1,
    checksum: rules.checksum,
    active: undefined,
    highest: [],
    claims,
    ...more,
  }
}

/** A witness that remembers: each call is one document that is decided alone. */
export class TestArbiter {
  state: ArbiterState
  #counter = 0

  constructor(state: ArbiterState = emptyState) {
    this.state = state
  }

  claim(node: number, claim: LeaseClaim): LeaseAnswer {
    this.#counter += 1
    return this.submit(submission(node, this.#counter, [claim]))
  }

  submit(document: Submission): LeaseAnswer {
    const [answers] = this.together([document])
    const answer = answers?.[0]
    if (answer === undefined) throw new Error("no answer")
    return answer
  }

  together(documents: readonly Submission[]): readonly (readonly LeaseAnswer[])[] {
    const { state, answers } = arbitrate(this.state, documents)
    this.state = state
    return answers
  }

  tag(name: LeaseName): LeaseTag {
    const entry = entryOf(this.state, name)
    return { epoch: entry.epoch, seq: entry.seq }
  }

  holder(name: LeaseName): string {
    const holder = entryOf(this.state, name).grant?.holder
    if (holder === undefined) return "nobody"
    return holder.kind === "site" ? holder.site : `${holder.members.join(",")}@${holder.ring.sequence}`
  }
}

export const tag = (epochNumber: number, seq: number): { readonly epoch: Epoch; readonly seq: number } => {
  return { epoch: epoch(epochNumber), seq }
}
