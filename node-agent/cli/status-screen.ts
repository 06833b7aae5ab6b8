/** The text of `quorumbeat status`. */
import type { NodeStatus } from "../core/status.ts"
import type { StatusAnswer } from "../host/control/local-api.ts"
import { judge } from "./status-verdict.ts"

/** Newest events shown; the rest is in the log. */
const eventsShown = 6

export function formatStatus(answer: StatusAnswer): string {
  const { status } = answer
  return [
    heading(answer),
    ...configurationLines(answer),
    "",
    ...rightsLines(status),
    "",
    ...peersTable(status),
    ...linksTable(status),
    ...sitesTable(status),
    ...servicesTable(status),
    ...eventLines(status),
  ].join("\n")
}

function heading(answer: StatusAnswer): string {
  const { cluster, node } = answer.status
  const verdict = judge(answer)
  const reasons = verdict.kind === "healthy" ? "" : `: ${verdict.reasons.join("; ")}`
  return `${cluster}  node ${node.name} (${node.id}) of site ${node.site}, incarnation ${node.incarnation}${node.standby ? ", standby" : ""}\n${verdict.kind}${reasons}\n`
}

function configurationLines({ status, host, age_ms }: StatusAnswer): readonly string[] {
  const { version, checksum, profile, agreed } = status.configuration
  const { ring } = status
  const members = ring === undefined ? "" : `  ring ${ring.id}: ${ring.members.join(" ")}`
  const { foreign_datagrams: foreign, oversized_datagrams: oversized, shed_datagrams: shed } = host
  const drops = Object.entries({ ...status.dropped_datagrams, foreign, oversized, shed }).flatMap(
    ([reason, count]) => (count > 0 ? [`${reason} ${count}`] : []),
  )
  return [
    `configuration  version ${version}, ${checksum.slice(0, 8)}, ${profile}, ${agreed ? "agreed" : "NOT AGREED"}`,
    `membership     ${status.membership}${members}`,
    `witness        ${status.witness.state}${witnessDetail(status)}`,
    `host           ${host.scheduling}, lateness ${host.lateness_ms} ms (worst ${host.lateness_worst_ms}), ` +
      `control started ${host.control_starts} times, picture ${age_ms} ms old`,
    ...host.realtime.map(realtimeLine),
    ...host.sockets.map(socketLine),
    ...gateLines(host.gate),
    ...(host.watchdog === undefined ? [] : [watchdogLine(host.watchdog)]),
    ...(drops.length === 0 ? [] : [`dropped        ${drops.join(", ")}`]),
  ]
}

function realtimeLine({ item, asked, got, reason }: StatusAnswer["host"]["realtime"][number]): string {
  const lead = "real time".padEnd(15)
  return reason === "" ? `${lead}${item}: ${got}` : `${lead}${item}: ${got}, asked ${asked} (${reason})`
}

function socketLine({
  link,
  address,
  open,
  missing,
  options,
}: StatusAnswer["host"]["sockets"][number]): string {
  const words = options.map(({ option, asked, got, reason }) =>
    reason === "" ? `${option} ${got}` : `${option} ${got}, asked ${asked} (${reason})`,
  )
  if (open && missing > 0) words.push(`none of its own for ${missing} peers`)
  return `${`socket ${link}`.padEnd(15)}${[open ? address : `${address} NOT OPEN`, ...words].join("; ")}`
}

function gateLines(gate: StatusAnswer["host"]["gate"]): readonly string[] {
  const lead = "gate".padEnd(15)
  switch (gate.kind) {
    case "none":
      return []
    case "ready":
      return [`${lead}ready${gate.owned ? "" : ", tables that others can change"}`]
    case "missing":
      return [`${lead}MISSING (${gate.reason}): services with proof "gate" cannot run here`]
  }
}

function watchdogLine(watchdog: NonNullable<StatusAnswer["host"]["watchdog"]>): string {
  const { device, state, kind, identity, timeout_s, nowayout, caused_last_boot, reason } = watchdog
  const words = [
    `${device} ${state === "failed" ? "FAILED" : state}`,
    ...(identity === "" ? [] : [`${identity} (${kind})`]),
    ...(timeout_s === undefined ? [] : [`timeout ${timeout_s} s`]),
    ...(nowayout ? ["nowayout: an orderly end resets the machine, too"] : []),
    ...(caused_last_boot ? ["it caused the last boot"] : []),
    ...(reason === "" ? [] : [reason]),
  ]
  return `watchdog       ${words.join(", ")}`
}

function witnessDetail({ witness }: NodeStatus): string {
  const parts = [
    ...(witness.reporter === undefined ? [] : [`reporter ${witness.reporter}`]),
    ...(witness.last_reply_ms === undefined ? [] : [`last reply ${duration(witness.last_reply_ms)} ago`]),
    ...(witness.reason === undefined ? [] : [witness.reason]),
  ]
  return parts.length === 0 ? "" : `, ${parts.join(", ")}`
}

