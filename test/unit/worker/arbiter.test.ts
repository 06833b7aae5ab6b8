import { describe, expect, it } from "vitest"
import { memoBytesMax } from "../../../protocol/lease.ts"
import { incarnation, millis, nodeId, stretched } from "../../../protocol/units.ts"
import { documentAge, entryOf } from "../../../worker/arbiter.ts"
import {
  emptyState,
  mandate,
  releaseOfMandate,
  releaseOfVoice,
  rules,
  submission,
  TestArbiter,
  tag,
  voice,
  waited,
} from "./arbiter-builder.ts"

const ttl = millis(10_000)
const longEnough = stretched(ttl, rules.rho)

describe("rule 1: vacant or released", () => {
  it("[W8] a vacant voice is granted with epoch + 1 and the claim is named", () => {
    const arbiter = new TestArbiter()
    expect(arbiter.submit(submission(1, 7, [voice([1, 2], 5)]))).toEqual({
      kind: "granted",
      name: "voice:a",
      ...tag(1, 1),
      ttl,
      claim: { node: 1, incarnation: 1, counter: 7 },
      memo: { version: 0, text: "" },
    })
  })

  it("[W8] a vacant mandate is granted with the epoch that the claim names", () => {
    const arbiter = new TestArbiter()
    expect(arbiter.claim(1, mandate("a", 17))).toMatchObject({
      kind: "granted",
      ...tag(17, 1),
      memo: undefined,
    })
  })

  it("[W8] a mandate whose epoch is not above the stored one is refused", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 17))
    arbiter.claim(1, releaseOfMandate("a", 17))
    expect(arbiter.claim(11, mandate("b", 17))).toMatchObject({ kind: "refused", reason: "epoch-too-low" })
    expect(arbiter.claim(11, mandate("b", 18))).toMatchObject({ kind: "granted", ...tag(18, 3) })
  })
})

describe("rule 2: the holder renews", () => {
  it("[W9] a renewal with the entry's tag raises seq, keeps the epoch and names the new claim", () => {
    const arbiter = new TestArbiter()
    arbiter.submit(submission(1, 1, [voice([1, 2], 5)]))
    const renewed = arbiter.submit(submission(2, 9, [voice([1, 2], 5, { seen: tag(1, 1) })]))
    expect(renewed).toMatchObject({ kind: "renewed", ...tag(1, 2), claim: { node: 2, counter: 9 } })
  })

  it("[W4] a renewal with an older seq raises nothing: the entry's grant is repeated", () => {
    const arbiter = new TestArbiter()
    arbiter.submit(submission(1, 1, [voice([1, 2], 5)]))
    arbiter.submit(submission(1, 2, [voice([1, 2], 5, { seen: tag(1, 1) })]))
    const before = entryOf(arbiter.state, "voice:a")
    for (const seen of [tag(1, 1), tag(0, 2), undefined]) {
      const answer = arbiter.claim(2, voice([1, 2], 5, { seen }))
      expect(answer).toMatchObject({ kind: "repeated", ...tag(1, 2), claim: { node: 1, counter: 2 } })
    }
    expect(entryOf(arbiter.state, "voice:a")).toEqual(before)
  })

  it("[W4] a mandate's renewal with an older seq raises nothing either", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    arbiter.claim(1, mandate("a", 3, { seen: tag(3, 1) }))
    expect(arbiter.claim(2, mandate("a", 3, { seen: tag(3, 1) }))).toMatchObject({
      kind: "repeated",
      ...tag(3, 2),
    })
    expect(arbiter.tag("mandate:main")).toEqual(tag(3, 2))
  })

  it("[W9] a retry under the same counter gets the same grant, although it carries the tag that it raised", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    const renewal = submission(1, 9, [mandate("a", 3, { seen: tag(3, 1) })])
    const first = arbiter.submit(renewal)
    expect(arbiter.submit(renewal)).toEqual({ ...first, kind: "repeated" })
  })

  it("[W9] a shorter TTL takes effect with the renewal that asks for it, a repeated one changes nothing", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    arbiter.claim(1, mandate("a", 3, { ttl: millis(500) }))
    expect(entryOf(arbiter.state, "mandate:main").ttl).toBe(10_000)
    arbiter.claim(1, mandate("a", 3, { ttl: millis(500), seen: tag(3, 1) }))
    expect(entryOf(arbiter.state, "mandate:main").ttl).toBe(500)
  })

  it("[W9] the same site with another epoch is not the same holder: it waits like anyone", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    expect(arbiter.claim(1, mandate("a", 4, { seen: tag(3, 1) }))).toMatchObject({ reason: "held-by-other" })
  })

  it("[W9] a ring of the same sequence but another representative or incarnation is another holder", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    const { ring } = voice([1, 2], 5)
    const other = { ...ring, incarnation: incarnation(2) }
    const answer = arbiter.claim(1, voice([1, 2], 5, { ring: other, seen: tag(1, 1) }))
    expect(answer).toMatchObject({ kind: "refused", reason: "ring-sequence-not-greater" })
  })
})

