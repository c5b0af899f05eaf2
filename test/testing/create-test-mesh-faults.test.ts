/** Faults that a test scripts: processes, networks and disks fail, and the promises of meshbus hold. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  command,
  event,
  type HandlerContext,
  json,
  MeshError,
  type MeshNode,
} from "../../src/index.ts";
import { createTestMesh, type TestMesh } from "../../src/testing/index.ts";

type Order = { readonly id: string };
const OrderPlaced = event("order.placed", { schema: json<Order>(), key: ({ id }) => id });
const InvoiceSent = event("invoice.sent", { schema: json<Order>(), key: ({ id }) => id });
const Reserve = command("stock.reserve", { schema: json<Order>(), key: ({ id }) => id });

let mesh: TestMesh;
let orders: MeshNode;

beforeEach(async () => {
  mesh = await createTestMesh({ seed: 11 });
  orders = await mesh.createNode({ service: "orders" });
});
afterEach(() => mesh.stop());

const bill = async (node: MeshNode, workMs = 0): Promise<MeshNode> => {
  const handler = async (order: Order, ctx: HandlerContext): Promise<void> => {
    if (workMs > 0) await mesh.sleep(workMs);
    ctx.publish(InvoiceSent, order);
  };
  await node.subscribe(OrderPlaced, handler, { durable: true });
  return node;
};
const startBilling = async (workMs = 0): Promise<MeshNode> =>
  bill(await mesh.createNode({ service: "billing" }), workMs);
const ids = (messages: readonly { readonly data: Order }[]): string[] =>
  messages.map(({ data }) => data.id);
const pending = (): number =>
  Object.values(orders.ledger()).reduce((sum, counts) => sum + counts.pending, 0);

describe("a process that is killed", () => {
  it("in the middle of a handler leaves one effect, whoever handles the message then", async () => {
    const first = await startBilling(500);
    const second = await startBilling(500);
    await orders.waitFor(OrderPlaced);
    await orders.publish(OrderPlaced, { id: "o-1" });
    await mesh.until(() => mesh.attempts("billing", OrderPlaced).length === 1);
    const [begun] = mesh.attempts("billing", OrderPlaced);
    mesh.kill(begun?.node === first.id ? first : second);
    await mesh.settle();
    expect(mesh.attempts("billing", OrderPlaced).map(({ outcome }) => outcome)).toEqual([
      "cut",
      "ok",
    ]);
    expect(ids(mesh.published(InvoiceSent))).toEqual(["o-1"]);
    expect(pending()).toBe(0);
    mesh.check();
  });

  it("takes with it what it had not said, and keeps on its disk what it had", async () => {
    await startBilling();
    await orders.waitFor(OrderPlaced);
    await orders.publish(OrderPlaced, { id: "kept" });
    const cut = orders.publish(OrderPlaced, { id: "perhaps" });
    mesh.kill(orders);
    await expect(cut).rejects.toThrow(/process of orders-1 was killed/);
    await expect(orders.publish(OrderPlaced, { id: "never" })).rejects.toThrow(/has ended/);
    const again = await mesh.restart(orders);
    expect(again.id).toBe(orders.id);
    await mesh.settle();
    expect(ids(mesh.handled("billing", OrderPlaced))).toContain("kept");
    expect(ids(mesh.handled("billing", OrderPlaced))).not.toContain("never");
    mesh.check();
  });

  it("leaves a backlog that waits for its service", async () => {
    const billing = await startBilling();
    await orders.waitFor(OrderPlaced);
    mesh.powerLoss(billing);
    for (const id of ["a", "b", "c"]) await orders.publish(OrderPlaced, { id });
    await mesh.settle();
    expect(pending()).toBe(3);
    mesh.check(); // nothing is lost yet
    await startBilling(); // the lowest folder that nobody has: that of the one that was killed
    await mesh.settle();
    expect(pending()).toBe(0);
    expect(ids(mesh.published(InvoiceSent)).sort()).toEqual(["a", "b", "c"]);
    mesh.check();
  });

  it("runs nothing more: what its handlers call never settles", async () => {
    const seen: string[] = [];
    const billing = await mesh.createNode({ service: "billing" });
    await billing.subscribe(OrderPlaced, async () => {
      seen.push("began");
      await mesh.sleep(100);
      await billing.publish(InvoiceSent, { id: "from the grave" }).catch(() => seen.push("caught"));
      seen.push("went on");
    });
    await orders.waitFor(OrderPlaced);
    await orders.publish(OrderPlaced, { id: "o-1" });
    await mesh.until(() => seen.length === 1);
    mesh.kill(billing);
    await mesh.advance(60_000);
    expect(seen).toEqual(["began"]);
    expect(mesh.published(InvoiceSent)).toEqual([]);
  });

  it("may be stopped in order instead, which drains it", async () => {
    const billing = await startBilling(200);
    await orders.waitFor(OrderPlaced);
    await orders.publish(OrderPlaced, { id: "o-1" });
    await mesh.until(() => mesh.attempts("billing", OrderPlaced).length === 1);
    expect(await billing.stop()).toMatchObject({ pending: 0 });
    expect(await billing.closed).toBe("stopped");
    await mesh.settle();
    expect(pending()).toBe(0);
    expect(mesh.handled("billing", OrderPlaced)).toHaveLength(1);
    await bill(await mesh.restart(billing)); // what its handler sent may wait on its disk
    await mesh.settle();
    expect(mesh.published(InvoiceSent)).toHaveLength(1);
    mesh.check();
  });
});

describe("a process that is paused", () => {
  it("gets its messages taken over, and what it does after the pause has no second effect", async () => {
    const first = await startBilling(300);
    const second = await startBilling(300);
    await orders.waitFor(OrderPlaced);
    await orders.publish(OrderPlaced, { id: "o-1" });
    await mesh.until(() => mesh.attempts("billing", OrderPlaced).length === 1);
    const [begun] = mesh.attempts("billing", OrderPlaced);
    const frozen = begun?.node === first.id ? first : second;
    mesh.pause(frozen);
    await mesh.advance(10_000);
    mesh.resume(frozen);
    await mesh.settle();
    expect(mesh.attempts("billing", OrderPlaced).length).toBeGreaterThanOrEqual(2);
    expect(ids(mesh.published(InvoiceSent))).toEqual(["o-1"]);
    mesh.check();
  });
});

describe("a process whose event loop is blocked", () => {
  it("keeps its messages, and is stalled for the others until it turns again", async () => {
    const first = await startBilling(300);
    const second = await startBilling(300);
    await orders.waitFor(OrderPlaced);
    await orders.publish(OrderPlaced, { id: "o-1" });
    await mesh.until(() => mesh.attempts("billing", OrderPlaced).length === 1);
    const [begun] = mesh.attempts("billing", OrderPlaced);
    const blocked = begun?.node === first.id ? first : second;
    mesh.block(blocked);
    await mesh.advance(10_000);
    const states = new Map(orders.peers().map(({ nodeId, state }) => [nodeId, state]));
    expect(states.get(blocked.id)).toBe("stalled");
    mesh.unblock(blocked);
    await mesh.settle();
    expect(mesh.attempts("billing", OrderPlaced)).toHaveLength(1);
    expect(ids(mesh.published(InvoiceSent))).toEqual(["o-1"]);
    mesh.check();
  });
});

describe("a network that fails", () => {
  it("parts two services; when it heals, what waited arrives", async () => {
    const billing = await startBilling();
    await orders.waitFor(OrderPlaced);
    const heal = mesh.partition(orders, billing);
    await orders.publish(OrderPlaced, { id: "o-1" });
    await mesh.advance(30_000);
    expect(mesh.handled("billing", OrderPlaced)).toEqual([]);
    expect(orders.peers().map(({ state }) => state)).not.toContain("alive");
    heal();
    heal(); // once is enough
    await mesh.settle();
    expect(ids(mesh.handled("billing", OrderPlaced))).toEqual(["o-1"]);
    mesh.check();
  });

  it("lets pass one way only", async () => {
    const billing = await startBilling();
    await orders.waitFor(OrderPlaced);
    await mesh.until(() => orders.shards("billing", OrderPlaced)?.unowned === 0);
    const heal = mesh.partition(billing, orders, { oneWay: true });
    await orders.publish(OrderPlaced, { id: "o-1" });
    await mesh.advance(500);
    // It was handled, and its settle is held up.
    expect(mesh.attempts("billing", OrderPlaced)).toHaveLength(1);
    expect(pending()).toBe(1);
    expect(mesh.published(InvoiceSent)).toEqual([]);
    heal();
    await mesh.settle();
    expect(pending()).toBe(0);
    expect(mesh.published(InvoiceSent)).toHaveLength(1);
    mesh.check();
  });

  it("is slow, and loses frames, until that is undone", async () => {
    // A lease of one round trip would take a peer for dead whenever a link breaks.
    const patient = { leaseMs: 10_000 };
    orders = await mesh.createNode({ service: "orders", ...patient });
    const billing = await bill(await mesh.createNode({ service: "billing", ...patient }));
    await orders.waitFor(OrderPlaced);
    const undo = [mesh.delay(orders, billing, 400), mesh.loss([orders], [billing], 0.05)];
    const before = mesh.nowMs;
    await orders.publish(OrderPlaced, { id: "o-1" });
    await mesh.until(() => mesh.handled("billing", OrderPlaced).length === 1);
    expect(mesh.nowMs - before).toBeGreaterThan(200);
    for (let n = 2; n <= 30; n++) await orders.publish(OrderPlaced, { id: `o-${n}` });
    await mesh.settle();
    for (const one of undo) one();
    await mesh.settle();
    expect(ids(mesh.published(InvoiceSent))).toHaveLength(30);
    await mesh.advance(10_000); // what is on its way arrives before what is said now
    const after = mesh.nowMs;
    await orders.publish(OrderPlaced, { id: "fast" });
    await mesh.until(() => mesh.handled("billing", OrderPlaced).length >= 31);
    expect(mesh.nowMs - after).toBeLessThan(100);
    mesh.check();
  });
});

describe("a disk that fails", () => {
  it("fails calls as of unknown outcome, and accepts again when it works", async () => {
    mesh.disk(orders).fail(1, { kept: 0 });
    const refused = await orders.publish(OrderPlaced, { id: "o-1" }).catch((error) => error);
    expect(MeshError.is(refused, "OUTCOME_UNKNOWN")).toBe(true);
    mesh.disk(orders).heal();
    await mesh.until(() => orders.health().ready);
    await orders.publish(OrderPlaced, { id: "o-2" });
    expect(ids(mesh.published(OrderPlaced))).toEqual(["o-2"]);
    mesh.check();
  });

  it("is full, and a call says so", async () => {
    mesh.disk(orders).fill();
    const refused = await orders.publish(OrderPlaced, { id: "o-1" }).catch((error) => error);
    expect(MeshError.is(refused)).toBe(true);
    expect(mesh.published(OrderPlaced)).toEqual([]);
    mesh.disk(orders).heal();
    await mesh.until(() => orders.health().ready);
    await orders.publish(OrderPlaced, { id: "o-2" });
    mesh.check();
  });

  it("is slow, and so is accepting", async () => {
    mesh.disk(orders).slow(2_000);
    const before = mesh.nowMs;
    for (let n = 0; n < 5; n++) await orders.publish(OrderPlaced, { id: `o-${n}` });
    expect(mesh.nowMs - before).toBeGreaterThan(1_000);
  });
});

describe("a message that nobody can handle", () => {
  it("is a dead letter, and is handled when it is replayed", async () => {
    let isBroken = true;
    const stock = await mesh.createNode({ service: "stock" });
    await stock.handle(
      Reserve,
      (_, ctx) => {
        if (isBroken) throw new Error(`broken ${ctx.message.attempt}`);
      },
      { retry: { attempts: 3, baseMs: 10_000, capMs: 60_000 } },
    );
    await orders.send(Reserve, { id: "sku-1" });
    await mesh.settle();
    const [letter] = await orders.deadLetters.list();
    expect(letter?.errors.map(({ message }) => message)).toEqual([
      "broken 1",
      "broken 2",
      "broken 3",
    ]);
    mesh.check();
    isBroken = false;
    await orders.deadLetters.replay(letter?.id ?? "");
    await mesh.settle();
    expect(ids(mesh.handled("stock", Reserve))).toEqual(["sku-1"]);
    expect(await orders.deadLetters.list()).toEqual([]);
    mesh.check();
  });
});
