/**
 * What a coordinator does not work out again, because nothing that it follows from was replaced, is what it would work out
 * now: at every look of whole clusters amid all faults. A part of the state that is read and not named shows as well.
 */
import { isDeepStrictEqual } from "node:util"
import { expect, test, vi } from "vitest"
import type { Derivation } from "../../node-agent/core/derived.ts"
import type { NodeState } from "../../node-agent/core/state.ts"
import { runSeed } from "../../node-agent/simulation/run.ts"
import type { Instant } from "../../protocol/units.ts"

const seen = vi.hoisted(() => ({ looks: 0, kept: 0, wrong: [] as string[] }))

vi.mock(import("../../node-agent/core/derived.ts"), async (importOriginal) => {
  const real = await importOriginal()
  return {
    ...real,
    keeping: <T>(derivation: Derivation<T>) => {
      const keep = real.keeping(derivation)
      let before: unknown
      return (node: NodeState, now: Instant): T => {
        const value = keep(node, now)
        const read = new Set<string | symbol>()
        const watched = new Proxy(node, {
          get: (target, part) => {
            read.add(part)
            return Reflect.get(target, part)
          },
        })
        const anew = derivation.derive(watched, now).value
        const unnamed = [...read].filter((part) => !(derivation.parts as readonly unknown[]).includes(part))
        if (!isDeepStrictEqual(value, anew)) seen.wrong.push(`at ${now}: ${JSON.stringify({ value, anew })}`)
        if (unnamed.length > 0) seen.wrong.push(`read and not named: ${unnamed.map(String).join(", ")}`)
        seen.looks += 1
        if (value === before) seen.kept += 1
        before = value
        return value
      }
    },
  }
})

test("[Q5] what is kept is what would be worked out anew, whatever goes wrong", { timeout: 120_000 }, () => {
  for (let seed = 700; seed < 716; seed++) {
    runSeed({ seed, duration: 10_000, until: "violation" })
    expect(seen.wrong.slice(0, 3), `seed ${seed}`).toEqual([])
  }
  expect(seen.kept).toBeGreaterThan(10_000)
  expect(seen.looks).toBeGreaterThan(seen.kept)
})
