/**
 * A node accepts messages before it has met anybody: subscriptions that exist elsewhere, of which it knows
 * nothing yet, are owed them all the same.
 */
import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";

export const earlyPublish: Scenario = {
  name: "early-publish",
  about: "a node publishes before it knows any peer; subscriptions that were there first get it",
  shape: (plan) => ({
    ...withSubscription(plan, { ...PLAIN, service: "s1", group: "s1" }),
    nodes: Math.max(2, plan.nodes),
    services: 2,
    // The first node comes when the others have their subscriptions.
    startsMs: Array.from({ length: Math.max(2, plan.nodes) }, (_, index) =>
      index === 0 ? 900 : 0,
    ),
    safetyMs: Math.max(5_000, plan.safetyMs),
    isCalm: false,
  }),
  begin: ({ world, driver, random, seen }) => {
    const alone = world.nodes[0];
    const early = new Set<string>();
    if (alone !== undefined) {
      const { deaf } = world.discovery.faults;
      deaf.add(alone.host);
      driver.after(random.between(1_500, 3_500), () => deaf.delete(alone.host));
    }
    let hasMet = false;
    return {
      accepted: (said) => {
        if (hasMet || said.node !== alone?.index) return;
        hasMet = (alone.node?.peers().length ?? 0) > 0;
        if (!hasMet) early.add(said.id);
      },
      runEnded: ({ id, outcome, member, producer }) => {
        if (outcome !== "ok" || member === producer || !early.delete(id)) return;
        seen();
      },
    };
  },
};
