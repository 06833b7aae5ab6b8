/** What `alerts dry-run` makes of the witness's answers. */
import { describe, expect, test } from "vitest"
import { dryRun, type Past, type ToldEvent } from "../../../node-agent/paging/dry-run.ts"

const now = Date.UTC(2040, 0, 8)
const minute = 60_000
const rules = `[[receiver]]
name = "pager"
kind = "webhook"
url = "https://pager.example.com/hook"
secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
`

function told(id: string, kind: string, subject: string, at: number): ToldEvent {
  return { id, kind, subject, severity: "critical", detail: "", at_ms: at, recorded_at_ms: at, site: "north" }
}

const past: Past = {
  cluster: "grid",
  // By id, as the witness pages them, not by time.
  events: [
    told("a", "service-started", "pump", now - 5 * minute),
    told("b", "service-failed", "pump", now - 20 * minute),
    told("c", "service-failed", "valve", now - 3 * minute),
  ],
  silences: [],
  now,
}

function run(text: string, changes: Partial<Past> = {}): readonly string[] {
  const found = dryRun(text, { ...past, ...changes })
  if (found.kind === "error") return [found.error]
  return found.value.notifications.map(({ receiver, action, at, incidents }) => {
    return `${(at - now) / minute} ${receiver} ${action}: ${incidents.map(({ title }) => title).join(", ")}`
  })
}

describe("a dry run", () => {
  test("tells who would have been told, in the order of time", () => {
    expect(run(`group_wait = "1m"\n${rules}`)).toEqual([
      "-19 pager trigger: service pump has failed",
      "-4.5 pager resolve: service pump has failed",
      "-2 pager trigger: service valve has failed",
    ])
  })

  test("takes silences as they were", () => {
    const silence = {
      id: "s1",
      kind: "silence",
      match: ['subject="service pump"'],
      author: "ann",
      reason: "work",
      starts_at_ms: now - 60 * minute,
      ends_at_ms: now - minute,
    } as const
    expect(run(`group_wait = "1m"\n${rules}`, { silences: [silence] })).toEqual([
      "-2 pager trigger: service valve has failed",
    ])
  })

  test("rules with an error are told by their place", () => {
    expect(run('group_wait = "soon"\n')[0]).toMatch(/^1:1: group_wait/)
  })
})
