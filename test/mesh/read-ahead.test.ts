/** How far a producer reads in its journal beyond what its members can take. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const MESSAGES = 20_000;
const PREFETCH = 16;

/** The blocks that are read from the store for a member that takes 16 messages and ends none. */
const blocksRead = async (): Promise<{ read: number; all: number }> => {
  const store = await TestStore.open();
  const says = await mesh.node("says", { store });
  const hears = await mesh.node("hears");
  await mesh.linked();
  for (let sent = 0; sent < MESSAGES; sent += 2_000) {
    const values = Array.from({ length: 2_000 }, (_, n) => `${"x".repeat(100)}${sent + n}`);
    await mesh.clock.run(Promise.all(values.map((v) => says.publish("x.y", v))));
  }
  const all = store.rows("log").length;
  const read = new Set<string>();
  const { get, scan } = store;
  store.get = (table, key) => {
    const value = get.call(store, table, key);
    if (table === "log" && value !== undefined) read.add(Buffer.from(key).toString("hex"));
    return value;
  };
  store.scan = (table, options) => {
    const entries = scan.call(store, table, options);
    if (table === "log") for (const { key } of entries) read.add(Buffer.from(key).toString("hex"));
    return entries;
  };
  let begun = 0;
  const handler = (): Promise<void> => {
    begun++;
    return new Promise(() => {});
  };
  const options = { from: "earliest", concurrency: PREFETCH, prefetch: PREFETCH } as const;
  await mesh.clock.run(hears.subscribe("x.y", handler, options));
  await mesh.clock.until(() => begun === PREFETCH);
  await mesh.clock.advance(5_000);
  return { read: read.size, all };
};

it("reads on no further than what is to be sent next, where any member may have it", async () => {
  const { read, all } = await blocksRead();
  expect(all).toBeGreaterThan(30);
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(6);
});
