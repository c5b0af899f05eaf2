/**
 * Batches that tell from what is left of them whether a commit was whole: batch n puts its rows in
 * three tables, removes the rows of batch n - KEPT_BATCHES, and names itself the last.
 */

import type { JournalStore, StoreWrite } from "../../src/ports/journal-store.ts";

export const LAST_KEY = new TextEncoder().encode("last");
export const KEPT_BATCHES = 20;
const ROWS = 4;

export function numberKey(number: number): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigUint64(0, BigInt(number));
  return key;
}

export function numberOf(key: Uint8Array): number {
  return Number(new DataView(key.buffer, key.byteOffset).getBigUint64(0));
}

/** From a few bytes to some pages, so that leaves, splits and overflow pages all occur. */
function blockOf(number: number, row: number): Uint8Array {
  const length = 8 + (((number * 2_654_435_761 + row * 40_503) >>> 0) % 20_000);
  const block = new Uint8Array(length).fill((number + row) & 0xff);
  block.set(numberKey(number));
  return block;
}

export function batchOf(number: number): StoreWrite[] {
  const writes: StoreWrite[] = [];
  for (let row = 0; row < ROWS; row += 1) {
    const key = numberKey(number * ROWS + row);
    writes.push({ table: "log", key, value: blockOf(number, row) });
    const gone = (number - KEPT_BATCHES) * ROWS + row;
    if (gone >= ROWS) writes.push({ table: "log", key: numberKey(gone), value: undefined });
  }
  writes.push({ table: "cursor", key: LAST_KEY, value: numberKey(number) });
  writes.push({ table: "meta", key: LAST_KEY, value: numberKey(number) });
  return writes;
}

/** The last whole batch. @throws Error naming what a torn or lost batch left behind. */
export function lastWholeBatch(store: JournalStore): number {
  const meta = store.get("meta", LAST_KEY);
  const cursor = store.get("cursor", LAST_KEY);
  const last = meta === undefined ? 0 : numberOf(meta);
  const cursorAt = cursor === undefined ? 0 : numberOf(cursor);
  if (last !== cursorAt) throw new Error(`meta says ${last}, cursor says ${cursorAt}`);
  const first = Math.max(1, last - KEPT_BATCHES + 1);
  const rows = store.scan("log", { limit: 1_000_000 });
  const expected = (last - first + 1) * ROWS;
  if (rows.length !== expected)
    throw new Error(`${rows.length} rows, not ${expected} up to ${last}`);
  for (const [at, { key, value }] of rows.entries()) {
    const number = first + Math.floor(at / ROWS);
    const block = blockOf(number, at % ROWS);
    if (numberOf(key) !== first * ROWS + at || !Buffer.from(value).equals(block)) {
      throw new Error(`row ${numberOf(key)} is not row ${at % ROWS} of batch ${number}`);
    }
  }
  return last;
}
