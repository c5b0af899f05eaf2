/**
 * The log through power cuts, torn and failed writes, at sizes so small that segments turn all the time. The store
 * below is in memory, which is what a store with synced commits is after a crash: as of its last commit.
 */

import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryEngine } from "../../../src/journal/memory/memory-engine.ts";
import type { StoreBelow } from "../../../src/journal/wal/log-room.ts";
import { type LogLimits, openLog } from "../../../src/journal/wal/open-log.ts";
import {
  type JournalStore,
  StoreError,
  type StoreWrite,
  type Table,
} from "../../../src/ports/journal-store.ts";
import { SimulatedSegments } from "./simulated-segments.ts";

const LIMITS: LogLimits = {
  bytesMax: 2 ** 30,
  rowsMax: 24,
  memoryBytesMax: 4_096,
  logBytesMax: 24 * 1024,
  tailFirstBytes: 8_000,
  segmentBytesMin: 4 * 1024 + 512,
  segmentBytesMax: 8 * 1024,
};
const TABLES: readonly Table[] = ["log", "cursor"];

/** The store below: survives a crash with its last commit, and can be told to fail. */
class Below {
  readonly #store: JournalStore;
  cut = false;
  commits = 0;

  constructor(store: JournalStore) {
    this.#store = store;
  }

  opened(): StoreBelow {
    const store = this.#store;
    return {
      commit: async (writes) => {
        await Promise.resolve();
        if (this.cut) await new Promise(() => {});
        this.commits += 1;
        await store.commit(writes);
      },
      get: (table, key) => store.get(table, key),
      scan: (table, options) => store.scan(table, options),
      bytesOnDisk: () => 0,
      usedBytes: () => 0,
      close: async () => {},
    };
  }
}

type Model = Map<string, string>;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const digest = (bytes: Uint8Array): string => `${bytes.length}/${crc32(bytes)}`;

const applied = (model: Model, writes: readonly StoreWrite[]): Model => {
  const next = new Map(model);
  for (const { table, key, value } of writes) {
    if (value === undefined) next.delete(`${table}:${hex(key)}`);
    else next.set(`${table}:${hex(key)}`, digest(value));
  }
  return next;
};

const shown = (store: JournalStore): Model => {
  const model: Model = new Map();
  for (const table of TABLES) {
    for (const { key, value } of store.scan(table, { limit: 10_000 })) {
      model.set(`${table}:${hex(key)}`, digest(value));
    }
  }
  return model;
};

const sorted = (model: Model): [string, string][] =>
  [...model].sort(([a], [b]) => (a < b ? -1 : 1));

/** Which of these states the store shows. */
const oneOf = (store: JournalStore, allowed: readonly Model[]): Model => {
  const found = sorted(shown(store));
  const match = allowed.find((one) => JSON.stringify(sorted(one)) === JSON.stringify(found));
  expect(match, "what is shown after opening again").toBeDefined();
  return match as Model;
};

const writesOf = (plan: readonly PlannedWrite[]): StoreWrite[] =>
  plan.map(({ table, key, value }) => ({
    table,
    key: Uint8Array.of(key >> 3, key & 7),
    value: value && new Uint8Array(value[0]).fill(value[1]),
  }));

type PlannedWrite = {
  readonly table: Table;
  readonly key: number;
  readonly value: readonly [number, number] | undefined;
};

const write: fc.Arbitrary<PlannedWrite> = fc.record({
  table: fc.constantFrom(...TABLES),
  key: fc.nat({ max: 40 }),
  /** Length and content of the value; undefined: removed. */
  value: fc.option(
    fc.tuple(fc.constantFrom(0, 1, 30, 200, 1_023, 1_024, 3_000, 9_000), fc.nat({ max: 255 })),
    { nil: undefined, freq: 3 },
  ),
});
const commit = fc.record({
  kind: fc.constant("commit" as const),
  writes: fc.array(write, { minLength: 1, maxLength: 5 }),
  fails: fc.oneof(
    { weight: 9, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
});
const cut = fc.record({
  kind: fc.constant("cut" as const),
  /** Writes that still reach the disk. */
  after: fc.nat({ max: 1 }),
  sectors: fc.array(fc.boolean(), { maxLength: 24 }),
});
const reopen = fc.record({ kind: fc.constant("reopen" as const) });
const steps = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: commit },
    { weight: 2, arbitrary: cut },
    { weight: 1, arbitrary: reopen },
  ),
  { minLength: 1, maxLength: 60 },
);

