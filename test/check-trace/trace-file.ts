/**
 * Agents' traces as the checks see them: for each node, in the order of its file, what it may do until when. Times are
 * milliseconds of one clock: the shared monotonic one, or the machines' wall clocks where the traces come from several.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"

/** From `from` on, until the node's next line of this kind, and no longer than to `until`. */
export interface Right {
  readonly node: number
  readonly service: string
  readonly epoch: string
  readonly from: number
  readonly until: number
}

export interface Exercise {
  readonly node: number
  readonly site: string
  readonly at: number
  /** `undefined`: no voice. */
  readonly voice:
    | {
        readonly ring: string
        readonly from: number
        readonly until: number
        readonly mandates: readonly { readonly ticket: string; readonly until: number }[]
      }
    | undefined
}

/** What a node knew its site to agree on after one ordered message of one view. */
export interface Agreement {
  readonly node: number
  readonly site: string
  readonly incarnation: number
  readonly ring: string
  readonly members: string
  readonly number: string
  readonly digest: string
}

export interface Traces {
  readonly nodes: readonly number[]
  /** Kernels whose clocks were read. */
  readonly bootIds: readonly string[]
  readonly rights: readonly Right[]
  readonly exercises: readonly Exercise[]
  readonly agreements: readonly Agreement[]
}

/** All `*.jsonl` below a folder. */
export function traceFilesIn(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".jsonl"))
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .sort()
}

export function readTraces(files: readonly string[]): Traces {
  return mergeTraces(files.filter(existsSync).map((path) => readFileSync(path, "utf8")))
}

/** One text for each node. Throws, naming the line, on one that is no trace's. */
export function mergeTraces(texts: readonly string[]): Traces {
  const parsed = texts.map((text) => text.split("\n").filter(isOfInterest).flatMap(parseLine))
  const starts = parsed.flat().flatMap(({ start }) => (start === undefined ? [] : [start]))
  const bootIds = [...new Set(starts.map(({ boot_id }) => boot_id))]
  const traces = parsed.map((lines) => ofOneNode(lines, bootIds.length > 1))
  return {
    nodes: [...new Set(parsed.flat().map(({ node }) => node))].sort((a, b) => a - b),
    bootIds,
    rights: traces.flatMap(({ rights }) => rights),
    exercises: traces.flatMap(({ exercises }) => exercises),
    agreements: traces.flatMap(({ agreements }) => agreements),
  }
}

interface Line {
  readonly t_ns: string
  readonly node: number
  readonly start?: {
    readonly site: string
    readonly incarnation: number
    readonly boot_id: string
    readonly wall_ms: number
  }
  readonly right?: { readonly service: string; readonly epoch: string; readonly deadline_ns: string }
  readonly exercise?:
    | { readonly ring: null }
    | {
        readonly ring: string
        readonly from_ns: string
        readonly until_ns: string
        readonly mandates: readonly { readonly ticket: string; readonly until_ns: string }[]
      }
  readonly state?: {
    readonly ring: string
    readonly members: readonly number[]
    readonly number: string
    readonly digest: string
  }
}

function isOfInterest(line: string): boolean {
  return /^\{"t_ns":"\d+","node":\d+,"(start|right|exercise|state)":/.test(line)
}

/** A line may be cut off where its writer was killed; the next writer goes on behind it. */
function parseLine(line: string): readonly Line[] {
  try {
    return [JSON.parse(line)]
  } catch {
    return []
  }
}

function ofOneNode(
  lines: readonly Line[],
  byWallClock: boolean,
): Pick<Traces, "rights" | "exercises" | "agreements"> {
  const rights: Right[] = []
  const exercises: Exercise[] = []
  const agreements: Agreement[] = []
  let [site, incarnation] = ["", 0]
  // From the node's own clock to the common one.
  let offset = 0
  const at = (nanoseconds: string): number => Number(nanoseconds) / 1e6 + offset
  for (const { node, t_ns, start, right, exercise, state } of lines) {
    if (start !== undefined) {
      site = start.site
      incarnation = start.incarnation
      offset = byWallClock ? start.wall_ms - Number(t_ns) / 1e6 : 0
    }
    if (right !== undefined) {
      const { service, epoch, deadline_ns } = right
      endFormer(rights, service, at(t_ns))
      if (deadline_ns !== "0") rights.push({ node, service, epoch, from: at(t_ns), until: at(deadline_ns) })
    }
    if (exercise !== undefined)
      exercises.push({
        ...{ node, site, at: at(t_ns) },
        voice:
          exercise.ring === null
            ? undefined
            : {
                ring: exercise.ring,
                from: at(exercise.from_ns),
                until: at(exercise.until_ns),
                mandates: exercise.mandates.map(({ ticket, until_ns }) => ({ ticket, until: at(until_ns) })),
              },
      })
    if (state !== undefined) {
      const { ring, members, number, digest } = state
      agreements.push({ node, site, incarnation, ring, members: members.join(","), number, digest })
    }
  }
  return { rights: rights.filter(({ from, until }) => from < until), exercises, agreements }
}

/** The lease file has a new content: what the one before said is over. */
function endFormer(rights: Right[], service: string, now: number): void {
  const index = rights.findLastIndex((each) => each.service === service)
  const former = rights[index]
  if (former !== undefined && former.until > now) rights[index] = { ...former, until: now }
}
