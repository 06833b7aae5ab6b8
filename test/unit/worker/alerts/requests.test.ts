/** What each service is sent for each action. */
import { describe, expect, it } from "vitest"
import { wallTime } from "../../../../protocol/units.ts"
import type { HttpRequest, Notification, RequestContext } from "../../../../worker/alerts/notification.ts"
import { type Receiver, requestFor, silenceOf } from "../../../../worker/alerts/receivers/receiver.ts"
import { acknowledged, incident, notification, now, receivers, resolved } from "./notification-builder.ts"

const updated = notification({ action: "update" })
const head = "[FIRING] critical plant-7/south: site south is silent"
const key = "plant-7:0123456789abcdef0123456789abcdef"

async function sent(
  receiver: Receiver,
  what: Notification,
  context: Partial<RequestContext> = {},
): Promise<HttpRequest & { readonly json: ReturnType<typeof JSON.parse> }> {
  const request = await requestFor(what, receiver, {
    now,
    reference: undefined,
    rendering: "full",
    ...context,
  })
  if (request === undefined) throw new Error("nothing to send")
  expect(request.headers["content-type"]).toBe("application/json")
  return { ...request, json: JSON.parse(request.body) }
}

function silent(
  receiver: Receiver,
  what: Notification,
  reference?: string,
): Promise<HttpRequest | undefined> {
  return requestFor(what, receiver, { now, reference, rendering: "full" })
}

describe("PagerDuty", () => {
  const receiver = receivers.pagerduty

  it("trigger: the whole event under its dedup key", async () => {
    const { method, url, json } = await sent(receiver, notification())
    expect([method, url]).toEqual(["POST", "https://events.pagerduty.com/v2/enqueue"])
    expect(json).toMatchObject({
      routing_key: receiver.routing_key,
      event_action: "trigger",
      dedup_key: key,
      client: "Quorumbeat",
      client_url: notification().link,
      links: [{ href: notification().link, text: "Incident" }],
      payload: {
        summary: head,
        source: "south",
        severity: "critical",
        timestamp: "2040-01-01T11:59:20.000Z",
        component: "site south",
        group: "plant-7",
        class: "site-silent",
        custom_details: { Cluster: "plant-7", Detail: "no node of the site has posted for 30 s" },
      },
    })
  })

  it("an update triggers again under the same key; acknowledge and resolve name it and need no payload", async () => {
    expect((await sent(receiver, updated)).json).toMatchObject({ event_action: "trigger", dedup_key: key })
    const base = { routing_key: receiver.routing_key, dedup_key: key }
    expect((await sent(receiver, acknowledged())).json).toEqual({ ...base, event_action: "acknowledge" })
    expect((await sent(receiver, resolved())).json).toEqual({ ...base, event_action: "resolve" })
  })

  it("after a rejection the payload is the least it may be", async () => {
    const { json } = await sent(receiver, notification(), { rendering: "minimal" })
    expect(json.payload).not.toHaveProperty("custom_details")
  })

  it("the EU's service region is another URL", async () => {
    const eu = { ...receiver, url: "https://events.eu.pagerduty.com/" }
    expect((await sent(eu, notification())).url).toBe("https://events.eu.pagerduty.com/v2/enqueue")
  })
})

describe("Opsgenie and JSM Operations", () => {
  const receiver = receivers.opsgenie

  it("trigger: an alert with the key as alias", async () => {
    const { url, headers, json } = await sent(receiver, notification())
    expect(url).toBe("https://api.opsgenie.com/v2/alerts")
    expect(headers.authorization).toBe(`GenieKey ${receiver.api_key}`)
    expect(json).toMatchObject({ message: head, alias: key, priority: "P1", entity: "site south" })
    expect(json.tags).toEqual(["plant-7", "site-silent", "critical"])
  })

  it("acknowledge and close go to the alias, with a colon escaped", async () => {
    const alias = "plant-7%3A0123456789abcdef0123456789abcdef"
    const { url, json } = await sent(receiver, acknowledged())
    expect(url).toBe(`https://api.opsgenie.com/v2/alerts/${alias}/acknowledge?identifierType=alias`)
    expect(json).toMatchObject({ user: "anna" })
    const close = await sent(receiver, resolved())
    expect(close.url).toBe(`https://api.opsgenie.com/v2/alerts/${alias}/close?identifierType=alias`)
  })

  it("JSM Operations is the same under its own path", async () => {
    const jsm = { ...receiver, url: "https://api.atlassian.com/jsm/ops/integration" }
    expect((await sent(jsm, notification())).url).toBe(
      "https://api.atlassian.com/jsm/ops/integration/v2/alerts",
    )
  })

  it.each([
    ["critical", "P1"],
    ["warning", "P3"],
    ["info", "P5"],
  ] as const)("%s is %s", async (severity, priority) => {
    const { json } = await sent(receiver, notification({ incidents: [incident({ severity })] }))
    expect(json.priority).toBe(priority)
  })
})

