/** What a status means, in one word and its reasons. */
import type { StatusAnswer } from "../host/control/local-api.ts"

export type Verdict =
  | { readonly kind: "healthy" }
  | { readonly kind: "degraded"; readonly reasons: readonly string[] }
  | { readonly kind: "no-rights"; readonly reasons: readonly string[] }
  | { readonly kind: "hangs"; readonly reasons: readonly string[] }

/** Exit statuses of `quorumbeat status`. */
export const verdictStatus: Readonly<Record<Verdict["kind"], number>> = {
  healthy: 0,
  degraded: 1,
  "no-rights": 2,
  hangs: 3,
}

/** Pictures come every second: five missing ones are no coincidence. */
const ageMax = 5_000

export function judge({ age_ms, status, host }: StatusAnswer): Verdict {
  if (age_ms > ageMax) {
    return { kind: "hangs", reasons: [`the real-time process has said nothing for ${age_ms} ms`] }
  }
  if (status.membership !== "operational") {
    return { kind: "no-rights", reasons: [`membership is ${status.membership}`] }
  }
  if (!status.rights.voice.held)
    return { kind: "no-rights", reasons: ["this view has no voice for its site"] }
  const reasons = [...degradations(status), ...(host.gate.kind === "missing" ? ["the gate is missing"] : [])]
  return reasons.length === 0 ? { kind: "healthy" } : { kind: "degraded", reasons }
}

function degradations(status: StatusAnswer["status"]): readonly string[] {
  const { peers, sites, services, witness, configuration, maintenance } = status
  const witnessIsFine = witness.state === "ok" || witness.state === "none"
  return [
    ...(configuration.agreed ? [] : ["the nodes' configurations differ"]),
    ...(witnessIsFine ? [] : [`the witness is ${witness.state}`]),
    ...peers.filter((peer) => peer.state !== "alive").map((peer) => `node ${peer.name} is ${peer.state}`),
    ...peers
      .filter((peer) => peer.state === "alive")
      .flatMap((peer) =>
        peer.links
          .filter(({ state }) => state === "down")
          .map(({ link }) => `link ${link} to ${peer.name} is down`),
      ),
    ...sites.filter((site) => site.state === "silent").map((site) => `site ${site.name} is silent`),
    ...(maintenance ? ["the site is in maintenance"] : []),
    ...services
      .filter((service) => service.maintenance && !maintenance)
      .map((service) => `service ${service.name} is in maintenance`),
    ...services
      .filter((service) => ["blocked", "failed"].includes(service.state))
      .map((service) => `service ${service.name} is ${service.state}`),
    ...services.flatMap(({ name, safety }) =>
      (safety?.problems ?? []).map((problem) => `service ${name}: ${problem}`),
    ),
  ]
}
