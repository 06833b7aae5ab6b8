/** SPEC C6: literal addresses, one spelling each. */
import { describe, expect, test } from "vitest"
import {
  addressFamily,
  formatUdpAddress,
  isGroup,
  isWildcard,
  parseUdpAddress,
} from "../../../protocol/address.ts"

describe("[C6] addresses", () => {
  test.each([
    ["10.0.0.1", "10.0.0.1:5405"],
    ["10.0.0.1:1", "10.0.0.1:1"],
    ["255.255.255.255:65535", "255.255.255.255:65535"],
    ["[::]", "[::]:5405"],
    ["[::1]:5406", "[::1]:5406"],
    ["[FE80::0001%eth0.7]", "[fe80::1%eth0.7]:5405"],
    ["[2001:0db8:0:0:0:0:0:1]", "[2001:db8::1]:5405"],
    ["[2001:db8:0:1:1:1:1:1]", "[2001:db8:0:1:1:1:1:1]:5405"],
    ["[1:0:0:2:0:0:0:3]", "[1:0:0:2::3]:5405"],
    ["[1:0:0:2:0:0:3:4]", "[1::2:0:0:3:4]:5405"],
    ["[1:2:3:4:5:6:7::]", "[1:2:3:4:5:6:7:0]:5405"],
    ["[::2:3:4:5:6:7:8]", "[0:2:3:4:5:6:7:8]:5405"],
    ["[1:2:3:4:5:6::]", "[1:2:3:4:5:6::]:5405"],
  ])("%s is %s", (text, spelt) => {
    const address = parseUdpAddress(text, 5405)
    expect(address && formatUdpAddress(address)).toBe(spelt)
    expect(parseUdpAddress(spelt, 1)).toEqual(address)
  })

  test.each([
    ...[
      "",
      "localhost",
      "10.0.0",
      "10.0.0.0.1",
      "10.0.0.256",
      "10.0.0.01",
      "010.0.0.1",
      "10.0.0.1:",
      "10.0.0.1:0",
    ],
    ...[
      "10.0.0.1:65536",
      "10.0.0.1:05405",
      "10.0.0.1:54 05",
      " 10.0.0.1",
      "10.0.0.1\n",
      "[10.0.0.1]",
      "1e1.0.0.1",
    ],
    ...[
      "::1",
      "fe80::1:5405",
      "[::1",
      "::1]",
      "[:::]",
      "[1::2::3]",
      "[1:2:3:4:5:6:7]",
      "[1:2:3:4:5:6:7:8:9]",
    ],
    ...[
      "[1:2:3:4:5:6:7:8::]",
      "[12345::]",
      "[g::]",
      "[::ffff:10.0.0.1]",
      "[fe80::1%]",
      "[fe80::1%a%b]",
      "[]",
      "[:1:2:3:4:5:6:7]",
    ],
  ])("%j is none", (text) => {
    expect(parseUdpAddress(text, 5405)).toBeUndefined()
  })

  test("family, wildcard and group", () => {
    const of = (text: string) => parseUdpAddress(text, 5405) ?? { host: "", port: 0 }
    expect(["10.0.0.1", "[::1]"].map((text) => addressFamily(of(text)))).toEqual(["ipv4", "ipv6"])
    expect(["0.0.0.0", "[::]", "0.0.0.1", "[::1]"].map((text) => isWildcard(of(text)))).toEqual([
      true,
      true,
      false,
      false,
    ])
    const groups = ["224.0.0.1", "239.255.255.255", "255.255.255.255", "[ff02::1]"]
    const hosts = ["223.0.0.1", "240.0.0.1", "10.0.0.1", "[fe80::1]", "[f::1]"]
    expect([...groups, ...hosts].map((text) => isGroup(of(text)))).toEqual([
      true,
      true,
      true,
      true,
      ...hosts.map(() => false),
    ])
  })
})
