/**
 * Where alerts may be sent (SSRF rules): an operator's URL must not turn the witness into a way into somebody's network.
 * Checked when a receiver is stored and again before each sending. Redirects are never followed.
 *
 * Stricter than a list of private ranges: on the hosted witness EVERY literal address is refused. No pager is reached by
 * address, and the list of ranges that are not public never ends. What a name resolves to is not visible in a Worker;
 * there the platform's `fetch` reaches public addresses only.
 *
 * A deployment inside the operator's network may allow private receivers. Link-local addresses stay refused there: no
 * receiver has one, and on a cloud machine the metadata service, which hands out credentials, does.
 */
import { err, ok, type Result } from "../../protocol/result.ts"

/** `public`: the hosted witness. `private-allowed`: one that stands in the operator's own network. */
export type TargetPolicy = "public" | "private-allowed"

const privateSuffixes = ["localhost", "local", "internal", "lan", "home.arpa", "onion", "test", "invalid"]
const portsAllowed = ["", "443", "8443"]
/** Names and addresses of metadata services that are not link-local. */
const metadataHosts = [
  "metadata",
  "metadata.google.internal",
  "[fd00:ec2::254]",
  "100.100.100.200",
  "192.0.0.192",
]

/** The URL if it may be posted to; otherwise why not, as a sentence for the operator. */
export function webhookTarget(text: string, policy: TargetPolicy): Result<URL, string> {
  if (!URL.canParse(text)) return err("not a URL")
  const url = new URL(text)
  if (url.protocol !== "https:" && (policy === "public" || url.protocol !== "http:"))
    return err(`blocked: only https${policy === "public" ? "" : " and http"} is allowed`)
  if (url.username !== "" || url.password !== "") return err("blocked: credentials in a URL end up in logs")
  // The parser has folded every way to write an IPv4 address into four decimal numbers, and IPv6 stands in brackets.
  const host = url.hostname.replace(/\.+$/, "").toLowerCase()
  const reason = policy === "public" ? notPublic(host, url.port) : neverAllowed(host)
  return reason === undefined ? ok(url) : err(`blocked: ${reason}`)
}

function notPublic(host: string, port: string): string | undefined {
  if (!portsAllowed.includes(port)) return `port ${port} is not 443 or 8443`
  if (host.startsWith("[") || /^[0-9.]+$/.test(host)) return `${host} is an address, not a name`
  if (!host.includes(".")) return `${host} is a name without a domain`
  const suffix = privateSuffixes.find((each) => host.endsWith(`.${each}`))
  return suffix === undefined ? undefined : `.${suffix} names are not public`
}

function neverAllowed(host: string): string | undefined {
  if (host === "") return "it names no host"
  if (metadataHosts.includes(host)) return `${host} is a metadata service`
  // IPv4 as such, mapped into IPv6 (::ffff:a9fe:...) and translated (64:ff9b::a9fe:...); fe80::/10.
  const isLinkLocal = /^169\.254\.|^\[(::ffff:|64:ff9b::|::)a9fe:|^\[fe[89ab][0-9a-f]:/.test(host)
  return isLinkLocal ? `${host} is link-local, where metadata services are` : undefined
}
