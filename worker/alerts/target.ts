/**
 * Where alerts may be sent (SSRF rules): an operator's URL must not turn the witness into a way into somebody's network.
 * Checked when a receiver is stored and again before each sending. Redirects are never followed (`delivery.ts`).
 *
 * Stricter than a list of private ranges: on the hosted witness EVERY literal address is refused. No pager is reached by
 * address, and the list of ranges that are not public never ends. What a name resolves to is not visible in a Worker;
 * there the platform's `fetch` reaches public addresses only.
 */
import { err, ok, type Result } from "../../protocol/result.ts"

/** `public`: the hosted witness. `private-allowed`: the embedded one, which stands in the operator's own network. */
export type TargetPolicy = "public" | "private-allowed"

const privateSuffixes = ["localhost", "local", "internal", "lan", "home.arpa", "onion", "test", "invalid"]
const portsAllowed = ["", "443", "8443"]

/** The URL if it may be posted to; otherwise why not, as a sentence for the operator. */
export function webhookTarget(text: string, policy: TargetPolicy): Result<URL, string> {
  if (!URL.canParse(text)) return err("not a URL")
  const url = new URL(text)
  if (url.username !== "" || url.password !== "") return err("blocked: credentials in a URL end up in logs")
  if (policy === "private-allowed") {
    return url.protocol === "https:" || url.protocol === "http:"
      ? ok(url)
      : err(`blocked: ${url.protocol} is not HTTP`)
  }
  if (url.protocol !== "https:") return err("blocked: only https is allowed")
  if (!portsAllowed.includes(url.port)) return err(`blocked: port ${url.port} is not 443 or 8443`)
  return publicName(url)
}

function publicName(url: URL): Result<URL, string> {
  // The parser has folded every way to write an IPv4 address into four decimal numbers, and IPv6 stands in brackets.
  const host = url.hostname.replace(/\.$/, "").toLowerCase()
  if (host.startsWith("[") || /^[0-9.]+$/.test(host)) return err(`blocked: ${host} is an address, not a name`)
  if (!host.includes(".")) return err(`blocked: ${host} is a name without a domain`)
  const suffix = privateSuffixes.find((each) => host === each || host.endsWith(`.${each}`))
  return suffix === undefined ? ok(url) : err(`blocked: .${suffix} names are not public`)
}