describe("memo", () => {
  it("[VL4] a memo is written with the grant and every later grant brings it", () => {
    const arbiter = new TestArbiter()
    const granted = arbiter.claim(1, voice([1, 2], 5, { memo: { base: 0, text: "pledge 1" } }))
    expect(granted).toMatchObject({ memo: { version: 1, text: "pledge 1" } })
    const rebound = arbiter.claim(2, voice([2], 6))
    expect(rebound).toMatchObject({ kind: "granted", memo: { version: 1, text: "pledge 1" } })
  })

  it("[VL4] a memo with another base is not written: the stored one comes back with the renewal", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5, { memo: { base: 0, text: "first" } }))
    const stale = arbiter.claim(1, voice([1, 2], 5, { seen: tag(1, 1), memo: { base: 0, text: "stale" } }))
    expect(stale).toMatchObject({ kind: "renewed", memo: { version: 1, text: "first" } })
    const current = arbiter.claim(1, voice([1, 2], 5, { seen: tag(1, 2), memo: { base: 1, text: "second" } }))
    expect(current).toMatchObject({ kind: "renewed", memo: { version: 2, text: "second" } })
  })

  it("[W4] a repeated grant writes no memo", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    const repeated = arbiter.claim(1, voice([1, 2], 5, { memo: { base: 0, text: "unseen" } }))
    expect(repeated).toMatchObject({ kind: "repeated", memo: { version: 0, text: "" } })
  })

  it("[VL4] a memo has at most 16 KB, counted in bytes of UTF-8", () => {
    const arbiter = new TestArbiter()
    const tooLarge = voice([1, 2], 5, { memo: { base: 0, text: `${"é".repeat(memoBytesMax / 2)}!` } })
    expect(arbiter.claim(1, tooLarge)).toMatchObject({ kind: "refused", reason: "memo-too-large" })
    const fits = voice([1, 2], 5, { memo: { base: 0, text: "é".repeat(memoBytesMax / 2) } })
    expect(arbiter.claim(1, fits)).toMatchObject({ kind: "granted", memo: { version: 1 } })
  })
})

describe("rule 3: rebind", () => {
  it("[W10] a former member's view with a greater ring sequence gets the voice at once, epoch + 1", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    expect(arbiter.claim(2, voice([2, 3], 6))).toMatchObject({ kind: "granted", ...tag(2, 2) })
    expect(arbiter.holder("voice:a")).toBe("2,3@6")
  })

  it("[W10] an equal or lower ring sequence does not", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    for (const sequence of [4, 5]) {
      expect(arbiter.claim(2, voice([2], sequence))).toMatchObject({ reason: "ring-sequence-not-greater" })
    }
    expect(arbiter.tag("voice:a")).toEqual(tag(1, 1))
  })

  it("[W10] the SIGNER must have been a member of the holder: naming one is not enough", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    expect(arbiter.claim(3, voice([2, 3], 6))).toMatchObject({ kind: "refused", reason: "no-former-member" })
  })

  it("[W10] the signer must be a member of the claiming view", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    expect(arbiter.claim(1, voice([2, 3], 6))).toMatchObject({ kind: "refused", reason: "not-entitled" })
  })

  it("[W10] a mandate is never rebound", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    expect(arbiter.claim(11, mandate("b", 4))).toMatchObject({ kind: "refused", reason: "held-by-other" })
  })
})

