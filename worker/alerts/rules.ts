/**
 * The alert rules of a cluster: one TOML document that says who hears of what, how and when. Read with every error at its
 * line. Receivers stand in it with their secrets; they are parsed here and stored apart, sealed.
 *
 *   [[receiver]]     name, kind and what the kind needs
 *   [[route]]        match, receivers, grouping and times; the first that fits, or more with `continue`
 *   [[escalation]]   steps that go on until somebody acknowledges
 *   [[inhibit]]      what is not told while something else is
 *   [[time]]         named times of the week, for routes
 *   [kind.<name>]    severity, hold-down and clearing of one kind of incident
 *   [heartbeat]      a URL that hears from the witness as long as it works
 *
 * Nothing but a receiver is needed: then everything of severity warning and above goes to all receivers.
 */
import * as v from "valibot"
import type { ConfigPath } from "../../protocol/config-reader.ts"
import { dotted } from "../../protocol/config-reader.ts"
import { err, ok, type Result } from "../../protocol/result.ts"
import { severitySchema } from "../../protocol/summary-schemas.ts"
import { placeOf, readToml } from "../../protocol/toml.ts"
import { type Millis, millis } from "../../protocol/units.ts"
import { catalogue } from "./catalogue.ts"
import { parseMatcher } from "./matchers.ts"
import { type Receiver, receiverSchema, receiverTargets } from "./receivers/receiver.ts"
import { type TargetPolicy, webhookTarget } from "./target.ts"

/** 32 receivers and 64 routes with their matchers have about 20 KB. */
const rulesBytesMax = 65_536
const listMax = 64
const dayMs = 86_400_000
const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: dayMs } as const

/** `30s`, `5m`, `4h`, `7d`, as in Alertmanager; at most 30 days. */
const durationSchema = v.pipe(
  v.string('expected a duration, as "30s", "5m" or "4h"'),
  v.regex(/^\d{1,7}(ms|s|m|h|d)$/, 'expected a duration, as "30s", "5m" or "4h"'),
  v.transform((text) => {
    const unit = text.replace(/^\d+/, "") as keyof typeof units
    return Number.parseInt(text, 10) * units[unit]
  }),
  v.maxValue(30 * dayMs, "longer than 30 days"),
  v.transform(millis),
)
const nameSchema = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "expected a name of 1 to 32 of a-z, 0-9 and -"),
)
const matcherSchema = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const parsed = parseMatcher(dataset.value)
    if (parsed.kind === "ok") return parsed.value
    addIssue({ message: parsed.error })
    return NEVER
  }),
)
export const matchersSchema = v.pipe(v.array(matcherSchema), v.maxLength(16))
const namesSchema = v.pipe(v.array(nameSchema), v.maxLength(listMax))
const groupSchema = v.array(v.picklist(["kind", "severity", "site", "node", "subject"]))
const clockSchema = v.pipe(
  v.string(),
  v.regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, "expected a time of day, as 08:30"),
  v.transform((text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))),
)
const days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const

const timingEntries = {
  group_by: v.optional(groupSchema),
  group_wait: v.optional(durationSchema),
  group_interval: v.optional(durationSchema),
  repeat_interval: v.optional(durationSchema),
}
const routeSchema = v.strictObject({
  match: v.optional(matchersSchema, []),
  receivers: namesSchema,
  continue: v.optional(v.boolean(), false),
  escalation: v.optional(nameSchema),
  active: v.optional(namesSchema),
  muted: v.optional(namesSchema),
  ...timingEntries,
})
const escalationSchema = v.strictObject({
  name: nameSchema,
  step: v.pipe(
    v.array(
      v.strictObject({
        after: durationSchema,
        receivers: v.pipe(namesSchema, v.minLength(1, "no receiver")),
      }),
    ),
    v.minLength(1, "no step"),
    v.maxLength(8),
  ),
})
const inhibitSchema = v.strictObject({
  source: matchersSchema,
  target: matchersSchema,
  equal: v.optional(v.array(v.picklist(["site", "node", "subject", "severity", "kind"])), []),
})
const timeSchema = v.strictObject({
  name: nameSchema,
  days: v.optional(v.array(v.picklist(days)), () => [...days]),
  from: v.optional(clockSchema, "00:00"),
  to: v.optional(clockSchema, "24:00"),
  zone: v.optional(v.pipe(v.string(), v.check(isZone, "not a time zone, expected as Europe/Berlin")), "UTC"),
})
const kindSchema = v.strictObject({
  severity: v.optional(severitySchema),
  for: v.optional(durationSchema),
  clear: v.optional(durationSchema),
})
const urlSchema = v.pipe(v.string(), v.maxLength(2_048))

const documentSchema = v.strictObject({
  ...timingEntries,
  receiver: v.optional(v.pipe(v.array(receiverSchema), v.maxLength(32)), []),
  route: v.optional(v.pipe(v.array(routeSchema), v.maxLength(listMax)), []),
  escalation: v.optional(v.pipe(v.array(escalationSchema), v.maxLength(listMax)), []),
  inhibit: v.optional(v.pipe(v.array(inhibitSchema), v.maxLength(listMax)), []),
  time: v.optional(v.pipe(v.array(timeSchema), v.maxLength(listMax)), []),
  kind: v.optional(v.record(v.string(), kindSchema), {}),
  heartbeat: v.optional(v.strictObject({ url: urlSchema, every: v.optional(durationSchema, "60s") })),
})

