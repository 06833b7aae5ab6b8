/**
 * Breadth-first exploration of every way in which at most so many things go wrong within so many quanta. States that go
 * on alike are explored once for each budget that no other covers.
 */
import { headerBytes, sealTagBytes } from "../../protocol/datagram.ts"
import { decodeFrame } from "../../protocol/frames.ts"
import { keyOf } from "./canonical.ts"
import { fallenEpochs, violationsAfter } from "./invariants.ts"
import {
  type Deviation,
  type Disturbance,
  Endless,
  type Machine,
  type Model,
  type Point,
  Quantum,
} from "./model.ts"

/** What may still go wrong on a path: with packets and writes, and with processes and ways. */
export interface Budget {
  readonly packets: number
  readonly disturbances: number
}

export interface Bounds {
  /** Quanta from the first state on. */
  readonly depth: number
  readonly budget: Budget
  /** Quanta for which a packet may be late, or a process stand still. */
  readonly delays: readonly number[]
  readonly stands: readonly number[]
  readonly kinds: readonly Disturbance["kind"][]
  /** Ways that may be cut together. */
  readonly cuts: readonly (readonly string[])[]
  readonly statesMax: number
}

export interface Exploration {
  readonly states: number
  /** Quanta run, those that led to a known state included. */
  readonly transitions: number
  readonly depth: number
  /** States in which another node than before has the right to the service. */
  readonly takeovers: number
  /** Why it ended before all was explored; `undefined`: it did not. */
  readonly stopped: "violation" | "states-max" | undefined
  readonly violation: { readonly what: string; readonly path: readonly string[] } | undefined
}

interface Found {
  readonly model: Model
  readonly left: Budget
  readonly path: Path | undefined
}

/** What went wrong until here, the latest first. */
interface Path {
  readonly what: string
  readonly before: Path | undefined
}

export function explore(start: Model, bounds: Bounds): Exploration {
  return new Explorer(bounds).run(start)
}

