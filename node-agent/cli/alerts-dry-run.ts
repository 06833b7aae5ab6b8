/** `quorumbeat alerts dry-run`: fetches the past from the witness page by page and replays it here. */
import { err, ok, type Result } from "../../protocol/result.ts"
import { monotonicNow, wallNow } from "../host/clock.ts"
import { callWitness, type WitnessApi } from "../host/witness-api.ts"
import { type DryRun, dryRun, type ToldEvent, type ToldSilence } from "../paging/dry-run.ts"

/** What the command prints: who would have been told, of how many events, and how long it took to find out. */
export interface Rehearsal extends DryRun {
  readonly events: number
  readonly milliseconds: number
}

/** Half of what the witness gives at most: its processor time for a request is bounded. */
const eventsPerPage = 250

/** `text`: the rules. The witness is asked first whether it would take them. */
export async function rehearseFile(api: WitnessApi, text: string): Promise<Result<Rehearsal, string>> {
  const checked = await callWitness(api, {
    method: "POST",
    path: "/alerts/rules/check",
    body: { type: "toml", text },
  })
  if (checked.kind === "error") return checked
  const events = await allEvents(api)
  if (events.kind === "error") return events
  const silences = await callWitness(api, { method: "GET", path: "/alerts/silences" })
  if (silences.kind === "error") return silences
  // The witness is of the same release: its answers have the shape that its own tests hold.
  const told = silences.value as { readonly silences: readonly ToldSilence[] }
  const from = monotonicNow()
  const past = { cluster: api.cluster, events: events.value, silences: told.silences, now: wallNow() }
  const run = dryRun(text, past)
  if (run.kind === "error") return run
  const milliseconds = Math.round(monotonicNow() - from)
  return ok({ ...run.value, events: events.value.length, milliseconds })
}

async function allEvents(api: WitnessApi): Promise<Result<readonly ToldEvent[], string>> {
  const events: ToldEvent[] = []
  for (let after = ""; ; ) {
    const path = `/alerts/events?limit=${eventsPerPage}&after=${encodeURIComponent(after)}`
    const page = await callWitness(api, { method: "GET", path })
    if (page.kind === "error") return err(page.error)
    const told = page.value as { readonly events: readonly ToldEvent[]; readonly next?: string }
    events.push(...told.events)
    if (told.next === undefined) return ok(events)
    after = told.next
  }
}
