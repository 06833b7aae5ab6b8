/**
 * What the members of a site agree on: services, operator settings, confirmations. A pure reducer: every member applies
 * the same messages in the same order and has the same state (SPEC I4).
 */

import type { ClusterConfig } from "../../protocol/cluster.ts"
import { epoch, type NodeId, type ServiceName, type SiteId } from "../../protocol/units.ts"
import type { OperatorCommand } from "./events.ts"
import type { Message } from "./messages.ts"
import type { Assignment, OrderedState, Phase, ServiceRecord, StateNumber } from "./state.ts"

/** Where and by whom a message was ordered. */
export interface Ordering extends StateNumber {
  readonly origin: NodeId
  readonly site: SiteId
}

/** Of a state in which nothing was ever ordered. */
export const noNumber: StateNumber = { voice: 0, ring: 0, representative: 0, seq: 0 }

export function initialState(config: ClusterConfig): OrderedState {
  return {
    number: noNumber,
    changed: noNumber,
    voiceEpoch: epoch(0),
    services: config.services.map((service) => ({
      service: service.name,
      mode: service.mode,
      wanted: service.mode === "automatic" ? "running" : "stopped",
      assignment: undefined,
      preferred: undefined,
      summoned: false,
      failures: [],
      failed: undefined,
      doubt: false,
      unstopped: [],
      provenAt: epoch(0),
      maintenance: undefined,
    })),
    moves: [],
    confirmations: [],
    commands: [],
    standby: undefined,
    maintenance: undefined,
  }
}

/** In maintenance, by itself or with all of the site (SPEC S17): nothing is started, stopped or moved. */
export function isLeftAlone(state: OrderedState, service: ServiceName): boolean {
  const record = state.services.find((each) => each.service === service)
  return state.maintenance === true || record?.maintenance === true
}

/** The state after one more message. `number` always moves on, `changed` only if anything else did. */
export function applyOrdered(state: OrderedState, message: Message, at: Ordering): OrderedState {
  const next = reduce(state, message, at)
  const { voice, ring, representative, seq } = at
  const number: StateNumber = { voice, ring, representative, seq }
  return next === state ? { ...state, number } : { ...next, number, changed: number }
}

/** Both are of one view. */
export function sameView(a: StateNumber, b: StateNumber): boolean {
  return a.voice === b.voice && a.ring === b.ring && a.representative === b.representative
}

export function compareNumbers(a: StateNumber, b: StateNumber): number {
  return a.voice - b.voice || a.ring - b.ring || a.seq - b.seq
}

function reduce(state: OrderedState, message: Message, at: Ordering): OrderedState {
  switch (message.kind) {
    case "assign": {
      const activation = `${message.mandate}.${message.voice}.${at.ring}.${at.seq}`
      const { node: owner, incarnation } = message
      const assignment: Assignment = { owner, incarnation, epoch: activation, revoked: false }
      const voiceEpoch = epoch(Math.max(state.voiceEpoch, message.voice))
      return {
        ...withService(state, message.service, (record) => ({
          ...record,
          assignment,
          summoned: false,
          failed: undefined,
          doubt: false,
          unstopped: [],
          provenAt: message.mandate,
        })),
        voiceEpoch,
      }
    }
    case "revoke":
      return withService(state, message.service, (record) =>
        record.assignment?.epoch === message.epoch && !record.assignment.revoked
          ? { ...record, assignment: { ...record.assignment, revoked: true } }
          : record,
      )
    case "phase":
      return withService(state, message.service, (record) => afterPhase(record, message, at.origin))
    case "command":
    case "setting":
      return afterCommand(state, message, at)
    case "forget":
      return withService(state, message.service, (record) => forgotten(record, message))
    case "unpledge":
      return message.site === at.site ? withoutMove(state, message.ticket) : state
    case "report":
    case "memo":
    case "configure":
    case "activate":
    case "pledge":
    case "voice":
    case "recorded":
    case "pin":
    case "accept":
    case "departing":
    case "departed":
    case "coordinator":
    case "event":
      return state
  }
}

/** A stop told by the owner itself is the proof `released`; a failure counts against the node. */
function afterPhase(
  before: ServiceRecord,
  message: Message & { readonly kind: "phase" },
  origin: NodeId,
): ServiceRecord {
  const record = withPhase(before, origin, message.phase)
  const released =
    message.phase === "stopped" &&
    record.assignment?.owner === origin &&
    record.assignment.epoch === message.epoch
  if (!released) return record
  if (!message.failed) return { ...record, assignment: undefined }
  const { resource } = message
  const failed = resource === undefined ? undefined : { node: origin, resource }
  return { ...record, assignment: undefined, failures: counted(record, origin), failed }
}

