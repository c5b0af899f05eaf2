/**
 * The link between producer and member breaks and comes back while a long handler runs: the message is sent
 * again and must join the run under way, which nobody may take for dead.
 */
import type { Run } from "../../../src/testing/history.ts";
import { ForeignRuns, slowHandlers } from "../foreign-runs.ts";
import type { Scenario } from "../scenario.ts";

export const linkBlip: Scenario = {
  name: "link-blip",
  about: "a link breaks and comes back during a long handler",
  shape: (plan, random) => slowHandlers(plan, random, { slowMs: 250, sends: 0.5 }),
  begin: (stage) => {
    const { world, random, seen } = stage;
    const runs = new ForeignRuns(stage, 12);
    const blipped = new Set<Run>();
    return {
      runStarted: (run) => {
        if (!runs.begins(run)) return;
        world.time.after(random.between(5, 100), () => {
          const from = world.nodes[run.producer];
          const to = world.nodes[run.member];
          if (from === undefined || to === undefined || world.isHealing) return;
          for (const other of runs.now) {
            if (other.producer === run.producer && other.member === run.member) blipped.add(other);
          }
          world.network.reset(from.host, to.host);
        });
      },
      runEnded: (run) => {
        runs.now.delete(run);
        if (!blipped.delete(run) || run.outcome !== "ok") return;
        const state = world.nodes[run.producer]?.node
          ?.peers()
          .find(({ nodeId }) => world.indexOf(nodeId) === run.member)?.state;
        if (state === "alive") seen(); // the link is up again, and the run outlived its break
      },
    };
  },
};
