/**
 * What has changed between two pictures of a node, as its hooks are told (SPEC H18): peers, view, voice, mandates, services. Pure.
 * What lasted less than the time between two pictures is passed over.
 */
import type { NodeStatus } from "../../../core/status.ts"

export interface Transition {
  readonly what: "peer" | "view" | "voice" | "mandate" | "service"
  /** The peer, site, ticket or service; of a view the site. */
  readonly subject: string
  /** Empty: it is the first picture. */
  readonly from: string
  readonly to: string
  /** More variables, by their names without the prefix. */
  readonly more: Readonly<Record<string, string>>
}

/** `before` is undefined for the first picture: everything is told as it is then. */
export function transitionsBetween(before: NodeStatus | undefined, after: NodeStatus): readonly Transition[] {
  const known = new Map(before === undefined ? [] : states(before).map((each) => [keyOf(each), each]))
  return states(after).flatMap((state) => {
    const { to: from = "", more } = known.get(keyOf(state)) ?? {}
    const isSame = from === state.to && JSON.stringify(more) === JSON.stringify(state.more)
    return isSame ? [] : [{ ...state, from }]
  })
}

type State = Omit<Transition, "from">

function keyOf({ what, subject }: State): string {
  return `${what} ${subject}`
}

function states({ node, ring, rights, peers, services }: NodeStatus): readonly State[] {
  const members = ring?.members.join(" ") ?? ""
  return [
    { what: "view", subject: node.site, to: ring?.id ?? "none", more: { MEMBERS: members } },
    { what: "voice", subject: node.site, to: rights.voice.held ? "held" : "not-held", more: {} },
    ...rights.mandates.map(({ ticket, held, epoch }): State => {
      return {
        what: "mandate",
        subject: ticket,
        to: held ? "held" : "not-held",
        more: { EPOCH: String(epoch) },
      }
    }),
    ...peers.map(({ name, state }): State => ({ what: "peer", subject: name, to: state, more: {} })),
    ...services.map(({ name, state, owner = "", epoch = "" }): State => {
      return { what: "service", subject: name, to: state, more: { OWNER: owner, EPOCH: epoch } }
    }),
  ]
}
