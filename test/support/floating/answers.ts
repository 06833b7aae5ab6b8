/** What the client heard: when, from which node, at which address. */
import { readFileSync } from "node:fs"

export type Family = "ipv4" | "ipv6"

export interface Answer {
  readonly at: number
  readonly family: Family
  readonly way: "kernel" | "frame"
  readonly node: string
  /** The node whose hardware address the probe was sent to; `-`: whichever the neighbour table had. */
  readonly asked: string
}

export class Answers {
  readonly #file: string
  #read = 0
  readonly #answers: Answer[] = []
  readonly #told = new Set<string>()

  constructor(file: string) {
    this.#file = file
  }

  all(): readonly Answer[] {
    const text = readFileSync(this.#file, "utf8")
    const end = text.lastIndexOf("\n") + 1
    for (const line of text.slice(this.#read, end).split("\n")) {
      const [at, family, way, node, asked] = line.split(" ")
      if (node === undefined || asked === undefined) continue
      if ((family !== "ipv4" && family !== "ipv6") || (way !== "kernel" && way !== "frame")) continue
      this.#answers.push({ at: Number(at), family, way, node, asked })
    }
    this.#read = end
    return this.#answers
  }

  /** As an ordinary client hears them. */
  heard(family: Family, from: number): readonly Answer[] {
    return this.all().filter((each) => each.way === "kernel" && each.family === family && each.at >= from)
  }

  last(family: Family): Answer | undefined {
    return this.all().findLast((each) => each.way === "kernel" && each.family === family)
  }

  /** The longest time in which an ordinary client heard nothing, from `from` to its latest answer. */
  outage(family: Family, from: number): number {
    let before = this.all().findLast(
      (each) => each.way === "kernel" && each.family === family && each.at < from,
    )?.at
    let longest = 0
    for (const { at } of this.heard(family, from)) {
      longest = Math.max(longest, at - (before ?? from))
      before = at
    }
    return longest
  }

  /**
   * Moments at which two nodes answered: an address goes from one node to the next once, and whoever has lost it is never
   * heard again before it goes back. In words; empty: none. By frames, which ask every node, and by ordinary datagrams.
   */
  doubles(): readonly string[] {
    return this.#doubles().map(({ text }) => text)
  }

  /** Those that were not told by this before: each is told once, after the test in which it happened. */
  newDoubles(): readonly string[] {
    const found = this.#doubles().filter(({ key }) => !this.#told.has(key))
    for (const { key } of found) this.#told.add(key)
    return found.map(({ text }) => text)
  }

  /**
   * Answers to a frame by a node that it was not sent to, told once as well: the name and the hardware do not go together.
   */
  newStrangers(): readonly Answer[] {
    const key = ({ at, node, asked }: Answer): string => `${at} ${node} ${asked}`
    const all = this.all().filter(({ way, node, asked }) => way === "frame" && node !== asked)
    const found = all.filter((each) => !this.#told.has(key(each)))
    for (const each of found) this.#told.add(key(each))
    return found
  }

  /** By the order in which the client's socket had them: the time is that at which the client came to read them. */
  #doubles(): readonly { readonly key: string; readonly text: string }[] {
    return (["ipv4", "ipv6"] as const).flatMap((family) => {
      const tenures = tenuresOf(this.all().filter((each) => each.family === family))
      return tenures.flatMap((tenure, index) => {
        const others = tenures.slice(index + 1).filter((other) => other.node !== tenure.node)
        const clash = others.find((other) => other.from < tenure.to)
        if (clash === undefined) return []
        const together = Math.min(tenure.last, clash.last) - clash.first
        const key = `${family}: ${tenure.node} and ${clash.node} at ${clash.first.toFixed(1)}`
        return [{ key, text: `${key}, for ${together.toFixed(1)} ms` }]
      })
    })
  }
}

interface Tenure {
  readonly node: string
  readonly first: number
  last: number
  /** The places of its first and latest answer among all of them. */
  readonly from: number
  to: number
}

/** A pause longer than this ends a node's time; the next answer begins another. Shorter than any takeover. */
const pauseMin = 30

function tenuresOf(answers: readonly Answer[]): readonly Tenure[] {
  const tenures: Tenure[] = []
  for (const [place, { at, node }] of answers.entries()) {
    const open = tenures.findLast((tenure) => tenure.node === node)
    if (open !== undefined && at - open.last <= pauseMin) Object.assign(open, { last: at, to: place })
    else tenures.push({ node, first: at, last: at, from: place, to: place })
  }
  return tenures
}