describe("rule 4: waited out", () => {
  it("[W11] TTL' of the entry's TTL on the claimant's clock, with the current tag, gets the next epoch", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    const answer = arbiter.claim(11, mandate("b", 4, { waited: waited(tag(3, 1), longEnough) }))
    expect(answer).toMatchObject({ kind: "granted", ...tag(4, 2) })
    expect(arbiter.holder("mandate:main")).toBe("b")
  })

  it("[W11] a moment less than TTL', and TTL itself, are not enough", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    for (const duration of [0, ttl, longEnough - 0.001]) {
      const answer = arbiter.claim(11, mandate("b", 4, { waited: waited(tag(3, 1), duration) }))
      expect(answer).toMatchObject({ kind: "refused", reason: "not-waited", current: { ttl, ...tag(3, 1) } })
    }
  })

  it("[W11] a renewal in between starts the wait anew", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    arbiter.claim(1, mandate("a", 3, { seen: tag(3, 1) }))
    const answer = arbiter.claim(11, mandate("b", 4, { waited: waited(tag(3, 1), 99_999) }))
    expect(answer).toMatchObject({ kind: "refused", reason: "not-waited" })
  })

  it("[W11] the wait is for the ENTRY's TTL, whatever the claimant asks for itself", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3, { ttl: millis(20_000) }))
    const claim = mandate("b", 4, { ttl: millis(1_000), waited: waited(tag(3, 1), longEnough) })
    expect(arbiter.claim(11, claim)).toMatchObject({ kind: "refused", reason: "not-waited" })
  })

  it("[W11] a voice passes on too when nobody of the old view is left to claim it", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    const claim = voice([3, 4], 2, { waited: waited(tag(1, 1), longEnough) })
    expect(arbiter.claim(3, claim)).toMatchObject({ kind: "granted", ...tag(2, 2) })
  })

  it("[W11] a renewal that meets a claim which has waited goes first", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    const [taker, holder] = arbiter.together([
      submission(3, 1, [voice([3, 4], 9, { waited: waited(tag(1, 1), longEnough) })]),
      submission(1, 2, [voice([1, 2], 5, { seen: tag(1, 1) })]),
    ])
    expect(holder?.[0]).toMatchObject({ kind: "renewed" })
    expect(taker?.[0]).toMatchObject({ kind: "refused", reason: "not-waited" })
  })

  it("[W11] a mandate that was waited for still needs a higher epoch", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    const answer = arbiter.claim(11, mandate("b", 3, { waited: waited(tag(3, 1), longEnough) }))
    expect(answer).toMatchObject({ kind: "refused", reason: "epoch-too-low" })
  })
})

describe("rule 5: refusals", () => {
  it("[W12] a refusal tells the holder, the tag to watch and the entry's TTL", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    expect(arbiter.claim(3, voice([3], 9))).toEqual({
      kind: "refused",
      name: "voice:a",
      reason: "no-former-member",
      current: {
        name: "voice:a",
        holder: { kind: "view", ring: voice([1, 2], 5).ring, members: [1, 2] },
        ...tag(1, 1),
        ttl,
        releasedEpoch: 0,
      },
    })
  })

  it("[W5] a node claims only for its own site", () => {
    const arbiter = new TestArbiter()
    expect(arbiter.claim(11, voice([11], 5, { name: "voice:a" }))).toMatchObject({ reason: "not-entitled" })
    expect(arbiter.claim(11, mandate("a", 1))).toMatchObject({ reason: "not-entitled" })
    expect(arbiter.claim(99, mandate("a", 1))).toMatchObject({ reason: "not-entitled" })
    expect(arbiter.claim(1, mandate("a", 1, { name: "voice:a" }))).toMatchObject({ reason: "not-entitled" })
    expect(arbiter.claim(1, voice([1], 5, { name: "mandate:main" }))).toMatchObject({
      reason: "not-entitled",
    })
  })

  it("[W5] a lease that is not configured is unknown and is not created by a claim", () => {
    const arbiter = new TestArbiter()
    const answer = arbiter.claim(1, mandate("a", 1, { name: "mandate:unheard" }))
    expect(answer).toEqual({
      kind: "refused",
      name: "mandate:unheard",
      reason: "unknown-lease",
      current: undefined,
    })
    expect(arbiter.state.leases).toEqual({})
  })

  it("[W5] a claim for another incarnation of the object is refused and leaves no trace", () => {
    const arbiter = new TestArbiter()
    for (const challenge of ["", "object-0"]) {
      const answer = arbiter.submit(submission(1, 5, [voice([1, 2], 5)], { challenge }))
      expect(answer).toMatchObject({ kind: "refused", reason: "challenge-mismatch" })
    }
    expect(arbiter.state).toEqual(emptyState)
  })

  it("[W5] an older document of a node is refused; a higher incarnation replaces a lower", () => {
    const arbiter = new TestArbiter()
    arbiter.submit(submission(1, 5, [mandate("a", 1)]))
    const old = arbiter.submit(submission(1, 4, [mandate("a", 1, { seen: tag(1, 1) })]))
    expect(old).toMatchObject({ kind: "refused", reason: "counter-not-rising" })
    const id = { node: nodeId(1), incarnation: incarnation(2), counter: 1 }
    const rebooted = arbiter.submit(submission(1, 1, [mandate("a", 1, { seen: tag(1, 1) })], { id }))
    expect(rebooted).toMatchObject({ kind: "renewed", claim: id })
    expect(documentAge(arbiter.state, { ...id, incarnation: incarnation(1), counter: 99 })).toBe("older")
  })

  it("[W6] a document that saw a higher tag than stands here is refused: this object was set back", () => {
    const arbiter = new TestArbiter()
    const highest = [{ name: "mandate:main" as const, ...tag(1, 1) }]
    const fallen = arbiter.submit(submission(1, 1, [mandate("a", 1), voice([1, 2], 5)], { highest }))
    expect(fallen).toMatchObject({ kind: "refused", reason: "set-back" })
    expect(arbiter.state.leases).toEqual({})
    arbiter.submit(submission(1, 2, [mandate("a", 1)]))
    const renewed = arbiter.submit(submission(1, 3, [mandate("a", 1, { seen: tag(1, 1) })], { highest }))
    expect(renewed).toMatchObject({ kind: "renewed" })
  })

  it.each([
    ["an older one", { configuration: 2 }, "configuration-older"],
    ["an older one, though it is to follow this one", { configuration: 2, active: 3 }, "configuration-older"],
    ["this one", { configuration: 3 }, undefined],
    ["this one, a proposal that was registered", { configuration: 3, active: 2 }, undefined],
    [
      "this version, a proposal that was not registered",
      { configuration: 3, active: 2, checksum: "another" },
      "configuration-older",
    ],
    ["a newer one that is not registered", { configuration: 4 }, "configuration-newer"],
    ["a proposal to follow this one", { configuration: 4, active: 3 }, undefined],
    ["a proposal to follow an older one", { configuration: 4, active: 2 }, "configuration-newer"],
    [
      "a proposal to follow one that is not registered",
      { configuration: 5, active: 4 },
      "configuration-newer",
    ],
  ])("[W14] a claim made under %s", (_, made, reason) => {
    const arbiter = new TestArbiter({ ...emptyState, rules: { ...rules, version: 3 } })
    const answer = arbiter.submit(submission(1, 1, [mandate("a", 1)], made))
    expect(answer).toMatchObject(reason === undefined ? { kind: "granted" } : { kind: "refused", reason })
    if (reason !== undefined) expect(arbiter.state.leases).toEqual({})
  })
})

