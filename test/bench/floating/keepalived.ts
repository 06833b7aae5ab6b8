/** keepalived as Debian packages it: VRRP version 3, all nodes BACKUP, no preemption. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Stage } from "../../support/floating/stage.ts"
import type { System } from "./system.ts"

export function keepalived(name: string, title: string, advertisement: number, isRealtime: boolean): System {
  const folder = (stage: Stage, node: string): string => join(stage.directory, `keepalived-${node}`)
  return {
    name,
    title,
    async prepare(stage) {
      for (const [index, node] of stage.nodes.entries()) {
        mkdirSync(folder(stage, node), { recursive: true })
        writeFileSync(
          join(folder(stage, node), "keepalived.conf"),
          `global_defs {
  router_id ${node}
  vrrp_version 3
${isRealtime ? "  vrrp_rt_priority 50\n" : ""}}
vrrp_instance address {
  state BACKUP
  nopreempt
  interface eth0
  virtual_router_id 51
  priority ${150 - 10 * index}
  advert_int ${advertisement}
  virtual_ipaddress {
    ${stage.floating.ipv4}/24 dev eth0
  }
}
`,
          { mode: 0o600 },
        )
      }
    },
    startOne(stage, node) {
      const own = folder(stage, node)
      const files = ["-p", join(own, "pid"), "-r", join(own, "vrrp.pid"), "-f", join(own, "keepalived.conf")]
      // A pid file left by kill -9 would keep it from starting.
      const start = `rm -f ${own}/*.pid; exec keepalived --dont-fork --log-console --vrrp ${files.join(" ")}`
      return stage.spawn(node, "keepalived", ["sh", "-c", start])
    },
    // It knows no membership: a parent and its VRRP process are all there is.
    async isWhole(stage) {
      return stage.nodes.every((node) => stage.processesOf(node).length >= 2)
    },
  }
}