describe("incident.io", () => {
  const receiver = receivers["incident-io"]

  it("trigger and resolve are statuses of one deduplication key", async () => {
    const { url, headers, json } = await sent(receiver, notification())
    expect(url).toBe("https://api.incident.io/v2/alert_events/http/01HX-source")
    expect(headers.authorization).toBe(`Bearer ${receiver.token}`)
    expect(json).toMatchObject({
      title: head,
      status: "firing",
      deduplication_key: key,
      source_url: notification().link,
    })
    expect((await sent(receiver, resolved())).json).toMatchObject({
      status: "resolved",
      deduplication_key: key,
    })
  })

  it("an acknowledgement is not sent, and it is said why", async () => {
    expect(await silent(receiver, acknowledged())).toBeUndefined()
    expect(silenceOf(receiver, "acknowledge")).toContain("takes no acknowledgement")
  })
})

describe("Better Stack", () => {
  const receiver = receivers["better-stack"]

  it("trigger opens an incident; what follows names the id it got", async () => {
    const { url, headers, json } = await sent(receiver, notification())
    expect(url).toBe("https://uptime.betterstack.com/api/v3/incidents")
    expect(headers.authorization).toBe(`Bearer ${receiver.token}`)
    expect(json).toMatchObject({ requester_email: "ops@example.com", name: head, summary: head })
    const ack = await sent(receiver, acknowledged(), { reference: "42" })
    expect(ack.url).toBe("https://uptime.betterstack.com/api/v3/incidents/42/acknowledge")
    expect(ack.json).toEqual({ acknowledged_by: "anna" })
    const resolve = await sent(receiver, resolved(), { reference: "42" })
    expect(resolve.url).toBe("https://uptime.betterstack.com/api/v3/incidents/42/resolve")
    expect(resolve.json).toEqual({ resolved_by: "Quorumbeat" })
  })

  it("what was never opened there is not resolved there, and updates it has none", async () => {
    expect(await silent(receiver, resolved())).toBeUndefined()
    expect(silenceOf(receiver, "resolve")).toContain("never told")
    expect(await silent(receiver, updated, "42")).toBeUndefined()
  })

  it("has no key: a repeat of what it knows would be another incident, so none is sent", async () => {
    expect(await silent(receiver, notification({ repeat: 1 }), "42")).toBeUndefined()
    expect(await silent(receiver, notification({ repeat: 1 })), "never told of it: it is news").toBeDefined()
  })
})

describe("Alertmanager", () => {
  const receiver = receivers.alertmanager

  it("trigger: labels that never change, an end that must be put off", async () => {
    const { url, json } = await sent(receiver, notification())
    expect(url).toBe("https://am.example.com/prefix/api/v2/alerts")
    expect(json).toEqual([
      {
        labels: {
          alertname: "SiteSilent",
          cluster: "plant-7",
          severity: "critical",
          subject: "site south",
          site: "south",
          incident: "0123456789abcdef0123456789abcdef",
        },
        annotations: {
          summary: "site south is silent",
          description: "no node of the site has posted for 30 s",
          headline: head,
        },
        startsAt: "2040-01-01T11:59:20.000Z",
        endsAt: "2040-01-01T12:04:00.000Z",
        generatorURL: notification().link,
      },
    ])
  })

  it("resolve: the same labels, an end that is over and not before the start", async () => {
    const [fired] = (await sent(receiver, notification())).json
    const [over] = (await sent(receiver, resolved())).json
    expect(over.labels).toEqual(fired.labels)
    expect(over.endsAt).toBe("2040-01-01T12:00:00.000Z")
    const early = incident({ phase: "resolved", resolvedAt: wallTime(now - 99_000) })
    const [clamped] = (await sent(receiver, notification({ action: "resolve", incidents: [early] }))).json
    expect(clamped.endsAt).toBe(clamped.startsAt)
  })

  it("each incident of a group is an alert, and one that is over ends", async () => {
    const over = incident({ id: "f".repeat(32), phase: "resolved", resolvedAt: now })
    const { json } = await sent(receiver, notification({ incidents: [incident(), over] }))
    expect(json.map(({ endsAt }: { endsAt: string }) => Date.parse(endsAt) > now)).toEqual([true, false])
  })

  it.each([
    [{ token: "t0ken" }, "Bearer t0ken"],
    [{ username: "ops", password: "pässword" }, `Basic ${Buffer.from("ops:pässword").toString("base64")}`],
    [{}, undefined],
  ])("authorization of %o", async (settings, authorization) => {
    expect((await sent({ ...receiver, ...settings }, notification())).headers.authorization).toBe(
      authorization,
    )
  })

  it("has no acknowledgement", async () => {
    expect(await silent(receiver, acknowledged())).toBeUndefined()
  })
})

