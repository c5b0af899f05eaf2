/**
 * A subscription is born where its producers cannot hear of it. What they accept meanwhile is owed to it,
 * from its birth on.
 */
import { compositeKey } from "../../../src/runtime/journal/keys.ts";
import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";

type Apart = { readonly subscription: string; readonly creator: string };

export const bornApart: Scenario = {
  name: "born-apart",
  about: "a durable subscription is born in a partition and gets what was said beyond it",
  shape: (plan) => ({
    ...withSubscription(plan, { ...PLAIN, service: "s1", group: "s1", lateMs: 3_000 }),
    nodes: Math.max(2, plan.nodes),
    services: 2,
    startSpreadMs: 0,
    safetyMs: Math.max(7_000, plan.safetyMs),
    isCalm: false,
    work: { ...plan.work, everyMs: 50, messages: Math.max(100, plan.work.messages) },
  }),
  begin: ({ world, driver, random, seen }) => {
    const births: Apart[] = [];
    const owed = new Map<string, Set<string>>();
    world.time.after(random.between(100, 600), () => {
      const awayMs = random.between(2_500, 5_000);
      for (const a of world.nodes) {
        for (const b of world.nodes) {
          if (a.service === "s0" && b.service === "s1") driver.cut([a.host, b.host], awayMs);
        }
      }
    });
    const isCut = (from: string, to: string): boolean => world.network.path(from, to).blocked > 0;
    return {
      durable: (node, writes) => {
        for (const { table, key, value } of writes) {
          if (table !== "directory" || value === undefined) continue;
          const known = [...world.history.known.values()].find(
            ({ id, durable }) => durable && Buffer.compare(compositeKey("birth", id), key) === 0,
          );
          if (known !== undefined) births.push({ subscription: known.id, creator: node.host });
        }
      },
      accepted: ({ id, node }) => {
        const host = `n${node}`;
        for (const { subscription, creator } of births) {
          if (!isCut(host, creator) || !isCut(creator, host)) continue;
          const ids = owed.get(subscription) ?? new Set();
          owed.set(subscription, ids.add(id));
        }
      },
      runEnded: ({ id, subscription, outcome, member, producer }) => {
        if (outcome !== "ok" || member === producer) return;
        if (owed.get(subscription)?.delete(id) === true) seen();
      },
    };
  },
};
