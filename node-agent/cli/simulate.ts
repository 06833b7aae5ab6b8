/**
 * `quorumbeat simulate`: what this cluster does when parts of it are lost. The simulation is a bundle of its own, loaded here and
 * nowhere else: the agent never holds it.
 */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import type { NodeId } from "../../protocol/units.ts"
import type { Outcome, Part, ServiceOutcome, WhatIfOptions } from "../simulation/what-if.ts"
import { type Command, CommandFailure, exitStatus, parseOptions, print, usageFailure } from "./command.ts"
import { readConfiguration } from "./configuration.ts"

const help = `Usage: quorumbeat simulate FILE [--down PART,PART...] [--all-single] [--all-double] [options]

Runs the cluster of a configuration in virtual time, with the program's own core and witness, takes parts away for good, and
says for each service who is active then, who stopped, and how long nobody was active at most.

  --down PARTS      lose all of these: a node's name, site:NAME, witness, wan (all sites from each other),
                    wan:SITE (that one from the others)
  --all-single      lose each part alone (the default)
  --all-double      lose each pair of parts: at once, one after the other, and the other way round
  --tries N         instants and clocks to try for each; the worst counts (default 6)
  --seed N          of what is drawn (default 1)
  --wan-ms N        one way between sites (default 10)
  --witness-ms N    from post to answer (default 30)

What a service needs for starting is not counted. Services in mode manual are left out: nothing starts them.
Exit status: 0 told; 1 an invariant broke (please report), or the cluster does not form; 2 wrong options or configuration.`

export const simulate: Command = {
  summary: "what this cluster does when parts of it are lost",
  help,
  async run(parameters) {
    const { values, positionals } = parseOptions(
      parameters,
      {
        down: { type: "string" },
        "all-single": { type: "boolean", default: false },
        "all-double": { type: "boolean", default: false },
        tries: { type: "string", default: "6" },
        seed: { type: "string", default: "1" },
        "wan-ms": { type: "string", default: "10" },
        "witness-ms": { type: "string", default: "30" },
      },
      { min: 1, max: 1 },
    )
    const options: WhatIfOptions = {
      tries: wholeNumber("--tries", values.tries, 1, 1000),
      seed: wholeNumber("--seed", values.seed, 0, 1_000_000_000),
      wanDelay: wholeNumber("--wan-ms", values["wan-ms"], 1, 10_000),
      witnessDelay: wholeNumber("--witness-ms", values["witness-ms"], 1, 10_000) / 2,
    }
    const config = readConfiguration(positionals[0] ?? "")
    const down = values.down === undefined ? undefined : readParts(config, values.down)
    if (config.services.every(({ mode }) => mode === "manual"))
      throw usageFailure("no service in mode automatic: nothing would be seen")
    const single = values["all-single"] || (down === undefined && !values["all-double"])
    return tell(config, { down, single, double: values["all-double"] }, options)
  },
}

interface Wanted {
  readonly down: readonly Part[] | undefined
  readonly single: boolean
  readonly double: boolean
}

async function tell(
  config: ClusterConfig,
  { down, single, double }: Wanted,
  options: WhatIfOptions,
): Promise<number> {
  const { whatIf, partsOf, NeverActive } = await import("../simulation/what-if.ts")
  const parts = partsOf(config)
  const faults = [
    ...(down === undefined ? [] : [down]),
    ...(single ? parts.map((part) => [part]) : []),
    ...(double ? pairsOf(config, parts) : []),
  ]
  const widths = columnWidths(config, faults)
  print(row(widths, "LOST", "SERVICE", "ACTIVE", "WITHOUT"))
  const stopped: { readonly fault: string; readonly isAll: boolean; readonly isDouble: boolean }[] = []
  const violations: string[] = []
  for (const fault of faults) {
    let outcome: Outcome
    try {
      outcome = whatIf(config, fault, options)
    } catch (cause) {
      if (cause instanceof NeverActive) throw new CommandFailure(exitStatus.failed, cause.message)
      throw cause
    }
    const name = nameOf(config, fault)
    for (const service of outcome.services) print(lineOf(config, widths, name, service))
    const isAway = outcome.services.flatMap(({ before, after }) =>
      before.length === 0 ? [] : [after.length === 0],
    )
    if (isAway.includes(true))
      stopped.push({ fault: name, isAll: !isAway.includes(false), isDouble: fault.length > 1 })
    violations.push(...outcome.violations.map((violation) => `${name}: ${violation}`))
  }
  if (single)
    print(`\nsingle faults that stop a service: ${listOf(stopped.filter(({ isDouble }) => !isDouble))}`)
  if (double) {
    const pairs = stopped.filter(({ isDouble }) => isDouble)
    print(`\ndouble faults that stop everything: ${listOf(pairs.filter(({ isAll }) => isAll))}`)
    if (config.services.length > 1)
      print(`double faults that stop some services: ${listOf(pairs.filter(({ isAll }) => !isAll))}`)
  }
  for (const violation of violations) print(`INVARIANT BROKEN: ${violation}`)
  return violations.length === 0 ? exitStatus.done : exitStatus.failed
}

