/**
 * The log at its own bounds, over the real store below, with real files: well over twice of each is written while what
 * was written changes and goes, and all of it is there, before and after another start.
 */

import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lmdbEngine } from "../../../src/journal/lmdb/lmdb-engine.ts";
import { walEngine } from "../../../src/journal/wal/wal-engine.ts";
import type { JournalStore, StoreWrite } from "../../../src/ports/journal-store.ts";
import { numberKey, numberOf } from "../numbered-batch.ts";

const MIB = 1024 * 1024;
/** As docs/limits.md says: at twice as much in memory commits wait. */
const ROWS_MAX = 16_384;
const MEMORY_BYTES_MAX = 4 * MIB;
/** The least that the log's files may take, whatever bytesMax is. */
const FILES_BYTES_MAX = 4 * MIB;
const KEY_BYTES = 8;
/** Commits that are not waited for one by one. */
const UNDER_WAY = 4;
const EVERY = 7;

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-bounds-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Which version of each row is there. */
type Model = Map<number, number>;
type Plan = { readonly rows: number; readonly valueBytes: number; readonly perCommit: number };

const rowValue = (number: number, version: number, bytes: number): Uint8Array => {
  const value = new Uint8Array(bytes).fill((number * 31 + version) & 0xff);
  value.set(numberKey(number * 8 + version));
  return value;
};

/** New rows, and a row of every seven that went before changes or goes, from far back and from just now. */
const commitOf = (plan: Plan, first: number, model: Model): StoreWrite[] => {
  const writes: StoreWrite[] = [];
  const put = (number: number, version: number): void => {
    const value = rowValue(number, version, plan.valueBytes);
    writes.push({ table: "log", key: numberKey(number), value });
    model.set(number, version);
  };
  const last = Math.min(first + plan.perCommit, plan.rows);
  for (let number = first; number < last; number++) put(number, 0);
  for (let at = first - plan.perCommit; at >= 0 && at < first; at += EVERY) put(at, 1);
  for (let at = (first >> 1) + 1; at < first && at < (first >> 1) + plan.perCommit; at += EVERY) {
    writes.push({ table: "log", key: numberKey(at), value: undefined });
    model.delete(at);
  }
  return writes;
};

const fill = async (
  store: JournalStore,
  plan: Plan,
  committed: () => void = () => {},
): Promise<Model> => {
  const model: Model = new Map();
  const underWay: Promise<void>[] = [];
  for (let first = 0; first < plan.rows; first += plan.perCommit) {
    underWay.push(store.commit(commitOf(plan, first, model)));
    if (underWay.length >= UNDER_WAY) await underWay.shift();
    committed();
  }
  await Promise.all(underWay);
  return model;
};

const expectAll = (store: JournalStore, { valueBytes }: Plan, model: Model): void => {
  const expected = [...model].sort(([a], [b]) => a - b);
  const found = store.scan("log", { limit: model.size + 1 });
  expect(found.length).toBe(expected.length);
  const isWrong = ([number, version]: [number, number], at: number): boolean => {
    const { key, value } = found[at] as (typeof found)[number];
    return (
      numberOf(key) !== number || Buffer.compare(value, rowValue(number, version, valueBytes)) !== 0
    );
  };
  expect(expected.filter(isWrong)).toEqual([]);
};

/** Rows that the store below has by itself. */
const rowsBelow = async (bytesMax: number): Promise<number> => {
  const store = await lmdbEngine().open({ dataDir: folder, bytesMax: 2 * bytesMax });
  const { length } = store.scan("log", { limit: 10_000_000 });
  await store.close();
  return length;
};

const fileBytes = (): number =>
  readdirSync(folder)
    .filter((name) => /^journal\.wal\.\d+$/.test(name))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

/** What is in the log alone, after all was written, read, and read again by another start. */
const restOf = async (plan: Plan, bytesMax: number, committed?: () => void): Promise<number> => {
  const open = () => walEngine(lmdbEngine()).open({ dataDir: folder, bytesMax });
  const store = await open();
  const model = await fill(store, plan, committed);
  expectAll(store, plan, model);
  await store.close();
  const below = await rowsBelow(bytesMax);
  const again = await open();
  expectAll(again, plan, model);
  const added = new Map(model).set(plan.rows, 0);
  const value = rowValue(plan.rows, 0, plan.valueBytes);
  await again.commit([{ table: "log", key: numberKey(plan.rows), value }]);
  expectAll(again, plan, added);
  await again.close();
  expect(below).toBeGreaterThan(0);
  return model.size - below;
};

describe("the log's bounds", () => {
  test("of rows in memory: what is over twice of it is below, and all is there", async () => {
    const plan = { rows: 5 * ROWS_MAX, valueBytes: 24, perCommit: 1_000 };
    expect(plan.rows * (KEY_BYTES + plan.valueBytes)).toBeLessThan(MEMORY_BYTES_MAX);
    const rest = await restOf(plan, 1_024 * MIB);
    expect(rest).toBeLessThan(2 * ROWS_MAX + 2 * UNDER_WAY * plan.perCommit);
  });

  test("of bytes in memory: what is over twice of it is below, and all is there", async () => {
    const valueBytes = 1_000; // a little more would not be kept in memory
    const rows = Math.ceil((5 * MEMORY_BYTES_MAX) / (KEY_BYTES + valueBytes));
    const plan = { rows, valueBytes, perCommit: 200 };
    const rest = await restOf(plan, 1_024 * MIB);
    const most = (2 * MEMORY_BYTES_MAX) / (KEY_BYTES + valueBytes);
    expect(rest).toBeLessThan(most + 2 * UNDER_WAY * plan.perCommit);
  });

  test("of its files: they do not grow past it, and all is there", async () => {
    const valueBytes = 64 * 1024;
    const plan = { rows: (5 * FILES_BYTES_MAX) / valueBytes, valueBytes, perCommit: 3 };
    let most = 0;
    const rest = await restOf(plan, 4 * FILES_BYTES_MAX, () => {
      most = Math.max(most, fileBytes());
    });
    expect(most).toBeGreaterThan(FILES_BYTES_MAX / 2);
    expect(most).toBeLessThanOrEqual(FILES_BYTES_MAX);
    expect(rest * valueBytes).toBeLessThanOrEqual(FILES_BYTES_MAX);
  });
});
