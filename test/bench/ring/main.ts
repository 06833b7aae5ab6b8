/**
 * `npm run bench:ring`: the ring as it grows, beside Corosync, under full load and under attack. Real processes in network
 * namespaces of one machine; prints tables, decides nothing. Ends with status 1 if something could not be measured.
 */
import { parseArgs } from "node:util"
import type { ProfileName } from "../../../protocol/cluster.ts"
import { createWorkplace, endEverythingAtExit, removeWorkplace } from "../../support/cluster/workplace.ts"
import { describeMachine } from "../machine.ts"
import { hostile } from "./hostile.ts"
import { type Bench, corosyncSizes, quorumbeatSizes, virtualSizes } from "./sizes.ts"
import { stress } from "./stress.ts"
import { threeSites } from "./three-sites.ts"

const usage = `Usage: npm run bench:ring -- [options] [part ...]

Needs root and iproute2, and for some parts: apt-get install corosync stress-ng

Parts (all but stress):
  sizes      kill -9 of the service's owner until all others have a new view, and until it runs elsewhere; processor, memory,
             packets and bytes of a node; for each size and profile
  corosync   the same for Corosync from Debian's packages: defaults, token 1000, and tuned
  virtual    the protocol alone, in virtual time
  sites      thirty agents as three sites of ten: owners die, then a whole site
  stress     so many minutes of stress-ng --cpu 4: views that changed, leases that lapsed, the largest lateness
  hostile    100,000 datagrams a second of each hostile kind: what they cost, and whether the ring keeps its lease

  --sizes=LIST       nodes (3,8,16,30)
  --profiles=LIST    of industrial, energy, relaxed (industrial,energy)
  --repeats=N        kills (10)
  --minutes=N        of stress for each size and profile (10)
  --seconds=N        of each hostile kind (10)
  --rate=N           hostile datagrams a second (100000)
  --keep             keep the folder with logs`

const parts = {
  ...{ sizes: quorumbeatSizes, corosync: corosyncSizes, virtual: virtualSizes },
  ...{ sites: threeSites, stress, hostile },
}
type Part = keyof typeof parts
const usual: readonly Part[] = ["sizes", "corosync", "virtual", "sites", "hostile"]

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      sizes: { type: "string", default: "3,8,16,30" },
      profiles: { type: "string", default: "industrial,energy" },
      repeats: { type: "string", default: "10" },
      minutes: { type: "string", default: "10" },
      seconds: { type: "string", default: "10" },
      rate: { type: "string", default: "100000" },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  })
  const sizes = values.sizes.split(",").map(Number)
  const profiles = values.profiles.split(",").filter(isProfile)
  const [repeats, minutes, seconds, rate] = [values.repeats, values.minutes, values.seconds, values.rate].map(
    Number,
  )
  const chosen = positionals.length === 0 ? usual : positionals.filter(isPart)
  const isGood =
    chosen.length >= positionals.length &&
    sizes.every((size) => Number.isInteger(size) && size >= 2 && size <= 30) &&
    profiles.length === values.profiles.split(",").length
  if (values.help || !isGood || !repeats || !minutes || !seconds || !rate) {
    say(usage)
    return values.help ? 0 : 2
  }
  endEverythingAtExit()
  for (const line of describeMachine()) say(line)
  const workplace = await createWorkplace("bench-ring")
  let failures = 0
  const fail = (what: string, cause: unknown): void => {
    failures += 1
    say(`  ${what}: FAILED: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  const bench: Bench = { workplace, sizes, profiles, repeats, minutes, seconds, rate, say, fail }
  const from = performance.now()
  for (const part of chosen) {
    try {
      await parts[part](bench)
    } catch (cause) {
      fail(part, cause)
    }
  }
  say(`\n${Math.round((performance.now() - from) / 60_000)} minutes`)
  if (values.keep) say(`\nlogs: ${workplace.directory}`)
  else removeWorkplace(workplace)
  return failures === 0 ? 0 : 1
}

function isPart(name: string): name is Part {
  return Object.hasOwn(parts, name)
}

function isProfile(name: string): name is ProfileName {
  return ["industrial", "energy", "relaxed"].includes(name)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

process.exit(await main())
