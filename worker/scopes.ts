/** How far a credential reaches; each scope includes those before it. */

/** `read`: look. `operate`: acknowledge, resolve, silence, test, replay. `admin`: rules, credentials, configuration, delete. */
export const scopes = ["read", "operate", "admin"] as const
export type Scope = (typeof scopes)[number]

export function reaches(scope: Scope, wanted: Scope): boolean {
  return scopes.indexOf(scope) >= scopes.indexOf(wanted)
}
