import { describe, expect, it } from "vitest";
import { memoryEngine } from "../../../src/journal/memory/memory-engine.ts";
import { stderrLogger, systemClock } from "../../../src/mesh/system-ports.ts";
import { forgetMarks } from "../../../src/runtime/consumer/forgotten-marks.ts";
import { Committer } from "../../../src/runtime/journal/committer.ts";
import { compositeKey } from "../../../src/runtime/journal/keys.ts";

const DAY_MS = 86_400_000;

describe("marks of absent producers", () => {
  it("are forgotten after forgetMs, those of others stay", async () => {
    const store = await memoryEngine().open({ dataDir: ":memory:", bytesMax: 2 ** 24 });
    const committer = new Committer({ store, clock: systemClock(), logger: stderrLogger() });
    const rowAt = (wallMs: number): Buffer => {
      const row = Buffer.alloc(9);
      row.writeDoubleBE(wallMs, 0);
      return row;
    };
    const now = 100 * DAY_MS;
    const old = Array.from({ length: 1_500 }, (_, n) => compositeKey(`gone-${n}`, "event g s"));
    const young = compositeKey("here", "event g s");
    await store.commit([
      ...old.map((key) => ({ table: "inbox" as const, key, value: rowAt(now - 31 * DAY_MS) })),
      { table: "inbox", key: young, value: rowAt(now - 29 * DAY_MS) },
    ]);

    expect(forgetMarks(store, committer, now, 30 * DAY_MS)).toBe(old.length);
    await new Promise<void>((resolve, reject) => {
      committer.onDurable((error) => (error === undefined ? resolve() : reject(error)));
    });

    expect(store.get("inbox", old[0] as Uint8Array)).toBeUndefined();
    expect(store.scan("inbox", { limit: 10 }).map(({ key }) => Buffer.from(key))).toEqual([
      Buffer.from(young),
    ]);
    await store.close();
  });
});
