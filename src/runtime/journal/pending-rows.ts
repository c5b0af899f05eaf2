/**
 * Rows of one table that must reach the disk: kept here until a commit that holds them succeeded.
 *
 * Problem: rows written straight to the committer are gone when its batch fails, and the store shows a row
 * only once it is committed. Approach: an owner that writes what is pending with every batch until it is
 * durable, and reads through what is pending.
 */
import type { MeshError } from "../../errors.ts";
import type { JournalStore, Table } from "../../ports/journal-store.ts";
import type { Committer } from "./committer.ts";

/** Reading of durable rows: the store, or the journal that holds it. */
export type RowReader = Pick<JournalStore, "get" | "scan">;

type Row = { readonly key: Uint8Array; readonly value: Uint8Array | undefined };

export class PendingRows {
  readonly #table: Table;
  readonly #committer: Committer;
  readonly #store: RowReader;
  #fresh = new Map<string, Row>();
  #inFlight = new Map<string, Row>();

  constructor(table: Table, committer: Committer, store: RowReader) {
    this.#table = table;
    this.#committer = committer;
    this.#store = store;
  }

  /** Rows not known to be durable. */
  get size(): number {
    return this.#fresh.size + this.#inFlight.size;
  }

  /** `value: undefined` removes the row. */
  set(key: Uint8Array, value: Uint8Array | undefined): void {
    this.#fresh.set(name(key), { key, value });
    this.#committer.dirty(this);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    if (this.size > 0) {
      const id = name(key);
      const row = this.#fresh.get(id) ?? this.#inFlight.get(id);
      if (row !== undefined) return row.value;
    }
    return this.#store.get(this.#table, key);
  }

  flush(): void {
    for (const [id, row] of this.#fresh) this.#inFlight.set(id, row);
    this.#fresh = new Map();
    for (const row of this.#inFlight.values()) {
      this.#committer.write(this.#table, row.key, row.value);
    }
  }

  committed(error: MeshError | undefined): void {
    if (error === undefined) {
      this.#inFlight = new Map();
      return;
    }
    const newer = this.#fresh;
    this.#fresh = this.#inFlight;
    this.#inFlight = new Map();
    for (const [id, row] of newer) this.#fresh.set(id, row);
  }
}

const name = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
