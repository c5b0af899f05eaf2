import { setTimeout as waitMs } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { createNode, event, json, type MeshNode } from "../../src/index.ts";
import { CallOrder } from "../../src/mesh/call-order.ts";

const Sale = event("sale.made", { schema: json<{ n: number }>(), key: () => "till" });
/** Odd numbers take a while to be validated. */
const SlowSale = event("sale.made", {
  schema: z.object({ n: z.number() }).refine(async ({ n }) => {
    if (n % 2 === 1) await waitMs(5);
    return n < 100;
  }),
  key: () => "till",
});

let node: MeshNode | undefined;
const start = async (): Promise<MeshNode> => {
  node = await createNode({
    service: "shop",
    dataDir: ":memory:",
    discovery: [],
    heartbeatThread: false,
  });
  return node;
};
afterEach(() => node?.stop());

describe("positions", () => {
  it("are in the order of the calls, whether one or many are published", async () => {
    const shop = await start();
    const calls = [
      shop.publish(Sale, { n: 1 }),
      shop.publishMany(Sale, [{ n: 2 }, { n: 3 }]),
      shop.publish(Sale, { n: 4 }),
    ];
    expect(await positions(calls)).toEqual([1, 2, 3, 4]);
  });

  it("are so although earlier calls of the key are still being validated", async () => {
    const shop = await start();
    const calls = [
      shop.publishMany(SlowSale, [{ n: 1 }, { n: 2 }]),
      shop.publish(Sale, { n: 3 }),
      shop.publish(SlowSale, { n: 5 }),
      shop.publishMany(Sale, [{ n: 6 }]),
    ];
    expect(await positions(calls)).toEqual([1, 2, 3, 4, 5]);
  });

  it("are not given to calls that are refused, which hold nobody back", async () => {
    const shop = await start();
    const refused = shop.publishMany(SlowSale, [{ n: 1 }, { n: 101 }]);
    const after = shop.publish(Sale, { n: 2 });
    await expect(refused).rejects.toMatchObject({ code: "SCHEMA_VIOLATION" });
    expect(await positions([after])).toEqual([1]);
  });

  it("are not waited for by a caller that gave up", async () => {
    const shop = await start();
    const signal = AbortSignal.abort();
    const call = shop.publishMany(Sale, [{ n: 1 }], { signal });
    await expect(call).rejects.toMatchObject({ code: "ABORTED" });
  });
});

describe("the order of calls", () => {
  it("lets other keys pass and keeps those of one key apart", async () => {
    const order = new CallOrder();
    const done: string[] = [];
    let open: () => void = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const first = order.run([1, 2], async () => {
      await opened;
      done.push("first");
    });
    const second = order.run([2], async () => void done.push("second"));
    await order.run([3], async () => void done.push("third"));
    expect(done).toEqual(["third"]);
    expect(order.isClear).toBe(false);
    open();
    await Promise.all([first, second]);
    expect(done).toEqual(["third", "first", "second"]);
    await Promise.resolve();
    expect(order.isClear).toBe(true);
  });
});

const positions = async (
  calls: readonly Promise<{ position: { seq: number } } | { position: { seq: number } }[]>[],
): Promise<number[]> => (await Promise.all(calls)).flat().map(({ position }) => position.seq);
