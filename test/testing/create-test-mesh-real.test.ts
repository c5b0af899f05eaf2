/** A test mesh among real things: real I/O in handlers, real clocks, other meshes, the same run again. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { event, type HandlerContext, json } from "../../src/index.ts";
import { createTestMesh, type TestMesh, type TestMeshOptions } from "../../src/testing/index.ts";
import { ROOT_PATH } from "../project/source-tree.ts";

type Order = { readonly n: number };
const OrderPlaced = event("order.placed", { schema: json<Order>(), key: ({ n }) => `k${n % 3}` });

type Given = TestMeshOptions & {
  readonly handler?: (order: Order, ctx: HandlerContext, mesh: TestMesh) => unknown;
};

/** Two services, ten orders, and the second service killed in between. */
const business = async ({ handler, ...options }: Given = {}): Promise<TestMesh> => {
  const mesh = await createTestMesh(options);
  const orders = await mesh.createNode({ service: "orders" });
  let billing = await mesh.createNode({ service: "billing" });
  const listen = () =>
    billing.subscribe(OrderPlaced, (order, ctx) => handler?.(order, ctx, mesh), {
      durable: true,
      timeoutMs: 1_000,
      abandonMs: 0,
    });
  await listen();
  await orders.waitFor(OrderPlaced);
  for (let n = 0; n < 5; n++) await orders.publish(OrderPlaced, { n });
  mesh.kill(billing);
  for (let n = 5; n < 10; n++) await orders.publish(OrderPlaced, { n });
  billing = await mesh.restart(billing);
  await listen();
  await mesh.settle();
  mesh.check();
  return mesh;
};
const handledOf = (mesh: TestMesh): number[] =>
  mesh.handled("billing", OrderPlaced).map(({ data }) => data.n);

describe("the same seed", () => {
  it("gives the same run, and another seed another", async () => {
    const runs = [];
    for (const seed of [3, 3, 4]) {
      const mesh = await business({ seed, trace: true });
      runs.push({ hash: mesh.traceHash, trace: mesh.trace });
      await mesh.stop();
    }
    const [first, again, other] = runs;
    expect(first?.trace.length).toBeGreaterThan(50);
    expect(again).toEqual(first);
    expect(other?.hash).not.toBe(first?.hash);
  });

  it("gives the same run beside other meshes of the process", async () => {
    const alone = await business({ seed: 5 });
    const all = await Promise.all([5, 6, 5].map((seed) => business({ seed })));
    expect(all[0]?.traceHash).toBe(alone.traceHash);
    expect(all[2]?.traceHash).toBe(alone.traceHash);
    expect(all[1]?.traceHash).not.toBe(alone.traceHash);
    for (const mesh of [alone, ...all]) await mesh.stop();
  });
});

describe("a handler that waits for real I/O", () => {
  it("makes simulated time stand still, so that it is not timed out", async () => {
    const mesh = await createTestMesh({ realWaitMs: 20_000 });
    const node = await mesh.createNode({ service: "reader" });
    const passedMs: number[] = [];
    const reads = async (): Promise<void> => {
      const before = mesh.nowMs;
      for (let n = 0; n < 5; n++) await readFile(join(ROOT_PATH, "package.json"));
      passedMs.push(mesh.nowMs - before);
    };
    await node.subscribe(OrderPlaced, reads, { durable: true, timeoutMs: 1 });
    for (let n = 0; n < 4; n++) await node.publish(OrderPlaced, { n });
    await mesh.settle();
    expect(passedMs).toEqual([0, 0, 0, 0]);
    expect(mesh.handled("reader", OrderPlaced)).toHaveLength(4);
    await mesh.stop();
  });

  it("is given up when it waits longer than realWaitMs, and times out in simulated time", async () => {
    const never = new Promise<void>(() => {});
    const mesh = await business({
      realWaitMs: 5,
      handler: ({ n }, ctx) => (n === 7 && ctx.message.attempt === 1 ? never : undefined),
    });
    const attempts = mesh.attempts("billing", OrderPlaced).filter(({ data }) => data.n === 7);
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["running", "ok"]);
    const [hung, next] = attempts;
    expect((next?.startMs ?? 0) - (hung?.startMs ?? 0)).toBeGreaterThanOrEqual(1_000);
    await mesh.stop();
  });
});

describe("real clocks", () => {
  const readsClock = (_: Order): number => Date.now() + Math.random();

  it("are there for handlers, unless the mesh forbids them", async () => {
    const mesh = await business({ handler: readsClock });
    expect(new Set(handledOf(mesh)).size).toBe(10);
    await mesh.stop();
  });

  it("may be faked by the test runner, and the mesh goes on", async () => {
    vi.useFakeTimers();
    try {
      const mesh = await business();
      await mesh.advance(3_600_000); // long enough that the loop lets the process breathe
      expect(new Set(handledOf(mesh)).size).toBe(10);
      await mesh.stop();
    } finally {
      vi.useRealTimers();
    }
  });

  it("throw in handlers of a mesh that forbids them, and say what to use instead", async () => {
    const real = { Date, setTimeout, random: Math.random };
    const problems: unknown[] = [];
    const attempt = (use: () => unknown): void => {
      try {
        use();
      } catch (error) {
        problems.push((error as Error).message.slice(0, 40));
      }
    };
    const mesh = await business({
      realTime: "forbid",
      handler: async ({ n }, ctx) => {
        expect(new Date(0).getTime()).toBe(0); // a date that is given is no clock
        await Promise.resolve();
        if (n > 0 || ctx.message.attempt > 1) return;
        attempt(() => Date.now());
        attempt(() => new Date());
        attempt(() => setTimeout(() => {}, 1));
        attempt(() => Math.random());
        attempt(() => performance.now());
      },
    });
    expect(problems).toEqual([
      expect.stringMatching(/^Date.now is real/),
      expect.stringMatching(/^new Date\(\) is real/),
      expect.stringMatching(/^setTimeout is real/),
      expect.stringMatching(/^Math.random is real/),
      expect.stringMatching(/^performance.now is real/),
    ]);
    expect(Date.now()).toBeGreaterThan(0); // the test may
    const other = await createTestMesh({ realTime: "forbid" });
    await mesh.stop();
    await other.stop();
    expect({ Date, setTimeout, random: Math.random }).toEqual(real);
    expect(Date).toBe(real.Date);
  });
});

describe("a test mesh", () => {
  it("works in node:test, and leaves nothing behind that keeps the process alive", async () => {
    const folder = await mkdtemp(join(tmpdir(), "meshbus-node-test-"));
    const source = `
      import assert from "node:assert/strict";
      import { test } from "node:test";
      import { createTestMesh } from ${JSON.stringify(join(ROOT_PATH, "dist/testing/index.js"))};
      test("an event is handled", async () => {
        const mesh = await createTestMesh({ seed: 2 });
        const node = await mesh.createNode({ service: "solo" });
        await node.subscribe("a.b", () => {}, { durable: true });
        await node.publish("a.b", { n: 1 });
        await mesh.settle();
        assert.deepEqual(mesh.handled("solo", "a.b").map(({ data }) => data), [{ n: 1 }]);
        mesh.check();
      });`;
    const file = join(folder, "solo.test.mjs");
    await writeFile(file, source);
    const run = promisify(execFile)(process.execPath, ["--test", file], { timeout: 200_000 });
    await expect(run).resolves.toMatchObject({ stdout: expect.stringMatching(/pass 1\b/) });
    await rm(folder, { recursive: true });
  });
});
