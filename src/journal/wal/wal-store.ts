/**
 * A JournalStore that appends each commit to a log and brings it to the store below when it has to.
 *
 * Problem: a B-tree needs two flushes for a commit and writes whole pages for small rows; most of what a journal
 * writes is gone (settled, trimmed, overwritten) seconds later. Approach: a commit is one record, written and
 * synced with one flush; what it changed lies in an overlay that reads look into first, until it is brought to the
 * store below (log-room.ts).
 *
 * Invariants
 * - one record is written at a time; it is not begun before the one before it was synced;
 * - the overlay changes after the sync, in the order of the commits, and then the promises resolve;
 * - a failed record is made unreadable on the disk before another commit succeeds.
 */

import {
  type JournalStore,
  type ScanOptions,
  type StoreEntry,
  StoreError,
  type StoreWrite,
  type Table,
} from "../../ports/journal-store.ts";
import { type Commit, CommitQueue } from "../commit-queue.ts";
import { storeErrorOf } from "../full-disk.ts";
import { checkBound, checkWrites } from "../store-limits.ts";
import type { LogMark } from "./log-mark.ts";
import type { LogRoom, StoreBelow } from "./log-room.ts";
import { type Overlay, valueIn } from "./overlay.ts";
import type { Slot } from "./read-log.ts";
import type { Segment } from "./segment.ts";
import {
  aligned,
  type EncodedRecord,
  encodeRecord,
  RECORD_ALIGN_BYTES,
  rowsOf,
} from "./wal-record.ts";
import { WAL_KEY } from "./wal-row.ts";

const BLANK = new Uint8Array(RECORD_ALIGN_BYTES);

export type WalStoreParts = {
  readonly below: StoreBelow;
  readonly overlay: Overlay;
  readonly room: LogRoom;
  readonly mark: LogMark;
  readonly salt: Uint8Array;
  /** Number of the next commit. */
  readonly next: number;
  /** Where records lie that were not written to their end. */
  readonly torn: Slot[];
  readonly tailFirstBytes: number;
};

export class WalStore implements JournalStore {
  readonly #below: StoreBelow;
  readonly #overlay: Overlay;
  readonly #room: LogRoom;
  readonly #mark: LogMark;
  readonly #salt: Uint8Array;
  readonly #tailFirstBytes: number;
  #next: number;
  readonly #queue = new CommitQueue((group) => this.#commitGroup(group));
  /** Where a record may lie whose write failed, or was cut off. */
  readonly #suspects: Slot[];
  #closing: Promise<void> | undefined;

  constructor(parts: WalStoreParts) {
    this.#below = parts.below;
    this.#overlay = parts.overlay;
    this.#room = parts.room;
    this.#mark = parts.mark;
    this.#salt = parts.salt;
    this.#next = parts.next;
    this.#suspects = parts.torn;
    this.#tailFirstBytes = parts.tailFirstBytes;
  }

  async commit(writes: readonly StoreWrite[]): Promise<void> {
    this.#checkOpen();
    const bytes = checkWrites(writes);
    if (writes.length === 0) return this.#queue.idle;
    return this.#queue.add(writes, bytes);
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    this.#checkOpen();
    checkBound(key);
    const row = this.#overlay.get(table, key);
    return row === undefined ? this.#below.get(table, key) : valueIn(row);
  }

  scan(table: Table, options: ScanOptions): StoreEntry[] {
    this.#checkOpen();
    if (options.from !== undefined) checkBound(options.from);
    if (options.to !== undefined) checkBound(options.to);
    if (table !== "meta") return this.#overlay.scan(table, options, this.#below);
    // The row of this store is nobody else's.
    const { limit } = options;
    const entries = this.#overlay.scan(table, { ...options, limit: limit + 1 }, this.#below);
    return entries.filter(({ key }) => !isWalKey(key)).slice(0, Math.max(limit, 0));
  }

  bytesOnDisk(): number {
    return this.#below.bytesOnDisk() + this.#room.bytes;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#queue.idle;
    try {
      await this.#room.close();
      await this.#mark.close();
    } finally {
      await this.#below.close(); // it has the folder's lock
    }
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new StoreError("closed", "the store is closed");
  }

  // --- commits -------------------------------------------------------------------------------

  /** Settles every commit of the group, or throws what the remaining ones fail with. */
  async #commitGroup(group: readonly Commit[]): Promise<void> {
    if (this.#suspects.length > 0) await this.#blankSuspects();
    const [only] = group;
    const writes =
      only !== undefined && group.length === 1 ? only.writes : group.flatMap((one) => one.writes);
    const record = encodeRecord(writes, this.#next, this.#salt, this.#tailFirstBytes);
    let segment: Segment;
    try {
      segment = this.#room.ready(record.bytes) ?? (await this.#room.make(record.bytes));
    } catch (error) {
      if (group.length === 1) throw error;
      // One large commit must not refuse the small ones beside it.
      for (const commit of group) await this.#commitGroup([commit]).catch(commit.reject);
      return;
    }
    const at = segment.end;
    await this.#write(record, segment, at);
    this.#apply(record.head, segment, at, record.bytes);
    for (const commit of group) commit.resolve();
    this.#room.keepUp();
  }

  /** @throws StoreError */
  async #write(record: EncodedRecord, segment: Segment, at: number): Promise<void> {
    const { head, tail, tailFirst } = record;
    const { file } = segment;
    // Without its head nothing of a tail can be read: its failure leaves no doubt.
    if (tailFirst)
      await file.write(tail, at + head.length).catch((error: unknown) => {
        throw storeErrorOf(error, `a commit failed on ${file.path}`);
      });
    try {
      await file.write(tailFirst ? [head] : [head, ...tail], at);
    } catch (error) {
      this.#suspects.push({ segment, at });
      throw await this.#failure(error, file.path);
    }
  }

  #apply(head: Uint8Array, segment: Segment, at: number, bytes: number): void {
    for (const row of rowsOf(head)) this.#overlay.apply(row, segment, at);
    this.#mark.note(this.#next);
    segment.last = this.#next;
    segment.end = at + aligned(bytes);
    this.#next += 1;
  }

  // --- failures ------------------------------------------------------------------------------

  /** A full disk wrote nothing that counts, if what it did write can be made unreadable at once. */
  async #failure(error: unknown, path: string): Promise<StoreError> {
    const failure = storeErrorOf(error, `a commit failed on ${path}`);
    if (failure.failure !== "full") return failure;
    return this.#blankSuspects().then(
      () => failure,
      () => new StoreError("sync", `the outcome of a commit on ${path} is unknown`, error),
    );
  }

  /** @throws StoreError "sync" */
  async #blankSuspects(): Promise<void> {
    for (let slot = this.#suspects.at(-1); slot !== undefined; slot = this.#suspects.at(-1)) {
      const { file } = slot.segment;
      const bytes = Math.min(BLANK.length, file.capacity - slot.at);
      try {
        await file.write([BLANK.subarray(0, bytes)], slot.at);
      } catch (error) {
        throw new StoreError("sync", `${file.path} still cannot be written`, error);
      }
      this.#suspects.pop();
    }
  }
}

const isWalKey = (key: Uint8Array): boolean =>
  key.length === WAL_KEY.length && WAL_KEY.every((byte, at) => key[at] === byte);
