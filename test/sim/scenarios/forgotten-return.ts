/**
 * A node is away so long that the others forget what they handled of its messages. When it is back, what
 * they settled and it never heard of may be handled twice; nothing may be lost, and new messages flow.
 */

import { PLAIN, peaceful, type Scenario, withSubscription } from "../scenario.ts";
import type { SimNode } from "../sim-node.ts";

const FORGET_MS = 60_000;
/** The others restart this long after marks are old enough, for marks are dropped at a start. */
const LATER_MS = 2_000;

export const forgottenReturn: Scenario = {
  name: "forgotten-return",
  about: "a node returns after the others forgot it",
  shape: (plan, random) => ({
    ...withSubscription(plan, { ...PLAIN, sends: random.chance(0.5) ? 0.5 : 0 }),
    nodes: random.integer(2, 3),
    services: 1,
    startSpreadMs: 0,
    safetyMs: FORGET_MS + 14_000,
    heartbeatMs: 500,
    forgetMs: FORGET_MS,
    isCalm: false,
    faults: peaceful(plan.faults),
    work: { ...plan.work, everyMs: 50, messages: Math.max(150, plan.work.messages) },
  }),
  begin: ({ world, random, seen }) => {
    const away = random.pick(world.nodes);
    world.history.mayRepeat.add(away.index);
    const forgotten = new Set<SimNode>();
    const back = random.between(5_000, 8_000);
    world.time.after(random.between(1_500, 4_000), () => {
      const leftMs = world.time.nowMs;
      away.crash(random.chance(0.5));
      world.fault("longAbsence");
      for (const node of world.nodes) {
        if (node === away) continue;
        world.time.after(FORGET_MS + random.between(100, LATER_MS), () => {
          node.crash(false);
          world.time.after(200, () => node.start());
        });
      }
      world.time.after(FORGET_MS + LATER_MS + back - leftMs / 10, () => away.start());
    });
    return {
      durable: (node, writes) => {
        if (node === away || away.state !== "down" || away.nodeId === "") return;
        for (const { table, key, value } of writes) {
          if (table !== "inbox" || value !== undefined) continue;
          if (Buffer.from(key).toString("latin1").includes(away.nodeId)) forgotten.add(node);
        }
      },
      runEnded: ({ producer, member, outcome, volatile }) => {
        if (producer !== away.index || outcome !== "ok" || volatile) return;
        const node = world.nodes[member];
        if (away.life > 1 && node !== undefined && forgotten.has(node)) seen();
      },
    };
  },
};
