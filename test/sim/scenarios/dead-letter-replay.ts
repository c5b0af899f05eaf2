/** Dead letters are replayed while everything still fails: a replay is a message like any other, for one subscription. */
import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";

const TEND_EVERY_MS = 300;

export const deadLetterReplay: Scenario = {
  name: "dead-letter-replay",
  about: "dead letters are replayed amid faults, and the replays handled",
  shape: (plan, random) => ({
    ...withSubscription(plan, {
      ...PLAIN,
      poison: 0.3,
      attempts: random.integer(1, 3),
      onDead: random.pick(["continue", "continue", "hold"]),
      sends: random.chance(0.5) ? 0.5 : 0,
    }),
    replaysSucceed: true,
    isCalm: false,
  }),
  begin: ({ world, seen }) => {
    const tend = (): void => {
      if (world.isHealing) return; // from then on the world does it for every seed
      world.nurse();
      world.time.after(TEND_EVERY_MS, tend);
    };
    world.time.after(TEND_EVERY_MS, tend);
    return {
      runEnded: (run) => {
        if (run.outcome === "ok" && run.isReplay && !world.isHealing) seen();
      },
    };
  },
};
