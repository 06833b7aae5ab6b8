import { describe, expect, it } from "vitest"
import { webhookTarget } from "../../../../worker/alerts/target.ts"

describe("targets of the hosted witness", () => {
  it.each([
    "https://hooks.example.com/a?b=c",
    "https://hooks.example.com:8443/",
    "https://HOOKS.Example.Com./",
    "https://xn--bcher-kva.example/",
  ])("%s is allowed", (url) => {
    expect(webhookTarget(url, "public")).toMatchObject({ kind: "ok" })
  })

  it.each([
    ["no url", "not a URL"],
    ["http://hooks.example.com/", "only https"],
    ["ftp://hooks.example.com/", "only https"],
    ["https://user:pass@hooks.example.com/", "credentials"],
    ["https://hooks.example.com:22/", "port 22"],
    ["https://127.0.0.1/", "address"],
    ["https://127.1/", "address"],
    ["https://2130706433/", "address"],
    ["https://0x7f000001/", "address"],
    ["https://0177.0.0.1/", "address"],
    ["https://１２７.0.0.1/", "address"],
    ["https://10.0.0.1/", "address"],
    ["https://169.254.169.254/latest/meta-data", "address"],
    ["https://100.64.0.1/", "address"],
    ["https://8.8.8.8/", "address"],
    ["https://[::1]/", "address"],
    ["https://[::ffff:127.0.0.1]/", "address"],
    ["https://[fd00::1]/", "address"],
    ["https://localhost/", "without a domain"],
    ["https://intranet/", "without a domain"],
    ["https://a.localhost/", "not public"],
    ["https://printer.local./", "not public"],
    ["https://metadata.google.internal/", "not public"],
    ["https://nas.home.arpa/", "not public"],
    ["https://hidden.onion/", "not public"],
  ])("%s is blocked, and it says why", (url, reason) => {
    const target = webhookTarget(url, "public")
    expect(target).toMatchObject({ kind: "error", error: expect.stringContaining(reason) })
  })
})

describe("targets of the embedded witness", () => {
  it.each(["http://192.168.1.20:8080/hook", "http://localhost:9093/", "https://[fd00::1]/"])(
    "%s is allowed",
    (url) => {
      expect(webhookTarget(url, "private-allowed")).toMatchObject({ kind: "ok" })
    },
  )

  it.each(["file:///etc/passwd", "ftp://192.168.1.20/", "http://user@192.168.1.20/"])("%s is not", (url) => {
    expect(webhookTarget(url, "private-allowed")).toMatchObject({ kind: "error" })
  })
})
