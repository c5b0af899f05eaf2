/**
 * A member ends its subscription while its process goes on: others get what is due to it, and it nothing more.
 * It may subscribe again, while messages of its first time are still on their way.
 */

import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";
import type { SimNode } from "../sim-node.ts";

export const memberLeaves: Scenario = {
  name: "member-leaves",
  about: "a member ends its subscription and lives on; others take over, and it may come again",
  shape: (plan, random) => ({
    ...withSubscription(plan, { ...PLAIN, slow: 0.7, slowMs: 60, flaky: random.pick([0, 0.2]) }),
    nodes: Math.max(3, plan.nodes),
    services: 1,
    safetyMs: Math.max(6_000, plan.safetyMs),
    isCalm: false,
    work: { ...plan.work, everyMs: 10, messages: Math.max(150, plan.work.messages) },
  }),
  begin: ({ world, driver, random, seen }) => {
    let away: SimNode | undefined;
    const leave = (at: SimNode, leaving: Promise<void>, back: () => void): void => {
      const { process } = at;
      leaving.then(
        () => {
          if (at.process === process) away = at;
          if (!random.chance(0.5)) return;
          driver.after(random.between(300, 3_000), () => {
            if (at.process !== process || at.state !== "up") return;
            away = undefined;
            back();
          });
        },
        (error: unknown) => world.found("stop", `a subscription did not end: ${String(error)}`),
      );
    };
    return {
      subscribed: (at, plan, subscription) => {
        if (plan.pattern !== PLAIN.pattern || plan.group !== PLAIN.group) return;
        if (at.index !== 0 || world.isHealing) return;
        const { process } = at; // in another life it is another subscription
        world.time.after(random.between(300, 3_000), () => {
          if (at.state !== "up" || at.process !== process || process?.isPaused !== false) return;
          world.history.changesMs.push(world.time.nowMs);
          leave(at, subscription.stop(), () => at.subscribeAgain(plan));
        });
      },
      runEnded: ({ subscription, outcome, member, startMs }) => {
        if (away === undefined || outcome !== "ok" || startMs < 0) return;
        if (subscription === "event s0 ev.a" && member !== away.index) seen();
      },
    };
  },
};
