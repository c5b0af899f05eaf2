/**
 * The journal: a node's durable log of what it accepted, over any store.
 *
 * Problem: give every accepted message a position in the order of the calls, have it on disk before the caller
 * hears "accepted", and serve it from there, while a disk fills, fails or lies. Approach: messages are encoded
 * into an open block; at the end of the turn it goes to the store with whatever else changed as one commit (see
 * committer.ts). Positions of a failed commit are burnt: a new epoch begins, and the next commit removes them.
 *
 * Invariants
 * - a position is given once, in order of the calls; inside an epoch durable positions have no gap;
 * - a block is served, and `onBlock` hears of it, only after the sync that covers it returned;
 * - an epoch is on disk before a position of it is given;
 * - `logBytes` is the sum of the sizes of the blocks in the log, committed with every change;
 * - nothing is accepted while the last commit failed.
 *
 * After a sync: head, tail and counts are moved; `onBlock` for each block in order; those who wait for room;
 * then the callbacks of `onDurable` in order of registration. Source: DESIGN section 5.
 */
import { comparePositions, type Position } from "../../core/position.ts";
import type { Life } from "../../core/session.ts";
import { MeshError } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { JournalStore, ScanOptions, StoreEntry, Table } from "../../ports/journal-store.ts";
import type { Logger } from "../../ports/logger.ts";
import type { Block } from "./block.ts";
import type { DurableCallback } from "./commit-owner.ts";
import { Committer } from "./committer.ts";
import type { JournalLimits, JournalOptions, JournalRecord } from "./journal-options.ts";
import { Listeners } from "./listeners.ts";
import { LogCommit } from "./log-commit.ts";
import { type DamageInfo, LogReader } from "./log-reader.ts";
import { LogTrim } from "./log-trim.ts";
import { LogWriter, RECORD_OVERHEAD, sizeOfRecord } from "./log-writer.ts";
import { epochLimit } from "./meta-rows.ts";
import { type Recovered, recover } from "./recovery.ts";
import { type RoomCallback, RoomQueue, type RoomWaiter } from "./room.ts";

