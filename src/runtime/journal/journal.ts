/**
 * The journal: a node's durable log of what it accepted, over any store.
 *
 * Problem: give every accepted message a position in the order of the calls, have it on disk before the
 * caller hears "accepted", and serve it from there to every subscription, while a disk fills, fails or
 * lies. Approach: messages are encoded into an open block; at the end of the turn the block and whatever
 * else changed go to the store as one commit (see committer.ts). Positions of a failed commit are burnt:
 * a new epoch begins, and the next commit that succeeds removes what may have reached the disk.
 *
 * Invariants
 * - a position is given once, in order of the calls; inside an epoch durable positions have no gap;
 * - a block is served, and `onBlock` hears of it, only after the sync that covers it returned;
 * - an epoch is on disk before a position of it is given;
 * - `logBytes` is the sum of the sizes of the blocks in the log, committed with every change;
 * - nothing is accepted while the last commit failed.
 *
 * Order of events after a sync: head, tail and counts are moved; `onBlock` for each block in order; those
 * who wait for room; then the callbacks of `onDurable` in order of registration. Source: DESIGN section 5.
 */
import { EPOCH_MAX, type Position } from "../../core/position.ts";
import { MeshError } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { JournalStore, ScanOptions, StoreEntry, Table } from "../../ports/journal-store.ts";
import type { Logger } from "../../ports/logger.ts";
import type { Block } from "./block.ts";
import type { Crc32 } from "./block-format.ts";
import { type CommitOwner, Committer, type DurableCallback } from "./committer.ts";
import type { JournalLimits, JournalOptions, JournalRecord } from "./journal-options.ts";
import { positionKey } from "./keys.ts";
import { type DamageInfo, LogReader } from "./log-reader.ts";
import { LogTrim, type TrimStep } from "./log-trim.ts";
import { LogWriter, RECORD_OVERHEAD, sizeOfRecord } from "./log-writer.ts";
import { encodeEpochRow, encodeLogRow, META, nextEpoch } from "./meta-rows.ts";
import { type Recovered, recover } from "./recovery.ts";
import { type RoomCallback, RoomQueue, type RoomWaiter } from "./room.ts";

/** A peer cannot push the epoch further than this above the clock: about 8 years of it. */
const EPOCH_AHEAD_MAX = 2 ** 28;

type Flushed = {
  readonly blocks: readonly Block[];
  readonly trim: TrimStep | undefined;
  readonly damaged: readonly { readonly position: Position; readonly bytes: Uint8Array }[];
  readonly burnt: number;
  readonly epoch: number;
  readonly logBytes: number;
};

