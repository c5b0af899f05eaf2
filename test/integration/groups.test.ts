/** Members of a group share its messages: competing, or by key with each key in order. */
import { afterEach, describe, expect, it } from "vitest";
import type { ChildNode } from "./child-node.ts";
import { range } from "./until.ts";
import { type World, worlds } from "./world.ts";

const world = worlds(afterEach);

const start = async (mesh: World, ...names: string[]): Promise<ChildNode[]> => {
  const nodes = await Promise.all(names.map((name) => mesh.start(name)));
  await mesh.link(...nodes);
  return nodes;
};

/** Handled by the first, or the second, or both; each number once. */
const shared = async (one: ChildNode, two: ChildNode, numbers: number[]): Promise<number[][]> => {
  await one.sees("all handled by the group", () => {
    const both = [...one.numbers("end", "work"), ...two.numbers("end", "work")];
    return numbers.every((n) => both.includes(n));
  });
  return [one.numbers("end", "work"), two.numbers("end", "work")];
};

describe("a group", () => {
  it("with competing consumers shares the work, and each message is handled once", async () => {
    const mesh = await world();
    const [a, b1, b2] = (await start(mesh, "a", "b1", "b2")) as [ChildNode, ChildNode, ChildNode];
    const options = { group: "work", durable: true, distribution: "any", prefetch: 4 } as const;
    const behaviour = [{ type: "slow", ms: 2 }] as const;
    for (const member of [b1, b2]) {
      const listen = { name: "work", verb: "subscribe", subject: "task.set" } as const;
      await member.listen({ ...listen, behaviour, options: { ...options, concurrency: 2 } });
    }
    const numbers = range(0, 100);
    await Promise.all(numbers.map((n) => a.publish("task.set", n)));
    const [first = [], second = []] = await shared(b1, b2, numbers);
    expect(first.length).toBeGreaterThan(10);
    expect(second.length).toBeGreaterThan(10);
    expect([...first, ...second].sort((x, y) => x - y)).toEqual(numbers);
    expect(await a.settled("event work task.set", 100)).toMatchObject({ acked: 100 });
  });

  it("with competing consumers takes what a killed one had at once, long before its lease has run out", async () => {
    const mesh = await world();
    const setup = { node: { leaseMs: 60_000, silenceMs: 60_000 }, transports: ["tcp"] } as const;
    const names = ["a", "b1", "b2"];
    const nodes = await Promise.all(names.map((name) => mesh.start(name, setup)));
    await mesh.link(...nodes);
    const [a, b1, b2] = nodes as [ChildNode, ChildNode, ChildNode];
    const listen = { name: "work", verb: "subscribe", subject: "task.set" } as const;
    const options = { group: "work", durable: true, distribution: "any", concurrency: 64 } as const;
    await b1.listen({ ...listen, behaviour: [{ type: "hang" }], options });
    await b2.listen({ ...listen, options });
    const numbers = range(0, 40);
    await Promise.all(numbers.map((n) => a.publish("task.set", n)));
    await a.sees("both have some", () => {
      const [had, done] = [b1.numbers("start", "work"), b2.numbers("end", "work")];
      return had.length > 0 && had.length + done.length === numbers.length;
    });
    await b1.kill();
    await a.sees("all are handled", () => b2.numbers("end", "work").length === numbers.length);
    expect(await a.settled("event work task.set", 40)).toMatchObject({ acked: 40 });
  });

  it("by key gives each key to one member, in order, while keys run side by side", async () => {
    const mesh = await world();
    const [a, b1, b2] = (await start(mesh, "a", "b1", "b2")) as [ChildNode, ChildNode, ChildNode];
    for (const member of [b1, b2]) {
      await member.listen({
        name: "work",
        verb: "subscribe",
        subject: "task.set",
        behaviour: [{ type: "slow", ms: 3 }],
        options: { group: "work", durable: true, concurrency: 8 },
      });
    }
    const numbers = range(0, 160);
    const keyOf = (n: number): string => `k${n % 16}`;
    await Promise.all(numbers.map((n) => a.publish("task.set", n, { options: { key: keyOf(n) } })));
    await shared(b1, b2, numbers);
    for (const key of range(0, 16).map(keyOf)) {
      const mine = numbers.filter((n) => keyOf(n) === key);
      const runs = [b1, b2].map((member) => {
        const started = member.happened("start", "work").filter((each) => each.key === key);
        return started.map(({ n }) => n);
      });
      expect(runs.filter((run) => run.length > 0)).toEqual([mine]);
    }
    expect(sideBySide(b1)).toBeGreaterThan(1);
  });

  it("keeps a key's order through retries, and through the death of its owner", async () => {
    const mesh = await world();
    const [a, b1] = (await start(mesh, "a", "b1")) as [ChildNode, ChildNode];
    const listen = {
      name: "work",
      verb: "subscribe",
      subject: "task.set",
      options: { group: "work", durable: true, retry: { baseMs: 5, capMs: 20 } },
    } as const;
    const trouble = [
      { type: "throw", only: [2], attempts: 2 },
      { type: "kill", only: [5] },
    ] as const;
    await b1.listen({ ...listen, behaviour: trouble });
    for (const n of range(0, 10)) await a.publish("task.set", n, { options: { key: "one" } });
    expect(await b1.exited).toBe("SIGKILL");
    expect(b1.numbers("end", "work")).toEqual(range(0, 5));
    const b2 = await mesh.start("b2");
    await mesh.link(a, b2);
    await b2.listen(listen);
    await a.settled("event work task.set", 10);
    await b2.handledAll("work", range(5, 5));
    // What b1 did last may not have been settled when it died; then it is repeated, in order.
    const repeated = b2.numbers("end", "work");
    expect(repeated).toEqual(range(10 - repeated.length, repeated.length));
  });

  it("gives every instance a copy with group false", async () => {
    const mesh = await world();
    const [a, b1, b2] = (await start(mesh, "a", "b1", "b2")) as [ChildNode, ChildNode, ChildNode];
    for (const member of [b1, b2]) {
      const listen = { name: "work", verb: "subscribe", subject: "task.set" } as const;
      await member.listen({ ...listen, options: { group: false } });
    }
    for (const n of range(0, 20)) await a.publish("task.set", n);
    for (const member of [b1, b2]) {
      await member.handledAll("work", range(0, 20));
      expect(member.numbers("end", "work")).toHaveLength(20);
    }
  });

  it("refuses a member with another distribution as SUBSCRIPTION_MISMATCH", async () => {
    const mesh = await world();
    const [, b1, b2] = (await start(mesh, "a", "b1", "b2")) as [ChildNode, ChildNode, ChildNode];
    const listen = { name: "work", verb: "subscribe", subject: "task.set" } as const;
    await b1.listen({ ...listen, options: { group: "work", durable: true } });
    const other = { group: "work", durable: true, distribution: "any" } as const;
    await expect(b2.listen({ ...listen, options: other })).rejects.toMatchObject({
      code: "SUBSCRIPTION_MISMATCH",
    });
    await b2.listen({ ...listen, options: { group: "work", durable: true } });
  });

  it("matches subjects with * and >", async () => {
    const mesh = await world();
    const [a, b] = (await start(mesh, "a", "b")) as [ChildNode, ChildNode];
    await b.listen({ name: "one", verb: "subscribe", subject: "task.*.set" });
    await b.listen({ name: "rest", verb: "subscribe", subject: "task.>" });
    await a.publish("task.x.set", 1);
    await a.publish("task.x.y.set", 2);
    await a.publish("other.x.set", 3);
    await a.publish("task.z.set", 4);
    await b.handledAll("rest", [1, 2, 4]);
    await b.handledAll("one", [1, 4]);
    expect(b.numbers("end", "one")).toEqual([1, 4]);
    expect(b.numbers("end", "rest")).toEqual([1, 2, 4]);
  });
});

/** The most handlers that ran at once. */
const sideBySide = (node: ChildNode): number => {
  let running = 0;
  let most = 0;
  for (const { event } of node.events) {
    if (event === "start") running++;
    if (event === "end") running--;
    most = Math.max(most, running);
  }
  return most;
};
