/**
 * The operator's HTTP API as data: every route with its scope, the schema of its body and what it asks of the object.
 * `index.ts` serves it, `openapi.ts` describes it; neither knows a route that the other does not.
 */
import * as v from "valibot"
import { type AdminCommand, credentialSchema } from "./admin-commands.ts"
import { type AlertCommand, actionSchema, replaySchema, silenceSchema } from "./alert-commands.ts"
import type { Scope } from "./scopes.ts"

export type ApiCommand =
  | { readonly to: "alerts"; readonly command: AlertCommand }
  | { readonly to: "administration"; readonly command: AdminCommand }

export interface ApiRequest {
  /** Path parameters. */
  readonly path: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
  /** JSON that the schema took, or TOML as text. */
  readonly body: unknown
}

interface ApiRoute {
  readonly method: "get" | "post" | "put" | "delete"
  /** Below `/v1/clusters/{cluster}`; parameters as `{name}`. */
  readonly path: string
  readonly scope: Scope
  readonly summary: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: { readonly kind: "json"; readonly schema: v.GenericSchema } | { readonly kind: "toml" }
  readonly command: (request: ApiRequest) => ApiCommand
}

/** More would be more than the free plan's 10 ms of processor time for a request: 500 events take 5 ms. */
const limitMax = 500
const limitText = `how many at most, 1 to ${limitMax}; default 100`

const alerts = (command: AlertCommand): ApiCommand => ({ to: "alerts", command })
const administration = (command: AdminCommand): ApiCommand => ({ to: "administration", command })

export const apiRoutes: readonly ApiRoute[] = [
  {
    method: "get",
    path: "/alerts/incidents",
    scope: "read",
    summary: "Incidents that are not over; all that are kept with state=all",
    query: { state: "`live` (default) or `all`", limit: limitText },
    command: ({ query }) =>
      alerts({
        kind: "list-incidents",
        state: query.state === "all" ? "all" : "live",
        limit: limitOf(query),
      }),
  },
  {
    method: "get",
    path: "/alerts/incidents/{incident}",
    scope: "read",
    summary: "One incident with its whole story: what was sent to whom, what was not, and why",
    command: ({ path }) => alerts({ kind: "explain", incident: path.incident ?? "" }),
  },
  ...(["acknowledge", "resolve"] as const).map(
    (kind): ApiRoute => ({
      method: "post",
      path: `/alerts/incidents/{incident}/${kind}`,
      scope: "operate",
      summary:
        kind === "acknowledge"
          ? "Somebody works on it: no repeats, no escalation"
          : "It is over, by somebody's word",
      body: { kind: "json", schema: actionSchema },
      command: ({ path, body }) =>
        alerts({ kind, incident: path.incident ?? "", by: v.parse(actionSchema, body).by }),
    }),
  ),
  {
    method: "get",
    path: "/alerts/silences",
    scope: "read",
    summary: "Silences and maintenance windows, also those of the last week that are over",
    command: () => alerts({ kind: "list-silences" }),
  },
  {
    method: "post",
    path: "/alerts/silences",
    scope: "operate",
    summary: "A silence, or a maintenance window, for what its matchers fit",
    body: { kind: "json", schema: silenceSchema },
    command: ({ body }) => alerts({ kind: "silence", silence: v.parse(silenceSchema, body) }),
  },
  {
    method: "delete",
    path: "/alerts/silences/{silence}",
    scope: "operate",
    summary: "Ends a silence now",
    command: ({ path }) => alerts({ kind: "end-silence", id: path.silence ?? "" }),
  },
  {
    method: "get",
    path: "/alerts/rules",
    scope: "read",
    summary: "The alert rules; of secrets the last characters",
    command: () => alerts({ kind: "show-rules" }),
  },
  {
    method: "put",
    path: "/alerts/rules",
    scope: "admin",
    summary: "Replaces the alert rules, receivers included",
    body: { kind: "toml" },
    command: ({ body }) => alerts({ kind: "replace-rules", text: String(body) }),
  },
  {
    method: "post",
    path: "/alerts/rules/check",
    scope: "read",
    summary: "Says what is wrong with alert rules, line by line; stores nothing",
    body: { kind: "toml" },
    command: ({ body }) => alerts({ kind: "check-rules", text: String(body) }),
  },
  {
    method: "get",
    path: "/alerts/events",
    scope: "read",
    summary: "The last seven days' events in the order of their ids, to try rules on",
    query: { after: "id of the last event of the page before", limit: limitText },
    command: ({ query }) => alerts({ kind: "list-events", after: query.after ?? "", limit: limitOf(query) }),
  },
  {
    method: "post",
    path: "/alerts/receivers/{receiver}/test",
    scope: "operate",
    summary: "Sends a test, trigger and resolve, and says what came of it",
    command: ({ path }) => alerts({ kind: "test", receiver: path.receiver ?? "" }),
  },
  {
    method: "get",
    path: "/alerts/deliveries",
    scope: "read",
    summary: "Notifications with their attempts, newest first",
    query: { state: "`pending`, `delivered`, `dead` or `dropped`; default: all", limit: limitText },
    command: ({ query }) =>
      alerts({ kind: "list-deliveries", state: query.state ?? "", limit: limitOf(query) }),
  },
  {
    method: "post",
    path: "/alerts/deliveries/{delivery}/replay",
    scope: "operate",
    summary: "Sends a notification again",
    command: ({ path }) => alerts({ kind: "replay", id: path.delivery ?? "" }),
  },
  {
    method: "post",
    path: "/alerts/deliveries/replay",
    scope: "operate",
    summary: "Sends all dead letters of a receiver again",
    body: { kind: "json", schema: replaySchema },
    command: ({ body }) => alerts({ kind: "replay-dead", receiver: v.parse(replaySchema, body).receiver }),
  },
  {
    method: "get",
    path: "/credentials",
    scope: "admin",
    summary: "The cluster's credentials, without what they open with",
    command: () => administration({ kind: "list-credentials" }),
  },
  {
    method: "post",
    path: "/credentials",
    scope: "admin",
    summary: "A new credential; its text is in this answer and never again",
    body: { kind: "json", schema: credentialSchema },
    command: ({ body }) =>
      administration({ kind: "create-credential", credential: v.parse(credentialSchema, body) }),
  },
  {
    method: "delete",
    path: "/credentials/{credential}",
    scope: "admin",
    summary: "Revokes a credential",
    command: ({ path }) => administration({ kind: "revoke-credential", id: path.credential ?? "" }),
  },
  {
    method: "post",
    path: "/nodes/{node}/revoke",
    scope: "admin",
    summary: "Believes nothing any more that is signed with the node's present key",
    command: ({ path }) => administration({ kind: "revoke-node", node: Number(path.node) }),
  },
]

function limitOf({ limit }: ApiRequest["query"]): number {
  return Math.min(Math.max(Math.trunc(Number(limit ?? 100)) || 100, 1), limitMax)
}
