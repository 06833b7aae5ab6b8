/**
 * Ends what a test file has started if the file's own process cannot: interrupted, or killed by the test runner. Forked
 * with a channel by `lab.ts`, which names each process that leads a group; when the channel closes the groups are ended.
 */
const groups = new Set<number>()

process.on("message", (pid: number) => groups.add(pid))
process.on("disconnect", () => {
  for (const group of groups) end(group)
  process.exit()
})

function end(group: number): void {
  try {
    process.kill(-group, "SIGKILL")
  } catch {
    // Ended by the test itself, or never the leader of a group.
  }
}
