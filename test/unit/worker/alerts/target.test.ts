import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { webhookTarget } from "../../../../worker/alerts/target.ts"

/** Every form of an address that must not be reached, as texts that a URL's host may be. */
const corpus: Readonly<Record<string, readonly string[]>> = {
  loopback: [
    ...["127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001"],
    ...[
      "127.255.255.254",
      "%31%32%37.0.0.1",
      "127%2e0%2e0%2e1",
      "１２７.0.0.1",
      "127。0。0。1",
      "127.0.0.1.",
    ],
    ...["[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"],
  ],
  "this host": ["0", "0.0.0.0", "0x0", "0.1.2.3", "[::]"],
  private: [
    ...[
      "10.0.0.1",
      "10.1",
      "0xa000001",
      "167772161",
      "172.16.0.1",
      "172.31.255.255",
      "192.168.1.1",
      "0300.0250.1.1",
    ],
    ...["[::ffff:10.0.0.1]", "[::ffff:c0a8:101]", "[fc00::1]", "[fd12:3456:789a::1]", "[fec0::1]"],
  ],
  "link-local and metadata": [
    ...["169.254.169.254", "169.254.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.170.2"],
    ...["[fe80::1]", "[febf::1]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]"],
    ...[
      "100.100.100.200",
      "192.0.0.192",
      "metadata",
      "metadata.google.internal",
      "METADATA.google.internal.",
    ],
  ],
  "shared, reserved, documentation, multicast": [
    ...["100.64.0.1", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"],
    ...[
      "224.0.0.1",
      "239.255.255.250",
      "240.0.0.1",
      "255.255.255.255",
      "[ff02::1]",
      "[2001:db8::1]",
      "[100::1]",
    ],
  ],
  "translated and tunnelled": [
    ...["[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:a00:1::]"],
    ...["[2001:0:4136:e378:8000:63bf:3fff:fdd2]"],
  ],
  "names that are not public": [
    ...[
      "localhost",
      "LOCALHOST",
      "localhost.",
      "a.localhost",
      "localhost.localdomain.local",
      "intranet",
      "router",
    ],
    ...["printer.local", "printer.local.", "db.internal", "nas.lan", "nas.home.arpa", "hidden.onion"],
    ...["host.test", "host.invalid", "ＬＯＣＡＬＨＯＳＴ", "local%68ost"],
  ],
  "addresses, though public": ["8.8.8.8", "[2606:4700::1111]", "1.1"],
}

describe("[A4] targets of the hosted witness", () => {
  it.each([
    "https://hooks.example.com/a?b=c",
    "https://hooks.example.com:8443/",
    "https://HOOKS.Example.Com./",
    "https://xn--bcher-kva.example/",
    "https://127.0.0.1.example.com/",
    "https://localhost.example.com/",
  ])("%s is allowed", (url) => {
    expect(webhookTarget(url, "public")).toMatchObject({ kind: "ok" })
  })

  describe.each(Object.entries(corpus))("%s", (_what, hosts) => {
    it.each(hosts)("%s is refused", (host) => {
      for (const url of [
        `https://${host}/`,
        `https://${host}:443/x?y#z`,
        `https:${host}`,
        `https:\\\\${host}\\`,
      ]) {
        const target = webhookTarget(url, "public")
        expect(target, url).toMatchObject({
          kind: "error",
          error: expect.stringMatching(/^blocked: |^not a URL$/),
        })
      }
    })
  })

  it("any address is refused, however it is written", () => {
    const spelt = fc
      .tuple(fc.nat(0xffffffff), fc.constantFrom("dotted", "hex", "whole", "octal", "mapped"))
      .map(spell)
    fc.assert(
      fc.property(spelt, (host) => {
        expect(webhookTarget(`https://${host}/`, "public").kind).toBe("error")
      }),
    )
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        expect(webhookTarget(`https://[${address}]/`, "public").kind).toBe("error")
      }),
    )
  })

  it.each([
    ["no url", "not a URL"],
    ["http://hooks.example.com/", "only https"],
    ["ftp://hooks.example.com/", "only https"],
    ["file:///etc/passwd", "only https"],
    ["gopher://hooks.example.com/", "only https"],
    ["data:text/plain,x", "only https"],
    ["https://user:pass@hooks.example.com/", "credentials"],
    ["https://hooks.example.com@127.0.0.1/", "credentials"],
    ["https://hooks.example.com:22/", "port 22"],
    ["https://hooks.example.com:80/", "port 80"],
    ["https://169.254.169.254/", "is an address"],
    ["https://intranet/", "without a domain"],
    ["https://db.internal/", ".internal names"],
  ])("%s is blocked, and it says why", (url, reason) => {
    const target = webhookTarget(url, "public")
    expect(target).toMatchObject({ kind: "error", error: expect.stringContaining(reason) })
  })
})

describe("[A4] targets where private receivers are allowed", () => {
  it.each([
    "http://192.168.1.20:8080/hook",
    "http://localhost:9093/",
    "https://[fd00::1]/",
    "http://10.1/",
    "http://alertmanager:9093",
  ])("%s is allowed", (url) => {
    expect(webhookTarget(url, "private-allowed")).toMatchObject({ kind: "ok" })
  })

  it.each(corpus["link-local and metadata"] ?? [])("%s is not", (host) => {
    for (const url of [`http://${host}/`, `https://${host}:8080/`]) {
      expect(webhookTarget(url, "private-allowed")).toMatchObject({ kind: "error" })
    }
  })

  it.each(["file:///etc/passwd", "ftp://192.168.1.20/", "http://user@192.168.1.20/", "[64:ff9b::a9fe:a9fe]"])(
    "%s is not",
    (url) => {
      expect(webhookTarget(url, "private-allowed")).toMatchObject({ kind: "error" })
    },
  )
})

function spell([address, form]: readonly [number, string]): string {
  const bytes = [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff)
  switch (form) {
    case "hex":
      return `0x${address.toString(16)}`
    case "whole":
      return String(address)
    case "octal":
      return bytes.map((byte) => `0${byte.toString(8)}`).join(".")
    case "mapped":
      return `[::ffff:${bytes.join(".")}]`
    default:
      return bytes.join(".")
  }
}
