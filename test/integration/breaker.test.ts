/** A dependency fails at one instance of a group: that one stops trying, the other goes on. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { ChildNode } from "./child-node.ts";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);

const KEYS = 16;
const keyOf = (n: number): string => `k${n % KEYS}`;
const states = (node: ChildNode): string[] =>
  node.happened("status", "breaker").map(({ change }) => change?.state as string);

describe("a circuit breaker among processes", () => {
  it("stops the instance whose dependency fails, while the other handles its keys, and loses nothing", async () => {
    const mesh = await world();
    const names = ["a", "b1", "b2"];
    const nodes = await Promise.all(names.map((name) => mesh.start(name)));
    const [a, broken, sound] = nodes as [ChildNode, ChildNode, ChildNode];
    await mesh.link(...nodes);
    const fileOf = (node: ChildNode): string => join(mesh.folder, `${node.service}.up`);
    for (const member of [broken, sound]) {
      await writeFile(fileOf(member), "");
      await member.listen({
        name: "work",
        verb: "subscribe",
        subject: "task.set",
        behaviour: [{ type: "need", path: fileOf(member) }],
        options: {
          group: "work",
          durable: true,
          retry: { attempts: 1_000, baseMs: 5, capMs: 20 },
          breaker: { minimum: 6, openMs: 250, openMsMax: 250 },
        },
      });
    }
    const publish = (numbers: number[]): Promise<unknown> =>
      Promise.all(numbers.map((n) => a.publish("task.set", n, { options: { key: keyOf(n) } })));

    await publish(range(0, KEYS));
    expect(await a.settled("event work task.set", KEYS)).toMatchObject({ acked: KEYS });
    const its = new Set(broken.happened("end", "work").map(({ key }) => key));
    expect(its.size).toBeGreaterThan(0);
    expect(its.size).toBeLessThan(KEYS);

    await rm(fileOf(broken));
    await publish(range(KEYS, 10 * KEYS));
    await broken.sees("its breaker open", () => states(broken).includes("open"));
    const done = broken.numbers("end", "work").length;
    await publish(range(11 * KEYS, 10 * KEYS));
    const others = range(0, 21 * KEYS).filter((n) => !its.has(keyOf(n)));
    await sound.handledAll("work", others);
    await broken.sees("three probes fail", () => states(broken).lastIndexOf("open") >= 6);
    expect(broken.numbers("end", "work")).toHaveLength(done);
    expect(states(sound)).toEqual([]);

    await writeFile(fileOf(broken), "");
    const counts = await a.settled("event work task.set", 21 * KEYS);
    expect(counts).toMatchObject({ acked: 21 * KEYS, dead: 0, expired: 0 });
    await broken.sees("its breaker closed", () => states(broken).at(-1) === "closed");
    for (const key of range(0, KEYS).map(keyOf)) {
      const owner = its.has(key) ? broken : sound;
      const ends = owner.happened("end", "work").filter((each) => each.key === key);
      expect(ends.map(({ n }) => n)).toEqual(range(0, 21 * KEYS).filter((n) => keyOf(n) === key));
    }
    for (const starts of betweenOpenings(broken)) expect(starts).toBe(1);
    const failed = broken.happened("start", "work").length - broken.numbers("end", "work").length;
    const probes = states(broken).filter((state) => state === "half-open").length - 1;
    // What failed is what opened it, at most one handler a key beside those, and a probe each time after.
    expect(failed).toBeLessThanOrEqual(6 + its.size + probes);
  });
});

/** Handlers started between each time it opened and the next. */
const betweenOpenings = ({ events }: ChildNode): number[] => {
  const starts: number[] = [];
  let since: number | undefined;
  for (const { event, name, change } of events) {
    if (event === "start" && since !== undefined) since++;
    if (event !== "status" || name !== "breaker" || change?.state !== "open") continue;
    if (since !== undefined) starts.push(since);
    since = 0;
  }
  return starts;
};
