/** What is kept for groups heard of late, and what goes when the log is full. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { RetryLater } from "../../src/index.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const PAYLOAD = "x".repeat(50_000);
const options = { journal: { bytesMax: 4 * 2 ** 20, lateBytes: 2 ** 20 } };

const say = async (
  node: { publish: (s: string, v: unknown) => Promise<unknown> },
  count: number,
) => {
  for (let n = 0; n < count; n++) {
    await mesh.clock.run(node.publish("x.y", { n, PAYLOAD }), 30_000);
  }
};

it("counts what was there at start: a log that nobody needs makes room", async () => {
  const store = await TestStore.open();
  const first = await mesh.node("says", { store, ...options });
  await say(first, 60);
  const next = store.crash();
  await mesh.clock.run(first.stop({ drainMs: 0 }));
  await say(await mesh.node("says", { store: next, ...options }), 120);
});

it("keeps the newest of it, up to lateBytes", async () => {
  const store = await TestStore.open();
  const first = await mesh.node("says", { store, ...options });
  await say(first, 60);
  const next = store.crash();
  await mesh.clock.run(first.stop({ drainMs: 0 }));
  const says = await mesh.node("says", { store: next, ...options });
  await mesh.clock.advance(10_000);
  await say(says, 1);
  await mesh.clock.advance(10_000);
  const got: number[] = [];
  const handler = (data: unknown): void => void got.push((data as { n: number }).n);
  await mesh.clock.run(says.subscribe("x.y", handler, { from: "earliest" }));
  await mesh.clock.until(() => got.at(-1) === 0);
  expect(got.length).toBeGreaterThan(15);
  expect(got.length).toBeLessThan(30);
  expect(got.at(-2)).toBe(59);
});

it("lets the oldest of an absent group expire, also behind a block that holds nothing of it any more", async () => {
  const says = await mesh.node("says", options);
  const away = await mesh.node("away");
  await mesh.linked();
  let finish = (): void => {};
  const handler = (n: unknown): Promise<void> => {
    if (n !== 1) throw new RetryLater(100_000_000);
    return new Promise((resolve) => {
      finish = resolve;
    });
  };
  const subscription = await mesh.clock.run(away.subscribe("x.y", handler, { durable: true }));
  const both = [says.publish("x.y", 1), says.publish("other", 1)]; // of one turn: in one block
  await mesh.clock.run(Promise.all(both));
  await mesh.clock.run(says.publish("x.y", 2));
  await mesh.clock.advance(1_000);
  finish();
  await mesh.clock.advance(1_000);
  await mesh.clock.run(subscription.stop());
  await say(says, 120);
  const { expired = 0, pending = 0 } = says.ledger()["event away x.y"] ?? {};
  expect(expired).toBeGreaterThan(50);
  expect(expired + pending).toBe(121);
});

it("makes room before a message that waits, also in a later life", async () => {
  const store = await TestStore.open();
  const first = await mesh.node("says", { store, ...options });
  const away = await mesh.node("away");
  await mesh.linked();
  const subscription = await mesh.clock.run(
    away.subscribe("it.waits", () => {}, { durable: true }),
  );
  await mesh.clock.run(subscription.stop());
  await say(first, 30);
  await mesh.clock.run(first.publish("it.waits", 1));
  await say(first, 10);
  await mesh.clock.advance(2_000);
  const next = store.crash();
  await mesh.clock.run(first.stop({ drainMs: 0 }));
  const says = await mesh.node("says", { store: next, ...options });
  await say(says, 120);
  expect(says.ledger()["event away it.waits"]).toMatchObject({ accepted: 1, expired: 1 });
});

it("begins a subscription behind what is about to leave the log, not before it", async () => {
  const store = await TestStore.open();
  const large = { journal: { bytesMax: 40 * 2 ** 20, lateBytes: 2 ** 20 } };
  const says = await mesh.node("says", { store, ...large });
  const hears = await mesh.node("hears");
  await mesh.linked();
  await say(says, 60);
  await mesh.clock.advance(2_000); // the oldest may go, with the next commit
  const forever = (): Promise<void> => new Promise(() => {});
  const how = { from: "earliest", durable: true, timeoutMs: 100_000_000 } as const;
  await mesh.clock.run(hears.subscribe("x.y", forever, how));
  await mesh.clock.advance(1_000);
  await say(says, 1);
  const next = store.crash();
  await mesh.clock.run(says.stop({ drainMs: 0 }));
  const again = await mesh.node("says", { store: next, ...large });
  const { damaged, pending = 0 } = again.ledger()["event hears x.y"] ?? {};
  expect(damaged).toBe(0);
  expect(pending).toBeGreaterThan(10);
});
