/** Looks for the run in which a rule that was taken out is missed. */
import { configOf } from "../support/layouts.ts"
import { importPatched } from "../support/patched.ts"
import type { Mutation } from "./mutations.ts"
import type * as schedulesModule from "./schedules.ts"
import type { Schedule } from "./schedules.ts"

export interface Caught {
  /** How many seeds it took, or which schedule. */
  readonly by: string
  /** What broke. */
  readonly what: string
}

/** Seeds looked at before a mutation counts as one that survived. */
const seedsMax = 60

export async function catchMutation(
  { patches, shown }: Mutation,
  atMost = seedsMax,
): Promise<Caught | undefined> {
  const engine = (await importPatched("test/simulation/schedules.ts", patches)) as typeof schedulesModule
  if (shown.by === "schedule") {
    const { layout, config, play }: Schedule = engine.schedules[shown.schedule]
    const what = orAssertion(() => play(configOf(layout, config)))
    return what === undefined ? undefined : { by: `schedule ${shown.schedule}`, what }
  }
  if (shown.by === "drawn") {
    const { seed } = shown
    const run = () =>
      engine.runSeed({ seed, duration: 60_000, table: engine.harshFaults, until: "violation" }).violations[0]
    const what = orAssertion(run)
    return what === undefined ? undefined : { by: `drawn seed ${seed}`, what }
  }
  const table = shown.faults === "harsh" ? engine.harshFaults : engine.basicFaults
  for (let count = 1; count <= atMost; count++) {
    const seed = shown.from + count - 1
    const config = configOf(shown.layout)
    const what = orAssertion(() => engine.runChaos({ config, seed, table, until: "violation" }).violations[0])
    if (what !== undefined) return { by: `${count} seeds of ${shown.layout} from ${shown.from}`, what }
  }
  return undefined
}

/** What broke; an assertion of the program counts, it would have stopped the node. */
function orAssertion(play: () => string | undefined): string | undefined {
  try {
    return play()
  } catch (cause) {
    return `assertion: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}
