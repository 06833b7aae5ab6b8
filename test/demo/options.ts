/** What `npm run demo --` takes. */
import { parseArgs } from "node:util"
import { type Break, breaks } from "./breaks.ts"

export interface DemoOptions {
  readonly broken: Break | undefined
  readonly stay: boolean
  readonly keep: boolean
  readonly basePort: number | undefined
}

export const usage = `Usage: npm run demo -- [options]

Plays the main job on this machine: two sites of two nodes, a witness, a WAN that is cut, nodes and a whole site that are
killed; and checks that at every instant one node at most runs the service. Exit status 0 only if everything passed.

  --break=RULE      take one safety rule out of the program; the demo must then fail:
${breaks.map(({ name, explanation }) => `                      ${name}\n                        ${explanation}`).join("\n")}
  --stay            leave everything running afterwards, and say how to look around
  --keep            keep the folder with logs, traces and keys (kept anyway when something fails)
  --base-port=PORT  first of 20 ports to use (a free block)`

/** A text: what is wrong with the options. */
export function readOptions(parameters: readonly string[]): DemoOptions | string {
  try {
    const { values } = parseArgs({
      args: [...parameters],
      options: {
        break: { type: "string" },
        stay: { type: "boolean", default: false },
        keep: { type: "boolean", default: false },
        "base-port": { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    })
    if (values.help) return usage
    const broken = breaks.find((each) => each.name === values.break)
    if (values.break !== undefined && broken === undefined) {
      return `--break=${values.break}: expected ${breaks.map((each) => each.name).join(", ")}`
    }
    const port = values["base-port"] === undefined ? undefined : Number(values["base-port"])
    if (port !== undefined && !(Number.isInteger(port) && port >= 1024 && port <= 65_500)) {
      return `--base-port=${values["base-port"]}: expected a number from 1024 to 65500`
    }
    return { broken, stay: values.stay, keep: values.keep, basePort: port }
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}
