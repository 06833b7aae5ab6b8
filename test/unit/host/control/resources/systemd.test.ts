// systemctl is a stand-in here, and so is the control group: the real ones are in the virtual machine of test/vm.

import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { SystemdResource } from "../../../../../node-agent/host/control/resources/systemd.ts"
import { millis, serviceName } from "../../../../../protocol/units.ts"
import { inMilliseconds, temporaryDirectory } from "../../fixtures.ts"

/** Its systemctl prints `shown`, and `stop` ends with `stopStatus`; the control group says `populated`. */
function unit(
  shown: Readonly<Record<string, string>>,
  populated?: boolean,
  { stopStatus = 0, mounted = "cgroup" }: { readonly stopStatus?: number; readonly mounted?: string } = {},
) {
  const directory = temporaryDirectory()
  const group = join(directory, mounted, "system.slice/db.service")
  mkdirSync(group, { recursive: true })
  if (populated !== undefined)
    writeFileSync(join(group, "cgroup.events"), `populated ${populated ? 1 : 0}\nfrozen 0\n`)
  const lines = Object.entries(shown).map(([name, value]) => `${name}=${value}`)
  const systemctl = join(directory, "systemctl")
  const script = `#!/bin/sh\ncase $1 in\nshow) cat <<'END'\n${lines.join("\n")}\nEND\n;;\nstop) exit ${stopStatus} ;;\nesac\n`
  writeFileSync(systemctl, script, { mode: 0o755 })
  const limits = {
    startTimeout: millis(5_000),
    stopTimeout: millis(5_000),
    monitorTimeout: millis(5_000),
    monitorInterval: millis(60_000),
  }
  return new SystemdResource(
    { kind: "systemd", name: "db", unit: "db.service", ...limits },
    { service: serviceName("db"), runtimeDirectory: directory, environment: {}, printed: () => undefined },
    { systemctl, controlGroups: join(directory, "cgroup") },
  )
}

const inactive = { ActiveState: "inactive", ControlGroup: "/system.slice/db.service", Slice: "system.slice" }
const forgotten = { ...inactive, ControlGroup: "" }
const goOn = "the unit is inactive, but processes of it go on: see its KillMode"

describe("[H7] a unit", () => {
  it("that is inactive, with processes left, beside groups of version 1", async () => {
    const resource = unit(inactive, true, { mounted: "cgroup/unified" })
    expect(await resource.monitor().finding).toEqual({ kind: "failed", reason: goOn })
    resource.close()
  })

  it.each<[string, Readonly<Record<string, string>>, boolean | undefined, object]>([
    ["active", { ActiveState: "active" }, true, { kind: "running" }],
    ["reloading", { ActiveState: "reloading" }, true, { kind: "running" }],
    [
      "on its way",
      { ActiveState: "deactivating" },
      true,
      { kind: "failed", reason: "monitor: the unit is deactivating" },
    ],
    ["inactive, its group gone", inactive, undefined, { kind: "stopped" }],
    ["inactive, its group empty", inactive, false, { kind: "stopped" }],
    ["failed", { ...inactive, ActiveState: "failed" }, false, { kind: "stopped" }],
    ["inactive, with processes left (KillMode=process)", inactive, true, { kind: "failed", reason: goOn }],
    ["inactive, and systemd has forgotten the group", forgotten, true, { kind: "failed", reason: goOn }],
  ])("that is %s", async (_, shown, populated, expected) => {
    const resource = unit(shown, populated)
    expect(await resource.monitor().finding).toEqual(expected)
    resource.close()
  })

  it.each<[string, () => SystemdResource, string | undefined]>([
    ["has ended", () => unit(inactive, false), undefined],
    ["left processes behind", () => unit(inactive, true), goOn],
    ["was started anew meanwhile", () => unit({ ActiveState: "active" }, true), "the unit is active again"],
    ["could not be stopped", () => unit(inactive, true, { stopStatus: 1 }), "systemctl: exit status 1"],
  ])("[H6] a stop of a unit that %s", async (_, made, expected) => {
    const resource = made()
    expect(await resource.stop("1.1.1").failure).toBe(expected)
    resource.close()
  })

  it("is started with the epoch in its file of variables", async () => {
    const resource = unit(inactive)
    expect(await resource.start("1.2.3", inMilliseconds(5_000)).failure).toBeUndefined()
    resource.close()
  })
})
