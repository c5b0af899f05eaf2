/**
 * A handler's mark and output are on its disk, and before its producer hears of it the key moves on: what
 * the first member holds must be discarded or let out by the producer's word alone, once.
 */
import { PLAIN, placeOfRun, type Scenario, withSubscription } from "../scenario.ts";

const TIMES_MAX = 3;

export const moveAfterCommit: Scenario = {
  name: "move-after-commit",
  about: "a key moves between a member's commit and the producer's word on its settle",
  shape: (plan) => ({
    ...withSubscription(plan, { ...PLAIN, sends: 1, slow: 0.5 }),
    nodes: Math.max(3, plan.nodes),
    services: 1,
    isCalm: false,
  }),
  begin: ({ world, driver, random, seen }) => {
    let times = 0;
    const heldAt = new Map<string, number>();
    const moved = new Set<string>();
    return {
      durable: (node, writes) => {
        for (const { table, value } of writes) {
          if (table !== "held" || value === undefined) continue;
          const head = Buffer.from(value.subarray(0, value.indexOf(0x0a))).toString();
          const { producer, subscription, epoch, seq } = JSON.parse(head) as Record<string, string>;
          const from = world.nodes[world.indexOf(producer as string)];
          if (from === undefined || from === node) continue;
          heldAt.set(`${subscription} n${from.index} ${epoch}:${seq}`, node.index);
          if (world.isHealing || times >= TIMES_MAX || !random.chance(0.3)) continue;
          times++;
          const awayMs = world.plan.leaseMs * random.between(4.5, 6);
          driver.cut([node.host, from.host], awayMs);
          if (random.chance(0.5)) continue;
          world.time.after(0, () => {
            node.crash(true);
            driver.after(awayMs, () => node.start());
          });
        }
      },
      runEnded: (run) => {
        const place = placeOfRun(run);
        const first = heldAt.get(place);
        if (first === undefined || first === run.member || run.outcome !== "ok") return;
        if (moved.has(place)) return;
        moved.add(place);
        seen();
      },
    };
  },
};