describe("releases", () => {
  it("[W13] the holder releases its voice: vacant, seq raised, epoch kept", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    expect(arbiter.claim(2, releaseOfVoice([1, 2], 5, 1, false))).toEqual({
      kind: "released",
      name: "voice:a",
      ...tag(1, 2),
    })
    expect(arbiter.holder("voice:a")).toBe("nobody")
    expect(arbiter.claim(3, voice([3, 4], 2))).toMatchObject({ kind: "granted", ...tag(2, 3) })
  })

  it("[VL7] [W13] a later view releases a voice only with a majority alone, a greater sequence and a former member", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    const refusedBecause = (node: number, claim: ReturnType<typeof releaseOfVoice>) =>
      expect(arbiter.claim(node, claim)).toMatchObject({ kind: "refused" })
    refusedBecause(1, releaseOfVoice([1, 2, 3], 6, 1, false))
    refusedBecause(1, releaseOfVoice([1, 2, 3], 4, 1, true))
    refusedBecause(3, releaseOfVoice([1, 2, 3], 6, 1, true))
    expect(arbiter.claim(1, releaseOfVoice([1, 2, 3], 6, 1, true))).toMatchObject({ kind: "released" })
  })

  it("[W13] only the holding site releases a mandate, naming the epoch; proof is recorded", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    expect(arbiter.claim(11, releaseOfMandate("b", 3))).toMatchObject({ reason: "not-the-holder" })
    expect(arbiter.claim(1, releaseOfMandate("a", 2))).toMatchObject({ reason: "epoch-mismatch" })
    expect(arbiter.claim(1, releaseOfMandate("a", 3))).toMatchObject({ kind: "released", ...tag(3, 2) })
    expect(entryOf(arbiter.state, "mandate:main")).toMatchObject({ grant: undefined, releasedEpoch: 3 })
  })

  it("[W13] a release without proof records no released epoch", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    arbiter.claim(1, releaseOfMandate("a", 3, false))
    expect(entryOf(arbiter.state, "mandate:main").releasedEpoch).toBe(0)
  })

  it("[W13] a repeated release is answered again; a delayed one ends nothing that came later", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    const release = submission(2, 50, [releaseOfMandate("a", 3)])
    const first = arbiter.submit(release)
    expect(arbiter.submit(release)).toEqual(first)
    arbiter.claim(1, mandate("a", 4))
    expect(arbiter.submit(release)).toMatchObject({ kind: "refused", reason: "epoch-mismatch" })
    expect(arbiter.holder("mandate:main")).toBe("a")
  })
})
