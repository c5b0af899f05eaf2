/**
 * The link between producer and member breaks and comes back while a long handler runs: the message is sent
 * again and must join the run under way, which nobody may take for dead.
 */
import type { Run } from "../../../src/testing/history.ts";
import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";

const TIMES_MAX = 12;

export const linkBlip: Scenario = {
  name: "link-blip",
  about: "a link breaks and comes back during a long handler",
  shape: (plan, random) => ({
    ...withSubscription(plan, {
      ...PLAIN,
      slow: 1,
      slowMs: 250,
      sends: random.chance(0.5) ? 0.5 : 0,
      concurrency: 16,
    }),
    isCalm: false,
  }),
  begin: ({ world, random, seen }) => {
    let times = 0;
    const blipped = new Set<Run>();
    const running = new Set<Run>();
    return {
      runStarted: (run) => {
        if (run.producer === run.member || run.volatile) return;
        running.add(run);
        if (world.isHealing || times >= TIMES_MAX || !random.chance(0.1)) return;
        times++;
        world.time.after(random.between(5, 100), () => {
          const from = world.nodes[run.producer];
          const to = world.nodes[run.member];
          if (from === undefined || to === undefined || world.isHealing) return;
          for (const other of running) {
            if (other.producer === run.producer && other.member === run.member) blipped.add(other);
          }
          world.network.reset(from.host, to.host);
        });
      },
      runEnded: (run) => {
        running.delete(run);
        if (!blipped.delete(run) || run.outcome !== "ok") return;
        const state = world.nodes[run.producer]?.node
          ?.peers()
          .find(({ nodeId }) => world.indexOf(nodeId) === run.member)?.state;
        if (state === "alive") seen(); // the link is up again, and the run outlived its break
      },
    };
  },
};
