/**
 * A JournalStore on lmdb: a queue of commits in front of one transaction at a time.
 *
 * Approach: commits that wait while a transaction is synced share the next one, in the order of the
 * calls (group commit, no timer). Before each transaction the data file gets the room it could need,
 * so that "full" is known before anything is written.
 * Invariants: one lmdb write is under way at most; a commit is inside one transaction; reads see
 * exactly the commits whose promises are settled or about to be.
 * Full: room for RESERVE_PAGES more is kept, which only small commits (cursors, marks, removals) may
 * use, so that what frees space can still be written. Failed sync: the transaction is undone or of
 * unknown outcome; the environment is opened anew (lmdb refuses a used one after a failed meta write)
 * and the file is synced before the next commit.
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
import { FULL_NAMES, storeErrorOf } from "../full-disk.ts";
import { checkBound, checkWrites } from "../store-limits.ts";
import type { DataFile } from "./data-file.ts";
import type { FolderLock } from "./folder-lock.ts";
import { LmdbEnvironment } from "./lmdb-environment.ts";

/** Tree paths and free lists of one transaction, beside what its writes need. */
const MARGIN_PAGES = 128;
const RESERVE_PAGES = 384;
const SMALL_PAGES_MAX = 16;
/** A write copies its leaf, may split it, and shares the branches above. */
const PAGES_PER_WRITE = 3;
const GROWTH_BYTES_MIN = 1024 * 1024;
const GROWTH_BYTES_MAX = 16 * 1024 * 1024;
/** ENOSPC, EDQUOT, EFBIG, ENOMEM, and lmdb's MDB_MAP_FULL. */
const FULL_CODES = new Set<unknown>([28, 122, 27, 12, -30792]);

export type LmdbStoreParts = {
  readonly environment: LmdbEnvironment;
  readonly file: DataFile;
  readonly lock: FolderLock;
  readonly bytesMax: number;
};

export class LmdbStore implements JournalStore {
  readonly #file: DataFile;
  readonly #lock: FolderLock;
  readonly #bytesMax: number;
  readonly #pageSizeBytes: number;
  #environment: LmdbEnvironment | undefined;
  readonly #queue = new CommitQueue((group) => this.#commitGroup(group));
  /** A sync failed and none has succeeded since. */
  #suspect = false;
  #closing: Promise<void> | undefined;

  constructor(parts: LmdbStoreParts) {
    this.#environment = parts.environment;
    this.#file = parts.file;
    this.#lock = parts.lock;
    this.#bytesMax = parts.bytesMax;
    this.#pageSizeBytes = parts.file.header().pageSizeBytes;
  }

  async commit(writes: readonly StoreWrite[]): Promise<void> {
    if (this.#closing !== undefined) throw new StoreError("closed", "the store is closed");
    const bytes = checkWrites(writes);
    if (writes.length === 0) return this.#queue.idle;
    return this.#queue.add(writes, bytes);
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const environment = this.#opened();
    checkBound(key);
    return key.length === 0 ? undefined : environment.get(table, key);
  }

  scan(table: Table, options: ScanOptions): StoreEntry[] {
    const environment = this.#opened();
    const { limit, reverse = false } = options;
    const from = options.from?.length === 0 ? undefined : options.from;
    const { to } = options;
    if (from !== undefined) checkBound(from);
    if (to !== undefined) checkBound(to);
    if (limit <= 0 || to?.length === 0) return [];
    return environment.scan(table, {
      limit,
      reverse,
      start: reverse ? to : from,
      end: reverse ? from : to,
      exclusiveStart: reverse && to !== undefined,
      inclusiveEnd: reverse,
    });
  }

  bytesOnDisk(): number {
    return this.#file.lengthBytes;
  }

  /** Bytes of the pages that hold something. */
  usedBytes(): number {
    return this.#opened().usedPages() * this.#pageSizeBytes;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#queue.idle;
    const environment = this.#environment;
    this.#environment = undefined;
    try {
      await environment?.close();
      this.#file.close();
    } finally {
      await this.#lock.release();
    }
  }

  #opened(): LmdbEnvironment {
    if (this.#closing !== undefined) throw new StoreError("closed", "the store is closed");
    this.#environment ??= this.#openAgain();
    return this.#environment;
  }

  /** Settles every commit of the group, or throws what the remaining ones fail with. */
  async #commitGroup(group: readonly Commit[]): Promise<void> {
    if (this.#suspect) await this.#proveSync();
    try {
      await this.#makeRoom(group);
    } catch (error) {
      if (group.length === 1) throw error;
      // One large commit must not refuse the small ones beside it.
      for (const commit of group) await this.#commitGroup([commit]).catch(commit.reject);
      return;
    }
    await this.#write(group);
    for (const commit of group) commit.resolve();
  }

  async #write(group: readonly Commit[]): Promise<void> {
    const environment = this.#environmentForWrite();
    try {
      await environment.write(writesOf(group));
    } catch (error) {
      this.#suspect = true;
      this.#reopen(environment);
      const { code, message } = error as { code?: unknown; message?: string };
      if (FULL_CODES.has(code)) throw new StoreError("full", `no room: ${message}`, error);
      throw new StoreError("sync", `a commit failed on ${this.#file.path}: ${message}`, error);
    }
    environment.renewSnapshot();
  }