/** Each two different parts; a node of a lost site is lost already. */
function pairsOf(config: ClusterConfig, parts: readonly Part[]): readonly (readonly Part[])[] {
  const isWithin = (a: Part, b: Part): boolean =>
    a.kind === "node" && b.kind === "site" && config.nodes.find(({ id }) => id === a.node)?.site === b.site
  const isWider = (a: Part, b: Part): boolean => a.kind === "wan" && b.kind === "wan" && b.site === undefined
  return parts.flatMap((a, index) =>
    parts
      .slice(index + 1)
      .flatMap((b) => (isWithin(a, b) || isWithin(b, a) || isWider(a, b) ? [] : [[a, b]])),
  )
}

function readParts(config: ClusterConfig, text: string): readonly Part[] {
  return text.split(",").map((word) => {
    const part = readPart(config, word.trim())
    if (part !== undefined) return part
    const nodes = config.nodes.map(({ name }) => name)
    const sites = config.sites.map(({ name }) => `site:${name}`)
    const others = [
      ...(config.sites.length > 1 ? ["wan", ...config.sites.map(({ name }) => `wan:${name}`)] : []),
      ...(config.witness === undefined ? [] : ["witness"]),
    ]
    throw usageFailure(`--down ${word}: expected ${[...nodes, ...sites, ...others].join(", ")}`)
  })
}

function readPart(config: ClusterConfig, word: string): Part | undefined {
  const [kind, name] = word.split(":")
  const site = config.sites.find((each) => each.name === name)?.name
  if (word === "witness") return config.witness === undefined ? undefined : { kind: "witness" }
  if (kind === "site" && site !== undefined) return { kind: "site", site }
  if (kind === "wan" && config.sites.length > 1 && (name === undefined || site !== undefined))
    return { kind: "wan", site }
  const node = config.nodes.find((each) => each.name === word)
  return node === undefined ? undefined : { kind: "node", node: node.id }
}

function nameOf(config: ClusterConfig, parts: readonly Part[]): string {
  return parts.map((part) => partName(config, part)).join(" + ")
}

function partName(config: ClusterConfig, part: Part): string {
  switch (part.kind) {
    case "node":
      return nodeName(config, part.node)
    case "site":
      return `site:${part.site}`
    case "wan":
      return part.site === undefined ? "wan" : `wan:${part.site}`
    case "witness":
      return "witness"
  }
}

function nodeName(config: ClusterConfig, id: NodeId): string {
  return config.nodes.find((node) => node.id === id)?.name ?? String(id)
}

function lineOf(
  config: ClusterConfig,
  widths: readonly number[],
  fault: string,
  { service, before, after, isBlocked, longest, stoppedAfter = 0 }: ServiceOutcome,
): string {
  const names = (nodes: readonly NodeId[]) => nodes.map((id) => nodeName(config, id)).join(", ")
  const [from, to] = [names(before), names(after)]
  if (from === "") return row(widths, fault, service, to === "" ? "never" : `nobody -> ${to}`)
  if (to === "") {
    const how = isBlocked ? "BLOCKED: fence confirm" : "STOPS"
    return row(
      widths,
      fault,
      service,
      `${from} -> ${how}`,
      `for good, ${duration(stoppedAfter)} after the loss`,
    )
  }
  return row(widths, fault, service, from === to ? `${from} stays` : `${from} -> ${to}`, duration(longest))
}

function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.ceil(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`
}

function columnWidths(config: ClusterConfig, faults: readonly (readonly Part[])[]): readonly number[] {
  const longest = (texts: readonly string[]) => Math.max(...texts.map((text) => text.length))
  return [
    longest(["LOST", ...faults.map((fault) => nameOf(config, fault))]),
    longest(["SERVICE", ...config.services.map(({ name }) => name)]),
    longest(config.nodes.map(({ name }) => name)) + " -> BLOCKED: fence confirm".length,
  ]
}

function row(widths: readonly number[], ...cells: readonly string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join("  ")
    .trimEnd()
}

function listOf(faults: readonly { readonly fault: string }[]): string {
  return faults.length === 0 ? "none" : faults.map(({ fault }) => fault).join("; ")
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < min || value > max)
    throw usageFailure(`${option} ${text}: expected a whole number from ${min} to ${max}`)
  return value
}
