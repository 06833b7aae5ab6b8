/** `quorumbeat alerts`: incidents, silences, rules, receivers and deliveries of the cluster, at the witness. */
import { readFileSync } from "node:fs"
import { userInfo } from "node:os"
import { wallNow } from "../host/clock.ts"
import { readSecret } from "../host/key-file.ts"
import { type ApiCall, callWitness, type WitnessApi } from "../host/witness-api.ts"
import { rehearseFile } from "./alerts-dry-run.ts"
import * as screen from "./alerts-screen.ts"
import { type Command, CommandFailure, exitStatus, parseOptions, print, usageFailure } from "./command.ts"
import { readConfiguration } from "./configuration.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat alerts ACTION [...] --credential-file FILE [options]

  list                   incidents that are not over (--all: also those that are)
  show INCIDENT          one incident and where it stands with each receiver
  explain INCIDENT       its whole story: what was sent, what was not, and why
  ack INCIDENT           you work on it: no repeats, no escalation
  resolve INCIDENT       it is over, by your word
  silence MATCHER... --for 2h --reason TEXT
                         do not tell of what fits: kind="node-down", site=~"north|south" (--maintenance: a planned window)
  silences               silences, also those of the last week that are over
  unsilence SILENCE      end a silence now
  test RECEIVER          send a test, trigger and resolve, and say what came of it
  deliveries             notifications with their attempts (--state pending|delivered|dead|dropped)
  replay DELIVERY        send a notification again (--receiver NAME: all its dead letters)
  rules                  the rules as the witness has them
  check FILE             say what is wrong with a rules file, line by line
  apply FILE             replace the rules
  dry-run FILE           who would have been told of the last seven days under these rules

  --credential-file FILE the operator's credential, or one of this cluster
  --config FILE          cluster configuration (${defaultPaths.config})
  --url URL              the witness, if not as configured
  --by NAME              who you are (your login name)
  --json                 print what the witness answers

