/**
 * Only a producer and a member that owns some of its keys are cut from one another; both reach everybody
 * else. What the producer has for that member must neither be lost nor take two ways at once.
 */
import type { Run } from "../../../src/testing/history.ts";
import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";

const TIMES_MAX = 2;

export const cutPair: Scenario = {
  name: "cut-pair",
  about: "only a producer and the owner of a key are cut from one another, for longer than a lease",
  shape: (plan, random) => ({
    ...withSubscription(plan, { ...PLAIN, slow: 0.5, sends: random.chance(0.5) ? 0.5 : 0 }),
    nodes: Math.max(3, plan.nodes),
    services: 1,
    safetyMs: Math.max(9_000, plan.safetyMs),
    isCalm: false,
    work: { ...plan.work, everyMs: 50, keyless: 0 },
  }),
  begin: ({ world, driver, random, seen }) => {
    let times = 0;
    const begin = (run: Run): void => {
      const from = world.nodes[run.producer];
      const owner = world.nodes[run.member];
      if (from === undefined || owner === undefined) return;
      const awayMs = world.plan.leaseMs * random.between(5, 8);
      driver.cut([from.host, owner.host], awayMs);
      // Near the end: both have noticed, and both are linked with somebody else.
      world.time.after(awayMs * 0.9, () => {
        const states = (node: typeof from): Map<number, string> =>
          new Map(
            (node.node?.peers() ?? []).map(({ nodeId, state }) => [world.indexOf(nodeId), state]),
          );
        const [near, far] = [states(from), states(owner)];
        if (near.get(owner.index) === "alive" || far.get(from.index) === "alive") return;
        const isBridged = world.nodes.some(
          ({ index }) => near.get(index) === "alive" && far.get(index) === "alive",
        );
        if (isBridged && !world.isHealing) seen();
      });
    };
    return {
      runStarted: (run) => {
        if (run.producer === run.member || run.volatile || run.key === undefined) return;
        if (world.isHealing || times >= TIMES_MAX || !random.chance(0.05)) return;
        times++;
        begin(run);
      },
    };
  },
};
