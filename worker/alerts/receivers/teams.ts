/**
 * Microsoft Teams, by a workflow with the trigger "When a Teams webhook request is received" (Office 365 connectors are
 * gone). Success means that the workflow was started, not that the card was shown: a test must be looked at. All text
 * is in text runs, which Adaptive Cards never read as markdown: no name can make a link.
 */
import * as v from "valibot"
import type { Notification, RequestContext } from "../notification.ts"
import { detailOf, factsOf, fitting, headline, symbolOf, truncated } from "../text.ts"
import { jsonPost, nameSetting, type ReceiverKind, urlSetting } from "./kind.ts"
import { delivered } from "./outcome.ts"

export const teamsSchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("teams"),
  /** The whole URL is the secret, and is sent byte for byte. Its host says nothing: it changed before. */
  url: urlSetting,
})

type Settings = v.InferOutput<typeof teamsSchema>

/** Bytes: 28 kB are documented, 413 was seen from 21 kB on. */
export const teamsLimits = { body: 20_000 } as const
const titleMax = 500
const detailMax = 4_000
const factMax = 500

export const teams: ReceiverKind<Settings> = {
  traits: { lane: "chat", perMinute: 60, burst: 4, mute: {}, reminderEvery: undefined },
  secrets: ["url"],
  address: ({ url }) => url,
  request({ url }, notification, context) {
    const card = (listed: number | undefined) => () =>
      JSON.stringify(messageOf(notification, context, listed))
    const body =
      context.rendering === "minimal"
        ? card(undefined)()
        : fitting([card(20), card(5), card(0), card(undefined)], teamsLimits.body)
    return jsonPost(url, body)
  },
  outcome: (answer) => (answer.status === 202 ? delivered(answer) : undefined),
}

/** `listed`: how many of the grouped incidents; `undefined`: headline and link alone. */
function messageOf(notification: Notification, { now }: RequestContext, listed: number | undefined): object {
  const { link } = notification
  const title = truncated(`${symbolOf(notification)} ${headline(notification)}`, titleMax)
  const heading = run(title, { weight: "Bolder", size: "Medium", color: colourOf(notification) })
  const facts = listed === undefined ? [] : factsOf(notification, now)
  const detail = listed === undefined ? "" : truncated(detailOf(notification, listed), detailMax)
  const lines = facts.map(({ name, value }) => [
    run(`${name}: `, { weight: "Bolder" }),
    run(truncated(value, factMax)),
  ])
  const content = {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.2",
    fallbackText: title,
    body: [
      paragraph([heading]),
      ...lines.map(paragraph),
      ...(detail === "" ? [] : detail.split("\n").map((line) => paragraph([run(line)]))),
    ],
    ...(link === undefined
      ? {}
      : { actions: [{ type: "Action.OpenUrl", title: "Open incident", url: link }] }),
    msteams: { width: "full" },
  }
  const attachment = { contentType: "application/vnd.microsoft.card.adaptive", contentUrl: null, content }
  return { type: "message", attachments: [attachment] }
}

function paragraph(inlines: readonly object[]): object {
  return { type: "RichTextBlock", inlines }
}

function run(text: string, look: object = {}): object {
  return { type: "TextRun", text, ...look }
}

function colourOf({ action, incidents: [lead] }: Notification): string {
  if (action === "resolve") return "Good"
  return lead.severity === "critical" && action !== "acknowledge" ? "Attention" : "Warning"
}
