/** The demo can fail only while its patches fit the source: a rule that was rewritten must take its patch along. */
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { breaks } from "../../demo/breaks.ts"

describe("patches of the demo", () => {
  const patches = breaks.flatMap(({ name, patches }) => patches.map((patch) => ({ name, ...patch })))

  test.each(patches)("$name finds its place in $file exactly once", ({ file, find }) => {
    expect(readFileSync(file, "utf8").split(find)).toHaveLength(2)
  })
})
