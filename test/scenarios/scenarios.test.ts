/** Plays every script of this folder; `RECORD=1` writes the traces anew. Explain each line that changes. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { playScenario, titleOf } from "../support/scenario.ts"

const isRecording = process.env.RECORD === "1"
const folder = import.meta.dirname
const scripts = readdirSync(folder)
  .filter((name) => name.endsWith(".txt"))
  .map((name) => ({ path: join(folder, name), text: readFileSync(join(folder, name), "utf8") }))

test.each(scripts.map((script) => ({ ...script, title: titleOf(script.text) })))(
  "$title",
  ({ path, text }) => {
    const played = playScenario(text)
    if (isRecording) writeFileSync(path, played)
    else expect(played).toBe(text)
    expect(played).not.toMatch(/VIOLATION|NOT AFTER/)
  },
)
