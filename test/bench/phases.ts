/** Where the time of a takeover goes, from the heir's trace: when it noticed, had a new view, had its voice, started. */
import { readFileSync } from "node:fs"

/** Milliseconds from the kill. */
export interface PhaseTimes {
  readonly gather: number | undefined
  readonly view: number | undefined
  readonly voice: number | undefined
  readonly start: number | undefined
  readonly write: number
}

interface TraceLine {
  readonly t_ns: string
  readonly effects?: readonly { readonly kind: string; readonly event?: string }[]
}

export function phasesSince(traceFile: string, killed: number, write: number): PhaseTimes {
  const lines = readFileSync(traceFile, "utf8").trimEnd().split("\n").slice(-linesMax)
  const first = (event: string): number | undefined => {
    for (const text of lines) {
      if (!text.includes(`"event":"${event}"`)) continue
      const line: TraceLine = JSON.parse(text)
      const at = Number(line.t_ns) / 1e6
      if (at >= killed && line.effects?.some((effect) => effect.kind === "log" && effect.event === event))
        return at - killed
    }
    return undefined
  }
  return {
    gather: first("gather"),
    view: first("view-installed"),
    voice: first("voice-granted"),
    start: first("service-starting"),
    write: write - killed,
  }
}

/** More than a takeover and what is waited afterwards can have. */
const linesMax = 2_000
