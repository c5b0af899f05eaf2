/**
 * Two services, each with a journal at its limit, and what the one's handlers send goes to the other: neither
 * can take the other's output before it has made room, and room comes of the other's taking.
 */
import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";

export const fullCycle: Scenario = {
  name: "full-cycle",
  about: "two journals at their limits, each waiting for the other to take its output",
  shape: (plan, random) => {
    const hop = { ...PLAIN, sends: 1, concurrency: 16, prefetch: 256 };
    const there = withSubscription(plan, { ...hop, pattern: "cy.a", effect: "cy.b" });
    const back = { ...hop, pattern: "cy.b", service: "s1", group: "s1", effect: "cy.a" };
    return {
      ...withSubscription(there, back),
      nodes: 2,
      services: 2,
      smallJournal: true,
      isCalm: false,
      safetyMs: Math.max(6_000, plan.safetyMs),
      work: {
        ...plan.work,
        messages: random.integer(300, 500),
        everyMs: 0.2,
        bytesMax: 60_000,
        awaited: 0,
        requests: 0,
        emits: 0,
        commands: 0,
        subjects: ["cy.a", "cy.b"],
      },
    };
  },
  begin: ({ world, seen }) => {
    const crossed = new Set<number>();
    return {
      runEnded: ({ producer, member, outcome, subscription, volatile }) => {
        if (outcome !== "ok" || volatile || producer === member) return;
        if (subscription.includes(" cy.")) crossed.add(member);
      },
      over: () => {
        // Each found no room for its handlers' output, and in the end took all of the other's.
        const counts = world.nodes.map(({ node }) => node?.counters()["output.noRoom"] ?? 0);
        if (crossed.size === 2 && counts.every((count) => count > 0)) seen(Math.min(...counts));
      },
    };
  },
};
