/** Who owns which shard, as nodes show it and handlers see it. */
import { afterEach, beforeEach, expect, it } from "vitest";
import type { HandlerContext, MeshNode } from "../../src/index.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const GROUP = { group: "work", durable: true } as const;
const shares = (node: MeshNode): Record<string, number> =>
  Object.fromEntries(
    (node.shards("work", "x.y")?.holders ?? []).map(({ service, shards }) => [service, shards]),
  );

it("one member has them all, two share, and every node shows the same", async () => {
  const [a, b, p] = [await mesh.node("a"), await mesh.node("b"), await mesh.node("p")];
  await mesh.linked();
  await mesh.clock.run(a.subscribe("x.y", () => {}, GROUP));
  expect(p.shards("work", "x.y")).toEqual({ holders: [], unowned: 4096 });
  await mesh.owned();
  expect(shares(p)).toEqual({ a: 4096 });
  await mesh.clock.run(b.subscribe("x.y", () => {}, GROUP));
  await mesh.clock.advance(2_000);
  const { a: first = 0, b: second = 0 } = shares(p);
  expect(first + second).toBe(4096);
  expect(Math.abs(first - second)).toBeLessThan(400);
  expect([shares(a), shares(b)]).toEqual([shares(p), shares(p)]);
  const holder = p.shards("work", "x.y")?.holders[0];
  expect(holder?.ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0)).toBe(holder?.shards);
  expect(p.shards("nobody", "x.y")).toBeUndefined();
});

it("keys without owners have no fence; with one it grows from life to life", async () => {
  const store = await TestStore.open();
  const fences: bigint[] = [];
  const none: bigint[] = [];
  const life = async (): Promise<MeshNode> => {
    const node = await mesh.node("a", { store });
    await mesh.clock.run(node.subscribe("x.y", (_, ctx) => void fences.push(ctx.fence), GROUP));
    const any = { group: "any", distribution: "any" } as const;
    await mesh.clock.run(node.subscribe("x.y", (_, ctx) => void none.push(ctx.fence), any));
    await mesh.clock.run(node.publish("x.y", {}, { key: "k" }));
    return node;
  };
  const first = await life();
  await mesh.clock.until(() => fences.length === 1);
  await mesh.clock.run(first.stop());
  await life();
  const before = mesh.clock.monotonicMs();
  await mesh.clock.until(() => fences.length === 2);
  expect(mesh.clock.monotonicMs() - before).toBeLessThan(50); // its own earlier life's, at once
  expect(fences[1]).toBeGreaterThan(fences[0] as bigint);
  expect(none).toEqual([0n, 0n]);
});

it("a handler that is given up leaves its key to a higher fence", async () => {
  const node = await mesh.node("a");
  const fences: bigint[] = [];
  const handler = (_: unknown, ctx: HandlerContext): Promise<void> | undefined => {
    fences.push(ctx.fence);
    return fences.length === 1 ? new Promise<void>(() => {}) : undefined;
  };
  const options = { ...GROUP, timeoutMs: 100, abandonMs: 100, retry: { baseMs: 1, capMs: 1 } };
  await mesh.clock.run(node.subscribe("x.y", handler, options));
  await mesh.clock.run(node.publish("x.y", {}, { key: "k" }));
  await mesh.clock.until(() => fences.length === 2);
  expect(fences[1]).toBeGreaterThan(fences[0] as bigint);
});

it("a handler that lost its key is told to stop, and its message goes back with no attempt counted", async () => {
  const node = await mesh.node("a");
  let signal: AbortSignal | undefined;
  let attempt = 0;
  const handler = (_: unknown, ctx: HandlerContext): Promise<void> => {
    signal = ctx.signal;
    attempt = ctx.message.attempt;
    return new Promise<void>(() => {});
  };
  await mesh.clock.run(node.subscribe("x.y", handler, { ...GROUP, group: "raw" }));
  await mesh.owned();
  await mesh.clock.run(node.publish("x.y", {}, { key: "k" }));
  await mesh.clock.until(() => signal !== undefined);
  const thief = await RawPeer.dial(mesh, node.addresses[0] ?? "", {});
  thief.declare({ group: "raw" });
  thief.grant(1, 10);
  await mesh.clock.until(() => thief.delivered.length === 1);
  expect(signal?.aborted).toBe(true);
  expect(attempt).toBe(1);
  expect(node.counters()["handler.surrendered"]).toBe(1);
  const [section] = thief.of("batch").flatMap(({ sections }) => sections);
  expect(section?.deliveries[0]?.attempts).toBe(0);
});

it("what a handler that lost its key still runs takes no credit from what is sent anew", async () => {
  const node = await mesh.node("a");
  const runs: string[] = [];
  const handler = (_: unknown, ctx: HandlerContext): Promise<void> | undefined => {
    runs.push(ctx.message.key ?? "");
    return runs.length > 2 ? undefined : new Promise<void>(() => {});
  };
  const full = { concurrency: 2, prefetch: 2, timeoutMs: 1_000, abandonMs: 100 } as const;
  await mesh.clock.run(node.subscribe("x.y", handler, { ...GROUP, ...full, group: "raw" }));
  await mesh.owned();
  for (const key of ["k", "l"]) await mesh.clock.run(node.publish("x.y", {}, { key }));
  await mesh.clock.until(() => runs.length === 2);
  const thief = await RawPeer.dial(mesh, node.addresses[0] ?? "", {});
  thief.declare({ group: "raw" });
  await mesh.clock.until(() => node.counters()["handler.surrendered"] === 2);
  thief.release("event raw x.y", node.id);
  await mesh.clock.until(() => runs.length === 4);
  expect(runs.slice(2).sort()).toEqual(["k", "l"]);
  expect(node.counters()["link.overCredit"]).toBeUndefined();
});

it("an owner that only the producer cannot reach is waited for, and shown", async () => {
  const [a, p] = [await mesh.node("a"), await mesh.node("p")];
  await mesh.linked();
  let handled = 0;
  await mesh.clock.run(a.subscribe("x.y", () => void handled++, GROUP));
  await mesh.owned();
  const other = await RawPeer.dial(mesh, p.addresses[0] ?? "", { nodeId: "raw-far" });
  const far = { holder: "far", term: 2 ** 51, phase: "held", next: "" } as const;
  const entries = [{ ...far, shards: [0, 4096] }];
  const hold = { type: "hold", session: other.session, subscription: "event work x.y" } as const;
  other.send({ ...hold, entries, linked: ["far"] });
  await mesh.clock.run(p.publish("x.y", {}, { key: "k" }));
  await mesh.clock.advance(500);
  expect(handled).toBe(0);
  expect(p.shards("work", "x.y")?.holders).toMatchObject([{ nodeId: "far", reachable: false }]);
  expect(p.health().reasons.join()).toContain("out of reach");
  expect(p.health().ready).toBe(true);
});
