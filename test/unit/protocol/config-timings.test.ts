/** SPEC T: the inequalities between timings, broken once each, and the profiles that satisfy them. */
import { describe, expect, test } from "vitest"
import type { ProfileName, Timings } from "../../../protocol/cluster.ts"
import { profiles } from "../../../protocol/profiles.ts"
import { brokenTimingRules, timingKeys, timingRules, timingsFrom } from "../../../protocol/timings.ts"
import { accepted, errorsOf, oneSite, parse } from "../../support/config-builder.ts"

const profileNames = ["industrial", "energy", "relaxed"] as const satisfies readonly ProfileName[]

/** What one override does to a profile: the rule it breaks and the numbers in the message. */
interface Breach {
  readonly rule: string
  readonly profile: ProfileName
  readonly timings: Readonly<Record<string, number>>
  readonly blamed: string
  readonly numbers: string
}

const breaches: readonly Breach[] = [
  {
    rule: "T1",
    profile: "industrial",
    timings: { lease_ms: 300 },
    blamed: "lease_ms",
    numbers: "300 >= 200 + 20 + 150 + 30 = 400",
  },
  {
    rule: "T1",
    profile: "energy",
    timings: { misses: 4 },
    blamed: "misses",
    numbers: "180 >= 50 + 10 + 120 + 30 = 210",
  },
  {
    rule: "T2",
    profile: "relaxed",
    timings: { retransmit_ms: 90, gather_wait_ms: 400 },
    blamed: "retransmit_ms",
    numbers: "180 >= 50 + 150 = 200",
  },
  {
    rule: "T3",
    profile: "industrial",
    timings: { heartbeat_ms: 18 },
    blamed: "heartbeat_ms",
    numbers: "18 >= 20",
  },
  {
    rule: "T4",
    profile: "energy",
    timings: { gather_wait_ms: 59 },
    blamed: "gather_wait_ms",
    numbers: "59 >= 30 + 30 = 60",
  },
  {
    rule: "T5",
    profile: "industrial",
    timings: { gather_wait_ms: 401 },
    blamed: "gather_wait_ms",
    numbers: "400 >= 401",
  },
  {
    rule: "T6",
    profile: "industrial",
    timings: { renewal_ms: 3334, mandate_ttl_ms: 60_000 },
    blamed: "renewal_ms",
    numbers: "10000 >= 10002",
  },
  {
    rule: "T7",
    profile: "industrial",
    timings: { renewal_ms: 3334, voice_ttl_ms: 60_000 },
    blamed: "renewal_ms",
    numbers: "10000 >= 10002",
  },
  {
    rule: "T8",
    profile: "industrial",
    timings: { summary_interval_ms: 3334, mandate_ttl_ms: 60_000, claim_stagger_ms: 4000 },
    blamed: "summary_interval_ms",
    numbers: "10000 >= 10002",
  },
  {
    rule: "T9",
    profile: "industrial",
    timings: { summary_interval_ms: 3334, voice_ttl_ms: 60_000, claim_stagger_ms: 4000 },
    blamed: "summary_interval_ms",
    numbers: "10000 >= 10002",
  },
  {
    rule: "T10",
    profile: "relaxed",
    timings: { lease_ms: 9000, mandate_ttl_ms: 60_000 },
    blamed: "lease_ms",
    numbers: "10000 >= 9018.018 + 500 + 2000 = 11518.018",
  },
  {
    rule: "T11",
    profile: "relaxed",
    timings: { lease_ms: 6000 },
    blamed: "lease_ms",
    numbers: "10000 >= 1000 + 750 + 500 + 6012.012 + 2000 = 10262.012",
  },
  {
    rule: "T12",
    profile: "industrial",
    timings: { wan_silent_ms: 2999 },
    blamed: "wan_silent_ms",
    numbers: "2999 >= 3000",
  },
  {
    rule: "T13",
    profile: "industrial",
    timings: { wan_silent_ms: 10_001 },
    blamed: "wan_silent_ms",
    numbers: "10000 >= 10001",
  },
  {
    rule: "T14",
    profile: "industrial",
    timings: { claim_stagger_ms: 900, summary_interval_ms: 800 },
    blamed: "claim_stagger_ms",
    numbers: "900 >= 1000",
  },
  {
    rule: "T15",
    profile: "industrial",
    timings: { claim_stagger_ms: 1999 },
    blamed: "claim_stagger_ms",
    numbers: "1999 >= 2000",
  },
]

