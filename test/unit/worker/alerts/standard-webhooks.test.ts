import { createPublicKey, verify } from "node:crypto"
import fc from "fast-check"
import { Webhook } from "standardwebhooks"
import { describe, expect, it } from "vitest"
import { wallTime } from "../../../../protocol/units.ts"
import { requestFor } from "../../../../worker/alerts/receivers/receiver.ts"
import { isWebhookSecret, signatureOf, webhookHeaders } from "../../../../worker/alerts/standard-webhooks.ts"
import { notification, receivers, webhookSecret } from "./notification-builder.ts"

const example = { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body: '{"test": 2432232314}' }
const whsk = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
const whpk = "1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
const seedOnly = `whsk_${Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString("base64")}`

describe("Standard Webhooks signatures: published vectors", () => {
  it.each([
    [
      "v1, the specification's",
      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLlSw",
      example,
      "v1,qYEQ1j6Ialff1EWt9z98sgoR67BiLZCYiSj9rtiRnGM=",
    ],
    [
      "v1, text beyond ASCII",
      webhookSecret,
      { id: "evt_01", timestamp: 1_795_233_150, body: '{"type":"incident.opened","data":{"site":"Zürich"}}' },
      "v1,4aB2KqY7mUcc8O+qqZ0AMLDYUJQtoWF5tYVrs2cRs9g=",
    ],
    [
      "v1a, seed and public key",
      whsk,
      example,
      "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
    ],
    [
      "v1a, seed alone",
      seedOnly,
      example,
      "v1a,yoUrgEkc12aGqm0n4Sydmdz55xJfTz4AsAgieHFjmkR7LJtqVCZOQYzvvHjI5kAey+r4iaBGxTFRrl2iBQxtDQ==",
    ],
  ])("%s", async (_name, secret, content, signature) => {
    expect(await signatureOf(content, secret)).toBe(signature)
  })
})

describe("what consumers see", () => {
  it("the standardwebhooks library takes a request as it is sent, and none that was changed or is old", async () => {
    // The library compares with the machine's clock.
    const now = wallTime(Date.now())
    const request = await requestFor(notification({ id: "a.b:c" }), receivers.webhook, {
      now,
      reference: undefined,
      rendering: "full",
    })
    const library = new Webhook(webhookSecret)
    const { headers, body } = request ?? { headers: {}, body: "" }
    expect(library.verify(body, { ...headers })).toEqual(JSON.parse(body))
    expect(() => library.verify(body.replace("plant-7", "plant-8"), { ...headers })).toThrow()
    expect(() => library.verify(body, { ...headers, "webhook-id": "another" })).toThrow()
    const old = await webhookHeaders({ id: "x", timestamp: Math.floor(now / 1_000) - 301, body }, [
      webhookSecret,
    ])
    expect(() => library.verify(body, { ...old })).toThrow()
  })

  it("while a secret is changed, who has either takes the request", async () => {
    const now = wallTime(Date.now())
    const former = `whsec_${Buffer.alloc(24, 1).toString("base64")}`
    const receiver = { ...receivers.webhook, previous_secret: former }
    const request = await requestFor(notification(), receiver, {
      now,
      reference: undefined,
      rendering: "full",
    })
    const { headers, body } = request ?? { headers: {}, body: "" }
    for (const secret of [webhookSecret, former]) {
      expect(new Webhook(secret).verify(body, { ...headers })).toBeTruthy()
    }
  })

  it("any body verifies with the library (v1) and with Node's Ed25519 (v1a)", async () => {
    const key = createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(whpk, "base64").toString("base64url") },
      format: "jwk",
    })
    const timestamp = Math.floor(Date.now() / 1_000)
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (text) => {
        const body = JSON.stringify({ text })
        const headers = await webhookHeaders({ id: "m", timestamp, body }, [webhookSecret, whsk])
        expect(new Webhook(webhookSecret).verify(body, { ...headers })).toEqual({ text })
        const signature =
          headers["webhook-signature"]?.split(" ").find((each) => each.startsWith("v1a,")) ?? ""
        const signed = Buffer.from(`m.${timestamp}.${body}`)
        expect(verify(null, signed, key, Buffer.from(signature.slice(4), "base64"))).toBe(true)
      }),
      { numRuns: 50 },
    )
  })
})

describe("secrets", () => {
  const of = (prefix: string, length: number) => `${prefix}${Buffer.alloc(length, 7).toString("base64")}`

  it.each([
    [of("whsec_", 24), true],
    [of("whsec_", 64), true],
    [of("whsk_", 32), true],
    [of("whsk_", 64), true],
    [of("whsec_", 23), false],
    [of("whsec_", 65), false],
    [of("whsk_", 33), false],
    [of("whpk_", 32), false],
    ["whsec_", false],
    ["whsec_AAAA BBBB", false],
    ["whsec_A", false],
    ["", false],
  ])("%s: %s", (secret, fits) => {
    expect(isWebhookSecret(secret)).toBe(fits)
  })
})
