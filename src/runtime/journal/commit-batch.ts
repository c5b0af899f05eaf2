/**
 * What gathers for one commit: rows, the owners to flush, and who waits; and what its failure means.
 */
import { MeshError } from "../../errors.ts";
import { StoreError, type StoreWrite, TABLES, type Table } from "../../ports/journal-store.ts";
import type { CommitOwner, DurableCallback } from "./commit-owner.ts";

export class Batch {
  readonly #rows = new Map<string, StoreWrite>();
  bytes = 0;
  readonly dirty = new Set<CommitOwner>();
  readonly flushed = new Set<CommitOwner>();
  /** Flushed already when they became dirty again. */
  readonly late = new Set<CommitOwner>();
  readonly before: (() => void)[] = [];
  readonly waiters: DurableCallback[] = [];
  /** Settles with the batch, once somebody asked for it. */
  durable: Promise<void> | undefined;

  get rowCount(): number {
    return this.#rows.size;
  }

  get isEmpty(): boolean {
    return (
      this.#rows.size === 0 &&
      this.waiters.length === 0 &&
      this.dirty.size === 0 &&
      this.before.length === 0
    );
  }

  write(table: Table, key: Uint8Array, value: Uint8Array | undefined): void {
    const name = rowName(table, key);
    const before = this.#rows.get(name);
    if (before !== undefined) this.bytes -= key.length + (before.value?.length ?? 0);
    this.bytes += key.length + (value?.length ?? 0);
    this.#rows.set(name, { table, key, value });
  }

  rows(): readonly StoreWrite[] {
    return [...this.#rows.values()];
  }
}

/** One string per table and key: strings hash fast, byte arrays do not. */
const rowName = (table: Table, key: Uint8Array): string =>
  TABLE_LETTER[table] + Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");

const TABLE_LETTER = Object.freeze(
  Object.fromEntries(TABLES.map((table, index) => [table, String.fromCharCode(97 + index)])),
) as Readonly<Record<Table, string>>;

/** An owner threw while it was flushed. */
export class FlushFault extends Error {
  constructor(cause: unknown) {
    super(`an owner of rows failed: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/** A failed commit as a MeshError: DISK_FULL, OUTCOME_UNKNOWN or STOPPED. */
export const commitError = (cause: unknown): MeshError => failureOf(cause).error;

/** What the batch in flight is told, and the one that gathered behind it. */
export const failureOf = (cause: unknown): { error: MeshError; behind: MeshError } => {
  const failure = cause instanceof StoreError ? cause.failure : "sync";
  const why = cause instanceof Error ? cause.message : String(cause);
  const unwritten = { cause, details: { written: false } };
  if (failure === "closed") {
    const error = new MeshError("STOPPED", `the store is closed: ${why}`, unwritten);
    return { error, behind: error };
  }
  if (failure === "full") {
    const error = new MeshError("DISK_FULL", `nothing was written: ${why}`, unwritten);
    return { error, behind: error };
  }
  if (cause instanceof FlushFault) {
    const error = new MeshError("OUTCOME_UNKNOWN", `not written, ${why}`, unwritten);
    return { error, behind: error };
  }
  return {
    error: new MeshError("OUTCOME_UNKNOWN", `the sync failed: ${why}`, { cause }),
    behind: new MeshError("OUTCOME_UNKNOWN", `not written, a sync failed: ${why}`, unwritten),
  };
};
