/** Reads the ledger that the service's daemons write: who acted when, without a gap or with one, and never two at once. */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs"

export interface Write {
  /** Milliseconds of CLOCK_MONOTONIC. */
  readonly at: number
  readonly node: string
  readonly epoch: string
}

/** Consecutive writes by one owner at one epoch. */
export interface Tenure {
  readonly node: string
  readonly epoch: string
  readonly first: number
  readonly last: number
}

export class Ledger {
  readonly #path: string
  readonly #writes: Write[] = []
  #offset = 0
  #rest = ""

  constructor(path: string) {
    this.#path = path
  }

  /** All writes until now, in the order of the file. */
  read(): readonly Write[] {
    if (!existsSync(this.#path)) return this.#writes
    const descriptor = openSync(this.#path, "r")
    try {
      const { size } = fstatSync(descriptor)
      const chunk = Buffer.alloc(size - this.#offset)
      const length = readSync(descriptor, chunk, 0, chunk.length, this.#offset)
      this.#offset += length
      const lines = `${this.#rest}${chunk.toString("utf8", 0, length)}`.split("\n")
      this.#rest = lines.pop() ?? ""
      for (const line of lines) this.#writes.push(parseWrite(line))
    } finally {
      closeSync(descriptor)
    }
    return this.#writes
  }

  last(): Write | undefined {
    return this.read().at(-1)
  }

  /** The first write at or after `from` that `suits`. */
  first(from: number, suits: (write: Write) => boolean): Write | undefined {
    return this.read().find((write) => write.at >= from && suits(write))
  }

  /** The longest time without a write, from the last write before `from` on; counts up to `to`. */
  longestGap(from: number, to: number): number {
    const writes = this.read()
    const start = writes.findLast((write) => write.at <= from)?.at ?? from
    let [longest, before] = [0, start]
    for (const { at } of writes) {
      if (at <= start || at > to) continue
      longest = Math.max(longest, at - before)
      before = at
    }
    return Math.max(longest, to - before)
  }

  tenures(): readonly Tenure[] {
    const tenures: Tenure[] = []
    for (const { at, node, epoch } of this.read()) {
      const present = tenures.at(-1)
      if (present?.node === node && present.epoch === epoch)
        tenures[tenures.length - 1] = { ...present, last: at }
      else tenures.push({ node, epoch, first: at, last: at })
    }
    return tenures
  }

  /**
   * What breaks exclusivity, in words. The order of the file is the order of the writes. Each change of owner or epoch
   * must go to a higher epoch, at a later time; writes of two owners in turn show as epochs that fall.
   */
  violations(): readonly string[] {
    const tenures = this.tenures()
    return tenures.flatMap((tenure, index) => {
      const before = tenures[index - 1]
      if (before === undefined) return []
      const rises = compareEpochs(tenure.epoch, before.epoch) > 0
      if (rises && tenure.first > before.last) return []
      const kind = rises ? "wrote before the last write of" : "wrote after"
      return [`${tenure.node} at epoch ${tenure.epoch} ${kind} ${before.node} at epoch ${before.epoch}`]
    })
  }

  /** How long two owners wrote at the same time, at most; 0 if never. */
  overlap(): number {
    const spans = new Map<string, { readonly first: number; last: number }>()
    for (const { at, node, epoch } of this.read()) {
      const key = `${node} ${epoch}`
      const span = spans.get(key)
      if (span === undefined) spans.set(key, { first: at, last: at })
      else span.last = at
    }
    let [overlap, ended] = [0, Number.NEGATIVE_INFINITY]
    for (const { first, last } of [...spans.values()].sort((a, b) => a.first - b.first)) {
      overlap = Math.max(overlap, Math.min(ended, last) - first)
      ended = Math.max(ended, last)
    }
    return overlap
  }
}

/** Dotted numbers, compared number by number. */
export function compareEpochs(a: string, b: string): number {
  const [left, right] = [a.split(".").map(Number), b.split(".").map(Number)]
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function parseWrite(line: string): Write {
  const [nanoseconds = "", node = "", epoch = ""] = line.split(" ")
  const at = Number(nanoseconds) / 1e6
  if (!Number.isFinite(at) || at <= 0 || node === "" || epoch === "")
    throw new Error(`not a line of the ledger: ${line}`)
  return { at, node, epoch }
}
