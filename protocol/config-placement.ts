/** The keys of a `[[service]]` table that say where it goes when something has happened (SPEC S10), and their checks. */
import type { PlacementRules } from "./cluster.ts"
import { bounds } from "./config-bounds.ts"
import { checkNameList } from "./config-checks.ts"
import type { Draft } from "./config-draft.ts"
import { integer, plainName } from "./config-leaves.ts"
import { has, list, optional, refuse, type Table } from "./config-reader.ts"
import { defaults } from "./profiles.ts"
import { type Millis, millis, serviceName } from "./units.ts"

export interface PlacementDraft {
  readonly migrationThreshold: number | undefined
  readonly failureTimeoutSeconds: number | undefined
  readonly antiAffinity: readonly (string | undefined)[] | undefined
  readonly failbackAfterSeconds: number | undefined
}

export const placementKeys = ["migration_threshold", "failure_timeout_s", "anti_affinity", "failback_after_s"]

export function readPlacement(service: Table): PlacementDraft {
  const seconds = (key: string) => optional(service, key, integer(1, bounds.placementSeconds), undefined)
  return {
    migrationThreshold: optional(
      service,
      "migration_threshold",
      integer(1, bounds.failures),
      defaults.migrationThreshold,
    ),
    failureTimeoutSeconds: seconds("failure_timeout_s"),
    antiAffinity: has(service, "anti_affinity")
      ? list(service, "anti_affinity", () => plainName, {
          min: 1,
          max: bounds.services,
          noun: "names of services",
        })
      : undefined,
    failbackAfterSeconds: seconds("failback_after_s"),
  }
}

/** Written-out defaults are none: they must not change the checksum. */
export function completePlacement(draft: PlacementDraft): PlacementRules {
  const { migrationThreshold, failureTimeoutSeconds, antiAffinity, failbackAfterSeconds } = draft
  const names = antiAffinity?.flatMap((name) => (name === undefined ? [] : [serviceName(name)]))
  return {
    migrationThreshold: migrationThreshold === defaults.migrationThreshold ? undefined : migrationThreshold,
    failureTimeout: duration(failureTimeoutSeconds),
    antiAffinity: names?.sort(),
    failbackAfter: duration(failbackAfterSeconds),
  }
}

function duration(seconds: number | undefined): Millis | undefined {
  return seconds === undefined ? undefined : millis(1000 * seconds)
}

export function checkPlacement(draft: Draft): void {
  const names = draft.services.flatMap(({ name }) => (name === undefined ? [] : [name]))
  for (const service of draft.services) {
    const { migrationThreshold, antiAffinity = [] } = service.placement
    const others = names.filter((name) => name !== service.name)
    checkNameList(service.table, "anti_affinity", antiAffinity, others)
    for (const { table, restartLimit } of service.resources) {
      if (restartLimit === undefined || migrationThreshold === undefined || restartLimit < migrationThreshold)
        continue
      const figures = `${restartLimit} < ${migrationThreshold} is false`
      refuse(table, "restart_limit", `[C14] restart_limit < migration_threshold: ${figures}`)
    }
  }
}
