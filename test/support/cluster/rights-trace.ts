/**
 * Reads from the agents' traces when each node had the right to run a service, and whether two ever had it at once. All
 * nodes share this machine's CLOCK_MONOTONIC, so their deadlines can be compared.
 */
import { existsSync, readFileSync } from "node:fs"

/** From the first to the last instant at which the node may have acted at that epoch. Milliseconds. */
export interface Right {
  readonly node: number
  readonly epoch: string
  readonly from: number
  readonly until: number
}

interface RightLine {
  readonly t_ns: string
  readonly node: number
  readonly right?: { readonly service: string; readonly epoch: string; readonly deadline_ns: string }
}

/** One entry for each activation of `service`. A node that gave its right up had it until then. */
export function readRights(traceFiles: readonly string[], service: string): readonly Right[] {
  const rights = new Map<string, Right>()
  for (const line of traceFiles.flatMap(linesWithRights)) {
    if (line.right?.service !== service) continue
    const { epoch, deadline_ns } = line.right
    const key = `${line.node} ${epoch}`
    const at = toMillis(line.t_ns)
    const known = rights.get(key)
    if (deadline_ns !== "0") {
      const until = Math.max(known?.until ?? 0, toMillis(deadline_ns))
      rights.set(key, { node: line.node, epoch, from: known?.from ?? at, until })
    } else if (known !== undefined) rights.set(key, { ...known, until: Math.min(known.until, at) })
  }
  return [...rights.values()].sort((a, b) => a.from - b.from)
}

/** What breaks exclusivity, in words: rights of two nodes that have an instant in common. */
export function overlappingRights(rights: readonly Right[]): readonly string[] {
  return rights.flatMap((right, index) =>
    rights.slice(index + 1).flatMap((later) => {
      const common = Math.min(right.until, later.until) - later.from
      if (later.node === right.node || common <= 0) return []
      return [
        `nodes ${right.node} (${right.epoch}) and ${later.node} (${later.epoch}) for ${common.toFixed(1)} ms`,
      ]
    }),
  )
}

function linesWithRights(path: string): readonly RightLine[] {
  if (!existsSync(path)) return []
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.includes('"right":{"service"'))
    .flatMap((line) => parseLine(line) ?? [])
}

/** The last line may be cut off where its writer was killed. */
function parseLine(line: string): RightLine | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function toMillis(nanoseconds: string): number {
  return Number(nanoseconds) / 1e6
}
