/**
 * A member that ended its subscription while its link was down could not say so: its list, which is whole,
 * lacks it. Where keys wait for their member, a new life of it may only not have come to subscribe yet.
 */
import type { SubscriptionRecord } from "../../wire/declare.ts";
import type { Link } from "../link/link.ts";
import { subscriptionId } from "../subscription-id.ts";
import type { ProducerHost } from "./producer-host.ts";

/** Of a peer's first list of a session. */
export const endUndeclared = (
  producer: ProducerHost,
  link: Link,
  records: readonly SubscriptionRecord[],
): void => {
  const declared = new Set(
    records.map(({ role, group, pattern }) =>
      role === "queries" ? "" : subscriptionId({ role, group, pattern }),
    ),
  );
  const { nodeId } = link.peer;
  for (const state of producer.table.all()) {
    const member = state.cursor.members.get(nodeId);
    if (member === undefined || declared.has(state.id) || state.outlets.has(nodeId)) continue;
    if (!state.definition.failoverMove) continue;
    state.cursor.leave(member, false);
    state.tokens?.over(nodeId, "left");
    producer.pump(state);
  }
};
