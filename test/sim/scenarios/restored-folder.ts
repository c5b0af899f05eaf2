/**
 * An older copy of a node's folder is put in its place, on a machine whose clock is wrong as well: its epochs,
 * and with them its positions, may be given a second time. What was accepted after the copy is lost with the
 * disk. What the restored node accepts must reach everybody, as if nobody had seen those positions before.
 */
import { PLAIN, peaceful, type Scenario, withSubscription } from "../scenario.ts";

const HOUR_MS = 3_600_000;

export const restoredFolder: Scenario = {
  name: "restored-folder",
  about:
    "an older copy of a folder comes back, with a wrong clock, and works before it meets anybody",
  shape: (plan, random) => ({
    ...withSubscription(plan, {
      ...PLAIN,
      from: random.pick(["new", "earliest"]),
      sends: random.chance(0.3) ? 0.5 : 0,
    }),
    nodes: Math.max(2, plan.nodes),
    services: random.chance(0.5) ? 1 : 2,
    startSpreadMs: 0,
    safetyMs: Math.max(11_000, plan.safetyMs),
    isCalm: false,
    clockIsWrong: true,
    faults: peaceful(plan.faults),
    work: {
      ...plan.work,
      everyMs: 30,
      messages: Math.max(250, plan.work.messages),
      // Kept as wall time, which is wrong here.
      delayed: 0,
      expiring: 0,
    },
  }),
  begin: ({ world, driver, random, seen }) => {
    const node = random.pick(world.nodes);
    const { time, history } = world;
    const turnBack = (): void => {
      node.clocks.wallMs -= HOUR_MS;
    };
    const early = random.chance(0.5);
    time.after(random.between(800, 2_500), () => {
      const copiedMs = time.nowMs;
      const image = node.disk.backup();
      // Wrong from before the lost life on, it gives the same epoch again; from after it, a lower one.
      if (early) turnBack();
      time.after(random.between(200, 1_000), () => {
        node.crash(true);
        time.after(100, () => node.start());
      });
      time.after(random.between(2_500, 4_000), () => {
        node.crash(true);
        world.fault("restore");
        node.disk.restore(image);
        history.restore({ node: node.index, copiedMs, atMs: time.nowMs });
        if (!early) turnBack();
        for (const other of world.nodes) {
          if (other !== node) driver.cut([node.host, other.host], random.between(100, 2_000));
        }
        time.after(100, () => node.start());
      });
    });
    return {
      over: () => {
        if (history.restored.length > 0) seen(node.node?.counters()["epoch.jumped"] ?? 0);
      },
    };
  },
};
