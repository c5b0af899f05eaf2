/**
 * The storage port under the journal: an ordered key-value store with atomic, synced commits.
 *
 * The journal's logic (blocks, checksums, group commit, epochs, limits) lives above, once, for every
 * engine. An engine only has to keep these promises:
 * - a commit is all or nothing, also across a crash at any point;
 * - `commit` resolves after the data is synced to stable storage;
 * - commits take effect in the order of the calls; reads see every commit whose promise has resolved,
 *   and may see later ones;
 * - keys are compared as unsigned bytes, a shorter key before a longer one it is a prefix of.
 */

/** The named key spaces. An engine keeps them apart; one commit may touch several. The log's files know them by index: new ones at the end. */
export const TABLES = [
  "meta", // node id, epoch, counters of the journal
  "log", // position -> block of messages
  "cursor", // subscription -> cursor and ledger
  "delayed", // due time and position -> message
  "dead", // subscription and position -> dead letter
  "accepted", // subscription and position -> who settled a message with held output
  "inbox", // producer and subscription -> marks
  "held", // producer, subscription and position -> output waiting for its settle to be accepted
  "state", // subscription and key -> ctx.state
  "idempotency", // idempotency key -> receipt
  "directory", // what is known of peers
  "quarantine", // position -> block that failed its checksum
] as const;
export type Table = (typeof TABLES)[number];

/** One change. `value: undefined` removes the key. */
export type StoreWrite = {
  readonly table: Table;
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
};

export type StoreEntry = { readonly key: Uint8Array; readonly value: Uint8Array };

export type ScanOptions = {
  /** Inclusive lower bound; default: the first key. */
  readonly from?: Uint8Array;
  /** Exclusive upper bound; default: past the last key. */
  readonly to?: Uint8Array;
  /** At most this many entries. */
  readonly limit: number;
  readonly reverse?: boolean;
};

export type StoreFailure = "full" | "sync" | "closed";

/** How an engine says that a commit failed. The journal maps it to a MeshError. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  /**
   * "full": no room on the disk or in the map; nothing was written. "sync": the outcome on disk is
   * unknown. "closed": the store was closed before the commit began; nothing was written.
   */
  readonly failure: StoreFailure;
  constructor(failure: StoreFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.failure = failure;
  }
}

export interface JournalStore {
  /** Atomic and synced. The arrays may be reused by the caller only after the promise settled. @throws StoreError */
  commit(writes: readonly StoreWrite[]): Promise<void>;
  /** A copy of the value, or undefined. */
  get(table: Table, key: Uint8Array): Uint8Array | undefined;
  /** A snapshot of a range, copied: bounded by `limit`. */
  scan(table: Table, options: ScanOptions): StoreEntry[];
  /** Bytes the store occupies on disk (or in memory), for metrics only. */
  bytesOnDisk(): number;
  /** Waits for commits under way, then closes and releases the lock. Idempotent. */
  close(): Promise<void>;
}

export type OpenStoreOptions = {
  /** Folder of this node's data, created with mode 0700, files 0600. */
  readonly dataDir: string;
  /** Largest size the store may map or take, in bytes. */
  readonly bytesMax: number;
};

export interface JournalEngine<Store extends JournalStore = JournalStore> {
  /** "lmdb", "memory", "wal". */
  readonly name: string;
  /** @throws MeshError JOURNAL_LOCKED, JOURNAL_DAMAGED, DISK_FULL */
  open(options: OpenStoreOptions): Promise<Store>;
}
