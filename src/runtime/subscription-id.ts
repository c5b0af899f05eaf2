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