function rightsLines({ rights }: NodeStatus): readonly string[] {
  const { voice, mandates } = rights
  const active = rights.active_in_ms > 0 ? `, acts in ${duration(rights.active_in_ms)}` : ""
  return [
    `ring lease     ${rights.ring_lease_ms === undefined ? "none" : duration(rights.ring_lease_ms)}${active}`,
    `voice          ${held(voice.held)} (${voice.by}), epoch ${voice.epoch}${remaining(voice.remaining_ms)}`,
    ...mandates.map((mandate) => {
      const holder = mandate.holder === undefined ? "" : `, holder ${mandate.holder}`
      const pledge = mandate.pledged_to === undefined ? "" : `, pledged to ${mandate.pledged_to}`
      const words = `${held(mandate.held)}, epoch ${mandate.epoch}${holder}${remaining(mandate.remaining_ms)}${pledge}`
      return `mandate        ${mandate.ticket}: ${words}`
    }),
  ]
}

function peersTable({ peers }: NodeStatus): readonly string[] {
  if (peers.length === 0) return []
  const rows = peers.map((peer) => [
    peer.name,
    peer.site,
    peer.standby ? `${peer.state}, standby` : peer.state,
    ago(peer.heard_ms),
    percent(peer.cpu_load_percent),
    percent(peer.memory_pressure_percent),
    clock(peer.clock_deviation_us, peer.clock_source),
    peer.lateness_ms === undefined ? "-" : `${peer.lateness_ms} ms`,
    peer.uplink ?? "-",
    peer.configuration_agrees === false ? "DIFFERS" : "",
  ])
  return table(["NODE", "SITE", "STATE", "HEARD", "CPU", "MEMORY", "CLOCK", "LATENESS", "UPLINK", ""], rows)
}

/** Jitter and loss of what comes in, then of what goes out. */
function linksTable({ peers }: NodeStatus): readonly string[] {
  const rows = peers.flatMap((peer) =>
    peer.links.map((link) => [
      peer.name,
      String(link.link),
      link.state,
      ago(link.in.heard_ms),
      link.rtt_ms === undefined ? "-" : `${link.rtt_ms} ms`,
      `${link.in.jitter_ms} / ${link.out?.jitter_ms ?? "-"} ms`,
      `${link.in.loss_percent} / ${link.out?.loss_percent ?? "-"} %`,
      link.reason ?? "",
    ]),
  )
  if (rows.length === 0) return []
  return table(["NODE", "LINK", "STATE", "HEARD", "RTT", "JITTER", "LOSS", ""], rows)
}

function sitesTable({ sites }: NodeStatus): readonly string[] {
  if (sites.length <= 1) return []
  return table(
    ["SITE", "STATE", "HEARD"],
    sites.map((site) => [site.name, site.state, ago(site.heard_ms)]),
  )
}

function servicesTable({ services }: NodeStatus): readonly string[] {
  if (services.length === 0) return []
  const rows = services.map((service) => [
    service.name,
    service.ticket,
    service.mode,
    service.state,
    service.owner ?? "-",
    service.epoch ?? "-",
    proofWord(service.safety),
    takeoverTimes(service.safety),
    [...failureWords(service), ...(service.reason === undefined ? [] : [service.reason])].join("; "),
  ])
  return table(["SERVICE", "TICKET", "MODE", "STATE", "OWNER", "EPOCH", "PROOF", "TAKEOVER", ""], rows)
}

type ServiceSafety = NodeStatus["services"][number]["safety"]

function proofWord(safety: ServiceSafety): string {
  if (safety === undefined) return "-"
  const words = safety.grade.replace("-", " ")
  return safety.grade === "operator-only" ? words.toUpperCase() : words
}

/** The longest by another node, then by another site. */
function takeoverTimes(safety: ServiceSafety): string {
  const times = [safety?.takeover_ms, safety?.site_takeover_ms].flatMap((time) =>
    time === undefined ? [] : [duration(time)],
  )
  return times.length === 0 ? "-" : `<= ${times.join(" / ")}`
}

function failureWords(service: NodeStatus["services"][number]): readonly string[] {
  const { failures, migration_threshold: threshold } = service
  if (failures.length === 0) return []
  return [`failures ${failures.map(({ node, count }) => `${node} ${count} of ${threshold}`).join(", ")}`]
}

function eventLines({ events }: NodeStatus): readonly string[] {
  return events.slice(-eventsShown).map((event) => {
    const time = new Date(event.at_ms).toISOString().slice(11, 19)
    return `${time}  ${event.kind}  ${event.subject}  ${event.detail}`.trimEnd()
  })
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  return [line(header), ...rows.map(line), ""]
}

const held = (isHeld: boolean): string => (isHeld ? "held" : "not held")
const ago = (time: number | undefined): string => (time === undefined ? "-" : duration(time))
const percent = (value: number | undefined): string => (value === undefined ? "-" : `${value} %`)

function clock(deviation: number | undefined, source: string | undefined): string {
  if (source === undefined) return "-"
  return deviation === undefined || source === "none" ? source : `${source} ${deviation} us`
}

function remaining(time: number | undefined): string {
  return time === undefined ? "" : `, ${duration(time)} left`
}

function duration(time: number): string {
  return time < 1_000 ? `${Math.round(time)} ms` : `${(time / 1_000).toFixed(1)} s`
}
