/**
 * The wire shape of the signed documents (`summaries.ts`): unknown JSON in, typed and branded values out. Bounds stand
 * here, each with its reason; a document outside of them is refused as a whole.
 */
import * as v from "valibot"
import {
  type LeaseClaim,
  type LeaseHolder,
  type LeaseName,
  type LeaseSummary,
  memoBytesMax,
} from "./lease.ts"
import { epoch, incarnation, millis, nodeId, serviceName, siteId, ticketName, wallTime } from "./units.ts"

export const documentVersion = 1
export const documentsPerPostMax = 8

// A view is one site: as many members as a ring carries, with room.
const membersMax = 64
// Leases of one cluster: a voice for each site and a mandate for each ticket.
const leasesMax = 64
const ticketsMax = 32
const servicesMax = 128
// What happened between two posts; a node keeps the rest for its next one.
const eventsMax = 32
// Bytes of UTF-8 are judged by the arbiter: there are never more UTF-16 units than those.
const memoUnitsMax = memoBytesMax
// A registration of 64 nodes has 8 KB, and the configuration itself comes with it.
const registrationUnitsMax = 12_000
export const configurationDocumentMax = 16_000
// One JWS of this length, or two with the largest memo, and the envelope fit a post.
const signedDocumentMax = 57_344
// One hour: longer leases would outlive any repair.
const ttlMsMax = 3_600_000

/** Names of clusters, sites, tickets and services: printable, safe in URLs, keys and log lines. */
export const nameSchema = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "not a name"))
export const siteSchema = v.pipe(nameSchema, v.transform(siteId))
export const ticketSchema = v.pipe(nameSchema, v.transform(ticketName))
export const nodeSchema = v.pipe(
  v.number(),
  v.integer(),
  v.minValue(1),
  v.maxValue(65_535),
  v.transform(nodeId),
)
export const wholeSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const epochSchema = v.pipe(wholeSchema, v.transform(epoch))
const incarnationSchema = v.pipe(wholeSchema, v.transform(incarnation))
export const ttlSchema = v.pipe(v.number(), v.minValue(1), v.maxValue(ttlMsMax), v.transform(millis))
const durationSchema = v.pipe(v.number(), v.finite(), v.minValue(0), v.transform(millis))
const text = (max: number) => v.pipe(v.string(), v.maxLength(max))
const word = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,47}$/, "not a word"))
const eventIdSchema = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_:-]{1,96}$/, "not an event id"))
const listOf = <T extends v.GenericSchema>(item: T, max: number) => v.pipe(v.array(item), v.maxLength(max))