describe("Slack", () => {
  it("every action is a message with a text for the notification and blocks for the eye", async () => {
    const { url, json } = await sent(receivers.slack, notification())
    expect(url).toBe(receivers.slack.url)
    expect(json.text).toBe(`🔴 ${head}`)
    expect(json.blocks.map(({ type }: { type: string }) => type)).toEqual([
      "header",
      "section",
      "section",
      "actions",
    ])
    expect((await sent(receivers.slack, acknowledged())).json.text).toContain("👀 [ACK]")
    expect((await sent(receivers.slack, resolved())).json.text).toContain("✅ [RESOLVED]")
    expect((await sent(receivers.slack, resolved())).json.text).toContain("after 40 s")
  })

  it("no name mentions anybody or makes a link", async () => {
    const lead = incident({ title: "<!channel> & <https://evil.example|x>", detail: "<@U123>" })
    const { body } = await sent(receivers.slack, notification({ incidents: [lead] }))
    expect(body).not.toMatch(/<!|<@|<https:/)
    expect(body).toContain("&lt;!channel&gt; &amp; &lt;https://evil.example|x&gt;")
  })

  it("after a rejection: the text alone", async () => {
    const { json } = await sent(receivers.slack, notification(), { rendering: "minimal" })
    expect(json).toEqual({ text: `🔴 ${head}\n${notification().link}` })
  })
})

describe("Microsoft Teams", () => {
  it("an Adaptive Card in an array of attachments, to the URL byte for byte", async () => {
    const { url, json } = await sent(receivers.teams, notification())
    expect(url).toBe(receivers.teams.url)
    const [{ contentType, content }] = json.attachments
    expect(contentType).toBe("application/vnd.microsoft.card.adaptive")
    expect(content).toMatchObject({ type: "AdaptiveCard", version: "1.2", fallbackText: `🔴 ${head}` })
    expect(content.body[0].inlines[0]).toMatchObject({ text: `🔴 ${head}`, color: "Attention" })
    expect(content.actions).toEqual([
      { type: "Action.OpenUrl", title: "Open incident", url: notification().link },
    ])
  })
})

describe("Discord", () => {
  const receiver = receivers.discord

  it("trigger posts and waits for the message's id; what follows edits that message", async () => {
    const { method, url, json } = await sent(receiver, notification())
    expect([method, url]).toEqual(["POST", `${receiver.url}?wait=true`])
    expect(json.embeds[0]).toMatchObject({ color: 0xe01e5a, url: notification().link })
    const edit = await sent(receiver, resolved(), { reference: "99" })
    expect([edit.method, edit.url]).toEqual(["PATCH", `${receiver.url}/messages/99`])
    expect(edit.json.embeds[0]).toMatchObject({ color: 0x2eb67d })
  })

  it("without an id to edit, and for a repeated trigger, there is a new message", async () => {
    expect((await sent(receiver, resolved())).method).toBe("POST")
    expect((await sent(receiver, notification({ repeat: 1 }), { reference: "99" })).method).toBe("POST")
  })

  it("threads, mentions and markdown", async () => {
    const lead = incident({ title: "@everyone **x** [y](https://evil.example)" })
    const { url, json } = await sent({ ...receiver, thread_id: "5" }, notification({ incidents: [lead] }))
    expect(url).toBe(`${receiver.url}?thread_id=5&wait=true`)
    expect(json.allowed_mentions).toEqual({ parse: [] })
    expect(json.embeds[0].title).toContain("\\@everyone \\*\\*x\\*\\* \\[y\\]\\(https://evil.example\\)")
  })
})

