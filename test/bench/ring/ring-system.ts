/** A membership system on the machines of a ring, each in a network namespace at one switch: the same questions to all. */
import { readdirSync, readFileSync } from "node:fs"

export interface RingSystem {
  /** As in the table. */
  readonly title: string
  readonly nodes: readonly string[]
  /** The nodes of each site; left out: all are of one. */
  readonly sites?: readonly (readonly string[])[]
  /** Starts all nodes. */
  start(): Promise<void>
  startOne(node: string): void
  /** kill -9 of all its processes on that node. */
  kill(node: string): void
  /** Processes of the node, by what they are. */
  processes(node: string): Readonly<Record<string, number>>
  /** The latest memberships that the node told of, oldest first. */
  views(node: string): readonly ViewSeen[]
  /** The node that runs the service; `undefined`: nobody yet, or there is no service. */
  owner?(): string | undefined
  /** When `heir`, none of `former`, had the service at or after `from`. */
  successions?(from: number, former: string): Succession | undefined
  close(): Promise<void>
}

export interface ViewSeen {
  /** Milliseconds of the wall clock of the machine that all nodes share. */
  readonly at: number
  /** Indices into `nodes`, from 1. */
  readonly members: readonly number[]
}

export interface Succession {
  readonly ordered: number
  readonly running: number
}

/** Milliseconds on a processor since the start, of all threads that are there, by the scheduler's own account. */
export function runTimeOf(pid: number): number {
  try {
    const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
    )
    return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e6
  } catch {
    // Gone.
    return 0
  }
}

/** Proportional set size in MiB. */
export function memoryOf(pid: number): number {
  try {
    const [, kilobytes = "0"] =
      /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? []
    return Number(kilobytes) / 1024
  } catch {
    // Gone.
    return 0
  }
}

/** Those who run are in one ring of their site. */
export function isWhole(system: RingSystem, running: readonly string[] = system.nodes): boolean {
  return (system.sites ?? [system.nodes]).every((site) => {
    const here = site.filter((node) => running.includes(node))
    const members = here.map((node) => system.nodes.indexOf(node) + 1).join()
    return here.every((node) => system.views(node).at(-1)?.members.join() === members)
  })
}

/** The others of its site. */
export function neighboursOf({ sites, nodes }: RingSystem, node: string): readonly string[] {
  const site = sites?.find((each) => each.includes(node)) ?? nodes
  return site.filter((each) => each !== node)
}