describe("profiles", () => {
  test.each(profileNames)("[T1-T15] %s satisfies every inequality", (name) => {
    expect(brokenTimingRules(profiles[name])).toEqual([])
  })

  test.each(profileNames)("[T1] %s leaves no slack in its lease", (name) => {
    const { heartbeat, pass, misses, retransmit, lateness, lease } = profiles[name]
    expect(heartbeat + 2 * pass + misses * retransmit + lateness).toBe(lease)
  })

  test.each([
    ["industrial", 500],
    ["energy", 250],
    ["relaxed", 2500],
  ] as const)("%s has a new view of the survivors in under %i ms, and effective as soon", (name, bound) => {
    const { heartbeat, misses, retransmit, gatherWait, lease, rho } = profiles[name]
    expect(heartbeat + misses * retransmit + gatherWait).toBeLessThan(bound)
    expect((lease * (1 + rho)) / (1 - rho)).toBeLessThan(bound)
  })

  test("the figures of the design", () => {
    const figures = (t: Timings) => [
      t.heartbeat,
      t.retransmit,
      t.misses,
      t.lease,
      t.pass,
      t.lateness,
      t.gatherWait,
    ]
    expect(figures(profiles.industrial)).toEqual([200, 50, 3, 400, 10, 30, 100])
    expect(figures(profiles.energy)).toEqual([50, 30, 3, 180, 5, 30, 60])
    expect(figures(profiles.relaxed)).toEqual([1000, 250, 3, 2000, 50, 150, 500])
    for (const name of profileNames) {
      const { rho, voiceTtl, mandateTtl, renewal, wanHeartbeat, wanSilent, claimStagger, summaryInterval } =
        profiles[name]
      const wide = [
        rho,
        voiceTtl,
        mandateTtl,
        renewal,
        wanHeartbeat,
        wanSilent,
        claimStagger,
        summaryInterval,
      ]
      expect(wide).toEqual([0.001, 10_000, 10_000, 2000, 1000, 5000, 2000, 2000])
    }
  })

  test.each(profileNames)("%s is what a configuration that names it gets", (profile) => {
    expect(accepted(parse({ ...oneSite(), profile })).timings).toEqual(profiles[profile])
  })

  test("industrial is the default", () => {
    expect(accepted(parse(oneSite()))).toMatchObject({ profile: "industrial", timings: profiles.industrial })
  })
})

describe("inequalities", () => {
  test.each(breaches)(
    "[$rule] refused under $profile with $timings",
    ({ rule, profile, timings, blamed, numbers }) => {
      const broken = timingRules.find((each) => each.id === rule)
      const errors = errorsOf(parse({ ...oneSite(), profile, timings }))
      expect(errors).toContainEqual({
        path: ["timings", blamed],
        message: `[${rule}] ${broken?.text}: ${numbers} is false`,
      })
    },
  )

  test("every rule is broken above, its keys exist and are those in its text", () => {
    expect(new Set(breaches.map((breach) => breach.rule))).toEqual(
      new Set(timingRules.map((rule) => rule.id)),
    )
    for (const rule of timingRules) {
      const inText = timingKeys
        .map((each) => each.key)
        .filter((key) => rule.text.match(/[a-z_]+/g)?.includes(key.replace("rho_ppm", "rho")))
      expect([...rule.keys].sort()).toEqual([...inText].sort())
    }
  })

  test("equality satisfies an inequality", () => {
    expect(parse({ ...oneSite(), timings: { wan_silent_ms: 3000 } }).kind).toBe("ok")
  })

  test("several that fail are all reported, each with its numbers", () => {
    const errors = errorsOf(parse({ ...oneSite(), timings: { lease_ms: 90, claim_stagger_ms: 500 } }))
    expect(errors.map((error) => error.message.slice(0, 5).replace(/\].*/, "]"))).toEqual([
      "[T1]",
      "[T5]",
      "[T14]",
      "[T15]",
    ])
  })

  test("a rule with a key that could not be read is not judged", () => {
    const errors = errorsOf(parse({ ...oneSite(), timings: { lease_ms: "400", heartbeat_ms: 900 } }))
    expect(errors).toEqual([
      { path: ["timings", "lease_ms"], message: 'found "400", expected a whole number from 10 to 60000' },
    ])
  })
})

describe("single figures", () => {
  test.each(timingKeys)("[T16] $key is a whole number from $min to $max", ({ key, min, max }) => {
    const wrong = [min - 1, max + 1, min + 0.5, String(min), true, Number.NaN, Number.POSITIVE_INFINITY]
    for (const value of wrong) {
      const errors = errorsOf(parse({ ...oneSite(), timings: { [key]: value } }))
      expect(errors.map((error) => error.path)).toEqual([["timings", key]])
      expect(errors[0]?.message).toMatch(`expected a whole number from ${min} to ${max}`)
    }
  })

  test.each(timingKeys)("$key sets its own timing and no other", ({ key }) => {
    const value = key === "misses" ? 7 : 777
    const before = profiles.industrial
    const changed = Object.entries(timingsFrom(before, new Map([[key, value]]))).filter(
      ([field, timing]) => timing !== before[field as keyof Timings],
    )
    const field = key.replace(/_(ms|ppm)$/, "").replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
    expect(changed).toEqual([[field, key === "rho_ppm" ? 0.000777 : value]])
  })
})

describe("the budget of a pass", () => {
  test("[T17] is enough for the nodes of the largest site, or the file is refused with what would do", () => {
    const errors = errorsOf(parse({ ...oneSite(30), profile: "energy" })).map(({ message }) => message)
    expect(errors).toEqual([
      "[T17] pass_ms >= nodes / 3: 5 >= 30 / 3 is false: the token is not round in time; 10 is enough, and lease_ms grows by twice the difference (T1)",
    ])
    expect(
      errorsOf(parse({ ...oneSite(30), profile: "energy", timings: { pass_ms: 10, lease_ms: 190 } })),
    ).toEqual([])
    expect(errorsOf(parse({ ...oneSite(15), profile: "energy" }))).toEqual([])
    expect(errorsOf(parse(oneSite(30)))).toEqual([])
  })
})