class Explorer {
  readonly #bounds: Bounds
  /** By state: budgets with which it was met, none covered by another. */
  readonly #seen = new Map<string, readonly Budget[]>()
  #next: Found[] = []
  #transitions = 0
  #takeovers = 0
  #violation: Exploration["violation"]

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  run(start: Model): Exploration {
    this.#next = [{ model: start, left: this.#bounds.budget, path: undefined }]
    let depth = 0
    for (; depth < this.#bounds.depth && this.#next.length > 0; depth++) {
      const level = this.#next
      this.#next = []
      for (const found of level) {
        this.#expand(found)
        if (this.#violation !== undefined) return this.#result(depth + 1, "violation")
        if (this.#seen.size > this.#bounds.statesMax) return this.#result(depth + 1, "states-max")
      }
    }
    return this.#result(depth, undefined)
  }

  #result(depth: number, stopped: Exploration["stopped"]): Exploration {
    return {
      ...{ states: this.#seen.size, transitions: this.#transitions, depth, takeovers: this.#takeovers },
      ...{ stopped, violation: this.#violation },
    }
  }

  #expand(found: Found): void {
    this.#branch(found, undefined, new Map(), 0)
    if (found.left.disturbances === 0) return
    for (const disturbance of this.#disturbances(found.model)) this.#branch(found, disturbance, new Map(), 0)
  }

  /** Runs the quantum once as told, and once more for each thing that may go wrong after the last that does. */
  #branch(
    found: Found,
    disturbance: Disturbance | undefined,
    deviations: ReadonlyMap<number, Deviation>,
    from: number,
  ): void {
    if (this.#violation !== undefined) return
    const left = {
      packets: found.left.packets - deviations.size,
      disturbances: found.left.disturbances - (disturbance === undefined ? 0 : 1),
    }
    const violations: string[] = []
    const stepped = (machine: Machine, machines: readonly Machine[], now: number) => {
      if (violations.length === 0) violations.push(...violationsAfter(machine, machines, now))
    }
    const quantum = new Quantum(found.model, stepped)
    if (disturbance !== undefined) quantum.disturb(disturbance)
    try {
      quantum.run(deviations)
    } catch (cause) {
      if (!(cause instanceof Endless)) throw cause
      violations.push(cause.message)
    }
    this.#transitions += 1
    const { model, points } = quantum
    violations.push(...fallenEpochs(found.model.activations, model.activations))
    const path = () => pathOf(found, model, disturbance, deviations, points)
    const [first] = violations
    if (first !== undefined) {
      this.#violation = { what: `${first} at ${model.now} ms`, path: namesOf(path()) }
      return
    }
    this.#meet(found, model, left, path)
    if (left.packets === 0) return
    for (const [index, point] of points.entries()) {
      if (index < from) continue
      for (const deviation of this.#deviationsAt(point))
        this.#branch(found, disturbance, new Map(deviations).set(index, deviation), index + 1)
    }
  }

  #meet(before: Found, model: Model, left: Budget, path: () => Path | undefined): void {
    const key = keyOf(model)
    const known = this.#seen.get(key) ?? []
    if (known.some((budget) => covers(budget, left))) return
    this.#seen.set(key, [...known.filter((budget) => !covers(left, budget)), left])
    for (const [service, { node }] of model.activations)
      if (before.model.activations.get(service)?.node !== node) this.#takeovers += 1
    this.#next.push({ model, left, path: path() })
  }

  #disturbances({ machines, cuts }: Model): readonly Disturbance[] {
    const { stands } = this.#bounds
    const byNode = machines.flatMap(({ id, node, standsUntil }): readonly Disturbance[] => {
      if (node === undefined) return [{ kind: "start", node: id }]
      const still = standsUntil > 0 ? [] : stands
      return [
        { kind: "crash", node: id },
        ...still.map((quanta) => ({ kind: "stand" as const, node: id, quanta })),
      ]
    })
    const ways = this.#bounds.cuts.filter((cut) => cut.some((way) => !cuts.has(way)))
    const all: readonly Disturbance[] = [
      ...byNode,
      ...ways.map((cut) => ({ kind: "cut" as const, ways: cut })),
      ...ways.map((cut) => ({ kind: "swing" as const, ways: cut })),
      ...(cuts.size > 0 ? [{ kind: "heal" as const }] : []),
    ]
    return all.filter(({ kind }) => this.#bounds.kinds.includes(kind))
  }

  #deviationsAt({ packet, bytes }: Point): readonly Deviation[] {
    if (bytes !== undefined && isGreeting(bytes)) return []
    const delays = this.#bounds.delays.map((quanta) => ({ kind: "delay" as const, quanta }))
    if (packet === "written") return [{ kind: "crash-receiver" }, ...delays]
    return packet === "post"
      ? [{ kind: "lose" }, ...delays]
      : [{ kind: "lose" }, { kind: "crash-receiver" }, ...delays]
  }
}

function covers(a: Budget, b: Budget): boolean {
  return a.packets >= b.packets && a.disturbances >= b.disturbances
}

/** Hellos and probes carry no right and no promise; without them a peer is not heard, which a cut does as well. */
function isGreeting(bytes: Uint8Array): boolean {
  const isHello = bytes[3] === 1
  if (isHello) return true
  const frame = decodeFrame(bytes.subarray(headerBytes, bytes.length - sealTagBytes))
  return frame.kind === "ok" && (frame.value.kind === "probe" || frame.value.kind === "probe-ack")
}

function pathOf(
  found: Found,
  { now }: Model,
  disturbance: Disturbance | undefined,
  deviations: ReadonlyMap<number, Deviation>,
  points: readonly Point[],
): Path | undefined {
  let path = found.path
  if (disturbance !== undefined) path = { what: `${now} ms: ${textOf(disturbance)}`, before: path }
  for (const [index, deviation] of deviations) {
    const what = `${now} ms: ${points[index]?.what}: ${textOf(deviation)}`
    path = { what, before: path }
  }
  return path
}

function namesOf(path: Path | undefined): readonly string[] {
  return path === undefined ? [] : [...namesOf(path.before), path.what]
}

function textOf({ kind, ...more }: Deviation | Disturbance): string {
  const details = Object.entries(more).map(([key, value]) => ` ${key} ${String(value)}`)
  return `${kind}${details.join("")}`
}
