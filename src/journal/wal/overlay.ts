/**
 * What the write-ahead log holds that the store below it does not: the newest state of every row changed in it.
 *
 * Small values are kept in memory, large ones as where they lie in a segment. Each row belongs to the segment its
 * newest record is in; what a segment is still needed for is counted with every change, so that one for which
 * nothing is left can be given back without looking.
 * Invariant: the store below, overlaid with this, is the state after the last commit.
 */

import type { JournalStore, ScanOptions, StoreEntry, Table } from "../../ports/journal-store.ts";
import { TABLES } from "../../ports/journal-store.ts";
import { compareBytes, SortedTable } from "../sorted-table.ts";
import type { Segment } from "./segment.ts";
import type { RecordRow } from "./wal-record.ts";

/** The newest state of one row. */
export type OverlayRow = {
  readonly key: Uint8Array;
  readonly segment: Segment;
  /** A small value; undefined: removed, or at `valueAt` of the segment's file. */
  readonly value: Uint8Array | undefined;
  readonly valueAt: number;
  readonly valueBytes: number;
};

/** What a row costs the store below beside its key and value, roughly. */
const ROW_OVERHEAD_BYTES = 64;
const PAGE_BYTES = 4_096;

export class Overlay {
  readonly #tables = new Map(TABLES.map((table) => [table, new SortedTable<OverlayRow>()]));
  #rows = 0;
  #bytes = 0;
  #memoryBytes = 0;

  /** Rows held, removed ones too. */
  get rows(): number {
    return this.#rows;
  }

  /** About what the store below would need for all of it. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keys and values held in memory. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** A row of a record that begins at `recordAt` of the segment; its arrays are copied. */
  apply(row: RecordRow, segment: Segment, recordAt: number): void {
    const there: OverlayRow = {
      key: new Uint8Array(row.key),
      segment,
      value: row.value && new Uint8Array(row.value),
      valueAt: row.valueAt < 0 ? -1 : recordAt + row.valueAt,
      valueBytes: row.valueBytes,
    };
    const before = this.#table(row.table).put(there.key, there);
    if (before !== undefined) this.#count(before, -1);
    this.#count(there, 1);
  }

  get(table: Table, key: Uint8Array): OverlayRow | undefined {
    return this.#table(table).get(key);
  }

  /** Rows whose newest state is in the segment. */
  *rowsOf(segment: Segment): Generator<{ readonly table: Table; readonly row: OverlayRow }> {
    for (const [table, rows] of this.#tables) {
      for (const { value: row } of rows.rising(undefined, undefined)) {
        if (row.segment === segment) yield { table, row };
      }
    }
  }

  /** The store below has the row as it is here. */
  drop(table: Table, row: OverlayRow): void {
    if (this.#table(table).get(row.key) !== row) return;
    this.#table(table).remove(row.key);
    this.#count(row, -1);
  }

  /** A range of both, newest states only. */
  scan(table: Table, options: ScanOptions, below: JournalStore): StoreEntry[] {
    const { from, to, limit, reverse = false } = options;
    const entries: StoreEntry[] = [];
    if (limit <= 0) return entries;
    const mine = this.#table(table);
    const upper = reverse ? mine.falling(from, to) : mine.rising(from, to);
    const lower = entriesBelow(table, options, below);
    const sign = reverse ? -1 : 1;
    let over = upper.next();
    let under = lower.next();
    while (entries.length < limit && !(over.done === true && under.done === true)) {
      const order = over.done
        ? 1
        : under.done
          ? -1
          : sign * compareBytes(over.value.key, under.value.key);
      if (order > 0) {
        entries.push(under.value as StoreEntry);
        under = lower.next();
        continue;
      }
      const row = (over.value as { readonly value: OverlayRow }).value;
      const value = valueIn(row);
      if (value !== undefined) entries.push({ key: new Uint8Array(row.key), value });
      if (order === 0) under = lower.next();
      over = upper.next();
    }
    return entries;
  }

  #table(name: Table): SortedTable<OverlayRow> {
    return this.#tables.get(name) as SortedTable<OverlayRow>;
  }

  #count(row: OverlayRow, sign: 1 | -1): void {
    const { segment, key, value } = row;
    const bytes = sign * bytesBelow(row);
    segment.rows += sign;
    segment.liveBytes += bytes;
    this.#rows += sign;
    this.#bytes += bytes;
    this.#memoryBytes += sign * (key.length + (value?.length ?? 0));
  }
}

/** About what the store below needs for a row: a place in a page, or pages of its own. */
export const bytesBelow = ({ key, valueBytes }: OverlayRow): number =>
  ROW_OVERHEAD_BYTES +
  key.length +
  (valueBytes < PAGE_BYTES >> 1 ? valueBytes : Math.ceil(valueBytes / PAGE_BYTES) * PAGE_BYTES);

/** A copy of the row's value; undefined: removed. */
export function valueIn({
  segment,
  value,
  valueAt,
  valueBytes,
}: OverlayRow): Uint8Array | undefined {
  if (valueAt >= 0) return segment.file.read(valueAt, valueBytes);
  return value && new Uint8Array(value);
}

/** What the store below has of a range, a page at a time: how much of it is overlaid is not known before. */
function* entriesBelow(
  table: Table,
  { from, to, limit, reverse = false }: ScanOptions,
  below: JournalStore,
): Generator<StoreEntry> {
  let low = from;
  let high = to;
  for (;;) {
    const page = below.scan(table, {
      ...(low === undefined ? {} : { from: low }),
      ...(high === undefined ? {} : { to: high }),
      limit,
      reverse,
    });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < limit) return;
    if (reverse) high = last.key;
    else low = justAfter(last.key);
  }
}

/** The lowest key above one. */
function justAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
