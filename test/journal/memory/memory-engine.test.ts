import { expect, test } from "vitest";
import { memoryEngine } from "../../../src/journal/memory/memory-engine.ts";
import { describeEngine, put, text } from "../engine-contract.ts";

describeEngine("memory", {
  engine: memoryEngine(),
  features: { persistent: false, valueBytesMax: 8 * 1024 * 1024 },
});

test('opens ":memory:" any number of times, each store empty and its own', async () => {
  const engine = memoryEngine();
  const options = { dataDir: ":memory:", bytesMax: 1_000_000 };
  const first = await engine.open(options);
  const second = await engine.open(options);
  await first.commit([put("log", text("k"), text("v"))]);
  expect(second.get("log", text("k"))).toBeUndefined();
  await Promise.all([first.close(), second.close()]);
  const third = await engine.open(options);
  expect(third.get("log", text("k"))).toBeUndefined();
  await third.close();
});

test("appends and removes a million entries as a queue", async () => {
  const store = await memoryEngine().open({ dataDir: ":memory:", bytesMax: 2 ** 32 });
  const key = (n: number) => {
    const at = new Uint8Array(8);
    new DataView(at.buffer).setUint32(4, n);
    return at;
  };
  const value = text("v");
  for (let from = 0; from < 1_000_000; from += 10_000) {
    const writes = Array.from({ length: 10_000 }, (_, n) => put("log", key(from + n), value));
    await store.commit(writes);
  }
  expect(store.scan("log", { limit: 1, reverse: true })[0]?.key).toEqual(key(999_999));
  for (let from = 0; from < 999_990; from += 10_000) {
    const count = Math.min(10_000, 999_990 - from);
    await store.commit(
      Array.from({ length: count }, (_, n) => ({
        table: "log",
        key: key(from + n),
        value: undefined,
      })),
    );
  }
  expect(store.scan("log", { limit: 100 }).length).toBe(10);
  await store.close();
});