Exit status: 0 done; 1 refused or failed, with the reason; 2 wrong use.`

const options = {
  config: { type: "string", default: defaultPaths.config },
  url: { type: "string" },
  "credential-file": { type: "string" },
  by: { type: "string" },
  json: { type: "boolean", default: false },
  all: { type: "boolean", default: false },
  for: { type: "string" },
  from: { type: "string" },
  reason: { type: "string" },
  maintenance: { type: "boolean", default: false },
  state: { type: "string", default: "" },
  receiver: { type: "string" },
} as const

type Values = ReturnType<typeof parseAll>["values"]

function parseAll(parameters: readonly string[]) {
  return parseOptions(parameters, options, { min: 1, max: 17 })
}

export const alerts: Command = {
  summary: "incidents, silences, alert rules and deliveries",
  help,
  async run(parameters) {
    const { values, positionals } = parseAll(parameters)
    const [action = "", ...words] = positionals
    if (action === "dry-run") return rehearse(words, values)
    const asked = actions[action]
    if (asked === undefined) throw usageFailure(`alerts ${action}: no such action; see --help`)
    const { call, show } = asked(words, values)
    const answer = await callWitness(apiOf(values), call)
    if (answer.kind === "error") throw new CommandFailure(exitStatus.failed, answer.error)
    print(values.json ? JSON.stringify(answer.value, null, 2) : show(answer.value))
    return exitStatus.done
  },
}

interface Asked {
  readonly call: ApiCall
  readonly show: (answer: unknown) => string
}

const actions: Readonly<Record<string, (words: readonly string[], values: Values) => Asked>> = {
  list: (words, { all }) => {
    none(words)
    return asked("GET", `/alerts/incidents?state=${all ? "all" : "live"}`, screen.incidents)
  },
  show: (words) => asked("GET", incidentPath(words), screen.standing),
  explain: (words) => asked("GET", incidentPath(words), screen.story),
  ack: (words, values) =>
    asked("POST", `${incidentPath(words)}/acknowledge`, screen.standing, { by: person(values) }),
  resolve: (words, values) =>
    asked("POST", `${incidentPath(words)}/resolve`, screen.standing, { by: person(values) }),
  silence: (words, values) => asked("POST", "/alerts/silences", screen.silence, silenceOf(words, values)),
  silences: (words) => {
    none(words)
    return asked("GET", "/alerts/silences", screen.silences)
  },
  unsilence: (words) => asked("DELETE", `/alerts/silences/${one(words, "silence")}`, screen.silence),
  test: (words) => asked("POST", `/alerts/receivers/${one(words, "receiver")}/test`, screen.tested),
  deliveries: (words, { state }) => {
    none(words)
    return asked("GET", `/alerts/deliveries?state=${encodeURIComponent(state)}`, screen.deliveries)
  },
  replay: (words, { receiver }) =>
    receiver === undefined
      ? asked("POST", `/alerts/deliveries/${one(words, "delivery")}/replay`, screen.replayed)
      : asked("POST", "/alerts/deliveries/replay", screen.replayed, { receiver }),
  rules: (words) => {
    none(words)
    return asked("GET", "/alerts/rules", screen.json)
  },
  check: (words) => withFile("POST", "/alerts/rules/check", words, screen.taken),
  apply: (words) => withFile("PUT", "/alerts/rules", words, screen.taken),
}

async function rehearse(words: readonly string[], values: Values): Promise<number> {
  const rehearsed = await rehearseFile(apiOf(values), textOf(words))
  if (rehearsed.kind === "error") throw new CommandFailure(exitStatus.failed, rehearsed.error)
  print(values.json ? JSON.stringify(rehearsed.value, null, 2) : screen.rehearsal(rehearsed.value))
  return exitStatus.done
}

function asked(method: ApiCall["method"], path: string, show: Asked["show"], value?: object): Asked {
  return {
    call: value === undefined ? { method, path } : { method, path, body: { type: "json", value } },
    show,
  }
}

function withFile(
  method: "POST" | "PUT",
  path: string,
  words: readonly string[],
  show: Asked["show"],
): Asked {
  return { call: { method, path, body: { type: "toml", text: textOf(words) } }, show }
}

function textOf(words: readonly string[]): string {
  const file = one(words, "file")
  try {
    return readFileSync(file, "utf8")
  } catch (cause) {
    throw usageFailure(`${file}: ${cause instanceof Error ? cause.message : "cannot be read"}`)
  }
}

function apiOf(values: Values): WitnessApi {
  const config = readConfiguration(values.config)
  const url = values.url ?? config.witness?.url
  if (url === undefined)
    throw usageFailure(`cluster ${config.name} has no witness; add [witness] or say --url`)
  const file = values["credential-file"]
  if (file === undefined) throw usageFailure("--credential-file is missing; see --help")
  const credential = readSecret(file)
  if (credential.kind === "error") throw usageFailure(credential.error)
  return { url, cluster: config.name, credential: credential.value.trim() }
}

function silenceOf(words: readonly string[], values: Values): object {
  if (words.length === 0) throw usageFailure('silence: say what, as kind="node-down"')
  if (values.for === undefined) throw usageFailure("silence: say for how long, as --for 2h")
  if (values.reason === undefined) throw usageFailure("silence: say why, as --reason TEXT")
  const startsAt = values.from === undefined ? wallNow() : Date.parse(values.from)
  if (!Number.isFinite(startsAt))
    throw usageFailure(`--from ${values.from}: not a time, as 2026-12-01T08:00:00Z`)
  return {
    kind: values.maintenance ? "maintenance" : "silence",
    match: words,
    author: person(values),
    reason: values.reason,
    ...(values.from === undefined ? {} : { starts_at_ms: startsAt }),
    ends_at_ms: startsAt + durationOf(values.for),
  }
}

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function durationOf(text: string): number {
  const [, count, unit] = /^(\d{1,6})(s|m|h|d)$/.exec(text) ?? []
  if (count === undefined || unit === undefined)
    throw usageFailure(`--for ${text}: not a duration, as 30m or 2h`)
  return Number(count) * (units[unit] ?? 0)
}

function person({ by }: Values): string {
  return by ?? userInfo().username
}

function incidentPath(words: readonly string[]): string {
  return `/alerts/incidents/${one(words, "incident")}`
}

function one(words: readonly string[], what: string): string {
  const [word, ...more] = words
  if (word === undefined) throw usageFailure(`which ${what}? see --help`)
  if (more.length > 0) throw usageFailure(`unexpected \`${more[0]}\`; see --help`)
  return what === "file" ? word : encodeURIComponent(word)
}

function none(words: readonly string[]): void {
  if (words.length > 0) throw usageFailure(`unexpected \`${words[0]}\`; see --help`)
}