describe("Telegram", () => {
  const receiver = receivers.telegram
  const base = `https://api.telegram.org/bot${receiver.token}`

  it("trigger sends, what follows edits", async () => {
    const { url, json } = await sent({ ...receiver, thread_id: 7 }, notification())
    expect(url).toBe(`${base}/sendMessage`)
    expect(json).toMatchObject({ chat_id: receiver.chat_id, parse_mode: "HTML", message_thread_id: 7 })
    expect(json.text).toContain(`<b>🔴 ${head}</b>`)
    const edit = await sent(receiver, resolved(), { reference: "-1001234567890/12" })
    expect(edit.url).toBe(`${base}/editMessageText`)
    expect(edit.json).toMatchObject({ chat_id: "-1001234567890", message_id: 12 })
  })

  it("a group that moved is sent to where it is, as a new message", async () => {
    const { url, json } = await sent(receiver, updated, { reference: "-100777/" })
    expect(url).toBe(`${base}/sendMessage`)
    expect(json.chat_id).toBe("-100777")
  })

  it("escapes for HTML", async () => {
    const { json } = await sent(receiver, notification({ incidents: [incident({ title: "<b>a & b" })] }))
    expect(json.text).toContain("&lt;b&gt;a &amp; b</b>")
  })
})

describe("ntfy", () => {
  const receiver = receivers.ntfy

  it("is published to the root; what follows a trigger replaces it by its id, a repeat rings again", async () => {
    const { url, headers, json } = await sent(receiver, notification())
    expect(url).toBe("https://ntfy.sh/")
    expect(headers.authorization).toBe("Bearer tk_12345678")
    expect(json).toMatchObject({
      topic: "plant-topic",
      title: head,
      priority: 5,
      tags: ["rotating_light"],
      click: notification().link,
    })
    expect(json).not.toHaveProperty("sequence_id")
    const context = { reference: "xE73Iyuabi" }
    expect((await sent(receiver, resolved(), context)).json).toMatchObject({
      priority: 3,
      sequence_id: "xE73Iyuabi",
    })
    const again = await sent(receiver, notification({ repeat: 1 }), context)
    expect(again.json).not.toHaveProperty("sequence_id")
    expect((await sent(receiver, acknowledged())).json.priority).toBe(2)
  })
})

describe("the generic webhook", () => {
  it.each([
    [notification(), "incident.opened"],
    [updated, "incident.updated"],
    [acknowledged(), "incident.acknowledged"],
    [resolved(), "incident.resolved"],
  ])("says what happened by its type", async (what, type) => {
    const { json, headers } = await sent(receivers.webhook, what)
    expect(json).toMatchObject({
      type,
      timestamp: "2040-01-01T11:59:59.000Z",
      data: { cluster: "plant-7", kind: "site-silent", subject: "site south", dedup_key: key, omitted: 0 },
    })
    expect(headers).toMatchObject({ "webhook-id": "n-1", "webhook-timestamp": String(now / 1_000) })
  })

  it("the id stays on a retry, the timestamp is the attempt's", async () => {
    const first = await sent(receivers.webhook, notification())
    const second = await sent(receivers.webhook, notification(), { now: wallTime(now + 5_000) })
    expect(second.headers["webhook-id"]).toBe(first.headers["webhook-id"])
    expect(Number(second.headers["webhook-timestamp"])).toBe(Number(first.headers["webhook-timestamp"]) + 5)
    expect(second.body).toBe(first.body)
  })
})

describe("words of every notification", () => {
  it("what is told late says by how much", async () => {
    const late = notification({ at: wallTime(now - 11 * 60_000) })
    expect((await sent(receivers.pagerduty, late)).json.payload.custom_details.Delayed).toBe("11 min")
    const prompt = (await sent(receivers.pagerduty, notification())).json
    expect(prompt.payload.custom_details).not.toHaveProperty("Delayed")
  })

  it("a test says that it is one", async () => {
    expect((await sent(receivers.slack, notification({ test: true }))).json.text).toContain("[TEST FIRING]")
  })

  it("a group names its lead, counts the rest and lists what there is room for", async () => {
    const others = Array.from({ length: 30 }, (_, index) => incident({ title: `node n${index} is down` }))
    const group = notification({ incidents: [incident(), ...others], omitted: 4 })
    const { json } = await sent(receivers.slack, group)
    expect(json.text).toContain("site south is silent (+34 more)")
    const [, , detail] = json.blocks
    expect(detail.text.text).toContain("- critical node n19 is down (open)\nand 14 more")
  })

  it.each(Object.values(receivers))(
    "$kind: nothing breaks without a link, a site and a detail",
    async (receiver) => {
      const bare = notification({ link: undefined, incidents: [incident({ site: undefined, detail: "" })] })
      for (const rendering of ["full", "minimal"] as const) {
        expect((await sent(receiver, bare, { rendering })).body).toContain("site south is silent")
      }
    },
  )
})
