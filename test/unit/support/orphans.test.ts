import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { memory, removeOrphans } from "../../support/orphans.ts"

test("what a process that is gone left in memory is removed; of one that runs nothing", () => {
  const prefix = `quorumbeat-orphans-${process.pid}-`
  // No process has a number above the kernel's own limit.
  const [gone, here] = [4_194_305, process.pid].map((id) => mkdtempSync(join(memory, `${prefix}${id}-`)))
  try {
    removeOrphans(prefix)
    expect([gone, here].map((folder) => existsSync(folder ?? ""))).toEqual([false, true])
  } finally {
    rmSync(here ?? "", { recursive: true, force: true })
  }
})
