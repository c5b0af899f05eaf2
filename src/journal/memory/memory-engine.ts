/**
 * A journal engine that keeps nothing: for tests, and for nodes that choose to lose their messages.
 *
 * Approach: a commit is applied at the call, with an undo list for the one thing that can refuse it
 * half-way (bytesMax); its promise resolves afterwards. There is no disk, so nothing to sync.
 * `dataDir: ":memory:"` may be opened any number of times; any other name is held by one open store
 * of this engine at a time, as a folder would be. Closing discards everything.
 */

import { MeshError } from "../../errors.ts";
import {
  type JournalEngine,
  type JournalStore,
  type OpenStoreOptions,
  type ScanOptions,
  type StoreEntry,
  StoreError,
  type StoreWrite,
  TABLES,
  type Table,
} from "../../ports/journal-store.ts";
import { SortedTable } from "../sorted-table.ts";
import { checkBound, checkWrites } from "../store-limits.ts";

/** Rough cost of an entry beside its bytes: two typed arrays and a record. */
const ENTRY_OVERHEAD_BYTES = 256;

/**
 * Volatile engine. `bytesMax` bounds keys, values and 256 B for each entry; past it a commit that would
 * add bytes fails with StoreError "full", and one that frees some is applied.
 */
export function memoryEngine(): JournalEngine {
  const openDirs = new Set<string>();
  return {
    name: "memory",
    async open({ dataDir, bytesMax }: OpenStoreOptions): Promise<JournalStore> {
      if (dataDir === ":memory:") return new MemoryStore(bytesMax, () => {});
      if (openDirs.has(dataDir)) {
        throw new MeshError("JOURNAL_LOCKED", `${dataDir} is open in process ${process.pid}`, {
          details: { dataDir, pid: process.pid },
        });
      }
      openDirs.add(dataDir);
      return new MemoryStore(bytesMax, () => openDirs.delete(dataDir));
    },
  };
}

class MemoryStore implements JournalStore {
  readonly #tables: ReadonlyMap<Table, SortedTable>;
  readonly #bytesMax: number;
  readonly #release: () => void;
  #bytes = 0;
  #closed = false;

  constructor(bytesMax: number, release: () => void) {
    this.#tables = new Map(TABLES.map((name) => [name, new SortedTable()]));
    this.#bytesMax = bytesMax;
    this.#release = release;
  }

  async commit(writes: readonly StoreWrite[]): Promise<void> {
    this.#checkOpen();
    checkWrites(writes);
    const bytesBefore = this.#bytes;
    const undo: StoreWrite[] = [];
    for (const { table, key, value } of writes) {
      const old = this.#apply(table, copyOf(key), value && copyOf(value));
      undo.push({ table, key, value: old });
    }
    if (this.#bytes <= this.#bytesMax || this.#bytes <= bytesBefore) return;
    const bytes = this.#bytes;
    for (const { table, key, value } of undo.reverse()) this.#apply(table, copyOf(key), value);
    throw new StoreError("full", `${bytes} B would exceed bytesMax ${this.#bytesMax}`);
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    this.#checkOpen();
    checkBound(key);
    const value = this.#table(table).get(key);
    return value && copyOf(value);
  }

  scan(table: Table, { from, to, limit, reverse = false }: ScanOptions): StoreEntry[] {
    this.#checkOpen();
    if (from !== undefined) checkBound(from);
    if (to !== undefined) checkBound(to);
    const entries: StoreEntry[] = [];
    if (limit <= 0) return entries;
    const range = this.#table(table);
    for (const { key, value } of reverse ? range.falling(from, to) : range.rising(from, to)) {
      entries.push({ key: copyOf(key), value: copyOf(value) });
      if (entries.length >= limit) break;
    }
    return entries;
  }

  bytesOnDisk(): number {
    return this.#bytes;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#release();
  }

  /** Takes the arrays over. Returns the value that was there. */
  #apply(name: Table, key: Uint8Array, value: Uint8Array | undefined): Uint8Array | undefined {
    const table = this.#table(name);
    const old = value === undefined ? table.remove(key) : table.put(key, value);
    if (old !== undefined) this.#bytes -= entryBytes(key, old);
    if (value !== undefined) this.#bytes += entryBytes(key, value);
    return old;
  }

  #table(name: Table): SortedTable {
    const table = this.#tables.get(name);
    if (table === undefined) throw new RangeError(`there is no table "${name}"`);
    return table;
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError("closed", "the store is closed");
  }
}

function entryBytes(key: Uint8Array, value: Uint8Array): number {
  return key.length + value.length + ENTRY_OVERHEAD_BYTES;
}

/** Not `slice`, which shares the memory when the array is a Buffer. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
