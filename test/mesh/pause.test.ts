import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { event, json, type MeshNode, type Subscription } from "../../src/index.ts";
import type { SubscribeOptions } from "../../src/options/subscribe-options.ts";
import { TestMesh } from "./test-mesh.ts";

type Task = { readonly n: number; readonly key?: string };
const Task = event("task.set", { schema: json<Task>(), key: (task) => task.key });

let mesh: TestMesh;
let says: MeshNode;

beforeEach(async () => {
  mesh = new TestMesh();
  says = await mesh.node("says");
});
afterEach(() => mesh.stop());

const member = async (name: string, options: SubscribeOptions) => {
  const node = await mesh.node(name);
  await mesh.linked();
  const done: number[] = [];
  const given = { group: "work", durable: true, ...options };
  const subscribed = node.subscribe(Task, ({ n }) => void done.push(n), given);
  const subscription: Subscription = await mesh.clock.run(subscribed);
  await mesh.clock.advance(1_000); // its credit is known
  return { node, done, subscription };
};
const tasks = (count: number): Task[] =>
  Array.from({ length: count }, (_, n) => ({ n, key: `k${n % 8}` }));

describe("a paused subscription", () => {
  it("is sent nothing, not even the one message that may always go, until it resumes", async () => {
    const one = await member("one", {});
    one.subscription.pause();
    await mesh.clock.settle();
    await mesh.clock.run(says.publishMany(Task, tasks(20)));
    await mesh.clock.advance(60_000);
    expect(one.subscription.activity).toMatchObject({ running: 0, waiting: 0 });
    one.subscription.resume();
    await mesh.clock.until(() => one.done.length === 20, 1_000);
  });

  it("leaves what belongs to no member to the others", async () => {
    const one = await member("one", { distribution: "any" });
    const two = await member("two", { distribution: "any" });
    one.subscription.pause();
    await mesh.clock.settle();
    await mesh.clock.run(says.publishMany(Task, tasks(50)));
    for (let n = 50; n < 60; n++) expect(says.emit(Task, { n })).toBe(true);
    await mesh.clock.until(() => two.done.length === 60, 1_000);
    expect(one.done).toEqual([]);
  });

  it("takes nothing that is said at most once, and that is counted", async () => {
    const one = await member("one", {});
    expect(says.emit(Task, { n: 1 })).toBe(true);
    await mesh.clock.until(() => one.done.length === 1);
    one.subscription.pause();
    await mesh.clock.settle();
    expect(says.emit(Task, { n: 2 })).toBe(false);
    expect(says.counters()["emit.dropped.noCredit"]).toBe(1);
    one.subscription.resume();
    await mesh.clock.settle();
    expect(says.emit(Task, { n: 3 })).toBe(true);
    await mesh.clock.until(() => one.done.length === 2);
    expect(one.done).toEqual([1, 3]);
  });

  it("is sent nothing by a producer that comes later either", async () => {
    const one = await member("one", {});
    one.subscription.pause();
    const late = await mesh.node("late");
    await mesh.linked();
    await mesh.clock.run(late.publishMany(Task, tasks(20)));
    await mesh.clock.advance(10_000);
    expect(one.subscription.activity).toMatchObject({ running: 0, waiting: 0 });
    one.subscription.resume();
    await mesh.clock.until(() => one.done.length === 20, 1_000);
  });
});