const leaseNameSchema = v.pipe(
  v.string(),
  v.regex(/^(voice|mandate):[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "not a lease name"),
  v.transform((name) => name as LeaseName),
)
const ringSchema = v.object({
  sequence: wholeSchema,
  representative: nodeSchema,
  incarnation: incarnationSchema,
})
const membersSchema = v.pipe(listOf(nodeSchema, membersMax), v.minLength(1))
const viewSchema = v.object({ ring: ringSchema, members: membersSchema })
const tagEntries = { epoch: epochSchema, seq: wholeSchema }
const tagSchema = v.object(tagEntries)
const waitedSchema = v.pipe(
  v.object({ ...tagEntries, waited_ms: durationSchema }),
  v.transform(({ waited_ms, ...tag }) => ({ ...tag, waited: waited_ms })),
)
const claimIdEntries = { node: nodeSchema, incarnation: incarnationSchema, counter: wholeSchema }

const voiceClaimSchema = v.object({
  kind: v.literal("voice"),
  name: leaseNameSchema,
  ring: ringSchema,
  members: membersSchema,
  votes: wholeSchema,
  owns_service: v.boolean(),
  ttl_ms: ttlSchema,
  seen: v.optional(tagSchema),
  waited: v.optional(waitedSchema),
  memo: v.optional(v.object({ base: wholeSchema, text: text(memoUnitsMax) })),
})
const mandateClaimSchema = v.object({
  kind: v.literal("mandate"),
  name: leaseNameSchema,
  site: siteSchema,
  epoch: epochSchema,
  ttl_ms: ttlSchema,
  seen: v.optional(tagSchema),
  waited: v.optional(waitedSchema),
})
const releaseClaimSchema = v.object({
  kind: v.literal("release"),
  name: leaseNameSchema,
  epoch: epochSchema,
  by: v.variant("kind", [
    v.object({
      kind: v.literal("view"),
      ring: ringSchema,
      members: membersSchema,
      majority_alone: v.boolean(),
    }),
    v.object({ kind: v.literal("site"), site: siteSchema }),
  ]),
  stopped: v.boolean(),
})
const claimSchema = v.pipe(
  v.variant("kind", [voiceClaimSchema, mandateClaimSchema, releaseClaimSchema]),
  v.transform(toClaim),
)

function toClaim(
  claim:
    | v.InferOutput<typeof voiceClaimSchema>
    | v.InferOutput<typeof mandateClaimSchema>
    | v.InferOutput<typeof releaseClaimSchema>,
): LeaseClaim {
  switch (claim.kind) {
    case "voice": {
      const { ttl_ms: ttl, owns_service: ownsService, seen, waited, memo, ...rest } = claim
      return { ...rest, ownsService, ttl, seen, waited, memo }
    }
    case "mandate": {
      const { ttl_ms: ttl, seen, waited, ...rest } = claim
      return { ...rest, ttl, seen, waited }
    }
    case "release": {
      if (claim.by.kind === "site") return { ...claim, by: claim.by }
      const { majority_alone: majorityAlone, ...by } = claim.by
      return { ...claim, by: { ...by, majorityAlone } }
    }
  }
}

export const severitySchema = v.picklist(["info", "warning", "critical"])
const peerStateSchema = v.picklist(["down", "init", "alive"])
const reportedEventSchema = v.pipe(
  v.object({
    id: eventIdSchema,
    kind: word,
    subject: text(128),
    severity: severitySchema,
    at_ms: wholeSchema,
    detail: text(512),
    cause: v.optional(eventIdSchema),
  }),
  v.transform(({ at_ms, ...event }) => ({ ...event, at: wallTime(at_ms) })),
)
const serviceSchema = v.pipe(
  v.object({
    name: v.pipe(nameSchema, v.transform(serviceName)),
    state: word,
    owner: v.optional(nodeSchema),
    epoch: epochSchema,
  }),
  v.transform(({ owner, ...service }) => ({ ...service, owner })),
)
const stateSchema = v.object({
  voice: v.picklist(["held", "not-held"]),
  tickets: listOf(v.object({ ticket: ticketSchema, epoch: epochSchema, held: v.boolean() }), ticketsMax),
  nodes: listOf(
    v.object({ node: nodeSchema, state: peerStateSchema, incarnation: v.optional(incarnationSchema) }),
    membersMax,
  ),
  services: listOf(serviceSchema, servicesMax),
})

/** Read first: a document of another version is named as such, whatever else it holds. */
export const versionSchema = v.object({ version: v.number() })

const registrationSchema = v.pipe(
  v.object({
    text: text(registrationUnitsMax),
    document: text(configurationDocumentMax),
    majority_alone: v.boolean(),
  }),
  v.transform(({ majority_alone: majorityAlone, ...rest }) => ({ ...rest, majorityAlone })),
)

export const summarySchema = v.pipe(
  v.object({
    cluster: nameSchema,
    ...claimIdEntries,
    challenge: text(64),
    site: siteSchema,
    configuration: v.object({
      version: wholeSchema,
      checksum: text(128),
      active: v.optional(wholeSchema),
    }),
    view: v.optional(viewSchema),
    state: stateSchema,
    events: listOf(reportedEventSchema, eventsMax),
    highest: listOf(v.object({ name: leaseNameSchema, ...tagEntries }), leasesMax),
    claims: v.pipe(
      listOf(claimSchema, leasesMax),
      v.check(
        (claims) => new Set(claims.map((claim) => claim.name)).size === claims.length,
        "two claims for one lease",
      ),
    ),
    registration: v.optional(registrationSchema),
  }),
  v.transform(({ view, ...summary }) => ({ ...summary, view })),
)

const holderSchema: v.GenericSchema<unknown, LeaseHolder> = v.variant("kind", [
  v.object({ kind: v.literal("view"), ring: ringSchema, members: membersSchema }),
  v.object({ kind: v.literal("site"), site: siteSchema }),
])
const leaseSchema: v.GenericSchema<unknown, LeaseSummary> = v.pipe(
  v.object({
    name: leaseNameSchema,
    holder: v.optional(holderSchema),
    ...tagEntries,
    ttl_ms: ttlSchema,
    released_epoch: epochSchema,
  }),
  v.transform(({ holder, ttl_ms: ttl, released_epoch: releasedEpoch, ...tag }) => ({
    ...tag,
    holder,
    ttl,
    releasedEpoch,
  })),
)
const grantSchema = v.pipe(
  v.object({
    kind: v.picklist(["granted", "renewed", "repeated"]),
    name: leaseNameSchema,
    ...tagEntries,
    ttl_ms: ttlSchema,
    claim: v.object(claimIdEntries),
    memo: v.optional(v.object({ version: wholeSchema, text: text(memoUnitsMax) })),
  }),
  v.transform(({ ttl_ms: ttl, memo, ...grant }) => ({ ...grant, ttl, memo })),
)
const releasedSchema = v.object({ kind: v.literal("released"), name: leaseNameSchema, ...tagEntries })
const refusedSchema = v.pipe(
  v.object({
    kind: v.literal("refused"),
    name: leaseNameSchema,
    reason: v.picklist([
      "held-by-other",
      "not-waited",
      "ring-sequence-not-greater",
      "no-former-member",
      "epoch-too-low",
      "epoch-mismatch",
      "not-the-holder",
      "lost-arbitration",
      "unknown-lease",
      "memo-too-large",
      "counter-not-rising",
      "challenge-mismatch",
      "configuration-older",
      "configuration-newer",
      "set-back",
      "not-entitled",
    ]),
    current: v.optional(leaseSchema),
  }),
  v.transform(({ current, ...refusal }) => ({ ...refusal, current })),
)

export const replySchema = v.pipe(
  v.object({
    cluster: nameSchema,
    ...claimIdEntries,
    witness: v.pipe(text(64), v.minLength(1)),
    leases: listOf(leaseSchema, leasesMax),
    answers: listOf(v.union([grantSchema, releasedSchema, refusedSchema]), leasesMax),
    interval_ms: ttlSchema,
    quota_percent: v.pipe(v.number(), v.finite(), v.minValue(0)),
    configuration: v.optional(
      v.object({
        version: wholeSchema,
        checksum: text(128),
        document: v.optional(text(configurationDocumentMax)),
      }),
    ),
  }),
  v.transform(({ interval_ms: interval, quota_percent: quotaPercent, ...reply }) => ({
    ...reply,
    interval,
    quotaPercent,
  })),
)

const signedSchema = v.pipe(v.string(), v.minLength(1), v.maxLength(signedDocumentMax))
export const postSchema = v.object({
  documents: v.pipe(
    v.array(signedSchema),
    v.minLength(1, "no document"),
    v.maxLength(documentsPerPostMax, "too many documents"),
  ),
})

const postedReplySchema = v.union([
  v.pipe(
    signedSchema,
    v.transform((document) => ({ kind: "signed" as const, document })),
  ),
  v.pipe(
    v.object({ error: v.object({ reason: text(64), message: text(512) }) }),
    v.transform(({ error }) => ({ kind: "refused" as const, ...error })),
  ),
])
export const postRepliesSchema = v.object({ replies: listOf(postedReplySchema, documentsPerPostMax) })
