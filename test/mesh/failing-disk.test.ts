import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

const ledger = (node: MeshNode) => Object.values(node.ledger())[0];

describe("a consumer whose disk fails", () => {
  it("acks nothing, does not hammer the disk, and acks once it works again", async () => {
    const says = await mesh.node("says");
    const store = await TestStore.open();
    const hears = await mesh.node("hears", { store });
    await mesh.linked();
    let handled = 0;
    await mesh.clock.run(hears.subscribe("x.y", () => void handled++, { durable: true }));
    store.failing = "full";
    await mesh.clock.run(says.publish("x.y", {}));
    await mesh.clock.until(() => handled === 1);
    const before = store.tries;
    await mesh.clock.advance(10_000);
    expect(ledger(says)).toMatchObject({ acked: 0, pending: 1 });
    expect(store.tries - before).toBeLessThan(75); // each 200 ms, and once a second for each cursor // five a second
    store.failing = undefined;
    await mesh.clock.advance(1_000);
    expect(handled).toBe(1);
    expect(ledger(says)).toMatchObject({ acked: 1, pending: 0 });
  });

  it("lets output that waits for nobody's word leave once, with its mark", async () => {
    const store = await TestStore.open();
    const node = await mesh.node("alone", { store });
    const out: unknown[] = [];
    let handled = 0;
    await mesh.clock.run(
      node.subscribe(
        "x.y",
        (_, ctx) => {
          handled++;
          ctx.publish("out.put", { n: handled });
          store.failing ??= handled === 1 ? "sync" : undefined;
        },
        { group: false, durable: true },
      ),
    );
    await mesh.clock.run(node.subscribe("out.put", (data) => void out.push(data), { group: "o" }));
    await mesh.owned();
    await mesh.clock.run(node.publish("x.y", {}));
    await mesh.clock.until(() => handled === 1);
    const before = store.tries;
    await mesh.clock.advance(10_000);
    expect(out).toEqual([]);
    expect(store.tries - before).toBeLessThan(75); // each 200 ms, and once a second for each cursor
    store.failing = undefined;
    await mesh.clock.advance(20_000);
    expect(out).toEqual([{ n: 1 }]);
    expect(handled).toBe(1);
    expect(store.rows("held")).toEqual([]);
  });

  it("keeps held output while it cannot be appended, and lets it out once later", async () => {
    const answers = await TestStore.open();
    const says = await mesh.node("says", { store: answers });
    const store = await TestStore.open();
    const hears = await mesh.node("hears", { store });
    await mesh.linked();
    const out: unknown[] = [];
    await mesh.clock.run(
      says.subscribe("out.put", (data) => void out.push(data), { durable: true }),
    );
    const handler = (_: unknown, ctx: { publish(s: string, v: unknown): void }): void => {
      answers.hold();
      ctx.publish("out.put", 1);
      ctx.publish("out.put", 2);
    };
    await mesh.clock.run(hears.subscribe("x.y", handler, { durable: true }));
    await mesh.clock.run(says.publish("x.y", {}));
    await mesh.clock.until(() => store.rows("held").length === 1);
    store.failing = "full";
    answers.letGo();
    await mesh.clock.advance(20_000);
    expect(out).toEqual([]);
    store.failing = undefined;
    await mesh.clock.advance(20_000);
    expect(out).toEqual([1, 2]);
    expect(store.rows("held")).toEqual([]);
    expect(says.ledger()["event hears x.y"]).toMatchObject({ accepted: 1, acked: 1 });
  });
});

