/**
 * A producer's sync fails while its messages are with other members: it burns positions and accepts nothing,
 * and what is out must settle all the same.
 */
import type { Run } from "../../../src/testing/history.ts";
import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";

const TIMES_MAX = 10;

export const failedSyncInFlight: Scenario = {
  name: "failed-sync-in-flight",
  about: "a producer's sync fails while its messages are with other members",
  shape: (plan, random) => ({
    ...withSubscription(plan, {
      ...PLAIN,
      slow: 1,
      slowMs: 60,
      sends: random.chance(0.6) ? 0.5 : 0,
      concurrency: 16,
    }),
    isCalm: false,
  }),
  begin: ({ world, random, seen }) => {
    let times = 0;
    const running = new Set<Run>();
    const hit = new Set<Run>();
    return {
      runStarted: (run) => {
        if (run.producer === run.member || run.volatile) return;
        running.add(run);
        if (world.isHealing || times >= TIMES_MAX || !random.chance(0.1)) return;
        times++;
        world.nodes[run.producer]?.disk.failNextSync();
      },
      diskFault: (node, name) => {
        if (!name.startsWith("syncFailed")) return;
        for (const run of running) if (run.producer === node.index) hit.add(run);
      },
      runEnded: (run) => {
        running.delete(run);
        if (hit.delete(run) && run.outcome === "ok") seen();
      },
    };
  },
};