/** Notes whether a node is known to have stopped the service. */
export function withPhase(record: ServiceRecord, node: NodeId, phase: Phase): ServiceRecord {
  const listed = record.unstopped.includes(node)
  if (listed === (phase !== "stopped")) return record
  const others = record.unstopped.filter((each) => each !== node)
  return { ...record, unstopped: listed ? others : [...others, node] }
}

function counted(record: ServiceRecord, node: NodeId): ServiceRecord["failures"] {
  const before = record.failures.find((failure) => failure.node === node)?.count ?? 0
  return [...record.failures.filter((failure) => failure.node !== node), { node, count: before + 1 }]
}

/** Only what was known when it was said: a later failure counts. */
function forgotten(
  record: ServiceRecord,
  { node, count }: Message & { readonly kind: "forget" },
): ServiceRecord {
  const others = record.failures.filter((failure) => failure.node !== node || failure.count !== count)
  return others.length === record.failures.length ? record : { ...record, failures: others }
}

function afterCommand(
  state: OrderedState,
  message: Message & { readonly kind: "command" | "setting" },
  at: Ordering,
): OrderedState {
  const same = (entry: OrderedState["commands"][number]) => entry.node === at.origin
  const last = state.commands.find(same)
  const seenBefore =
    last !== undefined &&
    (last.incarnation > message.incarnation ||
      (last.incarnation === message.incarnation && last.number >= message.number))
  if (seenBefore) return state
  const commands = [
    ...state.commands.filter((entry) => !same(entry)),
    { node: at.origin, incarnation: message.incarnation, number: message.number },
  ]
  return { ...obey(state, message.command), commands }
}

const noFailures = { failures: [], failed: undefined }

function obey(state: OrderedState, command: OperatorCommand): OrderedState {
  switch (command.kind) {
    case "service-start":
      return withService(state, command.service, (record) => ({
        ...record,
        wanted: "running",
        summoned: true,
        ...noFailures,
      }))
    case "service-stop":
      return withService(state, command.service, (record) => ({ ...record, wanted: "stopped" }))
    case "service-automatic":
      return withService(state, command.service, (record) => ({ ...record, mode: "automatic" }))
    case "service-manual":
      return withService(state, command.service, (record) => ({ ...record, mode: "manual" }))
    case "service-cleanup":
      return withService(state, command.service, (record) => ({ ...record, ...noFailures }))
    case "service-move": {
      const { to } = command
      return withService(state, command.service, (record) => ({
        ...record,
        preferred: to,
        wanted: "running",
        summoned: true,
      }))
    }
    case "ticket-move":
      return {
        ...state,
        moves: [
          ...state.moves.filter((move) => move.ticket !== command.ticket),
          { ticket: command.ticket, site: command.to },
        ],
      }
    case "fence-confirm": {
      const { node, incarnation, mandates } = command
      if (incarnation === undefined || mandates === undefined) return state
      const confirmed = { node, incarnation, mandates }
      return {
        ...state,
        confirmations: [...state.confirmations.filter((entry) => entry.node !== command.node), confirmed],
      }
    }
    case "node-standby":
      return { ...state, standby: [...standbyBut(state, command.node), command.node] }
    case "node-online": {
      const others = standbyBut(state, command.node)
      return { ...state, standby: others.length === 0 ? undefined : others }
    }
    case "maintenance-on":
    case "maintenance-off": {
      const maintenance = command.kind === "maintenance-on" ? true : undefined
      return command.service === undefined
        ? { ...state, maintenance }
        : withService(state, command.service, (record) => ({ ...record, maintenance }))
    }
    case "witness-accept":
    case "configure":
      return state
  }
}

function standbyBut({ standby = [] }: OrderedState, node: NodeId): readonly NodeId[] {
  return standby.filter((each) => each !== node)
}

function withService(
  state: OrderedState,
  service: ServiceName,
  change: (record: ServiceRecord) => ServiceRecord,
): OrderedState {
  let changed = false
  const services = state.services.map((record) => {
    if (record.service !== service) return record
    const after = change(record)
    changed ||= after !== record
    return after
  })
  return changed ? { ...state, services } : state
}

function withoutMove(state: OrderedState, ticket: string): OrderedState {
  const moves = state.moves.filter((move) => move.ticket !== ticket)
  return moves.length === state.moves.length ? state : { ...state, moves }
}
