/**
 * A producer's sync fails while its messages are with other members: it burns positions and accepts nothing,
 * and what is out must settle all the same.
 */
import type { Run } from "../../../src/testing/history.ts";
import { ForeignRuns, slowHandlers } from "../foreign-runs.ts";
import type { Scenario } from "../scenario.ts";

export const failedSyncInFlight: Scenario = {
  name: "failed-sync-in-flight",
  about: "a producer's sync fails while its messages are with other members",
  shape: (plan, random) => slowHandlers(plan, random, { slowMs: 60, sends: 0.6 }),
  begin: (stage) => {
    const { world, seen } = stage;
    const runs = new ForeignRuns(stage, 10);
    const hit = new Set<Run>();
    return {
      runStarted: (run) => {
        if (runs.begins(run)) world.nodes[run.producer]?.disk.failNextSync();
      },
      diskFault: (node, name) => {
        if (!name.startsWith("syncFailed")) return;
        for (const run of runs.now) if (run.producer === node.index) hit.add(run);
      },
      runEnded: (run) => {
        runs.now.delete(run);
        if (hit.delete(run) && run.outcome === "ok") seen();
      },
    };
  },
};