export class Journal {
  readonly nodeId: string;
  /** 16 random bytes of this start. */
  readonly nonce: Uint8Array;
  /** The latest starts before this one, in order. */
  readonly earlier: readonly Life[];
  readonly committer: Committer;
  readonly #store: JournalStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #limits: JournalLimits;
  readonly #userBytesMax: number;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #trim: LogTrim;
  readonly #commit: LogCommit;
  readonly #room: RoomQueue;
  readonly #blockListeners: Listeners<Block>;
  readonly #readableListeners: Listeners<void>;
  #failure: MeshError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: JournalOptions, recovered: Recovered) {
    const { store, crc32, limits } = options;
    this.nodeId = recovered.nodeId;
    this.nonce = recovered.nonce;
    this.earlier = recovered.earlier;
    this.#store = store;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#blockListeners = new Listeners(options.logger);
    this.#readableListeners = new Listeners(options.logger);
    this.#limits = limits;
    this.#userBytesMax = limits.bytesMax - Math.floor(limits.bytesMax / 10);
    const { head } = recovered;
    this.#writer = new LogWriter(recovered.epoch, limits, crc32);
    this.#room = new RoomQueue((bytes) => this.#fits(bytes, false), limits.waitersMax);
    this.#trim = new LogTrim(store, crc32, head);
    this.committer = new Committer({
      store,
      clock: options.clock,
      logger: options.logger,
      onHealth: (failing, error) => {
        this.#failure = error;
        if (error !== undefined) this.#room.fail(error);
        options.onHealth?.(failing, error);
      },
    });
    const onDamage = (info: DamageInfo): void => {
      this.#logger.error("journal block damaged", info);
      this.committer.dirty(this.#commit);
      options.onDamage?.(info);
    };
    const { cacheBytesMax } = limits;
    this.#reader = new LogReader({ store, crc32, head, onDamage, cacheBytesMax });
    this.#commit = new LogCommit({
      committer: this.committer,
      writer: this.#writer,
      reader: this.#reader,
      trim: this.#trim,
      crc32,
      clock: options.clock,
      nonce: recovered.nonce,
      jumped: recovered.jumped,
      trimBlocksMax: limits.trimBlocksMax,
      logBytes: recovered.logBytes,
      onLanded: (blocks, readable) => {
        for (const block of blocks) this.#blockListeners.tell(block);
        if (readable) this.#readableListeners.tell();
        this.#room.release();
      },
    });
  }

  /**
   * Recovers what the store holds and begins a new epoch, which is synced when this resolves.
   * @throws MeshError JOURNAL_DAMAGED, DISK_FULL, OUTCOME_UNKNOWN
   */
  static async open(options: JournalOptions): Promise<Journal> {
    return new Journal(options, await recover(options));
  }

  // --- state ---------------------------------------------------------------------------------

  /** Epoch of the positions given now. */
  get epoch(): number {
    return this.#writer.epoch;
  }

  /** The highest epoch of a later life of this node that it ever jumped above; 0 if none. */
  get jumped(): number {
    return this.#commit.jumped;
  }

  /** False while nothing is accepted: the last commit failed, a new epoch is being stored, or closed. */
  get accepting(): boolean {
    return this.#closing === undefined && !this.committer.failing && this.#commit.epochStored;
  }

  /** The last durable record, or undefined when there never was one. */
  get head(): Position | undefined {
    return this.#reader.head;
  }

  /** The first record of the first block in the log, or undefined when the log is empty. */
  get tail(): Position | undefined {
    return this.#trim.tail;
  }

  /** Bytes of the blocks in the log, durable ones only. */
  get logBytes(): number {
    return this.#commit.logBytes;
  }

  /** Bytes appended, not durable yet. */
  get pendingBytes(): number {
    return this.#writer.bytes + this.#commit.flushedBytes;
  }

  /** Bytes of blocks held in memory for reading. */
  get cacheBytes(): number {
    return this.#reader.cache.bytes;
  }

  // --- appending -----------------------------------------------------------------------------

  /**
   * Gives the message the next position of `epoch` and returns its seq. It is accepted when an
   * `onDurable` callback registered after this call hears no error.
   * @throws MeshError JOURNAL_FULL, DISK_FULL, OUTCOME_UNKNOWN (details.written false), STOPPED
   * @throws WireError when the envelope cannot be encoded; RangeError for texts over 65,535 B
   */
  append(record: JournalRecord): number {
    this.#admit(sizeOfRecord(record), record.reserve);
    const seq = this.#writer.append(record);
    this.committer.dirty(this.#commit);
    return seq;
  }

  /**
   * Appends all or none, in one block; returns the first seq, the others follow it.
   * @throws MeshError PAYLOAD_TOO_LARGE beyond 65,535 records or manyBytesMax; as `append`
   */
  appendMany(records: readonly JournalRecord[]): number {
    let bytes = 0;
    let reserve = true;
    for (const record of records) {
      bytes += sizeOfRecord(record);
      reserve &&= record.reserve;
    }
    this.#admit(bytes, reserve);
    const first = this.#writer.appendMany(records, bytes);
    this.committer.dirty(this.#commit);
    return first;
  }

  /** Calls `fn` after the sync that covers everything appended and written so far. */
  onDurable(fn: DurableCallback): void {
    this.committer.onDurable(fn);
  }

  /** Room for a user message of so many bytes (of envelope), with nobody waiting before it. */
  hasRoom(bytes: number): boolean {
    return this.accepting && this.#room.hasRoom(bytes + RECORD_OVERHEAD);
  }

  /**
   * Calls `fn` once there is room, first come first served; it should append before it returns. With an error:
   * JOURNAL_FULL (too many wait, or it never fits), DISK_FULL, OUTCOME_UNKNOWN, STOPPED.
   */
  whenRoom(bytes: number, fn: RoomCallback): RoomWaiter {
    const size = bytes + RECORD_OVERHEAD;
    const refusal = this.#refusal() ?? this.#neverFits(size);
    if (refusal !== undefined) {
      fn(refusal);
      return { bytes: size, fn: undefined };
    }
    const waiter = this.#room.wait(size, fn);
    // Space that a lazy trim would free is wanted now.
    if (waiter.fn !== undefined && this.#commit.trimTo !== undefined)
      this.committer.dirty(this.#commit);
    return waiter;
  }

  /** Gives up waiting: the callback will not run. */
  cancelRoom(waiter: RoomWaiter): void {
    this.#room.cancel(waiter);
  }

  // --- reading -------------------------------------------------------------------------------

  /** Hears of every durable block, in order. */
  onBlock(listener: (block: Block) => void): void {
    this.#blockListeners.add(listener);
  }

  /** Hears when a `read` that found nothing, because much was damaged, may find more. */
  onReadable(listener: () => void): void {
    this.#readableListeners.add(listener);
  }

  /** The next durable block whose last position is after the given one (undefined: the first block). */
  read(after: Position | undefined): Block | undefined {
    const tail = this.#trim.tail;
    if (tail === undefined) return undefined;
    const first = { epoch: tail.epoch, seq: tail.seq - 1 };
    return this.#reader.read(
      after !== undefined && comparePositions(after, first) >= 0 ? after : first,
    );
  }

  /** Where a durable record is, or undefined: trimmed, damaged or never durable. */
  recordAt(position: Position): { readonly block: Block; readonly index: number } | undefined {
    const block = this.#reader.holding(position);
    return block === undefined ? undefined : { block, index: block.indexOf(position) };
  }

  /** A row of any table, as of the last commits. */
  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#store.get(table, key);
  }

  scan(table: Table, options: ScanOptions): StoreEntry[] {
    return this.#store.scan(table, options);
  }

  // --- trimming, epochs, end -----------------------------------------------------------------

  /** Blocks that end at or before `upTo` may go. They do with the next commits, some at a time. */
  trim(upTo: Position): void {
    const head = this.head;
    if (head === undefined) return;
    const limit = comparePositions(head, upTo) < 0 ? head : upTo;
    const { trimTo } = this.#commit;
    if (trimTo !== undefined && comparePositions(trimTo, limit) >= 0) return;
    this.#commit.trimUpTo(limit);
    // Space that nobody needs yet waits for a commit that happens anyway.
    const isNeeded = this.#room.waiting > 0 || this.#commit.logBytes * 2 > this.#userBytesMax;
    this.committer[isNeeded ? "dirty" : "dirtyLater"](this.#commit);
  }

  /**
   * Somebody knows epoch `above` of this node: positions given from now on are in a higher one. Until it is synced
   * nothing is accepted: `append` throws JOURNAL_FULL, `whenRoom` waits. What was appended before keeps its
   * position. False (nothing changed) when `above` is absurdly far ahead.
   */
  raiseEpoch(above: number): boolean {
    const limit = epochLimit(this.epoch, this.#clock.wallMs());
    if (!Number.isSafeInteger(above) || above > limit) {
      this.#logger.error("epoch too far ahead, not raised", { above, limit });
      return false;
    }
    this.#commit.jump(above);
    this.committer.dirty(this.#commit);
    return true;
  }

  /** Commits what gathered, then closes the store. Calls afterwards fail with STOPPED. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#room.fail(stopped());
    await new Promise<void>((resolve) => this.committer.whenIdle(resolve));
    this.committer.close();
    await this.#store.close();
  }

  // --- inside --------------------------------------------------------------------------------

  #fits(bytes: number, reserve: boolean): boolean {
    // A position of an epoch that is not on disk could be given again after a crash.
    if (!this.#commit.epochStored) return false;
    const pending = this.pendingBytes;
    if (reserve) return this.#commit.logBytes + pending + bytes <= this.#limits.bytesMax;
    const isLone = pending === 0;
    if (!isLone && pending + bytes > this.#limits.pendingBytesMax) return false;
    return this.#commit.logBytes + pending + bytes <= this.#userBytesMax;
  }

  #admit(bytes: number, reserve: boolean): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    if (this.#fits(bytes, reserve)) return;
    if (!this.#commit.epochStored) {
      throw new MeshError("JOURNAL_FULL", `not accepted: epoch ${this.epoch} is being stored`);
    }
    const used = this.#commit.logBytes + this.pendingBytes;
    const bound = reserve ? this.#limits.bytesMax : this.#userBytesMax;
    const message = `${bytes} B do not fit: ${used} B of ${bound} B are used`;
    throw new MeshError("JOURNAL_FULL", message, { details: { bytes, used, bound } });
  }

  /** Why nothing is accepted for longer than one sync. */
  #refusal(): MeshError | undefined {
    if (this.#closing !== undefined) return stopped();
    if (!this.committer.failing) return undefined;
    const { code = "OUTCOME_UNKNOWN" } = this.#failure ?? {};
    const options = { cause: this.#failure, details: { written: false } };
    return new MeshError(code, "not accepted: the last commit to disk failed", options);
  }

  #neverFits(bytes: number): MeshError | undefined {
    if (bytes <= this.#userBytesMax) return undefined;
    const message = `${bytes} B exceed the ${this.#userBytesMax} B of the log`;
    return new MeshError("JOURNAL_FULL", message);
  }
}

const stopped = (): MeshError => new MeshError("STOPPED", "the journal is closed");
