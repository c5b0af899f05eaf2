/** The test mesh as its users meet it: time, what is recorded, what is said when something is wrong. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  command,
  event,
  type HandlerContext,
  json,
  MeshError,
  type MeshNode,
  query,
  RetryLater,
} from "../../src/index.ts";
import { createTestMesh, type TestMesh } from "../../src/testing/index.ts";
import { processorMs } from "../processor-time.ts";

type Order = { readonly id: string; readonly total: number };
const OrderPlaced = event("order.placed", { schema: json<Order>(), key: ({ id }) => id });
const InvoiceSent = event("invoice.sent", { schema: json<Order>(), key: ({ id }) => id });
const Reserve = command("stock.reserve", { schema: json<{ sku: string }>() });
const Quote = query("pricing.quote", {
  request: json<{ sku: string }>(),
  reply: json<{ price: number }>(),
});

const HOUR_MS = 3_600_000;
const order = { id: "o-1", total: 42 };
const invoice = (placed: Order, ctx: HandlerContext): void => ctx.publish(InvoiceSent, placed);

let mesh: TestMesh;
let orders: MeshNode;
let billing: MeshNode;

beforeEach(async () => {
  mesh = await createTestMesh({ seed: 7 });
  orders = await mesh.createNode({ service: "orders" });
  billing = await mesh.createNode({ service: "billing" });
});
afterEach(() => mesh.stop());

describe("time in a test mesh", () => {
  it("passes while the test waits for a call of a node, and stands still otherwise", async () => {
    await billing.subscribe(OrderPlaced, invoice, { durable: true });
    await orders.waitFor(OrderPlaced);
    const before = mesh.nowMs;
    await orders.publish(OrderPlaced, order);
    const after = mesh.nowMs;
    expect(after).toBeGreaterThan(before);
    expect(mesh.handled("billing", OrderPlaced)).toEqual([]); // accepted, and not yet there
    await new Promise((resolve) => setImmediate(resolve));
    expect(mesh.nowMs).toBe(after);
    await mesh.settle();
    expect(mesh.handled("billing", OrderPlaced).map(({ data }) => data)).toEqual([order]);
  });

  it("passes by hours in a moment, while retries wait", async () => {
    const retry = { attempts: 4, baseMs: 4 * HOUR_MS, capMs: 8 * HOUR_MS };
    await mesh.stop();
    mesh = await createTestMesh({ nodes: { heartbeatMs: 30_000 } });
    const a = await mesh.createNode({ service: "says" });
    const b = await mesh.createNode({ service: "hears" });
    await b.subscribe(
      OrderPlaced,
      (_, ctx) => {
        if (ctx.message.attempt < 4) throw new Error("the till is jammed");
      },
      { durable: true, retry },
    );
    await a.waitFor(OrderPlaced);
    const realMs = processorMs();
    const simulatedMs = mesh.nowMs;
    await a.publish(OrderPlaced, order);
    await mesh.settle({ withinMs: 48 * HOUR_MS });
    expect(mesh.nowMs - simulatedMs).toBeGreaterThan(HOUR_MS);
    expect(processorMs() - realMs).toBeLessThan((mesh.nowMs - simulatedMs) / 100);
    const outcomes = mesh.attempts("hears", OrderPlaced).map(({ outcome }) => outcome);
    expect(outcomes).toEqual(["failed", "failed", "failed", "ok"]);
    mesh.check();
  });

  it("goes to the moment a test waits for, and no further", async () => {
    await billing.subscribe(OrderPlaced, (_, ctx) => {
      if (ctx.message.attempt === 1) throw new RetryLater(12 * 60_000);
    });
    await orders.waitFor(OrderPlaced);
    const { time } = await orders.publish(OrderPlaced, order).then(() => ({ time: mesh.nowMs }));
    const attempts = () => mesh.attempts("billing", OrderPlaced).length;
    await mesh.advance(11 * 60_000);
    expect(attempts()).toBe(1);
    await mesh.until(() => attempts() === 2, { withinMs: 2 * 60_000 });
    expect(mesh.nowMs - time).toBeGreaterThanOrEqual(12 * 60_000);
    expect(mesh.nowMs - time).toBeLessThan(12 * 60_000 + 500);
  });

  it("passes until any promise settles that the test gives to run()", async () => {
    const heard = new Promise<Order>((resolve) => {
      void billing.subscribe(OrderPlaced, (placed) => resolve(placed));
    });
    await orders.waitFor(OrderPlaced);
    await orders.publish(OrderPlaced, order);
    expect(await mesh.run(heard)).toEqual(order);
    const said = await mesh.run(async () => {
      const { position } = await orders.publish(OrderPlaced, order);
      return position.seq;
    });
    expect(said).toBe(2);
  });

  it("passes for handlers that sleep in it, and for the calls they make", async () => {
    await orders.reply(Quote, async ({ sku }) => {
      await mesh.sleep(2_000);
      return { price: sku.length };
    });
    let price = 0;
    await billing.subscribe(OrderPlaced, async (_, ctx) => {
      await mesh.sleep(10_000);
      price = (await ctx.request(Quote, { sku: "abc" })).price;
    });
    await orders.waitFor(OrderPlaced);
    const before = mesh.nowMs;
    await orders.publish(OrderPlaced, order);
    await mesh.until(() => price === 3);
    expect(mesh.nowMs - before).toBeGreaterThanOrEqual(12_000);
  });

  it("is what nodes read on their clocks", async () => {
    const nodes = { heartbeatMs: 30_000 };
    const dated = await createTestMesh({ startMs: Date.UTC(2031, 5, 1), nodes });
    const node = await dated.createNode({ service: "dated" });
    const times: number[] = [];
    await node.subscribe(OrderPlaced, (_, ctx) => void times.push(ctx.message.time.getTime()));
    await dated.advance(24 * HOUR_MS);
    await node.publish(OrderPlaced, order);
    await dated.settle();
    expect(times).toHaveLength(1);
    expect(times[0]).toBeGreaterThanOrEqual(Date.UTC(2031, 5, 2));
    expect(times[0]).toBeLessThan(Date.UTC(2031, 5, 2) + 1_000);
    await dated.stop();
  });
});

describe("what a test mesh records", () => {
  it("is what nodes accepted, handlers' output with its cause included", async () => {
    await billing.subscribe(OrderPlaced, invoice, { durable: true });
    await orders.waitFor(OrderPlaced);
    const receipt = await orders.publish(OrderPlaced, order, { headers: { region: "eu" } });
    await mesh.settle();
    const [placed] = mesh.published(OrderPlaced);
    expect(placed).toMatchObject({
      id: receipt.id,
      kind: "event",
      key: "o-1",
      data: order,
      headers: { region: "eu" },
      service: "orders",
      node: orders.id,
      causationId: undefined,
    });
    const [sent] = mesh.published(InvoiceSent);
    expect(sent).toMatchObject({ data: order, service: "billing", causationId: receipt.id });
    expect(mesh.published(">").map(({ subject }) => subject)).toEqual([
      "order.placed",
      "invoice.sent",
    ]);
  });

  it("is every call of a handler, with how it ended", async () => {
    await billing.subscribe(
      OrderPlaced,
      (_, ctx) => {
        if (ctx.message.attempt === 1) throw new Error("not yet");
        if (ctx.message.attempt === 2) return mesh.sleep(60_000);
        return undefined;
      },
      { durable: true, timeoutMs: 1_000, abandonMs: 1_000 },
    );
    await orders.waitFor(OrderPlaced);
    await orders.publish(OrderPlaced, order);
    await mesh.settle();
    await mesh.advance(60_000);
    const attempts = mesh.attempts("billing", OrderPlaced);
    expect(attempts.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [1, "failed"],
      [2, "late"],
      [3, "ok"],
    ]);
    expect(attempts[0]?.error).toEqual(new Error("not yet"));
    expect(mesh.handled("billing", OrderPlaced)).toEqual([attempts[2]]);
    mesh.check();
  });

  it("are messages read from a stream, too", async () => {
    const stream = billing.messages(OrderPlaced, { durable: true, concurrency: 1 });
    await stream.start();
    await orders.waitFor(OrderPlaced);
    for (const id of ["a", "b", "c"]) await orders.publish(OrderPlaced, { ...order, id });
    const read: string[] = [];
    for await (const message of stream) {
      read.push(message.data.id);
      if (message.data.id === "b" && message.ctx.message.attempt === 1) await message.nack();
      else await message.ack();
      if (read.length === 4) break;
    }
    await mesh.settle();
    expect(read.sort()).toEqual(["a", "b", "b", "c"]);
    expect(mesh.handled("billing", OrderPlaced)).toHaveLength(3);
    mesh.check();
  });

  it("keeps streams that run in the background going, until nothing more may come", async () => {
    const read: string[] = [];
    const reading = (async () => {
      for await (const message of billing.messages(OrderPlaced, { durable: true })) {
        read.push(message.data.id);
        await message.ack();
        if (message.data.id === "last") break;
      }
    })();
    await orders.waitFor(OrderPlaced);
    for (const id of ["first", "second"]) await orders.publish(OrderPlaced, { ...order, id });
    await mesh.settle();
    expect(read).toEqual(["first", "second"]);
    await orders.publish(OrderPlaced, { ...order, id: "last" });
    await reading; // nobody else lets time pass
    expect(read).toEqual(["first", "second", "last"]);
  });
});

describe("a test mesh that waits in vain", () => {
  it("says what is not at rest", async () => {
    await orders.send(Reserve, { sku: "a" }, { delayMs: 300_000 });
    const failure = mesh.settle({ withinMs: 60_000 });
    await expect(failure).rejects.toThrow(/not at rest within 60000 ms.*orders-1 has 1 delayed/);
    await mesh.settle();
    expect(mesh.published(Reserve)).toHaveLength(1);
  });

  it("says which condition does not hold", async () => {
    const failure = mesh.until(() => mesh.handled("billing", OrderPlaced).length > 0);
    await expect(failure).rejects.toThrow(/handled\("billing".*within 60000 ms.*at rest/);
    await expect(
      mesh.until(() => {
        throw new TypeError("broken");
      }),
    ).rejects.toThrow(TypeError);
  });

  it("rejects a call that nobody will answer", async () => {
    mesh.pause(orders);
    const refused = await orders.publish(OrderPlaced, order).catch((error: unknown) => error);
    expect(MeshError.is(refused, "TIMEOUT")).toBe(true);
    expect(String(refused)).toMatch(/publish at orders-1 did not settle within 3600000 ms/);
    mesh.resume(orders);
    await mesh.settle();
    expect(mesh.published(OrderPlaced)).toHaveLength(1); // it was said, and went on after the pause
    mesh.check();
  });

  it("refuses nodes of others, and calls after its end", async () => {
    const other = await createTestMesh();
    const foreign = await other.createNode({ service: "foreign" });
    expect(() => mesh.kill(foreign)).toThrow(/not one of this test mesh/);
    await other.stop();
    await expect(foreign.publish(OrderPlaced, order)).rejects.toThrow(/was killed|has ended/);
    await expect(other.advance(1)).rejects.toThrow(/has stopped/);
    await expect(createTestMesh({ sead: 1 } as never)).rejects.toThrow(/nearest is "seed"/);
  });
});

describe("an invariant of the test", () => {
  it("is looked at between any two events, and reported when it broke though it holds again", async () => {
    let stock = 1;
    mesh.always("stock is never negative", () => stock >= 0);
    await billing.handle(Reserve, async () => {
      stock--;
      await mesh.sleep(5);
      if (stock < 0) stock++;
    });
    await orders.send(Reserve, { sku: "a" });
    await mesh.settle();
    mesh.check();
    await orders.send(Reserve, { sku: "a" });
    await mesh.settle();
    expect(stock).toBe(0);
    expect(() => mesh.check()).toThrow(/seed 7 broke\n {2}always: "stock is never negative"/);
  });
});