describe("a producer whose disk fails", () => {
  it("refuses, and nothing it refused comes up later, delayed or not", async () => {
    const store = await TestStore.open();
    const node = await mesh.node("alone", { store });
    const got: unknown[] = [];
    await mesh.clock.run(node.subscribe("x.y", (data) => void got.push(data), { durable: true }));
    store.failing = "full";
    const calls = [
      node.publish("x.y", "now"),
      node.publish("x.y", "later", { delayMs: 1_000 }),
      node.publish("x.y", "named", { idempotencyKey: "k" }),
      node.publish("x.y", "named again", { idempotencyKey: "k" }),
    ];
    const errors = await mesh.clock.run(Promise.all(calls.map(rejection)));
    expect(errors).toMatchObject(calls.map(() => ({ code: "DISK_FULL" })));
    store.failing = undefined;
    await mesh.clock.advance(10_000);
    expect(got).toEqual([]);
    const receipt = await mesh.clock.run(node.publish("x.y", "named", { idempotencyKey: "k" }));
    expect(receipt.duplicate).toBe(false);
    await mesh.clock.until(() => got.length === 1);
    expect(got).toEqual(["named"]);
    expect(store.rows("delayed")).toEqual([]);
  });

  it("gives the second call of a key the first one's receipt, also while that is under way", async () => {
    const store = await TestStore.open();
    const node = await mesh.node("alone", { store });
    store.hold();
    const first = node.publish("x.y", 1, { idempotencyKey: "k" });
    const second = node.publish("x.y", 1, { idempotencyKey: "k" });
    await mesh.clock.settle();
    store.letGo();
    const [one, two] = await mesh.clock.run(Promise.all([first, second]));
    expect(two).toMatchObject({ duplicate: true, position: one.position });
    const third = await mesh.clock.run(node.publish("x.y", 1, { idempotencyKey: "k" }));
    expect(third).toMatchObject({ duplicate: true, position: one.position });
  });

  it("says that a settle was accepted only when that is on disk", async () => {
    const store = await TestStore.open();
    const says = await mesh.node("says", { store });
    const hears = await mesh.node("hears");
    await mesh.linked();
    const out: unknown[] = [];
    await mesh.clock.run(hears.subscribe("out.put", (data) => void out.push(data), { group: "o" }));
    const send = (_: unknown, ctx: { publish(s: string, v: unknown): void }): void => {
      store.hold();
      ctx.publish("out.put", 1);
    };
    await mesh.clock.run(hears.subscribe("x.y", send, { durable: true }));
    await mesh.clock.run(says.publish("x.y", {}));
    await mesh.clock.advance(30_000);
    expect(out).toEqual([]);
    store.letGo();
    await mesh.clock.advance(10_000);
    expect(out).toEqual([1]);
  });
});

describe("a node that is started again", () => {
  it("takes up what was delayed, pending and held", async () => {
    const store = await TestStore.open();
    const first = await mesh.node("alone", { store });
    const seen: unknown[] = [];
    const listen = (node: MeshNode) =>
      mesh.clock.run(node.subscribe("x.y", (data) => void seen.push(data), { durable: true }));
    const subscription = await listen(first);
    await mesh.clock.run(subscription.stop());
    await mesh.clock.run(first.publish("x.y", "pending"));
    await mesh.clock.run(first.publish("x.y", "delayed", { delayMs: 60_000, id: "mine" }));
    const report = await mesh.clock.run(first.stop());
    expect(report.pending).toBe(1);
    const second = await mesh.node("alone", { store });
    expect(second.id).toBe(first.id);
    expect(ledger(second)).toMatchObject({ accepted: 1, pending: 1 });
    await listen(second);
    await mesh.clock.advance(1_000);
    expect(seen).toEqual(["pending"]);
    await mesh.clock.advance(60_000);
    expect(seen).toEqual(["pending", "delayed"]);
    await mesh.clock.advance(1_000);
    expect(ledger(second)).toMatchObject({ accepted: 2, acked: 2, pending: 0 });
  });

  it("keeps the id a caller gave to a delayed message", async () => {
    const node = await mesh.node("alone");
    const ids: string[] = [];
    await mesh.clock.run(node.subscribe("x.y", (_, ctx) => void ids.push(ctx.message.id)));
    const mine = await mesh.clock.run(node.publish("x.y", 1, { delayMs: 50, id: "mine" }));
    const given = await mesh.clock.run(node.publish("x.y", 2, { delayMs: 100 }));
    await mesh.clock.until(() => ids.length === 2);
    expect(ids).toEqual([mine.id, given.id]);
    expect(mine.id).toBe("mine");
  });
});
