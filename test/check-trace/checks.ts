/**
 * The invariants over merged traces (SPEC I1 to I4). A right is taken to be used from the step that got it to its deadline, or to the step
 * that gave it up: more than was used, never less. What two nodes of one machine did is compared exactly; with a clock
 * uncertainty only what is wrong by more than it is a violation, and what could be is counted.
 */
import { compareEpochs } from "../support/cluster/ledger.ts"
import type { Agreement, Exercise, Right, Traces } from "./trace-file.ts"

export interface Findings {
  readonly violations: readonly string[]
  /** Overlaps within the clock uncertainty: neither shown nor excluded. */
  readonly undecided: number
}

/** `uncertainty`: by how many milliseconds two nodes' times may be off from each other. */
export function checkTraces({ rights, exercises, agreements }: Traces, uncertainty = 0): Findings {
  const found = [
    ...overlaps("I1", rights.map(asSpan), uncertainty),
    ...overlaps("I2", spansOf(exercises), uncertainty),
  ]
  const violations = [
    ...found.flatMap(({ text, isSure }) => (isSure ? [text] : [])),
    ...fallingEpochs(rights, uncertainty),
    ...disagreements(agreements),
  ]
  return { violations: [...new Set(violations)], undecided: found.filter(({ isSure }) => !isSure).length }
}

/** A time in which `by` acts for `what`; nobody else may. */
interface Span {
  readonly what: string
  readonly by: string
  readonly node: number
  readonly detail: string
  readonly from: number
  readonly until: number
}

function asSpan({ node, service, epoch, from, until }: Right): Span {
  return { what: service, by: `${node}`, node, detail: epoch, from, until }
}

/** What was exercised lasts until the node's next word, at most until its deadline. */
function spansOf(exercises: readonly Exercise[]): readonly Span[] {
  return [...Map.groupBy(exercises, ({ node }) => node).values()].flatMap((own) =>
    own.flatMap(({ node, site, at, voice }, index) => {
      if (voice === undefined) return []
      const next = own[index + 1]?.at ?? Number.POSITIVE_INFINITY
      const from = Math.max(at, voice.from)
      const detail = `ring ${voice.ring}`
      const spans: readonly Span[] = [
        { what: `voice:${site}`, by: voice.ring, node, detail, from, until: Math.min(voice.until, next) },
        ...voice.mandates.map(({ ticket, until }) => {
          return { what: `ticket:${ticket}`, by: site, node, detail, from, until: Math.min(until, next) }
        }),
      ]
      return spans.filter((span) => span.from < span.until)
    }),
  )
}

interface Overlap {
  readonly text: string
  readonly isSure: boolean
}

/** Two that act for one thing at once, once for each pair of them. */
function overlaps(rule: string, spans: readonly Span[], uncertainty: number): readonly Overlap[] {
  const found = new Map<string, { readonly text: string; readonly common: number }>()
  for (const same of Map.groupBy(spans, ({ what }) => what).values()) {
    let open: Span[] = []
    for (const span of [...same].sort((a, b) => a.from - b.from)) {
      open = open.filter(({ until }) => until > span.from)
      for (const other of open) {
        if (other.by === span.by || other.node === span.node) continue
        const common = Math.min(other.until, span.until) - span.from
        const pair = `[${rule}] ${span.what}: node ${other.node} (${other.detail}) and node ${span.node} (${span.detail})`
        if (common <= (found.get(pair)?.common ?? 0)) continue
        const text = `${pair} for ${common.toFixed(1)} ms from ${span.from.toFixed(1)}`
        found.set(pair, { text, common })
      }
      open.push(span)
    }
  }
  return [...found.values()].map(({ text, common }) => ({ text, isSure: common > uncertainty }))
}

/** Who acts later has the higher epoch; one epoch is one node's. */
function fallingEpochs(rights: readonly Right[], uncertainty: number): readonly string[] {
  const violations = new Set<string>()
  for (const [service, same] of Map.groupBy(rights, (right) => right.service)) {
    const sorted = [...same].sort((a, b) => a.from - b.from)
    let highest: Right | undefined
    let behind = 0
    for (const right of sorted) {
      // What began surely before this one.
      for (let next = sorted[behind]; next !== undefined && next.from < right.from - uncertainty; ) {
        if (highest === undefined || compareEpochs(next.epoch, highest.epoch) > 0) highest = next
        behind += 1
        next = sorted[behind]
      }
      if (highest === undefined) continue
      const difference = compareEpochs(right.epoch, highest.epoch)
      if (difference > 0 || (difference === 0 && right.node === highest.node)) continue
      violations.add(
        `[I3] ${service}: ${right.epoch} on node ${right.node} after ${highest.epoch} on node ${highest.node}`,
      )
    }
  }
  return [...violations]
}

/** One view has one set of members, and one message makes one state of it on all of them; ring sequences rise. */
function disagreements(agreements: readonly Agreement[]): readonly string[] {
  const violations: string[] = []
  const states = new Map<string, Agreement>()
  const rings = new Map<string, Agreement>()
  const lasts = new Map<number, Agreement>()
  for (const each of agreements) {
    const { node, site, ring, number } = each
    const state = firstOf(states, `${site} ${ring} ${number}`, each)
    if (state.digest !== each.digest)
      violations.push(`[I4] ${site}: nodes ${state.node} and ${node} differ after ${number} in ring ${ring}`)
    const view = firstOf(rings, `${site} ${ring}`, each)
    if (view.members !== each.members)
      violations.push(`[R9] ${site}: ring ${ring} has members ${view.members} and ${each.members}`)
    const last = lasts.get(node)
    if (last !== undefined && isFormerSelf(last, each) && sequenceOf(each) < sequenceOf(last))
      violations.push(`[R8] node ${node}: ring ${ring} after ring ${last.ring}`)
    lasts.set(node, each)
  }
  return violations
}

/** The same process, or one that remembers it: a node that lost its record starts far above (SPEC D3). */
function isFormerSelf(last: Agreement, { incarnation }: Agreement): boolean {
  return incarnation === last.incarnation || incarnation === last.incarnation + 1
}

function sequenceOf({ ring }: Agreement): number {
  return Number(ring.split(".")[0])
}

function firstOf(known: Map<string, Agreement>, key: string, each: Agreement): Agreement {
  const first = known.get(key)
  if (first !== undefined) return first
  known.set(key, each)
  return each
}
