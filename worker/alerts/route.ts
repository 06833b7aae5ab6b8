/** Which receivers hear of an event. Pure. For now every receiver hears of everything; grouping and silences go here. */
import type { ReportedEvent } from "../../protocol/summaries.ts"

/** The kind of event that says that a receiver could not be reached; its subject is that receiver's name. */
export const deliveryFailedKind = "delivery-failed"

/** Names of the receivers to notify. A receiver is not told that it cannot be told. */
export function receiversFor(
  event: ReportedEvent,
  receivers: readonly { readonly name: string }[],
): readonly string[] {
  const names = receivers.map(({ name }) => name)
  return event.kind === deliveryFailedKind ? names.filter((name) => name !== event.subject) : names
}
