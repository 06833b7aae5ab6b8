import { describe, expect, it } from "vitest"
import { readAlertFile } from "../../../node-agent/paging/page.ts"
import {
  graceMs,
  heldGraceMs,
  idlePager,
  nextLetters,
  nextLook,
  observe,
  overlapMs,
  type Pager,
  referenceOf,
  type Sight,
  settled,
} from "../../../node-agent/paging/pager.ts"
import { type WallTime, wallTime } from "../../../protocol/units.ts"
import { incidentId } from "../../../worker/alerts/identity.ts"
import type { PlacedEvent } from "../../../worker/alerts/incidents.ts"
import type { Outcome } from "../../../worker/alerts/notification.ts"

const start = wallTime(Date.UTC(2040, 0, 1))
const groupWaitMs = 10_000
const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`
const cluster = "plant-7"

const file = (text: string) => {
  const read = readAlertFile(text)
  if (read.kind === "error") throw new Error(read.error)
  return read.value
}
const webhook = (name: string) => `
[[receiver]]
name = "${name}"
kind = "webhook"
url = "https://${name}.example.com/hook"
secret = "${secret}"
`
const one = file(webhook("ops"))

let eventNumber = 0
function event(kind: string, subject = "a2", changes: Partial<PlacedEvent> = {}): PlacedEvent {
  eventNumber += 1
  return {
    id: `1:1-1-${eventNumber}`,
    kind,
    subject,
    severity: "critical",
    at: start,
    detail: "",
    site: "a",
    node: "a2",
    ...changes,
  }
}

/** A pager on a clock of its own. */
class Desk {
  pager: Pager = idlePager
  now: WallTime = start
  readonly sent: string[] = []
  events: readonly PlacedEvent[] = []
  witness: Sight["witness"] = "reachable"
  hasVoice = true
  recoveries: readonly PlacedEvent[] = []
  answer: Outcome = { kind: "delivered", reason: "status 204", reference: undefined }
  readonly #file: ReturnType<typeof file>

  constructor(alertFile = one) {
    this.#file = alertFile
  }

  /** As the host does it: with each picture, and when something is due. */
  run(milliseconds: number, picturesEvery = 1_000): this {
    const until = wallTime(this.now + milliseconds)
    for (;;) {
      this.look()
      const next = wallTime(
        Math.min(nextLook(this.pager, this.#file.receivers) ?? until, this.now + picturesEvery, until),
      )
      if (this.now >= until) return this
      this.now = wallTime(Math.max(next, this.now + 50))
    }
  }

  look(): void {
    const { witness, hasVoice, recoveries, events } = this
    this.pager = observe(
      this.pager,
      { witness, hasVoice, recoveries, events },
      { rules: this.#file.rules, cluster },
      this.now,
    )
    const next = nextLetters(this.pager, this.#file.receivers, this.now)
    this.pager = next.pager
    for (const { notification, receiver } of next.letters) {
      const made = { notification, receiver, outcome: this.answer, chance: 0.5 }
      const result = settled(this.pager, made, this.now)
      this.pager = result.pager
      this.sent.push(
        `${receiver.name} ${notification.action} ${notification.incidents[0].title} ${result.ending}`,
      )
    }
  }
}

describe("[A14] when a node pages", () => {
  it("never while the witness is reached", () => {
    const desk = new Desk()
    desk.events = [event("node-down")]
    expect(desk.run(600_000).sent).toEqual([])
  })

  it.each([
    [true, heldGraceMs],
    [false, graceMs],
  ])("voice %s: once the witness has been away for %i ms, and the router has waited", (hasVoice, grace) => {
    const desk = new Desk()
    desk.run(60_000)
    Object.assign(desk, { witness: "away", hasVoice, events: [event("node-down")] })
    expect(desk.run(grace + groupWaitMs - 1_000).sent).toEqual([])
    expect(desk.run(2_000).sent).toEqual(["ops trigger node a2 is down told"])
  })

  it("not if the witness comes back before", () => {
    const desk = new Desk()
    desk.events = [event("node-down")]
    for (let turn = 0; turn < 20; turn += 1) {
      desk.witness = "away"
      desk.run(heldGraceMs - 1_000)
      desk.witness = "reachable"
      desk.run(1_000)
    }
    expect(desk.sent).toEqual([])
  })

  it("at once without any witness, and it goes on for ever", () => {
    const desk = new Desk()
    Object.assign(desk, { witness: "none", events: [event("node-down")] })
    expect(desk.run(groupWaitMs + 1_000).sent).toEqual(["ops trigger node a2 is down told"])
    desk.events = [...desk.events, event("node-up")]
    desk.run(400_000)
    expect(desk.sent).toEqual(["ops trigger node a2 is down told", "ops resolve node a2 is down told"])
  })
})

describe("what it pages", () => {
  const away = (desk: Desk): Desk => {
    desk.run(600_000)
    desk.witness = "away"
    return desk
  }

  it("what was reported just before the witness was away, and nothing from long before", () => {
    const desk = new Desk()
    desk.events = [event("node-down", "old")]
    desk.run(overlapMs + 1_000)
    desk.events = [...desk.events, event("service-failed", "pump")]
    desk.run(overlapMs - 1_000)
    desk.witness = "away"
    expect(desk.run(60_000).sent).toEqual(["ops trigger service pump has failed told"])
  })

  it("not what a former control process saw: its age shows", () => {
    const desk = new Desk()
    desk.witness = "away"
    desk.events = [event("node-down", "old", { at: wallTime(start - 3_600_000) }), event("node-down", "a2")]
    expect(desk.run(60_000).sent).toEqual(["ops trigger node a2 is down told"])
  })

  it("under the id that the witness gives the same incident", () => {
    const desk = away(new Desk())
    const caused = event("node-down", "a2", { cause: "i7" })
    desk.events = [caused]
    desk.answer = { kind: "transient", reason: "no route" }
    desk.run(heldGraceMs + groupWaitMs + 1_000)
    const [letter] = desk.pager.letters
    const id = incidentId(cluster, "node-down", "node a2", "i7")
    expect(letter?.notification.dedupKey).toBe(`${cluster}:${id}`)
    expect(letter?.notification.incidents[0]).toMatchObject({ id, kind: "node-down", site: "a", node: "a2" })
  })

  it("what stands in the rules of the file, and no other receivers", () => {
    const rules = file(`${webhook("ops")}${webhook("chat")}
