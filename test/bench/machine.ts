/** What the figures were measured on. */
import { existsSync, readFileSync } from "node:fs"
import { cpus, loadavg, release, totalmem, version } from "node:os"

export function describeMachine(): readonly string[] {
  const [first] = cpus()
  return [
    `processor  ${cpus().length} x ${first?.model.trim() ?? "unknown"}${isVirtual() ? " (virtual machine)" : ""}`,
    `memory     ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `kernel     ${release()} ${version()}`,
    `node       ${process.versions.node}`,
    `user       ${process.getuid?.() === 0 ? "root" : "not root: no SCHED_FIFO unless it has CAP_SYS_NICE"}`,
    `load       ${loadavg()
      .map((value) => value.toFixed(2))
      .join(" ")} before the first run`,
  ]
}

function isVirtual(): boolean {
  const path = "/proc/cpuinfo"
  return existsSync(path) && / hypervisor /.test(readFileSync(path, "utf8"))
}