/** The document without what is secret in it: the router needs names only. */
export type AlertRules = Omit<v.InferOutput<typeof documentSchema>, "receiver" | "heartbeat"> & {
  readonly receiver: readonly { readonly name: string }[]
}

/** What is kept apart, sealed. */
export interface AlertSecrets {
  readonly receivers: readonly Receiver[]
  readonly heartbeat: { readonly url: string; readonly every: Millis } | undefined
}

export interface RulesDocument {
  readonly rules: AlertRules
  readonly secrets: AlertSecrets
}

export type Route = AlertRules["route"][number]
export type NamedTime = AlertRules["time"][number]

/** What is wrong, and where: both from 1. */
export interface RulesError {
  readonly line: number
  readonly column: number
  /** `route[1].receivers[0]`; empty: the document as a whole. */
  readonly key: string
  readonly message: string
}

/** Of a route that does not say otherwise. The wait lets a failing site speak before its nodes are paged for. */
export const defaultTimings = {
  group_by: ["kind", "site"],
  group_wait: millis(10_000),
  group_interval: millis(300_000),
  repeat_interval: millis(14_400_000),
} as const

export const noRules: AlertRules = v.parse(documentSchema, {})
export const noSecrets: AlertSecrets = { receivers: [], heartbeat: undefined }

/** Reads the document; every error at once, in the order of the text. Never throws. */
export function parseRules(text: string, policy: TargetPolicy): Result<RulesDocument, readonly RulesError[]> {
  if (text.length > rulesBytesMax)
    return err([{ line: 1, column: 1, key: "", message: `longer than ${rulesBytesMax} characters` }])
  const toml = readToml(text)
  if (toml.kind === "error") return err([{ ...toml.error, key: "" }])
  const { places } = toml.value
  // Plain objects: valibot looks at prototypes.
  const parsed = v.safeParse(documentSchema, structuredClone(toml.value.plain))
  const problems = parsed.success ? contradictions(parsed.output, policy) : parsed.issues.map(problemOf)
  if (parsed.success && problems.length === 0) return ok(apart(parsed.output))
  const errors = problems.map(({ path, message }) => ({
    ...placeOf(path, places),
    key: dotted(path),
    message,
  }))
  return err(errors.sort((a, b) => a.line - b.line || a.column - b.column))
}

export function formatRulesError({ line, column, key, message }: RulesError): string {
  return `${line}:${column}: ${key === "" ? "" : `${key}: `}${message}`
}

type Document = v.InferOutput<typeof documentSchema>

function apart({ receiver, heartbeat, ...rest }: Document): RulesDocument {
  const rules = { ...rest, receiver: receiver.map(({ name }) => ({ name })) }
  return { rules, secrets: { receivers: receiver, heartbeat } }
}

interface Problem {
  readonly path: ConfigPath
  readonly message: string
}

function problemOf(issue: v.BaseIssue<unknown>): Problem {
  const path = (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)))
  return { path, message: issue.message }
}

/** What no single value shows: names that nobody has, or two have, and addresses that are not allowed. */
function contradictions(rules: Document, policy: TargetPolicy): readonly Problem[] {
  const receivers = rules.receiver.map(({ name }) => name)
  const times = rules.time.map(({ name }) => name)
  const escalations = rules.escalation.map(({ name }) => name)
  return [
    ...repeated("receiver", receivers),
    ...repeated("time", times),
    ...repeated("escalation", escalations),
    ...rules.route.flatMap((route, index) => [
      ...unknown(["route", index, "receivers"], "receiver", route.receivers, receivers),
      ...unknown(["route", index, "active"], "time", route.active ?? [], times),
      ...unknown(["route", index, "muted"], "time", route.muted ?? [], times),
      ...(route.escalation === undefined || escalations.includes(route.escalation)
        ? []
        : [{ path: ["route", index, "escalation"], message: `no escalation ${route.escalation}` }]),
    ]),
    ...rules.escalation.flatMap(({ step }, index) =>
      step.flatMap((each, at) =>
        unknown(["escalation", index, "step", at, "receivers"], "receiver", each.receivers, receivers),
      ),
    ),
    ...Object.keys(rules.kind)
      .filter((kind) => catalogue[kind] === undefined)
      .map((kind) => ({ path: ["kind", kind], message: `no kind of incident ${kind}` })),
    ...rules.receiver.flatMap((receiver, index) =>
      receiverTargets(receiver).flatMap((url) => refused(["receiver", index], url, policy)),
    ),
    ...(rules.heartbeat === undefined ? [] : refused(["heartbeat", "url"], rules.heartbeat.url, policy)),
  ]
}

function repeated(what: string, names: readonly string[]): readonly Problem[] {
  return names.flatMap((name, index) =>
    names.indexOf(name) === index
      ? []
      : [{ path: [what, index, "name"], message: `a second ${what} ${name}` }],
  )
}

function unknown(
  path: ConfigPath,
  what: string,
  names: readonly string[],
  known: readonly string[],
): readonly Problem[] {
  return names.flatMap((name, index) =>
    known.includes(name) ? [] : [{ path: [...path, index], message: `no ${what} ${name}` }],
  )
}

function refused(path: ConfigPath, url: string, policy: TargetPolicy): readonly Problem[] {
  const target = webhookTarget(url, policy)
  return target.kind === "ok" ? [] : [{ path, message: target.error }]
}

function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone })
    return true
  } catch {
    return false
  }
}
