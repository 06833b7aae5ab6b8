/** incident.io, HTTP alert source: one alert for each deduplication key, firing or resolved. It has no acknowledgement. */
import * as v from "valibot"
import { detailOf, factsOf, fitting, headline, truncated } from "../text.ts"
import {
  joined,
  jsonPost,
  nameSetting,
  type ReceiverKind,
  secretSetting,
  textSetting,
  urlSetting,
} from "./kind.ts"
import { bodyAs, delivered } from "./outcome.ts"

export const incidentIoSchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("incident-io"),
  /** The alert source's id, as in the URL it shows. */
  source: v.pipe(textSetting, v.regex(/^[A-Za-z0-9_-]{1,64}$/, "not an alert source's id")),
  token: secretSetting(8, 512),
  url: v.optional(urlSetting, "https://api.incident.io"),
})

type Settings = v.InferOutput<typeof incidentIoSchema>

/** Bytes, published; too much is answered as "too often", so it must not be tried. */
export const incidentIoLimits = { body: 512_000 } as const
const titleMax = 255
const descriptionMax = 16_384
const answerSchema = v.object({ deduplication_key: v.string() })

export const incidentIo: ReceiverKind<Settings> = {
  traits: {
    lane: "paging",
    perMinute: 600,
    burst: 20,
    mute: { acknowledge: "incident.io takes no acknowledgement of an alert" },
    reminderEvery: undefined,
  },
  secrets: ["token"],
  address: ({ url }) => url,
  request({ url, source, token }, notification, { now, rendering }) {
    const { action, dedupKey, link } = notification
    const event = {
      title: truncated(headline(notification), titleMax),
      status: action === "resolve" ? "resolved" : "firing",
      deduplication_key: dedupKey,
      ...(link === undefined ? {} : { source_url: link }),
    }
    const fuller = (listed: number) => () =>
      JSON.stringify({
        ...event,
        description: truncated(detailOf(notification, listed), descriptionMax),
        metadata: Object.fromEntries(
          factsOf(notification, now).map(({ name, value }) => [
            name.toLowerCase().replaceAll(" ", "_"),
            value,
          ]),
        ),
      })
    const body =
      rendering === "minimal"
        ? JSON.stringify(event)
        : fitting([fuller(50), fuller(0)], incidentIoLimits.body)
    const path = `v2/alert_events/http/${source}`
    return jsonPost(joined(url, path), body, { authorization: `Bearer ${token}` })
  },
  outcome(answer) {
    return answer.status === 202
      ? delivered(answer, bodyAs(answer, answerSchema)?.deduplication_key)
      : undefined
  },
}
