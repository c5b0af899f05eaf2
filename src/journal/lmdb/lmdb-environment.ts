/**
 * The narrow part of lmdb-js the store uses: open, read in a pinned snapshot, write one batch, close.
 *
 * Choices, each from lmdb 3.5.6's source and a trace of its system calls:
 * - `overlappingSync: false`. A batch's promise then settles after: write pages, fdatasync, write the
 *   meta page through an O_DSYNC descriptor. With overlapping sync the same two flushes happen, but a
 *   commit whose fdatasync failed stays visible, and the next commit is built upon it and confirmed
 *   although its pages never reached the disk. Without it the failed commit is undone.
 * - `eventTurnBatching: false`. With it a failed commit also rejects a promise that nobody holds, and
 *   the process ends by an unhandled rejection.
 * - one `batch` is one block of instructions, which the writer thread never commits half-way unless a
 *   synchronous transaction interrupts it. So there is none after opening: every table is opened first.
 * - `batchStartThreshold` out of reach: the writer starts when the block is complete, instead of
 *   polling for its rest.
 * - the map is large from the start, so that growth does not remap under readers.
 */

import * as lmdb from "lmdb";
import { type StoreEntry, type StoreWrite, TABLES, type Table } from "../../ports/journal-store.ts";

const MAP_BYTES_MIN = 64 * 1024 * 1024;
const MAP_BYTES_MAX = 1024 ** 4;
const MAP_STEP_BYTES = 0x40000;

type Key = Uint8Array;
type Value = Uint8Array;
type Transaction = { done(): void };
type Range = {
  readonly start: Key | undefined;
  readonly end: Key | undefined;
  readonly limit: number;
  readonly reverse: boolean;
  readonly exclusiveStart: boolean;
  readonly inclusiveEnd: boolean;
  readonly transaction: Transaction;
};
type TableHandle = {
  put(key: Key, value: Value): unknown;
  remove(key: Key): unknown;
  batch(callback: () => void): Promise<boolean>;
  getBinary(key: Key, options: { transaction: Transaction }): Uint8Array | undefined;
  getRange(range: Range): Iterable<StoreEntry>;
  getStats(): Record<string, number>;
};
type RootHandle = TableHandle & {
  openDB(name: string, options: object): TableHandle;
  useReadTransaction(): Transaction;
  close(): Promise<void>;
  readonly env: { close(): void };
};

export type EnvironmentOptions = { readonly path: string; readonly bytesMax: number };

/** An lmdb environment with every table open. Reads see the last `renewSnapshot`. */
export class LmdbEnvironment {
  readonly #root: RootHandle;
  readonly #tables: ReadonlyMap<Table, TableHandle>;
  #snapshot: Transaction;

  /** Creates the file and its tables when it does not exist. @throws lmdb's own errors */
  constructor(options: EnvironmentOptions) {
    const binary = { encoding: "binary", keyEncoding: "binary" };
    const root = lmdb.open({
      ...binary,
      path: options.path,
      noSubdir: true,
      maxDbs: TABLES.length,
      maxReaders: 16,
      mapSize: mapBytes(options.bytesMax),
      permissionsMode: 0o600,
      overlappingSync: false,
      eventTurnBatching: false,
      batchStartThreshold: Number.MAX_SAFE_INTEGER,
    } as unknown as lmdb.RootDatabaseOptionsWithPath) as unknown as RootHandle;
    try {
      this.#tables = new Map(TABLES.map((name) => [name, root.openDB(name, { ...binary })]));
      this.#snapshot = root.useReadTransaction();
    } catch (error) {
      root.env.close();
      throw error;
    }
    this.#root = root;
  }

  get(table: Table, key: Key): Uint8Array | undefined {
    const found = this.#table(table).getBinary(key, { transaction: this.#snapshot });
    return found && plain(found);
  }

  scan(table: Table, range: Omit<Range, "transaction">): StoreEntry[] {
    const entries: StoreEntry[] = [];
    const options: Range = { ...range, transaction: this.#snapshot };
    for (const { key, value } of this.#table(table).getRange(options)) {
      entries.push({ key: plain(key), value: plain(value) });
    }
    return entries;
  }

  /** One transaction; settles after it is on the disk or undone. @throws with lmdb's error code */
  async write(writes: Iterable<StoreWrite>): Promise<void> {
    const tables = this.#tables;
    try {
      await this.#root.batch(() => {
        for (const { table, key, value } of writes) {
          if (value === undefined) tables.get(table)?.remove(key);
          else tables.get(table)?.put(key, value);
        }
      });
    } catch (error) {
      await (error as { commitError?: Promise<unknown> }).commitError;
      throw error;
    }
  }

  /** Lets reads see every commit so far, and lmdb reuse the pages older ones held. */
  renewSnapshot(): void {
    this.#snapshot.done();
    this.#snapshot = this.#root.useReadTransaction();
  }

  /** Pages that hold something; the rest of the file is free or room. */
  usedPages(): number {
    let pages = 0;
    for (const table of this.#tables.values()) {
      const stats = table.getStats();
      pages += stats.treeBranchPageCount ?? 0;
      pages += (stats.treeLeafPageCount ?? 0) + (stats.overflowPages ?? 0);
    }
    return pages;
  }

  async close(): Promise<void> {
    this.#snapshot.done();
    await this.#root.close();
  }

  /** Closes at once; only when no write is under way. */
  closeNow(): void {
    this.#snapshot.done();
    void this.#root.close(); // ends the read transactions; the rest of it finds the work done
    this.#root.env.close();
  }

  #table(name: Table): TableHandle {
    const table = this.#tables.get(name);
    if (table === undefined) throw new RangeError(`there is no table "${name}"`);
    return table;
  }
}

/** lmdb hands out Buffers of their own memory; callers of the port see Uint8Arrays. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function mapBytes(bytesMax: number): number {
  const wished = Math.min(Math.max(bytesMax * 2, MAP_BYTES_MIN), MAP_BYTES_MAX);
  return Math.ceil(wished / MAP_STEP_BYTES) * MAP_STEP_BYTES;
}
