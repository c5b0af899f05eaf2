/**
 * The name under which cursors, marks and held output of a subscription are kept.
 *
 * A command has one subscription whoever handles it, so its name does not hold the group. Neither groups
 * nor patterns hold spaces.
 */
export const subscriptionId = (subscription: {
  readonly role: "events" | "commands" | "queries";
  readonly group: string;
  readonly pattern: string;
}): string => {
  const { role, group, pattern } = subscription;
  return role === "commands" ? `command ${pattern}` : `event ${group} ${pattern}`;
};

/** What such a name says; undefined: it is none. Of a command it does not say the group. */
export const parseSubscriptionId = (
  id: string,
): { readonly role: "events" | "commands"; readonly pattern: string } | undefined => {
  const [kind, first = "", second = "", ...rest] = id.split(" ");
  if (rest.length > 0) return undefined;
  if (kind === "command" && first !== "" && second === "")
    return { role: "commands", pattern: first };
  if (kind === "event" && first !== "" && second !== "") return { role: "events", pattern: second };
  return undefined;
};

/** Between the service and the node id in the group of an instance that shares with nobody. */
const PRIVATE_MARK = "~";

/** The group of an instance's own copy. Names that users give hold no such mark. */
export const privateGroup = (service: string, nodeId: string): string =>
  `${service}${PRIVATE_MARK}${nodeId}`;

/** Whether several instances can be members, so that shards have owners. */
export const isShared = (group: string): boolean => !group.includes(PRIVATE_MARK);

/** Whether the keys of the subscription have owners among its members. */
export const isOwned = (record: {
  readonly distribution: "key" | "any";
  readonly group: string;
}): boolean => record.distribution === "key" && isShared(record.group);
