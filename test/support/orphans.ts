/** What processes that were killed have left in memory: files and folders whose names carry the process's id. */
import { existsSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"

export const memory = "/dev/shm"

/** `prefix` stands before the id. What belongs to a process that is still there stays. */
export function removeOrphans(...prefixes: readonly string[]): void {
  if (!existsSync(memory)) return
  for (const name of readdirSync(memory)) {
    const id = prefixes.flatMap((prefix) =>
      name.startsWith(prefix) ? (/^\d+/.exec(name.slice(prefix.length)) ?? []) : [],
    )[0]
    if (id !== undefined && !existsSync(`/proc/${id}`))
      rmSync(join(memory, name), { recursive: true, force: true })
  }
}
