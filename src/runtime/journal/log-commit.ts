/**
 * What one commit of the journal holds, and what follows when it is on disk or failed.
 *
 * Blocks, burnt positions, quarantined blocks, trimmed blocks, the counter of bytes and the epoch go to the
 * store together; memory follows only after the sync. After a failure the positions are burnt: the next
 * commit removes what may have reached the disk, under a new epoch.
 */
import type { Position } from "../../core/position.ts";
import type { MeshError } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Block } from "./block.ts";
import type { Crc32 } from "./block-format.ts";
import type { CommitOwner } from "./commit-owner.ts";
import type { Committer } from "./committer.ts";
import { positionKey } from "./keys.ts";
import type { LogReader } from "./log-reader.ts";
import type { LogTrim, TrimStep } from "./log-trim.ts";
import type { LogWriter } from "./log-writer.ts";
import { encodeEpochRow, encodeLogRow, META, nextEpoch } from "./meta-rows.ts";

export type LogCommitParts = {
  readonly committer: Committer;
  readonly writer: LogWriter;
  readonly reader: LogReader;
  readonly trim: LogTrim;
  readonly crc32: Crc32;
  readonly clock: Clock;
  readonly nonce: Uint8Array;
  readonly jumped: number;
  /** Blocks removed by one commit. */
  readonly trimBlocksMax: number;
  readonly logBytes: number;
  /** The commit is on disk. `readable`: a read that found nothing may find more. */
  readonly onLanded: (blocks: readonly Block[], readable: boolean) => void;
};

type Flushed = {
  readonly blocks: readonly Block[];
  readonly trim: TrimStep | undefined;
  readonly damaged: readonly { readonly position: Position; readonly bytes: Uint8Array }[];
  readonly burnt: number;
  readonly epoch: number;
  readonly logBytes: number;
};

export class LogCommit implements CommitOwner {
  readonly #committer: Committer;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #trim: LogTrim;
  readonly #crc32: Crc32;
  readonly #clock: Clock;
  readonly #nonce: Uint8Array;
  readonly #trimBlocksMax: number;
  readonly #onLanded: LogCommitParts["onLanded"];
  #jumped: number;
  #epochStored = true;
  /** What the commit under way contains. */
  #flushed: Flushed | undefined;
  #flushedBytes = 0;
  #burnt: Position[] = [];
  #logBytes: number;
  #trimTo: Position | undefined;
  #failedTrim: TrimStep | undefined;

  constructor(parts: LogCommitParts) {
    this.#committer = parts.committer;
    this.#writer = parts.writer;
    this.#reader = parts.reader;
    this.#trim = parts.trim;
    this.#crc32 = parts.crc32;
    this.#clock = parts.clock;
    this.#nonce = parts.nonce;
    this.#jumped = parts.jumped;
    this.#trimBlocksMax = parts.trimBlocksMax;
    this.#onLanded = parts.onLanded;
    this.#logBytes = parts.logBytes;
  }

  /** Bytes of the blocks in the log, durable ones only. */
  get logBytes(): number {
    return this.#logBytes;
  }

  /** Bytes of blocks in the commit under way. */
  get flushedBytes(): number {
    return this.#flushedBytes;
  }

  /** The epoch of the positions given now is on disk. */
  get epochStored(): boolean {
    return this.#epochStored;
  }

  /** How far blocks may go. */
  get trimTo(): Position | undefined {
    return this.#trimTo;
  }

  trimUpTo(limit: Position): void {
    this.#trimTo = limit;
  }

  /** Positions given from now on are in an epoch above this one, once that is stored. */
  beginEpoch(above: number): void {
    this.#writer.beginEpoch(nextEpoch(above, this.#clock.wallMs()));
    this.#epochStored = false;
  }

  /** The highest epoch of a later life of this node that it jumped above; 0 if none. */
  get jumped(): number {
    return this.#jumped;
  }

  /** As `beginEpoch`; a later life is known to have used `above`. */
  jump(above: number): void {
    this.#jumped = Math.max(this.#jumped, above);
    this.beginEpoch(Math.max(above, this.#writer.epoch));
  }

  /** For the committer. */
  flush(): void {
    const committer = this.#committer;
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
    this.#flushed = { blocks, trim, damaged, burnt, epoch: this.#writer.epoch, logBytes };
  }

  /** For the committer. */
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
    const step = this.#failedTrim ?? this.#trim.plan(this.#trimTo, this.#trimBlocksMax);
    for (const { epoch, seq } of step?.blocks ?? []) {
      this.#committer.write("log", positionKey(epoch, seq), undefined);
    }
    return step;
  }

  #writeMeta(blocks: readonly Block[], logBytes: number): void {
    const last = blocks.at(-1);
    const head = last === undefined ? this.#reader.head : { epoch: last.epoch, seq: last.lastSeq };
    const row = encodeLogRow({ bytes: logBytes, head }, this.#crc32);
    this.#committer.write("meta", META.log, row);
    if (this.#epochStored) return;
    const epoch = { epoch: this.#writer.epoch, nonce: this.#nonce, jumped: this.#jumped };
    this.#committer.write("meta", META.epoch, encodeEpochRow(epoch, this.#crc32));
  }

  /** The commit is on disk. */
  #landed(flushed: Flushed): void {
    const { blocks, trim, damaged } = flushed;
    this.#logBytes = flushed.logBytes;
    this.#burnt.splice(0, flushed.burnt);
    if (flushed.epoch === this.#writer.epoch) this.#epochStored = true;
    if (trim !== undefined) this.#trim.apply(trim);
    this.#failedTrim = undefined;
    if (trim?.more === true) this.#committer.dirty(this);
    const readable = this.#reader.moved(damaged);
    for (const block of damaged) this.#trim.removed(block.position);
    for (const block of blocks) {
      this.#trim.push(block);
      this.#reader.push(block);
    }
    this.#onLanded(blocks, readable);
  }

  /** The commit failed: its positions, and those given since, are never used. */
  #burn(flushed: Flushed | undefined): void {
    const blocks = flushed?.blocks ?? [];
    this.#failedTrim ??= flushed?.trim;
    for (const block of blocks) this.#burnt.push({ epoch: block.epoch, seq: block.firstSeq });
    const lost = this.#writer.discard() || blocks.length > 0;
    if (lost) this.beginEpoch(this.#writer.epoch);
  }
}