[[route]]
match = ["kind=node-down"]
receivers = ["chat"]
group_wait = "1s"
`)
    const desk = away(new Desk(rules))
    desk.events = [event("node-down")]
    expect(desk.run(heldGraceMs + 2_000).sent).toEqual(["chat trigger node a2 is down told"])
  })
})

describe("[A14] handing over", () => {
  it("what was not delivered when the witness is back is the witness's; it knows it by the same id", () => {
    const desk = new Desk()
    Object.assign(desk, { witness: "away", events: [event("node-down")] })
    desk.answer = { kind: "transient", reason: "no route" }
    desk.run(heldGraceMs + groupWaitMs + 5_000)
    expect(desk.pager.letters).toHaveLength(1)
    desk.witness = "reachable"
    desk.look()
    expect(desk.pager).toMatchObject({ mode: "reachable", letters: [] })
    const before = desk.sent.length
    desk.run(600_000)
    desk.witness = "away"
    expect(desk.run(600_000).sent).toHaveLength(before)
  })

  it("what was told here is ended here, whatever the witness makes of it; nothing else is told", () => {
    const desk = new Desk()
    Object.assign(desk, { witness: "away", events: [event("node-down")] })
    desk.run(heldGraceMs + groupWaitMs + 5_000)
    expect(desk.sent).toEqual(["ops trigger node a2 is down told"])
    desk.witness = "reachable"
    desk.events = [...desk.events, event("service-failed", "pump")]
    desk.run(300_000)
    expect(desk.sent).toHaveLength(1)
    desk.events = [...desk.events, event("node-up")]
    desk.run(300_000)
    expect(desk.sent.slice(1)).toEqual(["ops resolve node a2 is down told"])
    expect(desk.pager).toMatchObject({ letters: [], told: new Set() })
  })

  it.each([
    ["service-failed", "pump", "service-started", "service pump has failed"],
    ["node-down", "a2", "node-up", "node a2 is down"],
    ["witness-unreachable", "a1", "witness-reachable", "node a1 cannot reach the witness"],
  ])("%s of %s is over when it is seen to be, whoever reports that", (kind, subject, recovery, title) => {
    const desk = new Desk()
    Object.assign(desk, { witness: "none", events: [event(kind, subject)] })
    desk.run(60_000)
    const { id: _, ...seen } = event(recovery, subject)
    desk.recoveries = [{ ...seen, id: `${recovery}:${subject}` }, event(recovery, "another")]
    desk.run(400_000)
    expect(desk.sent).toEqual([`ops trigger ${title} told`, `ops resolve ${title} told`])
  })

  it("what was being told when the witness came back is ended here too", () => {
    const desk = new Desk()
    Object.assign(desk, { witness: "none", events: [event("node-down")] })
    const look = () => {
      desk.pager = observe(desk.pager, desk, { rules: one.rules, cluster }, desk.now)
    }
    look()
    desk.now = wallTime(desk.now + groupWaitMs)
    look()
    const next = nextLetters(desk.pager, one.receivers, desk.now)
    const [letter] = next.letters
    if (letter === undefined) throw new Error("one letter")
    Object.assign(desk, { pager: next.pager, witness: "reachable" })
    look()
    const { notification, receiver } = letter
    const done = settled(desk.pager, { notification, receiver, outcome: desk.answer, chance: 0.5 }, desk.now)
    expect(done.ending).toBe("told")
    desk.pager = done.pager
    desk.events = [...desk.events, event("node-up")]
    expect(desk.run(300_000).sent).toEqual(["ops resolve node a2 is down told"])
  })

  it("what comes back within the hour is the incident that the witness knew before it was away", () => {
    const desk = new Desk()
    desk.events = [event("node-down", "a2", { cause: "i1" }), event("node-up")]
    desk.run(120_000)
    desk.witness = "away"
    desk.events = [...desk.events, event("node-down", "a2", { cause: "i2" })]
    desk.answer = { kind: "transient", reason: "no route" }
    desk.run(heldGraceMs + groupWaitMs + 1_000)
    const id = incidentId(cluster, "node-down", "node a2", "i1")
    expect(desk.pager.letters.map(({ notification }) => notification.dedupKey)).toEqual([`${cluster}:${id}`])
  })

  it("an answer that comes after that changes nothing", () => {
    const desk = new Desk()
    Object.assign(desk, { witness: "none", events: [event("node-down")] })
    desk.pager = observe(desk.pager, desk, { rules: one.rules, cluster }, desk.now)
    const later = wallTime(desk.now + groupWaitMs)
    desk.pager = observe(desk.pager, desk, { rules: one.rules, cluster }, later)
    const { pager, letters } = nextLetters(desk.pager, one.receivers, later)
    const [letter] = letters
    if (letter === undefined) throw new Error("one letter")
    const back = observe(pager, { ...desk, witness: "reachable" }, { rules: one.rules, cluster }, later)
    const outcome: Outcome = { kind: "transient", reason: "timeout" }
    const made = { notification: letter.notification, receiver: letter.receiver, outcome, chance: 0.5 }
    expect(settled(back, made, later)).toMatchObject({ ending: "not-told", pager: { letters: [] } })
  })
})

describe("delivery", () => {
  it("is tried again, later and later, and in the end given up", () => {
    const desk = new Desk()
    Object.assign(desk, { witness: "none", events: [event("node-down")] })
    desk.answer = { kind: "transient", reason: "no route" }
    desk.run(90 * 3_600_000, 60_000)
    const endings = desk.sent.map((line) => line.split(" ").at(-1))
    expect(endings.filter((each) => each === "given-up").length).toBeGreaterThan(0)
    expect(endings.slice(0, 5)).toEqual(["again", "again", "again", "again", "again"])
  })

  it("what ends before its beginning was tried is told neither way", () => {
    const desk = new Desk()
    Object.assign(desk, { witness: "none", events: [event("node-down")] })
    desk.run(1_000)
    desk.events = [...desk.events, event("node-up")]
    expect(desk.run(600_000).sent).toEqual([])
  })

  it("one receiver that fails holds up no other, and its later word waits for the earlier", () => {
    const desk = new Desk(file(webhook("ops") + webhook("chat")))
    Object.assign(desk, { witness: "none", events: [event("node-down")] })
    desk.run(groupWaitMs + 1_000)
    expect(desk.sent.toSorted()).toEqual([
      "chat trigger node a2 is down told",
      "ops trigger node a2 is down told",
    ])
    const busy = nextLetters(
      { ...desk.pager, letters: [{ ...letterTo(desk, "ops"), isSending: true }, letterTo(desk, "ops")] },
      file(webhook("ops")).receivers,
      desk.now,
    )
    expect(busy.letters).toEqual([])
  })

  it("a receiver that is taken out of the file is told nothing more", () => {
    const desk = new Desk()
    const letter = letterTo(
      Object.assign(desk, { witness: "none", events: [event("node-down")] }).run(11_000),
      "ops",
    )
    const { pager, letters } = nextLetters({ ...desk.pager, letters: [letter] }, [], desk.now)
    expect([pager.letters, letters]).toEqual([[], []])
  })

  it("a service's own id is kept for what follows, and forgotten when it is no good", () => {
    const desk = new Desk()
    Object.assign(desk, { witness: "none", events: [event("node-down")] })
    desk.answer = { kind: "delivered", reason: "status 200", reference: "m-1" }
    desk.run(groupWaitMs + 1_000)
    const { notification } = letterTo(desk, "ops")
    expect(referenceOf(desk.pager, notification)).toBe("m-1")
    const outcome: Outcome = { kind: "transient", reason: "message deleted", reference: null }
    const [receiver] = one.receivers
    if (receiver === undefined) throw new Error("one receiver")
    const { pager } = settled(desk.pager, { notification, receiver, outcome, chance: 0 }, desk.now)
    expect(referenceOf(pager, notification)).toBeUndefined()
  })

  it("an Alertmanager is told again and again while it is open, and of its end", () => {
    const desk = new Desk(
      file('[[receiver]]\nname = "am"\nkind = "alertmanager"\nurl = "http://10.0.0.9:9093"\n'),
    )
    Object.assign(desk, { witness: "none", events: [event("node-down")] })
    desk.run(groupWaitMs + 310_000)
    expect(desk.sent.length).toBeGreaterThanOrEqual(6)
    expect(new Set(desk.sent)).toEqual(new Set(["am trigger node a2 is down told"]))
    desk.events = [...desk.events, event("node-up")]
    desk.run(400_000)
    expect(desk.sent.at(-1)).toBe("am resolve node a2 is down told")
    const told = desk.sent.length
    expect(desk.run(600_000).sent).toHaveLength(told)
  })
})

describe("the file", () => {
  it.each([
    ["", { kind: "ok" }],
    [webhook("ops"), { kind: "ok" }],
    ["[[receiver]]\nname = 1", { kind: "error", error: expect.stringMatching(/^\d+:\d+: /) }],
    ["receiver =", { kind: "error" }],
    [
      '[[receiver]]\nname = "x"\nkind = "slack"\nurl = "http://169.254.169.254/sEcReT"',
      { kind: "error", error: expect.not.stringContaining("sEcReT") },
    ],
  ])("%o", (text, result) => {
    expect(readAlertFile(text)).toMatchObject(result)
  })
})

function letterTo(desk: Desk, receiver: string) {
  const [group] = [...desk.pager.alerts.groups.values()].filter((each) => each.receiver === receiver)
  const [incident] = [...desk.pager.alerts.incidents.values()]
  if (group === undefined || incident === undefined) throw new Error("a group")
  const lead = {
    ...{ id: incident.id, phase: "open" as const, kind: incident.kind, severity: incident.severity },
    ...{ subject: incident.subject, title: incident.title, detail: "", site: "a", node: "a2" },
    ...{ openedAt: desk.now, resolvedAt: undefined, acknowledgedBy: undefined },
  }
  const notification = {
    ...{ id: "n-1", action: "update" as const, cluster, receiver, dedupKey: `${cluster}:${group.lead}` },
    ...{
      incidents: [lead] as const,
      omitted: 0,
      repeat: 0,
      escalation: 0,
      at: desk.now,
      link: undefined,
      test: false,
    },
  }
  const letter = {
    notification,
    postedAt: desk.now,
    nextAt: desk.now,
    attempts: 0,
    rendering: "full" as const,
  }
  return { ...letter, isSending: false }
}
