/**
 * A folder is copied and started a second time while the first runs: two live nodes with one identity. The
 * later is refused where both are seen, or one jumps above the other; what the first accepts is not lost.
 */
import { PLAIN, type Scenario, withSubscription } from "../scenario.ts";

const LOOK_EVERY_MS = 100;

export const clonedFolder: Scenario = {
  name: "cloned-folder",
  about:
    "two live nodes on copies of one folder: the later is refused, or one jumps above the other",
  shape: (plan, random) => ({
    ...withSubscription(plan, { ...PLAIN, sends: random.chance(0.3) ? 0.5 : 0 }),
    nodes: Math.max(2, plan.nodes),
    services: random.chance(0.5) ? 1 : 2,
    startSpreadMs: 0,
    safetyMs: Math.max(8_000, plan.safetyMs),
    isCalm: false,
    work: { ...plan.work, everyMs: 30, messages: Math.max(150, plan.work.messages), delayed: 0 },
  }),
  begin: ({ world, driver, random, seen }) => {
    const node = random.pick(world.nodes);
    const { time } = world;
    time.after(random.between(800, 2_500), () => {
      if (world.isHealing) return;
      const clone = world.clone(node, random.fork("clone"));
      const atOnce = random.chance(0.4);
      // Both at once: in one second they come to one epoch.
      if (atOnce) node.crash(false);
      const start = (): void => {
        clone.start();
        if (atOnce) node.start();
      };
      time.after(random.between(50, 1_000), start);
      const isSplit = random.chance(0.4);
      for (const [at, other] of world.nodes.entries()) {
        if (!isSplit || other === node) continue;
        // Each side sees one of the two at first.
        const hidden = at % 2 === 0 ? clone : node;
        driver.cut([hidden.host, other.host], random.between(1_000, 3_000));
      }
      driver.after(random.between(5_000, 30_000), () => clone.retire());
      const look = (): void => {
        const counts = [node, clone].map((one) => one.node?.counters() ?? {});
        const met = counts.some(
          (count) => (count["link.refused.DUPLICATE_NODE"] ?? 0) + (count["epoch.jumped"] ?? 0) > 0,
        );
        if (met && node.isUp && clone.isUp) seen();
        else if (!world.isHealing) time.after(LOOK_EVERY_MS, look);
      };
      look();
    });
    return {};
  },
};
