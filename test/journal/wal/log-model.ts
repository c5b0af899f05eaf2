/** What a log should show, in plain maps, and what is committed to it, for its property tests. */

import { crc32 } from "node:zlib";
import fc from "fast-check";
import { memoryEngine } from "../../../src/journal/memory/memory-engine.ts";
import type { StoreBelow } from "../../../src/journal/wal/log-room.ts";
import type { LogLimits } from "../../../src/journal/wal/open-log.ts";
import {
  type JournalStore,
  StoreError,
  type StoreWrite,
  type Table,
} from "../../../src/ports/journal-store.ts";

/** So small that segments turn all the time. */
export const LIMITS: LogLimits = {
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
export class Below {
  readonly #store: JournalStore;
  /** Its process is gone. */
  cut = false;
  commits = 0;
  /** Rows other than its own that the log brought here. */
  values = 0;

  private constructor(store: JournalStore) {
    this.#store = store;
  }

  static async empty(): Promise<Below> {
    return new Below(await memoryEngine().open({ dataDir: ":memory:", bytesMax: 2 ** 30 }));
  }

  opened(): StoreBelow {
    const store = this.#store;
    return {
      commit: async (writes) => {
        await Promise.resolve();
        if (this.cut) await new Promise(() => {});
        this.commits += 1;
        this.values += writes.filter(({ table, value }) => table !== "meta" && value).length;
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

export type Model = Map<string, string>;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const digest = (bytes: Uint8Array): string => `${bytes.length}/${crc32(bytes)}`;

export const applied = (model: Model, writes: readonly StoreWrite[]): Model => {
  const next = new Map(model);
  for (const { table, key, value } of writes) {
    if (value === undefined) next.delete(`${table}:${hex(key)}`);
    else next.set(`${table}:${hex(key)}`, digest(value));
  }
  return next;
};

export const shown = (store: JournalStore): Model => {
  const model: Model = new Map();
  for (const table of TABLES) {
    for (const { key, value } of store.scan(table, { limit: 10_000 })) {
      model.set(`${table}:${hex(key)}`, digest(value));
    }
  }
  return model;
};

export const sorted = (model: Model): [string, string][] =>
  [...model].sort(([a], [b]) => (a < b ? -1 : 1));

export const writesOf = (plan: readonly PlannedWrite[]): StoreWrite[] =>
  plan.map(({ table, key, value }) => ({
    table,
    key: Uint8Array.of(key >> 3, key & 7),
    value: value && new Uint8Array(value[0]).fill(value[1]),
  }));

export type PlannedWrite = {
  readonly table: Table;
  readonly key: number;
  readonly value: readonly [number, number] | undefined;
};

export const plannedWrite: fc.Arbitrary<PlannedWrite> = fc.record({
  table: fc.constantFrom(...TABLES),
  key: fc.nat({ max: 40 }),
  /** Length and content of the value; undefined: removed. */
  value: fc.option(
    fc.tuple(fc.constantFrom(0, 1, 30, 200, 1_023, 1_024, 3_000, 9_000), fc.nat({ max: 255 })),
    { nil: undefined, freq: 3 },
  ),
});
/** What became of it within a few turns. */
export const settled = async (promise: Promise<void>): Promise<"ok" | "failed" | "open"> => {
  let outcome: "ok" | "failed" | "open" = "open";
  promise.then(
    () => {
      outcome = "ok";
    },
    (error: unknown) => {
      if (!(error instanceof StoreError)) throw error;
      outcome = "failed";
    },
  );
  for (let turn = 0; turn < 3 && outcome === "open"; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return outcome;
};
