import { afterEach, beforeEach, expect, it } from "vitest";
import { type MeshNode, RetryLater } from "../../src/index.ts";
import type { HandlerContext } from "../../src/mesh/handler-context.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const OWN = { group: false, durable: true } as const;

/** Counts in ctx.state; every first attempt fails after it has counted. */
const count =
  (counts: number[], counted?: (n: number) => void) => (_: unknown, ctx: HandlerContext) => {
    const next = (ctx.state.get<number>("count") ?? 0) + 1;
    ctx.state.put("count", next);
    if (ctx.message.attempt === 1) throw new RetryLater(0);
    counts.push(next);
    counted?.(next);
  };

const publish = async (node: MeshNode, times: number): Promise<void> => {
  for (let n = 0; n < times; n++) await mesh.clock.run(node.publish("x.y", n, { key: "k" }));
};

it("changes once for each message, whatever attempts it took, and survives a restart", async () => {
  const store = await TestStore.open();
  const first = await mesh.node("a", { store });
  const counts: number[] = [];
  await mesh.clock.run(first.subscribe("x.y", count(counts), OWN));
  await publish(first, 3);
  await mesh.clock.until(() => counts.length === 3);
  await mesh.clock.run(first.stop());
  const second = await mesh.node("a", { store });
  await mesh.clock.run(second.subscribe("x.y", count(counts), OWN));
  await publish(second, 2);
  await mesh.clock.until(() => counts.length === 5);
  expect(counts).toEqual([1, 2, 3, 4, 5]);
});

it("is as if the message had not been handled when its mark did not reach the disk", async () => {
  const store = await TestStore.open();
  const first = await mesh.node("a", { store });
  const counts: number[] = [];
  const holdSecond = (n: number): void => {
    if (n === 2) store.hold();
  };
  await mesh.clock.run(first.subscribe("x.y", count(counts, holdSecond), OWN));
  await publish(first, 1);
  await mesh.clock.until(() => counts.length === 1);
  await mesh.clock.advance(1_000);
  await publish(first, 1);
  await mesh.clock.until(() => counts.length === 2);
  const next = store.crash();
  await mesh.clock.run(first.stop({ drainMs: 0 }));
  const second = await mesh.node("a", { store: next });
  await mesh.clock.run(second.subscribe("x.y", count(counts), OWN));
  await mesh.clock.until(() => counts.length === 3);
  expect(counts).toEqual([1, 2, 2]);
});

it("does not exist where messages can move, nor after the handler", async () => {
  const node = await mesh.node("a");
  const codes: unknown[] = [];
  let kept: HandlerContext["state"] | undefined;
  const read = (_: unknown, ctx: HandlerContext): void => {
    try {
      kept = ctx.state;
    } catch (error) {
      codes.push((error as { code: string }).code);
    }
  };
  await mesh.clock.run(node.subscribe("x.y", read, { durable: true }));
  await mesh.clock.run(node.subscribe("x.y", read, OWN));
  await publish(node, 1);
  await mesh.clock.until(() => codes.length === 1 && kept !== undefined);
  expect(codes).toEqual(["STATE_UNAVAILABLE"]);
  const late = { code: "ALREADY_SETTLED" };
  expect(() => kept?.get("count")).toThrow(expect.objectContaining(late));
  expect(() => kept?.put("count", 1)).toThrow(expect.objectContaining(late));
});