export class Journal implements CommitOwner {
  readonly nodeId: string;
  /** 16 random bytes of this start. */
  readonly nonce: Uint8Array;
  readonly committer: Committer;
  readonly #store: JournalStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #crc32: Crc32;
  readonly #limits: JournalLimits;
  readonly #userBytesMax: number;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #trim: LogTrim;
  readonly #room: RoomQueue;
  readonly #blockListeners: ((block: Block) => void)[] = [];
  readonly #readableListeners: (() => void)[] = [];
  #epochStored = true;
  /** What the commit under way contains. */
  #flushed: Flushed | undefined;
  #flushedBytes = 0;
  #burnt: Position[] = [];
  #logBytes: number;
  #trimTo: Position | undefined;
  #failedTrim: TrimStep | undefined;
  #failure: MeshError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: JournalOptions, recovered: Recovered) {
    const { store, crc32, limits } = options;
    this.nodeId = recovered.nodeId;
    this.nonce = recovered.nonce;
    this.#store = store;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#crc32 = crc32;
    this.#limits = limits;
    this.#userBytesMax = limits.bytesMax - Math.floor(limits.bytesMax / 10);
    this.#logBytes = recovered.logBytes;
    const head = recovered.head;
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
      this.committer.dirty(this);
      options.onDamage?.(info);
    };
    this.#reader = new LogReader({
      store,
      crc32,
      head,
      onDamage,
      cacheBytesMax: limits.cacheBytesMax,
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

  /** False while nothing is accepted: the last commit failed, a new epoch is being stored, or closed. */
  get accepting(): boolean {
    return this.#closing === undefined && !this.committer.failing && this.#epochStored;
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
    return this.#logBytes;
  }

  /** Bytes appended and not durable yet. */
  get pendingBytes(): number {
    return this.#writer.bytes + this.#flushedBytes;
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
    this.committer.dirty(this);
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
    this.committer.dirty(this);
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
   * Calls `fn` once there is room, first come first served; it should append before it returns. With an
   * error: JOURNAL_FULL (too many wait, or it never fits), DISK_FULL, OUTCOME_UNKNOWN, STOPPED.
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
    if (waiter.fn !== undefined && this.#trimTo !== undefined) this.committer.dirty(this);
    return waiter;
  }

  /** Gives up waiting: the callback will not run. */
  cancelRoom(waiter: RoomWaiter): void {
    this.#room.cancel(waiter);
  }

  // --- reading -------------------------------------------------------------------------------

  /** Hears of every durable block, in order. */
  onBlock(listener: (block: Block) => void): void {
    this.#blockListeners.push(listener);
  }

  /** Hears when a `read` that found nothing, because much was damaged, may find more. */
  onReadable(listener: () => void): void {
    this.#readableListeners.push(listener);
  }

  /** The next durable block whose last position is after the given one (undefined: the first block). */
  read(after: Position | undefined): Block | undefined {
    const tail = this.#trim.tail;
    if (tail === undefined) return undefined;
    const first = { epoch: tail.epoch, seq: tail.seq - 1 };
    const skips = after === undefined || after.epoch < first.epoch;
    return this.#reader.read(skips || isBefore(after, first) ? first : after);
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
    const limit = isBefore(head, upTo) ? head : upTo;
    if (this.#trimTo !== undefined && !isBefore(this.#trimTo, limit)) return;
    this.#trimTo = limit;
    // Space that nobody needs yet waits for a commit that happens anyway.
    const needed = this.#room.waiting > 0 || this.#logBytes * 2 > this.#userBytesMax;
    if (needed) this.committer.dirty(this);
    else this.committer.dirtyLater(this);
  }

  /**
   * Somebody knows epoch `above` of this node: positions given from now on are in a higher one. Until it
   * is synced nothing is accepted: `append` throws JOURNAL_FULL, `whenRoom` waits. What was appended
   * before keeps its position. False (nothing changed) when `above` is absurdly far ahead of the clock.
   */
  raiseEpoch(above: number): boolean {
    if (above < this.epoch) return true;
    const wall = Math.floor(this.#clock.wallMs() / 1000);
    const limit = Math.min(EPOCH_MAX - 1, Math.max(wall, this.epoch) + EPOCH_AHEAD_MAX);
    if (!Number.isSafeInteger(above) || above > limit) {
      this.#logger.error("epoch too far ahead, not raised", { above, limit });
      return false;
    }
    this.#beginEpoch(above);
    this.committer.dirty(this);
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

  // --- as owner of rows ----------------------------------------------------------------------

  /** For the committer only. */
  flush(): void {
    const { committer } = this;
    const blocks = this.#writer.take();
    let bytes = 0;
    for (const block of blocks) {
      bytes += block.bytes.length;
      committer.write("log", positionKey(block.epoch, block.firstSeq), block.bytes);
    }
    this.#flushedBytes = bytes;
    for (const { epoch, seq } of this.#burnt) {
      committer.write("log", positionKey(epoch, seq), undefined);
    }
    const damaged = this.#reader.damaged();
    this.#reader.flush(committer);
    const trim = this.#flushTrim();
    let logBytes = this.#logBytes + bytes;
    for (const block of damaged) logBytes -= block.bytes.length;
    trim?.blocks.forEach((position, index) => {
      if (!this.#reader.isDamaged(position)) logBytes -= trim.sizes[index] as number;
    });
    this.#writeMeta(blocks, logBytes);
    const burnt = this.#burnt.length;
    this.#flushed = { blocks, trim, damaged, burnt, epoch: this.epoch, logBytes };
  }

  /** For the committer only. */
  committed(error: MeshError | undefined): void {
    const flushed = this.#flushed;
    this.#flushed = undefined;
    this.#flushedBytes = 0;
    if (error !== undefined) this.#burn(flushed);
    else if (flushed !== undefined) this.#landed(flushed);
  }

  #flushTrim(): TrimStep | undefined {
    if (this.#trimTo === undefined) return undefined;
    // A step that failed may have removed its blocks all the same: it is repeated as it was.
    const step = this.#failedTrim ?? this.#trim.plan(this.#trimTo, this.#limits.trimBlocksMax);
    for (const { epoch, seq } of step?.blocks ?? []) {
      this.committer.write("log", positionKey(epoch, seq), undefined);
    }
    return step;
  }

  #writeMeta(blocks: readonly Block[], logBytes: number): void {
    const last = blocks.at(-1);
    const head = last === undefined ? this.head : { epoch: last.epoch, seq: last.lastSeq };
    const row = encodeLogRow({ bytes: logBytes, head }, this.#crc32);
    this.committer.write("meta", META.log, row);
    if (this.#epochStored) return;
    const epoch = { epoch: this.epoch, nonce: this.nonce };
    this.committer.write("meta", META.epoch, encodeEpochRow(epoch, this.#crc32));
  }

  /** The commit is on disk. */
  #landed(flushed: Flushed): void {
    const { blocks, trim, damaged } = flushed;
    this.#logBytes = flushed.logBytes;
    this.#burnt.splice(0, flushed.burnt);
    if (flushed.epoch === this.epoch) this.#epochStored = true;
    if (trim !== undefined) this.#trim.apply(trim);
    this.#failedTrim = undefined;
    if (trim?.more === true) this.committer.dirty(this);
    const readable = this.#reader.moved(damaged);
    for (const block of damaged) this.#trim.removed(block.position);
    for (const block of blocks) {
      this.#trim.push(block);
      this.#reader.push(block);
    }
    for (const block of blocks) this.#tell(this.#blockListeners, block);
    if (readable) this.#tell(this.#readableListeners, undefined);
    this.#room.release();
  }

  /** The commit failed: its positions, and those given since, are never used. */
  #burn(flushed: Flushed | undefined): void {
    const blocks = flushed?.blocks ?? [];
    this.#failedTrim ??= flushed?.trim;
    for (const block of blocks) this.#burnt.push({ epoch: block.epoch, seq: block.firstSeq });
    const lost = this.#writer.discard() || blocks.length > 0;
    if (lost) this.#beginEpoch(this.epoch);
  }

  // --- inside --------------------------------------------------------------------------------

  #beginEpoch(above: number): void {
    this.#writer.beginEpoch(nextEpoch(above, this.#clock.wallMs()));
    this.#epochStored = false;
  }

  #fits(bytes: number, reserve: boolean): boolean {
    // A position of an epoch that is not on disk could be given again after a crash.
    if (!this.#epochStored) return false;
    const pending = this.pendingBytes;
    if (reserve) return this.#logBytes + pending + bytes <= this.#limits.bytesMax;
    const isLone = pending === 0;
    if (!isLone && pending + bytes > this.#limits.pendingBytesMax) return false;
    return this.#logBytes + pending + bytes <= this.#userBytesMax;
  }

  #admit(bytes: number, reserve: boolean): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    if (this.#fits(bytes, reserve)) return;
    if (!this.#epochStored) {
      throw new MeshError("JOURNAL_FULL", `not accepted: epoch ${this.epoch} is being stored`);
    }
    const used = this.#logBytes + this.pendingBytes;
    const bound = reserve ? this.#limits.bytesMax : this.#userBytesMax;
    const message = `${bytes} B do not fit: ${used} B of ${bound} B are used`;
    throw new MeshError("JOURNAL_FULL", message, { details: { bytes, used, bound } });
  }

  /** Why nothing is accepted for longer than one sync. */
  #refusal(): MeshError | undefined {
    if (this.#closing !== undefined) return stopped();
    if (!this.committer.failing) return undefined;
    const code = this.#failure?.code ?? "OUTCOME_UNKNOWN";
    const options = { cause: this.#failure, details: { written: false } };
    return new MeshError(code, "not accepted: the last commit to disk failed", options);
  }

  #neverFits(bytes: number): MeshError | undefined {
    if (bytes <= this.#userBytesMax) return undefined;
    return new MeshError(
      "JOURNAL_FULL",
      `${bytes} B exceed the ${this.#userBytesMax} B of the log`,
    );
  }

  #tell<T>(listeners: readonly ((value: T) => void)[], value: T): void {
    for (const listener of listeners) {
      try {
        listener(value);
      } catch (error) {
        this.#logger.error("journal listener threw", { error });
      }
    }
  }
}

const isBefore = (a: Position, b: Position): boolean =>
  a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq);

const stopped = (): MeshError => new MeshError("STOPPED", "the journal is closed");