  async #makeRoom(group: readonly Commit[]): Promise<void> {
    const pages = pagesFor(group, this.#pageSizeBytes);
    const small = pages <= SMALL_PAGES_MAX;
    const leastPages = pages + MARGIN_PAGES;
    const missingPages = leastPages + RESERVE_PAGES - this.#file.roomPages();
    if (missingPages <= 0) return;
    const missingBytes = missingPages * this.#pageSizeBytes;
    try {
      this.#checkCap(pages, missingBytes, small);
      await this.#grow(missingBytes);
    } catch (error) {
      if (small && this.#file.roomPages() >= leastPages) return;
      throw storeErrorOf(error, `no room could be made in ${this.#file.path}`);
    }
  }

  /** The file may pass `bytesMax` only by pages that lmdb holds free but could not fit. */
  #checkCap(pages: number, missingBytes: number, small: boolean): void {
    if (this.#file.lengthBytes + missingBytes <= this.#bytesMax) return;
    const usedPages = this.#environmentForWrite().usedPages() + pages + MARGIN_PAGES;
    const usedBytes = (usedPages + (small ? 0 : RESERVE_PAGES)) * this.#pageSizeBytes;
    if (usedBytes <= this.#bytesMax) return;
    throw new StoreError("full", `${usedBytes} B in use would exceed bytesMax ${this.#bytesMax}`);
  }

  async #grow(missingBytes: number): Promise<void> {
    const { lengthBytes } = this.#file;
    const step = Math.min(Math.max(lengthBytes >> 3, GROWTH_BYTES_MIN), GROWTH_BYTES_MAX);
    const pleasant = lengthBytes + missingBytes + step <= this.#bytesMax;
    try {
      await this.#file.extend(roundUp(missingBytes + (pleasant ? step : 0), this.#pageSizeBytes));
    } catch (error) {
      if (!pleasant || !FULL_NAMES.has((error as { code?: unknown }).code)) throw error;
      await this.#file.extend(missingBytes);
    }
  }

  async #proveSync(): Promise<void> {
    try {
      await this.#file.sync();
      this.#suspect = false;
    } catch (error) {
      throw new StoreError("sync", `${this.#file.path} still cannot be synced`, error);
    }
  }

  #environmentForWrite(): LmdbEnvironment {
    this.#environment ??= this.#openAgain();
    return this.#environment;
  }

  #reopen(environment: LmdbEnvironment): void {
    this.#environment = undefined;
    environment.closeNow();
    try {
      this.#environment = this.#openAgain();
    } catch {
      // The next read or commit tries again and reports it.
    }
  }

  #openAgain(): LmdbEnvironment {
    this.#file.header();
    return new LmdbEnvironment({ path: this.#file.path, bytesMax: this.#bytesMax });
  }
}

function* writesOf(group: readonly Commit[]): Generator<StoreWrite> {
  for (const commit of group) yield* commit.writes;
}

function pagesFor(group: readonly Commit[], pageSizeBytes: number): number {
  let pages = 0;
  for (const { writes } of group) {
    for (const { value } of writes) {
      pages += PAGES_PER_WRITE;
      const inLeaf = value === undefined || value.length < pageSizeBytes >> 1;
      if (!inLeaf) pages += Math.ceil((value.length + 64) / pageSizeBytes);
    }
  }
  return pages;
}

function roundUp(bytes: number, step: number): number {
  return Math.ceil(bytes / step) * step;
}