const settled = async (promise: Promise<void>): Promise<"ok" | "failed" | "open"> => {
  let outcome: "ok" | "failed" | "open" = "open";
  promise.then(
    () => {
      outcome = "ok";
    },
    (error: unknown) => {
      expect(error).toBeInstanceOf(StoreError);
      outcome = "failed";
    },
  );
  for (let turn = 0; turn < 3 && outcome === "open"; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return outcome;
};

describe("the write-ahead log", () => {
  test("shows after any crash every acknowledged commit, and of the last one all or nothing", async () => {
    let cuts = 0;
    let moves = 0;
    const property = fc.asyncProperty(steps, async (plan) => {
      const disk = new SimulatedSegments();
      const below = new Below(
        await memoryEngine().open({ dataDir: ":memory:", bytesMax: 2 ** 30 }),
      );
      let store = await openLog(below.opened(), disk, LIMITS);
      let model: Model = new Map();
      /** What a failed commit may still turn out to have done, until another one succeeds. */
      let unknown: Model | undefined;
      for (const step of plan) {
        if (step.kind === "commit") {
          const writes = writesOf(step.writes);
          const after = applied(model, writes);
          if (step.fails) {
            disk.beforeWrite = () => {
              disk.beforeWrite = undefined;
              throw Object.assign(new Error("planted"), { code: "EIO" });
            };
          }
          const outcome = await settled(store.commit(writes));
          disk.beforeWrite = undefined;
          if (outcome === "ok") {
            model = after;
            unknown = undefined;
          } else unknown = after;
          expect(sorted(shown(store))).toEqual(sorted(model));
        } else if (step.kind === "reopen") {
          await store.close();
          store = await openLog(below.opened(), disk, LIMITS);
          model = oneOf(store, [model, ...(unknown === undefined ? [] : [unknown])]);
          unknown = undefined;
        } else {
          cuts += 1;
          const [last, ...rest] = plan.flatMap((one) =>
            one.kind === "commit" ? [one.writes] : [],
          );
          const writes = writesOf(last ?? rest[0] ?? []);
          let sector = 0;
          disk.fate = () => step.sectors[sector++ % Math.max(1, step.sectors.length)] ?? false;
          disk.writesLeft = step.after;
          disk.cut = true;
          below.cut = true;
          void store.commit(writes);
          await settled(new Promise(() => {}));
          disk.cut = false;
          below.cut = false;
          disk.fate = () => true;
          store = await openLog(below.opened(), disk, LIMITS);
          const maybe = unknown === undefined ? [] : [unknown];
          model = oneOf(store, [model, applied(model, writes), ...maybe]);
          unknown = undefined;
        }
      }
      expect(sorted(shown(store))).toEqual(sorted(model));
      expect(disk.files.reduce((sum, { capacity }) => sum + capacity, 0)).toBeLessThan(80 * 1024);
      await store.close();
      const again = await openLog(below.opened(), disk, LIMITS);
      oneOf(again, [model, ...(unknown === undefined ? [] : [unknown])]);
      expect(again.scan("meta", { limit: 10 })).toEqual([]);
      moves += below.commits;
      await again.close();
    });
    await fc.assert(property, { numRuns: 2_000, seed: 20_261 });
    expect(cuts).toBeGreaterThan(500);
    expect(moves).toBeGreaterThan(500);
  }, 120_000);
});
