// A real kernel with an emulated watchdog of hardware, and the real agent in it: one fault of those that
// `npm run test:vm` goes through.

import { expect, it } from "vitest"
import { createWorkplace, removeWorkplace } from "../support/cluster/workplace.ts"
import { describeNeeding } from "../support/needs.ts"
import { makeImage, missingTools } from "../vm/image.ts"
import { runMachine } from "../vm/machine.ts"
import { nameOf, scenarios } from "../vm/scenarios.ts"
import { judge } from "../vm/verdict.ts"

const scenario = scenarios.find((each) => nameOf(each) === "i6300esb:stop")
const missing = process.arch === "x64" ? missingTools() : ["a machine of kind x64"]

describeNeeding(missing, "a virtual machine with a watchdog", () => {
  it("[WD2] is reset when the agent in it stands still", { timeout: 400_000 }, async () => {
    if (scenario === undefined) throw new Error("no such scenario")
    const workplace = await createWorkplace("vm")
    try {
      const outcome = await runMachine(makeImage(workplace.program, workplace.directory), scenario)
      expect({ complaints: judge(scenario, outcome), lines: outcome.lines }).toEqual({
        complaints: [],
        lines: outcome.lines,
      })
    } finally {
      removeWorkplace(workplace)
    }
  })
})
