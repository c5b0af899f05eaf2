/**
 * A service changes its pattern, instance by instance: for a while one group has members with the old set of
 * patterns and with the new, and the two overlap. Each is a subscription of its own, and is owed everything.
 * What an instance holds for the pattern it gave up leaves all the same.
 */
import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";

export const rollingUpgrade: Scenario = {
  name: "rolling-upgrade",
  about: "members with the old and the new, overlapping patterns of one group at once",
  shape: (plan, random) => {
    const sends = random.chance(0.5) ? 0.5 : 0;
    const old = withSubscription(plan, { ...PLAIN, sends, version: "old" });
    const pattern = random.pick(["ev.*", "ev.>"]);
    return {
      ...withSubscription(old, { ...PLAIN, pattern, sends, version: "new" }),
      nodes: Math.max(3, plan.nodes),
      services: 1,
      safetyMs: Math.max(8_000, plan.safetyMs),
      isCalm: false,
      work: { ...plan.work, everyMs: 50 },
    };
  },
  begin: ({ world, driver, random, seen }) => {
    const [last, ...others] = world.nodes;
    let atMs = random.between(1_000, 2_000);
    for (const node of others) {
      const isKilled = random.chance(0.3);
      world.time.after(atMs, () => {
        if (world.isHealing) return;
        node.version = "new";
        if (node.state === "down" || node.state === "starting") return; // its next life is new
        world.fault("upgrade");
        if (isKilled) node.crash(false);
        else node.stop();
        driver.startWhenDown(node);
      });
      atMs += random.between(300, 1_000);
    }
    const handled = new Map<string, Set<string>>();
    return {
      runEnded: ({ id, subscription, outcome, volatile }) => {
        if (outcome !== "ok" || volatile || !subscription.startsWith("event s0 ev.")) return;
        const isMixed =
          last?.isUp === true && others.some(({ version, isUp }) => isUp && version === "new");
        if (!isMixed) return;
        const by = handled.get(id) ?? new Set();
        handled.set(id, by.add(subscription));
        if (by.size === 2) seen();
      },
    };
  },
};
