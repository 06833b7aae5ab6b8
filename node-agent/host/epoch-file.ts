/**
 * The highest epoch that ever acted on something shared, kept beside it. Whoever comes with a lower one is refused: a node
 * that was frozen and woke up late cannot get at what another has taken over meanwhile, as long as it asks here first.
 *
 * Read and raised under a lock (flock(2) on `<file>.lock`; network file systems must support it between hosts), replaced by
 * rename and synced before anybody acts on it.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { takeLock } from "./lock-file.ts"

export type EpochOutcome =
  /** Recorded now, or already before. */
  | { readonly kind: "recorded" }
  /** A higher one has acted; nothing was changed. */
  | { readonly kind: "over"; readonly recorded: string }
  /** It is not known what has acted; nothing may run. */
  | { readonly kind: "failed"; readonly reason: string }

/** Patience with others who are just raising it. */
const lockSeconds = 10

/** `epoch`: numbers with dots, as in QUORUMBEAT_EPOCH. Blocks for the lock and the disk. */
export function recordEpoch(path: string, epoch: string): EpochOutcome {
  if (parseEpoch(epoch) === undefined) return { kind: "failed", reason: `\`${epoch}\` is not an epoch` }
  const lock = takeLock(`${path}.lock`, lockSeconds)
  if (lock.kind === "held") return { kind: "failed", reason: `${path}.lock is held by pid ${lock.holder}` }
  if (lock.kind === "failed") return { kind: "failed", reason: `${path}.lock: ${lock.reason}` }
  try {
    return raise(path, epoch)
  } catch (cause) {
    return { kind: "failed", reason: cause instanceof Error ? cause.message : String(cause) }
  } finally {
    closeSync(lock.descriptor)
  }
}

/** Below 0: `a` is the lower one. Compared number by number from the left; a missing number is 0. */
export function compareEpochs(a: readonly bigint[], b: readonly bigint[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const [left, right] = [a[index] ?? 0n, b[index] ?? 0n]
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}

export function parseEpoch(text: string): readonly bigint[] | undefined {
  return /^\d{1,20}(\.\d{1,20}){0,7}$/.test(text) ? text.split(".").map(BigInt) : undefined
}

function raise(path: string, epoch: string): EpochOutcome {
  const recorded = readRecorded(path)
  const before = parseEpoch(recorded)
  if (before === undefined) return { kind: "failed", reason: `${path} does not hold an epoch` }
  const order = compareEpochs(parseEpoch(epoch) ?? [], before)
  if (order < 0) return { kind: "over", recorded }
  if (order > 0) replaceDurably(path, epoch)
  return { kind: "recorded" }
}

/** `0` if nobody has ever acted. */
function readRecorded(path: string): string {
  try {
    return readFileSync(path, "utf8").trim()
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return "0"
    throw cause
  }
}

function replaceDurably(path: string, epoch: string): void {
  writeFileSync(`${path}.new`, `${epoch}\n`, { mode: 0o644, flush: true })
  renameSync(`${path}.new`, path)
  const directory = openSync(dirname(path), "r")
  fsyncSync(directory)
  closeSync(directory)
}
