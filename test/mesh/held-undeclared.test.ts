/** Output held when its member went: for a subscription that its next life has again, and for one that it has not. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ASK_AFTER_MS } from "../../src/runtime/consumer/held-output.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

type Sends = { publish(subject: string, data: unknown): void };

/** A message was handled and its settle accepted; the member's process is gone before it hears of that. */
const held = async () => {
  const [keeps, works] = [await TestStore.open(), await TestStore.open()];
  const says = await mesh.node("says", { store: keeps });
  const hears = await mesh.node("hears", { store: works });
  await mesh.linked();
  let finish: (() => void) | undefined;
  const handler = async (_: unknown, ctx: Sends): Promise<void> => {
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    ctx.publish("out.put", 1);
  };
  await mesh.clock.run(hears.subscribe("x.y", handler, { durable: true }));
  const out: unknown[] = [];
  await mesh.clock.run(says.subscribe("out.put", (data) => void out.push(data), { durable: true }));
  await mesh.clock.run(says.publish("x.y", {}));
  await mesh.clock.until(() => finish !== undefined);
  keeps.hold();
  finish?.();
  await mesh.clock.until(() => works.rows("held").length === 1);
  await mesh.clock.advance(100);
  const next = works.crash();
  await mesh.clock.run(hears.stop({ drainMs: 0 }));
  return { says, keeps, next, out };
};

describe("output held for a subscription that is declared again", () => {
  it("leaves when the member is back, not at the next round of asking", async () => {
    const { says, keeps, next, out } = await held();
    keeps.letGo();
    await mesh.clock.advance(100);
    expect(says.ledger()["event hears x.y"]).toMatchObject({ acked: 1, pending: 0 });
    const startedMs = mesh.clock.monotonicMs();
    const again = await mesh.node("hears", { store: next });
    await mesh.linked(says, again); // it links before it listens, as services do
    await mesh.clock.run(again.subscribe("x.y", () => {}, { durable: true }));
    await mesh.clock.until(() => out.length === 1, 30_000);
    expect(mesh.clock.monotonicMs() - startedMs).toBeLessThan(ASK_AFTER_MS / 5);
    await mesh.clock.advance(30_000);
    expect(out).toEqual([1]);
  });
});

describe("output held for a subscription that is not declared any more", () => {
  it("leaves once its settle was accepted, and nothing of it stays", async () => {
    const { says, keeps, next, out } = await held();
    keeps.letGo();
    await mesh.node("hears", { store: next });
    await mesh.clock.until(() => out.length === 1);
    await mesh.clock.advance(30_000);
    expect(out).toEqual([1]);
    expect([keeps.rows("accepted"), next.rows("held")]).toEqual([[], []]);
    expect(says.ledger()["event hears x.y"]).toMatchObject({ acked: 1, pending: 0 });
  });

  it("is confirmed again when the word that it left was lost", async () => {
    const { keeps, next, out } = await held();
    keeps.letGo();
    const second = await mesh.node("hears", { store: next });
    await mesh.clock.until(() => next.rows("held").length === 0, 30_000);
    const third = next.crash();
    await mesh.clock.run(second.stop({ drainMs: 0 }));
    await mesh.node("hears", { store: third });
    await mesh.clock.until(() => keeps.rows("accepted").length === 0, 30_000);
    expect(out).toEqual([1]);
  });

  it("is discarded when the subscription has ended at its producer, unsettled", async () => {
    const { says, keeps, next, out } = await held();
    const before = keeps.crash(); // the verdict never reached the disk
    await mesh.clock.run(says.stop({ drainMs: 0 }));
    const again = await mesh.node("says", { store: before });
    await mesh.clock.run(again.removeSubscription("hears", "x.y"));
    await mesh.node("hears", { store: next });
    await mesh.clock.until(() => next.rows("held").length === 0, 30_000);
    expect(out).toEqual([]);
  });
});
